"""Runs PyTorch modules on drawn numbers and keeps what went in, what came out and the gradients.

What is given (weights, inputs, the gradient of the outputs) is drawn so that float16 holds it
exactly; PyTorch computes in float64, so that the reference has no rounding of its own.
"""

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]

Forward = Callable[..., Any]


@dataclass(frozen=True)
class Case:
    """What to run.

    Args:
        module: Holds the weights, under the names that the other side looks for.
        inputs: By name; the float ones get gradients, unless a name starts with "target".
        forward: (module, **inputs) -> one output or several; the module alone when absent.
        is_training: The module's mode.
        keeps_weights: Weights stay as the module has them.
    """

    module: Any
    inputs: Mapping[str, np.ndarray]
    forward: Forward = field(default=lambda module, **given: module(*given.values()))
    is_training: bool = True
    keeps_weights: bool = False


class Numbers:
    """Draws of one case, the same in every run."""

    def __init__(self, name: str):
        """Begin from the name."""
        self.random = np.random.default_rng(zlib.crc32(name.encode()))

    def normal(self, *shape: int, scale: float = 1.0) -> np.ndarray:
        """Normal numbers that float16 holds."""
        return (self.random.normal(size=shape) * scale).astype(np.float16).astype(np.float64)

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> np.ndarray:
        """Uniform numbers that float16 holds."""
        return self.random.uniform(low, high, shape).astype(np.float16).astype(np.float64)

    def whole(self, high: int, *shape: int) -> np.ndarray:
        """Whole numbers below `high`."""
        return self.random.integers(0, high, shape).astype(np.int32)


Row = tuple[str, str, str, np.ndarray]


def recorded(name: str, case: Case) -> list[Row]:
    """(role, name, dtype, array) of everything of one case."""
    numbers = Numbers(name + " weights")
    module = case.module.double().train(case.is_training)
    parameters = dict(module.named_parameters())
    buffers = {key: value for key, value in module.named_buffers() if value.dtype == torch.float64}
    with torch.no_grad():
        if not case.keeps_weights:
            for key, value in [*parameters.items(), *buffers.items()]:
                drawn = (
                    numbers.uniform(*value.shape, low=0.5, high=1.5)
                    if key.endswith("running_var")
                    else numbers.normal(*value.shape, scale=0.5)
                )
                value.copy_(torch.tensor(drawn))
    rows: list[Row] = [("weight", key, "float32", array_of(v)) for key, v in parameters.items()]
    rows += [("buffer", key, "float32", array_of(value)) for key, value in buffers.items()]
    inputs = {key: torch.tensor(value) for key, value in case.inputs.items()}
    followed = {
        key: value.requires_grad_()
        for key, value in inputs.items()
        if value.dtype == torch.float64 and not key.startswith("target")
    }
    rows += [
        ("input", key, "float32" if value.dtype == np.float64 else str(value.dtype), value)
        for key, value in case.inputs.items()
    ]
    outputs = case.forward(module, **inputs)
    if not isinstance(outputs, dict):
        outputs = outputs if isinstance(outputs, tuple | list) else [outputs]
        outputs = {str(place): out for place, out in enumerate(outputs)}
    given = {
        key: numbers.normal(*out.shape, scale=out.numel() ** -0.5) if out.shape else np.ones(())
        for key, out in outputs.items()
    }
    wanted = [*parameters.values(), *followed.values()]
    found: Sequence[Any] = []
    if wanted and any(out.requires_grad for out in outputs.values()):
        pulled = [torch.tensor(one) for one in given.values()]
        found = torch.autograd.grad(list(outputs.values()), wanted, pulled, allow_unused=True)
        rows += [("cotangent", key, "float32", one) for key, one in given.items()]
    rows += [("output", key, "float32", array_of(out)) for key, out in outputs.items()]
    roles = ["weight_gradient"] * len(parameters) + ["input_gradient"] * len(followed)
    names = [*parameters, *followed]
    for role, key, value, like in zip(roles, names, found, wanted, strict=False):
        filled = torch.zeros_like(like) if value is None else value
        rows.append((role, key, "float32", array_of(filled)))
    if case.is_training:
        rows += [("buffer_after", key, "float32", array_of(v)) for key, v in buffers.items()]
    return rows


def array_of(value: Any) -> np.ndarray:
    """A copy as NumPy has it."""
    return np.array(value.detach().numpy())


GIVEN = ("weight", "buffer", "input", "cotangent")


def write(path: Path, cases: Mapping[str, Callable[[Numbers], Case]]) -> int:
    """All cases of a group into one file: a list of what there is, and two flat arrays."""
    listed: dict[str, Any] = {}
    exact: list[np.ndarray] = []
    rounded: list[np.ndarray] = []
    for name, make in cases.items():
        torch.manual_seed(0)
        rows = recorded(name, make(Numbers(name)))
        listed[name] = []
        for role, key, dtype, array in rows:
            is_exact = role in GIVEN and np.array_equal(array.astype(np.float16), array)
            (exact if is_exact else rounded).append(np.ravel(array))
            listed[name].append([role, key, dtype, list(array.shape), is_exact])
    text = json.dumps(listed, separators=(",", ":")).encode()
    np.savez_compressed(
        path,
        listed=np.frombuffer(text, np.uint8),
        exact=np.concatenate(exact).astype(np.float16),
        rounded=np.concatenate([np.zeros(0), *rounded]).astype(np.float32),
    )
    return path.stat().st_size
