"""The one place that touches what Keras does not promise to keep.

Drawing the same order, building the same variables and lending the state to callbacks as
Keras' own `fit` does has no public interface. Everything of that kind is here; where a
future Keras lacks a piece, `missing` says so and `septet.fit` hands over to Keras' `fit`.
"""

import functools
from collections.abc import Collection, Iterator
from typing import Any, ClassVar

import numpy as np

from septet.engine.state import TrainState
from septet.errors import InputError

PIECES = {
    "keras.src.trainers.epoch_iterator": ("EpochIterator",),
    "keras.src.trainers.data_adapters.array_slicing": ("train_validation_split",),
    "keras.src.backend.jax.trainer": ("JAXTrainer",),
    "keras.src.utils.python_utils": ("pythonify_logs",),
}
OF_A_MODEL = (
    "_symbolic_build",
    "_get_jax_state",
    "_flatten_metrics_in_order",
    "jax_state_sync",
    "train_step",
    "test_step",
)
OVERRIDABLE = ("fit", "make_train_function", "_make_function")


@functools.cache
def missing() -> str | None:
    """What this Keras lacks of the pieces that are needed, or None."""
    from importlib import import_module

    for module, names in PIECES.items():
        try:
            found = import_module(module)
        except ImportError:
            return module
        for name in names:
            if not hasattr(found, name):
                return f"{module}.{name}"
    return None


def why_not_compiled(model: Any) -> str | None:
    """Why Keras' own loop must run this model, or None if the compiled one can.

    Raises:
        InputError: It is no model at all.
    """
    import keras

    if not isinstance(model, keras.Model):
        raise InputError(f"Expected a keras.Model, got {type(model).__name__}.")
    if keras.backend.backend() != "jax":
        return f"Keras runs on the '{keras.backend.backend()}' backend"
    if (lacking := missing()) is not None:
        return f"this version of Keras has no {lacking}"
    from keras.src.backend.jax.trainer import JAXTrainer

    if lacks := [name for name in OF_A_MODEL if not hasattr(model, name)]:
        return f"this version of Keras has no {lacks[0]}"
    if keras.config.is_nnx_enabled():
        return "Keras is in NNX mode"
    if keras.distribution.distribution() is not None:
        return "a keras.distribution is set"
    if model.run_eagerly:
        return "the model was compiled with run_eagerly=True"
    if not model.jit_compile:
        return "the model was compiled with jit_compile=False"
    for name in OVERRIDABLE:
        if getattr(type(model), name) is not getattr(JAXTrainer, name):
            return f"{type(model).__name__} has a {name} of its own"
    return None


def overrides(model: Any, name: str) -> bool:
    """Whether the model's class has its own `name` in place of the trainer's."""
    from keras.src.backend.jax.trainer import JAXTrainer

    return getattr(type(model), name) is not getattr(JAXTrainer, name)


def batches(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    batch_size: int | None = None,
    steps_per_epoch: int | None = None,
    shuffle: Any = False,
    class_weight: Any = None,
) -> Any:
    """Keras' iterator over epochs of batches, which draws and warns as `fit` does.

    Iterating it once is one epoch: (first step, last step, [batch]) of each step.
    """
    from keras.src.trainers.epoch_iterator import EpochIterator

    class Batches(EpochIterator):
        def _get_iterator(self) -> Iterator[Any]:
            return self.data_adapter.get_jax_iterator()

    return Batches(
        x=x,
        y=y,
        sample_weight=sample_weight,
        batch_size=batch_size,
        steps_per_epoch=steps_per_epoch,
        shuffle=shuffle,
        class_weight=class_weight,
    )


def is_array_data(iterator: Any) -> bool:
    """Whether what `batches` was given lies in memory as arrays of known length."""
    from keras.src.trainers.data_adapters import ArrayDataAdapter

    return isinstance(iterator.data_adapter, ArrayDataAdapter)


def arrays_of(iterator: Any) -> Any:
    """The arrays that an iterator over arrays slices: x, y and weights as Keras takes them."""
    return getattr(iterator.data_adapter, "_inputs", None)


def continues(iterator: Any) -> bool:
    """Whether an epoch of `batches` begins where the last one stopped."""
    from keras.src.trainers.data_adapters import GeneratorDataAdapter

    is_generator = isinstance(iterator.data_adapter, GeneratorDataAdapter)
    return bool(iterator.steps_per_epoch) or is_generator


def fast_forward(iterator: Any, epochs: int) -> None:
    """Have the next epoch of `batches` be the one after so many; reads what has to be read."""
    for _ in range(epochs):
        if continues(iterator):
            for _ in iterator:
                pass
        else:
            iterator.data_adapter.on_epoch_begin()
            iterator.data_adapter.on_epoch_end()


def is_unbuilt(model: Any) -> bool:
    """Whether Keras would look at a batch, and so draw an order, to build the model."""
    pieces = (getattr(model, "_compile_metrics", None), getattr(model, "_compile_loss", None))
    return not is_built(model) or any(piece is not None and not piece.built for piece in pieces)


def is_built(model: Any) -> bool:
    """Whether all layers have their variables."""
    return all(layer.built for layer in model._flatten_layers())


def build_forward(model: Any, batch: Any) -> None:
    """Make the layers' variables for batches like this one, as `predict` does."""
    import keras

    inputs, _, _ = keras.utils.unpack_x_y_sample_weight(batch)
    with keras.StatelessScope():
        model(inputs)


def build(model: Any, batch: Any) -> None:
    """Make the variables of model, metrics and optimizer for batches like this one."""
    model._symbolic_build(data_batch=_narrowed(batch))


def _narrowed(batch: Any) -> Any:
    """The batch in the types that JAX gives it: of 32 bits, unless it was told otherwise."""
    import jax
    import keras

    def narrow(leaf: Any) -> Any:
        if not isinstance(leaf, np.ndarray) or leaf.dtype.kind not in "iuf":
            return leaf
        return leaf.astype(jax.dtypes.canonicalize_dtype(leaf.dtype), copy=False)

    return keras.tree.map_structure(narrow, batch)


def finalize(model: Any) -> None:
    """What Keras does when training ends: let the optimizer put in its averages."""
    import keras

    if isinstance(model.optimizer, keras.Optimizer):
        model.optimizer.finalize_variable_values(model.trainable_weights)


def plain(logs: dict[str, Any]) -> dict[str, float]:
    """Logs as Python numbers, those of nested dicts beside the others."""
    from keras.src.utils.python_utils import pythonify_logs

    return pythonify_logs(logs)


def flattened(model: Any, logs: dict[str, float]) -> Any:
    """Logs as `evaluate` returns them: a number, or a list in the order of the metrics."""
    return model._flatten_metrics_in_order(logs)


def split_validation(arrays: tuple[Any, Any, Any], fraction: float) -> tuple[Any, Any]:
    """(training arrays, validation arrays): the last rows, as `validation_split` takes them."""
    from keras.src.trainers.data_adapters.array_slicing import train_validation_split

    return train_validation_split(arrays, validation_split=fraction)


def capped_epochs(epochs: int) -> int:
    """`epochs`, or fewer where Keras was told to limit them."""
    import keras

    return min(epochs, keras.config.max_epochs() or epochs)


def first_epoch(model: Any, initial_epoch: int) -> int:
    """Where to begin: a callback (`BackupAndRestore`) may have set it on the model."""
    return getattr(model, "_initial_epoch", None) or initial_epoch


def compiled_as(model: Any) -> Any:
    """An object that is another one after each `model.compile`."""
    return getattr(model, "_compile_config", None)


def compile_arguments(model: Any) -> dict[str, Any]:
    """What `model.compile` was given."""
    return dict(getattr(compiled_as(model), "config", {}))


def layers(model: Any) -> list[Any]:
    """The model and all layers in it, in order."""
    return list(model._flatten_layers())


def state_of(model: Any) -> TrainState:
    """The whole state as the model's variables have it, once they are given what was lent."""
    model.jax_state_sync()
    return _as_state(model, Lent.GROUPS["train"])


def put(model: Any, state: TrainState) -> None:
    """Give the model's variables the values of a whole state."""
    lent = Lent(model, "train")
    lent.lend(state)
    lent.end()


def _as_state(model: Any, groups: tuple[str, ...]) -> TrainState:
    """The values of the variables of some groups; the others are empty."""
    values = model._get_jax_state(
        **{f"{group}_variables": True for group in groups}, purge_model_variables=False
    )
    found = {group: list(each) for group, each in zip(groups, values, strict=True)}
    return TrainState(
        trainable=found["trainable"],
        non_trainable=found["non_trainable"],
        optimizer=found.get("optimizer", []),
        metrics=found.get("metrics", []),
        average=[],
        step=np.int32(0),
    )


def settle_direction(callback: Any, functions: Collection[str]) -> None:
    """Let a callback that had found out whether to minimize what it monitors do so now.

    It does that once, at the end of its first epoch, and turns the sign of its `min_delta`
    where it minimizes: done later than `min_delta` is restored, the sign would be wrong.

    Args:
        callback: Made anew.
        functions: Attributes that were functions and the like when it was saved.
    """
    settle = getattr(callback, "_set_monitor_op", None)
    had_settled = "monitor_op" in functions
    if settle is not None and had_settled and getattr(callback, "monitor_op", None) is None:
        settle()


def is_default(hook: Any) -> bool:
    """Whether a callback's method is the one that does nothing."""
    return getattr(hook, "_is_default", False)


class Lent:
    """The state of a model while a program has it, which callbacks may ask back.

    Keras' `Callback.model` calls `jax_state_sync`, which assigns the lent values to the
    model's variables; afterwards the variables are the truth until `take` reads them.
    """

    GROUPS: ClassVar[dict[str, tuple[str, ...]]] = {
        "train": ("trainable", "non_trainable", "optimizer", "metrics"),
        "test": ("trainable", "non_trainable", "metrics"),
        "predict": ("trainable", "non_trainable"),
    }
    """Which variables each kind of step takes, in the order in which it takes them."""

    def __init__(self, model: Any, kind: str):
        """Begin with the model's variables as the truth."""
        self.model = model
        self.groups = self.GROUPS[kind]
        _set(model, "_jax_state_synced", True)

    @property
    def is_given_back(self) -> bool:
        """Whether the variables hold the values, so that somebody may have changed them."""
        return self.model._jax_state_synced

    def take(self) -> TrainState:
        """The values of the variables; groups that the step does not take are empty."""
        state = _as_state(self.model, self.groups)
        _set(self.model, "_jax_state_synced", False)
        return state

    def lend(self, state: TrainState) -> None:
        """Have callbacks find these values."""
        lent = {f"{group}_variables": getattr(state, group) for group in self.groups}
        _set(self.model, "_jax_state", lent)
        _set(self.model, "_jax_state_synced", False)

    def give_back(self) -> None:
        """Assign the values to the model's variables, as `jax_state_sync` does."""
        lent = getattr(self.model, "_jax_state", None)
        if not lent or self.is_given_back:
            return
        for group in self.groups:
            for variable, value in zip(
                _variables(self.model, group), lent[f"{group}_variables"], strict=True
            ):
                assign(variable, value)
        _set(self.model, "_jax_state_synced", True)

    def end(self) -> None:
        """Give back, and forget what was lent."""
        self.give_back()
        _set(self.model, "_jax_state", None)
        _set(self.model, "_jax_state_synced", True)


def _set(model: Any, name: str, value: Any) -> None:
    """Set an attribute that Keras need not look through for layers and variables."""
    object.__setattr__(model, name, value)


def _variables(model: Any, group: str) -> Any:
    owner, prefix = (model.optimizer, "") if group == "optimizer" else (model, f"{group}_")
    return getattr(owner, f"{prefix}variables")


def assign(variable: Any, value: Any) -> None:
    """`variable.assign(value)`, without the checks where they would find nothing."""
    import jax

    if (
        isinstance(value, jax.Array)
        and value.shape == variable.shape
        and value.dtype == variable._dtype
    ):
        variable._direct_assign(value)
    else:
        variable.assign(value)


class Metrics:
    """A model's metrics over the passes of one kind: reset before each, read after it.

    Where they are Keras' own, what a reset sets and what their results are is known without
    asking each of them, which costs more than many steps of a small model.

    Args:
        model: A compiled `keras.Model`.
        kind: "train" or "test".
    """

    def __init__(self, model: Any, kind: str):
        """See the class."""
        self.model = model
        self.kind = kind
        self._fresh: Any = None
        self._names: list[str] | None = None

    @functools.cached_property
    def is_known(self) -> bool:
        """Whether they are all Keras' own, and so is what is done with them."""
        methods = (f"{self.kind}_step", "compute_metrics", "get_metrics_result", "reset_metrics")
        if any(overrides(self.model, name) for name in methods):
            return False
        return all(type(each).__module__.startswith("keras.src.") for each in _each(self.model))

    def reset(self) -> None:
        """Begin anew."""
        import jax

        variables = self.model.metrics_variables
        if self.is_known and self._fresh is not None:
            # Made anew each time, since a program may take over the memory of what it is given.
            for variable, value in zip(variables, self._fresh(), strict=True):
                assign(variable, value)
            return
        self.model.reset_metrics()
        values = [np.array(variable.value) for variable in variables]
        self._fresh = jax.jit(lambda: [jax.numpy.asarray(value) for value in values])

    def results(self, logs: dict[str, Any]) -> dict[str, Any]:
        """The model's metrics where a step's logs are those; a custom step's logs otherwise.

        Args:
            logs: Of the last step; none if there was no step.
        """
        if self.is_known and self._names is not None and logs.keys() == set(self._names):
            return {name: logs[name] for name in self._names}
        results = self.model.get_metrics_result()
        if logs.keys() != results.keys():
            return dict(logs)
        self._names = list(results)
        return dict(results)


def _each(model: Any) -> Iterator[Any]:
    """All metrics of a built model, those inside of others as well."""
    waiting = list(model.metrics)
    while waiting:
        metric = waiting.pop()
        yield metric
        waiting += getattr(metric, "metrics", None) or []
