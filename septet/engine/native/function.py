"""A function of arrays as C, called again and again with arrays that stay where they are."""

import ctypes
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from septet.engine.native import building
from septet.engine.native.graph import Graph, UnsupportedError, reachable
from septet.engine.native.reading import read, shape_of
from septet.engine.native.step import (
    MOST_VALUES,
    SLACK,
    Layout,
    address_of,
    aligned,
    program_texts,
)
from septet.engine.native.threads import Threads


class NativeFunction:
    """A function of fixed shapes as machine code.

    Its arguments and results are `given` and `results`, arrays of its own: write into the
    first, call it, read the second.

    Args:
        function: In JAX; takes arrays, gives a list of arrays.
        shapes: Of its arguments, with `shape` and `dtype`.

    Raises:
        UnsupportedError: It has what this compiler does not know.
        NoCompilerError: There is no compiler, or it refuses.
    """

    def __init__(self, function: Callable[..., list[Any]], shapes: Sequence[Any]):
        """Trace, write and compile it."""
        import jax

        closed = jax.make_jaxpr(function)(*shapes)
        graph = Graph()
        inputs = [graph.input(f"{place}", *shape_of(each)) for place, each in enumerate(shapes)]
        outputs = read(closed.jaxpr, closed.consts, inputs, graph)
        outputs = [
            graph.map("copy", [value], value.dtype) if value.op == "input" else value
            for value in outputs
        ]
        count = len(reachable(outputs))
        if count > MOST_VALUES:
            raise UnsupportedError(f"{count} values")
        # What says that numbers are finite comes last, and always says so.
        finite = len(inputs) + len(outputs)
        texts, size = program_texts(inputs, outputs, {}, finite, finite)
        self.given = Layout(list(shapes)).arrays()
        self.results = Layout(list(closed.out_avals)).arrays()
        self._always = np.ones(8, np.uint8)
        self._index = np.zeros(1, np.int32)
        self._arena = aligned(size + SLACK, np.uint8)
        every = [*self.given, *self.results, self._always]
        self._pointers = (ctypes.c_void_p * len(every))(*map(address_of, every))
        self._threads = Threads(building.cores())
        self._library = building.build(texts)

    def __call__(self) -> None:
        """Compute `results` from `given`."""
        threads = self._threads.choose()
        began = time.perf_counter()
        self._library.run(
            self._pointers,
            ctypes.c_void_p(self._arena.ctypes.data),
            ctypes.c_void_p(self._index.ctypes.data),
            ctypes.c_int32(0),
            ctypes.c_int32(1),
            ctypes.byref(ctypes.c_int32()),
            ctypes.c_int32(0),
            ctypes.c_int32(threads),
        )
        self._threads.see(threads, 1, time.perf_counter() - began)
