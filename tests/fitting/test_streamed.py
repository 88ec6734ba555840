"""`septet.fit` on arrays that do not fit on the device: what `model.fit` does, block by block."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import septet
from septet.errors import DataError
from septet.fitting import ordered, sources

# Keras' own variables do not know NumPy's `copy` yet.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
ROWS = 101


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr("septet.engine.devices.room_for_data", lambda: 1000)
    monkeypatch.setattr(ordered, "BLOCK_BYTES", 3000)


def example() -> tuple[Any, np.ndarray, np.ndarray]:
    keras.utils.set_random_seed(3)
    x = np.random.default_rng(0).normal(size=(ROWS, 8)).astype(np.float64)
    y = (x.sum(axis=1) > 0).astype(np.int64)
    model = keras.Sequential(
        [
            keras.layers.Dense(6, use_bias=False),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.1),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model, x, y


def in_file(path: Path, array: np.ndarray) -> np.ndarray:
    np.save(path, array)
    return np.load(path, mmap_mode="r")


# Keras' own fit asks JAX for 64 bits, of which JAX 0.11 says that it gives 32.
@pytest.mark.filterwarnings("ignore:Explicitly requested dtype:UserWarning")
@pytest.mark.parametrize("is_in_files", [True, False])
def test_training_equals_that_of_keras(is_in_files, tmp_path, monkeypatch):
    options = {"batch_size": 16, "epochs": 3, "verbose": 0, "class_weight": {0: 1.0, 1: 2.0}}
    model, x, y = example()
    expected = model.fit(x, y, validation_data=(x[:30], y[:30]), **options).history
    weights = model.get_weights()
    scores = model.evaluate(x, y, verbose=0)
    outputs = model.predict(x, verbose=0)

    model, x, y = example()
    if is_in_files:
        x, y = in_file(tmp_path / "x.npy", x), in_file(tmp_path / "y.npy", y)
    opened = []

    class Watched(ordered.StreamedSource):
        def __init__(self, *arguments, **named):
            super().__init__(*arguments, **named)
            opened.append(self)

    monkeypatch.setattr(sources, "StreamedSource", Watched)
    found = septet.fit(model, x, y, validation_data=(x[:30], y[:30]), **options).history
    assert [source.block_steps for source in opened] == [2, 1]
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-5, err_msg=name)
    for value, wanted in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(septet.evaluate(model, x, y, verbose=0), scores, rtol=1e-4)
    np.testing.assert_allclose(septet.predict(model, x, verbose=0), outputs, rtol=1e-3, atol=1e-6)
    assert len(opened) == 4


def test_a_run_on_files_continues_in_the_middle_of_an_epoch(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("septet.fitting.keeper.CHECKPOINT_EVERY_S", 0.0)

    class Stops(keras.callbacks.Callback):
        def __init__(self, step: int | None):
            super().__init__()
            self.step, self.steps = step, 0

        def on_train_batch_end(self, batch, logs=None):
            self.steps += 1
            if self.steps == self.step:
                raise RuntimeError("as if killed")

    def train(run: str, step: int | None) -> dict[str, list[float]]:
        model, x, y = example()
        x, y = in_file(tmp_path / "x.npy", x), in_file(tmp_path / "y.npy", y)
        stops = Stops(step)
        return septet.fit(model, x, y, 16, 2, 0, callbacks=[stops], run=run).history

    expected = train("whole", None)
    for step in (1, 5, 7, 12):
        with pytest.raises(RuntimeError, match="as if killed"):
            train(f"run-{step}", step)
        assert train(f"run-{step}", None) == expected


def test_a_file_that_is_cut_off_during_training_is_named(tmp_path):
    model, x, y = example()
    x = in_file(tmp_path / "x.npy", x)
    with (tmp_path / "x.npy").open("r+b") as file:
        file.truncate(4000)
    with pytest.raises(DataError, match=r"x\.npy' is shorter than its array"):
        septet.fit(model, x, y, verbose=0)
