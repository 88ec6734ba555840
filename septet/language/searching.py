"""Translations by a trained network: texts sorted by length, searched for in batches.

One compiled search serves all texts of about one length; lengths and batches are rounded up,
so that a few programs serve every text.
"""

import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from septet import backends
from septet.errors import ConfigError
from septet.language.pair_packing import rows_of_one
from septet.language.tokenizer_schema import END, PAD, START, UNKNOWN

BATCHES = (1, 8, 32)
"""Texts searched for at once; what is left is filled up."""
SHORTEST = 16
MOST_TOKENS = 1024
"""Of a text and of its translation."""

Weights = tuple[list[Any], list[Any]]

_searches: "weakref.WeakKeyDictionary[Any, Search]" = weakref.WeakKeyDictionary()


@dataclass(frozen=True)
class Hypothesis:
    """What a search found.

    Args:
        tokens: Without their end.
        score: Log-probability over the length's penalty.
    """

    tokens: np.ndarray
    score: float


class Search:
    """The compiled search of one network; compiled anew for each rounded length and batch."""

    def __init__(self, network: Any):
        """See the class.

        Raises:
            ConfigError: Another backend than JAX computes.
        """
        if backends.current() != "jax":
            raise ConfigError(
                f"Translations are searched for by JAX, and {backends.title()} computes here. "
                "Leave out --backend, or unset KERAS_BACKEND."
            )
        import jax

        from septet.models.translating import translating

        self.num_traces = 0
        # Not the network itself, which must be free to go.
        self.steps = translating(network)
        self.variables = [*network.trainable_variables, *network.non_trainable_variables]
        self.run = jax.jit(self._run, static_argnames=("beams", "length", "strength"))
        self.attend = jax.jit(self._attend)

    def _run(self, values: Any, source: Any, *, beams: int, length: int, strength: float) -> Any:
        import keras

        from septet.models.beam_search import beam_search

        self.num_traces += 1
        batch = source.shape[0]
        with keras.StatelessScope(state_mapping=list(zip(self.variables, values, strict=True))):
            memory = self.steps.remember(source)

            def advance(state: Any, tokens: Any, place: Any) -> tuple[Any, Any]:
                return self.steps.step(memory, state, tokens, place)[:2]

            return beam_search(
                advance,
                self.steps.start(batch * beams, length),
                batch=batch,
                beams=beams,
                length=length,
                start=START,
                end=END,
                forbidden=(PAD, UNKNOWN, START),
                strength=strength,
            )

    def _attend(self, values: Any, source: Any, target: Any) -> Any:
        """Attention of each token of targets [n, time], from the first on, to the source's."""
        import jax.numpy as jnp
        import keras
        from jax import lax

        with keras.StatelessScope(state_mapping=list(zip(self.variables, values, strict=True))):
            memory = self.steps.remember(source)
            count, length = target.shape

            def read(carry: Any, tokens: Any) -> tuple[Any, Any]:
                place, state = carry
                _, state, look = self.steps.step(memory, state, tokens, place)
                return (place + 1, state), look

            start = (jnp.int32(0), self.steps.start(count, length))
            looks = lax.scan(read, start, target.T)[1]
        return jnp.swapaxes(looks, 0, 1)


def search_of(network: Any) -> Search:
    """The search of a network, made once."""
    found = _searches.get(network)
    if found is None:
        found = _searches[network] = Search(network)
    return found


def translate(
    network: Any,
    weights: Weights,
    sources: Sequence[np.ndarray],
    *,
    beams: int,
    strength: float,
    growth: float,
) -> list[Hypothesis]:
    """The best translation that a search finds for each source.

    Args:
        network: Of `septet.models.translation`.
        weights: Its (trainable, non-trainable) values.
        sources: Token numbers of each text, at most `MOST_TOKENS - 1`.
        beams: Hypotheses kept of each.
        strength: Of the length penalty.
        growth: Most tokens of a translation to one of its source.
    """
    search = search_of(network)
    values = [*weights[0], *weights[1]]
    found: list[Hypothesis | None] = [None] * len(sources)
    for rows, source_length in batches([len(source) + 1 for source in sources]):
        length = most_tokens(source_length, growth)
        batch = next(size for size in BATCHES if size >= len(rows))
        padded = np.full((batch, source_length), PAD, np.int32)
        # What fills the batch up is the shortest text there is.
        padded[:, 0] = END
        padded[: len(rows)] = rows_of_one([sources[row] for row in rows], source_length)
        result = search.run(values, padded, beams=beams, length=length, strength=float(strength))
        tokens, scores = np.asarray(result.tokens), np.asarray(result.scores)
        for place, row in enumerate(rows):
            kept = tokens[place]
            found[row] = Hypothesis(kept[kept != PAD], float(scores[place]))
    return [each for each in found if each is not None]


def batches(lengths: Sequence[int]) -> list[tuple[list[int], int]]:
    """(rows, rounded length) of each batch: texts of about one length, the shortest first."""
    order = sorted(range(len(lengths)), key=lambda row: (lengths[row], row))
    groups: dict[int, list[int]] = {}
    for row in order:
        groups.setdefault(rounded(lengths[row]), []).append(row)
    most = BATCHES[-1]
    return [
        (rows[first : first + most], length)
        for length, rows in groups.items()
        for first in range(0, len(rows), most)
    ]


def rounded(length: int) -> int:
    """The next power of two, `SHORTEST` or more."""
    return max(SHORTEST, 1 << (length - 1).bit_length())


def most_tokens(source_length: int, growth: float) -> int:
    """Tokens that a translation may have: in proportion to its source, and a few more."""
    wanted = int(np.ceil(source_length * growth)) + 8
    return min(-(-wanted // 8) * 8, MOST_TOKENS)
