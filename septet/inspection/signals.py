"""What the numbers of one layer look like: norms, dead units, saturation, non-finite ones.

Functions of host arrays; know no network.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

NEAR = 0.01
"""A number is near a bound if it is within this share of the range between both."""

BOUNDS = {
    "sigmoid": (0.0, 1.0),
    "hard_sigmoid": (0.0, 1.0),
    "sparse_sigmoid": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "hard_tanh": (-1.0, 1.0),
    "softsign": (-1.0, 1.0),
}
SOFTMAX = "softmax"


@dataclass(frozen=True)
class Signal:
    """What is seen in the outputs of a layer.

    Args:
        norm: Square root of the sum of squares over the whole batch.
        rms: Square root of the mean of squares.
        dead: Share of units that are zero for all of the batch.
        saturated: Share of the outputs near a bound of the layer's activation function, of a
            softmax the share of its rows whose largest is near 1; None without bounds.
        non_finite: How many are infinite or not a number.
    """

    norm: float
    rms: float
    dead: float
    saturated: float | None
    non_finite: int


def signal_of(
    arrays: Sequence[np.ndarray], *, activation: str | None, unit_axis: int
) -> Signal | None:
    """The signal in float arrays [batch, ...]; None if there are none.

    Args:
        arrays: Outputs; those that hold no floats are left out.
        activation: Name of the activation function that gave them, if known.
        unit_axis: Which axis counts the units.
    """
    floats = [array for array in arrays if is_float(array) and array.size]
    if not floats:
        return None
    size = sum(array.size for array in floats)
    total = norm_of(floats)
    dead = [dead_units(array, unit_axis) for array in floats]
    saturated = [saturated_share(array, activation) for array in floats]
    known = [share for share in saturated if share is not None]
    return Signal(
        norm=total,
        rms=total / size**0.5,
        dead=float(np.concatenate(dead).mean()),
        saturated=float(np.mean(known)) if known else None,
        non_finite=count_non_finite(floats),
    )


def is_float(array: Any) -> bool:
    """Whether it holds floats, bfloat16 included."""
    return array.dtype.kind == "f" or "float" in str(array.dtype)


def norm_of(arrays: Sequence[np.ndarray]) -> float:
    """Square root of the sum of squares of all of them, in float64."""
    return float(np.sqrt(sum(np.square(_wide(array)).sum() for array in arrays)))


def count_non_finite(arrays: Sequence[np.ndarray]) -> int:
    """How many numbers are infinite or none."""
    return sum(int(np.count_nonzero(~np.isfinite(_wide(array)))) for array in arrays)


def dead_units(array: np.ndarray, unit_axis: int) -> np.ndarray:
    """Bool [units]: zero for each example and at each place."""
    if array.ndim < 2:
        return np.array([not _wide(array).any()])
    axis = unit_axis % array.ndim
    others = tuple(each for each in range(array.ndim) if each != axis)
    return ~(array != 0).any(axis=others)


def saturated_share(array: np.ndarray, activation: str | None) -> float | None:
    """See `Signal.saturated`."""
    if activation == SOFTMAX:
        return float((_wide(array).max(axis=-1) >= 1.0 - NEAR).mean())
    if activation not in BOUNDS:
        return None
    low, high = BOUNDS[activation]
    margin = NEAR * (high - low)
    values = _wide(array)
    return float(((values <= low + margin) | (values >= high - margin)).mean())


def step_norms(gradient: np.ndarray) -> list[float]:
    """Norm of a gradient [batch, time, ...] at each time step."""
    squares = np.square(_wide(gradient)).sum(axis=(0, *range(2, gradient.ndim)))
    return [float(value) for value in np.sqrt(squares)]


def _wide(array: np.ndarray) -> np.ndarray:
    return np.asarray(array).astype(np.float64)
