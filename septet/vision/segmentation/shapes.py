"""Polygons and run lengths as masks. Pure functions from checked numbers to arrays."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from septet.vision.segmentation.sources import Shape

FAR = 1e6
"""A coordinate further out than this is a mistake and not an object at the edge."""
MOST_POINTS = 100_000


class ShapeError(ValueError):
    """A shape that cannot be used; says why."""


def drawn(shapes: Iterable[Shape], numbers: Mapping[str, int], size: tuple[int, int]) -> np.ndarray:
    """Class of each pixel, uint8 [height, width]; later shapes lie over earlier ones.

    Raises:
        ShapeError: A run length does not fill the picture.
    """
    classes = np.zeros(size, np.uint8)
    for shape in shapes:
        number = numbers[shape.label]
        # COCO's parts of one object are areas of their own: each is filled for itself.
        for polygon in shape.polygons:
            fill(classes, in_pixels(polygon, shape, size), number)
        if shape.runs is not None:
            counts, height, width = shape.runs
            if (height, width) != size:
                raise ShapeError(
                    f"Its run lengths are for {width}x{height} pixels and the picture has "
                    f"{size[1]}x{size[0]}."
                )
            classes[mask_of_runs(counts, height, width)] = number
    return classes


def in_pixels(polygon: Sequence[float], shape: Shape, size: tuple[int, int]) -> np.ndarray:
    """Coordinates (x, y, x, y ...) of a polygon of `shape` in a picture of a height and width."""
    points = np.asarray(polygon, np.float64).reshape(-1, 2)
    return (points * size[::-1] if shape.is_share else points).ravel()


def odd(shapes: Iterable[Shape], size: tuple[int, int]) -> list[tuple[str, str]]:
    """Code and message of polygons that show nothing, or more than there is, of a picture."""
    found = []
    height, width = size
    for number, shape in enumerate(shapes, 1):
        for polygon in shape.polygons:
            points = in_pixels(polygon, shape, size).reshape(-1, 2)
            (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
            what = f"Shape {number}, '{shape.label[:40]}',"
            told = f"({left:g}, {top:g} to {right:g}, {bottom:g})"
            beyond = max(-left, -top, right - width, bottom - height)
            if left >= width or top >= height or right <= 0 or bottom <= 0:
                message = f"{what} {told} lies outside the picture of {width}x{height}."
                found.append(("shape-outside", message))
            elif not _area(points):
                found.append(("empty-shape", f"{what} {told} surrounds nothing."))
            elif beyond > 1:
                message = f"{what} reaches {beyond:.0f} pixels beyond the picture."
                found.append(("shape-beyond-edge", message))
    return found


def _area(points: np.ndarray) -> float:
    """What a polygon [n, 2] surrounds (the shoelace formula), or nothing where it is negligible."""
    x, y = points.T
    area = abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2
    return area if area > 1e-9 else 0.0


def fill(classes: np.ndarray, polygon: Sequence[float] | np.ndarray, number: int) -> None:
    """Set the pixels whose centres a polygon (x, y, x, y ...) surrounds, by the even-odd rule."""
    height, width = classes.shape
    points = np.asarray(polygon, np.float64).reshape(-1, 2) - 0.5
    low = np.clip(np.ceil(points.min(axis=0)), 0, [width, height]).astype(int)
    high = np.clip(np.ceil(points.max(axis=0)), 0, [width, height]).astype(int)
    if (high <= low).any():
        return
    # Each edge that a row's centre crosses turns inside to outside for all that lies right of it.
    crossed = np.zeros((high[1] - low[1], high[0] - low[0] + 1), np.int32)
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        top, bottom = sorted((y0, y1))
        rows = np.arange(max(low[1], math.ceil(top)), min(high[1], math.ceil(bottom)))
        if len(rows):
            columns = np.ceil(x0 + (rows - y0) * ((x1 - x0) / (y1 - y0)))
            places = np.clip(columns - low[0], 0, high[0] - low[0]).astype(int)
            np.add.at(crossed, (rows - low[1], places), 1)
    inside = np.cumsum(crossed, axis=1)[:, :-1] % 2 == 1
    classes[low[1] : high[1], low[0] : high[0]][inside] = number


def mask_of_runs(counts: Sequence[int], height: int, width: int) -> np.ndarray:
    """COCO's run lengths (column by column, zeros first) as a mask, bool [height, width]."""
    if sum(counts) != height * width:
        raise ShapeError(
            f"Its run lengths add up to {sum(counts)} pixels and not to {height * width}."
        )
    values = np.arange(len(counts)) % 2 == 1
    return np.repeat(values, counts).reshape(width, height).T


def polygon_of(values: Any) -> tuple[float, ...]:
    """A polygon of a file, checked: at least three points of finite numbers.

    Raises:
        ShapeError: It is none.
    """
    if not isinstance(values, list) or len(values) < 6 or len(values) % 2:
        size = len(values) if isinstance(values, list) else type(values).__name__
        raise ShapeError(f"A polygon has {size} numbers; expected pairs, at least three.")
    if len(values) > 2 * MOST_POINTS:
        raise ShapeError(f"A polygon has more than {MOST_POINTS} points.")
    for value in values:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value) or abs(value) > FAR:
            raise ShapeError(f"A polygon has the coordinate {str(value)[:40]}.")
    return tuple(float(value) for value in values)


def runs_of(values: Any) -> tuple[tuple[int, ...], int, int]:
    """Run lengths of a file, {"size": [height, width], "counts": list or text}, checked.

    Raises:
        ShapeError: They are none.
    """
    size, counts = values.get("size"), values.get("counts")
    is_size = isinstance(size, list) and len(size) == 2 and all(type(n) is int for n in size)
    if not is_size or not all(0 < n <= 100_000 for n in size) or size[0] * size[1] > 64_000_000:
        raise ShapeError(f"Run lengths have the size {str(size)[:40]}.")
    if isinstance(counts, str):
        counts = _decompressed(counts)
    if not isinstance(counts, list) or not all(type(n) is int and n >= 0 for n in counts):
        raise ShapeError("Run lengths are no list of whole numbers.")
    if sum(counts) != size[0] * size[1]:
        raise ShapeError(
            f"Run lengths add up to {sum(counts)} pixels and not to {size[0]} x {size[1]}."
        )
    return tuple(counts), size[0], size[1]


def _decompressed(text: str) -> list[int]:
    """COCO's text of run lengths: 5 bits a character, each third difference on."""
    counts: list[int] = []
    place = 0
    while place < len(text):
        value, shift, is_more = 0, 0, True
        while is_more:
            if place >= len(text) or shift > 40:
                raise ShapeError("The text of run lengths ends within a number.")
            bits = ord(text[place]) - 48
            if not 0 <= bits < 64:
                raise ShapeError("The text of run lengths has a character that cannot be in it.")
            value |= (bits & 31) << shift
            is_more = bool(bits & 32)
            place, shift = place + 1, shift + 5
            if not is_more and bits & 16:
                value -= 1 << shift
        if len(counts) > 2:
            value += counts[-2]
        counts.append(value)
    return counts
