"""What is likely wrong with a table: rows to reject, and findings about columns, labels and rows.

Everything is reported into an account; nothing is repaired.
"""

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from septet.data.account import Account, Rejection
from septet.data.frame import Frame
from septet.data.labels import shown, similar_labels, warn_of_labels
from septet.tables.columns import Column, is_missing, is_missing_target, parse_number

MIN_ROWS_FOR_LEAK = 30
SENTINEL = re.compile(r"-?9{3,}(\.0*|\.9+)?|-1e\d+|-?9+(\.9+)?e\+?\d+|-?2147483648|2147483647")
SENTINEL_GAP = 10.0
ABSURD_GAP = 1000.0
NATURAL_DUPLICATES = 0.01
"""Share of repeated rows below which they are only noted."""


def reject_targets(frame: Frame, target: str, is_number: bool, account: Account) -> list[int]:
    """Rows whose target is usable; the others become rejections."""
    kept = []
    for row, cell in enumerate(frame.cells[target]):
        problem = _target_problem(cell, target, is_number)
        if problem:
            account.rejections.append(rejection(frame, row, *problem))
        else:
            kept.append(row)
    return kept


def _target_problem(cell: str | None, target: str, is_number: bool) -> tuple[str, str, str] | None:
    if cell is None or is_missing_target(cell):
        reason = f"The target '{target}' is missing (found {cell!r})."
        return "missing-target", reason, "Fill it in or remove the row."
    if not is_number:
        return None
    number = parse_number(cell)
    if number is None:
        reason = f"The target '{target}' is {shown(cell)}, not a number."
        return "target-not-a-number", reason, "Correct the value or remove the row."
    if not abs(number) < 1e30:
        reason = f"The target '{target}' is {shown(cell)}, which is not usable as a number."
        return "infinite-number", reason, "Correct the value or remove the row."
    return None


def reject_cells(
    frame: Frame, columns: Sequence[Column], values: Mapping[str, np.ndarray], account: Account
) -> list[int]:
    """Rows in which every number and date could be read; the others become rejections."""
    problems: dict[int, tuple[str, str, str]] = {}
    for column in columns:
        if column.kind not in ("number", "date", "boolean"):
            continue
        array, cells = values[column.name], frame.cells[column.name]
        for row in np.flatnonzero(~(np.abs(array) < 1e30)).tolist():
            cell = cells[row]
            if cell is not None and not is_missing(cell):
                problems.setdefault(row, _cell_problem(column, cell))
    for row in sorted(problems):
        account.rejections.append(rejection(frame, row, *problems[row]))
    return [row for row in range(len(frame)) if row not in problems]


def _cell_problem(column: Column, cell: str) -> tuple[str, str, str]:
    remedy = "Correct the value, leave the cell empty, or name the column in data.ignore."
    where = f"Column '{column.name}'"
    if column.kind == "date":
        return "bad-date", f"{where} holds dates, but here {shown(cell)}.", remedy
    if column.kind == "number" and parse_number(cell) is not None:
        return "infinite-number", f"{where} holds {shown(cell)}, which is not usable.", remedy
    return "not-a-number", f"{where} holds numbers, but here {shown(cell)}.", remedy


def rejection(frame: Frame, row: int, code: str, reason: str, remedy: str) -> Rejection:
    return Rejection(code, frame.files[row], frame.lines[row], reason, remedy)


def check_columns(
    frame: Frame, columns: Sequence[Column], values: Mapping[str, np.ndarray], account: Account
) -> list[Column]:
    """Report columns that carry nothing or look wrong; returns those worth training on."""
    kept = []
    for column in columns:
        where = f"{frame.files[0]}, column '{column.name}'"
        if column.kind == "empty":
            message, remedy = "Every cell is missing; not used.", "Remove the column."
            account.warn("empty-column", where, message, remedy)
            continue
        if column.kind == "identifier":
            message = "It names the rows (no value repeats), so nothing can be learned; not used."
            account.warn("identifier-column", where, message, "Remove it or add it to data.ignore.")
            continue
        if _is_constant(frame.cells[column.name]):
            message = "Every cell holds the same value; not used."
            account.warn("constant-column", where, message, "Remove it or add it to data.ignore.")
            continue
        kept.append(column)
        if column.kind == "number":
            _check_extremes(frame, column.name, values[column.name], account)
        elif column.kind in ("category", "text"):
            _check_mixed(frame, column.name, account)
            _check_variants(where, values[column.name], account)
        missing = sum(is_missing(cell) for cell in frame.cells[column.name])
        if missing > 0.5 * len(frame):
            account.note("mostly-missing", where, f"{missing} of {len(frame)} cells are missing.")
    return kept


def _is_constant(cells: Sequence[str | None]) -> bool:
    return len({"" if cell is None or is_missing(cell) else cell.strip() for cell in cells}) == 1


def _check_extremes(frame: Frame, name: str, values: np.ndarray, account: Account) -> None:
    """Placeholders such as 999999, and values a thousand times farther out than the rest."""
    known = values[np.isfinite(values)]
    if len(known) < 20:
        return
    middle = np.median(known)
    low, high = np.percentile(known, [5, 95])
    spread = max(high - low, float(np.std(known[(known >= low) & (known <= high)])))
    if spread <= 0:
        return
    far = np.flatnonzero(np.abs(values - middle) > SENTINEL_GAP * spread).tolist()
    cells = frame.cells[name]
    sentinels = [row for row in far if SENTINEL.fullmatch((cells[row] or "").strip().casefold())]
    absurd = [row for row in far if abs(values[row] - middle) > ABSURD_GAP * spread]
    if sentinels:
        row = int(sentinels[0])
        account.warn(
            "sentinel-value",
            frame.place(row),
            f"Column '{name}' holds {shown(cells[row] or '')} {len(sentinels)} times, far from "
            f"all else ({low:g} to {high:g}); it looks like a stand-in for a missing value.",
            "Leave such cells empty.",
        )
    elif absurd:
        row = int(absurd[0])
        account.warn(
            "extreme-value",
            frame.place(row),
            f"Column '{name}' holds {shown(cells[row] or '')}, more than {ABSURD_GAP:g} times "
            f"farther out than the usual {low:g} to {high:g} ({len(absurd)} such cells).",
            "Correct it or leave the cell empty.",
        )


def _check_mixed(frame: Frame, name: str, account: Account) -> None:
    cells = [(row, cell) for row, cell in enumerate(frame.cells[name]) if not is_missing(cell)]
    numeric = {cell for _, cell in cells if cell is not None and parse_number(cell) is not None}
    others = [row for row, cell in cells if cell not in numeric]
    share = 1 - len(others) / max(len(cells), 1)
    if len(numeric) < 10 or not 0.2 < share < 1.0:
        return
    account.warn(
        "mixed-types",
        frame.place(others[0]),
        f"Column '{name}' mixes numbers ({share:.0%}) with text such as "
        f"{shown(frame.cells[name][others[0]] or '')}; all of it is used as categories.",
        "Make it all numbers, with empty cells for what is unknown.",
    )


def _check_variants(where: str, values: np.ndarray, account: Account) -> None:
    counts = Counter(value for value in values if value is not None)
    if len(counts) > 1000:
        return
    for rare, common in similar_labels(counts)[:5]:
        account.warn(
            "category-typo",
            where,
            f"{shown(rare)} ({counts[rare]} times) is close to {shown(common)} "
            f"({counts[common]} times).",
            "If they mean the same, write them the same.",
        )


def check_labels(frame: Frame, target: str, labels: Sequence[str], account: Account) -> None:
    """Report typing errors, classes with one member and imbalance."""
    whole = f"{frame.files[0]}, column '{target}'"
    warn_of_labels(labels, account, place=frame.place, whole=whole, noun="example")


def check_duplicates(
    frame: Frame,
    keys: Sequence[str],
    labels: Sequence[str],
    is_telling: np.ndarray,
    account: Account,
) -> None:
    """Report rows that repeat: within the set, across given splits, and with other targets.

    `is_telling` [rows] says where a row holds values that do not repeat by coincidence;
    only repeats of such rows are worth a warning.
    """
    rows: dict[str, list[int]] = defaultdict(list)
    for row, key in enumerate(keys):
        rows[key].append(row)
    repeats = [group for group in rows.values() if len(group) > 1]
    telling = [group for group in repeats if is_telling[group[0]]]
    report = account.warn if telling else account.note
    repeats = telling or repeats
    across = [group for group in repeats if len({frame.homes[row] for row in group}) > 1]
    conflicts = [group for group in repeats if len({labels[row] for row in group}) > 1]
    extra = sum(len(group) - 1 for group in repeats)
    if repeats:
        share = extra / len(frame)
        report_repeats = report if share >= NATURAL_DUPLICATES else account.note
        report_repeats(
            "duplicate-rows",
            frame.place(repeats[0][1]),
            f"{extra} rows ({share:.1%}) repeat an earlier one; the first repeats "
            f"{frame.place(repeats[0][0])}. Repeats are kept in one split.",
            "Remove repeats that are no separate observations.",
        )
    if across:
        pair = _first_pair(across[0], frame.homes)
        report(
            "duplicate-across-splits",
            frame.place(pair[1]),
            f"{len(across)} different rows are in more than one split; the first is also "
            f"{frame.place(pair[0])}. Scores on them say nothing about new data.",
            "Remove them from the training table or from the test table.",
        )
    if conflicts:
        pair = _first_pair(conflicts[0], labels)
        report(
            "conflicting-labels",
            frame.place(pair[1]),
            f"{len(conflicts)} groups of identical rows have different targets: here "
            f"{shown(labels[pair[1]])}, at {frame.place(pair[0])} {shown(labels[pair[0]])}.",
            "Correct the targets, or add the column that tells the rows apart.",
        )


def _first_pair(rows: Sequence[int], kinds: Sequence[str]) -> tuple[int, int]:
    return rows[0], next(row for row in rows if kinds[row] != kinds[rows[0]])


def check_leaks(
    frame: Frame,
    columns: Sequence[Column],
    values: Mapping[str, np.ndarray],
    targets: np.ndarray,
    account: Account,
) -> None:
    """Report columns that alone give the target away.

    Args:
        frame: The rows.
        columns: Columns to look at.
        values: Float or object arrays by column name.
        targets: Class names (object array) or numbers (float64).
        account: Gets the findings.
    """
    if len(targets) < MIN_ROWS_FOR_LEAK:
        return
    is_number = targets.dtype != object
    for column in columns:
        array = values[column.name]
        how = _number_leak(array, targets) if is_number else _label_leak(array, targets)
        if how:
            account.warn(
                "target-leak",
                f"{frame.files[0]}, column '{column.name}'",
                f"It alone gives the target away ({how}).",
                "If it is not known before the target is, add it to data.ignore.",
            )


def _label_leak(values: np.ndarray, labels: np.ndarray) -> str | None:
    if values.dtype != object:
        known = np.isfinite(values)
        if known.sum() < MIN_ROWS_FOR_LEAK:
            return None
        values, labels = values[known], labels[known]
        if _are_separate(values, labels):
            return "its values separate the classes without a mistake"
    by_value: dict[object, Counter[str]] = defaultdict(Counter)
    for value, label in zip(values.tolist(), labels.tolist(), strict=True):
        by_value[value][label] += 1
    if len(by_value) < 2 or len(by_value) > len(values) / 5:
        return None
    errors = len(values) - sum(max(counts.values()) for counts in by_value.values())
    minority = len(values) - max(Counter(labels.tolist()).values())
    if minority and errors <= min(0.001 * len(values), 0.05 * minority):
        return f"each of its {len(by_value)} values goes with one class, but for {errors} rows"
    return None


def _are_separate(values: np.ndarray, labels: np.ndarray) -> bool:
    ranges = sorted(
        (float(values[labels == label].min()), float(values[labels == label].max()))
        for label in set(labels.tolist())
    )
    pairs = list(itertools.pairwise(ranges))
    return bool(pairs) and all(before[1] < after[0] for before, after in pairs)


def _number_leak(values: np.ndarray, targets: np.ndarray) -> str | None:
    if values.dtype == object:
        return None
    known = np.isfinite(values)
    values, targets = values[known], targets[known]
    if len(values) < MIN_ROWS_FOR_LEAK or len(np.unique(values)) < 10:
        return None
    correlation = abs(_correlation(values, targets))
    if correlation > 0.999:
        return f"correlation {correlation:.5f}"
    ranks = abs(_correlation(_ranks(values), _ranks(targets)))
    return f"rank correlation {ranks:.5f}" if ranks > 0.9999 else None


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    one, other = one - one.mean(), other - other.mean()
    norm = float(np.sqrt(np.square(one).sum() * np.square(other).sum()))
    return float((one * other).sum()) / norm if norm > 0 else 0.0


def _ranks(values: np.ndarray) -> np.ndarray:
    return np.unique(values, return_inverse=True)[1].astype(np.float64)
