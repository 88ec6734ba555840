import json

import numpy as np
import pytest

from septet.evaluation.classification import (
    ClassAnswer,
    class_answers,
    evaluate_classification,
    predictions,
    softmax,
    worst_mistakes,
)

NAMES = ["cat", "dog", "emu", "fox"]


def made(num_examples=300, num_classes=4, seed=0):
    random = np.random.default_rng(seed)
    labels = random.integers(0, num_classes - 1, num_examples)  # the last class is absent
    logits = random.normal(size=(num_examples, num_classes)).astype(np.float32)
    logits[np.arange(num_examples), labels] += 1.5
    return logits, labels


def literal_scores(logits, labels, num_classes):
    """The definitions, written out example by example and class by class."""
    predicted = [max(range(num_classes), key=lambda k: row[k]) for row in logits]
    recalls, f1s = [], []
    for k in range(num_classes):
        hits = sum(p == k == y for p, y in zip(predicted, labels, strict=True))
        actual = sum(y == k for y in labels)
        named = sum(p == k for p in predicted)
        if actual:
            recalls.append(hits / actual)
        if actual + named:
            f1s.append(2 * hits / (actual + named))
    probabilities = [np.exp(row - row.max()) for row in np.asarray(logits, np.float64)]
    losses = [-np.log(p[y] / p.sum()) for p, y in zip(probabilities, labels, strict=True)]
    hits = sum(p == y for p, y in zip(predicted, labels, strict=True))
    return {
        "accuracy": hits / len(labels),
        "balanced_accuracy": np.mean(recalls),
        "macro_f1": np.mean(f1s),
        "loss": np.mean(losses),
    }


def test_scores_equal_their_written_out_definitions():
    logits, labels = made()
    evaluation = evaluate_classification(logits, labels, NAMES, resamples=10)
    assert evaluation["scores"] == pytest.approx(literal_scores(logits, labels, 4), rel=1e-9)


def test_intervals_equal_a_slow_bootstrap_of_the_same_scores():
    logits, labels = made(60)
    evaluation = evaluate_classification(logits, labels, NAMES, resamples=4000)
    random = np.random.default_rng(9)
    samples = []
    for _ in range(300):
        rows = random.integers(0, len(labels), len(labels))
        samples.append(literal_scores(logits[rows], labels[rows], 4))
    for name, (low, high) in evaluation["intervals"].items():
        values = [sample[name] for sample in samples]
        # Two independent bootstraps: their ends agree to a sixth of its width.
        slack = 0.15 * (high - low)
        assert np.quantile(values, [0.025, 0.975]) == pytest.approx([low, high], abs=slack)
        assert low <= evaluation["scores"][name] <= high


def test_per_class_intervals_follow_each_class():
    logits, labels = made(400)
    first = evaluate_classification(logits, labels, NAMES)["per_class"][0]
    alone = labels == 0
    only = evaluate_classification(logits[alone], labels[alone], NAMES)
    assert first["label"] == "cat"
    assert first["support"] == int(alone.sum())
    assert first["recall"] == only["scores"]["accuracy"]
    low, high = first["intervals"]["recall"]
    assert low < first["recall"] < high
    assert [low, high] == pytest.approx(only["intervals"]["accuracy"], abs=0.02)


def test_confusion_counts_actual_in_rows_and_answers_in_columns():
    logits = np.eye(3)[[0, 1, 1, 2]] * 5
    evaluation = evaluate_classification(logits, np.array([0, 1, 2, 2]), NAMES[:3])
    assert evaluation["confusion"] == [[1, 0, 0], [0, 1, 0], [0, 1, 1]]


def test_a_class_absent_from_the_test_is_left_out_of_the_means():
    logits = np.eye(3)[[0, 1, 1]] * 5
    evaluation = evaluate_classification(logits, np.array([0, 1, 1]), NAMES[:3])
    absent = evaluation["per_class"][2]
    assert (absent["support"], absent["precision"], absent["recall"]) == (0, None, None)
    assert absent["f1"] is None
    assert evaluation["scores"]["macro_f1"] == 1.0


@pytest.mark.parametrize("count", [0, 1, 2])
def test_tiny_tests_give_plain_json(count):
    logits, labels = made(count)
    evaluation = evaluate_classification(logits, labels, NAMES)
    assert json.loads(json.dumps(evaluation, allow_nan=False)) == evaluation
    assert evaluation["examples"] == count
    assert (evaluation["scores"]["accuracy"] is None) == (count == 0)
    assert evaluation["intervals"]["accuracy"] == [None, None] or count > 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_row_that_is_not_finite_counts_as_wrong_and_is_counted(bad):
    logits = np.eye(2)[[0, 0, 1]] * 9
    logits[0, 0] = bad
    evaluation = evaluate_classification(logits, np.array([0, 0, 1]), NAMES[:2])
    json.dumps(evaluation, allow_nan=False)
    assert evaluation["non_finite"] == 1
    assert evaluation["scores"]["accuracy"] == pytest.approx(2 / 3)
    assert evaluation["confusion"] == [[1, 0], [0, 1]]
    assert evaluation["per_class"][0]["recall"] == 0.5
    assert evaluation["scores"]["loss"] == pytest.approx((np.log(2) + 2 * np.log1p(np.exp(-9))) / 3)
    assert evaluation["mistakes"][0]["predicted"] is None


def test_reliability_bins_hold_every_answer_and_give_the_calibration_error():
    logits, labels = made(500)
    evaluation = evaluate_classification(logits, labels, NAMES)
    probabilities = softmax(logits)
    confidence, correct = probabilities.max(1), probabilities.argmax(1) == labels
    assert sum(entry["count"] for entry in evaluation["reliability"]) == 500
    error = 0.0
    for entry in evaluation["reliability"]:
        inside = (confidence > entry["low"]) & (confidence <= entry["high"])
        assert entry["accuracy"] == pytest.approx(correct[inside].mean())
        assert entry["confidence"] == pytest.approx(confidence[inside].mean())
        error += inside.mean() * abs(entry["accuracy"] - entry["confidence"])
    assert evaluation["expected_calibration_error"] == pytest.approx(error)


def test_the_same_seed_gives_the_same_intervals_and_another_seed_others():
    logits, labels = made()
    first, second = (evaluate_classification(logits, labels, NAMES, seed=s) for s in (3, 3))
    other = evaluate_classification(logits, labels, NAMES, seed=4)
    assert first == second
    assert first["intervals"] != other["intervals"]


def test_worst_mistakes_are_wrong_and_ordered_by_loss():
    logits, labels = made()
    rows = worst_mistakes(logits, labels, 10)
    assert (predictions(logits)[rows] != labels[rows]).all()
    actual = softmax(logits)[rows, labels[rows]]
    assert (np.diff(actual) >= 0).all()
    wrong = predictions(logits) != labels
    assert actual[0] == softmax(logits)[wrong, labels[wrong]].min()


def test_softmax_survives_extreme_outputs():
    rows = softmax(np.array([[3e38, -3e38], [0, 0], [np.nan, 1]], np.float32))
    assert rows.tolist() == [[1.0, 0.0], [0.5, 0.5], [0.5, 0.5]]


def test_labels_and_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"shape \[2, 3\]; expected \[2, 4\]"):
        evaluate_classification(np.zeros((2, 3)), np.zeros(2, int), NAMES)
    with pytest.raises(ValueError, match="from -1 to 0; expected 0 to 3"):
        evaluate_classification(np.zeros((2, 4)), np.array([0, -1]), NAMES)


def test_answers_name_the_likeliest_class():
    answer = class_answers(np.log([[0.1, 0.7, 0.195, 0.005]]), NAMES)[0]
    assert isinstance(answer, ClassAnswer)
    assert str(answer) == "dog 70.0% (emu 19.5%, cat 10.0%)"
    assert list(answer.to_json()["probabilities"]) == ["dog", "emu", "cat", "fox"]
    assert answer.to_json()["probability"] == pytest.approx(0.7)
