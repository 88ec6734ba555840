"""Pictures with boxes: what was found beside what is there, and how precision falls with recall."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from septet.data.dataset import Split
from septet.evaluation import drawing
from septet.evaluation.detection import SHOWN_FROM, Matches, match
from septet.task import Prepared

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 4
SHOWN = 12
MOST_CURVES = 8
LONGEST_SOURCE = 26
COLOURS = (
    "#e6550d", "#2563eb", "#15803d", "#b91c1c", "#7c3aed", "#0e7490", "#a16207", "#be185d",
)  # fmt: skip


def draw_detections(
    split: Split,
    found: Sequence[np.ndarray],
    truths: Sequence[np.ndarray],
    evaluation: Mapping[str, Any],
    prepared: Prepared,
    folder: Path,
) -> list[tuple[str, str]]:
    """Write `detections.png`, `precision.png` and `mistakes.png`: (file name, caption) of each."""
    labels = prepared["labels"]
    rows = np.unique(np.linspace(0, len(split) - 1, min(SHOWN, len(split))).round().astype(int))
    told = f"Found with a score of {SHOWN_FROM:g} or more (orange), and labelled (blue, dashed)."
    figures = []
    if len(split):
        _grid(split, rows.tolist(), found, truths, prepared, folder / "detections.png")
        figures.append(("detections.png", f"Pictures from all over the {len(split)}. {told}"))
        _precision(found, truths, labels, folder)
        caption = "How many found boxes are right, against how many labelled ones are found."
        figures.append(("precision.png", f"{caption} Right: half of both boxes together overlaps."))
    worst = [entry["row"] for entry in evaluation.get("mistakes", [])[:SHOWN]]
    if worst:
        _grid(split, worst, found, truths, prepared, folder / "mistakes.png")
        figures.append(("mistakes.png", f"Most boxes missed or made up, worst first. {told}"))
    return figures


def _grid(
    split: Split,
    rows: Sequence[int],
    found: Sequence[np.ndarray],
    truths: Sequence[np.ndarray],
    prepared: Prepared,
    path: Path,
) -> None:
    lines = -(-len(rows) // COLUMNS)
    figure = drawing.new_figure(1.95 * lines)
    grid = figure.subplots(lines, COLUMNS, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    for axes, row in zip(grid, rows, strict=False):
        _draw_one(axes, split, row, found[row], truths[row], prepared)
    drawing.save(figure, path.parent, path.name)


def _draw_one(
    axes: "Axes",
    split: Split,
    row: int,
    found: np.ndarray,
    truths: np.ndarray,
    prepared: Prepared,
) -> None:
    """One picture without the bars of its letterbox, with boxes in its own pixels."""
    from septet.vision.detection import placement_of

    size = split.examples["sizes"][row]
    placement = placement_of(size, prepared)
    (height, width), top, left = placement.placed, placement.top, placement.left
    pixels = split.examples["pictures"][row][top : top + height, left : left + width]
    is_grey = pixels.shape[-1] == 1
    extent = (0.0, float(size[1]), float(size[0]), 0.0)
    axes.imshow(pixels[..., 0] if is_grey else pixels, cmap="gray", vmin=0, vmax=255, extent=extent)
    labels = prepared["labels"]
    for _, *sides in truths.tolist():
        _box(axes, sides, drawing.BLUE, "", is_dashed=True)
    for score, label, *sides in found[found[:, 0] >= SHOWN_FROM].tolist():
        name = drawing.safe_label(labels[int(label)], int(label))
        _box(axes, sides, drawing.ORANGE, f"{name} {score:.2f}")
    source = split.sources[row]
    text = source if len(source) <= LONGEST_SOURCE else "…" + source[1 - LONGEST_SOURCE :]
    axes.set_title(
        drawing.safe_label(text, row), fontsize=6, color=drawing.GREY, pad=2,
        family=drawing.label_families(),
    )  # fmt: skip
    axes.set_xlim(0, extent[1])
    axes.set_ylim(extent[2], 0)


def _box(
    axes: "Axes", sides: Sequence[float], colour: str, text: str, *, is_dashed: bool = False
) -> None:
    from matplotlib.patches import Rectangle

    left, top, right, bottom = sides
    axes.add_patch(
        Rectangle(
            (left, top),
            right - left,
            bottom - top,
            fill=False,
            edgecolor=colour,
            linewidth=1.0,
            linestyle=(0, (3, 2)) if is_dashed else "-",
        )
    )
    if text:
        axes.text(
            left, top, text, fontsize=4.5, color="white", va="bottom", clip_on=True,
            family=drawing.label_families(),
            bbox={"facecolor": colour, "edgecolor": "none", "pad": 0.6},
        )  # fmt: skip


def _precision(
    found: Sequence[np.ndarray], truths: Sequence[np.ndarray], labels: Sequence[str], folder: Path
) -> None:
    """Precision against recall at half overlap, of the classes with most boxes."""
    every = [(match(found, truths, number), number) for number in range(len(labels))]
    every.sort(key=lambda pair: -int(pair[0].truths.sum()))
    figure = drawing.new_figure(3.4)
    axes = figure.subplots()
    for (matches, number), colour in zip(every[:MOST_CURVES], COLOURS, strict=False):
        recall, precision = curve(matches)
        name = drawing.safe_label(labels[number], number)
        axes.plot(recall, precision, color=colour, linewidth=1.4, label=name)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    drawing.style(axes, "Precision and recall", "recall", "precision", grid="both")
    drawing.legend(axes, loc="center left", bbox_to_anchor=(1.0, 0.5))
    drawing.save(figure, folder, "precision.png")


def curve(matches: Matches) -> tuple[np.ndarray, np.ndarray]:
    """Recall and precision after each found box, best first, at half overlap."""
    right = np.cumsum(matches.right[0])
    total = max(int(matches.truths.sum()), 1)
    return right / total, right / np.arange(1, len(right) + 1)


def drawn_boxes(pixels: np.ndarray, boxes: Sequence[Any]) -> bytes:
    """A picture with boxes and their classes drawn on it, as PNG.

    Args:
        pixels: uint8 [height, width] or [height, width, 3].
        boxes: With `label`, `score` and sides.
    """
    from PIL import Image, ImageDraw

    picture = Image.fromarray(pixels).convert("RGB")
    pen = ImageDraw.Draw(picture)
    side = max(picture.size)
    width = max(1, round(side / 250))
    names = list(dict.fromkeys(box.label for box in boxes))
    texts = [_drawn_name(name, number) for number, name in enumerate(names, 1)]
    fonts = [_font(text, max(10, round(side / 45))) for text in texts]
    # The surest last, so that it lies on top.
    for box in reversed(boxes):
        number = names.index(box.label)
        colour = COLOURS[number % len(COLOURS)]
        pen.rectangle((box.left, box.top, box.right, box.bottom), outline=colour, width=width)
        text, font = f"{texts[number]} {box.score:.2f}", fonts[number]
        left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
        high, wide = bottom - top + 4, right - left + 4
        y = box.top - high if box.top >= high else box.top
        pen.rectangle((box.left, y, box.left + wide, y + high), fill=colour)
        pen.text((box.left + 2 - left, y + 2 - top), text, fill="white", font=font)
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()


def _drawn_name(name: str, number: int) -> str:
    """A class as it can be drawn: its number in the picture where no installed font has it."""
    shown = "".join(char if char.isprintable() else "?" for char in name)[:40]
    return f"#{number}" if drawing.lacking(shown) else shown


def _font(text: str, size: int) -> Any:
    """Pillow's own font where it has all of a text, else the first installed one that has."""
    from PIL import ImageFont

    path = None if text.isascii() else drawing.font_file(text)
    return ImageFont.truetype(path, size) if path else ImageFont.load_default(size)
