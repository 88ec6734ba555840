"""Pictures of pictures: the worst mistakes of a classifier, as one grid."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from septet.evaluation import drawing
from septet.evaluation.classification import softmax, worst_mistakes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from septet.task import Explanation

COLUMNS = 6
MOST_SHOWN = 24
LONGEST_SOURCE = 24
LONGEST_TITLE = 36
"""Characters above a pair of pictures."""
PAIRS = 4
MOST_EXPLAINED = 16
MOST_LINE, TITLE = 3.0, 0.25
"""Inches: the most that a line of pairs of pictures is high, and what is written above it."""
LEAST_SHOWN = 160
"""Pixels a side that a picture of its own is enlarged to."""


def draw_mistakes(
    pictures: np.ndarray,
    logits: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
    sources: Sequence[str],
    folder: Path,
) -> list[tuple[str, str]]:
    """Write mistakes.png: the wrong answers with the highest loss, worst first.

    Args:
        pictures: uint8 [N, height, width, 1 or 3].
        logits: [N, K].
        labels: Integers [N].
        class_names: K names; untrusted text.
        sources: Where each picture came from; untrusted text.
        folder: Where the file goes; exists.

    Returns:
        File name and caption; nothing where there are no mistakes.
    """
    rows = worst_mistakes(logits, labels, MOST_SHOWN)
    if len(rows) == 0:
        return []
    lines = -(-len(rows) // COLUMNS)
    figure = drawing.new_figure(1.9 * lines + 0.1)
    grid = figure.subplots(lines, COLUMNS, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    probabilities = softmax(logits[rows])
    for axes, place, values in zip(grid, rows, probabilities, strict=False):
        row = int(place)
        label = int(labels[row])
        actual = drawing.safe_label(class_names[label], label)
        best = int(values.argmax())
        answered = f"{drawing.safe_label(class_names[best], best)} {values[best]:.0%}"
        _draw_one(axes, pictures[row], actual, answered, _short(sources[row], row))
    drawing.save(figure, folder, "mistakes.png")
    caption = (
        "The most confident mistakes, worst first. Above each: the answer (orange) with its "
        "probability, and the label (blue). Below: where the picture is."
    )
    return [("mistakes.png", caption)]


def draw_explanations(
    pictures: np.ndarray | Mapping[int, np.ndarray],
    entries: Sequence[Mapping[str, Any]],
    folder: Path,
) -> list[tuple[str, str]]:
    """Write explanations.png: pictures, and beside each where its answer was seen.

    Args:
        pictures: uint8 [N, height, width, 1 or 3], or those of the rows that are asked for.
        entries: Of evaluation["explanations"]: row, actual, answer, heat and method.
        folder: Where the file goes; exists.

    Returns:
        File name and caption; nothing where there are no explanations.
    """
    from septet.vision.explaining import overlay

    entries = [entry for entry in entries if entry.get("heat")][:MOST_EXPLAINED]
    if not entries:
        return []
    lines = -(-len(entries) // PAIRS)
    height, width = pictures[int(entries[0]["row"])].shape[:2]
    line = min(drawing.WIDTH_IN / PAIRS * height / (2 * width), MOST_LINE) + TITLE
    figure = drawing.new_figure(line * lines)
    grid = figure.subplots(lines, PAIRS, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    for axes, entry in zip(grid, entries, strict=False):
        row = int(entry["row"])
        picture = pictures[row]
        axes.imshow(beside(picture, overlay(picture, entry["heat"])), interpolation="nearest")
        # Of boxes and masks all classes of the picture are the truth.
        actual = entry["actual"]
        truth = actual if isinstance(actual, list) else [actual]
        is_right = entry["answer"] in truth
        said = drawing.safe_label(str(entry["answer"]), row)
        if not is_right:
            said = f"{said}, in truth {drawing.safe_label(', '.join(truth) or 'nothing', row)}"
        said = said if len(said) <= LONGEST_TITLE else f"{said[: LONGEST_TITLE - 3]}..."
        colour = drawing.BLUE if is_right else drawing.ORANGE
        axes.set_title(said, fontsize=7, color=colour, family=drawing.label_families())
    drawing.save(figure, folder, "explanations.png")
    caption = (
        f"Where the answers were seen ({entries[0]['method']}): left the picture, right the same "
        "in grey under bright colours where it decided. The worst mistakes (orange) first, then "
        "the first examples."
    )
    return [("explanations.png", caption)]


def pictures_beside(
    pictures: np.ndarray, explanations: "Sequence[Explanation]"
) -> list[np.ndarray]:
    """Each picture beside itself under what decided, enlarged where it is small."""
    from septet.vision.explaining import overlay

    return [
        beside(picture, overlay(picture, explanation.heat))
        for picture, explanation in zip(pictures, explanations, strict=True)
    ]


def beside(picture: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """A picture and what is shown of it side by side, uint8 [height, width, 3], not too small."""
    from PIL import Image

    height, width = picture.shape[:2]
    times = max(1, -(-LEAST_SHOWN // max(height, width)))
    size = (width * times, height * times)
    plain = Image.fromarray(np.broadcast_to(picture, (height, width, 3)).astype(np.uint8))
    gap = np.full((height * times, max(4, width * times // 24), 3), 255, np.uint8)
    left = np.asarray(plain.resize(size, Image.Resampling.NEAREST))
    right = np.asarray(Image.fromarray(shown).resize(size, Image.Resampling.BICUBIC))
    return np.concatenate([left, gap, right], axis=1)


def _draw_one(axes: "Axes", picture: np.ndarray, actual: str, answered: str, source: str) -> None:
    is_grey = picture.shape[-1] == 1
    axes.imshow(picture[..., 0] if is_grey else picture, cmap="gray", vmin=0, vmax=255)
    style = {"ha": "center", "transform": axes.transAxes, "family": drawing.label_families()}
    axes.set_title(f"{answered}\n{actual}", fontsize=7, color=(0, 0, 0, 0))  # keeps the space
    axes.text(0.5, 1.13, answered, fontsize=7, color=drawing.ORANGE, va="bottom", **style)
    axes.text(0.5, 1.02, actual, fontsize=7, color=drawing.BLUE, va="bottom", **style)
    axes.text(0.5, -0.03, source, fontsize=5, color=drawing.GREY, va="top", **style)


def _short(source: str, number: int) -> str:
    """The end of a source's name, as matplotlib may draw it."""
    text = source if len(source) <= LONGEST_SOURCE else "…" + source[-LONGEST_SOURCE + 1 :]
    return drawing.safe_label(text, number)
