"""Parallel text of every form: tables, two files, translation memories, catalogs of gettext."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from septet.data.account import Account, Rejection
from septet.data.frame import Frame, join, read_tables
from septet.data.table_files import SUFFIXES as TABLES
from septet.data.table_files import Cell, Table, reason_of
from septet.errors import DataError
from septet.language.documents import shown
from septet.language.gettext_files import read_catalogs
from septet.language.languages import common_words_in
from septet.language.line_files import find_line_files, read_line_files
from septet.language.pairs import Pairs
from septet.language.tmx import HOMES, read_memories
from septet.language.translation_options import TranslationDataOptions

MEMORIES = frozenset({".tmx"})
CATALOGS = frozenset({".po", ".pot", ".mo"})
SPLIT_NAME = "split"
NUMBER = re.compile(r"\s*[-+]?[\d.,]*\s*")
FORMS = (
    "a table with a column for each language (.csv, .tsv, .jsonl, .parquet), two files such as "
    "train.en and train.de, a translation memory (.tmx), or a catalog of gettext (.po, .mo)"
)


def read_pairs(source: Path, options: TranslationDataOptions, account: Account) -> Pairs:
    """Everything at `source`, the sides exchanged where the settings say so.

    Raises:
        DataError: `source` as a whole cannot be understood.
    """
    pairs = _read(source, options, account)
    return pairs.reversed() if options.reverse else pairs


def _read(source: Path, options: TranslationDataOptions, account: Account) -> Pairs:
    wanted = (options.source, options.target)
    suffix = source.suffix.lower()
    try:
        is_folder = source.is_dir()
        lines = find_line_files(source) if is_folder or suffix not in MEMORIES | CATALOGS else {}
        inside = sorted(source.iterdir()) if is_folder else []
    except (OSError, ValueError) as error:
        raise DataError(f"{shown(source.name)} cannot be read: {reason_of(error)}.") from None
    if lines:
        return read_line_files(lines, wanted, account)
    files = [path for path in inside if not path.name.startswith(".") and not path.is_dir()]
    if suffix in MEMORIES and not is_folder:
        return read_memories([source], wanted, account)
    if suffix in CATALOGS and not is_folder:
        return _catalogs([source], wanted, account)
    if is_folder and not any(path.suffix.lower() in TABLES for path in files):
        return _folder(source, files, wanted, account)
    if not is_folder and suffix not in TABLES:
        if os.path.lexists(source):
            raise DataError(
                f"{shown(source.name)} is no parallel text that Septet knows by its name. "
                f"Expected {FORMS}."
            )
        raise DataError(f"There is no file or folder '{shown(source.name)}'.")
    return _tables(source, options, account)


def _folder(
    source: Path, files: Sequence[Path], wanted: tuple[str | None, str | None], account: Account
) -> Pairs:
    """A folder of translation memories, or of catalogs."""
    memories = [path for path in files if path.suffix.lower() in MEMORIES]
    catalogs = [path for path in files if path.suffix.lower() in CATALOGS]
    used = memories or catalogs
    if not used:
        raise DataError(f"The folder {shown(source.name)} has no parallel text. Expected {FORMS}.")
    for path in files:
        if path not in used:
            account.note("ignored-file", shown(path.name), "Not used: it is no parallel text.")
    if memories:
        return read_memories(sorted(memories), wanted, account)
    return _catalogs(catalogs, wanted, account)


def _catalogs(paths: list[Path], wanted: tuple[str | None, str | None], account: Account) -> Pairs:
    return read_catalogs(paths, (wanted[0] or "source", wanted[1] or "target"), account)


def _tables(source: Path, options: TranslationDataOptions, account: Account) -> Pairs:
    tables = read_tables(source, account)
    first = next(iter(tables.values()))
    names, split = choose_columns(first, options, account)
    _note_headless(first, names, account)
    return _pairs_of(join(tables, names[1], account), names, split, account)


def choose_columns(
    table: Table, options: TranslationDataOptions, account: Account
) -> tuple[tuple[str, str], str | None]:
    """The columns of both sides and of the split: as the settings say, otherwise guessed.

    Raises:
        DataError: A setting names no column, or there are no two columns of text.
    """
    columns = table.columns
    for setting in ("source", "target", "split_column"):
        name = getattr(options, setting)
        if name is not None and name not in columns:
            known = ", ".join(columns[:20]) + (", ..." if len(columns) > 20 else "")
            raise DataError(
                f"{table.file} has no column '{name}' (data.{setting}). It has: {known}."
            )
    split = options.split_column
    if split is None:
        split = next((name for name in columns if name.casefold() == SPLIT_NAME), None)
    source, target = options.source, options.target
    if source is not None and source == target:
        raise DataError(f"Both data.source and data.target are '{source}'. Choose two columns.")
    left = [
        name
        for name in columns
        if name not in (split, source, target) and not _is_of_numbers(table.column(name))
    ]
    need = (source is None) + (target is None)
    if len(left) < need:
        raise DataError(
            f"{table.file} has the columns {', '.join(columns[:20])}. Expected one for each side; "
            "name them with data.source and data.target. The first line must name the columns."
        )
    is_guess = need > 0 and len(left) > need
    source = source or left.pop(0)
    target = target or left.pop(0)
    if is_guess:
        account.note(
            "guessed-columns",
            table.file,
            f"It is translated from the column '{source}' into '{target}', by a guess.",
            "Set data.source and data.target to use others.",
        )
    return (source, target), split


def _is_of_numbers(cells: Sequence[Cell]) -> bool:
    return all(NUMBER.fullmatch(cell or "") for cell in cells[:200])


def _note_headless(table: Table, names: tuple[str, str], account: Account) -> None:
    """A first line that is a pair itself is lost as the names of the columns."""
    sentences = [name for name in names if " " in name.strip() and len(name) > 15]
    common = [max(common_words_in(name).values()) for name in names]
    if sentences and (len(sentences) == 2 or sum(common) > 1):
        account.warn(
            "no-header",
            f"{table.file}:1",
            f"The first line is taken for the names of the columns and reads like a pair: "
            f"{names[0][:40]!r}.",
            "Write a first line with the names of the columns, as in: en<tab>de",
        )


def _pairs_of(frame: Frame, names: tuple[str, str], split: str | None, account: Account) -> Pairs:
    """The rows of a frame; those of an unknown split become rejections."""
    pairs = Pairs(names)
    cells: Sequence[Cell] = frame.cells[split] if split else [None] * len(frame)
    for row, cell in enumerate(cells):
        home = frame.homes[row]
        file, line = frame.files[row], frame.lines[row]
        if split is not None:
            home = HOMES.get((cell or "train").strip().casefold(), "?")
        if home == "?":
            reason = f"The column '{split}' says {str(cell)[:40]!r}."
            remedy = "Write train, validation or test."
            account.rejections.append(Rejection("unknown-split", file, line, reason, remedy))
            continue
        source, target = (frame.cells[name][row] for name in names)
        pairs.add(source or "", target or "", file, line, home)
    return pairs
