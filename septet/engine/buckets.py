"""Rows of several lengths: which there are, and batches of rows of about one length.

Everything is a function of (seed, epoch), as the order of examples is. Knows nothing of text.
"""

import numpy as np

from septet.engine.order import epoch_order

WASTE = 0.18
"""Share of places that may be padding; a little less than the fifth that is promised."""
MOST_SIZES = 8
"""Each is a program of its own."""
MULTIPLE = 4
FEWEST_STEPS = 8
"""Batches of an epoch for which a program of their own pays."""
STRETCH = 8
"""Batches of one length that follow each other, since going to another program takes time."""
SHUFFLED = 1 << 40
"""Added to the epoch for the order of stretches, which is drawn apart from that of rows."""


def choose_sizes(lengths: np.ndarray, longest: int, batch_size: int) -> tuple[int, ...]:
    """Lengths of rows, rising up to `longest`: as few as leave at most `WASTE` as padding.

    Where none do, those of `MOST_SIZES` or fewer that leave the least; each has several
    batches of rows, so that small sets have one length.

    Args:
        lengths: Places of each row that are not padding, int [n].
        longest: Of the rows.
        batch_size: Rows of a batch.
    """
    places = [*range(MULTIPLE, longest, MULTIPLE), longest]
    # Rows that fit into each, those of length 0 into the first.
    counts = np.searchsorted(np.sort(np.minimum(lengths, longest)), places, side="right")
    needed = float(np.minimum(lengths, longest).sum())
    fewest = FEWEST_STEPS * batch_size
    # best[k][j]: places that rows up to places[j] take in k lengths, and the length before it.
    best = [np.where(counts >= fewest, counts * np.array(places, np.float64), np.inf)]
    best[0][-1] = counts[-1] * longest
    before: list[np.ndarray] = []
    for number in range(MOST_SIZES):
        taken = best[number][-1]
        if needed >= (1.0 - WASTE) * taken or number == MOST_SIZES - 1:
            break
        now = np.full(len(places), np.inf)
        chosen = np.zeros(len(places), np.int64)
        for end in range(1, len(places)):
            among = counts[end] - counts[:end]
            costs = best[number][:end] + np.where(among >= fewest, among * places[end], np.inf)
            chosen[end] = int(costs.argmin())
            now[end] = costs[chosen[end]]
        best.append(now)
        before.append(chosen)
    number = int(np.argmin([row[-1] for row in best]))
    place, sizes = len(places) - 1, [longest]
    for level in range(number - 1, -1, -1):
        place = int(before[level][place])
        sizes.append(places[place])
    return tuple(reversed(sizes))


def padding(lengths: np.ndarray, sizes: tuple[int, ...]) -> float:
    """Share of places that are padding, where each row has the smallest size it fits into."""
    fitting = np.array(sizes)[np.searchsorted(sizes, np.minimum(lengths, sizes[-1]))]
    return 1.0 - float(np.minimum(lengths, sizes[-1]).sum()) / max(float(fitting.sum()), 1.0)


def batched(
    kinds: np.ndarray, batch_size: int, seed: int, epoch: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of `epoch`, batch after batch, and which size each whole batch has.

    What is left over of one size goes with the next, larger one, so that there is one smaller
    batch, at the end, of the largest.

    Args:
        kinds: Of each row, the number of the size it fits into, int [n].
        batch_size: Rows of a batch.
        seed: Of the order.
        epoch: Which.

    Returns:
        int32 [n] and int [n // batch_size].
    """
    order = epoch_order(len(kinds), seed, epoch)
    of_rows = kinds[order]
    left, stretches = np.zeros(0, np.int32), []
    for kind in range(int(kinds.max()) + 1):
        rows = np.concatenate([left, order[of_rows == kind]])
        whole = len(rows) // batch_size * batch_size
        step = STRETCH * batch_size
        stretches += [(kind, rows[at : min(at + step, whole)]) for at in range(0, whole, step)]
        left = rows[whole:]
    places = epoch_order(len(stretches), seed, epoch + SHUFFLED)
    mixed = [stretches[place] for place in places]
    of_batches = [np.full(len(rows) // batch_size, kind) for kind, rows in mixed]
    return (
        np.concatenate([*(rows for _, rows in mixed), left]).astype(np.int32),
        np.concatenate(of_batches) if of_batches else np.zeros(0, np.int64),
    )
