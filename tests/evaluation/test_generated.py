"""Scores of generated examples: known distances, known coverage."""

import numpy as np
import pytest

from septet.evaluation.generated import evaluate_generated, frechet_distance, is_covered


def normal(count, dims=4, mean=0.0, scale=1.0, seed=0):
    return np.random.default_rng(seed).normal(mean, scale, (count, dims))


def test_frechet_distance_of_known_normal_distributions():
    # Between N(0, 1) and N(m, s^2) in d independent dimensions it is d (m^2 + (1 - s)^2).
    one, other = normal(200_000), normal(200_000, mean=0.5, scale=2.0, seed=1)
    assert frechet_distance(one, other) == pytest.approx(4 * (0.25 + 1.0), rel=0.02)
    assert frechet_distance(one, one) == pytest.approx(0.0, abs=1e-9)


def test_frechet_distance_sees_correlation():
    features = normal(100_000, 2)
    tied = np.stack([features[:, 0], 0.9 * features[:, 0] + np.sqrt(0.19) * features[:, 1]], 1)
    # tr(I + C - 2 sqrt(C)) for eigenvalues 1.9 and 0.1.
    expected = 4 - 2 * (np.sqrt(1.9) + np.sqrt(0.1))
    assert frechet_distance(features, tied) == pytest.approx(expected, rel=0.03)


def test_what_lies_among_others_is_covered_and_what_lies_apart_is_not():
    crowd = normal(300)
    assert is_covered(normal(300, seed=1), crowd).mean() > 0.8
    assert not is_covered(normal(50, mean=30.0), crowd).any()


def test_a_generator_that_makes_one_thing_is_precise_and_recalls_nothing():
    real, reference = normal(400), normal(400, seed=2)
    same = normal(400, scale=1e-3, seed=3)
    found = evaluate_generated(real, same, reference)
    scores = found["scores"]
    assert scores["precision"] == 1.0
    assert scores["recall"] < 0.05 < 0.7 < scores["recall_of_real"]
    assert scores["frechet_distance"] > 10 * scores["frechet_distance_of_real"]
    for name, (low, high) in found["intervals"].items():
        assert low <= scores[name] <= high
