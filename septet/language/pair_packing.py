"""Several short pairs in one row, so that little of a batch is padding.

Each source ends with `END`, each target begins with `START`; the targets to be learned are
the target's tokens with an `END` after them. The networks of `septet.models.translation` keep
the sequences of a row apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from septet.language.tokenizer_schema import END, PAD, START

LEAST_ROOM = 2
"""Free places on either side, with fewer of which a row is full."""
SWEPT = 256
"""Pairs after which full rows are put aside."""


@dataclass(frozen=True)
class Packed:
    """Rows of several pairs.

    Args:
        source: int32 [rows, source length].
        target: int32 [rows, target length], what the decoder reads.
        labels: int32 [rows, target length], what comes after each; `PAD` is not learned.
        waste: Share of all places that are padding.
        cut: Pairs that were too long and lost their end.
    """

    source: np.ndarray
    target: np.ndarray
    labels: np.ndarray
    waste: float
    cut: int


def pack(
    sources: Sequence[np.ndarray],
    targets: Sequence[np.ndarray],
    source_length: int,
    target_length: int,
) -> Packed:
    """Pairs of token numbers in rows; the same rows for the same pairs.

    A side that is too long is cut, and the end of such a target is not learned.
    """
    sizes = [
        (min(len(source) + 1, source_length), min(len(target) + 1, target_length))
        for source, target in zip(sources, targets, strict=True)
    ]
    rows = pack_sizes(sizes, source_length, target_length)
    shape = (len(rows), source_length), (len(rows), target_length)
    packed = [np.full(shape[place], PAD, np.int32) for place in (0, 1, 1)]
    cut = 0
    for row, members in enumerate(rows):
        at = [0, 0]
        for pair in members:
            source, target = sources[pair], targets[pair]
            size = sizes[pair]
            is_cut = len(source) + 1 > source_length or len(target) + 1 > target_length
            cut += is_cut
            places = [slice(first, first + count) for first, count in zip(at, size, strict=True)]
            packed[0][row, places[0]] = [*source[: size[0] - 1], END]
            packed[1][row, places[1]] = [START, *target[: size[1] - 1]]
            # What was cut must not teach the network to stop there.
            packed[2][row, places[1]] = [*target[: size[1] - 1], PAD if is_cut else END]
            at = [first + count for first, count in zip(at, size, strict=True)]
    used = sum(first + second for first, second in sizes)
    places = len(rows) * (source_length + target_length)
    return Packed(packed[0], packed[1], packed[2], 1.0 - used / max(places, 1), cut)


def pack_sizes(
    sizes: Sequence[tuple[int, int]], source_length: int, target_length: int
) -> list[list[int]]:
    """Which pairs lie in each row: the longest first, each in the fullest row with room for it."""
    order = sorted(range(len(sizes)), key=lambda pair: (-max(sizes[pair]), -sum(sizes[pair]), pair))
    rows: list[list[int]] = []
    # Free places of rows that may have room, and which rows these are.
    free = np.zeros((2, len(sizes)), np.int64)
    numbers = np.zeros(len(sizes), np.int64)
    count = 0
    for done, pair in enumerate(order):
        first, second = sizes[pair]
        if done % SWEPT == 0:
            has_room = np.flatnonzero(free[:, :count].min(axis=0) >= LEAST_ROOM)
            count = len(has_room)
            free[:, :count], numbers[:count] = free[:, has_room], numbers[has_room]
        fits = (free[0, :count] >= first) & (free[1, :count] >= second)
        fitting = np.flatnonzero(fits)
        if len(fitting):
            place = int(fitting[free[:, fitting].sum(axis=0).argmin()])
        else:
            place, count = count, count + 1
            free[:, place], numbers[place] = (source_length, target_length), len(rows)
            rows.append([])
        free[:, place] -= (first, second)
        rows[numbers[place]].append(pair)
    return rows


def rows_of_one(sources: Sequence[np.ndarray], length: int) -> np.ndarray:
    """Each source in a row of its own, cut or padded: int32 [n, length]."""
    rows = np.full((len(sources), length), PAD, np.int32)
    for row, source in zip(rows, sources, strict=True):
        size = min(len(source) + 1, length)
        row[:size] = [*source[: size - 1], END]
    return rows
