"""What callbacks and random generators remember, as JSON values and arrays.

Callbacks keep what they know in attributes: the best value so far, how long they have
waited, the best weights. Those that are plain values or arrays are kept; nothing that could
run code on loading is.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from septet.fitting import keras_inside

Tensors = dict[str, np.ndarray]
NOT_MEMORY = ("params", "validation_data")
"""Attributes that Keras sets on every callback."""


class Unkept(Exception):
    """A value that has no plain form."""


@dataclass(frozen=True)
class Remembered:
    """The attributes of one callback.

    Args:
        kind: Its class.
        plain: Those with a plain form, encoded.
        tensors: Arrays that these refer to.
        others: Names of those without.
    """

    kind: str
    plain: dict[str, Any]
    tensors: Tensors
    others: list[str]


def remembered(callbacks: list[Any]) -> list[Remembered]:
    """What each callback has in its attributes now."""
    found = []
    for number, callback in enumerate(callbacks):
        each = Remembered(type(callback).__qualname__, {}, {}, [])
        for name, value in vars(callback).items():
            if name not in NOT_MEMORY:
                tensors: Tensors = {}
                try:
                    each.plain[name] = encode(value, f"{number:03d}/{name}", tensors)
                except Unkept:
                    each.others.append(name)
                else:
                    each.tensors.update(tensors)
        found.append(each)
    return found


def of_callbacks(
    callbacks: list[Any], made: list[Remembered]
) -> tuple[list[dict[str, Any]], Tensors]:
    """(class and attributes of each, arrays that these refer to): what training changed.

    Args:
        callbacks: As they are now.
        made: As they were before training: what is still so is the program's to choose.
    """
    tensors: Tensors = {}
    entries = []
    for now, before in zip(remembered(callbacks), made, strict=True):
        changed = {
            name: value
            for name, value in now.plain.items()
            if name not in before.plain or not _equal(name, now, before)
        }
        places = [f"{len(entries):03d}/{name}" for name in changed]
        tensors |= {
            name: array
            for name, array in now.tensors.items()
            if any(name == place or name.startswith(f"{place}/") for place in places)
        }
        entries.append({"class": now.kind, "attributes": changed, "others": now.others})
    return entries, tensors


def _equal(name: str, first: Remembered, second: Remembered) -> bool:
    if first.plain[name] != second.plain[name]:
        return False
    return all(
        np.array_equal(first.tensors[key], second.tensors.get(key, np.empty(0)))
        for key in first.tensors
        if key.split("/")[1] == name
    )


def to_callbacks(
    callbacks: list[Any],
    entries: list[dict[str, Any]],
    tensors: Mapping[str, np.ndarray],
    made: list[Remembered],
) -> None:
    """Give callbacks what those of the same class and order remembered.

    From then on that counts as changed by training: it is taken out of `made`.
    """
    import keras

    waiting = list(entries)
    for callback, before in zip(callbacks, made, strict=True):
        kind = type(callback).__qualname__
        entry = next((entry for entry in waiting if entry["class"] == kind), None)
        if entry is None:
            continue
        waiting.remove(entry)
        if isinstance(callback, keras.callbacks.ProgbarLogger):
            continue  # shows what it sees
        keras_inside.settle_direction(callback, entry["others"])
        for name, value in entry["attributes"].items():
            if name in vars(callback):
                setattr(callback, name, decode(value, tensors))
                before.plain.pop(name, None)


def encode(value: Any, name: str, tensors: Tensors) -> Any:
    """`value` as JSON; arrays go to `tensors`, under names that begin with `name`.

    Raises:
        Unkept: It is none of number, text, array, or lists and dicts of these.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float | np.number | np.bool_) or (
        hasattr(value, "__array__") and np.ndim(value) == 0
    ):
        number = np.asarray(value).item()
        if not isinstance(number, bool | int | float):
            raise Unkept
        return number if np.isfinite(number) else {"number": str(number)}
    if isinstance(value, list | tuple):
        items = [encode(item, f"{name}/{place:05d}", tensors) for place, item in enumerate(value)]
        return items if isinstance(value, list) else {"tuple": items}
    if isinstance(value, dict):
        if not all(isinstance(key, str | int) for key in value):
            raise Unkept
        return {
            "dict": [
                [key, encode(item, f"{name}/{place:05d}", tensors)]
                for place, (key, item) in enumerate(value.items())
            ]
        }
    if hasattr(value, "__array__"):
        array = np.asarray(value)
        if array.dtype.kind in "OUSTMm":
            raise Unkept
        tensors[name] = np.array(array)
        return {"array": name}
    raise Unkept


def decode(value: Any, tensors: Mapping[str, np.ndarray]) -> Any:
    """What `encode` was given."""
    if isinstance(value, list):
        return [decode(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "number":
        return float(content)
    if kind == "tuple":
        return tuple(decode(item, tensors) for item in content)
    if kind == "dict":
        return {key: decode(item, tensors) for key, item in content}
    return np.array(tensors[content])


def of_chance() -> tuple[dict[str, Any], Tensors]:
    """The states of NumPy's and Python's global generators, from which Keras draws orders."""
    kind, keys, place, has_gauss, gauss = np.random.get_state()  # noqa: NPY002
    version, words, next_gauss = random.getstate()
    facts = {
        "numpy": [str(kind), int(place), int(has_gauss), float(gauss)],
        "python": [version, next_gauss],
    }
    return facts, {"numpy": np.array(keys), "python": np.array(words, np.uint64)}


def to_chance(facts: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> None:
    """Put the global generators back."""
    kind, place, has_gauss, gauss = facts["numpy"]
    np.random.set_state((kind, tensors["numpy"], place, has_gauss, gauss))  # noqa: NPY002
    version, next_gauss = facts["python"]
    random.setstate((version, tuple(int(word) for word in tensors["python"]), next_gauss))
