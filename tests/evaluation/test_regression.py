import json

import numpy as np
import pytest

from septet.evaluation.regression import NumberAnswer, evaluate_regression


def made(count=200):
    random = np.random.default_rng(1)
    actual = random.normal(50, 10, count)
    return actual + random.normal(0, 3, count), actual


def literal_scores(predicted, actual):
    errors = predicted - actual
    return {
        "r2": 1 - (errors**2).sum() / ((actual - actual.mean()) ** 2).sum(),
        "mean_absolute_error": np.abs(errors).mean(),
        "root_mean_squared_error": np.sqrt((errors**2).mean()),
    }


def test_scores_equal_their_written_out_definitions():
    predicted, actual = made()
    scores = evaluate_regression(predicted, actual)["scores"]
    assert scores == pytest.approx(literal_scores(predicted, actual), rel=1e-12)


def test_intervals_equal_a_slow_bootstrap_of_the_same_scores():
    predicted, actual = made()
    intervals = evaluate_regression(predicted, actual, resamples=4000)["intervals"]
    random = np.random.default_rng(9)
    samples = []
    for _ in range(3000):
        rows = random.integers(0, len(actual), len(actual))
        samples.append(literal_scores(predicted[rows], actual[rows]))
    for name, (low, high) in intervals.items():
        values = [sample[name] for sample in samples]
        slack = 0.1 * (high - low)
        assert np.quantile(values, [0.025, 0.975]) == pytest.approx([low, high], abs=slack)


def test_residual_quantiles_are_of_predicted_minus_actual():
    actual = np.arange(101.0)
    quantiles = evaluate_regression(actual + actual, actual)["residual_quantiles"]
    expected = {"0": 0, "0.05": 5, "0.25": 25, "0.5": 50, "0.75": 75, "0.95": 95, "1": 100}
    assert quantiles == pytest.approx(expected)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_tiny_tests_give_plain_json(count):
    predicted, actual = made(count)
    evaluation = evaluate_regression(predicted, actual)
    assert json.loads(json.dumps(evaluation, allow_nan=False)) == evaluation
    assert (evaluation["scores"]["r2"] is None) == (count < 2)
    assert (evaluation["scores"]["mean_absolute_error"] is None) == (count == 0)


def test_equal_targets_have_no_r2():
    evaluation = evaluate_regression(np.array([1.0, 2.0, 4.0]), np.full(3, 0.1))
    assert evaluation["scores"]["r2"] is None
    assert evaluation["scores"]["mean_absolute_error"] == pytest.approx(2.2333333)


def test_a_prediction_that_is_not_finite_scores_as_the_mean_and_is_counted():
    actual = np.array([1.0, 2.0, 3.0, 10.0])
    evaluation = evaluate_regression(np.array([1.0, np.nan, 3.0, np.inf]), actual)
    assert evaluation["non_finite"] == 2
    expected = literal_scores(np.array([1.0, 4.0, 3.0, 4.0]), actual)
    assert evaluation["scores"] == pytest.approx(expected)


def test_a_column_of_predictions_is_accepted_and_other_shapes_are_refused():
    predicted, actual = made()
    assert evaluate_regression(predicted[:, None], actual) == evaluate_regression(predicted, actual)
    with pytest.raises(ValueError, match="one number for each example"):
        evaluate_regression(predicted[:-1], actual)
    with pytest.raises(ValueError, match="target is NaN"):
        evaluate_regression(predicted, np.full(len(actual), np.nan))


def test_largest_errors_come_first():
    mistakes = evaluate_regression(np.array([1.0, 5.0, 2.0]), np.array([1.5, 1.0, 4.0]))["mistakes"]
    assert [entry["row"] for entry in mistakes] == [1, 2, 0]
    assert mistakes[0] == {"row": 1, "actual": 1.0, "predicted": 5.0, "error": 4.0}


def test_number_answers_read_well():
    assert str(NumberAnswer(1234.5678)) == "1234.57"
    assert NumberAnswer(2.0).to_json() == {"value": 2.0}
