"""Lowered convolutions by C: patches read where they lie, against XLA's own convolutions."""

import itertools

import jax
import numpy as np
import pytest
from jax import lax

from septet.engine.lowering import TooLargeError, lowered
from septet.engine.native.graph import Graph, UnsupportedError, reachable
from septet.engine.native.reading import read, shape_of
from tests.engine.native.compiled import native, needs_compiler

CASES = [
    # (inputs, kernel, strides, padding, dilation)
    ((4, 9, 8, 5), (3, 3, 5, 19), (1, 1), "VALID", (1, 1)),
    ((8, 7, 7, 16), (3, 3, 16, 24), (1, 1), "SAME", (1, 1)),
    ((3, 9, 9, 4), (3, 2, 4, 10), (2, 2), "SAME", (1, 1)),
    ((2, 12, 11, 3), (3, 3, 3, 8), (1, 1), "VALID", (2, 1)),
    ((5, 14, 14, 1), (5, 5, 1, 6), (1, 1), "VALID", (1, 1)),
    ((2, 1026, 2), (3, 2, 5), (1,), "VALID", (1,)),
    ((3, 30, 6), (4, 6, 33), (1,), "SAME", (1,)),
    ((2, 5, 6, 4, 3), (2, 3, 2, 3, 9), (1, 1, 1), "VALID", (1, 1, 1)),
]


def convolution(case):
    _, _, strides, padding, dilation = case
    axes = "DHW"[3 - len(strides) :]
    layout = (f"N{axes}C", f"{axes}IO", f"N{axes}C")

    def convolve(x, w):
        return lax.conv_general_dilated(
            x, w, strides, padding, rhs_dilation=dilation, dimension_numbers=layout
        )

    def outputs_and_gradients(x, w):
        def loss(x, w):
            found = convolve(x, w)
            return (found * np.cos(np.arange(found.size).reshape(found.shape))).sum(), found

        gradients, found = jax.grad(loss, (0, 1), has_aux=True)(x, w)
        return found, *gradients

    return outputs_and_gradients


@needs_compiler
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[1]}-{case[3]}")
def test_convolution_and_its_gradients_equal_xla(case):
    generator = np.random.default_rng(0)
    x, w = (generator.normal(size=shape).astype("float32") for shape in case[:2])
    expected = convolution(case)(x, w)
    with lowered("cpu", windows=10**9):
        found = native(convolution(case), x, w)
    for one, other in itertools.zip_longest(found, expected):
        scale = float(np.abs(other).max())
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5 * scale)


def test_patches_are_read_where_they_lie():
    shapes = (8, 9, 9, 4), (3, 3, 4, 16)
    with lowered("cpu", windows=10**9):
        closed = jax.make_jaxpr(convolution((*shapes, (1, 1), "VALID", (1, 1))))(
            *(np.zeros(shape, "float32") for shape in shapes)
        )
    graph = Graph()
    inputs = [
        graph.input(f"{place}", *shape_of(variable.aval))
        for place, variable in enumerate(closed.jaxpr.invars)
    ]
    values = reachable(read(closed.jaxpr, closed.consts, inputs, graph))
    products = [value for value in values if value.op == "dot"]
    assert [value.args[0].op == "windows" for value in products].count(True) == 2
    assert not any(value.op == "concatenate" for value in values)


@needs_compiler
def test_a_window_too_long_for_a_stack_is_refused():
    case = ((1, 20_012, 1), (2, 1, 24), (1,), "VALID", (1,))
    x, w = (np.zeros(shape, "float32") for shape in case[:2])
    with (
        lowered("cpu", windows=10**9),
        pytest.raises(UnsupportedError, match="20011 numbers in a row"),
    ):
        native(convolution(case), x, w)


def test_a_convolution_beyond_the_limit_ends_the_trace():
    shapes = [np.zeros(shape, "float32") for shape in CASES[0][:2]]
    with lowered("cpu", windows=1000), pytest.raises(TooLargeError, match="1000 multiplications"):
        jax.make_jaxpr(convolution(CASES[0]))(*shapes)
