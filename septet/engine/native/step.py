"""A training step compiled to C and looped there, in place of an XLA program.

For programs of small products on a CPU, where what XLA spends between them is most of the
time. Nothing here changes what a step means; its sums may be rounded in another order.
"""

import ctypes
import functools
import time
from collections.abc import Iterator
from importlib import resources
from typing import Any

import numpy as np

from septet.engine.native import building
from septet.engine.native.emit import step_texts
from septet.engine.native.graph import Graph, UnsupportedError, Value, reachable
from septet.engine.native.reading import read, shape_of
from septet.engine.native.threads import MOST_THREADS, Threads

MOST_PRODUCT, MOST_PRODUCTS = 100_000_000, 600_000_000
"""Most multiplications of one product and of a step's: C was measured faster up to there."""
MOST_VALUES = 20_000
"""Most values of a graph: beyond, the compiler would take longer than it saves."""
ALIGNMENT = 64
SLACK = 256

_LOOP = """
typedef struct {
  char **P, *A;
  i32 *index, *bad;
  i32 start, count, halts;
  long T;
  int home;
  atomic_int go;
  meeting met;
} chunk;
typedef struct { chunk *of; long t; } part;

static void *work(void *given) {
  chunk *of = ((part *)given)->of;
  long t = ((part *)given)->t;
  while (!atomic_load(&of->go)) sched_yield();
  long T = of->T;
  places before;
  hold(&before, t, T, of->home);
  i32 found = 0;
#ifdef __SSE__
  /* Numbers too small to be normal are zero, as in XLA: they would cost a hundred times more. */
  unsigned mode = __builtin_ia32_stmxcsr();
  __builtin_ia32_ldmxcsr(mode | 0x8040);
#endif
  for (i32 i = 0; i < of->count; i++) {
    if (t == 0) *of->index = of->start + i;
    meet(&of->met, T);
    step(of->P, of->A, t, T, &of->met);
    if (!found && !*(u8 *)of->P[FINITE]) {
      found = 1;
      if (t == 0) *of->bad = *(i32 *)of->P[STEP] - 1;
      if (of->halts) break;
    }
  }
#ifdef __SSE__
  __builtin_ia32_ldmxcsr(mode);
#endif
  let_go(&before, T);
  return 0;
}

/* Does the steps, with fewer threads where not so many could be started. */
void run(char **P, char *A, i32 *index, i32 start, i32 count, i32 *bad, i32 halts, i32 threads) {
  chunk of = {P, A, index, bad, start, count, halts};
  pthread_t others[MOST_THREADS];
  part parts[MOST_THREADS];
  *bad = -1;
  for (long t = 0; t < threads; t++) parts[t] = (part){&of, t};
  long started = 1;
  /* Some systems give threads less than the copies of a product's right side take. */
  pthread_attr_t roomy;
  pthread_attr_init(&roomy);
  pthread_attr_setstacksize(&roomy, 8 << 20);
  while (started < threads && !pthread_create(others + started, &roomy, work, parts + started))
    started++;
  pthread_attr_destroy(&roomy);
  of.T = started;
  of.home = processor();
  atomic_store(&of.go, 1);
  work(parts);
  for (long t = 1; t < started; t++) pthread_join(others[t], 0);
}
"""


class NativeStep:
    """A step of fixed shapes as machine code.

    Args:
        closed: Jaxpr of `(index, state, block, order, control) -> (state, logs, is_finite)`.
        arguments: Shapes of what it is called with; `state` has an attribute `step`, which
            counts the steps done.
        results: Shapes of what it gives.

    Raises:
        UnsupportedError: The step has what this compiler does not know.
        NoCompilerError: There is no compiler.
    """

    def __init__(self, closed: Any, arguments: Any, results: Any):
        """Write the program; see the class."""
        import jax

        if jax.tree.map(_kind, arguments[1]) != jax.tree.map(_kind, results[0]):
            raise UnsupportedError("a step that changes the shape or type of a variable")
        leaves = jax.tree.leaves(arguments)
        self._state_tree = jax.tree.structure(arguments[1])
        self._num_state = self._state_tree.num_leaves
        self._logs_tree = jax.tree.structure(results[1])
        self._logs = [(leaf.shape, np.dtype(leaf.dtype)) for leaf in jax.tree.leaves(results[1])]
        graph = Graph()
        inputs = [graph.input(f"{place}", *shape_of(leaf)) for place, leaf in enumerate(leaves)]
        outputs = read(closed.jaxpr, closed.consts, inputs, graph)
        for place, value in enumerate(outputs):
            stays = place < self._num_state and value is inputs[place + 1]
            if value.op == "input" and not stays:
                outputs[place] = graph.map("copy", [value], value.dtype)
        _check_size(outputs)
        in_place = {place: place + 1 for place in range(self._num_state)}
        finite = len(inputs) + len(outputs) - 1
        step = 1 + _place_of_step(arguments[1])
        self.texts, size = program_texts(inputs, outputs, in_place, finite, step)
        self.threads = Threads(building.cores())
        self._library: ctypes.CDLL | None = None
        self._layout = Layout(jax.tree.leaves(arguments[1]))
        self._num_pointers = len(inputs) + len(outputs)
        self._first_log = len(inputs) + self._num_state
        self._arena = aligned(size + SLACK, np.uint8)
        self.memory_bytes = size + sum(_num_bytes(leaf) for leaf in leaves)

    def compile(self) -> None:
        """Have the compiler make machine code.

        Raises:
            NoCompilerError: It refuses.
        """
        self._library = building.build(self.texts)

    def __call__(
        self, state: Any, block: Any, order: Any, control: Any, start: int, count: int, halts: bool
    ) -> tuple[Any, dict[str, Any], Any]:
        """`count` steps from step `start`: (state, logs of the last, first bad step or -1)."""
        import jax

        index = np.zeros(1, np.int32)
        own, addresses = self._layout.copies(jax.tree.leaves(state))
        given = [np.ascontiguousarray(leaf) for leaf in jax.tree.leaves((block, order, control))]
        logs = [np.zeros(shape, dtype) for shape, dtype in self._logs]
        finite = np.zeros(1, np.uint8)
        pointers = (ctypes.c_void_p * self._num_pointers)(
            address_of(index), *addresses, *map(address_of, given)
        )
        for place, array in enumerate([*logs, finite], self._first_log):
            pointers[place] = address_of(array)
        assert self._library is not None, "compile comes first"
        bad = ctypes.c_int32()
        threads = self.threads.choose()
        began = time.perf_counter()
        self._library.run(
            pointers,
            ctypes.c_void_p(self._arena.ctypes.data),
            ctypes.c_void_p(index.ctypes.data),
            ctypes.c_int32(int(start)),
            ctypes.c_int32(int(count)),
            ctypes.byref(bad),
            ctypes.c_int32(int(halts)),
            ctypes.c_int32(threads),
        )
        self.threads.see(threads, int(count), time.perf_counter() - began)
        after, found = _arrived()(own, logs)
        state = jax.tree.unflatten(self._state_tree, after)
        return state, jax.tree.unflatten(self._logs_tree, found), np.int32(bad.value)


def program_texts(
    inputs: list[Value], outputs: list[Value], in_place: dict[int, int], finite: int, step: int
) -> tuple[list[str], int]:
    """(texts of the whole program, whose `run` does steps; bytes of memory they need).

    Args:
        inputs: Given at P[0], P[1] ...
        outputs: Written to P[len(inputs)] ..., but for those that replace an input.
        in_place: Place of the input that an output replaces, by the output's place.
        finite: Place at P of what says whether a step's numbers were finite.
        step: Place at P of the number of steps done.

    Raises:
        NoCompilerError: There is no compiler.
    """
    _, vectors = building.compiler()
    texts, size = step_texts(inputs, outputs, in_place, vectors)
    loop = _LOOP.replace("FINITE", str(finite)).replace("STEP", str(step))
    loop = loop.replace("MOST_THREADS", str(MOST_THREADS))
    prelude = resources.files("septet.engine.native").joinpath("prelude.h").read_text()
    texts[0] = "\n".join([texts[0], loop])
    return [f"{prelude}\n{text}" for text in texts], size


@functools.cache
def _arrived() -> Any:
    """A function that gives arrays as the device's; six times as fast as `jax.device_put`."""
    import jax

    return jax.jit(lambda *arrays: arrays)


def _place_of_step(state: Any) -> int:
    import jax

    paths = jax.tree_util.tree_leaves_with_path(state)
    return next(
        place for place, (path, _) in enumerate(paths) if getattr(path[0], "name", "") == "step"
    )


def _check_size(outputs: list[Value]) -> None:
    """UnsupportedError where XLA is the better choice."""
    count = sum(1 for _ in _with_loops(outputs))
    if count > MOST_VALUES:
        raise UnsupportedError(f"{count} values")
    total = 0
    for value, times in _with_loops(outputs):
        if value.op == "dot":
            left = value.args[0]
            depth = int(np.prod([left.shape[axis] for axis in value.params["contracted"][0]]))
            total += value.size * depth * times
            if value.size * depth > MOST_PRODUCT or total > MOST_PRODUCTS:
                raise UnsupportedError(f"products of {value.size * depth} and more multiplications")


def _with_loops(outputs: list[Value], times: int = 1) -> Iterator[tuple[Value, int]]:
    """All values, those within loops as well, and how often each is computed."""
    for value in reachable(outputs):
        yield value, times
        if value.op == "loop":
            body = value.params["body"]
            yield from _with_loops(body.outputs, times * body.length)


def aligned(size: int, dtype: Any) -> np.ndarray:
    """Memory that begins where a vector may."""
    raw = np.empty(size + ALIGNMENT, np.uint8)
    offset = -raw.ctypes.data % ALIGNMENT
    return raw[offset : offset + size].view(dtype)


def address_of(array: np.ndarray) -> int:
    """Where its memory begins."""
    return array.__array_interface__["data"][0]


class Layout:
    """Where arrays of known shapes lie in one piece of memory.

    Each has room after it, since products load whole vectors at its end.
    """

    def __init__(self, leaves: list[Any]):
        """The shapes of `leaves` in their order."""
        self._places: list[tuple[int, Any, Any]] = []
        offset = 0
        for leaf in leaves:
            self._places.append((offset, leaf.shape, np.dtype(leaf.dtype)))
            offset += -(-(_num_bytes(leaf) + SLACK) // ALIGNMENT) * ALIGNMENT
        self._size = offset

    def copies(self, values: list[Any]) -> tuple[list[np.ndarray], list[int]]:
        """Copies of `values` in new memory, and their addresses."""
        arrays = self.arrays()
        for array, value in zip(arrays, values, strict=True):
            array[...] = value
        return arrays, [address_of(array) for array in arrays]

    def arrays(self) -> list[np.ndarray]:
        """Arrays in new memory, which is not set to anything."""
        memory = aligned(self._size, np.uint8)
        return [
            np.ndarray(shape, dtype, memory.data, offset) for offset, shape, dtype in self._places
        ]


def _kind(leaf: Any) -> tuple[tuple[int, ...], str]:
    return tuple(leaf.shape), str(leaf.dtype)


def _num_bytes(leaf: Any) -> int:
    return int(np.prod(leaf.shape, dtype=np.int64)) * np.dtype(leaf.dtype).itemsize
