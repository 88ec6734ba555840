"""How good boxes are: COCO's average precision, by size and class, with intervals.

The scores are pycocotools'. `average_precision` computes the same from the same matching
(the tests hold them together to 1e-6), fast enough for every epoch and for a bootstrap,
which pycocotools is not. Knows boxes and classes; no picture and no network.
"""

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from septet.errors import MissingPackageError
from septet.evaluation.bootstrap import plain, plain_interval, resample_counts

OVERLAPS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
MOST = 100
"""Boxes of a class in a picture that count."""
RESAMPLES = 200
SIZES = ("small", "medium", "large")
"""Less than 32x32 pixels, less than 96x96, and more."""
WORKED_ON_AT = 0.5
SHOWN_FROM = 0.3
"""Score from which a box is an answer rather than a guess."""


@dataclass(frozen=True)
class Matches:
    """Found boxes of one class, best first, and what became of each.

    Args:
        images: Number of the picture of each.
        right: At each overlap, whether it is the first around a true box: bool [overlaps, n].
        truths: True boxes in each picture: int [pictures].
    """

    images: np.ndarray
    right: np.ndarray
    truths: np.ndarray


def match(found: Sequence[np.ndarray], truths: Sequence[np.ndarray], category: int) -> Matches:
    """Which found boxes of a class are right; each true box is found once.

    Args:
        found: Of each picture [n, 6]: score, class, left, top, right, bottom.
        truths: Of each picture [n, 5]: class, left, top, right, bottom.
        category: The class.
    """
    images, scores, right = [], [], []
    counts = np.zeros(len(truths), np.int64)
    for number, (rows, wanted) in enumerate(zip(found, truths, strict=True)):
        mine = rows[(rows[:, 1] == category) & (rows[:, 0] > 0)]
        mine = mine[np.argsort(-mine[:, 0], kind="mergesort")][:MOST].astype(np.float64)
        theirs = wanted[wanted[:, 0] == category, 1:].astype(np.float64)
        counts[number] = len(theirs)
        if len(mine):
            images.append(np.full(len(mine), number))
            scores.append(mine[:, 0])
            right.append(_right(_overlaps(mine[:, 2:], theirs)))
    if not images:
        return Matches(np.zeros(0, np.int64), np.zeros((len(OVERLAPS), 0), bool), counts)
    order = np.argsort(-np.concatenate(scores), kind="mergesort")
    return Matches(np.concatenate(images)[order], np.concatenate(right, axis=1)[:, order], counts)


def _right(overlaps: np.ndarray) -> np.ndarray:
    """Greedy matching as COCO has it: overlaps [found, true], best found first."""
    right = np.zeros((len(OVERLAPS), len(overlaps)), bool)
    near = np.flatnonzero((overlaps >= OVERLAPS[0] - 1e-10).any(axis=1))
    for level, least in enumerate(OVERLAPS):
        free = np.ones(overlaps.shape[1], bool)
        for row in near:
            values = overlaps[row]
            candidates = np.where(free & (values >= min(least, 1 - 1e-10)), values, -1.0)
            if candidates.size and candidates.max() >= 0:
                # Of equal ones COCO takes the last.
                best = len(candidates) - 1 - int(candidates[::-1].argmax())
                free[best] = False
                right[level, row] = True
    return right


def _overlaps(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.maximum(high - low, 0).prod(-1)
    areas = [(each[:, 2:] - each[:, :2]).prod(-1) for each in (first, second)]
    union = areas[0][:, None] + areas[1][None] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def average_precision(matches: Matches, weights: np.ndarray | None = None) -> np.ndarray:
    """Average precision at each of `OVERLAPS`; NaN where there is no true box.

    Args:
        matches: Of one class.
        weights: How often each picture counts; once by default.
    """
    counts = np.ones(len(matches.truths)) if weights is None else weights
    total = float((matches.truths * counts).sum())
    if total == 0:
        return np.full(len(OVERLAPS), np.nan)
    mine = counts[matches.images] if len(matches.images) else np.zeros(0)
    found = np.cumsum(matches.right * mine, axis=1)
    seen = np.cumsum(mine)
    precision = found / np.maximum(seen, np.spacing(1.0))
    # The best precision at this recall or a higher one.
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    results = np.zeros(len(OVERLAPS))
    for level, recall in enumerate(found / total):
        places = np.searchsorted(recall, RECALLS, side="left")
        inside = places < len(recall)
        results[level] = precision[level, places[inside]].sum() / len(RECALLS)
    return results


def quick_scores(
    found: Sequence[np.ndarray], truths: Sequence[np.ndarray], num_classes: int
) -> dict[str, float]:
    """mAP@.5 and mAP@[.5:.95] by our own matching; 0 where no class has a true box."""
    each = [average_precision(match(found, truths, number)) for number in range(num_classes)]
    table = np.array(each).reshape(num_classes, len(OVERLAPS))
    known = table[~np.isnan(table[:, 0])]
    if not len(known):
        return {"map_50": 0.0, "map": 0.0}
    return {"map_50": float(known[:, 0].mean()), "map": float(known.mean())}


def evaluate_boxes(
    found: Sequence[np.ndarray],
    truths: Sequence[np.ndarray],
    labels: Sequence[str],
    *,
    seed: int = 0,
) -> dict[str, Any]:
    """COCO's scores with bootstrap intervals over pictures, each class, and the worst pictures.

    Args:
        found: Of each picture [n, 6]: score, class, left, top, right, bottom.
        truths: Of each picture [n, 5]: class, left, top, right, bottom.
        labels: Names of the classes.
        seed: Of the resampling.

    Raises:
        MissingPackageError: pycocotools is not installed.
    """
    precision, recall = coco_tables(found, truths, len(labels))
    every = precision[:, :, :, 0]
    scores: dict[str, float | None] = {
        "map_50": _mean(every[0]),
        "map": _mean(every),
        "map_75": _mean(every[5]),
    }
    for place, size in enumerate(SIZES, 1):
        scores[f"map_{size}"] = _mean(precision[:, :, :, place])
    scores["recall_100"] = _mean(recall[:, :, 0])
    matches = [match(found, truths, number) for number in range(len(labels))]
    intervals, by_class = _intervals(matches, len(truths), seed)
    per_class = [
        {
            "label": label,
            "map_50": _mean(every[0, :, number]),
            "map": _mean(every[:, :, number]),
            "recall_100": _mean(recall[:, number, 0]),
            "support": int(matches[number].truths.sum()),
            "intervals": {"map_50": by_class[number]},
        }
        for number, label in enumerate(labels)
    ]
    return {
        "scores": scores,
        "intervals": intervals,
        "per_class": per_class,
        "mistakes": worst_pictures(found, truths),
    }


def _mean(values: np.ndarray) -> float | None:
    """Mean of what is defined; pycocotools has -1 where nothing is."""
    known = values[values > -1]
    return plain(known.mean()) if known.size else None


def _intervals(
    matches: Sequence[Matches], pictures: int, seed: int
) -> tuple[dict[str, list[float | None]], list[list[float | None]]]:
    """95 % intervals of mAP@.5 and mAP, and of each class' mAP@.5."""
    tables = []
    for counts in resample_counts(pictures, RESAMPLES, seed):
        for row in counts:
            tables.append([average_precision(each, row.astype(np.float64)) for each in matches])
    if not tables:
        return {}, [[None, None] for _ in matches]
    drawn = np.array(tables)
    at_half, whole = _means(drawn[:, :, 0]), _means(drawn.mean(axis=2))
    by_class = [plain_interval(drawn[:, number, 0]) for number in range(len(matches))]
    return {"map_50": plain_interval(at_half), "map": plain_interval(whole)}, by_class


def _means(table: np.ndarray) -> np.ndarray:
    """Mean of each row, NaN left out."""
    known = ~np.isnan(table)
    return np.where(known, table, 0.0).sum(1) / np.maximum(known.sum(1), 1)


def coco_tables(
    found: Sequence[np.ndarray], truths: Sequence[np.ndarray], num_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Pycocotools' tables, -1 where undefined.

    Returns:
        Precision [overlaps, recalls, classes, sizes] and recall [overlaps, classes, sizes] of
        the best 100 boxes; the first size is all of them.
    """
    coco, evaluator = require_pycocotools()
    truth, answers = coco(), coco()
    categories = [{"id": number + 1, "name": str(number)} for number in range(num_classes)]
    images = [{"id": number + 1} for number in range(len(truths))]
    truth.dataset = {"images": images, "categories": categories, "annotations": _listed(truths, 0)}
    answers.dataset = {"images": images, "categories": categories, "annotations": _listed(found, 1)}
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        answers.createIndex()
        judge = evaluator(truth, answers, "bbox")
        judge.evaluate()
        judge.accumulate()
    precision, recall = judge.eval["precision"], judge.eval["recall"]
    return precision[..., -1], recall[..., -1]


def _listed(boxes: Sequence[np.ndarray], first: int) -> list[dict[str, Any]]:
    """Boxes as COCO lists them; the class is the column `first`, a score the one before it."""
    listed = []
    for number, rows in enumerate(boxes, 1):
        for row in rows.astype(np.float64).tolist():
            if first and row[0] <= 0:
                continue
            left, top, right, bottom = row[first + 1 :]
            sides = [left, top, right - left, bottom - top]
            entry = {
                "id": len(listed) + 1,
                "image_id": number,
                "category_id": int(row[first]) + 1,
                "bbox": sides,
                "area": sides[2] * sides[3],
                "iscrowd": 0,
            }
            listed.append({**entry, "score": row[0]} if first else entry)
    return listed


def require_pycocotools() -> tuple[Any, Any]:
    """Its classes `COCO` and `COCOeval`.

    Raises:
        MissingPackageError: It is not installed.
    """
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError:
        raise MissingPackageError("pycocotools", "vision", "The scoring of boxes") from None
    return COCO, COCOeval


def worst_pictures(
    found: Sequence[np.ndarray], truths: Sequence[np.ndarray], most: int = 24
) -> list[dict[str, Any]]:
    """The pictures with most boxes missed or made up, from a score of `SHOWN_FROM` on."""
    rows = []
    for number, (boxes, wanted) in enumerate(zip(found, truths, strict=True)):
        missed, made_up = mistakes_of(boxes, wanted)
        if missed or made_up:
            rows.append(
                {"row": number, "labelled": len(wanted), "missed": missed, "made_up": made_up}
            )
    rows.sort(key=lambda row: (-(row["missed"] + row["made_up"]), row["row"]))
    return rows[:most]


def mistakes_of(boxes: np.ndarray, wanted: np.ndarray) -> tuple[int, int]:
    """How many true boxes of a picture are missed, and how many found ones are around nothing."""
    boxes = boxes[boxes[:, 0] >= SHOWN_FROM]
    right = 0
    for category in np.unique(boxes[:, 1]):
        mine = boxes[boxes[:, 1] == category]
        theirs = wanted[wanted[:, 0] == category, 1:]
        overlaps = _overlaps(mine[:, 2:].astype(np.float64), theirs.astype(np.float64))
        right += int(_right(overlaps)[0].sum())
    return len(wanted) - right, len(boxes) - right


def by_picture(table: np.ndarray) -> list[np.ndarray]:
    """Rows with a score above 0 of each picture of [pictures, rows, 6]."""
    return [rows[rows[:, 0] > 0] for rows in table]


def plain_scores(scores: Mapping[str, float | None]) -> dict[str, float]:
    """Those that are defined."""
    return {name: value for name, value in scores.items() if value is not None}
