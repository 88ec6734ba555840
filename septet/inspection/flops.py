"""How many floating-point operations a function does, counted in its jaxpr.

Counted are two for each multiply-add of a matrix product or convolution, and one for each
number that other arithmetic makes (additions, exponentials, maxima ...); a sum over n
numbers counts n. Moving, comparing and converting numbers, whole-number arithmetic and
random numbers count nothing. A scan counts as often as it turns.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

ELEMENTWISE = frozenset(
    "abs acos acosh add add_any asin asinh atan atan2 atanh cbrt ceil clamp cos cosh digamma div "
    "erf erf_inv erfc exp exp2 expm1 floor integer_pow lgamma log log1p logistic max min mul neg "
    "nextafter pow rem round rsqrt sign sin sinh sqrt square sub tan tanh".split()
)
REDUCTIONS = frozenset(
    "argmax argmin cumlogsumexp cummax cummin cumprod cumsum reduce_max reduce_min reduce_prod "
    "reduce_sum".split()
)
WINDOWS = frozenset("reduce_window reduce_window_max reduce_window_min reduce_window_sum".split())


@dataclass(frozen=True)
class Count:
    """A number of operations.

    Args:
        flops: How many.
        is_least: A loop whose turns are only known when it runs was counted as one turn.
    """

    flops: int
    is_least: bool = False

    def __add__(self, other: "Count") -> "Count":
        return Count(self.flops + other.flops, self.is_least or other.is_least)

    def times(self, turns: int) -> "Count":
        """So often."""
        return Count(self.flops * turns, self.is_least)


def count(jaxpr: Any) -> Count:
    """The operations of a jaxpr, those of all within it included."""
    total = Count(0)
    for equation in jaxpr.eqns:
        total = total + _of_equation(equation)
    return total


def _of_equation(equation: Any) -> Count:
    name = equation.primitive.name
    inner = [count(jaxpr) for jaxpr in _inner(equation.params.values())]
    if name == "scan":
        return inner[0].times(equation.params["length"])
    if name == "while":
        return Count(sum(each.flops for each in inner), is_least=True)
    if name == "cond":
        return max(inner, key=lambda each: each.flops)
    if name == "dot_general":
        return Count(_of_product(equation))
    if name == "conv_general_dilated":
        return Count(_of_convolution(equation))
    if name in WINDOWS:
        window = math.prod(equation.params["window_dimensions"])
        return Count(_floats(equation.outvars[0].aval) * window)
    if name in ELEMENTWISE:
        return Count(sum(_floats(made.aval) for made in equation.outvars))
    if name in REDUCTIONS:
        return Count(_floats(equation.invars[0].aval))
    return sum(inner, Count(0))


def _of_product(equation: Any) -> int:
    (contracted, _), _ = equation.params["dimension_numbers"]
    shape = equation.invars[0].aval.shape
    depth = math.prod(shape[axis] for axis in contracted)
    return 2 * math.prod(equation.outvars[0].aval.shape) * depth


def _of_convolution(equation: Any) -> int:
    """Two for each place of each output's window, those over padding included, as is usual."""
    kernel, result = equation.invars[1].aval, equation.outvars[0].aval
    features = equation.params["dimension_numbers"].rhs_spec[0]
    taps = math.prod(kernel.shape) // max(kernel.shape[features], 1)
    # Of a transposed convolution, the zeros between the inputs are not multiplied.
    holes = math.prod(equation.params.get("lhs_dilation") or (1,))
    return 2 * math.prod(result.shape) * taps // max(holes, 1)


def _floats(aval: Any) -> int:
    """Elements of a float array; none of any other."""
    import jax.numpy as jnp

    return math.prod(aval.shape) if jnp.issubdtype(aval.dtype, jnp.inexact) else 0


def _inner(values: Any) -> Iterator[Any]:
    """The jaxprs among the parameters of an equation."""
    for value in values:
        if hasattr(value, "eqns"):
            yield value
        elif hasattr(value, "jaxpr"):
            yield value.jaxpr
        elif isinstance(value, list | tuple):
            yield from _inner(value)
