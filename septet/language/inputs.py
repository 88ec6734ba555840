"""Texts that a user asks about: texts, files of them, rows of a table."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from septet.data.account import Rejection
from septet.data.table_files import SUFFIXES as TABLES
from septet.data.table_files import ListCell, Table, read_table
from septet.errors import DataError
from septet.language.documents import SUFFIXES, read_document, shown
from septet.language.sources import LONGEST, LONGEST_FILE, TEXT_NAMES
from septet.language.tokenizing import require_unicode


def read_inputs(inputs: Any) -> list[str]:
    """Texts from inputs in any of the forms below, alone or in a sequence.

    A text; a `Path` of a text file, which is one text, or of a table, of which every row is
    one; a dictionary with the text under a name such as "text".

    Raises:
        DataError: An input is none of these, or empty; names which.
    """
    if isinstance(inputs, str | os.PathLike | Mapping):
        inputs = [inputs]
    texts: list[str] = []
    for place, item in enumerate(inputs, 1):
        texts.extend(_texts_of(item, f"Input {place}"))
    if not texts:
        raise DataError("No texts were given. Give at least one.")
    return texts


def _texts_of(item: Any, name: str) -> list[str]:
    if isinstance(item, os.PathLike):
        return _texts_in(Path(item))
    if isinstance(item, Mapping):
        item = item.get(next((key for key in TEXT_NAMES if key in item), "text"))
    if not isinstance(item, str):
        raise DataError(
            f"{name} is a {type(item).__name__}. Expected a text, the path of a file of text or "
            "of a table, or a dictionary with the text under 'text'."
        )
    return [_usable(item, name)]


def _usable(text: str, name: str) -> str:
    if not text.strip():
        raise DataError(f"{name} is empty. Expected a text.")
    if len(text) > LONGEST:
        raise DataError(f"{name} has {len(text):,} characters; at most {LONGEST:,} are read.")
    require_unicode(text, name)
    return text


def _texts_in(path: Path) -> list[str]:
    name = shown(path.name)
    if path.suffix.lower() in SUFFIXES:
        found = read_document(path, name, LONGEST_FILE)
        if isinstance(found, Rejection):
            raise DataError(f"{name}: {found.reason} {found.remedy}")
        return [_usable(found.text, name)]
    table = read_table(path, name, lists=True)
    if table.rejections:
        first = table.rejections[0]
        raise DataError(f"{name}, line {first.line}: {first.reason} {first.remedy}")
    cells = table.column(_text_column(table))
    for cell, line in zip(cells, table.lines, strict=True):
        if isinstance(cell, ListCell):
            raise DataError(f"{name}, line {line}: a list is there. Expected a text.")
    return [
        _usable(cell or "", f"{name}, line {line}")
        for cell, line in zip(cells, table.lines, strict=True)
    ]


def _text_column(table: Table) -> str:
    names = {column.casefold(): column for column in table.columns}
    found = next((names[name] for name in TEXT_NAMES if name in names), None)
    if found is None and len(table.columns) > 1:
        raise DataError(
            f"{table.file} has the columns {', '.join(table.columns[:20])}. Call the one with the "
            "texts 'text'."
        )
    return found or table.columns[0]


def inputs_from_arguments(
    arguments: Sequence[str], suffixes: frozenset[str] = frozenset(TABLES | SUFFIXES)
) -> list[Any]:
    """Words of a command line as inputs: files where there is one of that name, texts otherwise.

    Args:
        arguments: The words.
        suffixes: Endings of the files that may be given.

    Raises:
        DataError: A word reads like a path, and no such file can be read.
    """
    inputs: list[Any] = []
    for word in arguments:
        suffix = os.path.splitext(word)[1].lower()
        is_path = len(word) < 4096 and not any(char.isspace() for char in word)
        exists = is_path and os.path.exists(word)
        if exists and suffix in suffixes:
            inputs.append(Path(word))
            continue
        if is_path and ((exists and (suffix or os.sep in word)) or suffix in suffixes):
            found = "no file that can be read" if exists else "not there"
            raise DataError(
                f"'{word[:200]}' is {found}. Expected a text, or a file that ends in "
                f"{', '.join(sorted(suffixes))}. Mend the path; in a text of one word "
                "that looks like one, put a space after it."
            )
        inputs.append(word)
    return inputs
