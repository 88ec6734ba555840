"""Loops against XLA: values, gradients of any order, and what is taken out of them."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from septet.engine.native.graph import Graph, reachable
from septet.engine.native.reading import read, shape_of
from tests.engine.native.compiled import needs_compiler, same_as_xla

pytestmark = needs_compiler

GENERATOR = np.random.default_rng(0)
TIME, BATCH, INPUTS, UNITS = 6, 5, 3, 7


def numbers(*shape: int) -> np.ndarray:
    return (GENERATOR.normal(size=shape) * 0.5).astype(np.float32)


def simple(x: Any, w: Any, u: Any, b: Any, reverse: bool = False) -> Any:
    def step(h: Any, row: Any) -> Any:
        h = jnp.tanh(row @ w + h @ u + b)
        return h, h

    return lax.scan(step, jnp.zeros((x.shape[1], UNITS)), x, reverse=reverse)


def gated(x: Any, w: Any, u: Any, b: Any) -> Any:
    def step(carry: Any, row: Any) -> Any:
        h, c = carry
        i, f, g, o = jnp.split(row @ w + h @ u + b, 4, axis=1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    zeros = jnp.zeros((x.shape[1], UNITS))
    return lax.scan(step, (zeros, zeros), x)[1]


WEIGHTS = (numbers(INPUTS, UNITS), numbers(UNITS, UNITS), numbers(UNITS))
GATES = (numbers(INPUTS, 4 * UNITS), numbers(UNITS, 4 * UNITS), numbers(4 * UNITS))
SERIES = numbers(TIME, BATCH, INPUTS)


@pytest.mark.parametrize("reverse", [False, True])
def test_results_and_gradients_of_a_recurrent_loop(reverse: bool) -> None:
    def loss(*given: Any) -> Any:
        last, every = simple(*given, reverse=reverse)
        return (last**2).sum() + (every * jnp.arange(UNITS)).sum()

    same_as_xla(lambda *given: simple(*given, reverse=reverse), SERIES, *WEIGHTS)
    same_as_xla(jax.grad(loss, (0, 1, 2, 3)), SERIES, *WEIGHTS, tolerance=2e-5)


def test_two_layers_of_gates_with_gradients_of_weights_and_inputs() -> None:
    def loss(x: Any, first: Any, second: Any) -> Any:
        return (gated(gated(x, *first), *second)[-1] ** 2).sum()

    second = (numbers(UNITS, 4 * UNITS), *GATES[1:])
    leaves = (SERIES, *GATES, *second)
    same_as_xla(
        lambda *given: jax.grad(lambda *g: loss(g[0], g[1:4], g[4:]), (0, 1, 2, 3, 4, 5, 6))(
            *given
        ),
        *leaves,
        tolerance=2e-5,
    )


def test_gradients_of_gradients_and_forward_mode() -> None:
    def loss(x: Any, w: Any, u: Any, b: Any) -> Any:
        return (simple(x, w, u, b)[0] ** 2).sum()

    def penalty(x: Any, w: Any, u: Any, b: Any) -> Any:
        return (jax.grad(loss)(x, w, u, b) ** 2).sum()

    same_as_xla(jax.grad(penalty, (1, 2, 3)), SERIES, *WEIGHTS, tolerance=5e-5)
    tangents = tuple(numbers(*each.shape) for each in WEIGHTS)

    def forward(x: Any, *weights: Any) -> Any:
        return jax.jvp(lambda *w: simple(x, *w)[0], weights, tangents)

    same_as_xla(forward, SERIES, *WEIGHTS, tolerance=1e-5)


def test_carries_may_change_places_and_pass_through() -> None:
    def loop(a: Any, b: Any, c: Any) -> Any:
        def step(carry: Any, row: Any) -> Any:
            a, b, c = carry
            return (b, a + row, c), (a, c)

        return lax.scan(step, (a, b, c), jnp.arange(5.0))

    same_as_xla(loop, numbers(4), numbers(4), numbers(4))


def test_loops_within_loops() -> None:
    def loop(x: Any) -> Any:
        def outer(total: Any, row: Any) -> Any:
            def inner(value: Any, number: Any) -> Any:
                value = value * 0.5 + number
                return value, value

            last, every = lax.scan(inner, total, row)
            return last, every.sum()

        return lax.scan(outer, jnp.float32(1), x)

    same_as_xla(loop, numbers(3, 4))


def test_a_loop_keeps_only_the_product_that_needs_its_carry() -> None:
    def loss(*given: Any) -> Any:
        return (simple(*given)[0] ** 2).sum()

    closed = jax.make_jaxpr(jax.grad(loss, (1, 2, 3)))(SERIES, *WEIGHTS)
    graph = Graph()
    inputs = [graph.input(f"{i}", *shape_of(v.aval)) for i, v in enumerate(closed.jaxpr.invars)]
    values = reachable(read(closed.jaxpr, closed.consts, inputs, graph))
    bodies = [value.params["body"] for value in values if value.op == "loop"]
    assert len(bodies) == 2
    for body in bodies:
        assert sum(value.op == "dot" for value in reachable(body.outputs)) == 1
    # The input's part of all steps, and the gradients of both weights.
    assert sum(value.op == "dot" for value in values) == 3
