"""Rows of several pairs: nothing lost, little padding, and what is cut does not teach to stop."""

import numpy as np
import pytest

from septet.language.pair_packing import pack, rows_of_one
from septet.language.tokenizer_schema import END, PAD, START
from septet.language.translation import growth_of, row_lengths


def sentences(count: int, seed: int, most: int = 60) -> list[np.ndarray]:
    """Of lengths as sentences have them: many short ones, few long ones."""
    draw = np.random.default_rng(seed)
    lengths = np.clip(draw.gamma(2.0, 9.0, count), 1, most).astype(int)
    return [draw.integers(4, 1000, length).astype(np.int32) for length in lengths]


def unpacked(packed):
    """Every pair as (source, target, labels) without their marks, in the order of the rows."""
    found = []
    for source, target, labels in zip(packed.source, packed.target, packed.labels, strict=True):
        ends = np.flatnonzero(source == END)
        starts = np.flatnonzero(target == START)
        assert len(ends) == len(starts)
        used = int((target != PAD).sum())
        for number, (end, start) in enumerate(zip(ends, starts, strict=True)):
            first = 0 if number == 0 else ends[number - 1] + 1
            last = starts[number + 1] if number + 1 < len(starts) else used
            found.append((source[first:end], target[start + 1 : last], labels[start:last]))
    return found


def test_every_pair_is_in_a_row_once_and_at_most_a_fifth_is_padding():
    sources, targets = sentences(3000, 0), sentences(3000, 1)
    packed = pack(sources, targets, 64, 64)
    expected = sorted((s.tolist(), t.tolist()) for s, t in zip(sources, targets, strict=True))
    found = unpacked(packed)
    assert sorted((s.tolist(), t.tolist()) for s, t, _ in found) == expected
    for _, target, labels in found:
        assert labels.tolist() == [*target.tolist(), END]
    assert packed.cut == 0
    # These sides know nothing of each other's length, which makes it harder than it is.
    assert packed.waste < 0.2
    places = packed.source.size + packed.target.size
    filled = (packed.source != PAD).sum() + (packed.target != PAD).sum()
    assert packed.waste == pytest.approx(1 - filled / places)


def test_pairs_of_like_length_leave_a_tenth():
    sources = sentences(3000, 0)
    targets = [np.resize(s, max(1, int(len(s) * 1.2))) for s in sources]
    sizes = np.array([[len(each) + 1 for each in side] for side in (sources, targets)])
    lengths = row_lengths(sizes, None)
    assert lengths[0] < lengths[1] >= 64
    assert pack(sources, targets, *lengths).waste < 0.1


def test_equal_pairs_give_equal_rows():
    sources, targets = sentences(200, 0), sentences(200, 1)
    first, second = (pack(sources, targets, 64, 72) for _ in range(2))
    np.testing.assert_array_equal(first.source, second.source)
    np.testing.assert_array_equal(first.labels, second.labels)


def test_what_is_cut_has_no_end_to_learn():
    packed = pack([np.arange(4, 30)], [np.arange(4, 9)], 16, 16)
    assert packed.cut == 1
    assert packed.source[0].tolist() == [*range(4, 19), END]
    assert packed.labels[0, :6].tolist() == [*range(4, 9), PAD]
    packed = pack([np.arange(4, 9)], [np.arange(4, 30)], 16, 16)
    assert packed.target[0].tolist() == [START, *range(4, 19)]
    assert packed.labels[0].tolist() == [*range(4, 19), PAD]


def test_one_source_a_row():
    rows = rows_of_one([np.array([5, 6]), np.array([7, 8, 9, 10]), np.array([], np.int32)], 4)
    assert rows.tolist() == [[5, 6, END, PAD], [7, 8, 9, END], [END, PAD, PAD, PAD]]


def test_rows_are_as_long_as_is_asked_for():
    sizes = np.array([[10] * 50, [20] * 50])
    assert row_lengths(sizes, 40) == (24, 40)
    assert row_lengths(sizes[::-1], 40) == (40, 24)
    assert growth_of(sizes) == pytest.approx(20 / 14, abs=1e-3)
