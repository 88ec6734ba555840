"""Rows of tokens: their length, padding and what padding costs."""

import numpy as np
import pytest

from septet.language.encoding import buckets_of, choose_length, pad, row_sizes, waste


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
    assert waste([8, 4], [8, 8]) == 0.25
    assert waste([100], [8]) == 0.0


@pytest.mark.parametrize("seed", range(5))
def test_buckets_keep_padding_below_a_fifth(seed):
    random = np.random.default_rng(seed)
    lengths = np.maximum(1, random.gamma(2, 20 + 10 * seed, 3000).astype(int))
    longest = choose_length(lengths.tolist(), 512)
    buckets = buckets_of(lengths.tolist(), longest)
    assert buckets == sorted(set(buckets))
    assert buckets[-1] == longest
    sizes = row_sizes(lengths, buckets)
    assert ((sizes >= lengths) | (sizes == longest)).all()
    assert waste(lengths.tolist(), sizes.tolist()) <= 0.2
    assert waste(lengths.tolist(), [longest] * len(lengths)) > 0.2


def test_texts_of_one_length_need_one_bucket():
    assert buckets_of([16] * 10, 16) == [16]
