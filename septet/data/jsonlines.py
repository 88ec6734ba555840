"""JSON lines: one object a line, with plain values or lists of such; others are rejections."""

import json
from typing import Any

from septet.data.account import Rejection
from septet.data.delimited import split_lines, undecodable_bytes
from septet.data.table_files import MAX_CELL, Cell, ListCell, Table, check_size, name_columns
from septet.errors import DataError


class _BadRecordError(Exception):
    """A line is no usable record: code, reason and remedy."""


def read_json_lines(data: bytes, file: str, *, lists: bool = False) -> Table:
    """The table in `data`; columns in the order in which their keys first appear.

    Lists of plain values are cells where `lists` says so, otherwise their lines are rejected.

    Raises:
        DataError: No lines, or too many columns.
    """
    bad_bytes = undecodable_bytes(data)
    lines = split_lines(data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape"))
    records: list[dict[str, Cell]] = []
    numbers: list[int] = []
    rejections: list[Rejection] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            if number in bad_bytes:
                reason = f"Byte {bad_bytes[number]} of the file is not UTF-8."
                raise _BadRecordError("undecodable-byte", reason, "Save the file as UTF-8.")
            records.append(parse_record(line, lists=lists))
            numbers.append(number)
        except _BadRecordError as error:
            code, reason, remedy = error.args
            rejections.append(Rejection(code, file, number, reason, remedy))
    if not records:
        first = f" First: line {rejections[0].line}: {rejections[0].reason}" if rejections else ""
        raise DataError(f"{file} has no line with a JSON object of named values.{first}")
    keys = list(dict.fromkeys(key for record in records for key in record))
    check_size(file, len(keys), len(records))
    names, findings = name_columns(keys, file)
    rows = [[record.get(key) for key in keys] for record in records]
    return Table(file, names, rows, numbers, rejections, findings)


def parse_record(line: str, *, lists: bool = False) -> dict[str, Cell]:
    """Names and cells of one line.

    Raises:
        _BadRecordError: It is no JSON object, repeats a key or nests values.
    """
    try:
        record = json.loads(line, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        reason = f"The line is not JSON: {str(error)[:120]}."
        raise _BadRecordError("bad-json", reason, "Write one object a line.") from None
    if not isinstance(record, dict):
        reason = f"The line is a JSON {type(record).__name__}, not an object."
        remedy = 'Write each row as {"column": value, ...}.'
        raise _BadRecordError("not-an-object", reason, remedy)
    cells = {}
    for key, value in record.items():
        if isinstance(value, str) and "\x00" in value:
            reason = f"The value of '{key[:80]}' holds a NUL byte."
            raise _BadRecordError("nul-byte", reason, "Remove it; it is no text.")
        if lists and isinstance(value, list):
            cells[key] = as_list_cell(value)
            reason = f"The list '{key[:80]}' is too long, or not of plain values alone."
            remedy = "Use texts, numbers, true or false in it, and no null and no list."
        else:
            cells[key] = as_cell(value)
            kind = type(value).__name__
            reason = f"The value of '{key[:80]}' is a {kind} or too long, not a plain value."
            remedy = "Use texts, numbers, true, false or null."
        if cells[key] is None and value is not None:
            raise _BadRecordError("nested-value", reason, remedy)
    return cells


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        raise _BadRecordError(
            "duplicate-key", "An object names a key twice.", "Keep one value for each name."
        )
    return record


def as_cell(value: Any) -> Cell:
    """A plain value as the text that a CSV would hold; None for what is no plain value."""
    if isinstance(value, str):
        return None if len(value) > MAX_CELL else value.replace("\x00", "")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if abs(value) < 10**300 else None
    if isinstance(value, float):
        return "" if value != value else repr(value)
    return None


def as_list_cell(values: list[Any]) -> ListCell | None:
    """Plain values as one cell; None where one of them is none, or all are too long together."""
    items = [value if isinstance(value, str) else as_cell(value) for value in values]
    if None in items:
        return None
    text = json.dumps(items, ensure_ascii=False)
    return ListCell(text) if len(text) <= MAX_CELL else None
