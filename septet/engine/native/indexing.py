"""Where an element lies: sums of loop variables times numbers, followed through views."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from septet.engine.native.graph import Shape, Value


@dataclass(frozen=True)
class Index:
    """A whole number that depends on the variables of loops.

    Args:
        terms: (number of the loop, factor) of each loop that it depends on, in order.
        const: What is added.
        opaque: (expression of C, factor) of what is no such sum.
        within: Loops that the opaque expressions depend on.
    """

    terms: tuple[tuple[int, int], ...] = ()
    const: int = 0
    opaque: tuple[tuple[str, int], ...] = ()
    within: frozenset[int] = frozenset()

    def plus(self, other: "Index") -> "Index":
        """The sum."""
        terms = _sum(self.terms, other.terms)
        opaque = _sum(self.opaque, other.opaque)
        return Index(terms, self.const + other.const, opaque, self.within | other.within)

    def times(self, factor: int) -> "Index":
        """The product with a number."""
        terms = tuple((loop, each * factor) for loop, each in self.terms)
        opaque = tuple((text, each * factor) for text, each in self.opaque)
        return Index(terms, self.const * factor, opaque, self.within)

    def factor(self, loop: int) -> int:
        """That of a loop's variable."""
        return dict(self.terms).get(loop, 0)

    @property
    def loops(self) -> frozenset[int]:
        """Loops that it depends on."""
        return frozenset(loop for loop, _ in self.terms) | self.within

    def text(self, names: Sequence[str] | None = None) -> str:
        """As an expression of C; loops are called by `names`, or i0, i1 ..."""
        parts = []
        for loop, factor in self.terms:
            name = names[loop] if names else f"i{loop}"
            parts.append(name if factor == 1 else f"{name} * {factor}")
        for text, factor in self.opaque:
            parts.append(text if factor == 1 else f"({text}) * {factor}")
        if self.const or not parts:
            parts.append(str(self.const))
        return " + ".join(parts)


def _sum(first: tuple, second: tuple) -> tuple:
    total = dict(first)
    for key, factor in second:
        total[key] = total.get(key, 0) + factor
    return tuple(sorted((key, factor) for key, factor in total.items() if factor))


def loops_over(shape: Shape) -> tuple[Index, ...]:
    """The element of an array of this shape where each axis is a loop of its own."""
    return tuple(
        Index(((axis, 1),)) if size > 1 else Index() for axis, size in enumerate(shape)
    )  # fmt: skip


def contiguous(shape: Shape) -> tuple[int, ...]:
    """Distance between neighbours along each axis, in row-major order."""
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def address(index: Sequence[Index], strides: Sequence[int]) -> Index:
    """Distance of an element from the first one."""
    total = Index()
    for each, stride in zip(index, strides, strict=True):
        total = total.plus(each.times(stride))
    return total


def through(view: Value, index: Sequence[Index]) -> tuple[Index, ...]:
    """Where the element `index` of a view lies in what it is a view of."""
    (base,), params = view.args, view.params
    if view.op == "broadcast":
        return tuple(
            index[dim] if size > 1 else Index()
            for dim, size in zip(params["dims"], base.shape, strict=True)
        )
    if view.op == "transpose":
        found = dict(zip(params["order"], index, strict=True))
        return tuple(found[axis] for axis in range(len(base.shape)))
    if view.op == "slice":
        return tuple(
            each.times(stride).plus(Index(const=start))
            for each, stride, start in zip(index, params["strides"], params["starts"], strict=True)
        )
    if view.op == "windows":
        return _seen(view, index)
    if view.op == "reverse":
        return tuple(
            Index(const=size - 1).plus(each.times(-1)) if axis in params["axes"] else each
            for axis, (each, size) in enumerate(zip(index, base.shape, strict=True))
        )
    return _reshaped(index, view.shape, base.shape)


def _seen(view: Value, index: Sequence[Index]) -> tuple[Index, ...]:
    """The element of what windows look at: position and tap together."""
    params, spatial = view.params, len(view.params["window"])
    places = [
        position.times(step).plus(tap.times(rate)).plus(Index(const=start))
        for position, tap, start, step, rate in zip(
            index[1 : 1 + spatial], index[1 + spatial : -1], params["starts"], params["steps"],
            params["rates"], strict=True,
        )
    ]  # fmt: skip
    return (index[0], *places, index[-1])


def _of_windows(view: Value, strides: Sequence[int]) -> tuple[int, tuple[int, ...]]:
    """(offset, strides) of windows on an array of these strides."""
    params, inner = view.params, strides[1:-1]
    offset = sum(start * each for start, each in zip(params["starts"], inner, strict=True))
    positions = [step * each for step, each in zip(params["steps"], inner, strict=True)]
    taps = [rate * each for rate, each in zip(params["rates"], inner, strict=True)]
    return offset, (strides[0], *positions, *taps, strides[-1])


def _reshaped(index: Sequence[Index], before: Shape, after: Shape) -> tuple[Index, ...]:
    """The same element in another shape: axes are joined, and taken apart by division."""
    result: list[Index] = []
    left, right = 0, 0
    while right < len(after) or left < len(before):
        # The smallest groups of axes of either side that hold equally many elements.
        start_left, start_right = left, right
        size_left, size_right = 1, 1
        if left < len(before):
            size_left, left = before[left], left + 1
        if right < len(after):
            size_right, right = after[right], right + 1
        while size_left != size_right:
            if size_left < size_right:
                size_left, left = size_left * before[left], left + 1
            else:
                size_right, right = size_right * after[right], right + 1
        group = before[start_left:left]
        joined = address(index[start_left:left], contiguous(group))
        result += _divided(joined, after[start_right:right])
    return tuple(result)


def _divided(joined: Index, shape: Shape) -> list[Index]:
    """The element `joined` of a row as one of an array of this shape."""
    found = []
    is_first = True
    for size, stride in zip(shape, contiguous(shape), strict=True):
        if size == 1:
            found.append(Index())
            continue
        if is_first and stride == 1:
            return [*found, joined, *[Index()] * (len(shape) - len(found) - 1)]
        found.append(_quotient(joined, stride, None if is_first else size))
        is_first = False
    return found


def _quotient(joined: Index, stride: int, size: int | None) -> Index:
    """`joined / stride % size`, by whole factors where they divide."""
    if not joined.terms and not joined.opaque:
        value = joined.const // stride
        return Index(const=value % size if size else value)
    text = f"(({joined.text()}) / {stride}" + (f" % {size})" if size else ")")
    return Index(opaque=((text, 1),), within=joined.loops)


STRIDED = frozenset({"broadcast", "transpose", "slice", "reshape", "windows"})
"""Views that lead along strides."""


@dataclass(frozen=True)
class Layout:
    """An array within the memory of another.

    Args:
        base: The other, which lies in row-major order.
        offset: Of the first element.
        strides: Distance between neighbours along each axis.
    """

    base: Value
    offset: int
    strides: tuple[int, ...]


def layout(value: Value, stops: set[int]) -> Layout | None:
    """Where a view's elements lie; None where that is no sum of strides.

    Args:
        value: A view of a view of ..., or what has memory of its own.
        stops: Identities of values that have memory of their own.
    """
    views = []
    while value.op in STRIDED and id(value) not in stops:
        views.append(value)
        value = value.args[0]
    offset, strides = 0, contiguous(value.shape)
    for view in reversed(views):
        shape = view.args[0].shape
        if view.op == "broadcast":
            given = dict(zip(view.params["dims"], range(len(shape)), strict=True))
            strides = tuple(
                strides[given[axis]] if axis in given and shape[given[axis]] > 1 else 0
                for axis in range(len(view.shape))
            )
        elif view.op == "transpose":
            strides = tuple(strides[axis] for axis in view.params["order"])
        elif view.op == "windows":
            ahead, strides = _of_windows(view, strides)
            offset += ahead
        elif view.op == "slice":
            starts, steps = view.params["starts"], view.params["strides"]
            offset += sum(start * stride for start, stride in zip(starts, strides, strict=True))
            strides = tuple(step * stride for step, stride in zip(steps, strides, strict=True))
        else:
            found = _restrided(shape, strides, view.shape)
            if found is None:
                return None
            strides = found
    return Layout(value, offset, strides)


def _restrided(shape: Shape, strides: Sequence[int], after: Shape) -> tuple[int, ...] | None:
    """Strides of the same memory in another shape, as NumPy finds them."""
    seen = np.lib.stride_tricks.as_strided(np.zeros(1, np.int8), shape, strides, writeable=False)
    try:
        return np.reshape(seen, after, copy=False).strides
    except ValueError:
        return None


def merged(axes: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """(size, stride) of as few axes as make the same elements in the same order."""
    found: list[tuple[int, int]] = []
    for size, stride in axes:
        if size == 1:
            continue
        if found and found[-1][1] == size * stride:
            found[-1] = (found[-1][0] * size, stride)
        else:
            found.append((size, stride))
    return found


def collapsed(sizes: Sequence[int], strides: Sequence[int]) -> int | None:
    """The one stride of several axes taken together; None where there is none."""
    pairs = [(size, stride) for size, stride in zip(sizes, strides, strict=True) if size > 1]
    if not pairs:
        return 1
    for (_, outer), (size, inner) in itertools.pairwise(pairs):
        if outer != size * inner:
            return None
    return pairs[-1][1]
