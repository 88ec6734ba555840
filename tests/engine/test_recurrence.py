"""Scans taken apart against JAX's own: values, gradients, and what must stay as it was."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from jax import lax
from jax.extend import core
from keras import layers

from septet.engine.lowering import lowered
from tests.engine.test_lowering import values_and_gradients

pytestmark = pytest.mark.filterwarnings("ignore:.*__array__:DeprecationWarning")

LAYERS = {
    "simple": lambda: [layers.SimpleRNN(7, return_sequences=True)],
    "lstm": lambda: [layers.LSTM(7)],
    "gru": lambda: [layers.GRU(7)],
    "gru, reset before": lambda: [layers.GRU(7, reset_after=False)],
    "lstm backwards": lambda: [layers.LSTM(7, go_backwards=True, return_sequences=True)],
    "stacked": lambda: [layers.LSTM(5, return_sequences=True), layers.GRU(6)],
    "bidirectional": lambda: [layers.Bidirectional(layers.LSTM(5, return_sequences=True))],
    "masked": lambda: [layers.Masking(0.0), layers.LSTM(5, return_sequences=True)],
    "unrolled": lambda: [layers.GRU(5, unroll=True)],
    "tanh without bias": lambda: [layers.LSTM(5, activation="relu", use_bias=False)],
    "images": lambda: [layers.Reshape((6, 2, 2, 1)), layers.ConvLSTM2D(3, 2, padding="same")],
}


@pytest.mark.parametrize("name", LAYERS)
def test_recurrent_layers_have_the_values_and_gradients_of_jax(name):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((6, 4)), *LAYERS[name]()])
    inputs = np.random.default_rng(1).normal(size=(3, 6, 4)).astype("float32")
    inputs[1, 4:] = 0.0  # what the mask hides
    trainable = [variable.value for variable in model.trainable_variables]
    fixed = [variable.value for variable in model.non_trainable_variables]
    target = jnp.asarray(
        np.random.default_rng(2).normal(size=model.compute_output_shape(inputs.shape)), "float32"
    )

    def loss(trainable, inputs):
        outputs = model.stateless_call(trainable, fixed, inputs)[0]
        return jnp.mean((outputs - target) ** 2), outputs

    expected = values_and_gradients(loss, trainable, jnp.asarray(inputs))
    with lowered("cpu"):
        found = values_and_gradients(loss, trainable, jnp.asarray(inputs))
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_states_that_a_layer_returns_are_the_same():
    keras.utils.set_random_seed(0)
    given = keras.Input((6, 4))
    model = keras.Model(given, layers.LSTM(5, return_sequences=True, return_state=True)(given))
    inputs = jnp.asarray(np.random.default_rng(1).normal(size=(3, 6, 4)), "float32")
    variables = [
        [variable.value for variable in group]
        for group in (model.trainable_variables, model.non_trainable_variables)
    ]
    expected = jax.jit(lambda x: model.stateless_call(*variables, x)[0])(inputs)
    with lowered("cpu"):
        found = jax.jit(lambda x: model.stateless_call(*variables, x)[0])(inputs)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def counted(function, *arguments) -> int:
    """Products of `function`'s gradient that are repeated within a loop."""

    def products(jaxpr, within: bool) -> int:
        found = 0
        for equation in jaxpr.eqns:
            found += within and equation.primitive.name == "dot_general"
            for inner in core.jaxprs_in_params(equation.params):
                found += products(inner, within or equation.primitive.name == "scan")
        return found

    return products(jax.make_jaxpr(jax.grad(function))(*arguments).jaxpr, False)


def test_an_lstm_multiplies_twice_a_step_and_not_five_times():
    def loss(weights, inputs):
        by_input, by_hidden = weights

        def step(hidden, row):
            hidden = jnp.tanh(row @ by_input + hidden @ by_hidden)
            return hidden, hidden

        _, outputs = lax.scan(step, jnp.zeros((3, 5)), inputs)
        return jnp.sum(outputs**2)

    weights = jnp.ones((4, 5)), jnp.ones((5, 5))
    plain = counted(loss, weights, jnp.ones((6, 3, 4)))
    with lowered("cpu"):
        # Anew: a function that was traced is remembered with what it was traced to.
        apart = counted(lambda *given: loss(*given), weights, jnp.ones((6, 3, 4)))
    assert plain >= 4
    assert apart == 2  # once forward, once back


def same(function, *arguments):
    """Results with and without the lowering, each traced anew."""
    expected = jax.jit(lambda *given: function(*given))(*arguments)
    with lowered("cpu"):
        found = jax.jit(lambda *given: function(*given))(*arguments)
    return found, expected


SCANS = {
    "no product": lambda init, xs: lax.scan(lambda c, x: (c + x.sum(), c), init, xs),
    "reverse": lambda init, xs: lax.scan(
        lambda c, x: (jnp.tanh(c @ jnp.eye(3) + x[:3]), c * 2), init, xs, reverse=True
    ),
    "unrolled": lambda init, xs: lax.scan(
        lambda c, x: (jnp.tanh(c @ jnp.ones((3, 3)) + x[:3]), None), init, xs, unroll=2
    ),
    "product of inputs alone": lambda init, xs: lax.scan(
        lambda c, x: (c + x @ jnp.ones((4, 3)), c), init, xs
    ),
    "weight within the carry": lambda init, xs: lax.scan(
        lambda c, x: ((c[0] @ c[1] + x[:3], c[1] * 0.9), c[0]), (init, jnp.eye(3)), xs
    ),
    "carry unchanged": lambda init, xs: lax.scan(
        lambda c, x: (c, c @ jnp.ones((3, 2)) + x[:2]), init, xs
    ),
    "branches": lambda init, xs: lax.scan(
        lambda c, x: (lax.cond(x[0] > 0, lambda: c @ jnp.ones((3, 3)), lambda: c), c), init, xs
    ),
    "a loop in the loop": lambda init, xs: lax.scan(
        lambda c, x: (
            lax.scan(lambda d, y: (jnp.tanh(d @ jnp.ones((3, 3)) + y), None), c, x)[0],
            None,
        ),
        init,
        xs,
    ),
}


@pytest.mark.parametrize("name", SCANS)
def test_any_scan_gives_what_jax_gives(name):
    random = np.random.default_rng(0)
    init, xs = (jnp.asarray(random.normal(size=s), "float32") for s in ((2, 3), (5, 4)))
    for function in (
        SCANS[name],
        jax.grad(lambda *given: sum(jnp.sum(v**2) for v in jax.tree.leaves(SCANS[name](*given)))),
    ):
        found, expected = same(function, init, xs)
        for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(one, other, rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int32"])
def test_other_types_keep_their_type(dtype):
    weight = jnp.ones((3, 3), dtype)
    found, expected = same(
        lambda init, xs: lax.scan(lambda c, x: (c @ weight + x, c), init, xs),
        jnp.ones((2, 3), dtype),
        jnp.ones((4, 3), dtype),
    )
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert one.dtype == other.dtype == dtype
        np.testing.assert_array_equal(np.asarray(one, "float32"), np.asarray(other, "float32"))


def test_a_carry_of_another_shape_is_refused_in_jax_words():
    def wrong(init, xs):
        return lax.scan(lambda c, x: (c @ jnp.ones((3, 2)), x), init, xs)

    arguments = jnp.ones((2, 3)), jnp.ones((4, 3))
    with pytest.raises(TypeError) as expected:
        wrong(*arguments)
    with lowered("cpu"), pytest.raises(TypeError) as found:
        wrong(*arguments)
    assert str(found.value) == str(expected.value)
