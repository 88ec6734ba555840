"""Scores of predicted numbers, with 95 % bootstrap intervals, as plain JSON values."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from septet.evaluation.bootstrap import plain, plain_interval, resample_counts

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
NUM_MISTAKES = 24
SCORES = ("r2", "mean_absolute_error", "root_mean_squared_error")


@dataclass(frozen=True)
class NumberAnswer:
    """What a regression says about one input, in the unit of the targets."""

    value: float

    def to_json(self) -> dict[str, Any]:
        """The answer as plain values."""
        return {"value": self.value}

    def __str__(self) -> str:
        """The number to six significant digits."""
        return f"{self.value:.6g}"


def evaluate_regression(
    predicted: np.ndarray, actual: np.ndarray, *, seed: int = 0, resamples: int = 1000
) -> dict[str, Any]:
    """Scores of `predicted` [N] or [N, 1] against `actual` [N], as plain JSON values.

    `r2` is 1 - squared error / squared deviation from the mean of `actual` (None where all
    targets are equal); the errors are in the unit of the targets. A prediction that is not
    finite is scored as the mean of the targets and counted in `non_finite`.

    Returns:
        examples, non_finite, scores, intervals (95 %), residual_quantiles (of predicted -
        actual, by quantile) and mistakes (the largest, by row).

    Raises:
        ValueError: The shapes disagree or a target is not finite.
    """
    predicted, actual, non_finite = _checked(predicted, actual)
    residuals = predicted - actual
    centre = actual.mean() if len(actual) else 0.0
    terms = np.stack(
        [residuals**2, np.abs(residuals), (actual - centre) ** 2, actual - centre], axis=1
    )
    scores = _scores(terms.sum(axis=0, keepdims=True), len(actual))
    blocks = [
        _scores(drawn.astype(np.float64) @ terms, len(actual))
        for drawn in resample_counts(len(actual), resamples, seed)
    ]
    samples = np.concatenate(blocks) if blocks else np.zeros((0, len(SCORES)))
    return {
        "examples": len(actual),
        "non_finite": non_finite,
        "scores": {name: plain(scores[0, place]) for place, name in enumerate(SCORES)},
        "intervals": {name: plain_interval(samples[:, place]) for place, name in enumerate(SCORES)},
        "residual_quantiles": {
            f"{quantile:g}": plain(np.quantile(residuals, quantile)) if len(residuals) else None
            for quantile in QUANTILES
        },
        "mistakes": _mistakes(predicted, actual),
    }


def _checked(predicted: np.ndarray, actual: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    predicted, actual = np.asarray(predicted, np.float64), np.asarray(actual, np.float64)
    if predicted.shape == (len(actual), 1):
        predicted = predicted[:, 0]
    if actual.ndim != 1 or predicted.shape != actual.shape:
        raise ValueError(
            f"The predictions have shape {list(predicted.shape)} and the targets "
            f"{list(actual.shape)}; expected one number for each example."
        )
    if not np.isfinite(actual).all():
        raise ValueError("A target is NaN or infinite; leave such examples out.")
    usable = np.isfinite(predicted)
    centre = actual.mean() if len(actual) else 0.0
    return np.where(usable, predicted, centre), actual, int(np.sum(~usable))


def _scores(sums: np.ndarray, num_examples: int) -> np.ndarray:
    """Sums over examples [R, 4] of the terms -> r2, mean absolute and root mean squared error."""
    if num_examples == 0:
        return np.full((len(sums), len(SCORES)), np.nan)
    squared, absolute, deviation, shift = sums.T
    spread = deviation - shift**2 / num_examples
    is_spread = spread > 1e-12 * np.maximum(deviation, np.finfo(np.float64).tiny)
    ratio = np.divide(squared, spread, out=np.full(len(sums), np.nan), where=is_spread)
    return np.stack([1 - ratio, absolute / num_examples, np.sqrt(squared / num_examples)], axis=1)


def _mistakes(predicted: np.ndarray, actual: np.ndarray) -> list[dict[str, Any]]:
    rows = np.argsort(-np.abs(predicted - actual), kind="stable")[:NUM_MISTAKES]
    return [
        {
            "row": int(row),
            "actual": float(actual[row]),
            "predicted": float(predicted[row]),
            "error": float(predicted[row] - actual[row]),
        }
        for row in rows
    ]
