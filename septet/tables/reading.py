"""From a table file or a folder of them to checked splits of examples, for both table tasks."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from septet.data.account import Account
from septet.data.dataset import SPLIT_NAMES, Dataset, Split
from septet.data.frame import Frame, join, read_tables
from septet.data.splitting import limited, make_splits
from septet.data.table_files import Table
from septet.errors import DataError
from septet.tables import checks
from septet.tables.columns import (
    Column,
    category_key,
    infer,
    is_missing,
    numbers_of,
    parse_number,
    texts_of,
)
from septet.tables.options import TableDataOptions

TARGET_NAMES = ("target", "label", "labels", "class", "y", "outcome", "response")
TARGET_NAMES += ("species", "diagnosis", "survived", "churn", "price")

NUM_TARGET_BINS = 10
"""Numbers are split so that each tenth of them is in every split."""


def read_dataset(
    source: Path, options: TableDataOptions, seed: int, *, is_classification: bool
) -> Dataset:
    """Read, check and split the table at `source`; its rows are the examples.

    Examples are arrays by column name: float64 (NaN: missing) for numbers, booleans and
    dates, objects (None: missing) for categories and texts.

    Raises:
        DataError: The table as a whole cannot be understood.
    """
    account = Account()
    tables = read_tables(source, account)
    first = next(iter(tables.values()))
    header, target = first.columns, options.target
    check_names(header, options, first.file)
    if target is None:
        target = guess_target(first, options.ignore, account, is_number=not is_classification)
    frame = join(tables, target, account)
    frame = frame.take(checks.reject_targets(frame, target, not is_classification, account))
    _require_rows(frame, account, source.name)
    if is_classification:
        frame = frame.take(_known_classes(frame, target, account))
    names = [name for name in header if name != target and name not in options.ignore]
    columns = [infer(name, frame.cells[name]) for name in names]
    values = {column.name: values_of(column, frame.cells[column.name]) for column in columns}
    kept = checks.reject_cells(frame, columns, values, account)
    frame, values = frame.take(kept), {name: array[kept] for name, array in values.items()}
    _require_rows(frame, account, source.name)
    columns = checks.check_columns(frame, columns, values, account)
    if not columns:
        left_out = ", ".join(map(repr, names[:5])) or "none"
        left_out += f" and {len(names) - 5} more" if len(names) > 5 else ""
        message = f"No column is left to learn from (left out: {left_out})."
        account.forbid("no-columns", str(frame.files[0]), message, "Add columns.")
    targets = targets_of(frame, target, is_classification)
    _check_rows(frame, columns, values, targets, target, account)
    homes = split_rows(frame, columns, targets, options, seed)
    homes = limited(homes, options.limit, seed=seed, account=account, noun="rows")
    splits = {
        name: Split(
            {column.name: values[column.name][rows] for column in columns},
            targets[rows],
            [frame.place(row) for row in rows],
        )
        for name, rows in homes.items()
    }
    if is_classification:
        account.classes = _count_classes(splits)
    account.close({name: len(split) for name, split in splits.items()})
    return Dataset(splits, account, _facts(target, header, columns))


def _facts(target: str, header: Sequence[str], columns: Sequence[Column]) -> dict[str, Any]:
    kinds = [
        {"name": column.name, "kind": column.kind, "date_format": column.date_format}
        for column in columns
    ]
    return {"target": target, "header": list(header), "columns": kinds}


def check_names(header: Sequence[str], options: TableDataOptions, file: str) -> None:
    """Refuse settings that name no column, or leave nothing to learn from.

    Raises:
        DataError: Says which.
    """
    for name in [*options.ignore, *([options.target] if options.target else [])]:
        if name not in header:
            known = ", ".join(header[:20]) + (", ..." if len(header) > 20 else "")
            raise DataError(f"{file} has no column '{name}'. It has: {known}.")
    if options.target in options.ignore:
        raise DataError(f"The target '{options.target}' is also in data.ignore. Remove it there.")
    if set(header) <= set(options.ignore):
        raise DataError(f"{file}: data.ignore names every column. Leave the target and others.")


def guess_target(table: Table, ignore: Sequence[str], account: Account, *, is_number: bool) -> str:
    """The column to predict, by its name, else the last one; the guess is noted.

    Where a number is to be predicted, columns of numbers come first.
    """
    names = [name for name in table.columns if name not in ignore]
    if is_number:
        names = [name for name in names if _is_numeric(table.column(name))] or names
    by_name = {re.sub(r"\W|_", "", name.casefold()): name for name in reversed(names)}
    named = [by_name[name] for name in TARGET_NAMES if name in by_name]
    target = named[0] if named else names[-1]
    kind = " of numbers" if is_number else ""
    account.note(
        "guessed-target",
        table.file,
        f"The column to predict is '{target}', guessed "
        + ("by its name." if named else f"as the last column{kind}."),
        "Set data.target to predict another.",
    )
    return target


def _is_numeric(cells: Sequence[str | None]) -> bool:
    known = [cell for cell in cells[:1000] if cell is not None and not is_missing(cell)]
    numbers = [cell for cell in known if parse_number(cell) is not None]
    return bool(known) and len(numbers) >= 0.5 * len(known)


def values_of(column: Column, cells: Sequence[str | None]) -> np.ndarray:
    """Float64 array for numbers, booleans and dates, object array of text or None otherwise."""
    if column.kind in ("number", "boolean", "date"):
        return numbers_of(column, cells)
    return texts_of(cells)


def targets_of(frame: Frame, target: str, is_classification: bool) -> np.ndarray:
    """Class names (object array) or numbers (float64) of all rows."""
    cells = [cell or "" for cell in frame.cells[target]]
    if is_classification:
        names = np.empty(len(cells), dtype=object)
        names[:] = [category_key(cell) for cell in cells]
        return names
    return np.array([parse_number(cell) for cell in cells], dtype=np.float64)


def _require_rows(frame: Frame, account: Account, source: str) -> None:
    if len(frame):
        return
    if not account.rejections:
        raise DataError(f"{source} has no rows to train on.")
    raise DataError(f"{source}: {account.nothing_left('row')}")


def _known_classes(frame: Frame, target: str, account: Account) -> list[int]:
    """Rows whose class occurs in the training table; the others become rejections."""
    names = [category_key(cell or "") for cell in frame.cells[target]]
    known = {name for name, home in zip(names, frame.homes, strict=True) if home in ("", "train")}
    kept = []
    for row, name in enumerate(names):
        if name in known:
            kept.append(row)
            continue
        reason = f"The class '{name[:80]}' is not in the training table."
        remedy = "Correct it, or add training rows of that class."
        account.rejections.append(checks.rejection(frame, row, "unknown-class", reason, remedy))
    return kept


def _check_rows(
    frame: Frame,
    columns: Sequence[Column],
    values: Mapping[str, np.ndarray],
    targets: np.ndarray,
    target: str,
    account: Account,
) -> None:
    """Everything that needs the target: leaks, repeats, conflicts, labels."""
    labels = [str(value) for value in targets.tolist()]
    is_telling = np.zeros(len(frame), dtype=bool)
    for column in columns:
        is_telling |= _telling_cells(values[column.name])
    keys = frame.keys(column.name for column in columns)
    checks.check_duplicates(frame, keys, labels, is_telling, account)
    checks.check_leaks(frame, columns, values, targets, account)
    where = f"{frame.files[0]}, column '{target}'"
    different = set(labels)
    if targets.dtype != object:
        if len(different) < 2:
            message = f"Every target is {labels[0]}, so there is nothing to learn."
            account.forbid("constant-target", where, message, "Choose another data.target.")
        return
    checks.check_labels(frame, target, labels, account)
    if len(different) < 2:
        message = f"Every row is of the class '{labels[0][:80]}', so there is nothing to learn."
        account.forbid("one-class", where, message, "Add rows of other classes.")
    elif _are_measurements(different, len(labels)):
        message = f"It has {len(different)} different numbers in {len(labels)} rows, not classes."
        account.forbid("numeric-target", where, message, "Use the task tabular-regression.")
    elif len(different) > 0.5 * len(labels) and len(labels) >= 20:
        message = f"It has {len(different)} different values in {len(labels)} rows, not classes."
        account.forbid("too-many-classes", where, message, "Choose another data.target.")


def _telling_cells(values: np.ndarray) -> np.ndarray:
    """Which cells hold a number of a column that takes so many that repeats are no coincidence."""
    if values.dtype == object:
        return np.zeros(len(values), dtype=bool)
    known = np.isfinite(values)
    return known & (len(np.unique(values[known])) > 0.2 * len(values))


def _are_measurements(labels: set[str], num_rows: int) -> bool:
    numbers = [parse_number(label) for label in labels]
    if any(number is None for number in numbers):
        return False
    has_fractions = any(number is not None and not number.is_integer() for number in numbers)
    return len(labels) > (20 if has_fractions else 100) and len(labels) > 0.2 * num_rows


def split_rows(
    frame: Frame,
    columns: Sequence[Column],
    targets: np.ndarray,
    options: TableDataOptions,
    seed: int,
) -> dict[str, np.ndarray]:
    """Rows of each split: as the files give them, and cut from the training rows otherwise."""
    homes = np.array(["train" if home == "" else home for home in frame.homes], dtype=object)
    given = {name: np.flatnonzero(homes == name) for name in SPLIT_NAMES}
    train = given["train"]
    shares = {"train": 1.0}
    if not len(given["test"]):
        shares["test"] = options.test_fraction
    if not len(given["validation"]):
        # The share is of what is left for training once the test set is set aside.
        shares["validation"] = options.validation_fraction * (1 - shares.get("test", 0.0))
    shares["train"] = 1.0 - sum(share for name, share in shares.items() if name != "train")
    names = [column.name for column in columns] or list(frame.cells)
    keys = frame.take(train.tolist()).keys(names)
    cut = make_splits(keys, strata_of(targets[train]), seed=seed, fractions=shares)
    return {name: train[cut[name]] if name in cut else given[name] for name in SPLIT_NAMES}


def strata_of(targets: np.ndarray) -> list[str]:
    """Class names, or the tenth of all numbers that each number is in."""
    if targets.dtype == object:
        return targets.tolist()
    edges = np.quantile(targets, np.linspace(0, 1, NUM_TARGET_BINS + 1)[1:-1])
    return [str(place) for place in np.searchsorted(edges, targets)]


def _count_classes(splits: Mapping[str, Split]) -> dict[str, dict[str, int]]:
    names = sorted({str(name) for split in splits.values() for name in split.targets})
    counts = {name: dict.fromkeys(splits, 0) for name in names}
    for home, split in splits.items():
        for name in split.targets:
            counts[str(name)][home] += 1
    return counts
