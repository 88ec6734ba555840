"""Documents as one row of tokens, and rows cut out of it."""

from collections.abc import Sequence

import numpy as np

from septet.language.tokenizer_schema import (
    END,
    NUM_BYTES,
    NUM_SPECIALS,
    PAD,
    SPELT_IN_BYTES,
    byte_letters,
)
from septet.language.tokenizing import Tokenizer


def packed(texts: Sequence[str], tokenizer: Tokenizer) -> np.ndarray:
    """All documents after one another, `END` before each and after the last."""
    end = np.array([END], np.int32)
    parts = [end]
    for ids in tokenizer.encode(list(texts)):
        parts += [ids, end]
    kind = np.uint16 if tokenizer.size <= 2**16 else np.int32
    return np.concatenate(parts).astype(kind)


def side_by_side(tokens: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Every token once as a target: inputs and targets int32 [rows, length], padded at the end."""
    count = len(tokens) - 1
    rows = max(1, -(-count // length))
    inputs, targets = (np.full(rows * length, PAD, np.int32) for _ in range(2))
    inputs[:count], targets[:count] = tokens[:-1], tokens[1:]
    return inputs.reshape(rows, length), targets.reshape(rows, length)


def characters_of_each(tokenizer: Tokenizer) -> np.ndarray:
    """How many characters begin in each token: int32 [tokens].

    A character's first byte counts for it, so that the tokens of a text add up to its length.
    """
    prepared = tokenizer.prepared
    counts = np.zeros(tokenizer.size, np.int32)
    if prepared.kind in SPELT_IN_BYTES:
        values = {letter: byte for byte, letter in enumerate(byte_letters())}
        counts[NUM_SPECIALS:] = [
            sum(_begins(values[letter]) for letter in piece if letter in values)
            for piece in prepared.pieces
        ]
        return counts
    counts[NUM_SPECIALS : NUM_SPECIALS + NUM_BYTES] = [_begins(byte) for byte in range(NUM_BYTES)]
    counts[NUM_SPECIALS + NUM_BYTES :] = 1
    return counts


def _begins(byte: int) -> bool:
    """Whether a byte of UTF-8 begins a character."""
    return byte & 0xC0 != 0x80
