"""What makes two calls of `fit` the same training: model, settings and data, as JSON values."""

import json
import re
import types
from collections.abc import Mapping
from typing import Any

import numpy as np

from septet.errors import InputError
from septet.fitting import keras_inside
from septet.runs.receipt import hash_json, hash_tensors
from septet.version import __version__

LEFT_OUT = ("shared_object_id", "build_config", "compile_config")
"""Of a Keras configuration: what depends on the process, or comes up elsewhere in it."""
TRAINED = "as trained"
"""In place of a learning rate that cannot be compared."""
TASK = "fit"
"""What the list of runs shows for a training of `fit`."""


def settings(
    model: Any, data: Mapping[str, Any], training: Mapping[str, Any], seed: int | None
) -> dict[str, Any]:
    """The config.json of a run of `fit`.

    Args:
        model: Compiled and built.
        data: Of each name (x, y, validation ...) what was passed.
        training: Arguments of `fit` that change what is learned.
        seed: As passed.
    """
    names = {layer.name: f"layer {place}" for place, layer in enumerate(keras_inside.layers(model))}
    weights = [[str(variable.dtype), *map(int, variable.shape)] for variable in model.weights]
    compiled = described(keras_inside.compile_arguments(model), names)
    if int(model.optimizer.iterations) and isinstance(compiled.get("optimizer"), dict):
        _set_rates(compiled["optimizer"])
    found = {
        "septet": __version__,
        "task": TASK,
        "source": type_name(data.get("x")),
        "seed": seed,
        "model": {
            "name": type(model).__name__,
            "parameters": int(model.count_params()),
            "structure": hash_json([weights, described(_configuration(model), names)]),
        },
        "compile": compiled,
        "training": described(dict(training), names),
        "data": {name: fingerprint(value) for name, value in data.items() if value is not None},
    }
    return json.loads(json.dumps(found))


def _set_rates(optimizer: dict[str, Any]) -> None:
    """The learning rate of an optimizer that has trained may be a callback's."""
    for name, value in optimizer.items():
        if isinstance(value, dict):
            _set_rates(value)
        elif name == "learning_rate":
            optimizer[name] = TRAINED


def _configuration(model: Any) -> Any:
    """The model's own configuration, where it has one."""
    try:
        return model.get_config()
    except (NotImplementedError, TypeError, ValueError):
        return None  # a subclass that cannot say; its weights' shapes stand for it


def require_same(name: str, recorded: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """InputError naming the first thing in which this call differs from the run's first."""
    for group in ("seed", "model", "compile", "training", "data"):
        pair = recorded.get(group), found.get(group)
        for key, (before, now) in _differences(group, *pair):
            raise InputError(
                f"The run '{name}' was begun with {key} = {_short(before)}, and now it is "
                f"{_short(now)}. Call septet.fit as before to continue it, or choose another "
                "name for the run."
            )


def _differences(key: str, before: Any, now: Any) -> list[tuple[str, tuple[Any, Any]]]:
    if before == now or TRAINED in (before, now):
        return []
    if isinstance(before, dict) and isinstance(now, dict):
        names = dict.fromkeys([*before, *now])
        found = [_differences(f"{key}.{name}", before.get(name), now.get(name)) for name in names]
        return [pair for pairs in found for pair in pairs]
    return [(key, (before, now))]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def described(value: Any, names: Mapping[str, str]) -> Any:
    """`value` as JSON values that are the same in each process.

    Layers are called by their place and other things without the number at the end of
    their names, since these count up within a process.
    """
    if isinstance(value, str):
        return names.get(value, value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        kept = [(str(key), item) for key, item in value.items() if key not in LEFT_OUT]
        found = {names.get(key, key): described(item, names) for key, item in kept}
        if isinstance(found.get("name"), str):
            found["name"] = re.sub(r"_\d+$", "", found["name"])
        return found
    if isinstance(value, list | tuple | set):
        return [described(item, names) for item in value]
    if isinstance(value, types.FunctionType | types.BuiltinFunctionType | type):
        return f"{value.__module__}.{value.__qualname__}"
    if hasattr(value, "get_config"):
        try:
            return {"class": type_name(value), **described(value.get_config(), names)}
        except (NotImplementedError, TypeError, ValueError):
            return type_name(value)
    if hasattr(value, "__array__"):
        return fingerprint(value)
    return type_name(value)


def fingerprint(data: Any) -> Any:
    """Shape, type and SHA-256 of each array in a structure; of anything else its type."""
    import keras

    leaves = [leaf for leaf in keras.tree.flatten(data) if leaf is not None]
    if not leaves or not all(hasattr(leaf, "__array__") for leaf in leaves):
        return {"type": type_name(data)}
    arrays = {f"{place:05d}": np.asarray(leaf) for place, leaf in enumerate(leaves)}
    shapes = ", ".join(f"{array.dtype}{list(array.shape)}" for array in arrays.values())
    return {"type": type_name(data), "arrays": shapes, "sha256": hash_tensors(arrays)}


def type_name(value: Any) -> str:
    """Of a value its class, with the module where that is not Python's own."""
    kind = type(value)
    if kind.__module__ in ("builtins", "__main__"):
        return kind.__qualname__
    return f"{kind.__module__.split('.')[0]}.{kind.__qualname__}"
