"""Every gradient that is written by hand, against finite differences in float64.

The maxima of tiles under `lowered`; loops are checked as well. `test_these_are_all` finds others
(`native/reading.py` only reads what JAX calls by these names).
"""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.test_util import check_grads

import septet
from septet.engine.lowering import lowered


def tiles(window):
    """Maxima over tiles of `window`."""

    def function(inputs):
        return lax.reduce_window(inputs, -jnp.inf, lax.max, window, window, "VALID")

    return function


def simple(inputs, state, by_input, by_state):
    def step(state, row):
        state = jnp.tanh(row @ by_input + state @ by_state)
        return state, state

    return lax.scan(step, state, inputs)


def backwards(inputs, state, by_input, by_state):
    def step(state, row):
        state = jnp.tanh(row @ by_input + state @ by_state)
        return state, jnp.sin(state)

    return lax.scan(step, state, inputs, reverse=True)


def gated(inputs, state, by_input, by_state):
    """A gate, a state of two parts, and a weight that is used twice."""

    def step(states, row):
        hidden, cell = states
        gate = jax.nn.sigmoid(row @ by_input + hidden @ by_state)
        cell = gate * cell + (1 - gate) * jnp.tanh(hidden @ by_state)
        return (gate * jnp.tanh(cell), cell), hidden

    return lax.scan(step, (state, state), inputs)


def masked(inputs, state, by_input, by_state):
    """Some steps change nothing."""
    is_real = jnp.arange(len(inputs))[:, None, None] < jnp.asarray([[4], [2]])

    def step(state, row):
        features, is_real = row
        after = jnp.tanh(features @ by_input + state @ by_state)
        state = jnp.where(is_real, after, state)
        return state, state

    return lax.scan(step, state, (inputs, is_real))


SHAPES = (4, 2, 3), (2, 5), (3, 5), (5, 5)
FUNCTIONS = {
    "maxima of pairs": (tiles((1, 2, 1)), ((2, 7, 3),)),
    "maxima of squares": (tiles((1, 2, 2, 1)), ((2, 4, 6, 2),)),
    "maxima of large squares": (tiles((1, 5, 5, 1)), ((1, 5, 10, 2),)),
    "a loop": (simple, SHAPES),
    "a loop backwards": (backwards, SHAPES),
    "a loop with gates": (gated, SHAPES),
    "a masked loop": (masked, SHAPES),
}


def checked(name, order, modes):
    """Compare with finite differences, traced as the engine traces."""
    function, shapes = FUNCTIONS[name]
    random = np.random.default_rng(0)
    with jax.enable_x64(True), lowered("cpu"):
        # Numbers far enough from each other that none passes another within a difference.
        arguments = [
            jnp.asarray(random.permutation(np.prod(shape)).reshape(shape) / np.prod(shape) - 0.4)
            for shape in shapes
        ]
        check_grads(function, arguments, order, modes, atol=1e-6, rtol=1e-6, eps=1e-5)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_are_finite_differences(name):
    checked(name, 1, ["rev"])


@pytest.mark.parametrize("name", ["maxima of squares", "a loop", "a loop with gates"])
def test_gradients_of_gradients_are_finite_differences(name):
    checked(name, 2, ["rev"])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_forward_mode_is_finite_differences(name):
    checked(name, 1, ["fwd"])


def test_these_are_all():
    """A gradient written by hand elsewhere needs its rows above."""
    written = re.compile(r"custom_(vjp|jvp|gradient)|linear_call|custom_transpose")
    package = Path(septet.__file__).parent
    found = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if written.search(path.read_text(encoding="utf-8"))
    }
    # Calls into C know float32 alone: `native/test_attention.py`, `test_depthwise.py` and
    # `test_multiply.py` compare them with JAX's own gradients of the same.
    calls = {f"engine/native/{name}.py" for name in ("attention", "depthwise", "multiply")}
    assert found <= {"engine/lowering.py", "engine/native/reading.py"} | calls
