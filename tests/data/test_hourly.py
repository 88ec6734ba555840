"""Hours that are missing stay missing, and no window has one."""

from datetime import datetime, timedelta

import numpy as np
import pytest

from septet.data.hourly import complete_windows, on_grid
from septet.errors import DataError

START = datetime(2013, 1, 1, 6)


def hours(*places: float) -> list[datetime]:
    return [START + timedelta(hours=place) for place in places]


def test_missing_hours_are_nan_on_the_grid_in_any_order():
    first, grid = on_grid(hours(4, 0, 1), [14.0, 10.0, 11.0])
    assert first == START
    np.testing.assert_array_equal(grid, [10, 11, np.nan, np.nan, 14])
    assert grid.dtype == np.float32


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([], "0 times"),
        (hours(0, 1, 1), r"2013-01-01T07:00:00 appears twice"),
        (hours(0, 1.5), r"2013-01-01T07:30:00 is not whole hours after 2013-01-01T06:00:00"),
    ],
)
def test_times_that_make_no_grid_are_refused(times, message):
    with pytest.raises(DataError, match=message):
        on_grid(times, [0.0] * len(times))


def test_values_that_are_too_few_are_refused():
    with pytest.raises(DataError, match="2 times and 1 values"):
        on_grid(hours(0, 1), [0.0])


@pytest.mark.parametrize("length", [1, 2, 3, 7])
def test_complete_windows_are_those_without_a_missing_hour(length):
    random = np.random.default_rng(0)
    grid = np.where(random.random(60) < 0.2, np.nan, 1.0)
    expected = [
        first
        for first in range(60 - length + 1)
        if not np.isnan(grid[first : first + length]).any()
    ]
    assert complete_windows(grid, length).tolist() == expected


@pytest.mark.parametrize("length", [0, 4])
def test_windows_that_cannot_be_are_refused(length):
    with pytest.raises(ValueError, match="expected 1 to 3"):
        complete_windows(np.zeros(3), length)
