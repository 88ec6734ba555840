"""Token numbers of several lengths as one array: how long it is, what is padding, what is cut."""

from collections.abc import Sequence

import numpy as np

from septet.language.tokenizer_schema import END, PAD, START

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


def framed(sequences: Sequence[np.ndarray], length: int) -> list[np.ndarray]:
    """Each with a mark of its begin and one of its end, cut so that both fit into `length`."""
    return [
        np.concatenate([[START], ids[: length - 2], [END]]).astype(np.int32) for ids in sequences
    ]


def waste(lengths: Sequence[int], length: int) -> float:
    """Share of places that are padding, where every text lies in a row of `length`."""
    used = np.minimum(np.asarray(lengths, np.int64), length).sum()
    return 1.0 - float(used) / max(len(lengths) * length, 1)
