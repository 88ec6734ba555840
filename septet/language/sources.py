"""Labelled texts from tables (CSV, TSV, JSON lines, Parquet) and from a folder a class."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from septet.data.account import Account, Rejection
from septet.data.frame import SPLIT_STEMS, Frame, join, read_tables
from septet.data.table_files import SUFFIXES as TABLES
from septet.data.table_files import Cell, ListCell, Table, reason_of
from septet.errors import DataError
from septet.language.documents import SUFFIXES, read_document, shown, walk
from septet.language.options import TextDataOptions
from septet.language.texts import Texts

TEXT_NAMES = ("text", "sentence", "review", "content", "comment", "body", "message", "tweet")
TEXT_NAMES += ("document", "phrase", "post", "headline", "question", "title", "文本", "内容")
LABEL_NAMES = ("label", "labels", "sentiment", "class", "category", "target", "polarity", "y")
LABEL_NAMES += ("topic", "intent", "stars", "rating", "score", "标签", "类别", "情感")
LABEL_NAMES += ("tags", "topics", "categories", "genres", "classes")
SPLIT_NAME = "split"

HOMES = {stem: home for home, stems in SPLIT_STEMS.items() for stem in stems}
LONGEST = 100_000
"""Characters of one text, as of one cell of a table."""
LONGEST_FILE = 4 * LONGEST
"""Bytes of one text in a file of its own: UTF-8 takes up to four a character."""
SAMPLE_ROWS = 1000


def read_texts(source: Path, options: TextDataOptions, account: Account) -> Texts:
    """Everything at `source`; rows that are no text at all are rejections already.

    Raises:
        DataError: `source` as a whole cannot be understood.
    """
    if _is_folder(source) and not _holds_tables(source):
        if options.label_separator is not None:
            raise DataError(
                f"{shown(source.name)} has a folder for each class, and data.label_separator is "
                "for tables. Leave it out, or write the texts and their labels as a table."
            )
        return read_class_folders(source, account)
    tables = read_tables(source, account, lists=True)
    first = next(iter(tables.values()))
    text, label, split = choose_columns(first, options, account)
    frame = join(tables, label, account)
    texts = Texts(several=_has_several(frame.cells[label], label, options, account))
    return _labelled(frame, text, label, split, texts, account)


def _has_several(
    cells: Sequence[Cell], column: str, options: TextDataOptions, account: Account
) -> bool:
    """Whether cells name any number of labels each, which is noted."""
    separator = options.label_separator
    lists = sum(isinstance(cell, ListCell) for cell in cells)
    # A list or two among classes are defects of their rows, and do not make labels of the others.
    if lists and (separator is not None or 2 * lists >= sum(cell is not None for cell in cells)):
        why = f"the column '{column}' holds lists"
    elif separator is not None:
        why = f"the cells of '{column}' name labels with {separator!r} between them"
    else:
        return False
    account.note("several-labels", "all", f"A text may have any number of labels: {why}.")
    return True


def _is_folder(source: Path) -> bool:
    try:
        return source.is_dir()
    except (OSError, ValueError) as error:
        raise DataError(f"{shown(source.name)} cannot be read: {reason_of(error)}.") from None


def _holds_tables(folder: Path) -> bool:
    """Whether a folder is tables of splits, or one table, and not folders of texts."""
    try:
        entries = [path for path in folder.iterdir() if not path.name.startswith(".")]
        files = [path for path in entries if not path.is_dir() and path.suffix.lower() in TABLES]
    except OSError as error:
        raise DataError(f"{shown(folder.name)} cannot be read: {reason_of(error)}.") from None
    named = any(path.stem.casefold() in HOMES for path in files)
    return named or len(files) == len(entries) > 0


def choose_columns(
    table: Table, options: TextDataOptions, account: Account
) -> tuple[str, str, str | None]:
    """The columns of text, class and split: as the settings say, otherwise guessed and noted.

    Raises:
        DataError: A setting names no column, or there is none to guess.
    """
    columns = table.columns
    for setting in ("text_column", "label_column", "split_column"):
        name = getattr(options, setting)
        if name is not None and name not in columns:
            known = ", ".join(columns[:20]) + (", ..." if len(columns) > 20 else "")
            raise DataError(f"{table.file} has no column '{name}' ({setting}). It has: {known}.")
    split = options.split_column
    if split is None:
        split = _by_name(columns, (SPLIT_NAME,))
    others = [name for name in columns if name != split]
    label = options.label_column
    text = options.text_column or _by_name([n for n in others if n != label], TEXT_NAMES)
    text = text or _longest(table, [name for name in others if name != label])
    if text is not None and label is None:
        left = [name for name in others if name != text]
        label = _by_name(left, LABEL_NAMES) or _fewest_values(table, left)
    if text is None or label is None or text == label:
        raise DataError(
            f"{table.file} has the columns {', '.join(columns[:20])}. Expected one of texts and "
            "one of classes; name them with data.text_column and data.label_column. The first "
            "line must name the columns."
        )
    if options.text_column is None or options.label_column is None:
        account.note(
            "guessed-columns",
            table.file,
            f"Texts are taken from the column '{text}' and classes from '{label}', by a guess.",
            "Set data.text_column and data.label_column to use others.",
        )
    return text, label, split


def _by_name(columns: Sequence[str], names: Sequence[str]) -> str | None:
    plain = {re.sub(r"\W|_", "", column.casefold()): column for column in reversed(columns)}
    return next((plain[name] for name in names if name in plain), None)


def _longest(table: Table, columns: Sequence[str]) -> str | None:
    """The column with the longest cells, lists not counted."""
    cells = {name: table.column(name)[:SAMPLE_ROWS] for name in columns}
    sizes = {
        name: sum(len(cell or "") for cell in own if not isinstance(cell, ListCell))
        for name, own in cells.items()
    }
    return max(columns, key=lambda name: sizes[name], default=None)


def _fewest_values(table: Table, columns: Sequence[str]) -> str | None:
    """The column with the fewest different cells, but more than one."""
    counts = {name: len(set(table.column(name)[:SAMPLE_ROWS])) for name in columns}
    varied = [name for name in columns if counts[name] > 1] or list(columns)
    return min(varied, key=lambda name: counts[name], default=None)


def _labelled(
    frame: Frame, text: str, label: str, split: str | None, texts: Texts, account: Account
) -> Texts:
    """`texts` with the rows of a frame; what is no row of a text becomes a rejection."""
    cells: Sequence[Cell] = frame.cells[split] if split else [None] * len(frame)
    for row, cell in enumerate(cells):
        home = frame.homes[row]
        if split is not None:
            home = HOMES.get((cell or "train").strip().casefold(), "?")
        file, line = frame.files[row], frame.lines[row]
        if home == "?":
            reason = f"The column '{split}' says {str(cell)[:40]!r}."
            remedy = "Write train, validation or test."
            account.rejections.append(Rejection("unknown-split", file, line, reason, remedy))
            continue
        words, name = frame.cells[text][row], frame.cells[label][row]
        if isinstance(words, ListCell):
            reason = f"The value of '{text[:80]}' is a list, not a text."
            problem = Rejection("nested-value", file, line, reason, "Write it as one text.")
            account.rejections.append(problem)
        elif isinstance(name, ListCell) and not texts.several:
            reason = f"The value of '{label[:80]}' is a list, and other rows have one class."
            problem = Rejection("nested-value", file, line, reason, "Write one class.")
            account.rejections.append(problem)
        elif texts.several and name is None:
            reason = "It is not said which labels the text has."
            remedy = "Write [] or an empty text where it has none."
            account.rejections.append(Rejection("missing-label", file, line, reason, remedy))
        else:
            name = name if isinstance(name, ListCell) else (name or "").strip()
            texts.add(words or "", name, file, line, home)
    return texts


def read_class_folders(folder: Path, account: Account) -> Texts:
    """Texts in files, in a folder for each class, perhaps within folders for the splits.

    Raises:
        DataError: No folder in it has a text file.
    """
    texts = Texts()
    top = _folders(folder, account)
    are_splits = bool(top) and all(path.name.casefold() in HOMES for path in top)
    for parent in top if are_splits else [folder]:
        home = HOMES[parent.name.casefold()] if are_splits else ""
        classes = _folders(parent, account) if are_splits else top
        for place in classes:
            _read_class(folder, place, home, texts, account)
    if not account.read:
        raise DataError(
            f"{shown(folder.name)} has no texts. Expected a folder for each class with a text file "
            f"({', '.join(sorted(SUFFIXES))}) for each text, or a table such as train.csv."
        )
    return texts


def _folders(folder: Path, account: Account) -> list[Path]:
    """Visible folders inside `folder`, by name; files beside them are noted."""
    try:
        entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        folders = [path for path in entries if path.is_dir()]
    except OSError as error:
        raise DataError(f"{shown(folder.name)} cannot be read: {reason_of(error)}.") from None
    others = len(entries) - len(folders)
    if others:
        message = f"{others} files lie beside the folders of the classes; they are not used."
        account.note("ignored-file", shown(folder.name), message)
    return folders


def _read_class(source: Path, place: Path, home: str, texts: Texts, account: Account) -> None:
    files = walk(place, account)
    if not files:
        message = "The folder has no text file."
        account.warn("empty-class", shown(place.name), message, "Add texts or remove the folder.")
    for path in files:
        account.read += 1
        name = shown(os.path.relpath(path, source))
        found = read_document(path, name, LONGEST_FILE)
        if isinstance(found, Rejection):
            account.rejections.append(found)
        else:
            texts.add(found.text, shown(place.name), name, None, home)
