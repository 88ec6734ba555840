"""Scores of predicted classes: intersection over union, by class, and of boundaries.

Pure NumPy from masks to plain values; pixels of 255 in the truth count nothing.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from septet.evaluation.bootstrap import plain, plain_interval, resample_counts
from septet.vision.segmentation.legend import BACKGROUND, IGNORED

RESAMPLES = 1000
TOLERANCE = 0.0075
"""Of the diagonal: how far apart boundaries may be and count as equal (Csurka et al. 2013)."""


def count_pixels(
    truth: np.ndarray, found: np.ndarray, num_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of each picture by class, and of all pictures by actual and answered class.

    Returns:
        Right, answered and actual, float64 [n, 3, classes]; and actual (row) by answered (column),
        int64 [classes, classes].
    """
    counts = np.zeros((len(truth), 3, num_classes))
    total = np.zeros((num_classes, num_classes), np.int64)
    for row, (actual, answer) in enumerate(zip(truth, found, strict=True)):
        known = actual != IGNORED
        pairs = actual[known].astype(np.int64) * num_classes + answer[known]
        table = np.bincount(pairs, minlength=num_classes**2).reshape(total.shape)
        counts[row] = np.diagonal(table), table.sum(0), table.sum(1)
        total += table
    return counts, total


def iou(counts: np.ndarray) -> np.ndarray:
    """Intersection over union of each class: [..., 3, classes] -> [..., classes]; NaN for none."""
    right, answered, actual = np.moveaxis(counts, -2, 0)
    union = answered + actual - right
    return np.divide(right, union, out=np.full(union.shape, np.nan), where=union > 0)


def mean_iou(counts: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Mean over the chosen classes that occur in truth or answers."""
    return _mean(iou(counts)[..., chosen])


def _mean(values: np.ndarray) -> np.ndarray:
    """The mean of what is a number, NaN where nothing is."""
    known = ~np.isnan(values)
    total = np.where(known, values, 0.0).sum(-1)
    count = known.sum(-1)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def foreground(labels: Sequence[str]) -> np.ndarray:
    """Whether each class is no background: bool [classes]; all are where only that is left."""
    is_thing = np.array([name.casefold() != BACKGROUND for name in labels])
    return is_thing if is_thing.any() else np.ones(len(labels), bool)


def boundary_counts(truth: np.ndarray, found: np.ndarray, num_classes: int) -> np.ndarray:
    """Boundary pixels of each picture and class: float64 [n, 4, classes].

    Answered and near the truth's; answered; actual and near the answer's; actual.
    """
    counts = np.zeros((len(truth), 4, num_classes))
    for row, (actual, answer) in enumerate(zip(truth, found, strict=True)):
        radius = max(1, round(TOLERANCE * float(np.hypot(*actual.shape))))
        known = actual != IGNORED
        answer = np.where(known, answer, IGNORED)
        present = np.union1d(np.unique(actual), np.unique(answer))
        for number in present[present < num_classes]:
            edges = boundary(actual == number, known), boundary(answer == number, known)
            near = widened(edges[0], radius), widened(edges[1], radius)
            counts[row, :, number] = [
                (edges[1] & near[0]).sum(), edges[1].sum(),
                (edges[0] & near[1]).sum(), edges[0].sum(),
            ]  # fmt: skip
    return counts


def boundary(area: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Pixels of an area beside known pixels that are not of it; the picture's edge is none."""
    outside = ~area & known
    edge = np.zeros_like(area)
    edge[1:] |= outside[:-1]
    edge[:-1] |= outside[1:]
    edge[:, 1:] |= outside[:, :-1]
    edge[:, :-1] |= outside[:, 1:]
    return edge & area


def widened(pixels: np.ndarray, radius: int) -> np.ndarray:
    """All pixels within a distance of some: row by row of the disc, so its cost grows with it."""
    if not pixels.any():
        return pixels
    height, width = pixels.shape
    sums = np.zeros((height, width + 1), np.int32)
    np.cumsum(pixels, axis=1, out=sums[:, 1:])
    result = np.zeros_like(pixels)
    columns = np.arange(width)
    for down in range(-min(radius, height - 1), min(radius, height - 1) + 1):
        along = int((radius**2 - down**2) ** 0.5)
        first, last = np.maximum(columns - along, 0), np.minimum(columns + along + 1, width)
        near = sums[:, last] > sums[:, first]
        if down >= 0:
            result[down:] |= near[: height - down]
        else:
            result[:down] |= near[-down:]
    return result


def boundary_f(counts: np.ndarray) -> np.ndarray:
    """F-score of each class' boundary: [..., 4, classes] -> [..., classes]; NaN for none."""
    near_truth, answered, near_answer, actual = np.moveaxis(counts, -2, 0)
    precision = np.divide(near_truth, answered, out=np.zeros_like(answered), where=answered > 0)
    recall = np.divide(near_answer, actual, out=np.zeros_like(actual), where=actual > 0)
    total = precision + recall
    score = np.divide(2 * precision * recall, total, out=np.zeros_like(total), where=total > 0)
    return np.where(answered + actual > 0, score, np.nan)


def evaluate_segments(
    truth: np.ndarray,
    found: np.ndarray,
    labels: Sequence[str],
    sources: Sequence[str],
    *,
    seed: int = 0,
) -> dict[str, Any]:
    """Scores with bootstrap intervals over pictures, by class, confusions and worst pictures.

    Args:
        truth: uint8 [n, height, width].
        found: uint8 likewise.
        labels: Names of the classes.
        sources: Where each picture came from.
        seed: Of the resampling.
    """
    number = len(labels)
    counts, table = count_pixels(truth, found, number)
    edges = boundary_counts(truth, found, number)
    chosen = foreground(labels)
    total, samples = _sums(counts, edges, seed)
    scores = _scores(total[0], total[1], chosen)
    drawn = _scores(samples[0], samples[1], chosen)
    by_class = iou(total[0]), boundary_f(total[1])
    drawn_by_class = iou(samples[0]), boundary_f(samples[1])
    support = (counts[:, 2] > 0).sum(axis=0)
    right, answered, actual = total[0]
    per_class = [
        {
            "label": label,
            "iou": plain(by_class[0][k]),
            "boundary_f": plain(by_class[1][k]),
            "precision": plain(right[k] / answered[k]) if answered[k] else None,
            "recall": plain(right[k] / actual[k]) if actual[k] else None,
            "pixel_share": plain(actual[k] / max(actual.sum(), 1)),
            "support": int(support[k]),
            "intervals": {
                "iou": plain_interval(drawn_by_class[0][:, k]),
                "boundary_f": plain_interval(drawn_by_class[1][:, k]),
            },
        }
        for k, label in enumerate(labels)
    ]
    return {
        "scores": {name: plain(value) for name, value in scores.items()},
        "intervals": {name: plain_interval(np.atleast_1d(v)) for name, v in drawn.items()},
        "per_class": per_class,
        "confusion": table.tolist(),
        "confusion_of": "pixels",
        "mistakes": worst(counts, chosen, sources),
    }


def _scores(counts: np.ndarray, edges: np.ndarray, chosen: np.ndarray) -> dict[str, np.ndarray]:
    right, _, actual = np.moveaxis(counts, -2, 0)
    known = actual.sum(-1)
    accuracy = np.divide(right.sum(-1), known, out=np.full(known.shape, np.nan), where=known > 0)
    everything = np.ones_like(chosen)
    return {
        "mean_iou": mean_iou(counts, chosen),
        "iou_with_background": mean_iou(counts, everything),
        "boundary_f": _mean(boundary_f(edges)[..., chosen]),
        "pixel_accuracy": accuracy,
    }


def _sums(counts: np.ndarray, edges: np.ndarray, seed: int) -> tuple[Any, Any]:
    """Sums over all pictures, and over each resample of them."""
    shapes = counts.shape[1:], edges.shape[1:]
    flat = np.concatenate([counts.reshape(len(counts), -1), edges.reshape(len(edges), -1)], 1)
    cut = int(np.prod(shapes[0]))
    blocks = [block @ flat for block in resample_counts(len(flat), RESAMPLES, seed)]
    drawn = np.concatenate(blocks) if blocks else np.zeros((0, flat.shape[1]))
    total = flat.sum(axis=0)
    whole = total[:cut].reshape(shapes[0]), total[cut:].reshape(shapes[1])
    samples = drawn[:, :cut].reshape(-1, *shapes[0]), drawn[:, cut:].reshape(-1, *shapes[1])
    return whole, samples


def of_each(counts: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Mean intersection over union of each picture, of the chosen classes in truth or answer."""
    return _mean(iou(counts)[:, chosen])


def worst(
    counts: np.ndarray, chosen: np.ndarray, sources: Sequence[str], most: int = 24
) -> list[dict[str, Any]]:
    """The pictures with the lowest scores, worst first."""
    values = of_each(counts, chosen)
    order = np.argsort(np.where(np.isnan(values), np.inf, values), kind="stable")
    return [
        {"row": int(row), "source": sources[row], "mean_iou": plain(values[row])}
        for row in order[:most]
        if values[row] < 1
    ]
