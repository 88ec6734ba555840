"""Attention as C that XLA calls within its programs, where there is a compiler.

XLA writes all scores down, several times over, and those above the diagonal, too.
"""

import functools
from typing import Any

import numpy as np

from septet.engine.native import calls

MIX, UNMIX = "attention_mix", "attention_unmix"
LEAST_KEYS = 16
"""Fewer are XLA's."""


def fits(queries: Any, keys: Any) -> bool:
    """Whether the calls can do it: open, float32, and heads of whole vectors.

    Args:
        queries: [batch, rows, heads, size], with `shape` and `dtype`.
        keys: [batch, keys, heads, size].
    """
    shapes = (*queries.shape, *keys.shape)
    if not calls.are_open() or not all(isinstance(size, int) and size > 0 for size in shapes):
        return False
    if any(str(each.dtype) != "float32" for each in (queries, keys)):
        return False
    lanes = calls.lanes("attention.c", MIX, UNMIX)
    return lanes > 0 and queries.shape[-1] % lanes == 0 and keys.shape[1] >= LEAST_KEYS


def mixed(
    queries: Any,
    keys: Any,
    values: Any,
    allowed: Any,
    key: Any,
    *,
    is_causal: bool,
    rate: float,
) -> Any:
    """Values mixed by how much queries are like keys, [batch, rows, heads, size].

    Args:
        queries: Float32 [batch, rows, heads, size].
        keys: Float32 [batch, keys, heads, size].
        values: As keys.
        allowed: What may be seen, bool [batch, rows or 1, keys], or None for all.
        key: Of dropout's bits, uint32 [2], or None.
        is_causal: A row sees no key after its own place.
        rate: Share of the scores left out, by `septet.models.dropping.hashed`.
    """
    import jax.numpy as jnp

    limit = min(round(rate * 2**32), 2**32 - 1) if key is not None else 0
    masks = 0 if allowed is None else allowed.shape[1]
    mask = jnp.zeros((1, 1, 1), jnp.uint8) if allowed is None else allowed.astype(jnp.uint8)
    bits = jnp.zeros(2, jnp.uint32) if key is None else key.astype(jnp.uint32)
    kept = 1.0 / (1.0 - rate) if limit else 1.0
    settings = (int(is_causal), limit, masks, float(queries.shape[-1]) ** -0.5, kept)
    return _program()(queries, keys, values, mask, bits, settings)


@functools.cache
def _program() -> Any:
    import jax
    import jax.numpy as jnp

    def attributes(settings: Any) -> dict[str, np.ndarray]:
        return {
            "numbers": np.array(settings[3:], np.float32),
            "sizes": np.array(settings[:3], np.int64),
        }

    def forward(q: Any, k: Any, v: Any, mask: Any, bits: Any, settings: Any) -> Any:
        batch, rows, heads, _ = q.shape
        results = (
            jax.ShapeDtypeStruct(q.shape, jnp.float32),
            jax.ShapeDtypeStruct((batch, heads, rows), jnp.float32),
        )
        out, logs = calls.call(MIX, results, q, k, v, mask, bits, **attributes(settings))
        return out, (q, k, v, mask, bits, out, logs)

    @functools.partial(jax.custom_vjp, nondiff_argnums=(5,))
    def mix(q: Any, k: Any, v: Any, mask: Any, bits: Any, settings: Any) -> Any:
        return forward(q, k, v, mask, bits, settings)[0]

    def backward(settings: Any, kept: Any, gradient: Any) -> Any:
        results = [jax.ShapeDtypeStruct(each.shape, jnp.float32) for each in kept[:3]]
        found = calls.call(UNMIX, results, *kept, gradient, **attributes(settings))
        nothing = [np.zeros(each.shape, jax.dtypes.float0) for each in kept[3:5]]
        return (*found, *nothing)

    mix.defvjp(forward, backward)
    return mix
