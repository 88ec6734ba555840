"""Average precision: ours, pycocotools' and hand-counted figures agree."""

import sys
from typing import Any

import numpy as np
import pytest

from septet.errors import MissingPackageError
from septet.evaluation import detection
from septet.evaluation.detection import (
    average_precision,
    coco_tables,
    evaluate_boxes,
    match,
    mistakes_of,
    quick_scores,
)

LABELS = ["cat", "dog", "cow"]


def fixture(seed, pictures=40):
    """Labelled boxes of three classes, and found ones that are near, doubled, wrong or missing."""
    random = np.random.default_rng(seed)
    truths, found = [], []
    for _ in range(pictures):
        count = int(random.integers(0, 7))
        corner = random.uniform(0, 300, (count, 2))
        sides = np.exp(random.uniform(np.log(8), np.log(250), (count, 2)))
        wanted = np.concatenate([random.integers(0, 3, (count, 1)), corner, corner + sides], axis=1)
        near = wanted[random.random(count) < 0.8]
        near = np.concatenate([near, near[random.random(len(near)) < 0.3]])
        near[:, 1:] += random.normal(0, 4, (len(near), 4))
        near[random.random(len(near)) < 0.1, 0] = 2
        made_up = np.zeros((int(random.integers(0, 4)), 5))
        made_up[:, 0] = random.integers(0, 3, len(made_up))
        made_up[:, 1:3] = random.uniform(0, 300, (len(made_up), 2))
        made_up[:, 3:] = made_up[:, 1:3] + random.uniform(10, 90, (len(made_up), 2))
        rows = np.concatenate([near, made_up])
        rows[:, 3:] = np.maximum(rows[:, 3:], rows[:, 1:3] + 1)
        # Scores that are equal here and there, as a network's may be.
        scores = random.integers(1, 40, (len(rows), 1)) / 40
        truths.append(wanted.astype(np.float32))
        found.append(np.concatenate([scores, rows], axis=1).astype(np.float32))
    return found, truths


@pytest.mark.parametrize("seed", range(4))
def test_our_average_precision_is_that_of_pycocotools(seed):
    pytest.importorskip("pycocotools")
    found, truths = fixture(seed)
    precision, _ = coco_tables(found, truths, 3)
    for number in range(3):
        ours = average_precision(match(found, truths, number))
        theirs = precision[:, :, number, 0].mean(axis=1)
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    scores = quick_scores(found, truths, 3)
    whole = evaluate_boxes(found, truths, LABELS)["scores"]
    assert scores["map_50"] == pytest.approx(whole["map_50"], abs=1e-6)
    assert scores["map"] == pytest.approx(whole["map"], abs=1e-6)


def test_scores_are_those_that_pycocotools_prints():
    pytest.importorskip("pycocotools")
    import contextlib
    import io

    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    found, truths = fixture(7)
    truth: Any = COCO()
    truth.dataset = {
        "images": [{"id": n + 1} for n in range(len(truths))],
        "categories": [{"id": n + 1} for n in range(3)],
        "annotations": [
            {
                "id": 1000 * n + k + 1,
                "image_id": n + 1,
                "category_id": int(row[0]) + 1,
                "bbox": [row[1], row[2], row[3] - row[1], row[4] - row[2]],
                "area": (row[3] - row[1]) * (row[4] - row[2]),
                "iscrowd": 0,
            }
            for n, rows in enumerate(truths)
            for k, row in enumerate(rows.astype(float).tolist())
        ],
    }
    listed: Any = [
        {
            "image_id": n + 1,
            "category_id": int(row[1]) + 1,
            "score": row[0],
            "bbox": [row[2], row[3], row[4] - row[2], row[5] - row[3]],
        }
        for n, rows in enumerate(found)
        for row in rows.astype(float).tolist()
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        judge = COCOeval(truth, truth.loadRes(listed), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    scores = evaluate_boxes(found, truths, LABELS)["scores"]
    names = ["map", "map_50", "map_75", "map_small", "map_medium", "map_large"]
    theirs = dict(zip(names, judge.stats[:6], strict=True))
    theirs["recall_100"] = judge.stats[8]
    for name, value in theirs.items():
        assert scores[name] == pytest.approx(value, abs=1e-6)


def test_perfect_boxes_score_one_and_none_score_zero():
    pytest.importorskip("pycocotools")
    _, truths = fixture(1)
    perfect = [np.concatenate([np.ones((len(t), 1)), t], axis=1).astype(np.float32) for t in truths]
    assert evaluate_boxes(perfect, truths, LABELS)["scores"]["map"] == pytest.approx(1.0)
    nothing = [np.zeros((0, 6), np.float32) for _ in truths]
    evaluation = evaluate_boxes(nothing, truths, LABELS)
    assert evaluation["scores"]["map"] == 0.0
    assert evaluation["mistakes"][0]["missed"] == max(map(len, truths))


def test_average_precision_counted_by_hand():
    # Right, wrong, right, of three true boxes: precision 1 up to a third, 2/3 up to two thirds.
    truths = [np.array([[0, 0, 0, 10, 10], [0, 20, 0, 30, 10], [0, 40, 0, 50, 10]], np.float32)]
    found = [
        np.array(
            [[0.9, 0, 0, 0, 10, 10], [0.8, 0, 60, 0, 70, 10], [0.7, 0, 20, 0, 30, 10]], np.float32
        )
    ]
    expected = (34 * 1.0 + 33 * 2 / 3) / 101
    assert average_precision(match(found, truths, 0))[0] == pytest.approx(expected)


def test_weights_count_pictures_several_times():
    found, truths = fixture(3, pictures=6)
    weights = np.array([2, 0, 1, 3, 0, 0])
    rows = np.repeat(np.arange(6), weights)
    again = match([found[row] for row in rows], [truths[row] for row in rows], 0)
    np.testing.assert_allclose(
        average_precision(match(found, truths, 0), weights.astype(float)),
        average_precision(again),
        atol=0.03,  # equal scores stand in another order
    )


def test_intervals_hold_the_score():
    pytest.importorskip("pycocotools")
    evaluation = evaluate_boxes(*fixture(2), LABELS)
    low, high = evaluation["intervals"]["map_50"]
    assert low < evaluation["scores"]["map_50"] < high
    assert high - low < 0.5
    assert [entry["label"] for entry in evaluation["per_class"]] == LABELS


def test_mistakes_are_missed_and_made_up_boxes():
    wanted = np.array([[0, 0, 0, 10, 10], [1, 20, 20, 30, 30]], np.float32)
    boxes = np.array(
        [[0.9, 0, 0, 0, 10, 10], [0.9, 0, 20, 20, 30, 30], [0.1, 1, 20, 20, 30, 30]], np.float32
    )
    assert mistakes_of(boxes, wanted) == (1, 1)


def test_missing_pycocotools_is_said_with_its_install_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycocotools.coco", None)
    with pytest.raises(MissingPackageError, match=r"septet\[vision\]"):
        detection.require_pycocotools()
