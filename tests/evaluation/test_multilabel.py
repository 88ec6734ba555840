"""Scores of any number of labels against their written-out definitions and scikit-learn's."""

import json

import numpy as np
import pytest

from septet.evaluation.multilabel import (
    average_precision,
    evaluate_labels,
    label_answers,
    row_losses,
    sigmoid,
    tuned_thresholds,
)

NAMES = ["calm", "glad", "loud", "rare"]
HALVES = [0.5] * 4


def made(num_examples=300, seed=0):
    random = np.random.default_rng(seed)
    truths = random.random((num_examples, 4)) < [0.5, 0.3, 0.1, 0.02]
    logits = random.normal(size=truths.shape) * 1.5 - 0.8 + 2.0 * truths
    return np.round(logits, 1).astype(np.float32), truths


def literal_scores(logits, truths, thresholds):
    """The definitions, written out example by example and label by label."""
    given = sigmoid(logits) >= thresholds
    f1s, precisions = [], []
    for k in range(truths.shape[1]):
        hits = sum(g and t for g, t in zip(given[:, k], truths[:, k], strict=True))
        total = sum(given[:, k]) + sum(truths[:, k])
        if total:
            f1s.append(2 * hits / total)
        if any(truths[:, k]):
            precisions.append(literal_precision(logits[:, k], truths[:, k]))
    pairs = list(zip(given, truths, strict=True))
    q = sigmoid(logits)
    losses = -np.log(np.where(truths, q, 1 - q))
    return {
        "micro_f1": 2 * (given & truths).sum() / (given.sum() + truths.sum()),
        "macro_f1": np.mean(f1s),
        "exact_match": np.mean([list(g) == list(t) for g, t in pairs]),
        "hamming_loss": np.mean([np.mean(g != t) for g, t in pairs]),
        "mean_average_precision": np.mean(precisions),
        "loss": losses.mean(),
    }


def literal_precision(scores, truths):
    """Over every different score as a threshold: precision times what recall grows by."""
    total, recall = 0.0, 0.0
    for threshold in sorted(set(scores.tolist()), reverse=True):
        given = scores >= threshold
        hits = (given & truths).sum()
        total += (hits / truths.sum() - recall) * hits / given.sum()
        recall = hits / truths.sum()
    return total


@pytest.mark.parametrize("thresholds", [HALVES, [0.4, 0.2, 0.7, 0.31]])
def test_scores_equal_their_written_out_definitions(thresholds):
    logits, truths = made()
    found = evaluate_labels(logits, truths, NAMES, thresholds, resamples=10)
    assert found["scores"] == pytest.approx(literal_scores(logits, truths, thresholds), rel=1e-9)
    assert [entry["threshold"] for entry in found["per_class"]] == thresholds


# By scikit-learn 1.9.1 on `made(40, seed=8)` at thresholds of one half:
# f1_score(average="micro" and "macro"), accuracy_score, hamming_loss,
# average_precision_score(average="macro"), and precision_recall_fscore_support and
# average_precision_score(average=None) for each label.
BY_SCIKIT_LEARN = {
    "micro_f1": 0.57446809,
    "macro_f1": 0.43212802,
    "exact_match": 0.3,
    "hamming_loss": 0.25,
    "mean_average_precision": 0.69823102,
}
BY_SCIKIT_LEARN_EACH = {
    "precision": [0.76190476, 0.5, 0.1, 0.1],
    "recall": [0.72727273, 0.81818182, 1.0, 1.0],
    "f1": [0.74418605, 0.62068966, 0.18181818, 0.18181818],
    "support": [22, 11, 1, 1],
    "average_precision": [0.83171035, 0.79454708, 0.16666667, 1.0],
}


def test_scores_equal_those_of_scikit_learn():
    logits, truths = made(40, seed=8)
    found = evaluate_labels(logits, truths, NAMES, HALVES, resamples=10)
    scores = {name: found["scores"][name] for name in BY_SCIKIT_LEARN}
    assert scores == pytest.approx(BY_SCIKIT_LEARN, abs=1e-6)
    for name, values in BY_SCIKIT_LEARN_EACH.items():
        assert [entry[name] for entry in found["per_class"]] == pytest.approx(values, abs=1e-6)


def test_intervals_equal_a_slow_bootstrap_of_the_same_scores():
    logits, truths = made(60)
    found = evaluate_labels(logits, truths, NAMES, HALVES, resamples=4000)
    random = np.random.default_rng(9)
    samples = []
    for _ in range(300):
        rows = random.integers(0, len(truths), len(truths))
        samples.append(literal_scores(logits[rows], truths[rows], HALVES))
    for name, (low, high) in found["intervals"].items():
        values = [sample[name] for sample in samples]
        # Two independent bootstraps: their ends agree to a fifth of its width.
        slack = 0.2 * (high - low)
        assert np.quantile(values, [0.025, 0.975]) == pytest.approx([low, high], abs=slack)
        assert low <= found["scores"][name] <= high
    first = found["per_class"][0]
    for name, (low, high) in first["intervals"].items():
        assert low < first[name] < high


def test_drawing_an_example_twice_weighs_it_twice_in_average_precision():
    logits, truths = made(50)
    values, is_true = sigmoid(logits)[:, 0], truths[:, 0]
    weights = np.random.default_rng(1).integers(0, 3, (3, 50))
    found = average_precision(values, is_true, weights)
    for row, value in zip(weights, found, strict=True):
        drawn = np.repeat(np.arange(50), row)
        assert value == pytest.approx(literal_precision(values[drawn], is_true[drawn]))
    assert np.isnan(average_precision(values, np.zeros(50, bool))).all()


@pytest.mark.parametrize("count", [0, 1, 2])
def test_tiny_tests_give_plain_json(count):
    logits, truths = made(count)
    found = evaluate_labels(logits, truths, NAMES, HALVES)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["examples"] == count
    assert (found["scores"]["exact_match"] is None) == (count == 0)


def test_no_labels_given_or_true_is_an_exact_match_with_no_f1():
    found = evaluate_labels(np.full((3, 4), -9.0), np.zeros((3, 4)), NAMES, HALVES)
    assert found["scores"]["exact_match"] == 1.0
    assert found["scores"]["hamming_loss"] == 0.0
    assert found["scores"]["micro_f1"] is found["scores"]["mean_average_precision"] is None
    assert found["mistakes"] == []


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_row_that_is_not_finite_is_wrong_about_every_label_and_counted(bad):
    logits = np.array([[9.0, -9.0], [9.0, bad]])
    truths = np.array([[True, False], [False, False]])
    found = evaluate_labels(logits, truths, NAMES[:2], [0.5, 0.5])
    json.dumps(found, allow_nan=False)
    assert found["non_finite"] == 1
    assert found["scores"]["exact_match"] == 0.5
    assert found["scores"]["hamming_loss"] == 0.5
    assert found["scores"]["loss"] == pytest.approx((np.log(2) + np.log1p(np.exp(-9))) / 2)
    assert label_answers(logits, NAMES[:2], [0.5, 0.5])[1].labels == ()


def test_mistakes_name_what_is_there_and_what_was_given():
    logits = np.array([[3.0, -3.0], [2.0, 5.0], [-1.0, -1.0]])
    truths = np.array([[True, False], [False, False], [True, False]])
    found = evaluate_labels(logits, truths, NAMES[:2], [0.5, 0.5])
    assert [(entry["row"], entry["actual"], entry["predicted"]) for entry in found["mistakes"]] == [
        (1, [], ["glad", "calm"]),
        (2, ["calm"], []),
    ]
    assert found["mistakes"][0]["loss"] == row_losses(logits, truths)[1]


def test_shapes_that_disagree_are_refused():
    with pytest.raises(ValueError, match=r"expected \(2, 3\) and one for each"):
        evaluate_labels(np.zeros((2, 4)), np.zeros((2, 4)), NAMES[:3], HALVES[:3])


def test_tuned_thresholds_have_the_best_f1_there_is():
    logits, truths = made(400, seed=3)
    thresholds = tuned_thresholds(logits, truths)
    for k in range(3):
        scores = []
        for threshold in np.arange(1, 100) / 100:
            given = sigmoid(logits)[:, k] >= threshold
            total = given.sum() + truths[:, k].sum()
            scores.append(2 * (given & truths[:, k]).sum() / total)
        given = sigmoid(logits)[:, k] >= thresholds[k]
        own = 2 * (given & truths[:, k]).sum() / (given.sum() + truths[:, k].sum())
        assert own == pytest.approx(max(scores), rel=1e-12)
        nearer = abs(np.arange(1, 100) / 100 - 0.5) < abs(thresholds[k] - 0.5) - 1e-9
        assert (np.array(scores)[nearer] < own).all()
    assert thresholds[3] == 0.5  # too few examples have it


def test_thresholds_of_labels_that_few_have_or_lack_stay_at_one_half():
    logits = np.linspace(-4, 4, 40)[:, None].repeat(3, axis=1)
    truths = np.stack([np.arange(40) >= 31, np.arange(40) >= 30, np.arange(40) >= 9], axis=1)
    first, second, third = tuned_thresholds(logits, truths)
    assert (first, third) == (0.5, 0.5)
    assert second == pytest.approx(0.88, abs=0.02)
    assert tuned_thresholds(np.zeros((0, 2)), np.zeros((0, 2))) == [0.5, 0.5]


def test_answers_have_the_labels_from_their_thresholds_on_first():
    logits = np.log(np.array([[0.6, 0.3, 0.55, 0.004], [0.4, 0.1, 0.2, 0.001]]))
    logits -= np.log1p(-np.exp(logits))
    first, second = label_answers(logits, NAMES, [0.5, 0.25, 0.9, 0.5])
    assert first.labels == ("calm", "glad")
    row = first.to_json()
    assert list(row) == ["labels", "probabilities", "thresholds"]
    assert list(row["probabilities"]) == list(row["thresholds"]) == ["calm", "glad", "loud", "rare"]
    assert row["probabilities"]["glad"] == pytest.approx(0.3)
    assert row["thresholds"]["loud"] == 0.9
    assert str(first) == "calm 60.0%, glad 30.0% (loud 55.0%)"
    assert str(second) == "no label (calm 40.0%, loud 20.0%, glad 10.0%)"
    assert second.to_json()["labels"] == []


def test_probabilities_do_not_overflow():
    assert sigmoid(np.array([[1e5, -1e5]])).tolist() == [[1.0, 0.0]]
    assert row_losses(np.array([[1e5, -1e5]]), np.array([[False, True]])).tolist() == [1e5]
