"""Cached decoding equals full decoding, masked equals sliced, and no place sees a later one."""

from septet.models.decoding import Decoding, memory_of
from septet.models.transformer import decoder, encoder, encoder_decoder
from septet.models.transformer_layers import rotated, sinusoids

# isort: split
# Septet comes first, since it chooses the backend of Keras.
import jax
import keras
import numpy as np
import pytest

pytestmark = pytest.mark.filterwarnings("ignore:.*__array__:DeprecationWarning")

SMALL = {"length": 12, "dim": 16, "depth": 2, "num_heads": 2, "feed_forward_dim": 20}
POSITIONS = ("sinusoidal", "learned", "rotary", "none")
NORMS = ("pre", "post")
LENGTHS = np.array([7, 4, 2])


def tokens(time: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 11, (3, time))


def source_mask() -> np.ndarray:
    return np.arange(7)[None] < LENGTHS[:, None]


def make(build, positions="rotary", norm="pre", **arguments) -> keras.Model:
    keras.utils.set_random_seed(0)
    return build(positions=positions, norm=norm, **SMALL, **arguments)


def translator(positions="rotary", norm="pre") -> keras.Model:
    sizes = {"source_vocabulary_size": 11, "target_vocabulary_size": 11}
    return make(encoder_decoder, positions, norm, is_shared=norm == "pre", **sizes)


def decoded(decoding: Decoding, given: np.ndarray, *memory) -> np.ndarray:
    """Logits [batch, time, vocabulary], one token at a time."""
    state, found = decoding.start(len(given)), []
    for place in range(given.shape[1]):
        logits, state = decoding.step(state, given[:, place], place, *memory)
        found.append(np.asarray(logits))
    return np.stack(found, axis=1)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("positions", POSITIONS)
def test_cached_decoding_is_full_decoding(positions, norm):
    model = make(decoder, positions, norm, vocabulary_size=11, is_tied=norm == "pre")
    full = np.asarray(model({"tokens": tokens(9)}))
    found = decoded(Decoding(model, 12), tokens(9))
    np.testing.assert_allclose(found, full, atol=1e-5)
    np.testing.assert_array_equal(found.argmax(-1), full.argmax(-1))


@pytest.mark.parametrize("positions", ["rotary", "learned"])
def test_decoding_compiles_into_one_loop(positions):
    model = make(decoder, positions, vocabulary_size=11)
    full = np.asarray(model({"tokens": tokens(9)}))
    decoding = Decoding(model, 12)

    def step(state, given):
        logits, state = decoding.step(state, *given)
        return state, logits

    @jax.jit
    def decode(given):
        return jax.lax.scan(step, decoding.start(3), (given.T, np.arange(9)))[1]

    found = np.asarray(decode(tokens(9))).swapaxes(0, 1)
    np.testing.assert_allclose(found, full, atol=1e-5)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("positions", POSITIONS)
def test_cached_translation_is_full_translation_and_padding_changes_nothing(positions, norm):
    model = translator(positions, norm)
    source = {"source": tokens(7, 1), "source_mask": source_mask()}
    full = np.asarray(model({**source, "target": tokens(9)}))
    memory = memory_of(model)(source)
    found = decoded(Decoding(model, 12), tokens(9), memory, source_mask())
    np.testing.assert_allclose(found, full, atol=1e-5)
    for row, length in enumerate(LENGTHS):
        alone = {name: value[row : row + 1, :length] for name, value in source.items()}
        sliced = model({**alone, "target": tokens(9)[row : row + 1]})
        np.testing.assert_allclose(np.asarray(sliced)[0], full[row], atol=1e-5)


@pytest.mark.parametrize("is_each_step", [False, True])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("positions", POSITIONS)
def test_an_encoder_sees_no_padding(positions, norm, is_each_step):
    arguments = {"vocabulary_size": 11, "num_outputs": 3, "is_each_step": is_each_step}
    model = make(encoder, positions, norm, has_mask=True, **arguments)
    full = np.asarray(model({"tokens": tokens(7), "mask": source_mask()}))
    for row, length in enumerate(LENGTHS):
        alone = {
            "tokens": tokens(7)[row : row + 1, :length],
            "mask": source_mask()[row : row + 1, :length],
        }
        expected = full[row, :length] if is_each_step else full[row]
        np.testing.assert_allclose(np.asarray(model(alone))[0], expected, atol=1e-5)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("positions", POSITIONS)
def test_no_place_of_a_decoder_sees_a_later_one(positions, norm):
    model = make(decoder, positions, norm, vocabulary_size=11)
    one, other = tokens(9), tokens(9)
    other[:, 5:] = tokens(9, 3)[:, 5:]
    before, after = (np.asarray(model({"tokens": given})) for given in (one, other))
    np.testing.assert_allclose(before[:, :5], after[:, :5], atol=1e-6)
    assert np.abs(before[:, 5:] - after[:, 5:]).max() > 1e-3


def test_rotary_scores_depend_on_distances_alone():
    vectors = np.random.default_rng(0).normal(size=(2, 1, 6, 1, 8)).astype("float32")
    queries, keys = vectors
    scores = [
        np.einsum("bqhd,bkhd->qk", *(np.asarray(rotated(v, np.arange(6) + start)) for v in vectors))
        for start in (0, 17)
    ]
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-4)
    assert np.abs(scores[0] - np.einsum("bqhd,bkhd->qk", queries, keys)).max() > 0.1


def test_an_encoder_of_numbers_learns_which_half_is_larger():
    keras.utils.set_random_seed(0)
    model = make(encoder, "learned", num_features=1, num_outputs=1, dropout=0.0)
    series = np.random.default_rng(0).normal(size=(512, 8, 1)).astype("float32")
    target = (series[:, :4].mean((1, 2)) > series[:, 4:].mean((1, 2))).astype("float32")
    model.compile(keras.optimizers.Adam(3e-3), keras.losses.BinaryCrossentropy(from_logits=True))
    losses = model.fit({"series": series}, target, epochs=25, verbose="0").history["loss"]
    assert losses[-1] < 0.35 < losses[0]


def test_sinusoids_are_the_papers():
    table = sinusoids(20, 8)
    assert table.shape == (20, 8)
    np.testing.assert_allclose(table[0], [0, 0, 0, 0, 1, 1, 1, 1], atol=1e-7)
    np.testing.assert_allclose(table[3, 0], np.sin(3), atol=1e-6)
    np.testing.assert_allclose(table[3, 7], np.cos(3 / 10_000), atol=1e-6)


@pytest.mark.parametrize(
    ("build", "arguments", "message"),
    [
        (decoder, {"vocabulary_size": 9, "num_heads": 3}, "expected a multiple"),
        (decoder, {"vocabulary_size": 9, "dim": 6, "num_heads": 2}, "Rotary"),
        (encoder, {"num_outputs": 2}, "either vocabulary_size or num_features"),
        (
            encoder_decoder,
            {"source_vocabulary_size": 3, "target_vocabulary_size": 4, "is_shared": True},
            "one size",
        ),
    ],
)
def test_arguments_that_do_not_fit_are_refused(build, arguments, message):
    with pytest.raises(ValueError, match=message):
        build(**{**SMALL, **arguments})


def test_what_does_not_decode_is_refused():
    with pytest.raises(ValueError, match="'encoder' does not decode"):
        Decoding(make(encoder, vocabulary_size=11, num_outputs=3), 12)


@pytest.mark.parametrize("positions", ["sinusoidal", "learned"])
def test_a_table_of_positions_beyond_any_use_is_refused_before_it_is_made(positions):
    with pytest.raises(ValueError, match="at most 67,108,864 are allowed"):
        encoder(
            num_outputs=2,
            num_features=3,
            length=10_000_000,
            dim=16_384,
            num_heads=4,
            depth=1,
            positions=positions,
        )
