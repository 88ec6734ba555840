"""The CPU lowering against XLA's own convolutions and pooling, values and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from septet.engine.lowering import apart, lowered

CONVOLUTIONS = {
    "3x3 same": ((2, 7, 6, 3), (3, 3, 3, 4), (1, 1), "SAME", None),
    "3x3 of one channel": ((2, 7, 6, 1), (3, 3, 1, 4), (1, 1), "SAME", None),
    "rows cropped": ((2, 7, 6, 3), (3, 3, 3, 2), (1, 1), [(-1, 2), (1, 0)], None),
    "columns strided": ((2, 7, 6, 3), (3, 3, 3, 2), (1, 2), "SAME", None),
    "taller than the picture": ((1, 2, 6, 4), (5, 3, 4, 2), (1, 1), "SAME", None),
    "3x3 valid": ((2, 7, 6, 3), (3, 3, 3, 4), (1, 1), "VALID", None),
    "strided same, odd": ((2, 7, 6, 3), (3, 3, 3, 4), (2, 2), "SAME", None),
    "strided valid": ((2, 9, 8, 2), (3, 2, 2, 5), (2, 3), "VALID", None),
    "stem": ((2, 13, 12, 1), (7, 7, 1, 4), (2, 2), [(3, 3), (3, 3)], None),
    "stem, a row left over": ((1, 8, 9, 2), (5, 5, 2, 3), (2, 2), "VALID", None),
    "4x4 strided": ((2, 8, 6, 3), (4, 4, 3, 5), (2, 2), "SAME", None),
    "patches, some left over": ((2, 9, 11, 3), (4, 4, 3, 5), (4, 4), "VALID", None),
    "strided, cropped": ((2, 9, 8, 2), (4, 4, 2, 3), (2, 2), [(-1, 1), (2, -1)], None),
    "3-D of pairs": ((1, 4, 6, 5, 2), (2, 4, 4, 2, 3), (2, 2, 2), "SAME", None),
    "1x1 strided": ((2, 8, 8, 3), (1, 1, 3, 4), (2, 2), "SAME", None),
    "dilated": ((1, 9, 9, 2), (3, 3, 2, 3), (1, 1), "SAME", (2, 2)),
    "explicit pads": ((1, 5, 5, 2), (3, 3, 2, 3), (1, 1), [(2, 0), (1, 3)], None),
    "even kernel": ((1, 6, 6, 2), (4, 2, 2, 3), (1, 1), "SAME", None),
    "1-D causal": ((2, 10, 3), (3, 3, 4), (1,), [(2, 0)], None),
    "1-D strided": ((2, 11, 3), (5, 3, 4), (2,), "SAME", None),
    "3-D": ((1, 4, 5, 6, 2), (2, 3, 2, 2, 3), (1, 1, 1), "SAME", None),
    "3-D causal": ((1, 4, 5, 6, 2), (3, 3, 3, 2, 3), (1, 1, 1), [(2, 0), (1, 1), (1, 1)], None),
    "3-D of single frames": ((2, 3, 6, 5, 2), (1, 3, 3, 2, 4), (1, 1, 1), "SAME", None),
    "3-D strided": ((1, 5, 6, 7, 2), (3, 3, 3, 2, 3), (2, 2, 2), "SAME", None),
}


def numbers(rank: int) -> tuple[str, str, str]:
    axes = "DHW"[3 - (rank - 2) :]
    return f"N{axes}C", f"{axes}IO", f"N{axes}C"


def values_and_gradients(loss, *arguments):
    """`loss`'s second result and its gradients by all arguments, traced anew and compiled."""

    def run(*arguments):
        places = tuple(range(len(arguments)))
        (_, outputs), gradients = jax.value_and_grad(loss, places, has_aux=True)(*arguments)
        return outputs, *gradients

    return jax.jit(run)(*arguments)


QUICK = (
    "stem",
    "patches, some left over",
    "3x3 same",
    "3x3 of one channel",
    "strided same, odd",
    "3-D causal",
)


@pytest.mark.parametrize(
    "name",
    [
        name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
        for name in CONVOLUTIONS
    ],
)
def test_convolution_and_its_gradients_equal_xla(name):
    shape, kernel_shape, strides, padding, dilation = CONVOLUTIONS[name]
    random = np.random.default_rng(0)
    inputs = jnp.asarray(random.normal(size=shape), jnp.float32)
    kernel = jnp.asarray(random.normal(size=kernel_shape), jnp.float32)

    def loss(inputs, kernel):
        outputs = lax.conv_general_dilated(
            inputs, kernel, strides, padding,
            rhs_dilation=dilation, dimension_numbers=numbers(len(shape)),
        )  # fmt: skip
        return jnp.sum(jnp.sin(outputs)), outputs

    expected, *expected_gradients = values_and_gradients(loss, inputs, kernel)
    with lowered("cpu"):
        jaxpr = str(jax.make_jaxpr(loss)(inputs, kernel))
        outputs, *gradients = values_and_gradients(loss, inputs, kernel)
    assert "conv_general_dilated" not in jaxpr
    np.testing.assert_allclose(outputs, expected, atol=1e-5)
    for gradient, wanted in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(gradient, wanted, atol=2e-5)


@pytest.mark.parametrize(("name", "most"), [("stem", 4 + 4), ("patches, some left over", 1)])
def test_a_window_that_steps_is_folded_into_few_pieces(name, most):
    shape, kernel_shape, strides, padding, _ = CONVOLUTIONS[name]
    pictures, kernel = jnp.zeros(shape), jnp.zeros(kernel_shape)

    def convolve(pictures, kernel):
        return lax.conv_general_dilated(
            pictures, kernel, strides, padding, dimension_numbers=numbers(len(shape))
        )

    with lowered("cpu"):
        jaxpr = jax.make_jaxpr(convolve)(pictures, kernel)
    assert 0 < str(jaxpr).count(" slice[") <= most


def test_channels_first_gives_the_same():
    random = np.random.default_rng(0)
    inputs = jnp.asarray(random.normal(size=(2, 3, 6, 5)), jnp.float32)
    kernel = jnp.asarray(random.normal(size=(3, 3, 3, 4)), jnp.float32)

    def convolve():
        layout = ("NCHW", "HWIO", "NCHW")
        return lax.conv_general_dilated(inputs, kernel, (1, 1), "SAME", dimension_numbers=layout)

    expected = convolve()
    with lowered("cpu"):
        outputs = convolve()
    np.testing.assert_allclose(outputs, expected, atol=1e-5)


def assert_like_xla(convolve, *shapes):
    """Values and gradients of `convolve` equal XLA's, and no convolution is left."""
    random = np.random.default_rng(0)
    given = [jnp.asarray(random.normal(size=shape), jnp.float32) for shape in shapes]

    def loss(*given):
        outputs = convolve(*given)
        return jnp.sum(jnp.sin(outputs)), outputs

    expected = values_and_gradients(loss, *given)
    with lowered("cpu"):
        found = values_and_gradients(loss, *given)
        jaxpr = str(jax.make_jaxpr(jax.grad(lambda *given: loss(*given)[0]))(*given))
    assert "conv_general_dilated" not in jaxpr
    for one, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, wanted, atol=2e-5)


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize(("strides", "padding"), [((1, 1), "SAME"), ((2, 2), "VALID")])
def test_depthwise_convolution_and_its_gradients_equal_xla(times, strides, padding):
    def convolve(inputs, kernel):
        return lax.conv_general_dilated(
            inputs, kernel, strides, padding, rhs_dilation=(1, 1),
            dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=4,
        )  # fmt: skip

    assert_like_xla(convolve, (2, 7, 6, 4), (3, 3, 1, 4 * times))


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("strides", [(2, 2), (3, 2)])
@pytest.mark.parametrize("is_turned", [False, True])
def test_transposed_convolution_and_its_gradients_equal_xla(strides, padding, is_turned):
    def convolve(inputs, kernel):
        return lax.conv_transpose(
            inputs, kernel, strides, padding, transpose_kernel=is_turned,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )  # fmt: skip

    assert_like_xla(convolve, (2, 5, 4, 3), (3, 2, 4, 3) if is_turned else (3, 2, 3, 4))


def test_grouped_convolution_goes_to_xla():
    inputs, kernel = jnp.ones((1, 5, 5, 4)), jnp.ones((3, 3, 2, 4))
    arguments = {"feature_group_count": 2, "dimension_numbers": ("NHWC", "HWIO", "NHWC")}
    with lowered("cpu"):
        jaxpr = jax.make_jaxpr(
            lambda a, b: lax.conv_general_dilated(a, b, (1, 1), "SAME", **arguments)
        )(inputs, kernel)
    assert "conv_general_dilated" in str(jaxpr)


@pytest.mark.parametrize("shape", [(2, 6, 8, 3), (2, 7, 9, 3)])
@pytest.mark.parametrize("kind", ["max", "add"])
def test_pooling_over_tiles_equals_xla(shape, kind):
    computation, initial = {"max": (lax.max, -jnp.inf), "add": (lax.add, 0.0)}[kind]
    inputs = jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)

    def loss(inputs):
        outputs = lax.reduce_window(
            inputs, initial, computation, (1, 2, 2, 1), (1, 2, 2, 1), "VALID"
        )
        return jnp.sum(jnp.sin(outputs)), outputs

    expected, expected_gradient = values_and_gradients(loss, inputs)
    with lowered("cpu"):
        assert "reduce_window" not in str(jax.make_jaxpr(loss)(inputs))
        outputs, gradient = values_and_gradients(loss, inputs)
    np.testing.assert_allclose(outputs, expected, atol=1e-6)
    np.testing.assert_allclose(gradient, expected_gradient, atol=1e-6)


def test_equal_maxima_share_the_gradient():
    inputs = jnp.asarray([[3.0, 3.0, 1.0, 2.0], [3.0, 3.0, 0.0, 2.0]]).reshape(1, 2, 4, 1)

    def total(inputs):
        window = (1, 2, 2, 1)
        return lax.reduce_window(inputs, -jnp.inf, lax.max, window, window, "VALID").sum()

    with lowered("cpu"):
        gradient = jax.grad(total)(inputs)
    shares = [[0.25, 0.25, 0.0, 0.5], [0.25, 0.25, 0.0, 0.5]]
    np.testing.assert_array_equal(gradient.reshape(2, 4), shares)


def test_overlapping_pooling_goes_to_xla():
    with lowered("cpu"):
        jaxpr = jax.make_jaxpr(
            lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), "SAME")
        )(jnp.ones((1, 7, 7, 2)))
    assert "reduce_window" in str(jaxpr)


def test_jax_is_as_before_afterwards_even_after_an_error():
    before = lax.conv_general_dilated, lax.reduce_window

    def fail():
        with lowered("cpu"):
            assert lax.conv_general_dilated is not before[0]
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert (lax.conv_general_dilated, lax.reduce_window) == before


def test_other_platforms_keep_their_convolutions():
    before = lax.conv_general_dilated
    with lowered("gpu"):
        assert lax.conv_general_dilated is before


def test_what_is_to_stay_apart_is_not_joined_with_what_follows():
    def double(values):
        return {"doubled": values * 2}

    def program(values, step):
        return apart(double, values, never=step < 0)["doubled"].sum()

    def compiled_text():
        return str(jax.jit(lambda *given: program(*given)).lower(*given).compile().as_text())

    given = (jnp.arange(8.0), jnp.int32(3))
    joined = compiled_text()
    with lowered("cpu"):
        separate = compiled_text()
        assert program(*given) == 56.0
    assert "conditional(" not in joined
    assert "conditional(" in separate
    assert compiled_text().count("conditional(") == 0
