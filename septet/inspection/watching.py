"""Watching a network run: which layer calls which, with what, and what comes out.

Knows nothing of what is measured. Every layer, nested model, wrapper and operation of a
Keras network comes by `keras.Operation.__call__`, which is replaced while one is watched.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import keras

Path = tuple[int, ...]
"""Where a call stands: `(2, 0)` is the first call within the third within the network."""

Enter = Callable[[Path, Any, tuple[Any, ...]], tuple[Any, ...]]
Leave = Callable[[Path, Any, tuple[Any, ...], dict[str, Any], Any], Any]


@dataclass(frozen=True)
class Call:
    """One call of a layer.

    Args:
        path: Where it stands; `()` is the network itself.
        layer: What was called, a `keras.Layer` or another `keras.Operation`.
        arguments: What it was given by position.
        named: What it was given by name, with its mask and whether it trains.
        outputs: What it gave.
    """

    path: Path
    layer: Any
    arguments: tuple[Any, ...]
    named: dict[str, Any]
    outputs: Any


def record(network: Any, run: Callable[[], Any], *, depth: int | None = None) -> list[Call]:
    """The calls of the first pass of `run` through `network`, each caller before its callees.

    Calls within a loop of the device (the cell of a recurrent layer, a layer that is spread
    over time by a loop) have no values of their own and are left out, and so are those nested
    deeper than `depth`, and operations on whole numbers, as masks are made by.
    """
    calls: list[Call] = []

    def leave(path: Path, layer: Any, arguments: Any, named: Any, outputs: Any) -> Any:
        given = jax.tree.leaves((arguments, named, outputs))
        is_inside_loop = any(isinstance(value, jax.core.Tracer) for value in given)
        is_shown = isinstance(layer, keras.Layer) or _gives_floats(outputs)
        if is_shown and not is_inside_loop and (depth is None or len(path) <= depth):
            calls.append(Call(path, layer, arguments, named, outputs))
        return outputs

    with watched(network, leave=leave):
        run()
    return sorted(calls, key=lambda call: call.path)


def _gives_floats(outputs: Any) -> bool:
    return any(jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in jax.tree.leaves(outputs))


@contextlib.contextmanager
def watched(network: Any, *, leave: Leave, enter: Enter | None = None) -> Iterator[None]:
    """See, and where wanted change, each call of the first pass through `network` in this thread.

    Args:
        network: Calls outside it are not seen.
        leave: (path, layer, arguments, named arguments, outputs) -> outputs.
        enter: (path, layer, arguments) -> arguments.
    """
    operation: Any = keras.Operation
    original = operation.__call__
    own_thread = threading.get_ident()
    path: list[int] = []
    counts: list[int] = []
    is_over = False

    def call(self: Any, *arguments: Any, **named: Any) -> Any:
        nonlocal is_over
        is_root = not counts and self is network and not is_over
        if threading.get_ident() != own_thread or not (is_root or counts):
            return original(self, *arguments, **named)
        if not is_root:
            path.append(counts[-1])
            counts[-1] += 1
        counts.append(0)
        here = tuple(path)
        try:
            if enter is not None:
                arguments = enter(here, self, arguments)
            outputs = original(self, *arguments, **named)
            return leave(here, self, arguments, named, outputs)
        finally:
            counts.pop()
            if is_root:
                is_over = True
            else:
                path.pop()

    operation.__call__ = call
    try:
        yield
    finally:
        operation.__call__ = original
