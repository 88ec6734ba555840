"""Pictures of an evaluation: scores by class; picture, truth, answer and errors side by side."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from septet.evaluation import drawing
from septet.vision.segmentation.answers import clear_class, overlaid
from septet.vision.segmentation.colours import Colour
from septet.vision.segmentation.legend import IGNORED

SHOWN = 6
MOST_BARS = 40
LONGEST_SOURCE = 40
RIGHT, WRONG, UNKNOWN = (235, 238, 242), (217, 60, 40), (150, 150, 150)


def draw_segments(
    pictures: np.ndarray,
    truth: np.ndarray,
    found: np.ndarray,
    labels: Sequence[str],
    colours: Sequence[Colour],
    sources: Sequence[str],
    evaluation: Mapping[str, Any],
    folder: Path,
) -> list[tuple[str, str]]:
    """Write the pictures into `folder`: (file name, caption) of each."""
    drawn = [_draw_bars(evaluation["per_class"], folder)]
    rows = list(range(min(SHOWN, len(pictures))))
    look = (pictures, truth, found, labels, colours, sources)
    caption = "From left: the picture, its mask, the answer, and where they differ (red)."
    if rows:
        _draw_rows(rows, look, folder, "segments.png")
        drawn.append(("segments.png", f"The first pictures. {caption}"))
    wrong = [entry["row"] for entry in evaluation["mistakes"][:SHOWN]]
    if wrong:
        _draw_rows(wrong, look, folder, "mistakes.png")
        drawn.append(("mistakes.png", f"The pictures with the lowest scores. {caption}"))
    return drawn


def _draw_bars(per_class: Sequence[Mapping[str, Any]], folder: Path) -> tuple[str, str]:
    shown = [entry for entry in per_class if entry["iou"] is not None][:MOST_BARS]
    figure = drawing.new_figure(0.32 * len(shown) + 1.1)
    axes = figure.subplots()
    places = np.arange(len(shown))[::-1]
    for shift, name, colour, title in (
        (0.19, "iou", drawing.BLUE, "intersection over union"),
        (-0.19, "boundary_f", drawing.ORANGE, "F-score of the boundary"),
    ):
        values = np.array([entry[name] or 0.0 for entry in shown])
        bounds = np.array(
            [[v if b is None else b for b in entry["intervals"][name]]
             for v, entry in zip(values, shown, strict=True)]
        ).reshape(-1, 2)  # fmt: skip
        reach = np.maximum([values - bounds[:, 0], bounds[:, 1] - values], 0)
        axes.barh(places + shift, values, 0.36, color=colour, label=title)
        axes.errorbar(
            values, places + shift, xerr=reach, fmt="none", ecolor=drawing.INK, elinewidth=0.8
        )
    names = [drawing.safe_label(entry["label"], n) for n, entry in enumerate(shown)]
    axes.set_yticks(places, names, family=drawing.label_families())
    axes.set_xlim(0, 1)
    drawing.style(axes, "Each class", x="score, with 95 % intervals", grid="x")
    drawing.legend(axes, loc="lower center", bbox_to_anchor=(0.6, 1.0), ncols=2)
    drawing.save(figure, folder, "classes.png")
    return "classes.png", "How well each class' areas and boundaries agree with the masks."


def _draw_rows(rows: Sequence[int], look: tuple[Any, ...], folder: Path, name: str) -> None:
    pictures, truth, found, labels, colours, sources = look
    clear = clear_class(labels)
    aspect = pictures.shape[1] / pictures.shape[2]
    figure = drawing.new_figure(len(rows) * (1.72 * aspect + 0.16) + 0.7)
    grid = figure.subplots(len(rows), 4, squeeze=False)
    present: set[int] = set()
    for axes, row in zip(grid, rows, strict=True):
        picture, actual, answer = pictures[row], truth[row], found[row]
        panels = (
            picture if picture.shape[-1] == 3 else np.repeat(picture, 3, axis=-1),
            overlaid(picture, actual, [*colours], clear),
            overlaid(picture, answer, [*colours], clear),
            differences(actual, answer),
        )
        present |= set(np.unique(actual).tolist()) | set(np.unique(answer).tolist())
        for panel, pixels in zip(axes, panels, strict=True):
            panel.imshow(pixels, interpolation="nearest")
            panel.set_axis_off()
        source = str(sources[row])
        short = source if len(source) <= LONGEST_SOURCE else "…" + source[1 - LONGEST_SOURCE :]
        axes[0].set_title(
            drawing.safe_label(short, row), loc="left", fontsize=6, color=drawing.FAINT, pad=2,
            family=drawing.label_families(),
        )  # fmt: skip
    shown = sorted(number for number in present if number not in (IGNORED, clear))
    _legend(figure, shown, labels, colours)
    drawing.save(figure, folder, name)


def differences(actual: np.ndarray, answer: np.ndarray) -> np.ndarray:
    """Where the answer is right (light), wrong (red) or not asked for (grey): uint8 [h, w, 3]."""
    result = np.where((actual == answer)[..., None], *np.array([RIGHT, WRONG], np.uint8))
    return np.where((actual == IGNORED)[..., None], np.array(UNKNOWN, np.uint8), result)


def _legend(figure: Any, numbers: list[int], labels: Sequence[str], colours: Sequence[Any]) -> None:
    from matplotlib.patches import Patch

    patches = [
        Patch(
            facecolor=tuple(value / 255 for value in colours[n]),
            edgecolor=drawing.GREY,
            label=drawing.safe_label(labels[n], n),
        )
        for n in numbers[:24]
    ]
    figure.legend(
        handles=patches, loc="outside lower center", ncols=min(6, max(1, len(patches))),
        frameon=False, prop={"size": 7, "family": drawing.label_families()},
    )  # fmt: skip
