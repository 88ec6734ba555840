"""Products of large matrices as C that XLA calls within its programs, where there is a compiler.

On a processor with tiles of bfloat16 (AMX) numbers are split into two of those, and three products
of halves stand for one: within 2^-16 of each product, and several times as fast. XLA turns a side
over by copying it, number by number; here neither side is copied but into tiles.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from septet.engine.native import building, calls

PLAIN, RIGHT, LEFT = "multiply", "multiply_turned_right", "multiply_turned_left"
FILE = "multiply.c"
LEAST = 1 << 22
"""Multiplications of the smallest product that is worth a call."""
LEAST_REUSE, LEAST_REUSE_AS_THEY_ARE = 40, 100
"""Inverse of the sum of the sizes' inverses, below which copying sides takes too long."""


def splits() -> bool:
    """Whether numbers are split: the processor has the tiles, and it is not switched off."""
    library = calls.library(FILE, PLAIN, RIGHT, LEFT)
    return library is not None and building.may_split() and bool(library.multiply_has_tiles())


def fits(left: Sequence[Any], right: Sequence[Any], dtypes: Sequence[Any]) -> bool:
    """Whether a call can do it: open, float32, one matrix on the right, and large enough.

    Args:
        left: Shape of the left side, [..., depth].
        right: Of the right one, [depth, columns].
        dtypes: Of both.
    """
    if len(left) < 2 or len(right) != 2 or any(str(dtype) != "float32" for dtype in dtypes):
        return False
    if not all(isinstance(each, int) and each > 0 for each in (*left, *right)):
        return False
    sizes = (math.prod(left[:-1]), *right)
    reuse = 1 / sum(1 / size for size in sizes)
    if math.prod(sizes) < LEAST or reuse < LEAST_REUSE:
        return False
    if not calls.are_open():
        calls.miss()
        return False
    if calls.library(FILE, PLAIN, RIGHT, LEFT) is None:
        return False
    return reuse >= LEAST_REUSE_AS_THEY_ARE or splits()


def product(left: Any, right: Any) -> Any:
    """Float32 [..., depth] by [depth, columns]: [..., columns]; see `fits`."""
    rows = left.reshape(-1, left.shape[-1])
    return programs(splits())[PLAIN](rows, right).reshape(*left.shape[:-1], right.shape[-1])


@functools.cache
def programs(is_split: bool) -> dict[str, Any]:
    """Of two matrices, float32, by name: a b, a b^T and a^T b; their gradients are such again.

    Args:
        is_split: Numbers may be split.
    """
    import jax
    import jax.numpy as jnp

    made: dict[str, Any] = {}

    def program(name: str, of_left: Any, of_right: Any) -> Any:
        def forward(a: Any, b: Any) -> Any:
            rows = a.shape[1 if name == LEFT else 0]
            columns = b.shape[0 if name == RIGHT else 1]
            result = jax.ShapeDtypeStruct((rows, columns), jnp.float32)
            return calls.call(name, result, a, b, split=np.array([is_split], np.int64))

        def backward(sides: Any, gradient: Any) -> Any:
            return of_left(*sides, gradient), of_right(*sides, gradient)

        multiplied = jax.custom_vjp(forward)
        # Called again and not computed, so that a gradient has one, too.
        multiplied.defvjp(lambda a, b: (multiplied(a, b), (a, b)), backward)
        return multiplied

    made[PLAIN] = program(
        PLAIN, lambda a, b, g: made[RIGHT](g, b), lambda a, b, g: made[LEFT](a, g)
    )
    made[RIGHT] = program(
        RIGHT, lambda a, b, g: made[PLAIN](g, b), lambda a, b, g: made[LEFT](g, a)
    )
    made[LEFT] = program(LEFT, lambda a, b, g: made[RIGHT](b, g), lambda a, b, g: made[PLAIN](a, g))
    return made
