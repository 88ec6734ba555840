"""Pictures of an evaluation and of a training, as PNG files a person wants to look at."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from septet.evaluation import drawing
from septet.evaluation.drawing import BLUE, FAINT, GREY, INK, ORANGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Figures = list[tuple[str, str]]
"""File name and caption of each picture written."""

MOST_CLASSES = 30
MOST_GLIMPSES = 16
MOST_ANNOTATED = 16
MOST_POINTS = 3000
FEWEST_ANSWERS = 10
"""A bin with fewer is drawn as a bar but left out of the line."""


def draw_classification(
    evaluation: Mapping[str, Any],
    logits: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
    folder: Path,
) -> Figures:
    """Write confusion.png, reliability.png and per-class.png of an `evaluate_classification`.

    Args:
        evaluation: What `evaluate_classification(logits, labels, class_names)` returned.
        logits: [N, K].
        labels: Integers [N].
        class_names: K names; untrusted text.
        folder: Where the files go; exists.

    Returns:
        File names and captions; empty when there are no examples.
    """
    if evaluation["examples"] == 0:
        return []
    return [
        ("confusion.png", draw_confusion(evaluation, class_names, folder)),
        ("reliability.png", draw_reliability(evaluation, folder)),
        ("per-class.png", draw_per_class(evaluation, class_names, folder)),
    ]


def draw_labels(evaluation: Mapping[str, Any], names: Sequence[str], folder: Path) -> Figures:
    """Write per-class.png of an `evaluate_labels`; empty when there is nothing to show."""
    if all(entry["f1"] is None for entry in evaluation["per_class"]):
        return []
    return [("per-class.png", draw_per_class(evaluation, names, folder, noun="label"))]


def draw_confusion(evaluation: Mapping[str, Any], class_names: Sequence[str], folder: Path) -> str:
    """Write confusion.png; its caption. More than 30 classes: those with the most mistakes."""
    table = np.asarray(evaluation["confusion"], np.int64)
    shown, which = _classes_with_most_mistakes(table)
    part = table[np.ix_(shown, shown)]
    support = np.asarray([entry["support"] for entry in evaluation["per_class"]])[shown]
    shares = part / np.maximum(support, 1)[:, None]
    side = min(7.6, 2.6 + 0.42 * max(len(shown), 4))
    figure = drawing.new_figure(side * 0.94, side)
    axes = figure.add_subplot()
    axes.imshow(shares, cmap=_blues(), vmin=0.0, vmax=1.0)
    drawing.style(axes, "Confusion matrix", "answered", "actual", grid="")
    _label_classes(axes, "x", shown, class_names)
    _label_classes(axes, "y", shown, class_names)
    borders = np.arange(len(shown) + 1) - 0.5
    axes.hlines(borders, borders[0], borders[-1], color="white", linewidth=1.2)
    axes.vlines(borders, borders[0], borders[-1], color="white", linewidth=1.2)
    if len(shown) <= MOST_ANNOTATED:
        _write_counts(axes, part, shares)
    drawing.save(figure, folder, "confusion.png")
    return (
        "Rows: the actual class; columns: the class answered. The darker a cell, the larger "
        f"its share of the row.{which}"
    )


def _classes_with_most_mistakes(table: np.ndarray) -> tuple[np.ndarray, str]:
    """The classes to show, in their order, and a sentence if not all are."""
    num_classes = len(table)
    if num_classes <= MOST_CLASSES:
        return np.arange(num_classes), ""
    mistakes = table.sum(axis=0) + table.sum(axis=1) - 2 * np.diag(table)
    shown = np.sort(np.argsort(-mistakes, kind="stable")[:MOST_CLASSES])
    return shown, f" Shown: the {MOST_CLASSES} of {num_classes} classes with the most mistakes."


def _blues() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list(
        "septet", ["#f5f7fa", "#bfdbfe", "#60a5fa", "#2563eb", "#1e3a8a"]
    )


def _label_classes(axes: "Axes", side: str, shown: np.ndarray, names: Sequence[str]) -> None:
    """Class names along one side of the confusion matrix."""
    labels = [drawing.safe_label(names[number], number) for number in shown]
    families = drawing.label_families()
    size = 9 if len(shown) <= 20 else 7
    if side == "x":
        is_long = max(map(len, labels)) > 3
        axes.set_xticks(
            range(len(shown)),
            labels,
            rotation=45 if is_long else 0,
            ha="right" if is_long else "center",
            rotation_mode="anchor",
            fontsize=size,
            family=families,
        )
        axes.tick_params(axis="x", pad=6)
    else:
        axes.set_yticks(range(len(shown)), labels, fontsize=size, family=families)


def _write_counts(axes: "Axes", counts: np.ndarray, shares: np.ndarray) -> None:
    """The count in each cell that is not zero."""
    size = 9 if len(counts) <= 10 else 7.5
    for row, column in np.argwhere(counts > 0):
        color = "white" if shares[row, column] > 0.45 else INK
        axes.text(
            column, row, str(counts[row, column]), ha="center", va="center", color=color,
            fontsize=size,
        )  # fmt: skip


def draw_reliability(evaluation: Mapping[str, Any], folder: Path) -> str:
    """Write reliability.png (accuracy by confidence, and how many answers); its caption."""
    bins = evaluation["reliability"]
    centres = np.array([(entry["low"] + entry["high"]) / 2 for entry in bins])
    accuracy = np.array([entry["accuracy"] for entry in bins])
    confidence = np.array([entry["confidence"] for entry in bins])
    counts = np.array([entry["count"] for entry in bins])
    width = 0.9 * (bins[0]["high"] - bins[0]["low"]) if bins else 0.06
    figure = drawing.new_figure(5.2, 5.4)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3.4, 1])
    upper.plot([0, 1], [0, 1], color=GREY, linewidth=1.2, linestyle=(0, (4, 3)), label="ideal")
    upper.bar(centres, accuracy, width, color=BLUE, alpha=0.28, linewidth=0)
    many = counts >= min(FEWEST_ANSWERS, counts.max(initial=0))
    upper.plot(
        confidence[many], accuracy[many], "o-", color=BLUE, markersize=5, label="measured"
    )  # fmt: skip
    drawing.style(upper, "Calibration", "", "share correct", grid="both")
    upper.set_xlim(0, 1)
    upper.set_ylim(0, 1.02)
    drawing.legend(upper, loc="upper left")
    lower.bar(centres, counts, width, color=GREY, linewidth=0)
    drawing.style(lower, "", "confidence of the answer", "answers", grid="y")
    drawing.save(figure, folder, "reliability.png")
    error = evaluation["expected_calibration_error"]
    said = "" if error is None else f" Expected calibration error: {error:.3f}."
    return (
        "How often answers of each confidence were right; on the dashed line confidence "
        f"can be taken at its word.{said}"
    )


def draw_per_class(
    evaluation: Mapping[str, Any], class_names: Sequence[str], folder: Path, *, noun: str = "class"
) -> str:
    """Write per-class.png (F1 with its interval); its caption. Of many classes the worst."""
    rows = [
        (entry["f1"], number)
        for number, entry in enumerate(evaluation["per_class"])
        if entry["f1"] is not None
    ]
    shown = [number for _, number in sorted(rows)[:MOST_CLASSES]][::-1]
    entries = [evaluation["per_class"][number] for number in shown]
    figure = drawing.new_figure(1.5 + 0.27 * max(len(shown), 3), 6.4)
    axes = figure.add_subplot()
    for place, entry in enumerate(entries):
        low, high = entry["intervals"]["f1"]
        if low is not None:
            axes.plot([low, high], [place, place], color=BLUE, alpha=0.3, linewidth=6)
    places = np.arange(len(shown))
    for name, marker, color in (("precision", "<", GREY), ("recall", ">", ORANGE)):
        values = [np.nan if entry[name] is None else entry[name] for entry in entries]
        axes.plot(values, places, marker, color=color, markersize=5, label=name)
    axes.plot([entry["f1"] for entry in entries], places, "o", color=BLUE, markersize=6, label="F1")
    labels = [drawing.safe_label(class_names[number], number) for number in shown]
    drawing.style(axes, f"Scores of each {noun}", "", "", grid="x")
    axes.set_yticks(places, labels, family=drawing.label_families())
    axes.set_ylim(-0.7, len(shown) - 0.3)
    drawing.legend(axes, loc="upper center", bbox_to_anchor=(0.5, -0.6 / (1 + len(shown))), ncols=3)
    drawing.save(figure, folder, "per-class.png")
    rest = len(rows) - len(shown)
    hidden = f" The {len(shown)} worst of {len(rows)}." if rest else ""
    return f"F1 of each {noun}, lowest first, with its 95 % interval.{hidden}"


def draw_regression(predicted: np.ndarray, actual: np.ndarray, folder: Path) -> Figures:
    """Write predicted-against-actual.png and residuals.png of numbers [N] (or [N, 1]) and [N].

    Predictions that are not finite are left out.
    """
    actual = np.asarray(actual, np.float64)
    predicted = np.asarray(predicted, np.float64).reshape(len(actual))
    usable = np.isfinite(predicted) & np.isfinite(actual)
    predicted, actual = predicted[usable], actual[usable]
    if len(actual) == 0:
        return []
    figure = drawing.new_figure(5.2, 5.4)
    axes = figure.add_subplot()
    ends = [min(actual.min(), predicted.min()), max(actual.max(), predicted.max())]
    axes.plot(ends, ends, color=GREY, linewidth=1.2, linestyle=(0, (4, 3)))
    _scatter(axes, actual, predicted)
    drawing.style(axes, "Predicted against actual", "actual", "predicted", grid="both")
    drawing.save(figure, folder, "predicted-against-actual.png")
    _draw_residuals(predicted, actual, folder)
    return [
        ("predicted-against-actual.png", "Each test example; on the dashed line it is exact."),
        ("residuals.png", "Predicted minus actual: by prediction, and how they are distributed."),
    ]


def _draw_residuals(predicted: np.ndarray, actual: np.ndarray, folder: Path) -> None:
    residuals = predicted - actual
    figure = drawing.new_figure(3.6)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[2.2, 1])
    left.axhline(0.0, color=GREY, linewidth=1.2, linestyle=(0, (4, 3)))
    _scatter(left, predicted, residuals)
    drawing.style(left, "Residuals", "predicted", "predicted - actual", grid="both")
    bins = int(np.clip(np.sqrt(len(residuals)), 8, 40))
    right.hist(residuals, bins=bins, orientation="horizontal", color=BLUE, alpha=0.55, linewidth=0)
    right.axhline(float(np.median(residuals)), color=ORANGE, linewidth=1.4, label="median")
    drawing.style(right, "", "examples", "", grid="both")
    drawing.legend(right, loc="upper right")
    drawing.save(figure, folder, "residuals.png")


def _scatter(axes: "Axes", x: np.ndarray, y: np.ndarray) -> None:
    """Points, or hexagons where points would be a blot."""
    if len(x) <= MOST_POINTS:
        alpha = float(np.clip(40 / np.sqrt(len(x)) / 3, 0.15, 0.7))
        axes.plot(x, y, "o", color=BLUE, alpha=alpha, markersize=4, markeredgewidth=0)
    else:
        axes.hexbin(x, y, gridsize=45, bins="log", mincnt=1, cmap=_blues(), linewidths=0)


def draw_curves(rows: Sequence[Mapping[str, Any]], folder: Path) -> Figures:
    """Write curves.png from the rows of a log, one an epoch: loss, metric and learning rate.

    The metric is the first name that has a `validation_` twin. Missing and non-finite
    values are gaps.
    """
    rows = [row for row in rows if isinstance(row.get("epoch"), int)]
    if not rows:
        return []
    metric = _metric(rows)
    has_rate = any(_number(row.get("learning_rate")) is not None for row in rows)
    panels = ["loss", *([metric] if metric else [])]
    figure = drawing.new_figure(4.4 if has_rate else 3.3)
    grid = figure.add_gridspec(
        2 if has_rate else 1, len(panels), height_ratios=[3, 1][: 1 + has_rate]
    )
    for place, name in enumerate(panels):
        axes = figure.add_subplot(grid[0, place])
        _draw_panel(axes, rows, name)
        axes.set_xlabel("" if has_rate else "epoch")
        if place == 0:
            drawing.legend(axes, loc="best")
    if has_rate:
        axes = figure.add_subplot(grid[1, :])
        epochs, values = _series(rows, "learning_rate")
        axes.plot(epochs, values, color=FAINT, linewidth=1.6, marker=_marker(rows), markersize=4)
        drawing.style(axes, "Learning rate", "epoch", "", grid="y")
        axes.set_ylim(bottom=0.0)
        _whole_epochs(axes)
    drawing.save(figure, folder, "curves.png")
    return [("curves.png", _curves_caption(rows))]


def _draw_panel(axes: "Axes", rows: Sequence[Mapping[str, Any]], name: str) -> None:
    """Training and validation values of one quantity over epochs."""
    for key, color, label in ((name, GREY, "training"), (f"validation_{name}", BLUE, "validation")):
        epochs, values = _series(rows, key)
        if np.isfinite(values).any():
            axes.plot(
                epochs, values, color=color, linewidth=2.0, label=label, marker=_marker(rows),
                markersize=4,
            )  # fmt: skip
    title = name.replace("_", " ").capitalize()
    drawing.style(axes, drawing.safe_label(title, 0), "", "", grid="y")
    _whole_epochs(axes)


def _metric(rows: Sequence[Mapping[str, Any]]) -> str | None:
    names = [name for row in rows for name in row]
    return next((n for n in names if n != "loss" and f"validation_{n}" in names), None)


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and np.isfinite(value) else None


def _series(rows: Sequence[Mapping[str, Any]], key: str) -> tuple[np.ndarray, np.ndarray]:
    values = [_number(row.get(key)) for row in rows]
    filled = np.array([np.nan if value is None else value for value in values])
    return np.array([row["epoch"] for row in rows]), filled


def _marker(rows: Sequence[Mapping[str, Any]]) -> str:
    return "o" if len(rows) <= 25 else ""


def _whole_epochs(axes: "Axes") -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))


def _curves_caption(rows: Sequence[Mapping[str, Any]]) -> str:
    epochs, losses = _series(rows, "validation_loss")
    if not np.isfinite(losses).any():
        return "Training by epoch."
    best = int(np.nanargmin(losses))
    return f"By epoch. Lowest validation loss: {losses[best]:.4g}, in epoch {epochs[best]}."


def draw_glimpses(glimpses: Sequence[tuple[str, bytes]], folder: Path) -> Figures:
    """Write progress.png: what the network made at several times, one row each, oldest first.

    Args:
        glimpses: (when, PNG) of each; of more than `MOST_GLIMPSES`, evenly chosen ones.
        folder: Where the file goes; exists.
    """
    if not glimpses:
        return []
    from matplotlib import image

    places = np.linspace(0, len(glimpses) - 1, min(len(glimpses), MOST_GLIMPSES)).round()
    chosen = [glimpses[int(place)] for place in places]
    pictures = [image.imread(io.BytesIO(data), format="png") for _, data in chosen]
    height, width = pictures[0].shape[:2]
    figure = drawing.new_figure(max(1.2, (6.6 * height / width + 0.2) * len(chosen)))
    grid = figure.subplots(len(chosen), 1, squeeze=False).ravel()
    for axes, (when, _), picture in zip(grid, chosen, pictures, strict=True):
        axes.imshow(picture, cmap="gray", vmin=0.0, vmax=1.0)
        axes.set_axis_off()
        axes.set_title(when, loc="left", fontsize=7, color=INK, pad=2)
    drawing.save(figure, folder, "progress.png")
    return [("progress.png", "The same noise made into pictures as training went on.")]
