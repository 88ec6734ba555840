"""Any JAX function by the native compiler, for tests."""

import ctypes
from importlib import resources
from typing import Any

import jax
import numpy as np
import pytest

from septet.engine.native import building
from septet.engine.native.emit import step_texts
from septet.engine.native.graph import Graph
from septet.engine.native.reading import read, shape_of

MARK = 123


def has_compiler() -> bool:
    try:
        building.compiler()
    except building.NoCompilerError:
        return False
    return True


needs_compiler = pytest.mark.skipif(not has_compiler(), reason="no C compiler here")


def native(function: Any, *arguments: Any) -> list[np.ndarray]:
    """The results of `function`, by C; fails where anything after a result is written."""
    arrays = [np.asarray(argument) for argument in arguments]
    closed = jax.make_jaxpr(function)(*arrays)
    graph = Graph()
    inputs = [
        graph.input(f"{place}", *shape_of(variable.aval))
        for place, variable in enumerate(closed.jaxpr.invars)
    ]
    outputs = [
        value if value.op != "input" else graph.map("copy", [value], value.dtype)
        for value in read(closed.jaxpr, closed.consts, inputs, graph)
    ]
    _, vectors = building.compiler()
    texts, size = step_texts(inputs, outputs, {}, vectors)
    prelude = resources.files("septet.engine.native").joinpath("prelude.h").read_text()
    texts[0] += GO
    library = building.build([prelude + text for text in texts])
    alone, together = (_run(library, arrays, outputs, size, threads) for threads in (1, THREADS))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)
    return alone


THREADS = 3
GO = """
typedef struct { char **P, *A; long t, T; meeting *met; } part;
static void *work(void *given) {
  part *of = given;
  step(of->P, of->A, of->t, of->T, of->met);
  return 0;
}
void go(char **P, char *A, i32 threads) {
  meeting met = {0};
  pthread_t others[8];
  part parts[8];
  for (long t = 0; t < threads; t++) parts[t] = (part){P, A, t, threads, &met};
  for (long t = 1; t < threads; t++) pthread_create(others + t, 0, work, parts + t);
  work(parts);
  for (long t = 1; t < threads; t++) pthread_join(others[t], 0);
}
"""


def _run(library: Any, arrays: Any, outputs: Any, size: int, threads: int) -> list[np.ndarray]:
    """The outputs of a compiled program, by so many threads."""
    # Products load whole vectors at an array's end.
    given = [np.frombuffer(bytearray(each.tobytes() + bytes(256)), np.uint8) for each in arrays]
    kinds = [np.dtype(value.dtype) for value in outputs]
    results = [
        np.full(value.size * kind.itemsize + 64, MARK, np.uint8)
        for value, kind in zip(outputs, kinds, strict=True)
    ]
    arena = np.zeros(size + 256, np.uint8)
    memory = [*given, *results]
    pointers = (ctypes.c_void_p * len(memory))(*(each.ctypes.data for each in memory))
    library.go(pointers, ctypes.c_void_p(arena.ctypes.data), ctypes.c_int32(threads))
    assert all((result[-64:] == MARK).all() for result in results)
    return [
        result[:-64].view(kind).reshape(value.shape)
        for result, kind, value in zip(results, kinds, outputs, strict=True)
    ]


def same_as_xla(function: Any, *arguments: Any, tolerance: float = 2e-6) -> None:
    """Fail unless C and XLA give the same, relative to the largest number of each result."""
    wanted = jax.tree.leaves(jax.jit(function)(*arguments))
    found = native(function, *arguments)
    assert len(found) == len(wanted)
    for ours, theirs in zip(found, map(np.asarray, wanted), strict=True):
        assert ours.shape == theirs.shape
        assert ours.dtype == theirs.dtype
        if theirs.dtype.kind == "f":
            largest = float(np.abs(theirs[np.isfinite(theirs)]).max(initial=1e-30))
            np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance * largest)
        else:
            np.testing.assert_array_equal(ours, theirs)
