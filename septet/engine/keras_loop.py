"""Training through Keras' own `fit`, in the place of the compiled loop where there is none.

It has the loop's interface: chunks of steps from any position, and the whole state as a value.
Order of examples, learning rates, changes of pictures and average are those of the compiled
loop, so that only the step differs: Keras' own, on the backend that Keras has.
"""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from septet.engine.feeds import Feed
from septet.engine.loop import Chunk
from septet.engine.schedules import Control, rate_program
from septet.engine.state import TrainState
from septet.engine.tuning import Tuning
from septet.errors import ConfigError
from septet.task import Augment


class HostFeed(Feed):
    """Batches gathered on the host from arrays in memory or in files.

    Args:
        arrays: (inputs, targets[, weights]): pytrees of arrays [n, ...].
        batch_size: Examples a step.
        seed: Of the order.
    """

    def __init__(self, arrays: Any, *, batch_size: int, seed: int):
        """See the class."""
        import jax

        super().__init__(len(jax.tree.leaves(arrays)[0]), batch_size, seed)
        self.arrays = arrays
        self._ordered: tuple[int, Any] = (-1, None)

    def batch(self, epoch: int, index: int) -> Any:
        """The examples of one step."""
        import jax

        if self._ordered[0] != epoch:
            self._ordered = (epoch, self.order(epoch))
        rows = self._ordered[1][index * self.batch_size : (index + 1) * self.batch_size]
        return jax.tree.map(lambda array: np.asarray(array[rows]), self.arrays)

    def close(self) -> None:
        """Nothing to free."""


def create_metrics(model: Any, arrays: Any) -> None:
    """Have a compiled `keras.Model` make its metrics' variables, by measuring one example."""
    import jax

    inputs, targets, *_ = jax.tree.map(lambda array: np.asarray(array[:1]), arrays)
    outputs = model(inputs, training=False)
    model.compute_loss(inputs, targets, outputs)
    model.compute_metrics(inputs, targets, outputs)
    model.reset_metrics()


def initial_state(model: Any, *, with_average: bool) -> TrainState:
    """The state of a freshly compiled and built `keras.Model`, as arrays of the host."""
    model.optimizer.build(model.trainable_variables)
    state = host_state(model, [], 0)
    if not with_average:
        return state
    return state._replace(average=[value.copy() for value in weights_of(state)])


def host_state(model: Any, average: list[Any], step: int) -> TrainState:
    """What the model's variables hold, copied."""
    import keras

    values = {
        group: [np.array(keras.ops.convert_to_numpy(each)) for each in variables]
        for group, variables in variables_of(model).items()
    }
    return TrainState(**values, average=list(average), step=np.array(step, np.int32))


def weights_of(state: TrainState) -> list[Any]:
    """Trainable weights and the others, in one list."""
    return [*state.trainable, *state.non_trainable]


def variables_of(model: Any) -> dict[str, list[Any]]:
    """The model's variables by the names that a `TrainState` has for them."""
    return {
        "trainable": model.trainable_variables,
        "non_trainable": model.non_trainable_variables,
        "optimizer": model.optimizer.variables,
        "metrics": model.metrics_variables,
    }


class KerasLoop:
    """Chunks of steps, each one call of the model's own `fit`.

    Args:
        model: Built and compiled; while this trains, its variables are the truth.
        feed: Where batches come from.
        state: Where to begin.
        learning_rate: Highest rate.
        schedule: As in `schedules.scale_at`.
        warmup: Share of the run over which the rate rises.
        average_decay: Decay of a moving average of the weights, or None.
        augment: Pure JAX function `(key, inputs, targets) -> (inputs, targets)`, applied to each
            batch.
        seed: Of the augmentation.
        tuning: Must not hold or slow anything: Keras' `fit` moves all variables at one rate.
        chunk_s: After how long a chunk ends.
    """

    is_compiled = False
    memory_bytes: int | None = None
    """What a chunk needs is not told."""

    def __init__(
        self,
        model: Any,
        feed: HostFeed,
        state: TrainState,
        *,
        learning_rate: float,
        schedule: str,
        warmup: float,
        average_decay: float | None = None,
        augment: Augment | None = None,
        seed: int = 0,
        tuning: Tuning | None = None,
        chunk_s: float = 1.0,
    ):
        """See the class; the model is given the values of `state`."""
        if tuning is not None and (
            tuning.frozen or tuning.thawing or tuning.decay != 1.0 or tuning.kept
        ):
            raise ConfigError(
                "Parts of a network can be held still or trained at rates of their own on JAX "
                "alone. Use --backend jax, or set model.frozen=0, model.thawing=0, "
                "model.layer_decay=1 and, of pictures, model.frozen_norms=false."
            )
        self.model = model
        self.feed = feed
        self.learning_rate = learning_rate
        self.rate_at = rate_program(schedule, warmup)
        self.average_decay = average_decay
        self.chunk_s = chunk_s
        self._change = None if augment is None else _compiled(augment, seed)
        self._put(state)

    def _put(self, state: TrainState) -> None:
        for group, variables in variables_of(self.model).items():
            for variable, value in zip(variables, getattr(state, group), strict=True):
                variable.assign(np.array(value))
        self.average = [np.array(value) for value in state.average]
        self.step = int(state.step)
        self._state: TrainState | None = None

    @property
    def state(self) -> TrainState:
        """The whole state as arrays of the host; copied when it is asked for after a chunk."""
        if self._state is None:
            self._state = host_state(self.model, self.average, self.step)
        return self._state

    def compile(self, control: Control) -> None:
        """Nothing: Keras compiles its step, where it does, when it first runs."""

    def advance(self, epoch: int, index: int, limit: int, control: Control) -> Chunk:
        """Run the next chunk: at most `limit` steps from step `index` of `epoch`."""
        begin = time.monotonic()
        count = min(limit, self.feed.steps_per_epoch - index)
        watch = Watch(self, control, begin + self.chunk_s, keeps_metrics=index > 0)
        self._state = None
        self.model.fit(
            self._batches(epoch, index, count),
            epochs=1,
            shuffle=False,
            steps_per_epoch=count,
            verbose=0,
            callbacks=[watch.callback],
        )
        return Chunk(watch.done, time.monotonic() - begin, watch.logs, watch.bad_step)

    def _batches(self, epoch: int, index: int, count: int) -> Iterator[Any]:
        """The batches of some steps; Keras may read a few of them ahead."""
        first = self.step - index
        for place in range(index, index + count):
            batch = self.feed.batch(epoch, place)
            if self._change is not None:
                batch = (*self._change(np.int32(first + place), *batch[:2]), *batch[2:])
            yield batch


def _compiled(augment: Augment, seed: int) -> Any:
    """`augment` as a function `(step, inputs, targets)` of host arrays."""
    import jax

    def change(step: Any, inputs: Any, targets: Any) -> Any:
        return augment(jax.random.fold_in(jax.random.key(seed), step), inputs, targets)

    compiled = jax.jit(change)
    # Frameworks want to write into what they are given, and JAX's arrays are read-only.
    return lambda *arguments: jax.tree.map(np.array, compiled(*arguments))


class Watch:
    """What happens around the steps of one `fit`: rate, average, and when to stop.

    Args:
        loop: Whose steps they are.
        control: The latest plan.
        deadline: `time.monotonic()` after which no further step is begun.
        keeps_metrics: Whether the epoch began before this call, which resets them.
    """

    def __init__(self, loop: KerasLoop, control: Control, deadline: float, *, keeps_metrics: bool):
        """See the class."""
        import keras

        self.loop = loop
        self.control = control
        self.deadline = deadline
        self.done = 0
        self.logs: dict[str, float] = {}
        self.bad_step: int | None = None
        self._metrics = list(loop.state.metrics) if keeps_metrics else None
        self.callback: Any = keras.callbacks.LambdaCallback(
            on_epoch_begin=self.begin_epoch,
            on_train_batch_begin=self.begin_step,
            on_train_batch_end=self.end_step,
        )

    @property
    def model(self) -> Any:
        """The model, its variables up to date: asking the callback sees to that."""
        return self.callback.model

    def begin_epoch(self, epoch: int, logs: Any = None) -> None:
        """Go on with the metrics of the epoch's earlier steps."""
        if self._metrics is not None:
            variables = self.model.metrics_variables
            for variable, value in zip(variables, self._metrics, strict=True):
                variable.assign(value)

    def begin_step(self, batch: int, logs: Any = None) -> None:
        """Set the learning rate."""
        scale = float(self.loop.rate_at(np.int32(self.loop.step), self.control))
        optimizer = self.model.optimizer
        # LossScaleOptimizer wraps the one that holds the rate.
        rate = getattr(optimizer, "inner_optimizer", optimizer).learning_rate
        rate.assign(np.float32(self.loop.learning_rate * scale))

    def end_step(self, batch: int, logs: Any = None) -> None:
        """Take the step into the average; stop where it is time or the loss is not finite."""
        loop, model = self.loop, self.model
        if loop.average_decay is not None:
            # As in `program.keras_step`.
            decay = min(loop.average_decay, (1.0 + loop.step) / (10.0 + loop.step))
            loop.average = _blended(loop.average, model, decay)
        self.logs = {name: float(value) for name, value in (logs or {}).items()}
        if not np.isfinite(self.logs.get("loss", 0.0)):
            self.bad_step = loop.step
        loop.step += 1
        self.done += 1
        if self.bad_step is not None or time.monotonic() >= self.deadline:
            model.stop_training = True


def _blended(average: list[Any], model: Any, decay: float) -> list[Any]:
    """The moving average after one more step; what is not a real number is copied."""
    import keras

    weights = [*model.trainable_variables, *model.non_trainable_variables]
    values = [np.asarray(keras.ops.convert_to_numpy(each)) for each in weights]
    share = np.float32(1.0 - decay)
    return [
        np.asarray(old + share.astype(old.dtype) * (new - old))
        if np.issubdtype(old.dtype, np.floating)
        else np.array(new)
        for old, new in zip(average, values, strict=True)
    ]


def promise(title: str) -> str:
    """What may be expected of training here, in a sentence or two."""
    return (
        f"Training on {title} through Keras' own fit: the same settings, data order and files, at "
        "Keras' speed. Compiled runs, and resuming bit for bit, are what JAX alone guarantees."
    )
