"""Token numbers of several lengths as one array: how long it is, what is padding, what is cut."""

from collections.abc import Sequence

import numpy as np

from septet.language.tokenizer_schema import PAD

MULTIPLE = 8
SHORTEST = 8
COVERED = 0.99
"""Share of texts that fit whole into the length that is chosen."""


def choose_length(lengths: Sequence[int], most: int, *, covered: float = COVERED) -> int:
    """Tokens of the rows of an array: what a share of the texts has, rounded up; at most `most`."""
    wanted = int(np.ceil(np.quantile(np.asarray(lengths, np.int64), covered))) if lengths else 1
    rounded = -(-max(wanted, SHORTEST) // MULTIPLE) * MULTIPLE
    return min(rounded, max(most, 1))


def pad(sequences: Sequence[np.ndarray], length: int) -> np.ndarray:
    """Token numbers as int32 [n, length], cut at the end or padded there."""
    padded = np.full((len(sequences), length), PAD, np.int32)
    for row, ids in zip(padded, sequences, strict=True):
        row[: min(len(ids), length)] = ids[:length]
    return padded


def waste(lengths: Sequence[int], sizes: Sequence[int]) -> float:
    """Share of positions that are padding, where text i lies in a row of `sizes[i]`."""
    used = np.minimum(lengths, sizes).sum()
    return 1.0 - float(used) / max(float(np.sum(sizes)), 1.0)


def buckets_of(lengths: Sequence[int], longest: int, *, most_waste: float = 0.2) -> list[int]:
    """The fewest row lengths, up to `longest`, with which at most a share is padding.

    Every text lies in the shortest row that holds it. Lengths are chosen one by one, each time
    the one that saves most.
    """
    sizes = np.minimum(np.asarray(lengths, np.int64), longest)
    choices = list(range(MULTIPLE, longest, MULTIPLE))
    chosen = [longest]
    while choices and waste(sizes.tolist(), row_sizes(sizes, chosen).tolist()) > most_waste:
        best = min(choices, key=lambda size: row_sizes(sizes, sorted([*chosen, size])).sum())
        choices.remove(best)
        chosen = sorted([*chosen, best])
    return chosen


def row_sizes(lengths: np.ndarray, buckets: Sequence[int]) -> np.ndarray:
    """The shortest of `buckets` (ascending) that holds each length; the last for longer ones."""
    places = np.minimum(np.searchsorted(buckets, lengths), len(buckets) - 1)
    return np.asarray(buckets)[places]
