"""Losses of pixels against literal NumPy; what is ignored counts nothing, in value and gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from septet.config import TrainingOptions, validate
from septet.errors import ConfigError
from septet.vision.segmentation import losses
from septet.vision.segmentation.task import SemanticSegmentation

LOGITS = np.random.default_rng(0).normal(size=(3, 6, 5, 4)).astype(np.float32)
MASKS = np.random.default_rng(1).integers(0, 4, (3, 6, 5)).astype(np.uint8)
MASKS[0, :2] = 255
MASKS[2] = 255
MASKS[1][MASKS[1] == 3] = 0


def shares(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits.astype(np.float64))
    return powers / powers.sum(-1, keepdims=True)


def literal(term: str, weights=None, smoothing: float = 0.0) -> list[float]:
    """The definition, pixel by pixel."""
    result = []
    for mask, p in zip(MASKS, shares(LOGITS), strict=True):
        known = [(y, x) for y, x in np.ndindex(mask.shape) if mask[y, x] != 255]
        if not known:
            result.append(0.0)
        elif term == "dice":
            values = []
            for k in {int(mask[place]) for place in known}:
                both = sum(p[place][k] for place in known if mask[place] == k)
                actual = sum(mask[place] == k for place in known)
                values.append((2 * both + 1) / (actual + sum(p[place][k] for place in known) + 1))
            result.append(1 - np.mean(values))
        else:
            total = count = 0.0
            for place in known:
                right = p[place][mask[place]]
                lost = -np.log(right)
                if term == "focal":
                    lost *= (1 - right) ** 2
                lost = (1 - smoothing) * lost - smoothing * np.log(p[place]).mean()
                weight = 1.0 if weights is None else weights[mask[place]]
                total, count = total + weight * lost, count + weight
            result.append(total / count)
    return result


@pytest.mark.parametrize("term", ["cross-entropy", "focal", "dice"])
def test_each_loss_is_its_definition(term):
    found = losses.of_each_picture(MASKS, LOGITS, terms=(term,))
    np.testing.assert_allclose(found, literal(term), rtol=1e-5, atol=1e-6)


def test_terms_add_up_and_weights_and_smoothing_count():
    both = losses.of_each_picture(MASKS, LOGITS, terms=("cross-entropy", "dice"))
    expected = np.add(literal("cross-entropy"), literal("dice"))
    np.testing.assert_allclose(both, expected, rtol=1e-5, atol=1e-6)
    weights = [0.1, 2.0, 1.0, 3.0]
    found = losses.of_each_picture(MASKS, LOGITS, terms=("cross-entropy",), weights=weights)
    np.testing.assert_allclose(found, literal("cross-entropy", weights), rtol=1e-5)
    found = losses.of_each_picture(MASKS, LOGITS, terms=("cross-entropy",), smoothing=0.2)
    np.testing.assert_allclose(found, literal("cross-entropy", smoothing=0.2), rtol=1e-5)


@pytest.mark.parametrize("choice", losses.CHOICES)
def test_ignored_pixels_have_no_gradient_and_all_is_finite(choice):
    terms = losses.CHOICES[choice]

    def total(logits):
        return jnp.sum(losses.of_each_picture(MASKS, logits, terms=terms))

    gradient = np.asarray(jax.grad(total)(LOGITS))
    assert np.isfinite(gradient).all()
    assert (gradient[MASKS == 255] == 0).all()
    assert (np.abs(gradient[MASKS != 255]).max(axis=-1) > 0).all()


def test_balanced_weights_have_a_mean_of_one_and_leave_absent_classes_out():
    weights = losses.balanced([0.9, 0.09, 0.01, 0.0])
    assert weights[3] == 0
    assert np.mean(weights[:3]) == pytest.approx(1.0)
    assert weights[2] / weights[0] == pytest.approx(90**0.5)


PREPARED = {"labels": ["background", "a"], "shares": [0.9, 0.1]}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"loss": "squared"}, "no loss for semantic-segmentation"),
        ({"loss": "dice", "label_smoothing": 0.1}, "needs cross-entropy"),
        ({"loss": "dice", "class_weights": "balanced"}, "weighs classes alike already"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(values, message):
    training = validate(TrainingOptions, values, "training")
    with pytest.raises(ConfigError, match=message):
        SemanticSegmentation().objective(training, PREPARED).compile_arguments()
