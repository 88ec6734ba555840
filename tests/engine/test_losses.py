"""Losses measured on the host against Keras' own."""

import keras
import numpy as np
import pytest

from septet.engine.losses import LOSSES


def test_softmax_equals_keras():
    random = np.random.default_rng(0)
    logits = (10 * random.normal(size=(50, 7))).astype(np.float32)
    labels = random.integers(0, 7, 50)
    measured = LOSSES["softmax"].measure(logits, labels)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, logits)
    assert measured["loss"] == pytest.approx(np.asarray(loss).item(), rel=1e-5)
    assert measured["accuracy"] == pytest.approx((logits.argmax(-1) == labels).mean())


def test_softmax_survives_logits_that_overflow():
    measured = LOSSES["softmax"].measure(np.array([[1e4, -1e4]], np.float32), np.array([1]))
    assert measured["loss"] == pytest.approx(2e4)


def test_squared_equals_its_definition():
    outputs = np.array([[1.0], [2.0]], np.float32)
    measured = LOSSES["squared"].measure(outputs, np.array([0.0, 4.0]))
    assert measured == {"loss": 2.5, "mean_absolute_error": 1.5}


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_arguments_compile_a_model(name):
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(3)])
    model.compile(optimizer="sgd", **LOSSES[name].compile_arguments())
    assert model.loss is not None
