"""Patches of a convolution as a view of its input: they are read where they lie, never copied.

A lowered convolution joins slices, one for each tap of its window, and multiplies them by a
matrix. Here that is one view, [n, *positions, *window, channels], whose strides overlap.
"""

import itertools
from collections.abc import Sequence

from septet.engine.native.graph import Graph, Value


def joined_taps(graph: Graph, parts: Sequence[Value], axis: int) -> Value | None:
    """Slices joined along their last axis as windows on what they are slices of, if they are."""
    first = parts[0]
    if len(parts) < 2 or first.op != "slice" or axis != len(first.shape) - 1 or axis < 2:
        return None
    (base,), steps = first.args, first.params["strides"]
    is_alike = all(
        part.op == "slice"
        and part.args[0] is base
        and part.shape == first.shape
        and part.params["strides"] == steps
        for part in parts
    )
    whole = (0, axis)
    if not is_alike or any(first.shape[at] != base.shape[at] or steps[at] != 1 for at in whole):
        return None
    starts = [part.params["starts"] for part in parts]
    lines = [sorted({start[at] for start in starts}) for at in range(axis + 1)]
    rates = [line[1] - line[0] if len(line) > 1 else 1 for line in lines]
    is_even = all(
        line == list(range(line[0], line[0] + rate * len(line), rate))
        for line, rate in zip(lines, rates, strict=True)
    )
    if not is_even or list(itertools.product(*lines)) != starts:
        return None
    window = tuple(len(line) for line in lines[1:-1])
    view = graph.make(
        "windows",
        (base,),
        (*first.shape[:-1], *window, base.shape[-1]),
        base.dtype,
        window=window,
        starts=tuple(line[0] for line in lines[1:-1]),
        steps=steps[1:-1],
        rates=tuple(rates[1:-1]),
    )
    return graph.reshape(view, (*first.shape[:-1], base.shape[-1] * len(parts)))
