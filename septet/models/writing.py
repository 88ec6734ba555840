"""Tokens written one after another by a network, in a compiled loop on the device.

The prompt is read at once; then a loop chooses a token, reads it and goes on, and the host
sees none of it until a number of tokens is there. What is chosen does not depend on how often
the host looks. Knows no text.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np

from septet.models.gpt import GptReading
from septet.models.language_lstm import LstmReading

LEAST_READ = 16
"""Prompts are read in lengths of this times a power of two, so that few programs are compiled."""


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


class Written(NamedTuple):
    """Where the loop stands.

    Args:
        kept: What the network keeps of what it has read.
        logits: Of the next token, float32 [batch, vocabulary].
        seen: Tokens that were read or written, bool [batch, vocabulary].
        tokens: What the last call wrote, int32 [batch, most]; after its end, the end's token.
        place: Tokens that are kept.
        number: Tokens written in all.
        ended: Rows that wrote their end.
    """

    kept: Any
    logits: Any
    seen: Any
    tokens: Any
    place: Any
    number: Any
    ended: Any


def reading_of(model: keras.Model) -> Any:
    """What reads for a network token by token.

    Raises:
        ValueError: It does not write.
    """
    if model.name == "gpt":
        return GptReading(model, int(model.longest))
    if model.name == "language_lstm":
        return LstmReading(model)
    raise ValueError(f"'{model.name}' does not write; expected gpt or language_lstm.")


class Writer:
    """Writes with a network.

    Args:
        model: Of `gpt` or `language_lstm`.
        end: The token after which a row is done.
        banned: Tokens that are never chosen.
        most: Tokens written in one call.
    """

    def __init__(self, model: keras.Model, *, end: int, banned: tuple[int, ...], most: int = 256):
        """See the class."""
        import jax

        self.reading = reading_of(model)
        self.length = self.reading.length
        self.end, self.most = end, most
        self.vocabulary_size = int(model.outputs[0].shape[-1])
        self.banned = np.zeros(self.vocabulary_size, bool)
        self.banned[list(banned)] = True
        self.variables = [*model.trainable_variables, *model.non_trainable_variables]
        self._begin = jax.jit(self._read_prompt)
        self._more = jax.jit(self._write, donate_argnums=1)

    def write(
        self, weights: Any, prompts: np.ndarray, count: int, choice: Choice, *, at_once: int = 0
    ) -> Any:
        """Yield what is written after prompts, pieces int32 [batch, up to `at_once`].

        What does not fit into the network's length is forgotten: it goes on from the last half.

        Args:
            weights: (trainable, non-trainable) values.
            prompts: Tokens [batch, time], at least one each.
            count: Tokens to write.
            choice: How.
            at_once: Tokens of a piece; as many as a call writes when 0.
        """
        known = np.asarray(prompts, np.int32)
        context, state, left = self._fitting(known), None, count
        while left > 0:
            if state is None:
                state = self._continued(weights, context, known, count - left)
            size = min(at_once or self.most, self.most, left)
            if self.length is not None:
                size = min(size, self.length - int(state.place))
            state = self._more(weights, state, self._values(choice, len(known)), np.int32(size))
            # A copy: the next call takes the memory.
            piece = np.array(state.tokens)[:, :size]
            yield piece
            left -= size
            known = np.concatenate([known, piece], axis=1)
            if bool(np.asarray(state.ended).all()):
                return
            if self.length is not None and int(state.place) >= self.length:
                context, ended = known[:, -(self.length // 2 or 1) :], state.ended
                state = self._continued(weights, context, known, count - left)
                state = state._replace(ended=ended)

    def _fitting(self, prompts: np.ndarray) -> np.ndarray:
        if self.length is None or prompts.shape[1] < self.length:
            return prompts
        return prompts[:, -(self.length // 2 or 1) :]

    def _continued(
        self, weights: Any, context: np.ndarray, known: np.ndarray, number: int
    ) -> Written:
        """The state after reading a context; all that is known counts as seen."""
        batch, size = context.shape
        room = LEAST_READ
        while room < size:
            room *= 2
        if self.length is not None:
            room = min(room, self.length)
        padded = np.zeros((batch, room), np.int32)
        padded[:, :size] = context
        seen = np.zeros((batch, self.vocabulary_size), bool)
        seen[np.arange(batch)[:, None], known] = True
        return self._begin(weights, padded, np.int32(size), seen, np.int32(number))

    def _values(self, choice: Choice, batch: int) -> tuple[Any, ...]:
        temperature = np.broadcast_to(np.asarray(choice.temperature, np.float32), (batch,))
        return (
            np.array(temperature),
            np.int32(choice.top_k),
            np.float32(choice.top_p),
            np.float32(choice.repetition_penalty),
            np.uint32(choice.seed),
        )

    # Traced

    def _scope(self, weights: Any) -> Any:
        values = [*weights[0], *weights[1]]
        return keras.StatelessScope(list(zip(self.variables, values, strict=True)))

    def _read_prompt(self, weights: Any, tokens: Any, size: Any, seen: Any, number: Any) -> Written:
        import jax.numpy as jnp

        batch = tokens.shape[0]
        with self._scope(weights):
            kept, logits = self._read(self.reading.start(batch), tokens, jnp.int32(0), size)
        written = jnp.zeros((batch, self.most), jnp.int32)
        return Written(kept, logits, seen, written, size, number, jnp.zeros(batch, bool))

    def _read(self, kept: Any, tokens: Any, place: Any, count: Any) -> tuple[Any, Any]:
        logits, kept = self.reading.read(kept, tokens, place, count)
        return kept, logits

    def _write(self, weights: Any, state: Written, choice: Any, count: Any) -> Written:
        import jax.numpy as jnp
        from jax import lax

        def goes_on(carry: Any) -> Any:
            index, state = carry
            return (index < count) & ~state.ended.all()

        def body(carry: Any) -> Any:
            index, state = carry
            token = choose(state.logits, state.seen, self.banned, choice, state.number)
            token = jnp.where(state.ended, self.end, token)
            written = lax.dynamic_update_slice(state.tokens, token[:, None], (0, index))
            rows = jnp.arange(token.shape[0])
            with self._scope(weights):
                kept, logits = self._read(state.kept, token[:, None], state.place, jnp.int32(1))
            return index + 1, Written(
                kept,
                logits,
                state.seen.at[rows, token].set(True),
                written,
                state.place + 1,
                state.number + 1,
                state.ended | (token == self.end),
            )

        fresh = state._replace(tokens=jnp.full_like(state.tokens, self.end))
        return lax.while_loop(goes_on, body, (jnp.int32(0), fresh))[1]


def choose(logits: Any, seen: Any, banned: np.ndarray, choice: Any, number: Any) -> Any:
    """The next token of each row, int32 [batch]; see `Choice`.

    What is drawn follows from the seed and the token's number alone.
    """
    import jax
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
        key = jax.random.fold_in(jax.random.key(seed), number)
        return jax.random.categorical(key, kept, axis=-1).astype(jnp.int32)

    # Nothing is drawn, and no random numbers made, where every row takes the likeliest.
    some = lax.cond((temperature > 0).any(), drawn, lambda x: best, logits)
    return jnp.where(temperature > 0, some, best)


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
