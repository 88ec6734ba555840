"""Attention as C that XLA calls within its programs, where there is a compiler.

XLA writes all scores down, several times over, and those above the diagonal, too.
"""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from septet.engine.native import calls

MIX, UNMIX = "attention_mix", "attention_unmix"
PACKED = "_packed"
"""Added where queries, keys and values are one array."""
LEAST_KEYS = 16
"""Fewer are XLA's."""


def fits(queries: Sequence[Any], keys: Sequence[Any], dtype: Any) -> bool:
    """Whether the calls can do it: open, float32, and heads of whole vectors.

    Args:
        queries: Their shape, [batch, rows, ..., heads, size].
        keys: Theirs, [batch, keys, ..., heads, size].
        dtype: Of both.
    """
    sizes = (*queries, *keys)
    if str(dtype) != "float32" or not all(isinstance(each, int) and each > 0 for each in sizes):
        return False
    if not calls.are_open():
        calls.miss()
        return False
    names = [name + end for name in (MIX, UNMIX) for end in ("", PACKED)]
    lanes = calls.lanes("attention.c", *names)
    return lanes > 0 and queries[-1] % lanes == 0 and keys[1] >= LEAST_KEYS


def mixed(
    given: tuple[Any, ...],
    *,
    allowed: Any = None,
    key: Any = None,
    rate: float = 0.0,
    is_causal: bool = False,
    turns: Any = None,
) -> Any:
    """Values mixed by how much queries are like keys, [batch, rows, heads, size].

    Args:
        given: Queries, float32 [batch, rows, heads, size], keys and values, [batch, keys, heads,
            size]; or one array of all three, [batch, time, 3, heads, size].
        allowed: What may be seen, bool [batch, rows or 1, keys], or None for all.
        key: Of dropout's bits, uint32 [2], or None.
        rate: Share of the scores left out, by `septet.models.dropping.hashed`.
        is_causal: A row sees no key after its own place.
        turns: Sines and cosines by which each place's queries and keys are turned, float32
            [2, time, size / 2]: the first half of a vector against the second.
    """
    import jax.numpy as jnp

    limit = min(round(rate * 2**32), 2**32 - 1) if key is not None else 0
    masks = 0 if allowed is None else allowed.shape[1]
    mask = jnp.zeros((1, 1, 1), jnp.uint8) if allowed is None else allowed.astype(jnp.uint8)
    bits = jnp.zeros(2, jnp.uint32) if key is None else key.astype(jnp.uint32)
    angles = jnp.zeros((1, 1, 1), jnp.float32) if turns is None else turns
    kept = 1.0 / (1.0 - rate) if limit else 1.0
    sizes = (int(is_causal), limit, masks, int(turns is not None))
    numbers = (float(given[0].shape[-1]) ** -0.5, kept)
    return _program()(given, (mask, bits, angles), (sizes, numbers))


@functools.cache
def _program() -> Any:
    import jax
    import jax.numpy as jnp

    def attributes(settings: Any) -> dict[str, np.ndarray]:
        sizes, numbers = settings
        return {"numbers": np.array(numbers, np.float32), "sizes": np.array(sizes, np.int64)}

    def name_of(name: str, given: Any) -> str:
        return name + (PACKED if len(given) == 1 else "")

    def forward(given: Any, more: Any, settings: Any) -> Any:
        batch, rows, *_, heads, size = given[0].shape
        results = (
            jax.ShapeDtypeStruct((batch, rows, heads, size), jnp.float32),
            jax.ShapeDtypeStruct((batch, heads, rows), jnp.float32),
        )
        out, logs = calls.call(name_of(MIX, given), results, *given, *more, **attributes(settings))
        return out, (given, more, out, logs)

    @functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
    def mix(given: Any, more: Any, settings: Any) -> Any:
        return forward(given, more, settings)[0]

    def backward(settings: Any, kept: Any, gradient: Any) -> Any:
        given, more, out, logs = kept
        results = [jax.ShapeDtypeStruct(each.shape, jnp.float32) for each in given]
        found = calls.call(
            name_of(UNMIX, given), results, *given, *more, out, logs, gradient,
            **attributes(settings),
        )  # fmt: skip
        mask, bits, angles = more
        nothing = [np.zeros(each.shape, jax.dtypes.float0) for each in (mask, bits)]
        # Angles are of places, and no function of weights.
        return tuple(found), (*nothing, jnp.zeros_like(angles))

    mix.defvjp(forward, backward)
    return mix
