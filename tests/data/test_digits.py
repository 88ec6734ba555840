"""Moving digits are what they say, made alike every time, and no digit is in two clips."""

import gzip

import numpy as np
import pytest

from septet.data import digits
from septet.errors import DataError


def made_up(each: int = 4) -> tuple[np.ndarray, np.ndarray]:
    pictures = np.random.default_rng(0).integers(0, 256, (10 * each, 28, 28)).astype(np.uint8)
    return pictures, np.repeat(np.arange(10), each).astype(np.uint8)


@pytest.mark.parametrize("way", digits.WAYS)
def test_a_digit_moves_in_its_way_at_its_speed(way):
    digit = np.random.default_rng(1).integers(0, 256, (28, 28)).astype(np.uint8)
    clip = digits.move(digit, way, start=(3.0, 5.0), speed=2.0**0.5, frames=5)
    down, right = digits.WAYS[way]
    length = 2.0**0.5 / np.hypot(down, right)
    if down and right:  # whole pixels: each frame is the first, rolled
        for number in range(1, 5):
            expected = np.roll(clip[0], (number * down, number * right), (0, 1))
            np.testing.assert_array_equal(clip[number], expected)
    frequency = np.fft.fft2(clip.astype(float))[:, 1, 0], np.fft.fft2(clip.astype(float))[:, 0, 1]
    for values, step in zip(frequency, (down, right), strict=True):
        turns = np.angle(values[1:] / values[:-1]) * digits.SIDE / (2 * np.pi)
        np.testing.assert_allclose(turns, -step * length, atol=0.05)


def test_clips_are_made_alike_and_every_digit_is_used_once():
    _, names = made_up()
    # Each digit has a grey of its own: a clip tells which digit it shows by its ink.
    pictures = np.broadcast_to(np.arange(40, 240, 5)[:, None, None], (40, 28, 28)).astype(np.uint8)
    one = digits.moving_digits(pictures, names, train_a_digit=2, test_a_digit=1)
    other = digits.moving_digits(pictures, names, train_a_digit=2, test_a_digit=1)
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name])
    assert one["x_train"].shape == (20, 16, 40, 40)
    assert one["x_test"].shape == (10, 16, 40, 40)
    greys = [round(clip[0].sum() / 28**2 / 5) for clip in (*one["x_train"], *one["x_test"])]
    assert len(set(greys)) == 30


def test_ways_are_as_frequent_as_one_another():
    pictures, names = made_up(10)
    made = digits.moving_digits(pictures, names, train_a_digit=8, test_a_digit=2)
    assert np.bincount(made["y_train"], minlength=8).tolist() == [10] * 8


def test_the_published_table_is_read_and_others_are_refused():
    pictures, names = made_up(1)
    rows = [
        ",".join(map(str, [*picture.ravel(), name]))
        for picture, name in zip(pictures, names, strict=True)
    ]
    found = digits.read_digits(gzip.compress("\n".join(rows).encode()))
    np.testing.assert_array_equal(found[0], pictures)
    np.testing.assert_array_equal(found[1], names)
    for bad in (b"no gzip", gzip.compress(b"1,2,3\n4,5,6"), gzip.compress(b"a,b")):
        with pytest.raises(DataError, match="table of digits"):
            digits.read_digits(bad)


def test_too_few_digits_are_refused():
    with pytest.raises(DataError, match="expected at least 10"):
        digits.moving_digits(*made_up(), train_a_digit=8, test_a_digit=2)
