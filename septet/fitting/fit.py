"""`fit` and `evaluate` for any Keras model: Keras' meaning, in compiled chunks."""

import time
from typing import Any

from septet.engine import devices
from septet.errors import InputError
from septet.fitting import keras_inside
from septet.fitting.passes import Hooks, Pass
from septet.fitting.sources import ArraySource, IterableSource, open_source
from septet.fitting.talking import callback_list, note


def fit(
    model: Any,
    x: Any = None,
    y: Any = None,
    batch_size: int | None = None,
    epochs: int = 1,
    verbose: Any = "auto",
    callbacks: Any = None,
    validation_split: float = 0.0,
    validation_data: Any = None,
    shuffle: Any = True,
    class_weight: dict[int, float] | None = None,
    sample_weight: Any = None,
    initial_epoch: int = 0,
    steps_per_epoch: int | None = None,
    validation_steps: int | None = None,
    validation_batch_size: int | None = None,
    validation_freq: int | list[int] = 1,
    *,
    seed: int | None = None,
    minutes: float | None = None,
) -> Any:
    """Train a compiled `keras.Model` as `model.fit` would, several times faster.

    A model that the compiled loop cannot take goes through Keras' own `fit`, with one note.

    Args:
        model: A `keras.Model` on which `compile` was called.
        x: Inputs: an array [n, ...], a pytree of them, or what yields (x, y[, weights]) by
            batches: generator, `PyDataset`, Grain, DataLoader, `tf.data`.
        y: Targets, arrays whose first axis is that of `x`; None where `x` yields them.
        batch_size: Examples a step; 32 by default. Only for arrays.
        epochs: Passes over the data, counted from 0 and not from `initial_epoch`.
        verbose: 0 silent, 1 a bar, 2 a line an epoch; "auto" is 1.
        callbacks: `keras.callbacks.Callback`s, or a `CallbackList`.
        validation_split: Share of the arrays, at their end, to validate on.
        validation_data: (x, y), (x, y, weights), or what yields them.
        shuffle: Whether to draw an order for each epoch; "batch": within batches only.
        class_weight: Class to weight of its examples.
        sample_weight: [n] or what the loss broadcasts against; one a target if nested.
        initial_epoch: Epoch to begin with.
        steps_per_epoch: Steps after which an epoch ends; needed for endless generators.
        validation_steps: The same for validation.
        validation_batch_size: Examples a step of validation; `batch_size` by default.
        validation_freq: Validate every so many epochs, or after the epochs of a list.
        seed: Make the order of arrays a pure function of (seed, epoch); by default it is
            drawn from NumPy's generator just as Keras draws it.
        minutes: Stop training when so many minutes are over, less the time that the last
            validation took; `epochs` is then the most.

    Returns:
        keras.callbacks.History: What `model.fit` returns.

    Raises:
        InputError: `minutes` or `seed` does not fit the model or the data.
        ValueError: What Keras raises for the same mistake.
    """
    if minutes is not None and not minutes > 0:
        raise InputError(f"minutes={minutes} leaves no time. Give a positive number.")
    deadline = None if minutes is None else time.monotonic() + 60 * minutes
    reason = keras_inside.why_not_compiled(model)
    if reason is not None:
        for name, value in (("seed", seed), ("minutes", minutes)):
            if value is not None:
                raise InputError(f"{name}={value} needs the compiled loop, but {reason}.")
        note(f"{reason}, so Keras' own fit runs it: the same result, at Keras' speed.", verbose)
        return model.fit(
            x, y, batch_size, epochs, verbose, callbacks, validation_split, validation_data,
            shuffle, class_weight, sample_weight, initial_epoch, steps_per_epoch,
            validation_steps, validation_batch_size, validation_freq,
        )  # fmt: skip
    platform = devices.start()
    epochs = keras_inside.capped_epochs(epochs)
    if validation_split and validation_data is None:
        (x, y, sample_weight), validation_data = keras_inside.split_validation(
            (x, y, sample_weight), validation_split
        )
    source = open_source(
        x,
        y,
        sample_weight,
        batch_size=batch_size,
        steps=steps_per_epoch,
        shuffle=shuffle,
        class_weight=class_weight,
        seed=seed,
    )
    _build(model, source)
    callbacks = callback_list(
        model, callbacks, verbose, epochs=epochs, steps=source.num_steps, with_history=True
    )
    validation = None
    if validation_data is not None:
        validation = Validation(
            validation_data, validation_batch_size or batch_size, validation_steps, validation_freq
        )
    training = Training(model, source, callbacks, validation, platform, deadline)
    if training.hooks.watchers:
        names = ", ".join(dict.fromkeys(training.hooks.watchers))
        note(f"{names} looks at every batch, so each step is a chunk of its own.", verbose)
    return training.run(initial_epoch, epochs)


def evaluate(
    model: Any,
    x: Any = None,
    y: Any = None,
    batch_size: int | None = None,
    verbose: Any = "auto",
    sample_weight: Any = None,
    steps: int | None = None,
    callbacks: Any = None,
    return_dict: bool = False,
) -> Any:
    """Loss and metrics of a compiled `keras.Model`, as `model.evaluate` gives them.

    Args:
        model: A `keras.Model` on which `compile` was called.
        x: Inputs, in any form that `fit` takes.
        y: Targets; None where `x` yields them.
        batch_size: Examples a step; 32 by default. Only for arrays.
        verbose: 0 silent, 1 a bar; "auto" is 1.
        sample_weight: As in `fit`.
        steps: Steps after which to stop.
        callbacks: `keras.callbacks.Callback`s, or a `CallbackList`.
        return_dict: Give names to the values.

    Returns:
        The loss, a list of loss and metrics, or with `return_dict` a dict of them.
    """
    reason = keras_inside.why_not_compiled(model)
    if reason is not None:
        note(f"{reason}, so Keras' own evaluate runs it.", verbose)
        return model.evaluate(
            x, y, batch_size, verbose, sample_weight, steps, callbacks, return_dict
        )
    platform = devices.start()
    source = open_source(x, y, sample_weight, batch_size=batch_size, steps=steps)
    _build(model, source)
    callbacks = callback_list(model, callbacks, verbose, epochs=1, steps=source.num_steps)
    logs = measure(model, source, callbacks, platform)
    return logs if return_dict else keras_inside.flattened(model, logs)


def measure(
    model: Any, source: ArraySource | IterableSource, callbacks: Any, platform: str
) -> dict[str, float]:
    """Loss and metrics over one pass of `source`."""
    hooks = Hooks("test", callbacks, model.steps_per_execution)
    source.one_by_one = bool(hooks.watchers)
    model.stop_evaluating = False
    callbacks.on_test_begin()
    model.reset_metrics()
    logs = Pass(model, "test", hooks, platform).run(source, 0, lambda: model.stop_evaluating)
    results = keras_inside.plain(results_or(model, logs))
    callbacks.on_test_end(results)
    return results


def results_or(model: Any, logs: dict[str, Any]) -> dict[str, Any]:
    """The model's metrics where a step's logs are those; a custom step's logs otherwise."""
    results = model.get_metrics_result()
    return results if logs.keys() == results.keys() else dict(logs)


class Validation:
    """What is validated, how often, and how long it took.

    Args:
        data: (x, y), (x, y, sample weights) or anything that can be iterated.
        batch_size: Examples a step.
        steps: Steps of a pass, or None for all.
        frequency: Every so many epochs, or a list of epochs (from 1).
    """

    def __init__(
        self, data: Any, batch_size: int | None, steps: int | None, frequency: int | list[int]
    ):
        """See the class."""
        import keras

        self.x, self.y, self.sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        self.batch_size = batch_size
        self.steps = steps
        self.frequency = frequency
        self.seconds = 0.0
        self._source: ArraySource | IterableSource | None = None

    def is_due(self, epoch: int) -> bool:
        """Whether to validate after `epoch` (from 0).

        Raises:
            ValueError: `frequency` is neither a number nor a list.
        """
        if isinstance(self.frequency, int):
            return (epoch + 1) % self.frequency == 0
        if isinstance(self.frequency, list):
            return epoch + 1 in self.frequency
        raise ValueError(
            "Expected `validation_freq` to be a list or int. "
            f"Received: validation_freq={self.frequency} of the type {type(self.frequency)}."
        )

    def run(self, model: Any, callbacks: Any, platform: str) -> dict[str, float]:
        """Loss and metrics, their names beginning with `val_`."""
        began = time.monotonic()
        if keras_inside.overrides(model, "evaluate"):
            logs = model.evaluate(
                self.x,
                self.y,
                batch_size=self.batch_size,
                sample_weight=self.sample_weight,
                steps=self.steps,
                callbacks=callbacks,
                return_dict=True,
            )
        else:
            if self._source is None:
                self._source = open_source(
                    self.x,
                    self.y,
                    self.sample_weight,
                    batch_size=self.batch_size,
                    steps=self.steps,
                )
            self._source.reset()
            logs = measure(model, self._source, callbacks, platform)
        self.seconds = time.monotonic() - began
        return {f"val_{name}": value for name, value in logs.items()}


class Training:
    """The epochs of one call of `fit`, with callbacks and validation as Keras orders them."""

    def __init__(
        self,
        model: Any,
        source: ArraySource | IterableSource,
        callbacks: Any,
        validation: Validation | None,
        platform: str,
        deadline: float | None,
    ):
        """Prepare; nothing runs before `run`."""
        self.model = model
        self.source = source
        self.callbacks = callbacks
        self.validation = validation
        self.platform = platform
        self.deadline = deadline
        self.hooks = Hooks("train", callbacks, model.steps_per_execution)
        source.one_by_one = bool(self.hooks.watchers)
        self._pass = Pass(model, "train", self.hooks, platform)

    def run(self, initial_epoch: int, epochs: int) -> Any:
        """Train from `initial_epoch` up to `epochs`; the history."""
        model, callbacks = self.model, self.callbacks
        model.stop_training = False
        logs: dict[str, Any] = {}
        callbacks.on_train_begin()
        try:
            for epoch in range(keras_inside.first_epoch(model, initial_epoch), epochs):
                logs = self._epoch(epoch)
                if model.stop_training or self._is_late():
                    break
        finally:
            if epochs > 0:
                keras_inside.finalize(model)
        callbacks.on_train_end(logs=logs)
        return model.history

    def _epoch(self, epoch: int) -> dict[str, Any]:
        model, callbacks = self.model, self.callbacks
        model.reset_metrics()
        callbacks.on_epoch_begin(epoch)
        logs = self._pass.run(self.source, epoch, lambda: model.stop_training or self._is_late())
        logs = dict(results_or(model, logs))
        if self.validation is not None and self.validation.is_due(epoch):
            logs.update(self.validation.run(model, callbacks, self.platform))
        callbacks.on_epoch_end(epoch, logs)
        return logs

    def _is_late(self) -> bool:
        """Whether what remains of `minutes` is just enough to validate once."""
        if self.deadline is None:
            return False
        reserve = self.validation.seconds if self.validation is not None else 0.0
        return time.monotonic() + reserve >= self.deadline


def _build(model: Any, source: ArraySource | IterableSource) -> None:
    """Make what variables are missing, drawing a batch only where Keras does; begin anew."""
    if not model.compiled:
        raise ValueError("You must call `compile()` before using the model.")
    keras_inside.build(model, source.peek() if keras_inside.is_unbuilt(model) else None)
    source.reset()
