"""Bootstrap over examples: how far a score could be from here by the luck of the test set.

Knows counts and percentiles, no metric.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

CHUNK_COUNTS = 200_000
WORK_COUNTS = 20_000_000
FEWEST_RESAMPLES = 200


def resample_counts(num_examples: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each example is drawn in each resample: blocks int64 [chunk, num_examples].

    Every row sums to `num_examples`. For very large test sets, whose intervals are narrow
    anyway, the number of resamples shrinks towards 200 to bound the time.
    """
    if num_examples == 0:
        return
    affordable = max(FEWEST_RESAMPLES, WORK_COUNTS // num_examples)
    remaining = min(resamples, affordable)
    random = np.random.default_rng(seed)
    rows = max(1, CHUNK_COUNTS // num_examples)
    while remaining > 0:
        chunk = min(rows, remaining)
        drawn = random.integers(0, num_examples, size=(chunk, num_examples), dtype=np.int32)
        drawn += np.arange(chunk, dtype=np.int32)[:, None] * np.int32(num_examples)
        counts = np.bincount(drawn.ravel(), minlength=chunk * num_examples)
        yield counts.reshape(chunk, num_examples)
        remaining -= chunk


def percentiles(samples: np.ndarray, quantiles: tuple[float, ...] = (0.025, 0.975)) -> np.ndarray:
    """Quantiles over the first axis, NaN left out: [R, ...] -> [len(quantiles), ...].

    Linear between neighbours as in `np.quantile`; NaN where nothing is left.
    """
    ordered = np.sort(samples, axis=0)
    last = np.sum(~np.isnan(ordered), axis=0) - 1
    results = []
    for quantile in quantiles:
        place = np.maximum(last, 0) * quantile
        low = np.floor(place).astype(np.int64)
        high = np.ceil(place).astype(np.int64)
        below = np.take_along_axis(ordered, low[None], axis=0)[0]
        above = np.take_along_axis(ordered, high[None], axis=0)[0]
        results.append(below + (above - below) * (place - low))
    return np.stack(results)


def plain(value: Any) -> float | None:
    """A number as JSON can carry it: None in place of NaN and infinities."""
    number = float(value)
    return number if np.isfinite(number) else None


def plain_interval(samples: np.ndarray) -> list[float | None]:
    """95 % percentile interval of one score: samples [R] -> [low, high]."""
    if len(samples) == 0:
        return [None, None]
    low, high = percentiles(np.asarray(samples, np.float64))
    return [plain(low), plain(high)]
