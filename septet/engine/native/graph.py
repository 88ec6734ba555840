"""A step as a graph of array values: what JAX traced, opened up and rid of what is said twice.

Knows nothing of C. A value is an input, a constant, an elementwise function, a view of
another value, or one of a few larger operations (products, reductions, loops ...).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Shape = tuple[int, ...]


class UnsupportedError(Exception):
    """The step has what this compiler does not know; XLA takes it."""


@dataclass(eq=False)
class Value:
    """One array.

    Args:
        op: What makes it: "input", "const", "map", "loop" ..., see the functions of `Graph`.
        args: Of what.
        shape: Its shape.
        dtype: "float32", "int32", "uint32" or "bool".
        params: What else `op` needs.
        number: Its place in the order of making; arguments come before results.
    """

    op: str
    args: tuple["Value", ...]
    shape: Shape
    dtype: str
    params: dict[str, Any] = field(default_factory=dict)
    number: int = 0

    @property
    def size(self) -> int:
        """Numbers in it."""
        return int(np.prod(self.shape, dtype=np.int64))


VIEWS = frozenset({"broadcast", "transpose", "slice", "reshape", "reverse", "windows"})
"""Operations that only say where in their argument an element is found."""
DTYPES = frozenset({"float32", "int32", "uint32", "bool", "uint8", "int8"})
SMALL = frozenset({"uint8", "int8"})
"""Numbers that are only moved and converted."""


class Graph:
    """Makes values, each of them once."""

    def __init__(self) -> None:
        """An empty graph."""
        self._known: dict[Any, Value] = {}
        self._count = 0

    def make(
        self, op: str, args: Sequence[Value], shape: Sequence[int], dtype: Any, **params: Any
    ) -> Value:
        """The value of that description; an equal one made before is given again."""
        shape, dtype = tuple(int(size) for size in shape), str(dtype)
        if dtype not in DTYPES:
            raise UnsupportedError(f"numbers of type {dtype}")
        if 0 in shape:
            raise UnsupportedError("an empty array")
        key = (op, tuple(map(id, args)), shape, dtype, _frozen(params))
        found = self._known.get(key)
        if found is None:
            self._count += 1
            found = Value(op, tuple(args), shape, dtype, params, self._count)
            self._known[key] = found
        return found

    def input(self, name: str, shape: Sequence[int], dtype: Any) -> Value:
        """A value that is there already, at the place called `name`."""
        return self.make("input", (), shape, dtype, name=name)

    def const(self, array: Any) -> Value:
        """A constant; a scalar is written into the program."""
        array = np.asarray(array)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        elif array.dtype == np.int64:
            array = array.astype(np.int32)
        if array.ndim == 0 or array.size == 1:
            scalar = self.make("const", (), (), array.dtype, value=array.reshape(()).item())
            return scalar if array.ndim == 0 else self.broadcast(scalar, array.shape, ())
        return self.make(
            "table", (), array.shape, array.dtype, bytes=array.tobytes(), array=_Held(array)
        )

    def map(self, function: str, args: Sequence[Value], dtype: Any, **params: Any) -> Value:
        """An elementwise function of values of one shape."""
        shape = args[0].shape
        if function != "convert" and any(value.dtype in SMALL for value in args):
            raise UnsupportedError(f"'{function}' of {args[0].dtype}")
        return self.make("map", args, shape, dtype, function=function, **params)

    def broadcast(self, value: Value, shape: Sequence[int], dims: Sequence[int]) -> Value:
        """`value`, whose axes are `dims` of the result, repeated along the others."""
        shape, dims = tuple(shape), tuple(int(dim) for dim in dims)
        if shape == value.shape and dims == tuple(range(len(shape))):
            return value
        if len(dims) != len(value.shape):
            raise UnsupportedError(f"shapes {value.shape} and {shape} together")
        return self.make("broadcast", (value,), shape, value.dtype, dims=dims)

    def spread(self, value: Value, shape: Shape) -> Value:
        """A scalar, or a value with axes of length 1, in a shape that it is combined with."""
        return self.broadcast(value, shape, range(len(value.shape)) if value.shape else ())

    def transpose(self, value: Value, order: Sequence[int]) -> Value:
        """`value` with its axes in another order."""
        order = tuple(int(axis) for axis in order)
        if order == tuple(range(len(order))):
            return value
        if value.op == "dot" and not any(value.params["batch"]):
            rows = len(value.args[0].shape) - len(value.params["contracted"][0])
            if order == (*range(rows, len(order)), *range(rows)):
                # (A B)' is B' A', which is written as it will be read.
                left, right = value.args
                contracted = value.params["contracted"][::-1]
                shape = (*value.shape[rows:], *value.shape[:rows])
                return self.dot(right, left, shape, contracted, value.params["batch"])
        shape = [value.shape[axis] for axis in order]
        return self.make("transpose", (value,), shape, value.dtype, order=order)

    def dot(
        self,
        left: Value,
        right: Value,
        shape: Sequence[int],
        contracted: tuple[tuple[int, ...], ...],
        batch: tuple[tuple[int, ...], ...],
    ) -> Value:
        """A product; of windows in a row, [positions, taps], by the windows' own axes."""
        view = left.args[0] if left.op == "reshape" and len(left.shape) == 2 else left
        if view.op == "windows" and len(right.shape) == 2 and len(contracted[0]) == 1:
            first = 1 + len(view.params["window"])
            parts = view.shape[:first], view.shape[first:]
            if left.shape == tuple(int(np.prod(part)) for part in parts):
                (axis,) = contracted[0]
                begin = axis * first
                axes = tuple(range(begin, begin + len(parts[axis])))
                free = (*parts[1 - axis], shape[1])
                found = self.make(
                    "dot", (view, right), free, left.dtype, contracted=(axes, contracted[1]),
                    batch=batch,
                )  # fmt: skip
                return self.reshape(found, shape)
        return self.make(
            "dot", (left, right), shape, left.dtype, contracted=contracted, batch=batch
        )

    def reshape(self, value: Value, shape: Sequence[int]) -> Value:
        """`value` in another shape, in row-major order."""
        shape = tuple(int(size) for size in shape)
        if value.op == "reshape":
            value = value.args[0]
        return value if shape == value.shape else self.make("reshape", (value,), shape, value.dtype)

    def slice(self, value: Value, starts: Any, limits: Any, strides: Any = None) -> Value:
        """Part of `value`."""
        strides = tuple(int(s) for s in strides) if strides else (1,) * len(value.shape)
        starts = tuple(int(s) for s in starts)
        shape = [-(-(int(b) - a) // s) for a, b, s in zip(starts, limits, strides, strict=True)]
        if tuple(shape) == value.shape:
            return value
        return self.make("slice", (value,), shape, value.dtype, starts=starts, strides=strides)


class _Held:
    """An array that takes no part in comparing parameters: its bytes do."""

    def __init__(self, array: np.ndarray):
        self.array = array

    def __hash__(self) -> int:
        return 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Held)


def _frozen(value: Any) -> Any:
    """`value` as something that can be a key."""
    if isinstance(value, Mapping):
        return tuple(sorted((name, _frozen(each)) for name, each in value.items()))
    if isinstance(value, list | tuple):
        return tuple(map(_frozen, value))
    if isinstance(value, float):
        # 0.0 and -0.0 are equal and not the same constant; neither is NaN equal to itself.
        return ("float", np.float64(value).tobytes())
    return (type(value).__name__, value)


def reachable(outputs: Sequence[Value]) -> list[Value]:
    """All that `outputs` are made of, arguments before results."""
    found: dict[int, Value] = {}
    pending = list(outputs)
    while pending:
        value = pending.pop()
        if id(value) not in found:
            found[id(value)] = value
            pending += value.args
    return sorted(found.values(), key=lambda value: value.number)
