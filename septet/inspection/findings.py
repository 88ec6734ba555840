"""What an inspection found, as plain values: rows of layers, parts, and the whole."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from septet.inspection.signals import Signal


@dataclass(frozen=True)
class Weight:
    """One weight of a layer.

    Args:
        name: Its path in the network.
        shape: Its shape.
        size: Numbers it holds.
        num_bytes: What they take.
        is_trainable: Whether training changes it.
        norm: Square root of the sum of squares.
        gradient_norm: The same of the loss's gradient; None where there is none.
        non_finite: Numbers of both that are infinite or none.
    """

    name: str
    shape: tuple[int, ...]
    size: int
    num_bytes: int
    is_trainable: bool
    norm: float
    gradient_norm: float | None
    non_finite: int


@dataclass(frozen=True)
class Row:
    """One call of a layer for the batch; figures of a layer made of layers include theirs.

    Args:
        path: Where the call stands; `()` is the network.
        name: The layer's.
        kind: Its class.
        has_parts: Whether rows of layers within it follow.
        reads_backwards: It is a recurrent layer that begins with the last time step.
        activation: Name of its activation function, if it has one.
        output_shapes: Of each array that it gives.
        output_dtype: Of the first.
        weights: Those that no row before it has.
        is_shared: Some of its weights belong to a row before it.
        flops: Floating-point operations forward.
        is_least_flops: It loops for as long as it must, which was counted once.
        activation_bytes: Of all that it and its parts give.
        workspace_bytes: What XLA needs besides; None where not timed.
        forward_s: Time forward; None where not timed.
        backward_s: Time backward; None where not timed or nothing to differentiate.
        signal: What its outputs look like; None where they are no floats.
        activation_gradient_norm: Norm of the loss's gradient with respect to its outputs.
        step_gradient_norms: Of a recurrent layer: norm of the gradient with respect to its
            input at each time step.
    """

    path: tuple[int, ...]
    name: str
    kind: str
    has_parts: bool
    reads_backwards: bool
    activation: str | None
    output_shapes: list[tuple[int, ...]]
    output_dtype: str
    weights: list[Weight]
    is_shared: bool
    flops: int
    is_least_flops: bool
    activation_bytes: int
    workspace_bytes: int | None
    forward_s: float | None
    backward_s: float | None
    signal: Signal | None
    activation_gradient_norm: float | None
    step_gradient_norms: list[float] | None

    @property
    def depth(self) -> int:
        """How many layers it is within; 0 for the network."""
        return len(self.path)

    @property
    def trainable(self) -> int:
        """Numbers that training changes."""
        return sum(weight.size for weight in self.weights if weight.is_trainable)

    @property
    def fixed(self) -> int:
        """Numbers that it does not."""
        return sum(weight.size for weight in self.weights if not weight.is_trainable)

    @property
    def weight_bytes(self) -> int:
        """Bytes of its weights."""
        return sum(weight.num_bytes for weight in self.weights)

    @property
    def weight_norm(self) -> float | None:
        """Of its trainable weights together."""
        return _together([weight.norm for weight in self.weights if weight.is_trainable])

    @property
    def weight_gradient_norm(self) -> float | None:
        """Of the gradients of its weights together."""
        return _together([weight.gradient_norm for weight in self.weights])

    @property
    def non_finite(self) -> int:
        """Of its outputs, weights and their gradients."""
        outputs = self.signal.non_finite if self.signal else 0
        return outputs + sum(weight.non_finite for weight in self.weights)

    def to_json(self) -> dict[str, Any]:
        """Plain values; a norm that is not finite is None."""
        signal = self.signal
        value = {
            "path": list(self.path), "name": self.name, "kind": self.kind, "depth": self.depth,
            "output_shapes": [list(shape) for shape in self.output_shapes],
            "output_dtype": self.output_dtype, "activation": self.activation,
            "trainable": self.trainable, "fixed": self.fixed, "is_shared": self.is_shared,
            "flops": self.flops, "is_least_flops": self.is_least_flops,
            "weight_bytes": self.weight_bytes, "activation_bytes": self.activation_bytes,
            "workspace_bytes": self.workspace_bytes,
            "forward_s": self.forward_s, "backward_s": self.backward_s,
            "activation_norm": signal and signal.norm, "activation_rms": signal and signal.rms,
            "activation_gradient_norm": self.activation_gradient_norm,
            "weight_norm": self.weight_norm, "weight_gradient_norm": self.weight_gradient_norm,
            "dead": signal and signal.dead, "saturated": signal and signal.saturated,
            "non_finite": self.non_finite, "step_gradient_norms": self.step_gradient_norms,
            "weights": [asdict(weight) for weight in self.weights],
        }  # fmt: skip
        return _finite(value)


@dataclass(frozen=True)
class Part:
    """One network that was run: all there is, or one of two players.

    Args:
        name: The network's.
        rows: Its layers in the order they ran; the first is the network itself.
        loss: The loss of the batch; None where there is none.
    """

    name: str
    rows: list[Row]
    loss: float | None

    @property
    def total(self) -> Row:
        """The network itself."""
        return self.rows[0]

    @property
    def layers(self) -> list[Row]:
        """All rows but the network's own."""
        return self.rows[1:]


@dataclass(frozen=True)
class Inspection:
    """What was found.

    Args:
        title: What was looked into.
        notes: What a reader must know of weights, inputs and loss.
        batch_size: Examples.
        is_training: It ran as in a training step, and not as in prediction.
        device: Where.
        parts: The networks.
        remarks: What stands out, in words.
    """

    title: str
    notes: list[str]
    batch_size: int
    is_training: bool
    device: str
    parts: list[Part]
    remarks: list[str] = field(default_factory=list)

    @property
    def rows(self) -> list[Row]:
        """The rows of all parts."""
        return [row for part in self.parts for row in part.rows]

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {
            "title": self.title,
            "notes": self.notes,
            "batch_size": self.batch_size,
            "is_training": self.is_training,
            "device": self.device,
            "parts": [
                {
                    "name": part.name,
                    "loss": _finite(part.loss),
                    "total": part.total.to_json(),
                    "layers": [row.to_json() for row in part.layers],
                }
                for part in self.parts
            ],
            "remarks": self.remarks,
        }

    def draw(self, path: Any) -> None:
        """Write the picture of it, a PNG, to `path`."""
        from septet.inspection.picture import draw

        draw(self, path)


def _together(norms: list[Any]) -> float | None:
    """The norm of what has these norms; None if there is none."""
    known = [norm for norm in norms if norm is not None]
    return float(np.sqrt(sum(norm * norm for norm in known))) if known else None


def _finite(value: Any) -> Any:
    """`value` with None for each float that JSON does not know."""
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return value
