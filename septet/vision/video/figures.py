"""Pictures of videos: frames in a row, with what was answered and what is true."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from septet.evaluation import drawing
from septet.evaluation.classification import softmax, worst_mistakes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 8
MOST_SHOWN = 10
LONGEST_SOURCE = 30


def draw_videos(
    clips: np.ndarray,
    logits: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
    sources: Sequence[str],
    folder: Path,
) -> list[tuple[str, str]]:
    """Write videos.png, one video of each class, and mistakes.png, the worst mistakes.

    Args:
        clips: uint8 [N, clips, frames, height, width, 1 or 3].
        logits: [N, K].
        labels: Integers [N].
        class_names: K names; untrusted text.
        sources: Where each video came from; untrusted text.
        folder: Where the files go; exists.

    Returns:
        File names and captions.
    """
    explained = (
        "Each row is a video, frames from left to right; at its left the answer with its "
        "probability (blue where right, orange where wrong), what is true, and where it is."
    )
    drawn = []
    of_each = [int(np.flatnonzero(labels == label)[0]) for label in np.unique(labels)]
    worst = worst_mistakes(logits, labels, MOST_SHOWN)
    for name, rows, caption in (
        ("videos.png", of_each[:MOST_SHOWN], f"The first test video of each class. {explained}"),
        ("mistakes.png", worst, f"The most confident mistakes, worst first. {explained}"),
    ):
        if len(rows):
            _draw_rows(clips, logits, labels, class_names, sources, rows, folder / name)
            drawn.append((name, caption))
    return drawn


def _draw_rows(
    clips: np.ndarray,
    logits: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
    sources: Sequence[str],
    rows: Sequence[int] | np.ndarray,
    path: Path,
) -> None:
    frames = clips.shape[2]
    places = np.linspace(0, frames - 1, min(COLUMNS, frames)).round().astype(int)
    height, width = clips.shape[3:5]
    row_in = min(1.6, max(0.5, 0.66 * height / width))
    figure = drawing.new_figure(row_in * len(rows) + 0.1)
    grid = figure.subplots(
        len(rows), 1 + len(places), squeeze=False, width_ratios=[2.6, *[1] * len(places)]
    )
    for line, row in zip(grid, rows, strict=True):
        probabilities = softmax(logits[[row]])[0]
        best, label = int(probabilities.argmax()), int(labels[row])
        color = drawing.BLUE if best == label else drawing.ORANGE
        texts = (
            (f"{drawing.safe_label(class_names[best], best)} {probabilities[best]:.0%}", 8, color),
            (f"true: {drawing.safe_label(class_names[label], label)}", 7, drawing.INK),
            (_short(sources[row], int(row)), 5, drawing.GREY),
        )
        line[0].set_axis_off()
        for (text, size, ink), at in zip(texts, (0.74, 0.47, 0.22), strict=True):
            line[0].text(
                0.0, at, text, fontsize=size, color=ink, va="center",
                transform=line[0].transAxes, family=drawing.label_families(),
            )  # fmt: skip
        for axes, place in zip(line[1:], places, strict=True):
            _draw_frame(axes, clips[row, 0, place])
    drawing.save(figure, path.parent, path.name)


def _draw_frame(axes: "Axes", frame: np.ndarray) -> None:
    is_grey = frame.shape[-1] == 1
    axes.imshow(frame[..., 0] if is_grey else frame, cmap="gray", vmin=0, vmax=255)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(drawing.RULE)


def _short(source: str, number: int) -> str:
    """The end of a source's name, as matplotlib may draw it."""
    text = source if len(source) <= LONGEST_SOURCE else "…" + source[-LONGEST_SOURCE + 1 :]
    return drawing.safe_label(text, number)
