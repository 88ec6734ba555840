"""Scores against literal definitions, and what they must be in plain cases."""

import numpy as np
import pytest

from septet.vision.segmentation import scores
from septet.vision.segmentation.packing import unpacked

LABELS = ["background", "disc", "square"]


def masks(seed: int, count: int = 4, side: int = 14, ignored: float = 0.1):
    random = np.random.default_rng(seed)
    truth = random.integers(0, 3, (count, side, side)).astype(np.uint8)
    found = np.where(random.random(truth.shape) < 0.6, truth, random.integers(0, 3, truth.shape))
    truth[random.random(truth.shape) < ignored] = 255
    return truth, found.astype(np.uint8)


def test_intersection_over_union_is_that_of_sets_of_pixels():
    truth, found = masks(0)
    known = truth != 255
    counts, table = scores.count_pixels(truth, found, 3)
    values = scores.iou(counts.sum(axis=0))
    for number in range(3):
        both = ((truth == number) & (found == number) & known).sum()
        either = (((truth == number) | (found == number)) & known).sum()
        assert values[number] == pytest.approx(both / either)
    assert table.sum() == known.sum()
    assert table[1, 2] == ((truth == 1) & (found == 2)).sum()


def test_a_class_that_occurs_nowhere_counts_nothing():
    truth = np.zeros((1, 4, 4), np.uint8)
    truth[0, 0, 0] = 1
    result = scores.evaluate_segments(truth, truth, LABELS, ["a"])
    assert result["scores"]["mean_iou"] == 1.0
    assert result["per_class"][2]["iou"] is None
    assert result["mistakes"] == []


def test_the_background_is_left_out_of_the_first_score_only():
    truth = np.zeros((1, 4, 4), np.uint8)
    truth[0, 0] = 1
    result = scores.evaluate_segments(truth, np.zeros_like(truth), LABELS, ["a"])
    assert result["scores"]["mean_iou"] == 0.0
    assert result["scores"]["iou_with_background"] == pytest.approx(0.75 / 2)
    assert result["scores"]["pixel_accuracy"] == 0.75
    assert scores.foreground(["a", "b"]).all()


def disc(radius: int) -> list[tuple[int, int]]:
    reach = range(-radius, radius + 1)
    return [(y, x) for y in reach for x in reach if y * y + x * x <= radius * radius]


@pytest.mark.parametrize("radius", [1, 2, 3, 7, 40])
def test_widening_is_that_by_a_disc(radius):
    pixels = np.random.default_rng(radius).random((19, 23)) < 0.02
    expected = np.zeros_like(pixels)
    for row, column in np.argwhere(pixels):
        for down, along in disc(radius):
            if 0 <= row + down < 19 and 0 <= column + along < 23:
                expected[row + down, column + along] = True
    np.testing.assert_array_equal(scores.widened(pixels, radius), expected)


def test_a_boundary_shifted_within_the_tolerance_is_right_and_beyond_it_wrong():
    truth = np.zeros((1, 200, 200), np.uint8)
    truth[0, 50:150, 50:150] = 1
    for shift, expected in ((0, 1.0), (2, 1.0), (8, None)):
        found = np.roll(truth, shift, axis=2)
        value = scores.boundary_f(scores.boundary_counts(truth, found, 2).sum(axis=0))[1]
        if expected is None:
            assert 0.4 < value < 0.7  # the two horizontal edges still agree
        else:
            assert value == expected


def test_what_is_ignored_makes_no_boundary():
    truth = np.ones((1, 30, 30), np.uint8)
    truth[0, 10:20, 10:20] = 255
    found = np.ones_like(truth)
    found[0, 12:18, 12:18] = 0
    counts = scores.boundary_counts(truth, found, 2)
    assert counts.sum() == 0


def test_intervals_hold_the_score_and_shrink_with_more_pictures():
    widths = []
    for count in (6, 60):
        truth, found = masks(3, count)
        result = scores.evaluate_segments(truth, found, LABELS, ["x"] * count)
        for name, value in result["scores"].items():
            low, high = result["intervals"][name]
            assert low <= value <= high
        low, high = result["intervals"]["mean_iou"]
        widths.append(high - low)
    assert widths[1] < widths[0] / 2


def test_the_worst_pictures_come_first():
    truth = np.ones((3, 8, 8), np.uint8)
    found = truth.copy()
    found[1] = 0
    found[2, :4] = 0
    result = scores.evaluate_segments(truth, found, LABELS, ["a", "b", "c"])
    assert [entry["source"] for entry in result["mistakes"]] == ["b", "c"]


def test_packed_classes_come_back():
    classes = np.random.default_rng(0).integers(0, 256, (3, 7, 11)).astype(np.uint8)
    flat = np.pad(classes.reshape(3, -1), ((0, 0), (0, -77 % 3))).reshape(3, -1, 3)
    numbers = (flat @ np.array([1.0, 256.0, 65536.0])).astype(np.float32)
    np.testing.assert_array_equal(unpacked(numbers, 7, 11), classes)
