"""The rows of all files of a table data set side by side, and where each came from."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from septet.data.account import Account
from septet.data.table_files import SUFFIXES, Cell, Table, read_table, reason_of
from septet.errors import DataError

SPLIT_STEMS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}


@dataclass(frozen=True)
class Frame:
    """Cells by column name, and for each row its file, line and split ("" if not given).

    Args:
        cells: Cells of each column, all of the same length, in the order of the header.
        files: Name of each row's file.
        lines: Line of each row in its file, from 1.
        homes: The split whose file holds the row; "" where one file holds all.
    """

    cells: Mapping[str, Sequence[Cell]]
    files: Sequence[str]
    lines: Sequence[int]
    homes: Sequence[str]

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.lines)

    def take(self, rows: Sequence[int]) -> "Frame":
        """The rows at `rows`, in that order."""
        return Frame(
            {name: [cells[row] for row in rows] for name, cells in self.cells.items()},
            [self.files[row] for row in rows],
            [self.lines[row] for row in rows],
            [self.homes[row] for row in rows],
        )

    def place(self, row: int) -> str:
        """Where a row is, as "table.csv:17"."""
        return f"{self.files[row]}:{self.lines[row]}"

    def keys(self, names: Iterable[str]) -> list[str]:
        """A hash of the cells of `names` of each row; equal for equal cells."""
        columns = [self.cells[name] for name in names]
        return [_key([column[row] for column in columns]) for row in range(len(self))]


def _key(cells: Sequence[Cell]) -> str:
    text = "\x1f".join("\x1e" if cell is None else cell.strip() for cell in cells)
    return hashlib.blake2b(text.encode("utf-8", "backslashreplace"), digest_size=16).hexdigest()


def read_tables(source: Path, account: Account, *, lists: bool = False) -> dict[str, Table]:
    """The table of each split by name, or {"": table} for a single file.

    Cells may be lists where `lists` says so.

    Raises:
        DataError: Nothing readable at `source`.
    """
    if not _is_folder(source):
        tables = {"": read_table(source, source.name, lists=lists)}
    else:
        paths = find_split_files(source, account)
        tables = {home: read_table(path, path.name, lists=lists) for home, path in paths.items()}
    for table in tables.values():
        account.read += len(table.rows) + len(table.rejections)
        account.rejections.extend(table.rejections)
        account.findings.extend(table.findings)
    return tables


def _is_folder(source: Path) -> bool:
    try:
        return source.is_dir()
    except (OSError, ValueError) as error:
        raise DataError(f"{source.name} cannot be read: {reason_of(error)}.") from None


def find_split_files(folder: Path, account: Account) -> dict[str, Path]:
    """The files of a folder by split: train.csv, test.csv, validation.csv and kin.

    A folder with a single table is that table, under "".

    Raises:
        DataError: No table, several tables of which none is for training, or two for a split.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise DataError(f"The folder {folder.name} cannot be read: {reason_of(error)}.") from None
    tables = [path for path in paths if path.suffix.lower() in SUFFIXES and not path.is_dir()]
    found: dict[str, Path] = {}
    for home, stems in SPLIT_STEMS.items():
        for path in tables:
            if path.stem.casefold() not in stems:
                continue
            if home in found:
                raise DataError(
                    f"The folder {folder.name} has two tables for '{home}': {found[home].name} "
                    f"and {path.name}. Keep one."
                )
            found[home] = path
    if "train" not in found:
        if len(tables) != 1:
            names = ", ".join(path.name for path in tables[:5]) or "no table"
            raise DataError(
                f"The folder {folder.name} has {names} and no train.csv. Expected one table, or "
                f"train, validation and test tables (endings: {', '.join(sorted(SUFFIXES))})."
            )
        found = {"": tables[0]}
    for path in paths:
        if path not in found.values():
            account.note("ignored-file", path.name, "Not used: it is no table of a split.")
    return found


def join(tables: Mapping[str, Table], target: str, account: Account) -> Frame:
    """The tables below one another, with the columns of the first (train).

    A test file without the target cannot be scored; its rows are not used, and that is noted.

    Raises:
        DataError: A table lacks a column of the training table.
    """
    first = next(iter(tables.values()))
    used: dict[str, Table] = {}
    for home, table in tables.items():
        if home != "train" and target in first.columns and target not in table.columns:
            account.read -= len(table.rows) + len(table.rejections)
            lines = {id(rejection) for rejection in table.rejections}
            account.rejections = [r for r in account.rejections if id(r) not in lines]
            account.warn(
                "no-target",
                table.file,
                f"It has no column '{target}', so its {len(table.rows)} rows are not used.",
                "Predict on it after training; a test set is cut from the training table.",
            )
            continue
        missing = [name for name in first.columns if name not in table.columns]
        if missing:
            raise DataError(
                f"{table.file} lacks {len(missing)} of the columns of {first.file}: "
                f"{', '.join(missing[:5])}. Give all tables the same columns."
            )
        extra = [name for name in table.columns if name not in first.columns]
        if extra:
            message = f"Columns that {first.file} has not are not used: {', '.join(extra[:5])}."
            account.note("extra-columns", table.file, message)
        used[home] = table
    cells: dict[str, list[Cell]] = {name: [] for name in first.columns}
    for table in used.values():
        for name in first.columns:
            cells[name].extend(table.column(name))
    return Frame(
        cells,
        [table.file for table in used.values() for _ in table.rows],
        [line for table in used.values() for line in table.lines],
        [home for home, table in used.items() for _ in table.rows],
    )
