"""Which token comes next: the likeliest, or one drawn from what logits say of each."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Choice:
    """How a token is chosen.

    Args:
        temperature: What logits are divided by, one number or one for each row; 0 takes the
            likeliest token.
        top_k: Choose among so many likeliest tokens; 0 for all.
        top_p: Choose among the likeliest that have this share together (arXiv:1904.09751).
        repetition_penalty: What logits of tokens seen already are made less by
            (arXiv:1909.05858); 1 for nothing.
        seed: Of what is drawn.
    """

    temperature: float | tuple[float, ...] = 1.0
    top_k: int = 0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    seed: int = 0


def choose(logits: Any, seen: Any, banned: np.ndarray, choice: Any, number: Any) -> Any:
    """The next token of each row, int32 [batch]; see `Choice`.

    What is drawn follows from the seed and the token's number alone.
    """
    import jax.numpy as jnp
    from jax import lax

    temperature, top_k, top_p, penalty, seed = choice
    weaker = jnp.where(logits > 0, logits / penalty, logits * penalty)
    logits = jnp.where(seen & (penalty != 1.0), weaker, logits)
    logits = jnp.where(banned, -jnp.inf, logits)
    best = jnp.argmax(logits, axis=-1).astype(jnp.int32)

    def drawn(logits: Any) -> Any:
        scaled = logits / jnp.maximum(temperature, 1e-6)[:, None]
        is_cut = (top_k > 0) | (top_p < 1.0)
        kept = lax.cond(is_cut, lambda x: cut(x, top_k, top_p), lambda x: x, scaled)
        return jnp.argmax(kept + noise_of(seed, number, kept.shape), axis=-1).astype(jnp.int32)

    # Nothing is drawn, and no random numbers made, where every row takes the likeliest.
    some = lax.cond((temperature > 0).any(), drawn, lambda x: best, logits)
    return jnp.where(temperature > 0, some, best)


def noise_of(seed: Any, number: Any, shape: tuple[int, ...]) -> Any:
    """What is added to logits so that the largest is a draw from them (Gumbel), float32."""
    import jax
    import jax.numpy as jnp

    key = jax.random.fold_in(jax.random.key(seed), number)
    return jax.random.gumbel(key, shape, jnp.float32)


def cut(logits: Any, top_k: Any, top_p: Any) -> Any:
    """Logits with those outside of the likeliest `top_k`, or of a share `top_p`, at -inf.

    Of equal logits at the border all stay.
    """
    import jax
    import jax.numpy as jnp

    size = logits.shape[-1]
    ordered = -jnp.sort(-logits, axis=-1)
    least = jnp.where(top_k > 0, jnp.minimum(top_k, size), size) - 1
    border = jnp.take(ordered, least, axis=-1)[:, None]
    # After top-k, shares are of what is left.
    shares = jax.nn.softmax(jnp.where(ordered >= border, ordered, -jnp.inf), axis=-1)
    before = jnp.cumsum(shares, axis=-1) - shares
    # The first always stays, however small the share.
    inside = (before < top_p).at[:, 0].set(True)
    lowest = jnp.min(jnp.where(inside, ordered, jnp.inf), axis=-1)[:, None]
    return jnp.where(logits >= jnp.maximum(border, lowest), logits, -jnp.inf)
