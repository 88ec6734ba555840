"""How a text goes on: prompts to tokens, a network that writes, tokens to text as they come."""

import codecs
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal
from weakref import WeakKeyDictionary

import numpy as np

from septet import backends
from septet.errors import InputError
from septet.language.generation_options import DecodingOptions
from septet.language.tokenizer_schema import END, PAD, START, UNKNOWN
from septet.language.tokenizing import Tokenizer
from septet.models.writing import Choice, Writer

PIECE = 16
"""Tokens between two looks at a text that is streamed or that a stop text may end."""

Hear = Callable[[str], None]
Ended = Literal["length", "end", "stop"]
WRITERS: "WeakKeyDictionary[Any, Writer]" = WeakKeyDictionary()


def can_write() -> bool:
    """Whether this backend can write: the loop is JAX's."""
    return backends.current() == "jax"


def writer_of(network: Any) -> Writer:
    """What writes with a network; kept, since it is compiled once.

    Raises:
        InputError: Keras is not on JAX.
    """
    if not can_write():
        raise InputError(
            f"Text is written by a loop compiled by JAX, and Keras is on {backends.title()}. "
            "Leave out --backend; a model trained there loads on JAX as well."
        )
    if network not in WRITERS:
        WRITERS[network] = Writer(network, end=END, banned=(PAD, UNKNOWN, START))
    return WRITERS[network]


def continue_text(
    network: Any,
    weights: Any,
    tokenizer: Tokenizer,
    prompt: str,
    options: DecodingOptions,
    hear: Hear | None = None,
) -> tuple[str, int, Ended]:
    """(what follows a prompt, tokens written, why it ended); `hear` is told pieces as they come."""
    from septet.language.generation import prompt_tokens

    choice = Choice(
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
        repetition_penalty=options.repetition_penalty,
        seed=options.seed,
    )
    ids = prompt_tokens(prompt, tokenizer)[None]
    at_once = PIECE if hear is not None or options.stop else 0
    pieces = writer_of(network).write(weights, ids, options.tokens, choice, at_once=at_once)
    return read_pieces((piece[0] for piece in pieces), tokenizer, options.stop, hear)


def read_pieces(
    pieces: Iterator[np.ndarray], tokenizer: Tokenizer, stops: Sequence[str], hear: Hear | None
) -> tuple[str, int, Ended]:
    """The text of tokens that come in pieces, up to the end of the document or a stop text.

    A character whose bytes are not all there yet waits for them, and so does what may be the
    beginning of a stop text.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text, told, count = "", 0, 0
    ended: Ended = "length"
    for piece in pieces:
        last = np.flatnonzero(piece == END)
        ids = piece[: last[0]] if len(last) else piece
        count += len(ids)
        text += decoder.decode(tokenizer.spell(ids.tolist()), final=bool(len(last)))
        at = first_of(text, stops)
        if at is not None:
            text, ended = text[:at], "stop"
        elif len(last):
            ended = "end"
        free = len(text) - (0 if ended != "length" else held_back(text, stops))
        if hear is not None and free > told:
            hear(text[told:free])
            told = free
        if ended != "length":
            break
    if ended == "length":
        text += decoder.decode(b"", final=True)
    if hear is not None and len(text) > told:
        hear(text[told:])
    return text, count, ended


def first_of(text: str, stops: Sequence[str]) -> int | None:
    """Where the first stop text begins, if there is one."""
    places = [at for at in map(text.find, stops) if at >= 0]
    return min(places, default=None)


def held_back(text: str, stops: Sequence[str]) -> int:
    """Characters at the end of a text that may be the beginning of a stop text."""
    return max(
        (
            size
            for stop in stops
            for size in range(min(len(stop) - 1, len(text)), 0, -1)
            if text.endswith(stop[:size])
        ),
        default=0,
    )


def continue_at(
    network: Any,
    weights: Any,
    tokenizer: Tokenizer,
    prompt: str,
    temperatures: Sequence[float],
    count: int,
) -> list[str]:
    """How a prompt goes on at each of some temperatures, all written side by side."""
    from septet.language.generation import prompt_tokens

    if not can_write():
        return ["" for _ in temperatures]
    ids = np.repeat(prompt_tokens(prompt, tokenizer)[None], len(temperatures), axis=0)
    choice = Choice(temperature=tuple(temperatures))
    pieces = list(writer_of(network).write(weights, ids, count, choice))
    rows = np.concatenate(pieces, axis=1)
    return [read_pieces(iter([row]), tokenizer, (), None)[0] for row in rows]
