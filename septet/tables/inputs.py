"""Rows that a user asks about as examples: dictionaries, lists, data frames, files."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from septet.data.jsonlines import as_cell
from septet.data.table_files import SUFFIXES, Cell, read_table
from septet.errors import DataError
from septet.tables.columns import Column, is_missing, parser_of, texts_of
from septet.tables.features import NumberColumn, PreparedTable, TableColumn

Row = dict[str, Cell]


def read_inputs(inputs: Any, prepared: PreparedTable) -> dict[str, np.ndarray]:
    """Examples by column name from rows in any of the forms below, alone or in a sequence.

    A dictionary of column to value; a list, tuple or one-dimensional array of values in the
    order of the columns (with or without the target); a two-dimensional array; a pandas
    data frame; a path to a table file, of which every row counts. None and NaN are missing.

    Raises:
        DataError: An input lacks a column or holds a value of another kind; names which.
    """
    rows: list[tuple[str, Row]] = []
    for place, item in enumerate(_as_sequence(inputs), 1):
        rows.extend(_rows_of(item, f"Input {place}", prepared))
    if not rows:
        raise DataError("No rows were given. Give at least one row to predict.")
    return {column.name: _values(column, rows) for column in prepared.columns}


def _as_sequence(inputs: Any) -> Sequence[Any]:
    if isinstance(inputs, str | Path | Mapping) or _is_frame(inputs):
        return [inputs]
    is_plain_row = isinstance(inputs, list | tuple) and all(
        value is None or isinstance(value, int | float | np.number) for value in inputs
    )
    if (is_plain_row and len(inputs)) or (isinstance(inputs, np.ndarray) and inputs.ndim == 1):
        return [inputs]
    return list(inputs)


def _is_frame(item: Any) -> bool:
    return hasattr(item, "columns") and hasattr(item, "to_dict")


def _rows_of(item: Any, where: str, prepared: PreparedTable) -> list[tuple[str, Row]]:
    """The rows of one input, each with its place for messages."""
    if isinstance(item, str | Path):
        return _rows_of_file(Path(item), prepared)
    if _is_frame(item):
        records = item.to_dict("records")
        return [
            (f"Row {number} of the data frame", _named(record, f"Row {number}", prepared))
            for number, record in enumerate(records)
        ]
    if isinstance(item, Mapping):
        return [(where, _named(item, where, prepared))]
    if isinstance(item, np.ndarray) and item.ndim == 2:
        return [
            (f"{where}, row {number}", _listed(row, f"{where}, row {number}", prepared))
            for number, row in enumerate(item.tolist(), 1)
        ]
    if isinstance(item, np.ndarray):
        item = item.tolist()
    if isinstance(item, list | tuple):
        return [(where, _listed(item, where, prepared))]
    raise DataError(
        f"{where} is a {type(item).__name__}. Expected a dictionary of column to value, a list "
        "of values, a data frame or the path of a table file."
    )


def _rows_of_file(path: Path, prepared: PreparedTable) -> list[tuple[str, Row]]:
    table = read_table(path, path.name)
    if table.rejections:
        first = table.rejections[0]
        raise DataError(f"{first.file}, line {first.line}: {first.reason} {first.remedy}")
    missing = [column.name for column in prepared.columns if column.name not in table.columns]
    if missing:
        raise DataError(_lacking(path.name, missing))
    places = [table.columns.index(column.name) for column in prepared.columns]
    return [
        (
            f"{path.name}, line {line}",
            {
                column.name: row[place]
                for column, place in zip(prepared.columns, places, strict=True)
            },
        )
        for line, row in zip(table.lines, table.rows, strict=True)
    ]


def _lacking(where: str, missing: Sequence[str]) -> str:
    return (
        f"{where} lacks {len(missing)} of the columns that the model needs: "
        f"{', '.join(missing[:5])}. Give each a value, or null where it is unknown."
    )


def _named(record: Mapping[Any, Any], where: str, prepared: PreparedTable) -> Row:
    missing = [column.name for column in prepared.columns if column.name not in record]
    if missing:
        raise DataError(_lacking(where, missing))
    return {
        column.name: _cell(record[column.name], where, column.name) for column in prepared.columns
    }


def _listed(values: Sequence[Any], where: str, prepared: PreparedTable) -> Row:
    names = [column.name for column in prepared.columns]
    choices = [names, prepared.header, [n for n in prepared.header if n != prepared.target]]
    for choice in choices:
        if len(choice) == len(values):
            return _named(dict(zip(choice, values, strict=True)), where, prepared)
    raise DataError(
        f"{where} has {len(values)} values; the model needs {len(names)}: "
        f"{', '.join(names[:20])}{', ...' if len(names) > 20 else ''}."
    )


def _cell(value: Any, where: str, name: str) -> Cell:
    """A user's value as text; None, NaN and NaT are missing."""
    if hasattr(value, "item") and callable(value.item) and getattr(value, "ndim", 0) == 0:
        value = value.item()
    if value is None or value != value or type(value).__name__ in ("NAType", "NaTType"):
        return None
    if hasattr(value, "isoformat"):
        return value.isoformat()
    cell = as_cell(value)
    if cell is None:
        raise DataError(
            f"{where}: the value of '{name}' is a {type(value).__name__}. "
            "Expected a text, a number, true, false or null."
        )
    return cell


def _values(column: TableColumn, rows: Sequence[tuple[str, Row]]) -> np.ndarray:
    cells = [row[column.name] for _, row in rows]
    if not isinstance(column, NumberColumn):
        return texts_of(cells)
    parse = parser_of(Column(column.name, column.kind, column.date_format))
    values = np.full(len(cells), np.nan)
    for place, cell in enumerate(cells):
        if cell is None or is_missing(cell):
            continue
        number = parse(cell)
        if number is None or not abs(number) < 1e30:
            raise DataError(
                f"{rows[place][0]}: column '{column.name}' holds {cell[:80]!r}; expected a "
                f"{column.kind}{_example(column)} or null."
            )
        values[place] = number
    return values


def _example(column: NumberColumn) -> str:
    if column.kind == "date":
        iso = column.date_format in (None, "iso")
        return " such as 2024-05-31" if iso else f" written as {column.date_format}"
    return " such as true" if column.kind == "boolean" else ""


def inputs_from_arguments(arguments: Sequence[str]) -> list[Any]:
    """Words of a command line as inputs: table files, JSON objects, column=value pairs of one row.

    Raises:
        DataError: A word is none of these.
    """
    inputs: list[Any] = []
    pairs: dict[str, str] = {}
    for word in arguments:
        if word.lstrip().startswith("{"):
            inputs.append(_json_row(word))
        elif Path(word).suffix.lower() in SUFFIXES:
            inputs.append(Path(word))
        elif "=" in word:
            name, _, value = word.partition("=")
            pairs[name.strip()] = value
        else:
            raise DataError(
                f"'{word}' is no input for a table model. Give a table file "
                f"({', '.join(sorted(SUFFIXES))}), a JSON object, or column=value pairs."
            )
    return [*inputs, pairs] if pairs else inputs


def _json_row(word: str) -> dict[str, Any]:
    try:
        row = json.loads(word)
    except (ValueError, RecursionError) as error:
        raise DataError(f"'{word[:80]}' is not JSON: {str(error)[:120]}.") from None
    if not isinstance(row, dict):
        raise DataError(f"'{word[:80]}' is no JSON object of column to value.")
    return row
