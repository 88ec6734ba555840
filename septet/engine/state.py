"""TrainState: everything that training changes, as one pytree that is passed in and returned."""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from septet.errors import CheckpointError


class TrainState(NamedTuple):
    """All that a step reads and writes.

    Args:
        trainable: Trainable variables of the model.
        non_trainable: Its other variables (moving statistics, seed generators).
        optimizer: The optimizer's variables.
        metrics: Running metrics of the epoch.
        average: Moving average of `trainable` and `non_trainable`, or empty.
        step: Steps done since the run began, int32 scalar.
    """

    trainable: list[Any]
    non_trainable: list[Any]
    optimizer: list[Any]
    metrics: list[Any]
    average: list[Any]
    step: Any


def create_metrics(model: Any, block: Any) -> None:
    """Have a compiled `keras.Model` make its metrics' variables, as it does for a first batch.

    Args:
        model: Built and compiled.
        block: One batch of training data, or more, a pytree of (inputs, targets, ...); only
            looked at.
    """
    import jax
    import keras

    def see(inputs: Any, targets: Any, *_: Any) -> None:
        outputs = model(inputs, training=False)
        model.compute_loss(inputs, targets, outputs)
        model.compute_metrics(inputs, targets, outputs)

    batch = jax.tree.map(
        lambda array: jax.ShapeDtypeStruct((1, *array.shape[1:]), array.dtype), block
    )
    # Variables made in a stateless scope get their values when it ends: outside the tracing.
    with keras.StatelessScope():
        jax.eval_shape(see, *batch)


def initial_state(model: Any, *, with_average: bool) -> TrainState:
    """The state of a freshly compiled and built `keras.Model`, copied off its variables."""
    import jax.numpy as jnp

    model.optimizer.build(model.trainable_variables)
    groups = {
        "trainable": model.trainable_variables,
        "non_trainable": model.non_trainable_variables,
        "optimizer": model.optimizer.variables,
        "metrics": model.metrics_variables,
    }
    # The state is donated to the program, and the model's own variables are not.
    values = copied({name: [item.value for item in group] for name, group in groups.items()})
    average = copied(values["trainable"] + values["non_trainable"]) if with_average else []
    return TrainState(**values, average=average, step=jnp.zeros((), jnp.int32))


def copied(values: Any) -> Any:
    """A pytree of arrays, all on the device or all of the host, in buffers of their own."""
    import jax

    if all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(values)):
        return jax.tree.map(np.copy, values)
    return _copy_program()(values)


@functools.cache
def _copy_program() -> Any:
    """One program for a whole pytree: one for each shape would take longer to compile."""
    import jax
    import jax.numpy as jnp

    return jax.jit(lambda values: jax.tree.map(jnp.copy, values))


def to_tensors(state: TrainState) -> dict[str, np.ndarray]:
    """The whole state as named host arrays, for a checkpoint."""
    tensors = {"step": np.asarray(state.step)}
    for group in ("trainable", "non_trainable", "optimizer", "metrics", "average"):
        for index, value in enumerate(getattr(state, group)):
            tensors[f"{group}/{index:05d}"] = np.asarray(value)
    return tensors


def from_tensors(tensors: Mapping[str, np.ndarray], like: TrainState) -> TrainState:
    """The state that `to_tensors` wrote, checked against the shapes and types of `like`.

    Raises:
        CheckpointError: A variable is missing, left over, or of another shape or type.
    """
    import jax.numpy as jnp

    # Of the host where `like` is: not every backend takes the arrays of JAX.
    array = np.array if isinstance(like.step, np.ndarray) else jnp.array
    expected = to_tensors(like)
    for name in sorted(expected.keys() ^ tensors.keys()):
        found, wanted = ("missing", "expected") if name in expected else ("there", "not expected")
        raise CheckpointError(f"Checkpoint variable '{name}' is {found} and was {wanted}.")
    for name, value in expected.items():
        got = tensors[name]
        if got.shape != value.shape or got.dtype != value.dtype:
            raise CheckpointError(
                f"Checkpoint variable '{name}' has shape {got.shape} and type {got.dtype}; "
                f"the model expects {value.shape} and {value.dtype}."
            )
    groups = {
        group: [
            array(tensors[f"{group}/{index:05d}"], copy=True)
            for index in range(len(getattr(like, group)))
        ]
        for group in ("trainable", "non_trainable", "optimizer", "metrics", "average")
    }
    return TrainState(**groups, step=array(tensors["step"], copy=True))


def shipped_weights(state: TrainState) -> tuple[list[Any], list[Any]]:
    """(trainable, non-trainable) weights to validate and ship: the average where kept."""
    if not state.average:
        return state.trainable, state.non_trainable
    split = len(state.trainable)
    return state.average[:split], state.average[split:]
