"""The shapes of which the drawings of docs/algorithms are made."""

import itertools
from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.patches import Circle, FancyBboxPatch

INK, BLUE, GREEN, ORANGE, RED, GREY = (
    "#22313f", "#d6e6f5", "#d9efdb", "#fbe3c4", "#f7d3d0", "#ececec",
)  # fmt: skip
DARK_RED = "#b03a2e"
Point = tuple[float, float]


def canvas(width: float, height: float) -> Any:
    """Axes of so many units, one unit about 0.8 inches, without a frame."""
    figure, axes = plt.subplots(figsize=(0.8 * width, 0.8 * height))
    axes.set(xlim=(0, width), ylim=(0, height), aspect="equal")
    axes.axis("off")
    figure.subplots_adjust(0.01, 0.01, 0.99, 0.99)
    return axes


def box(axes: Any, at: Point, text: str, width=1.4, height=0.6, colour=BLUE, size=11) -> None:
    """A rounded box with its middle at a point."""
    left, bottom = at[0] - width / 2, at[1] - height / 2
    axes.add_patch(
        FancyBboxPatch(
            (left, bottom),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=0.1",
            fc=colour,
            ec=INK,
        )
    )
    axes.text(*at, text, ha="center", va="center", size=size, color=INK)


def dot(axes: Any, at: Point, text: str = "", radius=0.24, colour=BLUE, size=11) -> None:
    """A circle with its middle at a point."""
    axes.add_patch(Circle(at, radius, fc=colour, ec=INK, zorder=3))
    axes.text(*at, text, ha="center", va="center", size=size, color=INK, zorder=4)


def arrow(axes: Any, start: Point, end: Point, text="", colour=INK, style="-|>", shift=(0, 0.2)):
    """An arrow, with a text beside its middle."""
    properties = {"arrowstyle": style, "color": colour, "shrinkA": 0, "shrinkB": 0, "lw": 1.2}
    axes.annotate("", end, start, arrowprops=properties)
    if text:
        middle = ((start[0] + end[0]) / 2 + shift[0], (start[1] + end[1]) / 2 + shift[1])
        axes.text(*middle, text, ha="center", va="center", size=11, color=colour)


def path(axes: Any, *points: Point, colour=INK) -> None:
    """A line with corners that ends in an arrow."""
    for start, end in itertools.pairwise(points[:-1]):
        axes.plot(*zip(start, end, strict=True), color=colour, lw=1.2)
    arrow(axes, points[-2], points[-1], colour=colour)


def words(axes: Any, at: Point, text: str, size=11, colour=INK) -> None:
    """A text with its middle at a point."""
    axes.text(*at, text, ha="center", va="center", size=size, color=colour)


def columns(axes: Any, places: Sequence[float], counts: Sequence[int], middle: float, gap=0.7):
    """Columns of neurons, each joined to all of the next; gives where they are."""
    neurons = [
        [(x, middle + gap * (row - (count - 1) / 2)) for row in range(count)]
        for x, count in zip(places, counts, strict=True)
    ]
    for left, right in itertools.pairwise(neurons):
        for a in left:
            for b in right:
                axes.plot(*zip(a, b, strict=True), color="#9aa7b2", lw=0.7, zorder=1)
    colours = [GREEN, *[BLUE] * (len(counts) - 2), ORANGE]
    for column, colour in zip(neurons, colours, strict=True):
        for at in column:
            dot(axes, at, colour=colour)
    return neurons
