"""Tokens written one after another by a network, in a compiled loop on the device.

The prompt is read at once; then a loop chooses a token, reads it and goes on, and the host
sees none of it until a number of tokens is there. What is chosen does not depend on how often
the host looks. Knows no text.

Where one text is written by a network that can forget, it is guessed how it goes on, and what is
right of that is read at the same time (`guessing.py`): in the loop, or on a CPU in C.
"""

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import keras
import numpy as np

from septet.engine.native.building import NoCompilerError
from septet.engine.native.graph import UnsupportedError
from septet.models.choosing import Choice, choose
from septet.models.gpt import GptReading
from septet.models.guessing import (
    AHEAD,
    DRAFTED,
    REMEMBERED,
    GuessedWriting,
    agreed,
    guess,
)
from septet.models.language_lstm import LstmReading

LEAST_READ = 16
"""Prompts are read in lengths of this times a power of two, so that few programs are compiled."""


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
        text: What was read and written last, where guesses are sought, int32 [room].
        size: Tokens of `text` that are there.
    """

    kept: Any
    logits: Any
    seen: Any
    tokens: Any
    place: Any
    number: Any
    ended: Any
    text: Any
    size: Any


def reading_of(model: keras.Model, ahead: int = 0) -> Any:
    """What reads for a network token by token, and up to `ahead` guesses where it can forget.

    Raises:
        ValueError: It does not write, or reads one token alone.
    """
    if model.name == "gpt":
        if model.longest < 2:
            raise ValueError("This gpt reads one token alone, and writing takes two.")
        return GptReading(model, int(model.longest), ahead)
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
        ahead: Tokens that are guessed where one text is written by a network that can forget;
            what is best when None.
        how: "plain" reads no guesses, "loop" reads them in the compiled loop, "native" by
            machine code; "auto" takes what is fastest: on a CPU "native" where there is a
            compiler, otherwise "plain", and "loop" elsewhere.
    """

    def __init__(
        self,
        model: keras.Model,
        *,
        end: int,
        banned: tuple[int, ...],
        most: int = 256,
        ahead: int | None = None,
        how: Literal["auto", "plain", "loop", "native"] = "auto",
    ):
        """See the class."""
        import jax

        is_on_cpu = jax.default_backend() == "cpu"
        if how == "auto":
            how = "native" if is_on_cpu else "loop"
        if ahead is None:
            ahead = AHEAD if how == "loop" else DRAFTED
        self.reading = reading_of(model, ahead if how == "loop" else 0)
        self.ahead = getattr(self.reading, "ahead", 0)
        self._native_ahead = (
            ahead if how == "native" and isinstance(self.reading, GptReading) else 0
        )
        self._native: GuessedWriting | None = None
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
        """Yield what is written after prompts, pieces int32 [batch, up to `at_once` and guesses].

        What does not fit into the network's length is forgotten: it goes on from the last half.

        Args:
            weights: (trainable, non-trainable) values.
            prompts: Tokens [batch, time], at least one each.
            count: Tokens to write.
            choice: How.
            at_once: Tokens of a piece; as many as a call writes when 0. Right guesses come
                with the piece in which they were guessed.
        """
        known = np.asarray(prompts, np.int32)
        native = self._compiled() if len(known) == 1 and self._native_ahead else None
        # Its memory is one text's at a time; another text meanwhile goes the plain way.
        if native is not None and native.lock.acquire(blocking=False):
            try:
                yield from self._write_one(native, weights, known, count, choice, at_once)
            finally:
                native.lock.release()
            return
        context, state, left = self._fitting(known), None, count
        while left > 0:
            if state is None:
                state = self._continued(weights, context, known, count - left)
            size = min(at_once or self.most, self.most, left)
            before = int(state.number)
            state = self._more(weights, state, self._values(choice, len(known)), np.int32(size))
            size = min(int(state.number) - before, left)
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

    def _compiled(self) -> GuessedWriting | None:
        """What writes one text by machine code, where that can be made."""
        if self._native is None:
            rest = {"banned": self.banned, "end": self.end, "ahead": self._native_ahead}
            try:
                self._native = GuessedWriting(self.reading, self.variables, **rest)
            except (UnsupportedError, NoCompilerError):
                self._native_ahead = 0
        return self._native

    def _write_one(
        self,
        native: GuessedWriting,
        weights: Any,
        known: np.ndarray,
        count: int,
        choice: Choice,
        at_once: int,
    ) -> Iterator[np.ndarray]:
        native.hold([*weights[0], *weights[1]])
        size = min(at_once or self.most, self.most)
        tokens, waiting, context = known[0].tolist(), [], self._fitting(known)[0]
        goal, is_done = len(tokens) + count, count <= 0
        while not is_done:
            for some in native.write(context, tokens, len(tokens) + count - goal, choice):
                some = some[: goal - len(tokens)]
                tokens, waiting = tokens + some, waiting + some
                is_done = len(tokens) >= goal or some[-1] == self.end
                if is_done or len(waiting) >= size:
                    yield np.array([waiting], np.int32)
                    waiting = []
                if is_done:
                    break
            context = np.array(tokens[-(self.length // 2 or 1) :], np.int32)

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
        text, last = np.zeros(self._room(batch), np.int32), known[0, -REMEMBERED:]
        if len(text):
            text[: len(last)] = last
        begun = np.int32(size), seen, np.int32(number), text, np.int32(len(last))
        return self._begin(weights, padded, *begun)

    def _room(self, batch: int) -> int:
        """Of `Written.text`: none where nothing is guessed."""
        return REMEMBERED + self.length + self.ahead if batch == 1 and self.ahead else 0

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

    def _read_prompt(
        self, weights: Any, tokens: Any, size: Any, seen: Any, number: Any, text: Any, known: Any
    ) -> Written:
        import jax.numpy as jnp

        batch = tokens.shape[0]
        with self._scope(weights):
            kept, logits = self._read(self.reading.start(batch), tokens, jnp.int32(0), size)
        written = jnp.zeros((batch, self.most + self.ahead), jnp.int32)
        ended = jnp.zeros(batch, bool)
        return Written(kept, logits, seen, written, size, number, ended, text, known)

    def _read(self, kept: Any, tokens: Any, place: Any, count: Any) -> tuple[Any, Any]:
        logits, kept = self.reading.read(kept, tokens, place, count)
        return kept, logits

    def _write(self, weights: Any, state: Written, choice: Any, count: Any) -> Written:
        import jax.numpy as jnp
        from jax import lax

        first = state.number
        length = jnp.inf if self.length is None else self.length

        def goes_on(state: Written) -> Any:
            return (state.number - first < count) & (state.place < length) & ~state.ended.all()

        def step(state: Written) -> Written:
            token = choose(state.logits, state.seen, self.banned, choice, state.number)
            token = jnp.where(state.ended, self.end, token)
            seen = state.seen.at[jnp.arange(token.shape[0]), token].set(True)
            state = state._replace(seen=seen)
            read = self._read_guesses if state.text.size else self._read_one
            return read(weights, state, token, choice, state.number - first)

        fresh = state._replace(tokens=jnp.full_like(state.tokens, self.end))
        return lax.while_loop(goes_on, step, fresh)

    def _read_one(
        self, weights: Any, state: Written, token: Any, choice: Any, index: Any
    ) -> Written:
        """Read the chosen token of each row."""
        import jax.numpy as jnp
        from jax import lax

        del choice
        with self._scope(weights):
            kept, logits = self._read(state.kept, token[:, None], state.place, jnp.int32(1))
        return state._replace(
            kept=kept,
            logits=logits,
            tokens=lax.dynamic_update_slice(state.tokens, token[:, None], (0, index)),
            place=state.place + 1,
            number=state.number + 1,
            ended=state.ended | (token == self.end),
        )

    def _read_guesses(
        self, weights: Any, state: Written, token: Any, choice: Any, index: Any
    ) -> Written:
        """Read the chosen token of the one row, and what was rightly guessed to follow it."""
        import jax.numpy as jnp
        from jax import lax

        text = lax.dynamic_update_slice(state.text, token, (state.size,))
        row = jnp.concatenate([token, guess(text, state.size + 1, self.ahead)])
        with self._scope(weights):
            logits, kept = self.reading.read_each(state.kept, row[None], state.place)
        most = jnp.minimum(self.ahead, self.length - state.place - 1)
        rules = self.banned, self.end, choice
        right, seen = agreed(logits[0], row, most, state.seen, rules, state.number + 1)
        return Written(
            kept,
            logits[:, right],
            seen,
            # What was wrong is overwritten by what comes next, here and in the text.
            lax.dynamic_update_slice(state.tokens, row[None], (0, index)),
            state.place + 1 + right,
            state.number + 1 + right,
            row[right][None] == self.end,
            lax.dynamic_update_slice(text, row, (state.size,)),
            state.size + 1 + right,
        )
