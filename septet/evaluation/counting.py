"""What is counted of right and wrong answers, and the scores that follow from it."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Counts:
    """Per class or label, [..., K].

    Args:
        actual: Examples that have it.
        predicted: Examples that were given it.
        correct: Both at once.
    """

    actual: np.ndarray
    predicted: np.ndarray
    correct: np.ndarray

    def scores(self) -> dict[str, np.ndarray]:
        """Precision, recall and F1 of each, [..., K], NaN where undefined."""
        return {
            "precision": ratio(self.correct, self.predicted),
            "recall": ratio(self.correct, self.actual),
            "f1": ratio(2 * self.correct, self.actual + self.predicted),
        }


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """`part / whole`, NaN where `whole` is zero."""
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)


def mean_of_defined(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis without NaN; NaN where nothing is left."""
    present = ~np.isnan(values)
    return ratio(np.where(present, values, 0.0).sum(axis=-1), present.sum(axis=-1))
