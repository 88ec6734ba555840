"""TrainState: everything that training changes, as one pytree that is passed in and returned."""

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


def initial_state(model: Any, *, with_average: bool) -> TrainState:
    """The state of a freshly compiled and built `keras.Model`, copied off its variables."""
    import jax.numpy as jnp

    model.optimizer.build(model.trainable_variables)
    trainable = _values(model.trainable_variables)
    non_trainable = _values(model.non_trainable_variables)
    average = [jnp.array(value, copy=True) for value in trainable + non_trainable]
    return TrainState(
        trainable=trainable,
        non_trainable=non_trainable,
        optimizer=_values(model.optimizer.variables),
        metrics=_values(model.metrics_variables),
        average=average if with_average else [],
        step=jnp.zeros((), jnp.int32),
    )


def _values(variables: list[Any]) -> list[Any]:
    """Copies, because the state is donated and the model's own variables are not."""
    import jax.numpy as jnp

    return [jnp.array(variable.value, copy=True) for variable in variables]


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
            jnp.array(tensors[f"{group}/{index:05d}"], copy=True)
            for index in range(len(getattr(like, group)))
        ]
        for group in ("trainable", "non_trainable", "optimizer", "metrics", "average")
    }
    return TrainState(**groups, step=jnp.array(tensors["step"], copy=True))


def shipped_weights(state: TrainState) -> tuple[list[Any], list[Any]]:
    """(trainable, non-trainable) weights to validate and ship: the average where kept."""
    if not state.average:
        return state.trainable, state.non_trainable
    split = len(state.trainable)
    return state.average[:split], state.average[split:]
