"""Callbacks are called as Keras calls them, and obeyed."""

# What Keras annotates is narrower than what it takes.
# pyright: reportArgumentType=false, reportOptionalMemberAccess=false
# pyright: reportOptionalSubscript=false, reportAssignmentType=false
# pyright: reportGeneralTypeIssues=false, reportReturnType=false

import os
from typing import Any

import keras
import numpy as np
import pytest

from septet.errors import InputError
from septet.fitting.fit import evaluate, fit
from septet.fitting.outputs import predict
from tests.fitting.zoo import KINDS, regressor

# Keras' own variables do not know NumPy's `copy` yet.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

HOOKS = [
    "on_train_begin",
    "on_train_end",
    "on_epoch_begin",
    "on_epoch_end",
    "on_test_begin",
    "on_test_end",
]
BATCH_HOOKS = [
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_test_batch_begin",
    "on_test_batch_end",
]


def recorder(names: list[str]) -> tuple[keras.callbacks.Callback, list[Any]]:
    """A callback that overrides the named hooks, and what they were called with."""
    calls: list[Any] = []

    def hook(name: str) -> Any:
        def record(self: Any, *arguments: Any, logs: Any = None) -> None:
            *places, logs = (*arguments, logs) if len(arguments) < 2 else arguments
            calls.append((name, tuple(places), {k: float(v) for k, v in (logs or {}).items()}))

        return record

    members = {name: hook(name) for name in names}
    return type("Recorder", (keras.callbacks.Callback,), members)(), calls


def train(way: Any, kind: str = "sequential", **settings: Any) -> tuple[keras.Model, Any]:
    """A fresh model of a kind, trained one way or the other from fixed seeds."""
    keras.utils.set_random_seed(3)
    model, x, y = KINDS[kind]()
    arguments = {"batch_size": 16, "epochs": 4, "verbose": 0, "validation_split": 0.3, **settings}
    return model, way(model, x, y, **arguments)


def both(make: Any, kind: str = "sequential", **settings: Any) -> tuple[Any, Any]:
    """(model and callback trained by Keras, and by Septet), with their histories compared."""
    results = []
    for way in (keras.Model.fit, fit):
        callback = make()
        model, history = train(way, kind, callbacks=[callback], **settings)
        results.append((model, callback, history.history))
    (reference, _, expected), (model, _, found) = results
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-5, err_msg=name)
    for own, other in zip(model.get_weights(), reference.get_weights(), strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-4, atol=1e-6)
    return results[0], results[1]


def assert_same_calls(found: list[Any], expected: list[Any]) -> None:
    assert [call[:2] for call in found] == [call[:2] for call in expected]
    for (name, _, logs), (_, _, wanted) in zip(found, expected, strict=True):
        assert logs.keys() == wanted.keys(), name
        np.testing.assert_allclose(list(logs.values()), list(wanted.values()), rtol=1e-5)


@pytest.mark.parametrize("kind", ["sequential", "several_steps_per_execution"])
@pytest.mark.parametrize("names", [HOOKS, HOOKS + BATCH_HOOKS], ids=["epochs", "batches"])
def test_hooks_are_called_as_keras_calls_them(names, kind):
    calls = []
    for way in (keras.Model.fit, fit):
        callback, heard = recorder(names)
        train(way, kind, callbacks=[callback], validation_freq=2)
        calls.append(heard)
    assert_same_calls(calls[1], calls[0])


def test_hooks_of_evaluate_are_called_as_keras_calls_them():
    calls = []
    for way in (keras.Model.evaluate, evaluate):
        callback, heard = recorder(HOOKS + BATCH_HOOKS)
        keras.utils.set_random_seed(3)
        model, x, y = KINDS["sequential"]()
        way(model, x, y, batch_size=16, verbose=0, callbacks=[callback])
        calls.append([call[:2] for call in heard])
    assert calls[1] == calls[0]


def test_hooks_of_predict_are_called_as_keras_calls_them():
    calls = []
    for way in (keras.Model.predict, predict):
        heard: list[Any] = []

        class Watches(keras.callbacks.Callback):
            def on_predict_batch_end(
                self, batch: int, logs: Any = None, heard: list[Any] = heard
            ) -> None:
                heard.append((batch, np.asarray(logs["outputs"]).round(4).tolist()))

        keras.utils.set_random_seed(3)
        model, x, _ = KINDS["sequential"]()
        way(model, x, 16, 0, callbacks=[Watches()])
        calls.append(heard)
    assert len(calls[0]) == 3
    assert calls[1] == calls[0]


def test_a_callback_at_every_batch_is_said_once(capsys):
    callback, _ = recorder(["on_train_batch_end"])
    for _ in range(2):
        train(fit, callbacks=[callback], epochs=1, verbose=2)
    assert capsys.readouterr().err.count("Recorder looks at every batch") == 1


class Meddler(keras.callbacks.Callback):
    """Sets weights, the learning rate and `stop_training` as a user would."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == 1:
            self.model.set_weights([0.5 * weight for weight in self.model.get_weights()])
        self.model.optimizer.learning_rate = 0.01 / (epoch + 1)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch == 2:
            self.model.stop_training = True


class BatchMeddler(keras.callbacks.Callback):
    """The same in the middle of an epoch."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch == 0:
            first = self.model.layers[0]
            first.set_weights([weight + 0.1 for weight in first.get_weights()])
            self.model.optimizer.learning_rate = 0.05
        step = int(self.model.optimizer.iterations)
        if step == 3:
            self.model.stop_training = True


@pytest.mark.parametrize("make", [Meddler, BatchMeddler])
def test_callbacks_that_change_the_model_are_obeyed(make):
    both(make)


class Halving(keras.callbacks.LearningRateScheduler):
    def __init__(self):
        super().__init__(lambda epoch, rate: rate / 2)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(
            lambda: keras.callbacks.EarlyStopping("loss", patience=0, min_delta=10),
            id="stop",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            lambda: keras.callbacks.EarlyStopping(
                patience=1, min_delta=1, restore_best_weights=True
            ),
            id="stop-restore",
        ),
        pytest.param(
            lambda: keras.callbacks.ReduceLROnPlateau("loss", patience=1, min_delta=9, factor=0.1),
            id="plateau",
            marks=pytest.mark.slow,
        ),
        pytest.param(Halving, id="schedule", marks=pytest.mark.slow),
        pytest.param(lambda: keras.callbacks.SwapEMAWeights(swap_on_epoch=True), id="swap"),
        pytest.param(keras.callbacks.TerminateOnNaN, id="nan", marks=pytest.mark.slow),
    ],
)
def test_built_in_callbacks_do_what_they_do_in_keras(make):
    kind = "averaged_weights" if "Swap" in repr(make()) else "sequential"
    (_, reference, _), (_, callback, _) = both(make, kind)
    for name in ("stopped_epoch", "best_epoch", "wait"):
        assert getattr(callback, name, None) == getattr(reference, name, None)


def test_lambdas_and_csv_logs_are_as_in_keras(tmp_path):
    texts = []
    for place, way in enumerate((keras.Model.fit, fit)):
        path, seen = tmp_path / f"{place}.csv", []
        callbacks = [
            keras.callbacks.CSVLogger(str(path)),
            keras.callbacks.LambdaCallback(
                on_train_batch_end=lambda batch, logs, seen=seen: seen.append(batch)
            ),
        ]
        train(way, callbacks=callbacks)
        rows = [line.split(",") for line in path.read_text().splitlines()]
        texts.append((rows[0], seen, [[round(float(cell), 4) for cell in row] for row in rows[1:]]))
    assert texts[0] == texts[1]


@pytest.mark.parametrize("save_freq", ["epoch", 3])
def test_checkpoints_are_written_when_keras_writes_them(tmp_path, save_freq):
    names = []
    for place, way in enumerate((keras.Model.fit, fit)):
        folder = tmp_path / str(place)
        folder.mkdir()
        pattern = "{epoch}.weights.h5" if save_freq == "epoch" else "{epoch}-{batch}.weights.h5"
        saver = keras.callbacks.ModelCheckpoint(
            str(folder / pattern), save_weights_only=True, save_freq=save_freq
        )
        model, _ = train(way, callbacks=[saver])
        names.append(sorted(os.listdir(folder)))
        if save_freq == "epoch":
            last = [np.array(weight) for weight in model.get_weights()]
            model.load_weights(str(folder / "4.weights.h5"))
            for own, other in zip(model.get_weights(), last, strict=True):
                np.testing.assert_array_equal(own, other)
    assert names[0] == names[1]
    assert names[1]


def test_backup_and_restore_continues_where_it_was(tmp_path):
    class Dies(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 2:
                raise RuntimeError("power cut")

    epochs = []
    for place, way in enumerate((keras.Model.fit, fit)):
        backup = str(tmp_path / str(place))
        with pytest.raises(RuntimeError, match="power cut"):
            train(way, callbacks=[keras.callbacks.BackupAndRestore(backup), Dies()])
        _, history = train(way, callbacks=[keras.callbacks.BackupAndRestore(backup)])
        epochs.append(history.epoch)
    assert epochs[0] == epochs[1] == [2, 3]


def test_nan_ends_training_at_the_batch_where_it_appears():
    seen = []
    for way in (keras.Model.fit, fit):
        keras.utils.set_random_seed(3)
        model = regressor(keras.layers.Input((2,)))
        x = np.ones((60, 2), np.float32)
        x[25] = np.nan
        ends = keras.callbacks.TerminateOnNaN()
        way(model, x, x[:, :1] * 0, 4, 3, 0, [ends], shuffle=False)
        seen.append((int(model.optimizer.iterations), np.isnan(model.get_weights()[0]).all()))
    assert seen[0] == seen[1] == (7, True)


def test_an_exception_of_a_callback_leaves_a_usable_model():
    class Raises(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            raise RuntimeError("mine")

    keras.utils.set_random_seed(3)
    model, x, y = KINDS["sequential"]()
    with pytest.raises(RuntimeError, match="mine"):
        fit(model, x, y, 16, verbose=0, callbacks=[Raises()])
    assert int(model.optimizer.iterations) == 1
    assert np.isfinite(model.predict(x, verbose=0)).all()
    fit(model, x, y, 16, verbose=0)
    assert int(model.optimizer.iterations) == 4


def test_minutes_end_training_early_with_a_usable_model():
    _, history = train(fit, epochs=1_000_000, minutes=0.05)
    assert 1 <= len(history.history["loss"]) < 1_000_000


@pytest.mark.parametrize("minutes", [0, -1])
def test_minutes_must_be_positive(minutes):
    with pytest.raises(InputError, match="leaves no time"):
        train(fit, minutes=minutes)


def test_a_model_that_is_not_compiled_is_refused_as_by_keras():
    model = keras.Sequential([keras.layers.Dense(1)])
    with pytest.raises(ValueError, match="compile"):
        fit(model, np.zeros((4, 2)), np.zeros(4))
