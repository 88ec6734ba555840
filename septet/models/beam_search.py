"""Beam search as one loop on the device: the likeliest continuation that a step function gives.

Knows no network: a step reads a token for each of several hypotheses and gives logits. What
it keeps of a hypothesis follows the hypothesis.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Advance = Callable[[Any, Any, Any], tuple[Any, Any]]
"""(state, tokens [n], place) -> (logits [n, vocabulary], state); leaves of state are [n, ...]."""

LOWEST = -1e9
"""The log-probability of what is no hypothesis; finite, so that sums of it are."""


class Found(NamedTuple):
    """The best hypothesis of each of a batch.

    Args:
        tokens: int32 [batch, length], without their end; 0 after it.
        scores: Its log-probability over its length's penalty, float32 [batch].
        steps: Steps that the search took, int32.
    """

    tokens: Any
    scores: Any
    steps: Any


class _Search(NamedTuple):
    place: Any
    alive: Any  # [batch, beams, length]
    log_probs: Any  # [batch, beams]
    done: Any  # [batch, beams, length]
    done_scores: Any  # [batch, beams]
    state: Any


def length_penalty(count: Any, strength: float) -> Any:
    """What a log-probability of `count` tokens is divided by (Wu et al., arXiv:1609.08144, 14)."""
    return ((5.0 + count) / 6.0) ** strength


def beam_search(
    advance: Advance,
    state: Any,
    *,
    batch: int,
    beams: int,
    length: int,
    start: int,
    end: int,
    forbidden: tuple[int, ...] = (),
    strength: float = 0.6,
) -> Found:
    """Search up to `length` tokens, the end among them; pure JAX, for a function that compiles.

    A hypothesis that has ended is kept by its score; the search is over where no other could
    still be better. Where none has ended in `length` tokens, the likeliest is taken as it is.

    Args:
        advance: Reads a token for each hypothesis.
        state: What it keeps, for batch * beams hypotheses, those of one example in a row.
        batch: Examples.
        beams: Hypotheses kept of each; 1 is greedy search.
        length: Most tokens.
        start: The token before the first.
        end: The token after the last.
        forbidden: Tokens that are never chosen.
        strength: Of the length penalty; 0 for none.
    """
    import jax
    import jax.numpy as jnp
    from jax import lax

    count = batch * beams

    def is_open(search: _Search) -> Any:
        # The most that a hypothesis can still reach: no more is lost, over the longest length.
        reachable = search.log_probs.max(axis=1) / length_penalty(length, strength)
        return (search.place < length) & jnp.any(search.done_scores.max(axis=1) < reachable)

    def step(search: _Search) -> _Search:
        place = search.place
        before = lax.dynamic_index_in_dim(
            search.alive, jnp.maximum(place - 1, 0), axis=2, keepdims=False
        )
        last = jnp.where(place == 0, start, before)
        logits, state = advance(search.state, last.reshape(count), place)
        log_probs = jax.nn.log_softmax(logits.astype(jnp.float32), axis=-1)
        vocabulary = log_probs.shape[1]
        if forbidden:
            never = np.isin(np.arange(vocabulary), forbidden)
            log_probs = jnp.where(never[None, :], LOWEST, log_probs)
        # Of twice as many as are kept, at least half do not end here.
        most = min(2 * beams, vocabulary)
        best, token = lax.top_k(log_probs, most)
        total = search.log_probs[:, :, None] + best.reshape(batch, beams, most)
        kept = min(2 * beams, beams * most)
        best, place_in = lax.top_k(total.reshape(batch, beams * most), kept)
        parent = place_in // most
        token = jnp.take_along_axis(token.reshape(batch, beams * most), place_in, axis=1)
        grown = jnp.take_along_axis(search.alive, parent[:, :, None], axis=1)
        ends = token == end
        # Those that ended join the others that have.
        scores = jnp.where(ends, best / length_penalty(place + 1.0, strength), LOWEST)
        all_done = jnp.concatenate([search.done, grown], axis=1)
        all_scores = jnp.concatenate([search.done_scores, scores], axis=1)
        done_scores, rows = lax.top_k(all_scores, beams)
        done = jnp.take_along_axis(all_done, rows[:, :, None], axis=1)
        # The others go on.
        alive_scores, rows = lax.top_k(jnp.where(ends, LOWEST, best), beams)
        parent = jnp.take_along_axis(parent, rows, axis=1)
        token = jnp.take_along_axis(token, rows, axis=1)
        alive = jnp.take_along_axis(grown, rows[:, :, None], axis=1)
        alive = lax.dynamic_update_index_in_dim(alive, token, place, axis=2)
        source = (jnp.arange(batch)[:, None] * beams + parent).reshape(count)
        state = jax.tree.map(lambda leaf: jnp.take(leaf, source, axis=0), state)
        return _Search(place + 1, alive, alive_scores, done, done_scores, state)

    empty = jnp.zeros((batch, beams, length), jnp.int32)
    first = jnp.where(jnp.arange(beams) == 0, 0.0, LOWEST).astype(jnp.float32)
    none = jnp.full((batch, beams), LOWEST, jnp.float32)
    begin = _Search(jnp.int32(0), empty, jnp.tile(first, (batch, 1)), empty, none, state)
    search = lax.while_loop(is_open, step, begin)
    has_ended = search.done_scores[:, 0] > LOWEST / 2
    unfinished = search.log_probs[:, 0] / length_penalty(length, strength)
    return Found(
        jnp.where(has_ended[:, None], search.done[:, 0], search.alive[:, 0]),
        jnp.where(has_ended, search.done_scores[:, 0], unfinished),
        search.place,
    )
