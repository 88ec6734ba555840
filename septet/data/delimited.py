"""Text tables with a delimiter (CSV, TSV and kin): quoting, ragged rows, bad bytes.

One defective row never takes its neighbours along: a quote that is not closed costs its
own line only.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterator

from septet.data.account import Finding, Rejection
from septet.data.table_files import MAX_CELL, Cell, Table, check_size, name_columns
from septet.errors import DataError

DELIMITERS = ",;\t|"
MAX_HEADER = 4_000_000
"""Characters in the first line."""
MAX_QUOTED_LINES = 1000
"""Lines that one quoted cell may span."""

DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
DECIMAL_POINT = re.compile(r"[+-]?\d*\.\d+")


def read_delimited(data: bytes, file: str) -> Table:
    """The table in `data`, with the delimiter found among comma, semicolon, tab and bar.

    Raises:
        DataError: No rows, or a first line that cannot be a header.
    """
    lines = split_lines(data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape"))
    _check_first_line(lines, data, file)
    delimiter = sniff_delimiter(lines)
    bad_bytes = undecodable_bytes(data)
    start, header, width, findings = _header(lines, delimiter, file)
    rows: list[list[Cell]] = []
    numbers: list[int] = []
    rejections: list[Rejection] = []
    for number, cells, problem in _records(lines, start, delimiter, width):
        problem = _bad_cells(number, cells, bad_bytes) or problem
        if problem:
            rejections.append(Rejection(problem[0], file, number, *problem[1:]))
        else:
            rows.append(list(cells))
            numbers.append(number)
    if not rows and not rejections:
        raise DataError(f"{file} has a header and no rows. Expected at least one row below it.")
    check_size(file, width, len(rows))
    names, renamed = name_columns(header, file)
    findings += renamed
    if delimiter == ";" and _use_decimal_points(rows):
        findings.append(
            Finding("decimal-comma", "note", file, "Numbers are written with decimal commas.", "")
        )
    return Table(file, names, rows, numbers, rejections, findings)


def split_lines(text: str) -> list[str]:
    """Lines of a text without their ends, which may be LF, CR LF or CR."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = text.split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def undecodable_bytes(data: bytes, start: int = 0) -> dict[int, int]:
    """Byte offset of the first byte of each line (from 1) that is not UTF-8.

    Offsets count from `start`, what stands before `data` in its file.
    """
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    else:
        return {}
    found, offset = {}, start
    for number, line in enumerate(re.split(rb"(?<=\n)|(?<=\r)(?!\n)", data), 1):
        try:
            line.decode("utf-8")
        except UnicodeDecodeError as error:
            found[number] = offset + error.start
        offset += len(line)
    return found


def sniff_delimiter(lines: list[str]) -> str:
    """The delimiter that cuts the first lines most evenly into the most cells."""
    sample = [line for line in lines[:200] if line.strip()][:100]
    scores = []
    for delimiter in DELIMITERS:
        widths = Counter(len(_parse([line], delimiter, is_strict=False) or [""]) for line in sample)
        width, count = widths.most_common(1)[0]
        scores.append((count / len(sample) if width > 1 else 0.0, width))
    best = max(range(len(DELIMITERS)), key=lambda place: scores[place])
    return DELIMITERS[best]


def _check_first_line(lines: list[str], data: bytes, file: str) -> None:
    first = next((line for line in lines if line.strip()), None)
    if first is None:
        raise DataError(f"{file} has only blank lines. Expected a header line and rows.")
    if len(first) > MAX_HEADER:
        raise DataError(
            f"{file}: the first line has {len(first):,} characters; a header has at most "
            f"{MAX_HEADER:,}. Is the file a table with one row a line?"
        )
    broken = undecodable_bytes(data[: len(data) if len(lines) == 1 else data.find(b"\n") + 1])
    if broken:
        raise DataError(
            f"{file}: the header is not UTF-8 at byte {next(iter(broken.values()))}. "
            "Save the file as UTF-8."
        )
    if "\x00" in first:
        raise DataError(f"{file}: the header holds a NUL byte. Save the file as UTF-8 text.")


def _parse(lines: list[str], delimiter: str, *, is_strict: bool = True) -> list[str] | None:
    """Cells of one record, or None when it ends inside quotes or has text after them."""
    reader = csv.reader(
        [line + "\n" for line in lines[:-1]] + lines[-1:], delimiter=delimiter, strict=is_strict
    )
    try:
        return next(reader, [])
    except csv.Error:
        return None


Problem = tuple[str, str, str]
"""Code, reason and remedy of a rejection."""


def _header(
    lines: list[str], delimiter: str, file: str
) -> tuple[int, list[str], int, list[Finding]]:
    """First line of data (from 0), names, cells a row, and what is unusual about them."""
    first = next(place for place, line in enumerate(lines) if line.strip())
    cells = _parse([lines[first]], delimiter)
    if cells is None:
        raise DataError(f"{file}: a quote in the header is never closed. Close it or remove it.")
    width = _usual_width(lines[first + 1 :], delimiter)
    if _is_counted_header(cells, width, lines[first + 1 :]):
        names = [f"feature_{place}" for place in range(1, width)] + ["target"]
        message = "The first line counts rows and columns instead of naming the columns."
        return first + 1, names, width, [Finding("no-header", "note", f"{file}:1", message, "")]
    if all(_is_number(cell) for cell in cells) and (width == len(cells) or not width):
        names = [f"column_{place}" for place in range(1, len(cells) + 1)]
        message = "The first line holds numbers only, so it is read as data; columns are numbered."
        remedy = "Write the names of the columns into a first line."
        finding = Finding("no-header", "note", f"{file}:1", message, remedy)
        return first, names, len(cells), [finding]
    return first + 1, cells, len(cells), []


def _usual_width(lines: list[str], delimiter: str) -> int:
    sample = [line for line in lines[:100] if line.strip()]
    widths = Counter(len(_parse([line], delimiter, is_strict=False) or []) for line in sample)
    return widths.most_common(1)[0][0] if widths else 0


def _is_counted_header(cells: list[str], width: int, lines: list[str]) -> bool:
    """Whether the first line is "rows,columns,class,class..." as scikit-learn ships its tables."""
    counts = [cell for cell in cells[:2] if cell.isdigit()]
    if len(counts) < 2 or any(len(count) > 9 for count in counts):
        return False
    return int(counts[1]) + 1 == width and int(counts[0]) == sum(
        bool(line.strip()) for line in lines
    )


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _records(
    lines: list[str], start: int, delimiter: str, width: int
) -> Iterator[tuple[int, list[str], Problem | None]]:
    """Line (from 1), cells and problem of every record; blank lines are not records."""
    place = start
    while place < len(lines):
        line = lines[place]
        if not line.strip() and (width > 1 or not line):
            place += 1
            continue
        span, cells, problem = 1, line.split(delimiter), None
        if '"' in line:
            span, cells, problem = _quoted_record(lines, place, delimiter, width)
        if problem is None and len(cells) != width:
            problem = (
                "ragged-row",
                f"The row has {len(cells)} cells; the header has {width}.",
                "Add or remove cells; quote cells that contain the delimiter.",
            )
        yield place + 1, cells, problem
        place += span


def _quoted_record(
    lines: list[str], place: int, delimiter: str, width: int
) -> tuple[int, list[str], Problem | None]:
    """Lines used, cells and problem of a record with quotes, which may span lines."""
    cells = _parse([lines[place]], delimiter)
    if cells is not None:
        return 1, cells, None
    # Only a line with an odd number of quotes can close what the first one left open.
    for end in range(place + 1, min(place + MAX_QUOTED_LINES, len(lines))):
        if lines[end].count('"') % 2 == 0:
            continue
        cells = _parse(lines[place : end + 1], delimiter)
        if cells is not None and len(cells) == width:
            return end + 1 - place, cells, None
        break
    problem = (
        "unclosed-quote",
        "A quoted cell is never closed, or has text after its closing quote.",
        'Close the quote; write a quote inside quotes as "".',
    )
    return 1, lines[place].split(delimiter), problem


def _bad_cells(number: int, cells: list[str], bad_bytes: dict[int, int]) -> Problem | None:
    span = 1 + sum(cell.count("\n") for cell in cells) if bad_bytes else 1
    for line in range(number, number + span):
        if line in bad_bytes:
            reason = f"Byte {bad_bytes[line]} of the file is not UTF-8."
            return "undecodable-byte", reason, "Save the file as UTF-8."
    for cell in cells:
        if "\x00" in cell:
            return "nul-byte", "The row holds a NUL byte.", "Remove it; it is no text."
        if len(cell) > MAX_CELL:
            reason = f"A cell has {len(cell):,} characters; at most {MAX_CELL:,} are read."
            return "oversized-cell", reason, "Shorten it, or look for a quote left open."
    return None


def _use_decimal_points(rows: list[list[Cell]]) -> bool:
    """Rewrite decimal commas in place, if the table has them and no decimal points."""
    cells = [cell.strip() for row in rows for cell in row if cell]
    has_commas = any(DECIMAL_COMMA.fullmatch(cell) for cell in cells)
    if not has_commas or any(DECIMAL_POINT.fullmatch(cell) for cell in cells):
        return False
    for row in rows:
        row[:] = [
            cell.replace(",", ".") if cell and DECIMAL_COMMA.fullmatch(cell.strip()) else cell
            for cell in row
        ]
    return True
