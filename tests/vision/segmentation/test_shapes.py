"""Polygons and run lengths become the right pixels; bad ones are refused."""

import numpy as np
import pytest

from septet.data.composing import run_lengths
from septet.vision.segmentation.shapes import ShapeError, drawn, fill, polygon_of, runs_of
from septet.vision.segmentation.sources import Shape


def test_a_rectangle_covers_the_pixels_between_its_edges():
    classes = np.zeros((10, 12), np.uint8)
    fill(classes, (2, 3, 6, 3, 6, 8, 2, 8), 7)
    expected = np.zeros_like(classes)
    expected[3:8, 2:6] = 7
    np.testing.assert_array_equal(classes, expected)


def inside(x: float, y: float, polygon: tuple[float, ...]) -> bool:
    """The even-odd rule, edge by edge."""
    points = list(zip(polygon[::2], polygon[1::2], strict=True))
    odd = False
    for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[0]], strict=True):
        if (y0 > y) != (y1 > y) and x >= x0 + (y - y0) * (x1 - x0) / (y1 - y0):
            odd = not odd
    return odd


@pytest.mark.parametrize("seed", range(20))
def test_any_polygon_is_filled_by_the_even_odd_rule(seed):
    random = np.random.default_rng(seed)
    polygon = tuple(random.uniform(-5, 25, 2 * random.integers(3, 9)).tolist())
    classes = np.zeros((17, 21), np.uint8)
    fill(classes, polygon, 1)
    expected = [[inside(x + 0.5, y + 0.5, polygon) for x in range(21)] for y in range(17)]
    np.testing.assert_array_equal(classes.astype(bool), np.array(expected))


def test_later_shapes_lie_over_earlier_ones():
    square = (0.0, 0.0, 4.0, 0.0, 4.0, 4.0, 0.0, 4.0)
    shapes = [Shape("a", (square,)), Shape("b", (tuple(v + 2 for v in square),))]
    classes = drawn(shapes, {"a": 1, "b": 2}, (6, 6))
    assert classes[1, 1] == 1
    assert classes[3, 3] == 2
    assert (classes == 2).sum() == 16


@pytest.mark.parametrize("seed", range(5))
def test_run_lengths_come_back_as_the_mask_they_were_made_of(seed):
    mask = np.random.default_rng(seed).random((7, 5)) < 0.5
    runs = runs_of({"size": [7, 5], "counts": run_lengths(mask)})
    np.testing.assert_array_equal(drawn([Shape("a", runs=runs)], {"a": 1}, (7, 5)) == 1, mask)


def compressed(counts: list[int]) -> str:
    """COCO's text of run lengths, as its maskApi.c writes it."""
    text = ""
    for place, count in enumerate(counts):
        value = count - (counts[place - 2] if place > 2 else 0)
        is_more = True
        while is_more:
            bits = value & 31
            value >>= 5
            is_more = value != (-1 if bits & 16 else 0)
            text += chr(48 + (bits | (32 if is_more else 0)))
    return text


@pytest.mark.parametrize("seed", range(5))
def test_compressed_run_lengths_are_read(seed):
    mask = np.random.default_rng(seed).random((40, 50)) < 0.02
    counts = run_lengths(mask)
    assert list(runs_of({"size": [40, 50], "counts": compressed(counts)})[0]) == counts


@pytest.mark.parametrize(
    "values",
    [
        {"size": [2, 2], "counts": [1, 2]},
        {"size": [2, 2], "counts": [5]},
        {"size": [2, 2], "counts": [-1, 5]},
        {"size": [2, 2], "counts": [2.0, 2.0]},
        {"size": [2, 2], "counts": {"a": 1}},
        {"size": [2, 2], "counts": "~~~"},
        {"size": [2, 2], "counts": "o"},
        {"size": [2, 2], "counts": "o" * 1000},
        {"size": [10**9, 10**9], "counts": [10**18]},
        {"size": [50_000, 50_000], "counts": [2_500_000_000]},
        {"size": [0, 2], "counts": [0]},
        {"size": "2x2", "counts": [4]},
        {"size": [True, 4], "counts": [4]},
        {"counts": [4]},
    ],
)
def test_bad_run_lengths_are_refused(values):
    with pytest.raises(ShapeError):
        runs_of(values)


@pytest.mark.parametrize(
    "values",
    [
        [], [1, 2, 3, 4], [1, 2, 3, 4, 5], "abc", None, {"x": 1}, [1, 2, 3, 4, 5, "6"],
        [1, 2, 3, 4, 5, float("nan")], [1, 2, 3, 4, 5, float("inf")], [1, 2, 3, 4, 5, 1e30],
        [True, 2, 3, 4, 5, 6], [0, 0] * 100_001, [[1, 2], [3, 4], [5, 6]],
    ],
)  # fmt: skip
def test_bad_polygons_are_refused(values):
    with pytest.raises(ShapeError):
        polygon_of(values)


def test_run_lengths_of_another_size_are_refused():
    runs = runs_of({"size": [2, 2], "counts": [4]})
    with pytest.raises(ShapeError, match="2x2 pixels and the picture has 3x3"):
        drawn([Shape("a", runs=runs)], {"a": 1}, (3, 3))
