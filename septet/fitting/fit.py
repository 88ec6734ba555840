"""`fit` and `evaluate` for any Keras model: Keras' meaning, in compiled chunks."""

import time
from contextlib import ExitStack, closing
from typing import Any

from septet.engine import devices
from septet.errors import InputError
from septet.fitting import identity, keras_inside
from septet.fitting.keeper import Keeper, Position, kept
from septet.fitting.ordered import OrderedSource
from septet.fitting.passes import Hooks, Pass
from septet.fitting.sources import Source, open_source
from septet.fitting.talking import callback_list, note

MOST_WAITING = 0.1
"""Share of the time that a device may wait for data before it is said."""
LONG_ENOUGH_S = 10.0
"""A training so short says nothing about that."""


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
    run: str | None = None,
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
        run: Keep the training in a run folder of this name, with checkpoints, log, model
            and report. If it ends before its time, the same call continues it.

    Returns:
        keras.callbacks.History: What `model.fit` returns.

    Raises:
        InputError: `minutes`, `seed` or `run` does not fit the model or the data.
        Interrupted: With `run`: it was stopped on request, and everything is saved.
        NonFiniteError: With `run`: the loss is not finite; the last checkpoint is kept.
        StorageError: With `run`: the disk is full or failing.
        ValueError: What Keras raises for the same mistake.
    """
    if minutes is not None and not minutes > 0:
        raise InputError(f"minutes={minutes} leaves no time. Give a positive number.")
    deadline = None if minutes is None else time.monotonic() + 60 * minutes
    reason = keras_inside.why_not_compiled(model)
    if reason is not None:
        for name, value in (("seed", seed), ("minutes", minutes), ("run", run)):
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
        verbose=verbose,
    )
    with ExitStack() as opened:
        opened.callback(source.close)
        _build(model, source)
        callbacks = callback_list(
            model, callbacks, verbose, epochs=epochs, steps=source.num_steps, with_history=True
        )
        validation = None
        if validation_data is not None:
            validation = Validation(
                validation_data,
                validation_batch_size or batch_size,
                validation_steps,
                validation_freq,
            )
            opened.callback(validation.close)
        training = Training(model, source, callbacks, validation, platform, deadline)
        if training.hooks.watchers:
            names = ", ".join(dict.fromkeys(training.hooks.watchers))
            note(f"{names} looks at every batch, so each step is a chunk of its own.", verbose)
        opened.callback(lambda: _say_if_data_were_slow(source, training, verbose))
        if run is None:
            return training.run(initial_epoch, epochs)
        data = {"x": x, "y": y, "sample_weight": sample_weight, "validation": validation_data}
        chosen = {
            "batch_size": batch_size,
            "shuffle": shuffle,
            "class_weight": class_weight,
            "initial_epoch": initial_epoch,
            "steps_per_epoch": steps_per_epoch,
            "validation_steps": validation_steps,
            "validation_batch_size": validation_batch_size,
            "validation_freq": validation_freq,
        }
        config = identity.settings(model, data, chosen, seed)
        splits = _examples(source, validation_data)
        return kept(training, run, config, splits, start=initial_epoch, epochs=epochs)


def _say_if_data_were_slow(source: Source, training: "Training", verbose: Any) -> None:
    """A note where the device waited for data rather than the other way round."""
    if training.seconds > LONG_ENOUGH_S and source.waited_s > MOST_WAITING * training.seconds:
        note(
            f"The device waited {source.waited_s / training.seconds:.0%} of the time for data. A "
            "faster disk, smaller types (uint8 in place of float32) or larger batches help.",
            verbose,
        )


def _examples(source: Source, validation_data: Any) -> dict[str, int]:
    """Examples of each split, where they can be counted."""
    import keras

    counts = {}
    if isinstance(source, OrderedSource):
        counts["train"] = source.num_examples
    leaves = keras.tree.flatten(validation_data)
    if "train" in counts and leaves and hasattr(leaves[0], "shape"):
        counts["validation"] = int(leaves[0].shape[0])
    return counts


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
    source = open_source(x, y, sample_weight, batch_size=batch_size, steps=steps, verbose=verbose)
    with closing(source):
        _build(model, source)
        callbacks = callback_list(model, callbacks, verbose, epochs=1, steps=source.num_steps)
        logs = measure(model, source, callbacks, platform)
    return logs if return_dict else keras_inside.flattened(model, logs)


def measure(
    model: Any, source: Source, callbacks: Any, platform: str, *, repeatable: bool = False
) -> dict[str, float]:
    """Loss and metrics over one pass of `source`."""
    hooks = Hooks("test", callbacks, model.steps_per_execution)
    source.one_by_one = bool(hooks.watchers)
    model.stop_evaluating = False
    callbacks.on_test_begin()
    metrics = keras_inside.Metrics(model, "test")
    metrics.reset()
    work = Pass(model, "test", hooks, platform)
    work.repeatable = repeatable
    logs = work.run(source, 0, lambda *_: model.stop_evaluating)
    results = keras_inside.plain(metrics.results(logs))
    callbacks.on_test_end(results)
    return results


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
        self._source: Source | None = None

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

    def close(self) -> None:
        """Free what prepares its blocks."""
        if self._source is not None:
            self._source.close()

    def run(
        self, model: Any, callbacks: Any, platform: str, *, repeatable: bool
    ) -> dict[str, float]:
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
            logs = measure(model, self._source, callbacks, platform, repeatable=repeatable)
        self.seconds = time.monotonic() - began
        return {f"val_{name}": value for name, value in logs.items()}


class Training:
    """The epochs of one call of `fit`, with callbacks and validation as Keras orders them."""

    def __init__(
        self,
        model: Any,
        source: Source,
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
        self._metrics = keras_inside.Metrics(model, "train")
        self.keeper: Keeper | None = None
        self.seconds = 0.0

    def run(self, initial_epoch: int, epochs: int) -> Any:
        """Train from `initial_epoch` up to `epochs`; the history."""
        model, callbacks = self.model, self.callbacks
        model.stop_training = False
        began = time.monotonic()
        logs: dict[str, Any] = {}
        callbacks.on_train_begin()
        position = Position(keras_inside.first_epoch(model, initial_epoch), 0)
        is_over = False
        if self.keeper is not None:
            self.hooks.halts = self._pass.repeatable = True
            position = self.keeper.restore(position)
            is_over = model.stop_training
        try:
            while position.epoch < epochs and not is_over:
                logs = self._epoch(position)
                position = Position(position.epoch + 1, 0)
                is_over = model.stop_training or self._is_late()
        finally:
            self.seconds = time.monotonic() - began
            if epochs > 0:
                keras_inside.finalize(model)
        callbacks.on_train_end(logs=logs)
        if self.keeper is not None:
            self.keeper.finish(position.epoch)
        return history_of(model, callbacks)

    def _epoch(self, position: Position) -> dict[str, Any]:
        model, callbacks, keeper = self.model, self.callbacks, self.keeper
        epoch, done = position
        if done == 0:
            self._metrics.reset()
        callbacks.on_epoch_begin(epoch)
        logs: dict[str, Any] = {}
        if keeper is not None:
            keeper.begin_epoch(position)
            logs = keeper.logs if done else {}

        def is_over(place: int, logs: dict[str, Any]) -> bool:
            if model.stop_training or self._is_late():
                return True
            if keeper is not None:
                keeper.see(epoch, place, logs)
            return False

        logs = self._pass.run(self.source, epoch, is_over, done, logs)
        logs = self._metrics.results(logs)
        if self.validation is not None and self.validation.is_due(epoch):
            repeatable = keeper is not None
            logs |= self.validation.run(model, callbacks, self.platform, repeatable=repeatable)
        callbacks.on_epoch_end(epoch, logs)
        if keeper is not None:
            keeper.end_epoch(epoch, logs)
        return logs

    def _is_late(self) -> bool:
        """Whether what remains of `minutes` is just enough to validate once."""
        if self.deadline is None:
            return False
        reserve = self.validation.seconds if self.validation is not None else 0.0
        return time.monotonic() + reserve >= self.deadline


def history_of(model: Any, callbacks: Any) -> Any:
    """The model's history, also where no epoch was left to train."""
    import keras

    kept = [each for each in callbacks.callbacks if isinstance(each, keras.callbacks.History)]
    if kept:
        model.history = kept[-1]
    return model.history


def _build(model: Any, source: Source) -> None:
    """Make what variables are missing, drawing a batch only where Keras does; begin anew."""
    if not model.compiled:
        raise ValueError("You must call `compile()` before using the model.")
    keras_inside.build(model, source.peek() if keras_inside.is_unbuilt(model) else None)
    source.reset()
