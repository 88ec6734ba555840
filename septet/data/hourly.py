"""Series of hourly measurements with hours that are missing: on a grid, and in windows.

Fills nothing in: a window with a missing hour is left out, and counted by who asks.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np

from septet.errors import DataError

HOUR = timedelta(hours=1)


def on_grid(times: Sequence[datetime], values: Sequence[float]) -> tuple[datetime, np.ndarray]:
    """(first hour, float32 [hours] to the last): every hour once, NaN where nothing is known.

    Raises:
        DataError: There are no times, one is not a whole number of hours after the first, or
            an hour appears twice.
    """
    if not times or len(times) != len(values):
        raise DataError(
            f"Received {len(times)} times and {len(values)} values; expected as many of each, "
            "and at least one."
        )
    first = min(times)
    grid = np.full((max(times) - first) // HOUR + 1, np.nan, np.float32)
    seen = set()
    for time, value in zip(times, values, strict=True):
        place, rest = divmod(time - first, HOUR)
        if rest:
            raise DataError(f"{time.isoformat()} is not whole hours after {first.isoformat()}.")
        if place in seen:
            raise DataError(f"The hour {time.isoformat()} appears twice; keep one of them.")
        seen.add(place)
        grid[place] = value
    return first, grid


def complete_windows(grid: np.ndarray, length: int) -> np.ndarray:
    """First hours, int64, of the windows of `length` hours in which none is missing.

    There are `len(grid) - length + 1` windows in all.
    """
    if not 1 <= length <= len(grid):
        raise ValueError(f"Received a length of {length}; expected 1 to {len(grid)}.")
    missing = np.concatenate([[0], np.cumsum(np.isnan(grid))])
    return np.flatnonzero(missing[length:] == missing[:-length])
