"""Depthwise convolutions in C: outputs and gradients are XLA's, in whatever shape."""

import septet  # noqa: F401

# isort: split
# Septet comes first, since it chooses the backend of Keras.
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from septet.engine.lowering import lowered
from septet.engine.native import building, calls, depthwise

pytestmark = pytest.mark.skipif(not depthwise.lanes(), reason="there is no C compiler")

SHAPES = {
    "three by three": ((2, 9, 9, 16), (3, 3), (1, 1), ((1, 1), (1, 1))),
    "in steps, more at the far side": ((2, 9, 8, 40), (3, 3), (2, 2), ((0, 1), (0, 1))),
    "channels that are no whole vectors": ((3, 7, 6, 27), (5, 5), (2, 2), ((1, 2), (2, 2))),
    "a window wider than the map": ((1, 4, 4, 33), (7, 7), (1, 1), ((3, 3), (3, 3))),
    "sides of their own": ((2, 12, 11, 17), (2, 4), (3, 2), ((0, 0), (5, 1))),
    "no zeros": ((2, 8, 9, 16), (3, 5), (1, 1), ((0, 0), (0, 0))),
    "more zeros than the window": ((2, 6, 6, 16), (3, 3), (1, 1), ((4, 4), (0, 0))),
    "steps wider than the window": ((2, 9, 9, 16), (2, 2), (3, 3), ((0, 0), (1, 0))),
    "shared by threads": ((8, 20, 20, 96), (5, 5), (1, 1), ((2, 2), (2, 2))),
    "steps shared by threads": ((8, 21, 20, 96), (3, 3), (2, 2), ((1, 1), (0, 1))),
}


def by_xla(inputs, kernel, strides, pads):
    return lax.conv_general_dilated(
        inputs, kernel[:, :, None], strides, pads, feature_group_count=inputs.shape[-1],
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_outputs_and_gradients_equal_xla(name):
    shape, window, strides, pads = SHAPES[name]
    random = np.random.default_rng(0)
    inputs = jnp.asarray(random.normal(size=shape), jnp.float32)
    kernel = jnp.asarray(random.normal(size=(*window, shape[-1])), jnp.float32)
    wanted, back = jax.vjp(lambda a, b: by_xla(a, b, strides, pads), inputs, kernel)
    found, own_back = jax.vjp(lambda a, b: depthwise.convolve(a, b, strides, pads), inputs, kernel)
    gradient = jnp.asarray(random.normal(size=wanted.shape), jnp.float32)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    for own, theirs in zip(own_back(gradient), back(gradient), strict=True):
        np.testing.assert_allclose(own, theirs, atol=1e-5 * np.abs(theirs).max() + 1e-5)
    for _ in range(5):
        for again, own in zip(own_back(gradient), own_back(gradient), strict=True):
            np.testing.assert_array_equal(again, own)


def test_a_map_without_places_gives_nothing():
    inputs, kernel = jnp.ones((2, 2, 5, 16)), jnp.ones((3, 3, 16))
    found, back = jax.vjp(
        lambda a, b: depthwise.convolve(a, b, (1, 1), ((0, 0), (0, 0))), inputs, kernel
    )
    assert found.shape == (2, 0, 3, 16)
    of_inputs, of_kernel = back(found)
    assert not np.any(of_inputs)
    assert not np.any(of_kernel)


def convolve(inputs, kernel):
    return lax.conv_general_dilated(
        inputs, kernel, (1, 1), "SAME", feature_group_count=inputs.shape[-1],
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )  # fmt: skip


def program(channels: int, windows: int = 0, times: int = 1) -> str:
    shapes = [jax.ShapeDtypeStruct((2, 6, 6, channels), "float32"),
              jax.ShapeDtypeStruct((3, 3, 1, channels * times), "float32")]  # fmt: skip
    with lowered("cpu", windows=windows):
        # What was traced before is kept by function.
        return str(jax.make_jaxpr(lambda *given: convolve(*given))(*shapes))


def test_programs_call_it_where_they_can():
    assert "septet_depthwise_outputs" in program(32)
    assert "septet_depthwise" not in program(32, times=2)
    assert "septet_depthwise" not in program(depthwise.lanes() - 1)
    # A whole step in C has its own way.
    assert "septet_depthwise" not in program(32, windows=10**9)


def test_no_compiler_leaves_it_to_xla(monkeypatch):
    monkeypatch.setenv(building.SWITCH, "0")
    building.compiler.cache_clear()
    try:
        assert calls.library.__wrapped__("depthwise.c", depthwise.OUTPUTS) is None
    finally:
        monkeypatch.undo()
        building.compiler.cache_clear()


def test_several_pictures_at_once_by_vmap():
    random = np.random.default_rng(1)
    inputs = jnp.asarray(random.normal(size=(3, 2, 6, 6, 16)), jnp.float32)
    kernel = jnp.asarray(random.normal(size=(3, 3, 16)), jnp.float32)
    pads = ((1, 1), (1, 1))
    found = jax.vmap(lambda each: depthwise.convolve(each, kernel, (1, 1), pads))(inputs)
    for each, own in zip(inputs, found, strict=True):
        np.testing.assert_allclose(own, by_xla(each, kernel, (1, 1), pads), atol=1e-5)
