"""Optimizers by name: Keras' own with the settings, and Muon for every matrix there is."""

from typing import Any, get_args

import jax
import keras
import numpy as np
import pytest

from septet.config import Optimizer, TrainingOptions, validate
from septet.engine.muon import Muon
from septet.engine.optimizers import make_optimizer
from septet.errors import ConfigError

CLASSES = {"momentum": "sgd"}


@pytest.mark.parametrize("name", get_args(Optimizer))
def test_each_optimizer_is_keras_own_with_the_settings(name):
    options = TrainingOptions(optimizer=name, learning_rate=0.25, clip_norm=2.0)
    optimizer = make_optimizer(options)
    assert isinstance(optimizer, keras.optimizers.Optimizer)
    assert type(optimizer).__name__.lower() == CLASSES.get(name, name)
    assert float(optimizer.learning_rate) == 0.25
    assert optimizer.global_clipnorm == 2.0


def test_an_unknown_optimizer_gets_one_message_that_lists_all():
    with pytest.raises(ConfigError) as raised:
        validate(TrainingOptions, {"optimizer": "adamm"}, "training")
    message = str(raised.value)
    assert message.startswith("Setting 'training.optimizer' is \"adamm\": it should be 'adadelta'")
    assert all(f"'{name}'" in message for name in get_args(Optimizer))
    assert "\n" not in message


def test_sgd_is_nesterovs_momentum_and_momentum_is_polyaks():
    by_name = {
        name: make_optimizer(TrainingOptions(optimizer=name, momentum=0.5))
        for name in ("sgd", "momentum")
    }
    assert by_name["sgd"].nesterov
    assert not by_name["momentum"].nesterov
    assert by_name["sgd"].momentum == by_name["momentum"].momentum == 0.5
    plain = make_optimizer(TrainingOptions(optimizer="sgd", momentum=0.0))
    assert (plain.momentum, plain.nesterov) == (0.0, False)


@pytest.mark.parametrize("name", ["adamw", "lion", "muon", "lamb", "adafactor"])
def test_weight_decay_makes_weights_smaller(name):
    moved = []
    for decay in (0.0, 0.5):
        options = TrainingOptions(optimizer=name, weight_decay=decay, learning_rate=0.1)
        (value,) = after_steps(make_optimizer(options), [np.ones((3, 3))], [np.zeros((3, 3))])
        moved.append(np.abs(value).max())
    assert moved[1] < moved[0]


def after_steps(optimizer: Any, values: Any, gradients: Any, *, names=("kernel",), count=1):
    """Values after `count` steps with the same gradients, as the program would take them."""
    variables = [
        keras.Variable(value.astype(np.float32), name=name)
        for value, name in zip(values, names, strict=True)
    ]
    optimizer.build(variables)
    state = [variable.value for variable in optimizer.variables]
    current = [variable.value for variable in variables]
    step = jax.jit(optimizer.stateless_apply)
    for _ in range(count):
        current, state = step(state, [g.astype(np.float32) for g in gradients], current)
    return [np.asarray(value) for value in current]


def muon() -> Muon:
    return Muon(learning_rate=0.1, weight_decay=0.0, adam_weight_decay=0.0)


def literal_muon(value: np.ndarray, gradient: np.ndarray, steps: int) -> np.ndarray:
    """Jordan et al. (2024) for one matrix, scaled as in arXiv:2502.16982, in float64."""
    momentum = np.zeros_like(value)
    for _ in range(steps):
        momentum = 0.95 * momentum + gradient
        x = gradient + 0.95 * momentum
        x = x.T if x.shape[0] > x.shape[1] else x
        x = x / np.linalg.norm(x)
        for _ in range(5):
            a = x @ x.T
            x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
        x = x.T if x.shape != value.shape else x
        value = value - 0.1 * 0.2 * max(value.shape) ** 0.5 * x
    return value


def test_muon_turns_each_matrix_of_members_and_convolutions_as_its_definition_does():
    random = np.random.default_rng(0)
    shapes = [(5, 3), (4, 3, 6), (3, 3, 2, 7), (2, 2)]
    values, gradients = ([random.normal(size=shape) for shape in shapes] for _ in range(2))
    names = ("dense", "members", "convolution", "last")
    found = after_steps(muon(), values, gradients, names=names, count=3)
    expected = literal_muon(values[0], gradients[0], 3)
    np.testing.assert_allclose(found[0], expected, atol=2e-5)
    for member in range(4):
        expected = literal_muon(values[1][member], gradients[1][member], 3)
        np.testing.assert_allclose(found[1][member], expected, atol=2e-5)
    flat = literal_muon(values[2].reshape(18, 7), gradients[2].reshape(18, 7), 3)
    np.testing.assert_allclose(found[2].reshape(18, 7), flat, atol=2e-5)


def test_muon_leaves_all_but_hidden_matrices_to_adam():
    random = np.random.default_rng(0)
    names = ("embedding", "kernel", "bias", "scale", "logits")
    shapes = [(9, 4), (4, 4), (4, 4), (4,), (4, 2)]
    values, gradients = ([random.normal(size=shape) for shape in shapes] for _ in range(2))
    found = after_steps(muon(), values, gradients, names=names, count=2)
    adam = keras.optimizers.Adam(0.1)
    others = after_steps(adam, values, gradients, names=names, count=2)
    same = [np.allclose(a, b, atol=1e-6) for a, b in zip(found, others, strict=True)]
    assert same == [True, False, True, True, True]
