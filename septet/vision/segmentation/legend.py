"""The legend of masks: which class is which number or colour. Reads small text files."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from septet.errors import DataError
from septet.vision.sources import shown

IGNORED = 255
"""What pixels are in masks of ours that count neither in training nor in scores."""
BACKGROUND = "background"
FILES = (
    "legend.csv", "legend.json", "class_dict.csv", "classes.csv", "labels.csv", "classes.txt",
    "labels.txt", "labelmap.txt", "legend.tsv",
)  # fmt: skip
MOST_BYTES = 2**20
MOST_CLASSES = 254
LONGEST_NAME = 200
NOT_CLASSES = frozenset({"void", "ignore", "ignored"})
"""Names in a legend of what counts neither in training nor in scores."""
COLOUR_NAMES = (("red", "green", "blue"), ("r", "g", "b"))

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Entry:
    """One line of a legend: a class, its number in masks, and its colour where it says."""

    name: str
    index: int
    colour: Colour | None


@dataclass(frozen=True)
class Legend:
    """Classes in order, and how a mask's values become their numbers.

    Args:
        entries: As the file lists them; what is called "void" or "ignore" is no class.
        has_index: The file gives numbers; else its order does.
        file: Its name.
    """

    entries: tuple[Entry, ...]
    has_index: bool
    file: str

    @property
    def classes(self) -> list[str]:
        """Names by number of ours: what is ignored left out, background first."""
        names = [entry.name for entry in self.entries if not is_ignored(entry.name)]
        return sorted(names, key=lambda name: name.casefold() != BACKGROUND)

    @property
    def has_colours(self) -> bool:
        """Whether every line has a colour."""
        return all(entry.colour is not None for entry in self.entries)

    def by_index(self, ignored: int | None) -> dict[int, int]:
        """From numbers in masks to ours."""
        table = {} if ignored is None else {ignored: IGNORED}
        return table | {entry.index: self._number(entry) for entry in self.entries}

    def by_colour(self) -> dict[Colour, int]:
        """From colours in masks to our numbers."""
        return {e.colour: self._number(e) for e in self.entries if e.colour is not None}

    def colours(self) -> list[Colour | None]:
        """Of each class."""
        known = {entry.name: entry.colour for entry in self.entries}
        return [known[name] for name in self.classes]

    def _number(self, entry: Entry) -> int:
        return IGNORED if is_ignored(entry.name) else self.classes.index(entry.name)


def is_ignored(name: str) -> bool:
    """Whether it is the name of what counts neither in training nor in scores."""
    return name.casefold() in NOT_CLASSES


def find_legend(folders: Sequence[Path], chosen: str | None) -> Legend | None:
    """The legend in the first of `folders` that has one; None where none has.

    Raises:
        DataError: The chosen one is missing or leaves the folder, or a legend cannot be read.
    """
    if chosen is not None:
        path = folders[0] / chosen
        is_inside = path.resolve().is_relative_to(folders[0].resolve())
        if not is_inside or not path.is_file():
            where = "is not there" if is_inside else "lies outside the data"
            raise DataError(
                f"The legend '{shown(chosen)}' {where}. data.legend is a path relative to the data."
            )
        return read_legend(path)
    for folder in folders:
        for name in FILES:
            if (folder / name).is_file():
                return read_legend(folder / name)
    return None


def read_legend(path: Path) -> Legend:
    """The legend in a CSV or TSV table, a JSON object or a list of names.

    A table has a header with "name" (or "class", "label"), and "index" (or "id", "value"),
    "red", "green", "blue" (or r, g, b), or both. JSON is {name: number} or {name: [r, g, b]}.
    A list has one name a line, numbered from 0; CVAT's labelmap.txt (`name:r,g,b::`) is read, too.

    Raises:
        DataError: It cannot be understood; says why.
    """
    name = shown(path.name)
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise DataError(f"The legend '{name}' has more than {MOST_BYTES} bytes.")
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"The legend '{name}' cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise DataError(f"The legend '{name}' is not UTF-8 text. Save it as UTF-8.") from None
    try:
        rows, has_index = _rows(path.suffix.lower(), text)
        return _checked(rows, has_index, name)
    except (ValueError, csv.Error, RecursionError) as error:
        raise DataError(
            f"The legend '{name}' cannot be understood: {error}. Expected a table with the columns "
            "name and index, or name, red, green, blue; or one name a line."
        ) from None


def _rows(suffix: str, text: str) -> tuple[list[Entry], bool]:
    if suffix == ".json":
        return _json_rows(json.loads(text))
    if suffix in (".csv", ".tsv"):
        return _table_rows(text, "\t" if suffix == ".tsv" else ",")
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if lines and all(line.count(":") >= 3 for line in lines):
        parts = [line.split(":") for line in lines]
        return [Entry(p[0], n, _colour(p[1].split(","))) for n, p in enumerate(parts)], False
    return [Entry(line, number, None) for number, line in enumerate(lines)], True


def _json_rows(values: Any) -> tuple[list[Entry], bool]:
    if not isinstance(values, Mapping) or not values:
        raise ValueError("it is no JSON object of names")
    has_index = all(type(value) is int for value in values.values())
    if has_index:
        return [Entry(str(n), _byte(value), None) for n, value in values.items()], True
    pairs = enumerate(values.items())
    return [Entry(str(name), n, _colour(value)) for n, (name, value) in pairs], False


def _table_rows(text: str, delimiter: str) -> tuple[list[Entry], bool]:
    reader = csv.DictReader(io.StringIO(text), delimiter=delimiter, strict=True)
    columns = {(name or "").strip().casefold(): name for name in reader.fieldnames or []}
    name = next(
        (columns[c] for c in ("name", "class", "label", "class_name") if c in columns), None
    )
    index = next((columns[c] for c in ("index", "id", "value", "class_id") if c in columns), None)
    colours = next((names for names in COLOUR_NAMES if all(n in columns for n in names)), None)
    if name is None or (index is None and colours is None):
        raise ValueError(f"its columns are {', '.join(map(str, columns)) or 'none'}")
    entries = []
    for number, row in enumerate(reader):
        if None in row or None in row.values():
            raise ValueError(f"line {reader.line_num} has not as many fields as the header")
        colour = None if colours is None else _colour([row[columns[c]] for c in colours])
        place = number if index is None else _byte(row[index])
        entries.append(Entry((row[name] or "").strip(), place, colour))
    return entries, index is not None


def _byte(value: Any) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError):
        raise ValueError(f"{str(value)[:40]!r} is no whole number") from None
    if not 0 <= number <= 255:
        raise ValueError(f"{number} is not from 0 to 255")
    return number


def _colour(values: Any) -> Colour:
    if not isinstance(values, list) or len(values) != 3:
        raise ValueError(f"{str(values)[:40]!r} is no colour of three numbers")
    red, green, blue = (_byte(value) for value in values)
    return red, green, blue


def _checked(entries: list[Entry], has_index: bool, file: str) -> Legend:
    names = [entry.name for entry in entries]
    colours = [entry.colour for entry in entries if entry.colour is not None]
    of_each: tuple[tuple[str, list[Any]], ...] = (
        ("name", names),
        ("index", [entry.index for entry in entries]),
        ("colour", colours),
    )
    for what, values in of_each:
        repeated = [value for value in values if values.count(value) > 1]
        if repeated:
            raise ValueError(f"the {what} {str(repeated[0])[:40]!r} is there twice")
    if any(not name or len(name) > LONGEST_NAME for name in names):
        raise ValueError(f"a name is empty or longer than {LONGEST_NAME} characters")
    legend = Legend(tuple(entries), has_index, file)
    if not 2 <= len(legend.classes) <= MOST_CLASSES:
        raise ValueError(f"it has {len(legend.classes)} classes and not 2 to {MOST_CLASSES}")
    return legend
