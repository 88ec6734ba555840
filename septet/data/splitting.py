"""Which example goes to which split: a pure function of the examples and the seed.

Knows neither files nor arrays: examples are named by a group key and, perhaps, a label.
"""

import hashlib
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from septet.data.account import Account

KEPT_FOR_TRAINING = 2
"""So many examples of every class stay in "train", so classes this small stay there whole."""


def make_splits(
    groups: Sequence[str],
    labels: Sequence[str] | None,
    *,
    seed: int,
    fractions: Mapping[str, float],
) -> dict[str, np.ndarray]:
    """Row numbers of each split of `fractions`, ascending; every row is in exactly one.

    Stratified by label. Rows with the same group key (duplicates) stay together. The
    place of a group follows from a hash of its key and the seed, so it does not depend
    on the order of the rows.

    Args:
        groups: One key a row, such as a hash of its content.
        labels: One label a row, or None to not stratify.
        seed: Another seed, another split.
        fractions: Share of rows by split; must have "train", which gets the rest.

    Raises:
        ValueError: Lengths differ, or the fractions are no shares of a whole.
    """
    _check(groups, labels, fractions)
    wanted = {name: share for name, share in fractions.items() if name != "train"}
    owed = dict.fromkeys(wanted, 0.0)
    rows: dict[str, list[int]] = {name: [] for name in fractions}
    for members in _strata(groups, labels):
        size = sum(len(group) for _, group in members)
        for name, share in wanted.items():
            owed[name] += share * size
        members.sort(key=lambda member: _place(member[0], seed))
        taken = _assign([group for _, group in members], size, owed, wanted)
        for name, chosen in taken.items():
            rows[name].extend(chosen)
            if name in owed:
                owed[name] -= len(chosen)
    return {name: np.array(sorted(chosen), dtype=np.int64) for name, chosen in rows.items()}


def limited(
    rows: dict[str, np.ndarray], limit: int | None, *, seed: int, account: Account, noun: str
) -> dict[str, np.ndarray]:
    """Rows of the splits, at most `limit` of them for training, chosen by the seed.

    The others count as not read, and a note says so; `noun` is what the examples are called.
    """
    train = rows["train"]
    if limit is None or len(train) <= limit:
        return rows
    chosen = np.sort(np.random.default_rng(seed).permutation(len(train))[:limit])
    account.read -= len(train) - limit
    message = f"data.limit: {limit} of {len(train)} training {noun} are used."
    account.note("limited", "train", message)
    return {**rows, "train": train[chosen]}


def _check(
    groups: Sequence[str], labels: Sequence[str] | None, fractions: Mapping[str, float]
) -> None:
    if labels is not None and len(labels) != len(groups):
        raise ValueError(
            f"Received {len(groups)} groups and {len(labels)} labels; expected one each."
        )
    shares = list(fractions.values())
    if "train" not in fractions or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
        raise ValueError(
            f"Received fractions {dict(fractions)}; expected shares of 'train' and other splits "
            "that are not negative and add up to 1."
        )


def _strata(
    groups: Sequence[str], labels: Sequence[str] | None
) -> list[list[tuple[str, list[int]]]]:
    """Groups as (key, rows) by label, in the order of the labels.

    A group whose rows disagree about the label counts under the first in sorted order.
    """
    rows: dict[str, list[int]] = defaultdict(list)
    for row, group in enumerate(groups):
        rows[group].append(row)
    strata: dict[str, list[tuple[str, list[int]]]] = defaultdict(list)
    for group, members in rows.items():
        label = "" if labels is None else min(str(labels[row]) for row in members)
        strata[label].append((group, members))
    return [strata[label] for label in sorted(strata)]


def _place(group: str, seed: int) -> bytes:
    text = f"{seed}:{group}".encode("utf-8", "backslashreplace")
    return hashlib.blake2b(text, digest_size=16).digest() + text


def _assign(
    members: Sequence[list[int]],
    size: int,
    owed: Mapping[str, float],
    shares: Mapping[str, float],
) -> dict[str, list[int]]:
    """Rows of one class by split; "train" gets what the others are not owed.

    What rounding leaves out of one class is owed to the next, so that many small
    classes still fill a split.
    """
    room = max(0, size - KEPT_FOR_TRAINING)
    taken: dict[str, list[int]] = {"train": []}
    open_rows: dict[str, int] = {}
    for name, share in shares.items():
        limit = min(math.ceil(share * size), room)
        open_rows[name] = max(0, min(math.floor(owed[name] + 0.5), limit))
        room -= open_rows[name]
        taken[name] = []
    for rows in members:
        fitting = [name for name, left in open_rows.items() if len(rows) <= left]
        name = fitting[0] if fitting else "train"
        taken[name].extend(rows)
        if fitting:
            open_rows[name] -= len(rows)
    return taken
