"""Parquet through pyarrow, an optional package; columns of plain values, or of lists of such."""

from pathlib import Path
from typing import Any

from septet.data.account import Rejection
from septet.data.jsonlines import as_cell, as_list_cell
from septet.data.table_files import MAX_BYTES, Cell, Table, check_size, name_columns
from septet.errors import DataError, MissingPackageError

BATCH_ROWS = 1024


def read_parquet(path: Path, file: str, *, lists: bool = False) -> Table:
    """The table in a Parquet file; `lines` are row numbers from 1.

    Columns of lists of plain values are read where `lists` says so, otherwise refused.

    Raises:
        DataError: Not Parquet, damaged, nested columns or no rows.
        MissingPackageError: pyarrow is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingPackageError("pyarrow", "parquet", "Reading Parquet files") from None
    try:
        with pyarrow.parquet.ParquetFile(path) as source:
            schema = source.schema_arrow
            check_size(file, len(schema.names), source.metadata.num_rows)
            _refuse_nested(schema, file, lists=lists)
            content = _read(source, file)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{file} cannot be read as Parquet: {str(error)[:200]}") from None
    if content.num_rows == 0:
        raise DataError(f"{file} has columns and no rows. Expected at least one row.")
    names, findings = name_columns(schema.names, file)
    columns = [[_cell(value) for value in _values(column)] for column in content.columns]
    rows = [list(cells) for cells in zip(*columns, strict=True)]
    lines = list(range(1, len(rows) + 1))
    bad = {line: name for name, cells in zip(names, columns, strict=True)
           for line, cell in zip(lines, cells, strict=True)
           if cell is BAD_LIST or cell is BAD_TEXT}  # fmt: skip
    rejections = [
        _bad_list(file, line, name)
        if any(cell is BAD_LIST for cell in rows[line - 1])
        else _bad_text(file, line, name)
        for line, name in sorted(bad.items())
    ]
    lines = [line for line in lines if line not in bad]
    return Table(file, names, [rows[line - 1] for line in lines], lines, rejections, findings)


def _bad_list(file: str, line: int, name: str) -> Rejection:
    reason = f"The list '{name[:80]}' is too long, or holds a null."
    return Rejection("nested-value", file, line, reason, "Leave out what is not there.")


def _bad_text(file: str, line: int, name: str) -> Rejection:
    reason = f"The text '{name[:80]}' has bytes that are not UTF-8."
    return Rejection("undecodable-byte", file, line, reason, "Save the texts as UTF-8.")


def _values(column: Any) -> list[Any]:
    """The values of a column; `BAD_TEXT` for one whose bytes are no text."""
    try:
        return column.to_pylist()
    except UnicodeDecodeError:
        return [_value(scalar) for scalar in column]


def _value(scalar: Any) -> Any:
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        return BAD_TEXT


def _read(source: Any, file: str) -> Any:
    """All rows, refused once they take too much memory: a value that repeats is packed well."""
    import pyarrow

    batches, size = [], 0
    for batch in source.iter_batches(batch_size=BATCH_ROWS):
        size += batch.nbytes
        if size > MAX_BYTES:
            raise DataError(
                f"{file} has more than {MAX_BYTES:,} bytes when unpacked. "
                "Train on a sample of its rows."
            )
        batches.append(batch)
    return pyarrow.Table.from_batches(batches, source.schema_arrow)


def _refuse_nested(schema: Any, file: str, *, lists: bool) -> None:
    import pyarrow.types

    kinds = pyarrow.types
    for column in schema:
        kind = column.type
        is_list = kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_fixed_size_list(kind)
        if lists and is_list:
            kind = kind.value_type
        if pyarrow.types.is_nested(kind) or pyarrow.types.is_binary(kind):
            raise DataError(
                f"{file}: column '{column.name}' holds {kind}, not plain values. "
                "Leave it out or flatten it before saving."
            )


BAD_LIST = "\x00list"
"""Stands for a list that cannot be a cell."""
BAD_TEXT = "\x00text"
"""Stands for bytes that are no text."""


def _cell(value: Any) -> Cell:
    if isinstance(value, list):
        listed = as_list_cell([_cell(item) for item in value])
        return BAD_LIST if listed is None else listed
    if value is None or isinstance(value, str):
        return value
    if hasattr(value, "isoformat"):
        return value.isoformat()
    text = as_cell(value)
    return str(value) if text is None else text
