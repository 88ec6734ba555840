"""Scores of generated examples, in features that a classifier found: how close, how varied.

The Frechet distance is that of Heusel et al. (arXiv:1706.08500), precision and recall those
of Kynkaanniemi et al. (arXiv:1904.06991).
"""

from typing import Any

import numpy as np

NEIGHBOURS = 3
REPEATS = 200


def frechet_distance(real: np.ndarray, made: np.ndarray) -> float:
    """Squared Frechet distance of two normal distributions fitted to features [n, d].

    0 where means and covariances are equal. Grows as n shrinks: compare equal numbers only.
    """
    means = real.mean(axis=0) - made.mean(axis=0)
    first, second = (np.cov(features, rowvar=False) for features in (real, made))
    # The eigenvalues of a product of two covariances are real and not negative.
    roots = np.sqrt(np.maximum(np.linalg.eigvals(first @ second).real, 0.0))
    distance = means @ means + np.trace(first) + np.trace(second) - 2.0 * roots.sum()
    return float(max(distance, 0.0))


def is_covered(those: np.ndarray, by: np.ndarray, neighbours: int = NEIGHBOURS) -> np.ndarray:
    """Whether each of `those` [n, d] lies in the space that `by` [m, d] takes up: bool [n].

    That space is a ball around each of `by`, up to its nearest neighbours among themselves.
    """
    radii = np.partition(_squared_distances(by, by), neighbours, axis=1)[:, neighbours]
    return np.any(_squared_distances(those, by) <= radii, axis=1)


def _squared_distances(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """[n, m] of [n, d] and [m, d]."""
    squares = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1) - 2.0 * left @ right.T
    return np.maximum(squares, 0.0)


def evaluate_generated(
    real: np.ndarray, made: np.ndarray, reference: np.ndarray, seed: int = 0
) -> dict[str, Any]:
    """Scores of made examples beside those of other real ones, all as features [n, d].

    Args:
        real: Of real examples that were not trained on.
        made: Of as many generated ones.
        reference: Of as many other real examples: what a perfect generator would score.
        seed: Of the bootstrap.

    Returns:
        {"scores", "intervals"}: frechet_distance (lower is better), precision (share of
        the made that lie among the real) and recall (share of the real that lie among the
        made), each also for `reference`; 95 % intervals by bootstrap.
    """
    real, made, reference = (each.astype(np.float64) for each in (real, made, reference))
    random = np.random.default_rng(seed)
    scores: dict[str, float] = {}
    intervals: dict[str, list[float]] = {}
    for suffix, features in (("", made), ("_of_real", reference)):
        scores[f"frechet_distance{suffix}"] = frechet_distance(real, features)
        drawn = [
            frechet_distance(real, features[random.integers(0, len(features), len(features))])
            for _ in range(REPEATS // 4)
        ]
        # Drawing again adds to the distance; its spread is what counts.
        middle = float(np.median(drawn))
        low, high = np.percentile(drawn, [2.5, 97.5]) - middle + scores[f"frechet_distance{suffix}"]
        intervals[f"frechet_distance{suffix}"] = [max(float(low), 0.0), float(high)]
        for name, found in (
            ("precision", is_covered(features, real)),
            ("recall", is_covered(real, features)),
        ):
            scores[f"{name}{suffix}"] = float(found.mean())
            means = found[random.integers(0, len(found), (REPEATS, len(found)))].mean(axis=1)
            intervals[f"{name}{suffix}"] = [float(v) for v in np.percentile(means, [2.5, 97.5])]
    return {"scores": scores, "intervals": intervals}
