"""Rows of tokens: their length, padding and what padding costs."""

import numpy as np

from septet.language.encoding import choose_length, pad, waste


def test_padding_is_at_the_end_and_what_is_too_long_is_cut():
    rows = pad([np.array([5, 6, 7], np.int32), np.array([], np.int32)], 2)
    assert rows.tolist() == [[5, 6], [0, 0]]
    assert rows.dtype == np.int32


def test_length_covers_99_in_100_texts_and_is_a_multiple_of_8():
    assert choose_length([10] * 99 + [500], 512) == 16
    assert choose_length([10] * 50 + [500] * 50, 512) == 504
    assert choose_length([10_000], 512) == 512
    assert choose_length([], 512) == 8
    assert choose_length([1, 2], 5) == 5


def test_waste_is_the_share_of_padding():
    assert waste([8, 4], 8) == 0.25
    assert waste([100, 8], 8) == 0.0
    assert waste([], 8) == 1.0
