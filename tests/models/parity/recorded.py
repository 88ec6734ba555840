"""What `scripts/torch_reference` recorded: numbers given to PyTorch, and what it made of them."""

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).resolve().parents[1] / "reference"
GROUPS = ("layers", "recurrent", "attention", "losses", "networks", "players")
Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Recorded:
    """One case; PyTorch's own names and axes.

    Args:
        weights: Parameters and buffers before.
        inputs: In the order in which they were given.
        cotangents: The gradients of the outputs, from which the others came.
        outputs: By name.
        weight_gradients: Of parameters.
        input_gradients: Of those inputs that have some.
        buffers_after: Of training.
    """

    weights: Arrays
    inputs: Arrays
    cotangents: Arrays
    outputs: Arrays
    weight_gradients: Arrays
    input_gradients: Arrays
    buffers_after: Arrays


PLACES = {
    "weight": "weights",
    "buffer": "weights",
    "input": "inputs",
    "cotangent": "cotangents",
    "output": "outputs",
    "weight_gradient": "weight_gradients",
    "input_gradient": "input_gradients",
    "buffer_after": "buffers_after",
}


@functools.cache
def recorded() -> Mapping[str, Recorded]:
    """All cases by name."""
    return {name: case for group in GROUPS for name, case in _group(group).items()}


def _group(group: str) -> dict[str, Recorded]:
    with np.load(FOLDER / f"{group}.npz") as file:
        listed = json.loads(file["listed"].tobytes())
        flat = {True: file["exact"], False: file["rounded"]}
    used = {True: 0, False: 0}
    found = {}
    for name, rows in listed.items():
        parts: dict[str, dict[str, np.ndarray]] = {place: {} for place in PLACES.values()}
        for role, key, dtype, shape, is_exact in rows:
            end = used[is_exact] + int(np.prod(shape))
            array = flat[is_exact][used[is_exact] : end]
            used[is_exact] = end
            parts[PLACES[role]][key] = array.reshape(shape).astype(dtype)
        found[name] = Recorded(**parts)
    return found
