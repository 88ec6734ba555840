"""Operations counted in a jaxpr equal those counted by hand."""

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from septet.inspection.flops import count


def flops_of(layer, *shapes) -> int:
    inputs = [jnp.zeros(shape, jnp.float32) for shape in shapes]
    layer(*inputs)
    weights = [variable.value for variable in layer.trainable_variables]
    fixed = [variable.value for variable in layer.non_trainable_variables]

    def apply(*inputs):
        return layer.stateless_call(weights, fixed, *inputs)[0]

    return count(jax.make_jaxpr(apply)(*inputs).jaxpr).flops


def test_dense_counts_its_product_and_its_bias():
    assert flops_of(keras.layers.Dense(7), (5, 3)) == 2 * 5 * 3 * 7 + 5 * 7


def test_relu_counts_one_for_each_number():
    dense = keras.layers.Dense(7, "relu", use_bias=False)
    assert flops_of(dense, (5, 3)) == 2 * 5 * 3 * 7 + 5 * 7


@pytest.mark.parametrize(("padding", "side"), [("same", 5), ("valid", 4)])
def test_convolution_counts_the_window_of_each_output(padding, side):
    layer = keras.layers.Conv2D(6, 3, strides=2, padding=padding)
    expected = 2 * (2 * side * side * 6) * (3 * 3 * 4) + 2 * side * side * 6
    assert flops_of(layer, (2, 10, 10, 4)) == expected


def test_depthwise_convolution_counts_one_channel_an_output():
    layer = keras.layers.DepthwiseConv2D(3, padding="same", use_bias=False)
    assert flops_of(layer, (2, 8, 8, 4)) == 2 * (2 * 8 * 8 * 4) * 9


def test_transposed_convolution_does_not_count_the_zeros_between_its_inputs():
    layer = keras.layers.Conv2DTranspose(6, 2, strides=2, use_bias=False)
    assert flops_of(layer, (1, 5, 5, 3)) == 2 * (5 * 5 * 3) * (2 * 2 * 6)


def test_lstm_counts_every_time_step():
    batch, steps, features, units = 2, 11, 3, 5
    products = 2 * batch * (features + units) * 4 * units
    # Of each of the 4 gates: the two products' sum, the bias, and its activation (a sigmoid is
    # one operation); then f * c + i * g and o * tanh(c).
    elements = batch * units * (4 + 4 + 4 + 3 + 2)
    assert flops_of(keras.layers.LSTM(units), (batch, steps, features)) == steps * (
        products + elements
    )


def test_attention_counts_scores_and_mixing():
    batch, steps, dim, heads = 2, 6, 8, 2
    layer = keras.layers.MultiHeadAttention(heads, dim // heads, use_bias=False)
    projections = 4 * 2 * batch * steps * dim * dim
    products = 2 * 2 * batch * steps * steps * dim
    found = flops_of(layer, (batch, steps, dim), (batch, steps, dim))
    softmax_and_scale = found - projections - products
    scores = batch * heads * steps * steps
    assert 4 * scores <= softmax_and_scale <= 8 * scores + batch * steps * dim


def test_a_scan_counts_its_turns_and_a_loop_of_unknown_length_one():
    def scanned(x):
        return jax.lax.scan(lambda carry, _: (carry * x, None), x, None, length=9)[0]

    def looped(x):
        return jax.lax.while_loop(lambda v: v.sum() < 9, lambda v: v * 2.0, x)

    x = np.ones(4, np.float32)
    assert count(jax.make_jaxpr(scanned)(x).jaxpr).flops == 36
    found = count(jax.make_jaxpr(looped)(x).jaxpr)
    assert found.is_least
    assert found.flops == 4 + 4  # the sum of the condition and the body, once each


def test_whole_numbers_and_random_bits_count_nothing():
    def draw(key, x):
        return jax.random.bits(key, (50,)), x + 1

    traced = jax.make_jaxpr(draw)(jax.random.key(0), np.ones(4, np.int32))
    assert count(traced.jaxpr).flops == 0
