"""Weights and pictures drawn by name, as scripts/torch_pretrained draws them, and their answers."""

import functools
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np

REFERENCE = Path(__file__).parent / "reference" / "pretrained.npz"


@functools.cache
def listed() -> dict[str, Any]:
    """By name of what was recorded: side of the pictures, and names and shapes of tensors."""
    return json.loads(bytes(np.load(REFERENCE)["listed"]))


def answers(name: str) -> np.ndarray:
    """What PyTorch answered."""
    return np.load(REFERENCE)[name]


def pictures(name: str) -> np.ndarray:
    """Two pictures of noise, uint8."""
    side = listed()[name]["side"]
    random = np.random.default_rng(zlib.crc32(name.encode()))
    return random.integers(0, 256, (2, side, side, 3)).astype(np.uint8)


def tensors(name: str) -> dict[str, np.ndarray]:
    """All tensors, with those that no network of ours has."""
    found = {key: drawn(key, tuple(shape)) for key, shape in listed()[name]["tensors"].items()}
    return found | {key: np.array(7, np.int64) for key in listed()[name]["others"]}


def drawn(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The value of the tensor of that name, float32."""
    random = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("running_var"):
        return random.uniform(0.5, 1.5, shape).astype(np.float32)
    values = random.standard_normal(shape, dtype=np.float32)
    if len(shape) < 2:
        is_scale = name.endswith("weight") or "gamma" in name
        return np.float32(1.0 if is_scale else 0.0) + np.float32(0.1) * values
    if "pos" in name or "token" in name:
        return np.float32(0.1) * values
    return values * np.float32(int(np.prod(shape[1:])) ** -0.5)
