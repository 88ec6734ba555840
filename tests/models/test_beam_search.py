"""Beam search against every sequence there is, and against a literal search in NumPy."""

import itertools

import septet  # noqa: F401

# isort: split
# Septet comes first, since it chooses the backend of Keras.
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from septet.models.beam_search import beam_search, length_penalty

PAD, START, END = 0, 1, 2
VOCABULARY = 5


def tables(seed: int, batch: int) -> np.ndarray:
    """Logits after each pair of tokens, of each example: what comes depends on two before."""
    random = np.random.default_rng(seed)
    return (2 * random.normal(size=(batch, VOCABULARY, VOCABULARY, VOCABULARY))).astype(np.float32)


def search(logits: np.ndarray, beams: int, length: int, strength: float, **rest):
    batch = len(logits)
    table = jnp.asarray(np.repeat(logits, beams, axis=0))

    def advance(state, tokens, place):
        del place
        rows = jnp.arange(batch * beams)
        return table[rows, state["before"], tokens], {"before": tokens}

    state = {"before": jnp.full((batch * beams,), START, jnp.int32)}
    run = jax.jit(
        lambda state: beam_search(
            advance, state, batch=batch, beams=beams, length=length, start=START, end=END,
            forbidden=(PAD, START), strength=strength, **rest,
        )
    )  # fmt: skip
    return run(state)


def log_probs(logits: np.ndarray) -> np.ndarray:
    return np.asarray(jax.nn.log_softmax(logits.astype(np.float64), axis=-1))


def score_of(table: np.ndarray, tokens, strength: float) -> float:
    before, last, total = START, START, 0.0
    for token in tokens:
        total += table[before, last, token]
        before, last = last, token
    return total / length_penalty(len(tokens), strength)


def every_sequence(length: int):
    """Every sequence of at most `length` tokens that ends."""
    words = [token for token in range(VOCABULARY) if token not in (PAD, START, END)]
    for count in range(length):
        for tokens in itertools.product(words, repeat=count):
            yield (*tokens, END)


@pytest.mark.parametrize("strength", [0.0, 0.6, 1.5])
def test_a_wide_beam_finds_the_best_of_every_sequence(strength):
    length = 4
    logits = tables(0, 6)
    found = search(logits, 32, length, strength)
    for row, table in enumerate(log_probs(logits)):
        best = max(every_sequence(length), key=lambda tokens: score_of(table, tokens, strength))
        padded = [*best[:-1], *[PAD] * (length - len(best) + 1)]
        assert np.asarray(found.tokens)[row].tolist() == padded
        expected = score_of(table, best, strength)
        assert float(found.scores[row]) == pytest.approx(expected, abs=1e-5)


def literal(table: np.ndarray, beams: int, length: int, strength: float):
    """Beam search as a book has it, without an early end: (tokens, score)."""
    alive, done = [((), 0.0)], []
    for count in range(1, length + 1):
        grown = []
        for tokens, total in alive:
            before, last = ((START, START, *tokens))[-2:]
            for token in range(VOCABULARY):
                if token not in (PAD, START):
                    grown.append(((*tokens, token), total + table[before, last, token]))
        grown.sort(key=lambda entry: -entry[1])
        grown = grown[: 2 * beams]
        done += [(t, s / length_penalty(count, strength)) for t, s in grown if t[-1] == END]
        done = sorted(done, key=lambda entry: -entry[1])[:beams]
        alive = [entry for entry in grown if entry[0][-1] != END][:beams]
    return done[0] if done else (alive[0][0], alive[0][1] / length_penalty(length, strength))


@pytest.mark.parametrize("beams", [1, 2, 3])
@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_a_narrow_beam_finds_what_a_literal_search_finds(beams, strength):
    logits = tables(1, 20)
    found = search(logits, beams, 6, strength)
    for row, table in enumerate(log_probs(logits)):
        tokens, score = literal(table, beams, 6, strength)
        kept = [token for token in np.asarray(found.tokens)[row].tolist() if token != PAD]
        assert kept == [token for token in tokens if token != END]
        assert float(found.scores[row]) == pytest.approx(score, abs=1e-5)


def test_an_example_is_answered_alike_alone_and_among_others():
    logits = tables(2, 9)
    together = search(logits, 3, 6, 0.6)
    for row in range(9):
        alone = search(logits[row : row + 1], 3, 6, 0.6)
        assert alone.tokens[0].tolist() == together.tokens[row].tolist()
        assert float(alone.scores[0]) == float(together.scores[row])


def test_the_search_is_over_where_no_other_could_be_better():
    logits = np.zeros((1, VOCABULARY, VOCABULARY, VOCABULARY), np.float32)
    logits[..., END] = 20.0
    found = search(logits, 2, 50, 0.6)
    assert int(found.steps) <= 2
    assert found.tokens[0].tolist() == [PAD] * 50


def test_what_never_ends_is_cut_at_the_length():
    logits = np.zeros((1, VOCABULARY, VOCABULARY, VOCABULARY), np.float32)
    logits[..., END] = -1e9
    logits[..., 4] = 1.0
    assert search(logits, 2, 5, 0.6).tokens[0].tolist() == [4] * 5
