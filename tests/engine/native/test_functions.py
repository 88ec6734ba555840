"""Elementwise functions against NumPy in double precision, and what they do at the edges."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.engine.native.compiled import native, needs_compiler, same_as_xla

pytestmark = needs_compiler

WIDE = np.concatenate(
    [
        np.linspace(-90, 90, 4001),
        np.geomspace(1e-30, 1e30, 2001),
        -np.geomspace(1e-30, 1e30, 2001),
        [0.0, -0.0, 1.0, -1.0],
    ]
).astype(np.float32)
EDGES = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 3e38, -3e38, 2e-38, 1.0, -1.0], np.float32)


def _ulps(found: np.ndarray, exact: np.ndarray) -> float:
    """Largest difference in units of the last place of what float32 can say of the result."""
    rounded = exact.astype(np.float32)
    fine = np.isfinite(rounded) & (np.abs(rounded) > 1e-37)
    return float((np.abs(found - exact) / np.spacing(np.abs(rounded)))[fine].max())


@pytest.mark.parametrize(
    ("name", "most", "low", "high"),
    [
        ("exp", 2, -87, 88),
        ("log", 2, 1e-37, 3e38),
        ("log1p", 3, -0.999, 1e30),
        ("expm1", 4, -80, 80),
        ("tanh", 6, -80, 80),
    ],
)
def test_own_functions_are_right_to_a_few_units_of_the_last_place(
    name: str, most: float, low: float, high: float
) -> None:
    x = WIDE[(low <= WIDE) & (high >= WIDE)]
    (found,) = native(getattr(jnp, name), x)
    assert _ulps(found, getattr(np, name)(x.astype(np.float64))) <= most


def test_the_logistic_function_is_right_to_a_few_units_of_the_last_place() -> None:
    x = WIDE[np.abs(WIDE) < 80]
    (found,) = native(jax.nn.sigmoid, x)
    assert _ulps(found, 1 / (1 + np.exp(-x.astype(np.float64)))) <= 4


def test_the_inverse_of_the_error_function_gives_back_what_it_was_given() -> None:
    x = np.linspace(-0.9999, 0.9999, 2001).astype(np.float32)
    (found,) = native(jax.lax.erf_inv, x)
    again = np.array([math.erf(value) for value in found.astype(np.float64)])
    np.testing.assert_allclose(again, x, atol=3e-7)


@pytest.mark.parametrize(
    "function",
    [jnp.exp, jnp.log, jnp.tanh, jax.nn.sigmoid, jnp.expm1, jnp.log1p, jnp.sqrt, jnp.isfinite,
     jnp.sign, jnp.abs, lambda x: jnp.maximum(x, 0.5), lambda x: jnp.minimum(x, 0.5),
     lambda x: jnp.clip(x, -2, 2), lambda x: x.astype(jnp.int32), lambda x: 1 / x,
     lambda x: jax.lax.integer_pow(x, 3), lambda x: jnp.where(x > 0, x, -x), jnp.floor, jnp.round,
     jax.lax.rsqrt, jax.lax.erf, lambda x: x != x],
)  # fmt: skip
def test_infinities_zeros_and_nan_are_treated_as_xla_treats_them(function: Any) -> None:
    same_as_xla(function, EDGES)


@pytest.mark.parametrize(
    "function",
    [
        lambda a, b: a + b,
        lambda a, b: a // jnp.where(b == 0, 1, b),
        lambda a, b: jax.lax.rem(a, b),
        lambda a, b: jax.lax.div(a, b),
        lambda a, b: (a & b) ^ (a | b),
        lambda a, b: ~a,
        lambda a, b: jnp.maximum(a, b),
        lambda a, b: (a < b) & (b != 3),
        lambda a, b: a.astype(jnp.float32) * 0.5,
        lambda a, b: jax.lax.shift_right_logical(a, jnp.abs(b)),
        lambda a, b: jax.lax.shift_left(a, jnp.abs(b)),
    ],
)
def test_whole_numbers_are_treated_as_xla_treats_them(function: Any) -> None:
    generator = np.random.default_rng(0)
    a = generator.integers(-(2**31), 2**31, 200).astype(np.int32)
    b = generator.integers(-5, 40, 200).astype(np.int32)
    same_as_xla(function, a, b)


def test_random_numbers_are_those_of_jax_to_the_last_bit() -> None:
    key = np.array([3, 0xFFFFFFF0], np.uint32)

    def draw(key: Any) -> Any:
        made = jax.random.wrap_key_data(key)
        one, two = jax.random.split(made)
        folded = jax.random.fold_in(two, 7)
        return (
            jax.random.bits(one, (5, 7)),
            jax.random.uniform(folded, (33,)),
            jax.random.bernoulli(made, 0.3, (4, 9)),
        )

    for ours, theirs in zip(native(draw, key), draw(key), strict=True):
        np.testing.assert_array_equal(ours, np.asarray(theirs))
    same_as_xla(lambda key: jax.random.normal(jax.random.wrap_key_data(key), (64,)), key)
