"""Metrics are reset and read as Keras does it, whether or not they are Keras' own."""

import keras
import numpy as np
import pytest

import septet
from septet.fitting import keras_inside


class Counted(keras.metrics.Mean):
    """A metric that knows how often it was asked."""

    def __init__(self, **named):
        """See the class."""
        super().__init__(**named)
        self.resets = self.asked = 0

    def update_state(self, y_true, y_pred, sample_weight=None):  # pyright: ignore
        """The mean of what is wanted."""
        return super().update_state(y_true)

    def reset_state(self):
        """Begin anew."""
        self.resets += 1
        super().reset_state()


def make(*metrics):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("adam", "mse", metrics=list(metrics))
    rows = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    return model, rows, rows.sum(axis=1, keepdims=True)


def test_metrics_of_keras_are_read_from_the_steps_and_reset_to_what_they_began_with():
    model, rows, wanted = make("mae", keras.metrics.RootMeanSquaredError())
    history = septet.fit(model, rows, wanted, epochs=3, verbose=0)
    metrics = keras_inside.Metrics(model, "train")
    assert metrics.is_known
    own = {name: float(value) for name, value in model.get_metrics_result().items()}
    assert list(own) == list(history.history)
    assert own == {name: values[-1] for name, values in history.history.items()}
    for _ in range(2):  # the first by Keras' own way, the second by what it set
        metrics.reset()
        assert [np.asarray(each.value).sum() for each in model.metrics_variables] == [0.0] * 6
        septet.fit(model, rows, wanted, epochs=1, verbose=0)


def test_metrics_of_others_are_asked_each_time():
    counted = Counted(name="counted")
    model, rows, wanted = make(counted)
    before = counted.resets
    history = septet.fit(model, rows, wanted, epochs=4, verbose=0)
    assert not keras_inside.Metrics(model, "train").is_known
    assert counted.resets - before >= 4
    assert history.history["counted"] == pytest.approx([float(wanted.mean())] * 4, rel=1e-4)


def test_a_model_with_results_of_its_own_is_asked_for_them():
    class Renamed(keras.Sequential):
        def get_metrics_result(self):
            return {"loss": 7.0}

    model, rows, wanted = make()
    renamed = Renamed(model.layers)
    renamed.compile("adam", "mse")
    assert not keras_inside.Metrics(renamed, "train").is_known
    assert septet.fit(renamed, rows, wanted, verbose=0).history["loss"] == [7.0]
