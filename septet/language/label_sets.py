"""Any number of labels a text: read from cells, checked as a whole, and put into strata."""

from collections import Counter
from collections.abc import Sequence
from typing import cast

from septet.data.account import Account
from septet.data.labels import shown, warn_of_typos
from septet.data.table_files import ListCell
from septet.language.checks import warn_each
from septet.language.texts import Labels, Texts, names_of

MOST_OF_ONE = 1000
"""Labels that one text may have."""
MOST_LABELS = 10_000
"""Different labels that a network may tell apart."""
FEWEST = 5
"""Texts of a label below which it can hardly be learned or tested."""

Problem = tuple[str, str, str]
"""Code, reason and remedy of a rejection."""


def read_label_sets(texts: Texts, separator: str | None, account: Account) -> Texts:
    """The texts with tuples of labels in place of cells; bad cells become rejections."""
    kept, sets, repeated = [], [], []
    for row, cell in enumerate(texts.labels):
        names = _names(cast(str, cell), separator)
        problem = names if isinstance(names, tuple) else _problem(names)
        if problem is not None:
            account.rejections.append(texts.rejection(row, *problem))
            continue
        often = [name for name, count in Counter(names).items() if count > 1]
        if often:
            message = f"It names the label {shown(often[0])} more than once."
            repeated.append((texts.place(row), message))
        kept.append(row)
        sets.append(tuple(sorted(set(names))))
    remedy = "Name each label once; it counts once."
    warn_each(account, "repeated-label", repeated, remedy, "texts name a label more than once")
    texts = texts.take(kept)
    texts.labels = sets
    return texts


def _names(cell: str, separator: str | None) -> list[str] | Problem:
    if isinstance(cell, ListCell):
        return [name.strip() for name in cell.items]
    if separator is not None:
        return [name.strip() for name in cell.split(separator)] if cell.strip() else []
    reason = f"The labels are the text {shown(cell)}, and those of other rows are lists."
    return "not-a-list", reason, "Write a list, or say with data.label_separator what parts labels."


def _problem(names: Sequence[str]) -> Problem | None:
    if len(names) > MOST_OF_ONE:
        reason = f"The text has {len(names):,} labels; at most {MOST_OF_ONE:,} are read."
        return "too-many-labels", reason, "Look whether columns are swapped."
    if not all(names):
        return "empty-label", "One of its labels is empty.", "Name it, or take it out."
    return None


def check_label_sets(texts: Texts, account: Account) -> None:
    """Report typing errors in labels, rare ones, texts without any, and what forbids training."""
    counts = Counter(name for labels in texts.labels for name in labels)
    first: dict[str, int] = {}
    for row, labels in enumerate(texts.labels):
        for name in labels:
            first.setdefault(name, row)
    places = {name: texts.place(row) for name, row in first.items()}
    _note_counts(texts, counts, account)
    warn_of_typos(counts, account, places)
    rare = [
        (places[name], f"The label {shown(name)} has {count} of {len(texts)} texts.")
        for name, count in counts.items()
        if count < FEWEST
    ]
    remedy = "Add texts, join it with another label or take it out."
    warn_each(account, "rare-label", rare, remedy, f"labels have fewer than {FEWEST} texts")
    whole = texts.files[0]
    for name, count in counts.items():
        if count == len(texts):
            message = f"Every text has the label {shown(name)}, so that it says nothing."
            account.warn("constant-label", whole, message, "Take it out.")
    _forbid(texts, counts, account)


def _note_counts(texts: Texts, counts: Counter[str], account: Account) -> None:
    sizes = [len(labels) for labels in texts.labels]
    account.note(
        "labels",
        "all",
        f"{len(counts):,} different labels; a text has {sum(sizes) / len(sizes):.1f} on average "
        f"and at most {max(sizes)}, and {sizes.count(0):,} of {len(sizes):,} have none.",
    )


def _forbid(texts: Texts, counts: Counter[str], account: Account) -> None:
    """Labels from which nothing can be learned."""
    whole = texts.files[0]
    separator = "Look at data.label_column and data.label_separator."
    if len(counts) < 2:
        found = f"The only label is {shown(next(iter(counts)))}." if counts else "No text has any."
        message = f"{found} At least two labels are needed."
        account.forbid("too-few-labels", whole, message, f"Add texts with others. {separator}")
    elif len(counts) > MOST_LABELS or (len(texts) >= 20 and len(counts) > 0.5 * len(texts)):
        message = f"There are {len(counts):,} different labels for {len(texts):,} texts."
        account.forbid("too-many-labels", whole, message, separator)


def warn_of_untrained(names: Sequence[str], account: Account) -> None:
    """Report labels of which the training split has no text, by the account's own counts."""
    for name in names:
        if not account.classes.get(name, {}).get("train"):
            message = f"No text that is trained on has the label {shown(name)}."
            remedy = "Add texts, or train with another seed."
            account.warn("untrained-label", "train", message, remedy)


def strata(labels: Sequence[Labels]) -> list[str]:
    """The rarest label of each text, "" where it has none: to have every split hold all labels.

    So much of iterative stratification (Sechidis et al. 2011) as needs no order of the rows.
    A class is its own stratum.
    """
    counts = Counter(name for each in labels for name in names_of(each))
    return [min(names_of(each), key=lambda name: (counts[name], name), default="")
            for each in labels]  # fmt: skip
