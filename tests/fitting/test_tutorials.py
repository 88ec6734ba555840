"""Code as Keras' tutorials have it runs unchanged, with only its last line replaced.

On JAX each time the tests run, on TensorFlow and PyTorch by `make backends`.
"""

from typing import Any

import numpy as np
import pytest

import septet

# Of Keras and the frameworks beneath it.
pytestmark = [
    pytest.mark.filterwarnings(f"ignore::{kind}Warning") for kind in ("Deprecation", "User")
]

DATA = """
import numpy as np
random = np.random.default_rng(0)
y_train = random.integers(0, 3, 90)
x_train = (random.normal(size=(90, 8, 8)) + y_train[:, None, None]).astype("float32")
"""
DENSE = """
import keras
from keras import layers
keras.utils.set_random_seed(0)
model = keras.Sequential([
    keras.Input((8, 8)),
    layers.Flatten(),
    layers.Dense(16, activation="relu"),
    layers.Dropout(0.2),
    layers.Dense(3, activation="softmax"),
])
model.compile(
    optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"]
)
"""
CONVOLUTIONAL = """
from keras.layers import BatchNormalization, Conv2D, Dense, Flatten, Input, MaxPooling2D, Reshape
from keras.models import Sequential
from keras.utils import set_random_seed, to_categorical
set_random_seed(0)
y_train = to_categorical(y_train, 3)
model = Sequential()
model.add(Input(shape=(8, 8)))
model.add(Reshape((8, 8, 1)))
model.add(Conv2D(4, kernel_size=(3, 3), use_bias=False))
model.add(BatchNormalization())
model.add(MaxPooling2D(pool_size=(2, 2)))
model.add(Flatten())
model.add(Dense(3, activation="softmax"))
model.compile(loss="categorical_crossentropy", optimizer="rmsprop", metrics=["accuracy"])
"""
RECURRENT = """
from keras import Model
from keras.layers import LSTM, Dense, Input
from keras.losses import SparseCategoricalCrossentropy
from keras.optimizers import Adam
from keras.utils import set_random_seed
set_random_seed(0)
inputs = Input(shape=(8, 8))
outputs = Dense(3)(LSTM(6)(inputs))
model = Model(inputs, outputs)
model.compile(Adam(0.01), SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
"""
LAST = "history = {fit}x_train, y_train, batch_size=16, epochs=3, validation_split=0.2, verbose=0)"


def run_as(program: str, fit: str) -> dict[str, Any]:
    """The history that a tutorial has at its end."""
    names: dict[str, Any] = {"septet": septet}
    exec(DATA + program + LAST.format(fit=fit), names)
    return names["history"].history


@pytest.mark.parametrize(
    "program", [DENSE, CONVOLUTIONAL, RECURRENT], ids=["dense", "convolutional", "recurrent"]
)
def test_only_the_last_line_is_replaced(program):
    expected = run_as(program, "model.fit(")
    found = run_as(program, "septet.fit(model, ")
    assert list(found) == list(expected)
    for name, values in expected.items():
        assert len(values) == 3
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-5, err_msg=name)
    assert found["loss"][-1] < found["loss"][0]


def test_the_same_verbs_evaluate_and_predict():
    names: dict[str, Any] = {"septet": septet}
    exec(DATA + DENSE, names)
    model, x, y = names["model"], names["x_train"], names["y_train"]
    scores = septet.evaluate(model, x, y, verbose=0, return_dict=True)
    assert scores == pytest.approx(model.evaluate(x, y, verbose=0, return_dict=True))
    np.testing.assert_allclose(
        septet.predict(model, x, verbose=0), model.predict(x, verbose=0), atol=1e-6
    )
