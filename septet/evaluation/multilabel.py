"""Answers and scores where an example has any number of labels, as plain JSON values.

Each label is a question of its own, answered yes from a threshold on. Knows logits, truths and
names of labels; no field, no file and no network.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from septet.evaluation.bootstrap import (
    FEWEST_RESAMPLES,
    percentiles,
    plain,
    plain_interval,
    resample_counts,
)
from septet.evaluation.classification import NUM_MISTAKES
from septet.evaluation.counting import Counts, mean_of_defined, ratio

MOST_SHOWN = 3
"""Labels that were not given and are still named beside an answer."""
LEAST_SHOWN = 0.01
GRID = np.arange(1, 100) / 100
"""What a tuned threshold may be."""
FEWEST = 10
"""Examples with a label, and without it, from which its threshold is tuned."""
HALF = 0.5
WORK = 100_000_000
"""Sums over examples and labels that a bootstrap may take, as long as it has 200 resamples."""
MOST_WORK = 400_000_000
"""With more of them even for 200 resamples, average precision has no interval."""


@dataclass(frozen=True)
class LabelsAnswer:
    """What a network says about one input: the labels it gives, and the probability of each.

    Args:
        labels: Those given, the likeliest first; perhaps none.
        probabilities: Of every label.
        thresholds: Of every label, from which it is given.
    """

    labels: tuple[str, ...]
    probabilities: dict[str, float]
    thresholds: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """The answer as plain values: given labels first, in both parts likeliest first."""
        names = self._ordered()
        return {
            "labels": list(self.labels),
            "probabilities": {name: self.probabilities[name] for name in names},
            "thresholds": {name: self.thresholds[name] for name in names},
        }

    def _ordered(self) -> list[str]:
        given = set(self.labels)
        rest = [name for name in self.probabilities if name not in given]
        return [*self.labels, *sorted(rest, key=lambda name: -self.probabilities[name])]

    def __str__(self) -> str:
        """The labels given and, in brackets, up to three others above 1 %."""
        given = ", ".join(f"{name} {self.probabilities[name]:.1%}" for name in self.labels)
        rest = self._ordered()[len(self.labels) :][:MOST_SHOWN]
        likely = [(name, self.probabilities[name]) for name in rest]
        named = ", ".join(f"{name} {value:.1%}" for name, value in likely if value >= LEAST_SHOWN)
        return (given or "no label") + (f" ({named})" if named else "")


def usable_rows(logits: np.ndarray) -> np.ndarray:
    """Whether all of each row are finite numbers, bool [N]."""
    return np.logical_and.reduce(np.isfinite(logits), axis=-1)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Probabilities, float64 [N, K]; of a row with a NaN or infinity one half each."""
    logits = np.asarray(logits, np.float64)
    usable = usable_rows(logits)[:, None]
    # The hyperbolic tangent does not overflow.
    return 0.5 + 0.5 * np.tanh(0.5 * np.where(usable, logits, 0.0))


def label_answers(
    logits: np.ndarray, names: Sequence[str], thresholds: Sequence[float]
) -> list[LabelsAnswer]:
    """One answer for each row of logits [N, K]."""
    known = dict(zip(names, thresholds, strict=True))
    probabilities = sigmoid(logits)
    given = (probabilities >= np.asarray(thresholds)) & usable_rows(logits)[:, None]
    answers = []
    for row, is_given in zip(probabilities, given, strict=True):
        ordered = [place for place in np.argsort(-row, kind="stable").tolist() if is_given[place]]
        named = dict(zip(names, row.tolist(), strict=True))
        answers.append(LabelsAnswer(tuple(names[int(place)] for place in ordered), named, known))
    return answers


def tuned_thresholds(logits: np.ndarray, truths: np.ndarray) -> list[float]:
    """For each label the hundredth from which on answering yes has the best F1.

    Of equally good ones that nearest to 0.5; 0.5 for a label that fewer than ten examples have,
    or that fewer than ten lack.

    Args:
        logits: [N, K].
        truths: Whether each example has each label, [N, K].
    """
    probabilities, truths = sigmoid(logits), np.asarray(truths, bool)
    thresholds = []
    for values, is_true in zip(probabilities.T, truths.T, strict=True):
        positive = int(is_true.sum())
        if min(positive, len(is_true) - positive) < FEWEST:
            thresholds.append(HALF)
            continue
        hits = positive - np.searchsorted(np.sort(values[is_true]), GRID)
        given = len(values) - np.searchsorted(np.sort(values), GRID)
        f1 = 2 * hits / (positive + given)
        best = np.flatnonzero(f1 == f1.max())
        thresholds.append(float(GRID[best[np.abs(GRID[best] - HALF).argmin()]]))
    return thresholds


def average_precision(
    probabilities: np.ndarray, truths: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """Sum of the precision at each threshold times the recall it adds, for every row of weights.

    As scikit-learn's `average_precision_score`. NaN where nothing is true.

    Args:
        probabilities: Of one label, [N].
        truths: Whether each example has it, [N].
        weights: How much each example counts, [R, N]; by default one row of ones.
    """
    if weights is None:
        weights = np.ones((1, len(probabilities)))
    order = np.argsort(-probabilities, kind="stable")
    values, is_true = probabilities[order], truths[order]
    weights = weights[:, order].astype(np.float64)
    # Equal probabilities are one threshold: counted at the last of each run of them.
    ends = np.append(np.flatnonzero(np.diff(values)), len(values) - 1) if len(values) else []
    hits = np.cumsum(weights * is_true, axis=1)[:, ends]
    given = np.cumsum(weights, axis=1)[:, ends]
    gained = np.diff(hits, axis=1, prepend=0.0)
    precision = np.divide(hits, given, out=np.zeros_like(hits), where=given > 0)
    total = (weights * is_true).sum(axis=1)
    return ratio((gained * precision).sum(axis=1), total)


def evaluate_labels(
    logits: np.ndarray,
    truths: np.ndarray,
    names: Sequence[str],
    thresholds: Sequence[float],
    *,
    seed: int = 0,
    resamples: int = 1000,
) -> dict[str, Any]:
    """Scores of `logits` [N, K] against `truths` [N, K], as plain JSON values.

    `micro_f1` counts all answers together; `macro_f1` and `mean_average_precision` are means over
    the labels for which they are defined; `exact_match` is the share of examples whose labels
    are all right and none too many (subset accuracy); `hamming_loss` the share of wrong answers
    of all N * K; `loss` the mean binary cross-entropy in nats. Scores are those of scikit-learn,
    with undefined ones left out of means in place of zeros. A row with a NaN or an infinity
    counts as wrong about every label, and in `non_finite`. Undefined scores are None.

    Returns:
        examples, non_finite, scores, intervals (95 %), per_class (with threshold and
        average_precision) and mistakes (the worst, by row).

    Raises:
        ValueError: The shapes disagree.
    """
    logits, truths = np.asarray(logits, np.float64), np.asarray(truths, bool)
    shape = (len(logits), len(names))
    if logits.shape != shape or truths.shape != shape or len(thresholds) != len(names):
        raise ValueError(
            f"The outputs have shape {logits.shape}, the truths {truths.shape}, and there are "
            f"{len(thresholds)} thresholds; expected {shape} and one for each of the labels."
        )
    usable = usable_rows(logits)
    probabilities = sigmoid(logits)
    given = probabilities >= np.asarray(thresholds)
    given = np.where(usable[:, None], given, ~truths)
    losses = row_losses(np.where(usable[:, None], logits, 0.0), truths)
    counts = Counts(truths.sum(axis=0), given.sum(axis=0), (truths & given).sum(axis=0))
    wrong = np.mean(given != truths, axis=1)
    precisions = np.array(
        [
            average_precision(*pair)[0]
            for pair in zip(probabilities.T, truths.T, strict=True)
        ]
    )  # fmt: skip
    by_row = np.stack([wrong == 0, wrong, losses])
    means = by_row.mean(axis=1) if len(logits) else np.full(3, np.nan)
    scores = _scores(counts, means, precisions)
    rows, class_rows = _bootstrap(
        truths, given, by_row, probabilities, _affordable(shape, resamples), seed
    )
    return {
        "examples": len(logits),
        "non_finite": int(np.sum(~usable)),
        "scores": {name: plain(value) for name, value in scores.items()},
        "intervals": {name: plain_interval(rows[name]) for name in scores},
        "per_class": _per_label(counts, precisions, class_rows, names, thresholds),
        "mistakes": _mistakes(probabilities, truths, given, losses, names),
    }


def row_losses(logits: np.ndarray, truths: np.ndarray) -> np.ndarray:
    """Mean binary cross-entropy over the labels of each row, float64 [N]."""
    logits = np.asarray(logits, np.float64)
    return np.logaddexp(0.0, np.where(truths, -logits, logits)).mean(axis=-1)


def _affordable(shape: tuple[int, int], resamples: int) -> int:
    cells = max(shape[0] * shape[1], 1)
    return min(resamples, max(FEWEST_RESAMPLES, WORK // cells))


def _scores(counts: Counts, means: np.ndarray, precisions: np.ndarray) -> dict[str, np.ndarray]:
    """Scores [...] of counts [..., K], of the means [3, ...] over rows, and precisions [..., K]."""
    exact, wrong, loss = means
    total = counts.actual.sum(axis=-1) + counts.predicted.sum(axis=-1)
    return {
        "micro_f1": ratio(2 * counts.correct.sum(axis=-1), total),
        "macro_f1": mean_of_defined(counts.scores()["f1"]),
        "exact_match": exact,
        "hamming_loss": wrong,
        "mean_average_precision": mean_of_defined(precisions),
        "loss": loss,
    }


Samples = dict[str, np.ndarray]


def _bootstrap(
    truths: np.ndarray,
    given: np.ndarray,
    by_row: np.ndarray,
    probabilities: np.ndarray,
    resamples: int,
    seed: int,
) -> tuple[Samples, Samples]:
    """Scores [R] and scores of each label [R, K] of each resample of the examples."""
    count, num_labels = truths.shape
    # Sums of whole numbers below 2^24 are exact in float32.
    groups = [part.astype(np.float32) for part in (truths, given, truths & given)]
    has_precision = truths.size * FEWEST_RESAMPLES <= MOST_WORK
    blocks: list[tuple[Samples, Samples]] = []
    for drawn in resample_counts(count, resamples, seed):
        weights = drawn.astype(np.float32)
        counts = Counts(*(weights @ group for group in groups))
        precisions = np.full(counts.actual.shape, np.nan)
        if has_precision:
            for label in range(num_labels):
                precisions[:, label] = average_precision(
                    probabilities[:, label], truths[:, label], drawn
                )
        scores = _scores(counts, by_row @ drawn.T / count, precisions)
        blocks.append((scores, {**counts.scores(), "average_precision": precisions}))
    if not blocks:
        empty = Counts(*(np.zeros((0, num_labels)) for _ in range(3)))
        nothing = np.zeros((0, num_labels))
        scores = _scores(empty, np.zeros((3, 0)), nothing)
        return scores, {**empty.scores(), "average_precision": nothing}
    return _joined([block for block, _ in blocks]), _joined([block for _, block in blocks])


def _joined(blocks: list[Samples]) -> Samples:
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def _per_label(
    counts: Counts,
    precisions: np.ndarray,
    samples: Mapping[str, np.ndarray],
    names: Sequence[str],
    thresholds: Sequence[float],
) -> list[dict[str, Any]]:
    scores = {**counts.scores(), "average_precision": precisions}
    nothing = np.full((2, len(names)), np.nan)
    intervals = {
        name: percentiles(np.asarray(values, np.float64)) if len(values) else nothing
        for name, values in samples.items()
    }
    return [
        {
            "label": str(label),
            **{name: plain(values[place]) for name, values in scores.items()},
            "threshold": float(thresholds[place]),
            "support": int(counts.actual[place]),
            "intervals": {
                name: [plain(low[place]), plain(high[place])]
                for name, (low, high) in intervals.items()
            },
        }
        for place, label in enumerate(names)
    ]


def _mistakes(
    probabilities: np.ndarray,
    truths: np.ndarray,
    given: np.ndarray,
    losses: np.ndarray,
    names: Sequence[str],
) -> list[dict[str, Any]]:
    """The wrong answers with the highest loss: row, labels it has and was given, and the loss."""
    wrong = np.flatnonzero(np.logical_or.reduce(given != truths, axis=1))
    rows = wrong[np.argsort(-losses[wrong], kind="stable")][:NUM_MISTAKES]

    def named(places: np.ndarray) -> list[str]:
        return [str(names[place]) for place in places]

    found = []
    for row in rows:
        likeliest = np.argsort(-probabilities[row], kind="stable")
        found.append(
            {
                "row": int(row),
                "actual": named(np.flatnonzero(truths[row])),
                "predicted": named(likeliest[given[row][likeliest]]),
                "loss": float(losses[row]),
            }
        )
    return found
