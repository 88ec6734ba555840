"""Views, reductions, products and rows against XLA."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from septet.engine.native.graph import UnsupportedError
from tests.engine.native.compiled import native, needs_compiler, same_as_xla

pytestmark = needs_compiler

GENERATOR = np.random.default_rng(0)


def numbers(*shape: int) -> np.ndarray:
    return GENERATOR.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.T.reshape(4, -1) * 2,
        lambda x: x.reshape(2, 3, 2, 5).transpose(2, 0, 3, 1).reshape(10, 6) + 1,
        lambda x: x[1:5:2, ::3] - x[0, 0],
        lambda x: x[::-1, ::-1] * x,
        lambda x: jnp.concatenate([x[:, :3], x * 2, x[:, :1]], axis=1),
        lambda x: jnp.concatenate([x, x[:2]], axis=0).sum(1),
        lambda x: lax.pad(x, 7.0, [(1, 2, 0), (0, 3, 2)]),
        lambda x: lax.pad(x, 0.0, [(-1, 2, 0), (3, -4, 0)]),
        lambda x: jnp.broadcast_to(x[:, None, :], (6, 4, 10)) * jnp.arange(4.0)[None, :, None],
        lambda x: jnp.arange(60).reshape(6, 10) + x.astype(jnp.int32),
        lambda x: lax.dynamic_slice(x, (x[0, 0].astype(jnp.int32) + 9, 2), (3, 4)),
        lambda x: jnp.tile(x, (2, 3)),
        lambda x: jnp.stack(jnp.split(x, 5, axis=1)),
        lambda x: [part * 2 for part in lax.unstack(x, axis=1)],
        lambda x: x * np.arange(10, dtype=np.float32),
        lambda x: (x, x, x.sum(), x),
        lambda x: (x.reshape(60), x.reshape(10, 6)),
    ],
)
def test_views_are_those_of_xla(function: Any) -> None:
    same_as_xla(function, numbers(6, 10))


@pytest.mark.skipif(not hasattr(lax, "one_minus_square"), reason="JAX has it since 0.11")
def test_one_minus_a_square_is_that_of_xla() -> None:
    function: Any = getattr(lax, "one_minus_square")  # noqa: B009
    same_as_xla(lambda x: function(jnp.tanh(x)), numbers(6, 10))


@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)])
@pytest.mark.parametrize("name", ["sum", "max", "min", "prod", "mean", "var"])
def test_reductions_over_any_axes(axes: tuple[int, ...], name: str) -> None:
    same_as_xla(lambda x: getattr(jnp, name)(x * 2, axis=axes), numbers(5, 7, 9), tolerance=2e-5)


def test_reductions_of_truth_and_places_of_the_largest() -> None:
    x = np.round(numbers(6, 11))
    x[2, 3] = np.nan
    same_as_xla(lambda x: ((x > 0).all(1), (x > 1).any(0), x.argmax(1), x.argmin(0)), x)
    same_as_xla(lambda x: (x > 0).astype(jnp.int32).sum(), x)


def test_functions_of_softmax_and_normalisation_with_their_gradients() -> None:
    def loss(x: Any, scale: Any) -> Any:
        normed = (x - x.mean(-1, keepdims=True)) * lax.rsqrt(x.var(-1, keepdims=True) + 1e-3)
        return (jax.nn.log_softmax(normed * scale) ** 2).mean() + jax.nn.gelu(x).sum()

    same_as_xla(jax.value_and_grad(loss, (0, 1)), numbers(17, 13), numbers(13), tolerance=2e-5)


SIZES = [1, 2, 3, 7, 8, 9, 16, 17, 25, 33, 50, 65, 300]


@pytest.mark.parametrize("seed", range(12))
def test_products_of_any_size_and_order_of_axes(seed: int) -> None:
    generator = np.random.default_rng(seed)

    def all_orders(*given: Any) -> list[Any]:
        pairs = itertools.product(given[:2], given[2:])
        return [
            lax.dot_general(left, right, (((1 - i // 2 % 2,), (i % 2,)), ((), ())))
            for i, (left, right) in enumerate(pairs)
        ]

    rows, columns, depth = (int(size) for size in generator.choice(SIZES, 3))
    a, b = numbers(rows, depth), numbers(depth, columns)
    same_as_xla(all_orders, a, np.ascontiguousarray(a.T), b, np.ascontiguousarray(b.T))


@pytest.mark.parametrize(
    "equation",
    ["bthd,bshd->bhts", "bhts,bshd->bthd", "btd,dhe->bthe", "bthe,hed->btd", "btd,bte->de",
     "bhts,bthd->bshd", "ij,kj->ki", "ijk,ilk->ijl", "abc,cb->a"],
)  # fmt: skip
def test_products_over_several_axes(equation: str) -> None:
    sizes = dict(zip("abcdehijklst", (3, 4, 5, 8, 6, 2, 7, 5, 9, 4, 10, 11), strict=True))
    left, right = equation.partition("->")[0].split(",")
    a, b = (numbers(*(sizes[axis] for axis in side)) for side in (left, right))
    same_as_xla(lambda a, b: jnp.einsum(equation, a * 1.5, b), a, b, tolerance=1e-5)


def test_rows_by_number_and_the_gradient_of_taking_them() -> None:
    table, rows = numbers(9, 5), np.array([[3, 3, 0], [8, -1, 3]], np.int32)
    same_as_xla(lambda t, r: jnp.take(t, r, axis=0), table, rows)
    same_as_xla(lambda t, r: jnp.take(t, r, axis=0, mode="clip"), table, rows * 3)
    same_as_xla(
        jax.grad(lambda t, r: (jnp.take(t, r, axis=0) ** 3).sum()), table, rows, tolerance=1e-5
    )


@pytest.mark.parametrize(
    "function",
    [
        lambda x: jnp.sort(x),
        lambda x: lax.while_loop(lambda v: v[0] < 9, lambda v: v + 1, x),
        lambda x: x.astype(jnp.bfloat16) * 2,
        lambda x: jnp.take_along_axis(x[:, None], x[None].astype(int), 1),
    ],
)
def test_what_is_not_known_is_refused(function: Any) -> None:
    with pytest.raises(UnsupportedError):
        native(function, numbers(6))
