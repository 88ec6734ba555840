"""How a text may go on, guessed, and which of the guesses were right.

To read a token, all weights are read. Where one text is written by a network that can forget,
it is therefore guessed how the text goes on, and the guesses are read with the token: those
that are what is then chosen have cost nothing, the others are read over (Leviathan et al.,
arXiv:2211.17192). The text is that without guesses. A guess is what followed the last place
where the text was as it is now (as Saxena's prompt lookup, 2023), or is drafted by the network's
own weights, rounded (as Zhang et al., arXiv:2309.08168, draft by some of its own layers).
"""

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from septet.engine.native.decoder import MOST_ROWS, NativeDecoder
from septet.engine.native.graph import UnsupportedError
from septet.models.choosing import Choice, choose, noise_of

AHEAD = 3
"""Tokens guessed at once in a compiled loop."""
DRAFTED = 5
"""Tokens drafted at once by machine code."""
DRAWN = 32
"""Tokens whose noise is made at once."""
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


class GuessedWriting:
    """Writes one text on a CPU, where reading is machine code that reads the weights once.

    Guesses are drafted by the same weights, rounded; but while a text repeats itself they are what
    followed the most alike place, which costs nothing. Who writes holds `lock`.

    Args:
        reading: A `gpt.GptReading` without room for guesses.
        variables: Of its network.
        banned: Tokens that are never chosen, bool [vocabulary].
        end: The token after which a text is done.
        ahead: Tokens that are drafted at once, below `decoder.MOST_ROWS`.

    Raises:
        UnsupportedError: Its numbers are not float32.
        NoCompilerError: There is no C compiler.
    """

    def __init__(
        self, reading: Any, variables: Sequence[Any], *, banned: np.ndarray, end: int, ahead: int
    ):
        """Compile the reading."""
        import jax
        import jax.numpy as jnp

        if str(reading.dtype) != "float32":
            raise UnsupportedError(f"a decoder of {reading.dtype}")
        self.lock = threading.Lock()
        self.length, self.ahead = reading.length, max(0, min(ahead, MOST_ROWS - 1))
        self.end = end
        self._held: list[Any] = []
        places = {id(each): place for place, each in enumerate(variables)}
        self._order = [(places[id(each)], turned) for each, turned in reading.variables()]
        self.decoder = NativeDecoder(
            reading.sizes(), reading.turns(), banned=banned, end=end, remembered=REMEMBERED
        )

        def noise(seed: Any, number: Any) -> Any:
            shape = 1, len(banned)
            return jax.vmap(lambda each: noise_of(seed, each, shape)[0])(number + jnp.arange(DRAWN))

        self._noise = jax.jit(noise)

    def hold(self, weights: Sequence[Any]) -> None:
        """Read with these weights, in the order of the variables."""
        # Arrays of JAX do not change, others might.
        if len(self._held) == len(weights) and all(
            old is new and not isinstance(new, np.ndarray)
            for old, new in zip(self._held, weights, strict=True)
        ):
            return
        # Who is interrupted in between holds nothing.
        self._held = []
        for own, (place, is_turned) in zip(self.decoder.weights, self._order, strict=True):
            value = np.asarray(weights[place])
            own[...] = value.T if is_turned else value
        self.decoder.round()
        self._held = list(weights)

    def write(
        self, context: np.ndarray, known: Sequence[int], number: int, choice: Choice
    ) -> Iterator[list[int]]:
        """Yield chosen tokens, one or more at a time, until the end or until no more are kept.

        Args:
            context: Tokens to read, int32 [time].
            known: All tokens before what is written, these included.
            number: Of the first token to write.
            choice: How.
        """
        decoder = self.decoder
        temperature = float(np.ravel(choice.temperature)[0])

        def drawn() -> np.ndarray | None:
            """Of this token and those after it."""
            if temperature == 0:
                return None
            return np.asarray(self._noise(np.uint32(choice.seed), np.int32(number)))

        noise, first = drawn(), number
        decoder.begin(
            context,
            np.array(known, np.int32),
            noise,
            temperature=temperature,
            top_k=choice.top_k,
            top_p=choice.top_p,
            penalty=choice.repetition_penalty,
        )
        while decoder.place < self.length:
            number += 1
            if number + MOST_ROWS > first + DRAWN:
                noise, first = drawn(), number
            some = decoder.write(self.ahead, None if noise is None else noise[number - first :])
            number += len(some) - 1
            yield some
            if some[-1] == self.end:
                return
