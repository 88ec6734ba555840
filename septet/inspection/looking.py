"""One look into a network: run it, differentiate it, and make a row of each layer.

The gradient with respect to a layer's output is that of a zero added to it, so that all of
them, and those of the weights, come from one exact backward pass of the whole.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from septet.engine.lowering import lowered
from septet.inspection import signals
from septet.inspection.alone import Alone, Timing, Workshop
from septet.inspection.findings import Part, Row, Weight
from septet.inspection.watching import Call, Path, record, watched

Key = tuple[Path, int]
"""An output of a call: the call's path, and which of its arrays."""

ACTIVATION_LAYERS = {"ReLU": "relu", "Softmax": "softmax", "LeakyReLU": "leaky_relu", "ELU": "elu"}


@dataclass(frozen=True)
class Scene:
    """A network and how it is run.

    Args:
        name: What to call it.
        network: Whose layers are looked into.
        variables: All variables that running it reads, those of other networks included.
        data: Arrays that it is run on, any pytree.
        run: Runs it on data; pure but for those variables.
        loss: Its loss for data, of which the first pass through the network is looked into;
            None to look at the forward pass alone.
    """

    name: str
    network: Any
    variables: Sequence[Any]
    data: Any
    run: Callable[[Any], Any]
    loss: Callable[[Any], Any] | None


@dataclass(frozen=True)
class Slopes:
    """Gradients of a loss.

    Args:
        loss: Its value.
        weights: By the id of each trainable variable.
        outputs: With respect to outputs of layers.
        steps: Norms of those with respect to a recurrent layer's input, by time step.
    """

    loss: float
    weights: dict[int, np.ndarray]
    outputs: dict[Key, np.ndarray]
    steps: dict[Path, list[float]]


def look(scene: Scene, *, platform: str, depth: int | None, is_timed: bool) -> Part:
    """Everything about one network."""
    calls = _record(scene, depth)
    makers = _makers(calls)
    slopes = _differentiate(scene, calls, makers, platform) if scene.loss else None
    owners = _owners(calls)
    workshop = Workshop(platform) if is_timed else None
    rows = [_row(call, calls, makers, owners, slopes, workshop) for call in calls]
    return Part(scene.name, rows, slopes.loss if slopes else None)


def _record(scene: Scene, depth: int | None) -> list[Call]:
    pairs = [(variable, variable.value) for variable in scene.variables]

    def run() -> None:
        # Moving statistics and random generators change in the scope and not in the network.
        with keras.StatelessScope(pairs, collect_losses=True):
            (scene.loss or scene.run)(scene.data)

    return record(scene.network, run, depth=depth)


def _makers(calls: Sequence[Call]) -> dict[int, Key]:
    """Which call made each array, by the array's id: of several that gave it on, the first."""
    ended = sorted(calls, key=lambda call: (*call.path, np.inf))
    makers: dict[int, Key] = {}
    for call in ended:
        for place, array in enumerate(jax.tree.leaves(call.outputs)):
            makers.setdefault(id(array), (call.path, place))
    return makers


def _differentiate(
    scene: Scene, calls: Sequence[Call], makers: dict[int, Key], platform: str
) -> Slopes:
    arrays = {id(array): array for call in calls for array in jax.tree.leaves(call.outputs)}
    shifts = {
        key: jnp.zeros(arrays[identity].shape, arrays[identity].dtype)
        for identity, key in makers.items()
        if _is_float(arrays[identity])
    }
    series = {
        call.path: jnp.zeros(call.arguments[0].shape, call.arguments[0].dtype)
        for call in calls
        if isinstance(call.layer, keras.layers.RNN) and _is_float(call.arguments[0])
    }
    trainable = list(scene.network.trainable_variables)
    known = {id(variable) for variable in trainable}
    others = [variable for variable in scene.variables if id(variable) not in known]

    def objective(moved: Any, fixed: Any, data: Any) -> Any:
        values, shifts, series = moved
        pairs = [*zip(trainable, values, strict=True), *zip(others, fixed, strict=True)]

        def enter(path: Path, layer: Any, arguments: Any) -> Any:
            if path in series:
                return (arguments[0] + series[path], *arguments[1:])
            return arguments

        def leave(path: Path, layer: Any, arguments: Any, named: Any, outputs: Any) -> Any:
            leaves, structure = jax.tree.flatten(outputs)
            wanted = [(path, place) for place in range(len(leaves))]
            if not any(key in shifts for key in wanted):
                return outputs
            moved = [
                leaf + shifts[key] if key in shifts else leaf
                for key, leaf in zip(wanted, leaves, strict=True)
            ]
            return jax.tree.unflatten(structure, moved)

        assert scene.loss is not None  # only then there is something to differentiate
        with (
            keras.StatelessScope(pairs, collect_losses=True),
            watched(scene.network, leave=leave, enter=enter),
        ):
            return scene.loss(data)

    moved = ([variable.value for variable in trainable], shifts, series)
    with lowered(platform):
        loss, (weights, outputs, steps) = jax.jit(jax.value_and_grad(objective))(
            moved, [variable.value for variable in others], scene.data
        )
    return Slopes(
        float(loss),
        {id(v): np.asarray(slope) for v, slope in zip(trainable, weights, strict=True)},
        {key: np.asarray(slope) for key, slope in outputs.items()},
        {path: signals.step_norms(np.asarray(slope)) for path, slope in steps.items()},
    )


def _owners(calls: Sequence[Call]) -> dict[int, Path]:
    """The call that each variable is counted with: the first, and innermost, that has it."""
    owners: dict[int, Path] = {}
    for call in sorted(calls, key=lambda call: (*call.path, np.inf)):
        for variable in _weights_of(call.layer):
            owners.setdefault(id(variable), call.path)
    return owners


def _weights_of(layer: Any) -> list[Any]:
    return list(layer.weights) if isinstance(layer, keras.Layer) else []


def _row(
    call: Call,
    calls: Sequence[Call],
    makers: dict[int, Key],
    owners: dict[int, Path],
    slopes: Slopes | None,
    workshop: Workshop | None,
) -> Row:
    within = [other for other in calls if other.path[: len(call.path)] == call.path]
    outputs = jax.tree.leaves(call.outputs)
    alone = Alone(call)
    count = alone.count()
    timing = alone.time(workshop, with_backward=slopes is not None) if workshop else None
    weights = _weights_of(call.layer)
    own = [v for v in weights if owners[id(v)][: len(call.path)] == call.path]
    activation = activation_of(call.layer)
    host = [np.asarray(array) for array in outputs]
    return Row(
        path=call.path,
        name=call.layer.name,
        kind=type(call.layer).__name__,
        has_parts=len(within) > 1,
        reads_backwards=bool(getattr(call.layer, "go_backwards", False)),
        activation=activation,
        output_shapes=[tuple(array.shape) for array in outputs],
        output_dtype=str(outputs[0].dtype) if outputs else "",
        weights=[_weight(variable, slopes) for variable in own],
        is_shared=len(own) < len(weights),
        flops=count.flops,
        is_least_flops=count.is_least,
        activation_bytes=_bytes_made(within),
        workspace_bytes=timing.workspace_bytes if timing else None,
        signal=signals.signal_of(host, activation=activation, unit_axis=_unit_axis(call.layer)),
        activation_gradient_norm=_output_slope(outputs, makers, slopes),
        step_gradient_norms=slopes.steps.get(call.path) if slopes else None,
        **_times(timing),
    )


def _times(timing: Timing | None) -> dict[str, Any]:
    if timing is None:
        return {"forward_s": None, "backward_s": None}
    return {"forward_s": timing.forward_s, "backward_s": timing.backward_s}


def _weight(variable: Any, slopes: Slopes | None) -> Weight:
    value = np.asarray(variable.value)
    slope = slopes.weights.get(id(variable)) if slopes else None
    return Weight(
        name=variable.path,
        shape=tuple(value.shape),
        size=value.size,
        num_bytes=value.nbytes,
        is_trainable=bool(variable.trainable),
        norm=signals.norm_of([value]),
        gradient_norm=None if slope is None else signals.norm_of([slope]),
        non_finite=signals.count_non_finite([value] if slope is None else [value, slope]),
    )


def _output_slope(
    outputs: Sequence[Any], makers: dict[int, Key], slopes: Slopes | None
) -> float | None:
    if slopes is None:
        return None
    keys = [makers[id(array)] for array in outputs]
    known = [slopes.outputs[key] for key in keys if key in slopes.outputs]
    return signals.norm_of(known) if known else None


def _bytes_made(calls: Sequence[Call]) -> int:
    """Bytes of all that the calls gave; what was given on counts once."""
    arrays = {id(array): array for call in calls for array in jax.tree.leaves(call.outputs)}
    return sum(int(array.nbytes) for array in arrays.values())


def activation_of(layer: Any) -> str | None:
    """Name of a layer's activation function, as Keras calls it."""
    function = getattr(layer, "activation", None)
    if function is not None:
        name = getattr(function, "__name__", None) or getattr(function, "name", None)
        return None if name == "linear" else str(name)
    return ACTIVATION_LAYERS.get(type(layer).__name__)


def _unit_axis(layer: Any) -> int:
    return 1 if getattr(layer, "data_format", None) == "channels_first" else -1


def _is_float(array: Any) -> bool:
    return hasattr(array, "dtype") and jnp.issubdtype(array.dtype, jnp.floating)
