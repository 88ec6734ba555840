"""How a text may go on, guessed, and which of the guesses were right.

To read a token, all weights are read. Where one text is written by a network that can forget,
it is therefore guessed how the text goes on, and the guesses are read with the token: those
that are what is then chosen have cost nothing, the others are read over (Leviathan et al.,
arXiv:2211.17192). The text is that without guesses. A guess is what followed the last place
where the text was as it is now (as Saxena's prompt lookup, 2023).
"""

import threading
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from septet.engine.native.function import NativeFunction
from septet.models.choosing import choose

AHEAD = 3
"""Tokens guessed at once: a CPU reads four little slower than one, eight in twice the time."""
REMEMBERED = 1024
"""Tokens before the network's own context among which guesses are sought."""
ALIKE = 8
"""Most tokens by which places are compared."""


def guess(text: Any, size: Any, count: int) -> Any:
    """How a text may go on, int32 [count]: as it did where it was most like its end, and last.

    Args:
        text: int32 [room].
        size: Tokens that are there, at least one.
        count: Tokens to guess.
    """
    import jax.numpy as jnp

    places = jnp.arange(text.shape[0])
    alike, is_alike = jnp.zeros_like(places), places < size - 1
    for back in range(ALIKE):
        is_alike &= (jnp.roll(text, back) == text[size - 1 - back]) & (places >= back)
        alike += is_alike
    best = jnp.argmax(jnp.where(places < size - 1, alike * text.shape[0] + places, -1))
    # What has come around goes on coming around.
    follows = best + 1 + jnp.arange(count) % jnp.maximum(size - 1 - best, 1)
    return text[follows]


def agreed(
    logits: Any, row: Any, most: Any, seen: Any, rules: tuple[Any, Any, Any], number: Any
) -> tuple[Any, Any]:
    """(how many guesses are what is chosen, the tokens seen with them).

    Args:
        logits: What follows each of `row`, float32 [1 + guesses, vocabulary].
        row: A chosen token and guesses of what follows, int32 [1 + guesses].
        most: Guesses that may be right.
        seen: Tokens that were read or written, those of `row` aside, bool [1, vocabulary].
        rules: Tokens that are never chosen, the token that ends a text, and how to choose.
        number: Of the first guess.
    """
    import jax.numpy as jnp
    from jax import lax

    banned, end, choice = rules

    def goes_on(carry: Any) -> Any:
        right, is_right, _ = carry
        return is_right & (right < most) & (row[right] != end)

    def compare(carry: Any) -> Any:
        right, _, seen = carry
        (chosen,) = choose(logits[right][None], seen, banned, choice, number + right)
        is_right = chosen == row[right + 1]
        seen = seen.at[0, chosen].set(seen[0, chosen] | is_right)
        return right + is_right, is_right, seen

    right, _, seen = lax.while_loop(goes_on, compare, (jnp.int32(0), jnp.bool_(True), seen))
    return right, seen


class Next(NamedTuple):
    """What follows from the logits of a token and of guesses.

    Args:
        right: How many guesses were right.
        row: The next token and guesses of what follows it, int32 [1 + guesses].
        seen: Tokens that were read or written, bool [1, vocabulary].
        text: Where guesses are sought, int32 [room].
        size: Tokens of `text` that are there, the next one included.
    """

    right: Any
    row: Any
    seen: Any
    text: Any
    size: Any


class GuessedWriting:
    """Writes one text on a CPU, where reading is machine code that reads the weights once.

    Who writes holds `lock`.

    Args:
        reading: A `gpt.GptReading` without room for guesses.
        variables: Of its network.
        banned: Tokens that are never chosen, bool [vocabulary].
        end: The token after which a text is done.
        ahead: Tokens that are guessed at once.

    Raises:
        UnsupportedError: The network has what the compiler does not know.
        NoCompilerError: There is no C compiler.
    """

    def __init__(
        self, reading: Any, variables: Sequence[Any], *, banned: np.ndarray, end: int, ahead: int
    ):
        """Compile the reading."""
        import jax

        self.lock = threading.Lock()
        self.length, self.ahead = reading.length, ahead
        self.banned, self.end = banned, end
        self._held: list[Any] = []
        kept = jax.eval_shape(lambda: reading.start(1))
        # Held turned, so that what makes one number of a product lies in order.
        self._is_turned = [
            len(each.shape) == 2 and each.path.endswith("/kernel") for each in variables
        ]
        shapes = [
            jax.ShapeDtypeStruct(each.shape[:: -1 if is_turned else 1], each.dtype)
            for each, is_turned in zip(variables, self._is_turned, strict=True)
        ]
        shapes.append(jax.ShapeDtypeStruct((1, 1 + ahead), np.int32))
        shapes.append(jax.ShapeDtypeStruct((1,), np.int32))
        count = len(variables)

        def read(*arrays: Any) -> list[Any]:
            tokens, place, *known = arrays[count:]
            weights = [
                array.T if is_turned else array
                for array, is_turned in zip(arrays[:count], self._is_turned, strict=True)
            ]
            with keras.StatelessScope(list(zip(variables, weights, strict=True))):
                logits, new = reading.read_apart(known, tokens, place)
            return [logits[0], *new]

        self._read = NativeFunction(read, [*shapes, *kept])
        self._weights = self._read.given[:count]
        self._tokens, self._place, *self._kept = self._read.given[count:]
        self._logits, *self._new = self._read.results
        self._next = jax.jit(self._follow)

    def hold(self, weights: Sequence[Any]) -> None:
        """Read with these weights, in the order of the variables."""
        # Arrays of JAX do not change, others might.
        if len(self._held) == len(weights) and all(
            old is new and not isinstance(new, np.ndarray)
            for old, new in zip(self._held, weights, strict=True)
        ):
            return
        for own, value, is_turned in zip(self._weights, weights, self._is_turned, strict=True):
            own[...] = np.asarray(value).T if is_turned else value
        self._held = list(weights)

    def write(self, state: Any, known: Sequence[int], values: Any) -> Iterator[list[int]]:
        """Yield chosen tokens, one or more at a time, until the end or until no more are kept.

        Args:
            state: What a `writing.Writer` has read, a `writing.Written`.
            known: All tokens before.
            values: How to choose, as `choosing.choose` takes it.
        """
        for own, value in zip(self._kept, state.kept, strict=True):
            own[...] = value
        place, number = int(state.place), int(state.number)
        text = np.zeros(REMEMBERED + self.length + self.ahead + 1, np.int32)
        last = known[-REMEMBERED:]
        text[: len(last)] = last
        logits = np.zeros_like(self._logits)
        logits[0] = np.asarray(state.logits)[0]
        row = np.full(1 + self.ahead, last[-1], np.int32)
        found = Next(0, row, state.seen, text, np.int32(len(last)))
        found = self._next(logits, found, np.int32(0), values, np.int32(number))
        while place < self.length:
            row = np.array(found.row)
            self._tokens[0], self._place[0] = row, place
            self._read()
            most = np.int32(min(self.ahead, self.length - place - 1))
            found = self._next(self._logits, found, most, values, np.int32(number + 1))
            right = int(found.right)
            for own, new in zip(self._kept, self._new, strict=True):
                own[:, :, place : place + 1 + right] = new[:, :, : 1 + right]
            place, number = place + 1 + right, number + 1 + right
            yield row[: 1 + right].tolist()
            if row[right] == self.end:
                return

    def _follow(self, logits: Any, before: Next, most: Any, values: Any, number: Any) -> Next:
        """What comes after `before.row`, whose first token was the last of its text."""
        import jax.numpy as jnp
        from jax import lax

        rules = self.banned, self.end, values
        right, seen = agreed(logits, before.row, most, before.seen, rules, number)
        token = choose(logits[right][None], seen, self.banned, values, number + right)
        text = lax.dynamic_update_slice(before.text, before.row, (before.size - 1,))
        size = before.size + right
        text = lax.dynamic_update_slice(text, token, (size,))
        row = jnp.concatenate([token, guess(text, size + 1, self.ahead)])
        return Next(right, row, seen.at[0, token[0]].set(True), text, size + 1)
