"""Networks that translate: packed rows equal single ones, steps equal the whole."""

from septet.models.translating import translating
from septet.models.translation import END, PADDING, START, recurrent, transformer

# isort: split
# Septet comes first, since it chooses the backend of Keras.
import keras
import numpy as np
import pytest

from septet.language import tokenizer_schema

pytestmark = pytest.mark.filterwarnings("ignore:.*__array__:DeprecationWarning")

SMALL = {"vocabulary_size": 20, "dim": 16, "num_heads": 2}
PAIRS = [([5, 6, 7, 8], [9, 10, 11]), ([12, 13], [14, 15, 16, 17]), ([18], [5])]


def make(kind: str) -> keras.Model:
    keras.utils.set_random_seed(3)
    if kind == "transformer":
        return transformer(**SMALL, length=12, depth=2, feed_forward_dim=24, dropout=0.3)
    return recurrent(**SMALL, units=12, depth=2, dropout=0.3)


KINDS = ("transformer", "gru")


def rows(pairs, source_length=12, target_length=14) -> dict[str, np.ndarray]:
    """All pairs in one row."""
    source = [token for side, _ in pairs for token in (*side, END)]
    target = [token for _, side in pairs for token in (START, *side)]
    return {
        "source": np.array([source + [PADDING] * (source_length - len(source))], np.int32),
        "target": np.array([target + [PADDING] * (target_length - len(target))], np.int32),
    }


def logits_of(model, inputs) -> np.ndarray:
    return np.asarray(model(inputs, training=False))


def test_the_special_tokens_are_those_of_tokenizers():
    assert (PADDING, START, END) == (
        tokenizer_schema.PAD, tokenizer_schema.START, tokenizer_schema.END,
    )  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_pairs_in_one_row_are_answered_as_each_in_its_own(kind):
    model = make(kind)
    together = logits_of(model, rows(PAIRS))[0]
    at = 0
    for pair in PAIRS:
        alone = logits_of(model, rows([pair], len(pair[0]) + 1, len(pair[1]) + 1))[0]
        np.testing.assert_allclose(together[at : at + len(alone)], alone, atol=2e-5)
        at += len(alone)


@pytest.mark.parametrize("kind", ["transformer", pytest.param("gru", marks=pytest.mark.slow)])
def test_padding_changes_nothing_and_no_place_sees_a_later_one(kind):
    model = make(kind)
    short = rows(PAIRS[:1], 5, 4)
    long = rows(PAIRS[:1], 12, 14)
    np.testing.assert_allclose(logits_of(model, long)[0, :4], logits_of(model, short)[0], atol=2e-5)
    later = {**short, "target": short["target"].copy()}
    later["target"][0, 3] = 19
    np.testing.assert_array_equal(logits_of(model, later)[0, :3], logits_of(model, short)[0, :3])
    other = {**short, "source": short["source"].copy()}
    other["source"][0, 0] = 19
    assert np.abs(logits_of(model, other) - logits_of(model, short)).max() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_one_token_at_a_time_is_all_at_once(kind):
    """With two continuations of each source, as a search has them."""
    model = make(kind)
    steps = translating(model)
    source = np.array([[5, 6, 7, END, 0, 0], [12, 13, 14, 15, 16, END]], np.int32)
    draw = np.random.default_rng(0)
    target = np.concatenate([np.full((4, 1), START), draw.integers(4, 20, (4, 6))], axis=1).astype(
        np.int32
    )
    inputs = {"source": np.repeat(source, 2, axis=0), "target": target}
    whole = logits_of(model, inputs)
    memory, state = steps.remember(source), steps.start(4, 8)
    for place in range(7):
        logits, state, look = steps.step(memory, state, target[:, place], place)
        np.testing.assert_allclose(np.asarray(logits), whole[:, place], atol=2e-5)
        look = np.asarray(look)
        assert look.shape == (4, 6)
        np.testing.assert_allclose(look.sum(axis=1), 1.0, atol=1e-5)
        assert np.abs(look[:2, 4:]).max() < 1e-6


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_likeliest_is_the_same_with_what_was_read_kept_as_read_anew(kind):
    model = make(kind)
    steps = translating(model)
    source = np.array([[5, 6, 7, END], [12, 13, 14, END], [9, 4, 18, END]], np.int32)
    memory, state = steps.remember(source), steps.start(3, 10)
    target = np.full((3, 10), PADDING, np.int32)
    target[:, 0] = START
    for place in range(9):
        logits, state, _ = steps.step(memory, state, target[:, place], place)
        whole = logits_of(model, {"source": source, "target": target})[:, place]
        likeliest = np.asarray(logits).argmax(axis=-1)
        assert likeliest.tolist() == whole.argmax(axis=-1).tolist()
        # A written PADDING would hide what comes after it.
        target[:, place + 1] = np.maximum(likeliest, 1)


def test_other_networks_do_not_translate():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)], name="dense")
    with pytest.raises(ValueError, match="'dense' does not translate"):
        translating(model)


@pytest.mark.parametrize("build", [transformer, recurrent])
def test_heads_must_share_the_numbers(build):
    with pytest.raises(ValueError, match="3 heads; expected a multiple"):
        build(vocabulary_size=20, num_heads=3, **({"length": 9} if build is transformer else {}))
