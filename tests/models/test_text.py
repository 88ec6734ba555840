"""Networks for texts: padding changes nothing, and pieces do what plain NumPy says."""

from septet.models import text, text_layers

# isort: split
# Septet comes first, since it chooses the backend of Keras.
from typing import Any

import keras
import numpy as np
import pytest

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*__array__:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:You are using a softmax over axis:UserWarning"),
]

SHARED: dict[str, Any] = {"vocabulary_size": 30, "num_outputs": 3, "dim": 8}
NETWORKS = {
    "bag": lambda: text.bag(**SHARED, ngrams=3, buckets=50),
    "cnn": lambda: text.cnn(**SHARED, filters=4, sizes=[2, 3]),
    "lstm": lambda: text.recurrent(**SHARED, units=4),
    "gru": lambda: text.recurrent(**SHARED, units=4, kind="gru", depth=2),
    "transformer": lambda: text.encoder(
        **SHARED, length=12, num_heads=2, feed_forward_dim=8, depth=1
    ),
}


def network(name: str) -> keras.Model:
    """With weights large enough that a mistake would show."""
    model = NETWORKS[name]()
    random = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(0.3 * random.normal(size=variable.shape))
    return model


def padded(lengths, time: int) -> np.ndarray:
    random = np.random.default_rng(1)
    tokens = np.zeros((len(lengths), time), np.int32)
    for row, length in zip(tokens, lengths, strict=True):
        row[:length] = random.integers(1, 30, length)
    return tokens


@pytest.mark.parametrize("name", NETWORKS)
def test_padding_changes_nothing(name):
    model, lengths = network(name), (4, 9, 1)
    tokens = padded(lengths, 9)
    together = np.asarray(model({"tokens": tokens}))
    for answer, row, length in zip(together, tokens, lengths, strict=True):
        alone = np.asarray(model({"tokens": row[None, :length]}))[0]
        np.testing.assert_allclose(answer, alone, atol=1e-6)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_text_without_tokens_gets_a_finite_answer(name):
    assert np.isfinite(np.asarray(network(name)({"tokens": np.zeros((2, 5), np.int32)}))).all()


def test_hashed_runs_are_those_of_plain_python():
    tokens, buckets = padded((6, 2), 6), 1000

    def wrap(value: int) -> int:
        return (value + 2**31) % 2**32 - 2**31

    def number(run) -> int:
        current = int(run[0])
        for token in run[1:]:
            current = wrap(wrap(current * text_layers.MULTIPLIER) + int(token))
            current = current ^ (current >> text_layers.SHIFT)
        return current % buckets + 1

    expected = [
        [
            number(row[at : at + count]) if at + count <= 6 and row[at : at + count].all() else 0
            for count in (2, 3)
            for at in range(6)
        ]
        for row in tokens
    ]
    found = np.asarray(text_layers.HashedRuns(3, buckets)(tokens))
    assert found.tolist() == expected
    assert found.max() <= buckets


def test_runs_spread_evenly_over_their_numbers():
    pairs = np.array([[a, b] for a in range(1, 200) for b in range(1, 200)], np.int32)
    found = np.asarray(text_layers.HashedRuns(2, 1000)(pairs))[:, 0]
    counts = np.bincount(found, minlength=1001)[1:]
    assert counts.min() > 0.2 * counts.mean()
    assert counts.max() < 3 * counts.mean()


def test_windows_and_a_dense_layer_are_a_convolution():
    random = np.random.default_rng(0)
    features = random.normal(size=(2, 7, 3)).astype("float32")
    kernel = random.normal(size=(4, 3, 5)).astype("float32")
    windows = np.asarray(text_layers.Windows(4)(features))
    ops = keras.ops
    expected = np.asarray(ops.conv(features, kernel, padding="same"))
    np.testing.assert_allclose(windows @ kernel.reshape(12, 5), expected, atol=1e-5)


def test_maximum_of_what_is_masked_is_left_out():
    features = np.array([[[1.0, -5.0], [9.0, 9.0]], [[3.0, 3.0], [4.0, 4.0]]], np.float32)
    mask = np.array([[True, False], [False, False]])
    found = text_layers.MaskedMaximum()(features, mask=mask)
    assert np.asarray(found).tolist() == [[1.0, -5.0], [0.0, 0.0]]


@pytest.mark.parametrize("wrong", [{"dim": 0}, {"dropout": 1.0}, {"vocabulary_size": 2.5}])
def test_arguments_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        text.bag(**{**SHARED, **wrong})
    with pytest.raises(ValueError, match="length"):
        text.encoder(**SHARED, length=5000, num_heads=2)
    with pytest.raises(ValueError, match="expected a multiple"):
        text.encoder(**SHARED, length=5, num_heads=3)
