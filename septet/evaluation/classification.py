"""Scores of a classifier, with 95 % bootstrap intervals, as plain JSON values.

Knows logits, labels and class names; no field, no file and no network.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from septet.evaluation.bootstrap import percentiles, plain, plain_interval, resample_counts
from septet.evaluation.counting import Counts, mean_of_defined, ratio

NUM_BINS = 15
NUM_MISTAKES = 24
NOTHING = -1
"""Stands for the predicted class of a row whose outputs are not finite."""


@dataclass(frozen=True)
class ClassAnswer:
    """What a classifier says about one input: the likeliest class and all probabilities."""

    label: str
    probability: float
    probabilities: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """The answer as plain values, likeliest class first."""
        ordered = sorted(self.probabilities.items(), key=lambda item: -item[1])
        return {
            "label": self.label,
            "probability": self.probability,
            "probabilities": dict(ordered),
        }

    def __str__(self) -> str:
        """The class, its probability and up to two runners-up above 1 %."""
        others = [item for item in self.probabilities.items() if item[0] != self.label]
        others = sorted(others, key=lambda item: -item[1])[:2]
        named = ", ".join(f"{name} {value:.1%}" for name, value in others if value >= 0.01)
        return f"{self.label} {self.probability:.1%}" + (f" ({named})" if named else "")


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Logarithm of `softmax`, float64 [N, K]; rows with a NaN or infinity become uniform."""
    logits = np.asarray(logits, np.float64)
    usable = np.isfinite(logits).all(axis=-1, keepdims=True)
    logits = np.where(usable, logits, 0.0)
    shifted = logits - logits.max(axis=-1, keepdims=True, initial=-np.inf)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities, float64 [N, K], of logits [N, K].

    A row with a NaN or an infinity says nothing and becomes uniform.
    """
    return np.exp(log_softmax(logits))


def predictions(logits: np.ndarray) -> np.ndarray:
    """Likeliest class of each row, int64 [N]; -1 for a row with a NaN or an infinity."""
    logits = np.asarray(logits)
    if len(logits) == 0:
        return np.zeros(0, np.int64)
    usable = np.logical_and.reduce(np.isfinite(logits), axis=-1)
    return np.where(usable, np.where(usable[:, None], logits, 0.0).argmax(axis=-1), NOTHING)


def class_answers(logits: np.ndarray, class_names: Sequence[str]) -> list[ClassAnswer]:
    """One answer for each row of logits [N, K]."""
    answers = []
    for row in softmax(logits):
        best = int(row.argmax())
        named = {name: float(value) for name, value in zip(class_names, row, strict=True)}
        answers.append(ClassAnswer(class_names[best], float(row[best]), named))
    return answers


def worst_mistakes(logits: np.ndarray, labels: np.ndarray, count: int = NUM_MISTAKES) -> np.ndarray:
    """Rows of the `count` wrong answers with the highest loss, worst first: int64 [<= count]."""
    labels = np.asarray(labels, np.int64)
    if len(labels) == 0:
        return np.zeros(0, np.int64)
    losses = -log_softmax(logits)[np.arange(len(labels)), labels]
    wrong = np.flatnonzero(predictions(logits) != labels)
    return wrong[np.argsort(-losses[wrong], kind="stable")][:count]


def evaluate_classification(
    logits: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
    *,
    seed: int = 0,
    resamples: int = 1000,
) -> dict[str, Any]:
    """Scores of `logits` [N, K] against integer `labels` [N], as plain JSON values.

    `balanced_accuracy` is the mean recall over the classes present, `macro_f1` the mean F1
    over the classes present or predicted (both as scikit-learn defines them), `loss` the
    mean cross-entropy in nats. A row with a NaN or an infinity counts as wrong, with the
    loss of a uniform guess, and in `non_finite`. Undefined scores (no examples; precision
    of a class never predicted) are None.

    Returns:
        examples, non_finite, scores, intervals (95 %), per_class, confusion [K][K] (rows:
        actual, columns: predicted), reliability (bins of confidence),
        expected_calibration_error and mistakes (the worst, by row).

    Raises:
        ValueError: The shapes disagree or a label is not in 0..K-1.
    """
    logits, labels = _checked(logits, labels, class_names)
    num_classes = len(class_names)
    predicted = predictions(logits)
    log_probabilities = log_softmax(logits)
    losses = -log_probabilities[np.arange(len(labels)), labels]
    counts = _count(labels, predicted, num_classes)
    scores = {**_scores(counts), "loss": losses.mean() if len(losses) else np.nan}
    samples, class_samples = _bootstrap(labels, predicted, losses, num_classes, seed, resamples)
    bins = _reliability(np.exp(log_probabilities), labels, predicted)
    return {
        "examples": len(labels),
        "non_finite": int(np.sum(predicted == NOTHING)),
        "scores": {name: plain(value) for name, value in scores.items()},
        "intervals": {name: plain_interval(samples[name]) for name in scores},
        "per_class": _per_class(counts, class_samples, class_names),
        "confusion": _confusion(labels, predicted, num_classes),
        "reliability": bins,
        "expected_calibration_error": _calibration_error(bins),
        "mistakes": _mistakes(logits, labels, predicted, class_names),
    }


def _checked(
    logits: np.ndarray, labels: np.ndarray, class_names: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    logits, labels = np.asarray(logits), np.asarray(labels)
    if logits.ndim != 2 or logits.shape != (len(labels), len(class_names)):
        raise ValueError(
            f"The outputs have shape {list(logits.shape)}; expected [{len(labels)}, "
            f"{len(class_names)}] for {len(labels)} labels and {len(class_names)} classes."
        )
    if len(class_names) == 0:
        raise ValueError("There are no classes; give at least one class name.")
    labels = labels.astype(np.int64)
    if len(labels) and not (labels.min() >= 0 and labels.max() < len(class_names)):
        raise ValueError(
            f"The labels reach from {labels.min()} to {labels.max()}; expected 0 to "
            f"{len(class_names) - 1} for {len(class_names)} classes."
        )
    return logits, labels


def _count(labels: np.ndarray, predicted: np.ndarray, num_classes: int) -> Counts:
    def tally(values: np.ndarray) -> np.ndarray:
        return np.bincount(values, minlength=num_classes)

    return Counts(
        tally(labels),
        tally(predicted[predicted != NOTHING]),
        tally(labels[labels == predicted]),
    )


def _scores(counts: Counts) -> dict[str, np.ndarray]:
    by_class = counts.scores()
    return {
        "accuracy": ratio(counts.correct.sum(axis=-1), counts.actual.sum(axis=-1)),
        "balanced_accuracy": mean_of_defined(by_class["recall"]),
        "macro_f1": mean_of_defined(by_class["f1"]),
    }


def _bootstrap(
    labels: np.ndarray,
    predicted: np.ndarray,
    losses: np.ndarray,
    num_classes: int,
    seed: int,
    resamples: int,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Scores [R] and per-class scores [R, K] of each resample of the examples."""
    cells = _Cells(labels, predicted, num_classes)
    losses = losses[cells.order]
    rows: list[dict[str, np.ndarray]] = []
    class_rows: list[dict[str, np.ndarray]] = []
    for drawn in resample_counts(len(labels), resamples, seed):
        counts = cells.count(drawn)
        rows.append({**_scores(counts), "loss": drawn.astype(np.float64) @ losses / len(labels)})
        class_rows.append(counts.scores())
    return (
        _joined(rows, ("accuracy", "balanced_accuracy", "macro_f1", "loss"), (0,)),
        _joined(class_rows, ("precision", "recall", "f1"), (0, num_classes)),
    )


def _joined(
    blocks: list[dict[str, np.ndarray]], names: tuple[str, ...], empty: tuple[int, ...]
) -> dict[str, np.ndarray]:
    return {
        name: np.concatenate([block[name] for block in blocks]) if blocks else np.zeros(empty)
        for name in names
    }


class _Cells:
    """Examples in the order of their (label, prediction), so that counting is adding runs.

    Args:
        labels: Class of each example, int64 [N].
        predicted: Answered class of each example, -1 for none, int64 [N].
        num_classes: Number of classes, K.
    """

    def __init__(self, labels: np.ndarray, predicted: np.ndarray, num_classes: int):
        """Sort once; every resample is counted in that order."""
        self.num_classes = num_classes
        self.order = np.lexsort((predicted, labels))
        keys = (labels * (num_classes + 1) + predicted + 1)[self.order]
        cells, self.starts = np.unique(keys, return_index=True)
        self.labels, predicted_plus_one = np.divmod(cells, num_classes + 1)
        self.predicted = predicted_plus_one - 1

    def count(self, drawn: np.ndarray) -> Counts:
        """Counts [R, K] of resamples: how often each example, in `order`, was drawn [R, N]."""
        sums = np.add.reduceat(drawn, self.starts, axis=1)
        hits = np.where(self.labels == self.predicted, self.labels, NOTHING)
        return Counts(*(self._sum(sums, by) for by in (self.labels, self.predicted, hits)))

    def _sum(self, sums: np.ndarray, groups: np.ndarray) -> np.ndarray:
        order = np.argsort(groups, kind="stable")
        order = order[groups[order] >= 0]
        totals = np.zeros((len(sums), self.num_classes), np.int64)
        if len(order):
            present, starts = np.unique(groups[order], return_index=True)
            totals[:, present] = np.add.reduceat(sums[:, order], starts, axis=1)
        return totals


def _per_class(
    counts: Counts, samples: Mapping[str, np.ndarray], class_names: Sequence[str]
) -> list[dict[str, Any]]:
    scores = counts.scores()
    nothing = np.full((2, len(class_names)), np.nan)
    intervals = {
        name: percentiles(values) if len(values) else nothing for name, values in samples.items()
    }
    return [
        {
            "label": str(label),
            **{name: plain(values[row]) for name, values in scores.items()},
            "support": int(counts.actual[row]),
            "intervals": {
                name: [plain(low[row]), plain(high[row])] for name, (low, high) in intervals.items()
            },
        }
        for row, label in enumerate(class_names)
    ]


def _confusion(labels: np.ndarray, predicted: np.ndarray, num_classes: int) -> list[list[int]]:
    answered = predicted != NOTHING
    cells = labels[answered] * num_classes + predicted[answered]
    table = np.bincount(cells, minlength=num_classes * num_classes)
    return table.reshape(num_classes, num_classes).tolist()


def _reliability(
    probabilities: np.ndarray, labels: np.ndarray, predicted: np.ndarray
) -> list[dict[str, Any]]:
    """Non-empty bins of equal width over the confidence of the answers given."""
    answered = predicted != NOTHING
    confidence = probabilities[answered].max(axis=-1, initial=0.0)
    is_correct = (labels == predicted)[answered]
    places = np.clip(np.ceil(confidence * NUM_BINS).astype(np.int64) - 1, 0, NUM_BINS - 1)
    bins = []
    for place in np.unique(places):
        inside = places == place
        bins.append(
            {
                "low": float(place / NUM_BINS),
                "high": float((place + 1) / NUM_BINS),
                "confidence": float(confidence[inside].mean()),
                "accuracy": float(is_correct[inside].mean()),
                "count": int(inside.sum()),
            }
        )
    return bins


def _calibration_error(bins: Sequence[Mapping[str, Any]]) -> float | None:
    """Mean gap between confidence and accuracy, weighed by count (Guo et al. 2017)."""
    total = sum(entry["count"] for entry in bins)
    gaps = sum(entry["count"] * abs(entry["confidence"] - entry["accuracy"]) for entry in bins)
    return gaps / total if total else None


def _mistakes(
    logits: np.ndarray, labels: np.ndarray, predicted: np.ndarray, class_names: Sequence[str]
) -> list[dict[str, Any]]:
    """The worst mistakes: row, actual and predicted class (None: no answer), probabilities."""
    rows = worst_mistakes(logits, labels)
    probabilities = softmax(logits[rows]) if len(rows) else np.zeros((0, len(class_names)))
    return [
        {
            "row": int(row),
            "actual": str(class_names[actual]),
            "predicted": None if answered == NOTHING else str(class_names[answered]),
            "probability": float(values.max()),
            "probability_of_actual": float(values[actual]),
        }
        for row, actual, answered, values in zip(
            rows, labels[rows].tolist(), predicted[rows].tolist(), probabilities, strict=True
        )
    ]
