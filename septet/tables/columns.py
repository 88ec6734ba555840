"""What a column of text cells holds: numbers, booleans, dates, categories, text, identifiers.

Infers kinds and parses cells. Knows neither files nor networks.
"""

import itertools
import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal

import numpy as np

from septet.data.table_files import Cell

Kind = Literal["number", "boolean", "date", "category", "text", "identifier", "empty"]

MISSING = {"", "na", "n/a", "#n/a", "nan", "-nan", "null", "none", "?", "<na>", "nat"}
MISSING_TARGETS = MISSING - {"none"}
"""A class may well be called "None"."""

TRUE = {"true", "yes", "t", "y"}
FALSE = {"false", "no", "f", "n"}

MOSTLY = 0.95
"""Share of the cells that must parse for a column to be of a kind."""

ENOUGH_FOR_IDENTIFIER = 20
"""Fewer rows than this prove nothing about uniqueness."""

IDENTIFIER_NAME = re.compile(
    r"(?i)(^|[_\s.-])(id|ids|idx|index|uuid|guid|key|row|rowid|row_?(number|no|num)|no|nr)$"
    r"|^(unnamed|column_1$|id[_\s.-])|[a-z]Id$|[a-z]ID$"
)

DATE_FORMATS = (
    "%Y/%m/%d",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%d.%m.%Y",
    "%d-%m-%Y",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%m/%d/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M",
    "%d/%m/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%d %b %Y",
    "%b %d, %Y",
    "%d-%b-%Y",
)
"""Tried in this order after ISO 8601; month first unless a cell rules that out."""

LOOKS_LIKE_DATE = re.compile(r"(?=.*\d)[\dA-Za-z,.:/ +-]{6,35}")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Column:
    """A column and what its cells mean.

    Args:
        name: As in the header.
        kind: What the cells hold.
        date_format: Of dates: "iso" or a format of `strptime`.
    """

    name: str
    kind: Kind
    date_format: str | None = None


def is_missing(cell: Cell) -> bool:
    """Whether a cell holds no value: empty, NA, NaN, null, None or ?."""
    return cell is None or cell.strip().casefold() in MISSING


def is_missing_target(cell: Cell) -> bool:
    """As `is_missing`, except that "None" is a value."""
    return cell is None or cell.strip().casefold() in MISSING_TARGETS


def parse_number(cell: str) -> float | None:
    """The number in a cell, which may be infinite, or None."""
    text = cell.strip()
    if "_" in text or not text or text.casefold().lstrip("+-") == "nan":
        return None
    try:
        return float(text)
    except ValueError:
        return None


def parse_boolean(cell: str) -> float | None:
    """1.0 or 0.0 for true/yes/t/y and false/no/f/n in any case (also 1 and 0), or None."""
    word = cell.strip().casefold()
    if word in TRUE or word in {"1", "1.0"}:
        return 1.0
    return 0.0 if word in FALSE or word in {"0", "0.0"} else None


def parse_date(cell: str, date_format: str) -> float | None:
    """Days since 1970-01-01 UTC, with fractions, or None; times without a zone are UTC."""
    text = cell.strip()
    try:
        if date_format == "iso":
            if not re.match(r"\d{4}-?\d{2}-?\d{2}", text):
                return None
            moment = datetime.fromisoformat(text)
        else:
            moment = datetime.strptime(text, date_format)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - EPOCH) / timedelta(days=1)


def parser_of(column: Column) -> Callable[[str], float | None]:
    """What turns a cell of a number, boolean or date column into a number."""
    if column.kind == "number":
        return parse_number
    if column.kind == "boolean":
        return parse_boolean
    date_format = column.date_format or "iso"
    return lambda cell: parse_date(cell, date_format)


def category_key(cell: str) -> str:
    """The name under which a category is known: trimmed, whole numbers without ".0"."""
    text = cell.strip()
    if text[:1].isdigit() or text[:1] in "+-.":
        number = parse_number(text)
        has_point = "." in text or "e" in text.casefold()
        if number is not None and has_point and abs(number) < 1e15:
            return str(int(number)) if number.is_integer() else repr(number)
    return text


def infer(name: str, cells: Sequence[Cell]) -> Column:
    """The kind of a column, judged by all its cells that are not missing."""
    values = [cell.strip() for cell in cells if cell is not None and not is_missing(cell)]
    if not values:
        return Column(name, "empty")
    counts = Counter(values)
    if all(value.casefold() in TRUE | FALSE for value in counts):
        return Column(name, "boolean")
    numbers = [parse_number(value) for value in values]
    if sum(number is not None for number in numbers) >= MOSTLY * len(values):
        if len(cells) == len(values) and _is_identifier_number(name, numbers):
            return Column(name, "identifier")
        return Column(name, "number")
    date_format = find_date_format(values)
    if date_format is not None:
        return Column(name, "date", date_format)
    return Column(name, _kind_of_text(name, values, counts))


def _is_identifier_number(name: str, numbers: Sequence[float | None]) -> bool:
    """Whole numbers that never repeat and either count the rows or are named as an identifier."""
    if len(numbers) < ENOUGH_FOR_IDENTIFIER or any(
        number is None or not number.is_integer() for number in numbers
    ):
        return False
    unique = {number for number in numbers if number is not None}
    if len(unique) < len(numbers):
        return False
    counts_rows = max(unique) - min(unique) == len(numbers) - 1
    known = [number for number in numbers if number is not None]
    in_order = all(after > before for before, after in itertools.pairwise(known))
    return (counts_rows and in_order) or bool(IDENTIFIER_NAME.search(name))


def _kind_of_text(name: str, values: Sequence[str], counts: Counter[str]) -> Kind:
    is_unique = len(counts) >= 0.99 * len(values) and len(values) >= ENOUGH_FOR_IDENTIFIER
    words = sum(len(value.split()) for value in counts) / len(counts)
    if is_unique and (words < 2.5 or IDENTIFIER_NAME.search(name)):
        return "identifier"
    if words >= 3 and len(counts) > max(20, 0.2 * len(values)):
        return "text"
    return "category"


def find_date_format(values: Sequence[str]) -> str | None:
    """The format that (nearly) all `values` have: "iso", one of DATE_FORMATS, or None."""
    start = values[:100]
    if sum(bool(LOOKS_LIKE_DATE.fullmatch(value)) for value in start) < MOSTLY * len(start):
        return None
    shares = {}
    for candidate in ("iso", *DATE_FORMATS):
        parsed = sum(parse_date(value, candidate) is not None for value in start)
        if parsed >= 0.8 * len(start):
            parsed = sum(parse_date(value, candidate) is not None for value in values)
            shares[candidate] = parsed / len(values)
    best = max(shares, key=lambda candidate: shares[candidate], default=None)
    return best if best is not None and shares[best] >= MOSTLY else None


def numbers_of(column: Column, cells: Sequence[Cell]) -> np.ndarray:
    """Float64 values of a number, boolean or date column; NaN for missing or unparsable cells."""
    parse = parser_of(column)
    values = np.full(len(cells), math.nan)
    for row, cell in enumerate(cells):
        if cell is not None and not is_missing(cell):
            number = parse(cell)
            values[row] = math.nan if number is None else number
    return values


def texts_of(cells: Sequence[Cell]) -> np.ndarray:
    """Object array of category keys; None for missing cells."""
    values = np.empty(len(cells), dtype=object)
    for row, cell in enumerate(cells):
        values[row] = None if cell is None or is_missing(cell) else category_key(cell)
    return values


def date_of(days: float) -> date:
    """The day, for messages."""
    return (EPOCH + timedelta(days=days)).date()
