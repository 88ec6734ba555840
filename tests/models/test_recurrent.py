"""Padded, bidirectional and streamed series give what each series alone gives."""

from septet.models.recurrent import LAYERS, Stream, pad, recurrent

# isort: split
# Septet comes first, since it chooses the backend of Keras.
import keras
import numpy as np
import pytest

pytestmark = pytest.mark.filterwarnings("ignore:.*__array__:DeprecationWarning")


def some_series() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.normal(size=(steps, 3)).astype("float32") for steps in (4, 7, 2)]


def network(kind, **arguments) -> keras.Model:
    keras.utils.set_random_seed(0)
    return recurrent(num_features=3, num_outputs=2, kind=kind, hidden=[5, 4], **arguments)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("is_bidirectional", [False, True])
@pytest.mark.parametrize("is_each_step", [False, True])
def test_padding_changes_nothing(kind, is_bidirectional, is_each_step):
    model = network(
        kind, has_lengths=True, is_bidirectional=is_bidirectional, is_each_step=is_each_step
    )
    padded = pad(some_series(), length=9)
    # Whatever the padding holds.
    padded["series"][0, 4:] = 9.0
    together = np.asarray(model(padded))
    for answer, series in zip(together, some_series(), strict=True):
        alone = np.asarray(model(pad([series])))[0]
        found = answer[: len(series)] if is_each_step else answer
        np.testing.assert_allclose(found, alone, atol=1e-6)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("has_lengths", [False, True])
def test_a_stream_answers_as_the_whole_series_does(kind, has_lengths):
    model = network(kind, is_each_step=True, has_lengths=has_lengths)
    stream = Stream(model)
    for _ in range(2):
        for series in some_series():
            given = pad([series]) if has_lengths else {"series": series[None]}
            whole = np.asarray(model(given))[0]
            for row, expected in zip(series, whole, strict=True):
                np.testing.assert_allclose(stream.step(row), expected, atol=1e-6)
            stream.reset()


@pytest.mark.parametrize("kind", LAYERS)
def test_streams_advance_together(kind):
    model = network(kind, is_each_step=True)
    series = np.stack([some_series()[1], some_series()[1][::-1]])
    stream = Stream(model, batch_size=2)
    answers = np.stack([stream.step(series[:, step]) for step in range(7)], axis=1)
    np.testing.assert_allclose(answers, np.asarray(model({"series": series})), atol=1e-6)


def test_what_cannot_be_streamed_is_said():
    with pytest.raises(ValueError, match="is_bidirectional=False"):
        Stream(network("lstm", is_bidirectional=True))
    stream = Stream(network("lstm"))
    with pytest.raises(ValueError, match=r"shape \(4,\); expected \(1, 3\)"):
        stream.step(np.zeros(4))


@pytest.mark.parametrize(
    ("series", "length", "message"),
    [
        ([], None, "no series"),
        ([np.zeros((3, 2)), np.zeros((3, 4))], None, "expected .time, features."),
        ([np.zeros(3)], None, "expected .time, features."),
        ([np.zeros((5, 2))], 4, "5 steps; expected at most 4"),
    ],
)
def test_series_that_do_not_fit_are_refused(series, length, message):
    with pytest.raises(ValueError, match=message):
        pad(series, length=length)


def test_arguments_out_of_range_are_refused():
    with pytest.raises(ValueError, match="hidden"):
        recurrent(num_features=3, num_outputs=2, hidden=[])
    with pytest.raises(ValueError, match="kind"):
        recurrent(num_features=3, num_outputs=2, kind="liquid")  # type: ignore[arg-type]
