"""Tables as they lie on disk: CSV, TSV, JSON lines and Parquet become named columns of text.

Every row is either in the table or a rejection with its line. Knows nothing of kinds of
columns, targets or splits. Cells are text, or None where a format says that nothing is there;
who asks for lists gets those of JSON lines and Parquet as `ListCell`.
"""

import json
import os
import stat
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from septet.data.account import Finding, Rejection
from septet.errors import DataError

DELIMITED = {".csv", ".tsv", ".tab", ".txt", ".data"}
JSON_LINES = {".jsonl", ".ndjson"}
PARQUET = {".parquet", ".pq"}
SUFFIXES = DELIMITED | JSON_LINES | PARQUET

MAX_BYTES = 2 * 1024**3
MAX_COLUMNS = 20_000
MAX_CELLS = 200_000_000
MAX_CELL = 100_000
"""Characters in one cell."""

Cell = str | None


class ListCell(str):
    """A cell that is a list of plain values: the JSON of it, all of them as texts."""

    __slots__ = ()

    @property
    def items(self) -> list[str]:
        """The values."""
        return json.loads(self)


MAGIC = {
    b"\x1f\x8b": "a gzip archive; unpack it first",
    b"PK\x03\x04": "a zip archive or an Excel workbook; unpack it or export it as CSV",
    b"PAR1": "a Parquet file; give it the ending .parquet",
    b"BZh": "a bzip2 archive; unpack it first",
    b"\xfd7zXZ": "an xz archive; unpack it first",
    b"(\xb5/\xfd": "a Zstandard archive; unpack it first",
    b"SQLite format 3": "an SQLite database; export the table as CSV",
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"%PDF": "a PDF document",
    b"\xff\xfe": "UTF-16 text; save it as UTF-8",
    b"\xfe\xff": "UTF-16 text; save it as UTF-8",
}


@dataclass(frozen=True)
class Table:
    """Rows of one file.

    Args:
        file: Name for messages, relative to the source.
        columns: Names, all different and none empty.
        rows: Cells by row and column, as text or None.
        lines: Where each row starts in the file, from 1; row numbers for Parquet.
        rejections: Rows that could not be read.
        findings: What the user should know about the file as such.
    """

    file: str
    columns: list[str]
    rows: list[list[Cell]]
    lines: list[int]
    rejections: list[Rejection] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def column(self, name: str) -> list[Cell]:
        """The cells of the column called `name`."""
        place = self.columns.index(name)
        return [row[place] for row in self.rows]


def read_table(path: Path, file: str, *, lists: bool = False) -> Table:
    """The table at `path`, called `file` in messages; the ending of the name says its format.

    Args:
        path: Where it lies.
        file: Its name for messages.
        lists: Take lists of plain values as cells (`ListCell`) where a format has them.

    Raises:
        DataError: The file as a whole cannot be read or holds no rows.
        MissingPackageError: Parquet without pyarrow.
    """
    from septet.data import delimited, jsonlines, parquet

    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(
            f"{file}: the ending '{suffix}' is no table format that Septet reads. "
            f"Expected one of {', '.join(sorted(SUFFIXES))}."
        )
    check_regular(path, file)
    if suffix in PARQUET:
        return parquet.read_parquet(path, file, lists=lists)
    data = read_bytes(path, file)
    check_text(data, file)
    if suffix in JSON_LINES:
        return jsonlines.read_json_lines(data, file, lists=lists)
    return delimited.read_delimited(data, file)


def check_regular(path: Path, file: str) -> None:
    """Refuse what is no plain, readable, non-empty file of bearable size.

    Raises:
        DataError: Says which of these it is.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read: {reason_of(error)}.") from None
    if not stat.S_ISREG(status.st_mode):
        raise DataError(f"{file} is not a plain file. Give a table in a file or a folder of them.")
    if status.st_size == 0:
        raise DataError(f"{file} is empty. Expected a header line and rows.")
    if status.st_size > MAX_BYTES:
        raise DataError(
            f"{file} has {status.st_size:,} bytes; at most {MAX_BYTES:,} are read. "
            "Train on a sample of its rows."
        )


def read_bytes(path: Path, file: str) -> bytes:
    """The content of a file.

    Raises:
        DataError: The system refuses.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{file} cannot be read: {reason_of(error)}.") from None


def reason_of(error: Exception) -> str:
    """What the system said, without the path."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error)


def check_text(data: bytes, file: str) -> None:
    """Refuse what is no text.

    Raises:
        DataError: Names the format when it is a known one.
    """
    for magic, meaning in MAGIC.items():
        if data.startswith(magic):
            raise DataError(f"{file} is no text table but {meaning}.")
    start = data[:65536]
    text = start.decode("utf-8", "surrogateescape")
    strange = sum(
        (ord(letter) < 32 and letter not in "\t\n\r\f") or "\udc80" <= letter <= "\udcff"
        for letter in text
    )
    if strange > 0.1 * len(text):
        raise DataError(
            f"{file} is no text: {strange:,} of its first {len(text):,} characters are control "
            "characters or not UTF-8. Save the table as UTF-8 CSV, JSON lines or Parquet."
        )


def check_size(file: str, num_columns: int, num_rows: int) -> None:
    """Refuse tables that would not fit into memory as text.

    Raises:
        DataError: Says the limit.
    """
    if num_columns > MAX_COLUMNS:
        raise DataError(f"{file} has {num_columns:,} columns; at most {MAX_COLUMNS:,} are read.")
    if num_columns * num_rows > MAX_CELLS:
        raise DataError(
            f"{file} has {num_columns * num_rows:,} cells; at most {MAX_CELLS:,} are read. "
            "Train on a sample of its rows."
        )


def name_columns(header: Sequence[str], file: str) -> tuple[list[str], list[Finding]]:
    """Different, non-empty names for the columns, and what had to be changed for that."""
    names = [name.strip() for name in header]
    counts = Counter(name for name in names if name)
    taken = set(names)
    findings, named, seen = [], [], Counter()
    for place, name in enumerate(names, 1):
        seen[name] += 1
        if name and seen[name] == 1:
            named.append(name)
            continue
        fresh = f"{name}_{seen[name]}" if name else f"column_{place}"
        while fresh in taken:
            fresh += "_"
        taken.add(fresh)
        named.append(fresh)
        if name:
            findings.append(
                Finding(
                    "duplicate-header",
                    "warning",
                    f"{file}:1",
                    f"{counts[name]} columns are called '{name}'; column {place} is now '{fresh}'.",
                    "Give every column its own name, or drop one with data.ignore.",
                )
            )
        else:
            findings.append(
                Finding(
                    "empty-header",
                    "warning",
                    f"{file}:1",
                    f"Column {place} has no name; it is now '{fresh}'.",
                    "Name it in the first line. Index columns can be left out when exporting.",
                )
            )
    return named, findings
