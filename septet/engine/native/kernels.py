"""C functions for loops over elements and for reductions, each with pointers as arguments."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from septet.engine.native import functions
from septet.engine.native.functions import C_TYPES, REGISTER_TYPES
from septet.engine.native.graph import VIEWS, UnsupportedError, Value
from septet.engine.native.indexing import (
    Index,
    address,
    contiguous,
    loops_over,
    through,
)

THREAD = "long t, long T"
LEAST_SHARED = 2000
"""Least work, in simple statements, that is worth the threads' meeting after it."""
COSTLY = 8
"""Simple statements that a function such as the exponential is worth."""
EVEN = 16
"""Numbers that a thread's part of a long loop is a multiple of."""


@dataclass
class Kernel:
    """A C function.

    Args:
        body: Its text after the name: arguments and body.
        arguments: The memory that it is given, in order, as expressions of C.
        is_shared: Whether several threads do parts of it at once; each is told as `t` of `T`.
    """

    body: str
    arguments: list[str]
    is_shared: bool = False


@dataclass(frozen=True)
class Memory:
    """What has memory of its own, and where.

    Args:
        stored: Identities of such values.
        place: The memory of one of them, or of what is a reshape of one, as an expression of C.
    """

    stored: set[int]
    place: Callable[[Value], str]


@dataclass
class Writer:
    """Expressions of one kernel: statements, and what they read and write.

    Args:
        memory: What can be read.
        pointers: (type, place) of each argument.
    """

    memory: Memory
    pointers: list[tuple[str, str]] = field(default_factory=list)
    statements: list[str] = field(default_factory=list)
    accesses: list[Index] = field(default_factory=list)
    fixed: set[int] = field(default_factory=set)
    known: dict[tuple[int, tuple[Index, ...]], str] = field(default_factory=dict)
    count: int = 0

    def pointer(self, value: Value) -> str:
        """The argument that is the memory of `value`: one for all that lies there.

        So that no two arguments overlap where one is written, which the compiler is promised.
        """
        pointer = (C_TYPES[value.dtype], self.memory.place(value))
        if pointer not in self.pointers:
            self.pointers.append(pointer)
        return f"p{self.pointers.index(pointer)}"

    def element(self, value: Value, where: Index) -> str:
        """The element of a stored value at a distance from its first."""
        return f"{self.pointer(value)}[{self.number(where)}]"

    def number(self, index: Index) -> str:
        """A whole number that depends on the loops, under a sign: they are joined only later."""
        self.accesses.append(index)
        self.fixed |= index.within
        return f"\0{len(self.accesses) - 1}\0"

    def name(self, text: str, dtype: str) -> str:
        """A new variable of that value."""
        self.count += 1
        self.statements.append(f"{REGISTER_TYPES[dtype]} t{self.count} = {text};")
        return f"t{self.count}"

    def load(self, value: Value, index: tuple[Index, ...]) -> str:
        """The element `index` of `value` as an expression."""
        if value.op == "const":
            return functions.literal(value.params["value"], value.dtype)
        key = (id(value), index)
        if key not in self.known:
            self.known[key] = self._loaded(value, index)
        return self.known[key]

    def _loaded(self, value: Value, index: tuple[Index, ...]) -> str:
        if id(value) in self.memory.stored:
            where = address(index, contiguous(value.shape))
            return self.name(self.element(value, where), value.dtype)
        return self.computed(value, index)

    def computed(self, value: Value, index: tuple[Index, ...]) -> str:
        """The element `index`, computed from the arguments of `value`."""
        if value.op == "const":
            return functions.literal(value.params["value"], value.dtype)
        if value.op in VIEWS:
            return self.load(value.args[0], through(value, index))
        if value.op == "map":
            args = [self.load(arg, index) for arg in value.args]
            return self.name(functions.expression(value, args), value.dtype)
        if value.op == "iota":
            each = index[value.params["axis"]]
            return self.name(f"({C_TYPES[value.dtype]})({self.number(each)})", value.dtype)
        if value.op == "dynamic_slice":
            operand, *starts = value.args
            shifted = []
            for start, each, size, width in zip(
                starts, index, operand.shape, value.shape, strict=True
            ):
                first = self.load(start, ())
                bounded = f"max_i32(min_i32({first}, {size - width}), 0)"
                if width < size:
                    each = each.plus(Index(opaque=((self.name(bounded, "int32"), 1),)))
                shifted.append(each)
            return self.load(operand, tuple(shifted))
        if value.op == "pad":
            return self._framed(value, index)
        raise UnsupportedError(f"'{value.op}' within an expression")

    def _framed(self, pad: Value, index: tuple[Index, ...]) -> str:
        """An element of a value with another around it: read within bounds, then chosen."""
        operand, filling = pad.args
        tests, places = [], []
        for each, low, size, wide in zip(
            index, pad.params["low"], operand.shape, pad.shape, strict=True
        ):
            if size == wide:
                places.append(each)
                continue
            inner = each.plus(Index(const=-low))
            # Loops by which something is tested are not joined with others.
            self.fixed |= inner.loops
            text = inner.text()
            tests.append(f"(({text}) >= 0) & (({text}) < {size})")
            bounded = f"max_i32(min_i32({text}, {size - 1}), 0)"
            places.append(Index(opaque=((bounded, 1),), within=inner.loops))
        test = self.name(" & ".join(tests), "int32")
        kind = REGISTER_TYPES[pad.dtype]
        found = self.load(operand, tuple(places))
        return self.name(f"pick_{kind}({test}, {found}, {self.load(filling, ())})", pad.dtype)


def points(values: Sequence[Value], memory: Memory) -> Kernel:
    """One loop over the elements of some values, which it computes and writes."""
    writer = Writer(memory)
    shape = values[0].shape
    index = loops_over(shape)
    strides = contiguous(shape)
    for value in values:
        result = writer.computed(value, index)
        writer.known[id(value), index] = result
        target = writer.element(value, address(index, strides))
        writer.statements.append(f"{target} = {result};")
    loops = _joined(shape, writer)
    shared = _shared(loops, writer)
    return _function(writer, _nest(loops, _lines(writer, loops), shared), shared)


@dataclass(frozen=True)
class _Loop:
    """A loop over some axes together: the innermost of them, and how often it runs."""

    axis: int
    size: int
    is_reduced: bool = False


def _joined(shape: Sequence[int], writer: Writer, reduced: frozenset[int] = frozenset()) -> list:
    """The loops over an array; neighbours that every access walks along evenly are one."""
    loops: list[_Loop] = []
    for axis, size in enumerate(shape):
        if size == 1:
            continue
        loop = _Loop(axis, size, axis in reduced)
        if loops:
            outer = loops[-1]
            joins = (
                outer.is_reduced == loop.is_reduced
                and not {outer.axis, axis} & writer.fixed
                and all(
                    each.factor(outer.axis) == each.factor(axis) * size for each in writer.accesses
                )
            )
            if joins:
                loops[-1] = _Loop(axis, outer.size * size, loop.is_reduced)
                continue
        loops.append(loop)
    return loops


def _lines(writer: Writer, loops: Sequence[_Loop]) -> list[str]:
    """The statements, with the places that they read and write filled in."""
    kept = {loop.axis for loop in loops}
    texts = []
    for each in writer.accesses:
        terms = tuple(term for term in each.terms if term[0] in kept)
        texts.append(Index(terms, each.const, each.opaque, each.within).text())
    lines = []
    for statement in writer.statements:
        pieces = statement.split("\0")
        lines.append(
            "".join(texts[int(piece)] if place % 2 else piece for place, piece in enumerate(pieces))
        )
    return lines


def _nest(loops: Sequence[_Loop], lines: Sequence[str], shared: _Loop | None = None) -> list[str]:
    """`lines` within loops; the innermost has no dependency from one round to the next."""
    opened = []
    for place, loop in enumerate(loops):
        if place == len(loops) - 1:
            opened.append("#pragma GCC ivdep")
        opened.append(_opened(loop, loop is shared))
    return [*opened, *lines, "}" * len(loops)]


def _opened(loop: _Loop, is_shared: bool) -> str:
    i, size = f"i{loop.axis}", loop.size
    if not is_shared:
        return f"for (long {i} = 0; {i} < {size}; {i}++) {{"
    first, last = _bounds(loop)
    # A bound that is computed anew each round would keep the compiler from making vectors.
    return f"for (long {i} = {first}, end{i} = {last}; {i} < end{i}; {i}++) {{"


def _bounds(loop: _Loop) -> tuple[str, str]:
    """Where a thread's part of a loop begins and ends; parts of long ones are whole vectors."""
    kind = "EVEN" if loop.size >= 8 * EVEN else ""
    return f"{kind}FROM({loop.size})", f"{kind}TO({loop.size})"


def _shared(loops: Sequence[_Loop], writer: Writer) -> _Loop | None:
    """The loop whose rounds are worth sharing among threads: the outermost that is long enough."""
    cost = sum(COSTLY if "_f32(" in line else 1 for line in writer.statements)
    if math.prod(loop.size for loop in loops) * cost < LEAST_SHARED:
        return None
    fitting = [loop for loop in loops if not loop.is_reduced]
    return next((loop for loop in fitting if loop.size >= 8 or loop.size in (2, 4, 6)), None)


def _function(writer: Writer, lines: Sequence[str], shared: _Loop | None = None) -> Kernel:
    arguments = ", ".join(
        f"{kind} *restrict p{place}" for place, (kind, _) in enumerate(writer.pointers)
    )
    body = f"({arguments}, {THREAD}) {{\n" + "\n".join(lines) + "\n}\n"
    return Kernel(body, [f"({kind} *){place}" for kind, place in writer.pointers], bool(shared))


_FIRST = {
    "sum": {"float32": "0.0f", "int32": "0", "uint32": "0u"},
    "prod": {"float32": "1.0f", "int32": "1", "uint32": "1u"},
    "max": {"float32": "(-INFINITY)", "int32": "(-2147483647 - 1)", "uint32": "0u"},
    "min": {"float32": "INFINITY", "int32": "2147483647", "uint32": "4294967295u"},
    "and": {"bool": "1", "int32": "-1", "uint32": "4294967295u"},
    "or": {"bool": "0", "int32": "0", "uint32": "0u"},
}
_JOIN = {"sum": "{0} + {1}", "prod": "{0} * {1}", "and": "{0} & {1}", "or": "{0} | {1}"}
_CLAUSE = {"sum": "+", "prod": "*", "max": "max", "min": "min", "and": "&", "or": "|"}


def reduction(value: Value, memory: Memory) -> Kernel:
    """Sum, maximum ... of an argument over some axes, the argument computed on the way."""
    (operand,), kind, dtype = value.args, value.params["kind"], value.dtype
    if dtype not in _FIRST[kind]:
        raise UnsupportedError(f"the {kind} of {dtype}")
    axes = frozenset(value.params["axes"])
    writer = Writer(memory)
    index = loops_over(operand.shape)
    kept = [each for axis, each in enumerate(index) if axis not in axes]
    target = writer.element(value, address(kept, contiguous(value.shape)))
    given = writer.load(operand, index)
    loops = _joined(operand.shape, writer, axes)
    join = _join(kind, dtype)
    if not loops:
        lines = _lines(writer, loops)
        return _function(writer, [*lines, f"p0[0] = {given};"])
    # Only the outermost loop that is kept: its rounds are neighbouring parts of the result.
    outermost = next((loop for loop in loops if not loop.is_reduced), None)
    shared = _shared(loops, writer)
    shared = shared if shared is outermost else None
    if loops[-1].is_reduced:
        inner = _accumulated(writer, loops, kind, dtype, target, given, shared)
    else:
        writer.statements.append(f"{target} = {join.format(target, given)};")
        inner = _nest(loops, _lines(writer, loops), shared)
    start, end = _bounds(shared) if shared else ("0", "1")
    width = value.size // shared.size if shared else value.size
    first = [
        f"for (long i = {start} * {width}, end = {end} * {width}; i < end; i++) "
        f"{writer.pointer(value)}[i] = "
        f"{_FIRST[kind][dtype]};"
    ]
    return _function(writer, [*first, *inner], shared)


def _join(kind: str, dtype: str) -> str:
    if kind in _JOIN:
        return _JOIN[kind]
    return f"{kind}_{C_TYPES[dtype]}({{0}}, {{1}})"


def _accumulated(
    writer: Writer,
    loops: Sequence[_Loop],
    kind: str,
    dtype: str,
    target: str,
    given: str,
    shared: _Loop | None,
) -> list[str]:
    """Loops of which the innermost collects into a variable."""
    last, kinds = loops[-1], REGISTER_TYPES[dtype]
    lines = _lines(writer, loops)
    (place,) = _lines_of(writer, loops, target)
    i = f"i{last.axis}"
    # A comparison that the compiler turns into vectors; NaN shows up again where it matters.
    sign = {"max": ">", "min": "<"}.get(kind)
    step = f"sum = {given} {sign} sum ? {given} : sum;" if sign else None
    step = step or f"sum = {_JOIN[kind].format('sum', given)};"
    inner = [
        f"{kinds} sum = {_FIRST[kind][dtype]};",
        f"#pragma omp simd reduction({_CLAUSE[kind]}:sum)",
        f"for (long {i} = 0; {i} < {last.size}; {i}++) {{",
        *lines,
        step,
        "}",
        f"{place} = {_join(kind, dtype).format(place, 'sum')};",
    ]
    opened = [_opened(loop, loop is shared) for loop in loops[:-1]]
    return [*opened, *inner, "}" * (len(loops) - 1)]


def _lines_of(writer: Writer, loops: Sequence[_Loop], text: str) -> list[str]:
    alone = Writer(writer.memory, accesses=writer.accesses, statements=[text])
    return _lines(alone, loops)


def argument(value: Value, memory: Memory) -> Kernel:
    """Place of the largest or smallest element along the last axis, the first of equal ones."""
    (operand,) = value.args
    writer = Writer(memory)
    index = loops_over(operand.shape)
    width = operand.shape[-1]
    target = writer.pointer(value)
    last = Index(((len(operand.shape) - 1, 1),)) if width > 1 else Index()
    given = writer.load(operand, (*index[:-1], last))
    row = address(index[:-1], contiguous(operand.shape[:-1])).text()
    outer = [
        f"for (long i{axis} = 0; i{axis} < {size}; i{axis}++) {{"
        for axis, size in enumerate(operand.shape[:-1])
        if size > 1
    ]
    loops = [_Loop(axis, size) for axis, size in enumerate(operand.shape) if size > 1]
    sign = ">" if value.params["kind"] == "max" else "<"
    i = f"i{len(operand.shape) - 1}"
    kind = REGISTER_TYPES[operand.dtype]
    lines = [
        *outer,
        f"{kind} best = 0; long place = -1;",
        f"for (long {i} = 0; {i} < {width}; {i}++) {{",
        *_lines(writer, loops),
        # NaN is more than anything, as in XLA.
        f"if (place < 0 || {given} {sign} best || ({given} != {given} && best == best)) "
        f"{{ best = {given}; place = {i}; }}",
        "}",
        f"{target}[{row}] = place;",
        "}" * len(outer),
    ]
    return _function(writer, lines)


def random_bits(values: Sequence[Value], memory: Memory) -> Kernel:
    """Both halves of Threefry-2x32, or one of them."""
    writer = Writer(memory)
    shape = values[0].shape
    index = loops_over(shape)
    given = [writer.load(arg, index) for arg in values[0].args]
    writer.statements.append("u32 y0, y1;")
    writer.statements.append(f"THREEFRY({', '.join(given)}, y0, y1)")
    for value in values:
        target = writer.element(value, address(index, contiguous(shape)))
        writer.statements.append(f"{target} = y{value.params['half']};")
    loops = _joined(shape, writer)
    shared = _shared(loops, writer)
    return _function(writer, _nest(loops, _lines(writer, loops), shared), shared)


def concatenation(value: Value, memory: Memory) -> Kernel:
    """Values one after the other along an axis, each by a loop of its own."""
    writer, lines = Writer(memory), []
    axis, begin = value.params["axis"], 0
    writer.pointer(value)
    parts: list[_Loop | None] = []
    for part in value.args:
        copied, shared = _copied(writer, part, value, {axis: begin}, {}, may_share=True)
        # What is not shared is done by the first thread.
        lines += ["{" if shared else "if (t == 0) {", *copied, "}"]
        parts.append(shared)
        begin += part.shape[axis]
    return _function(writer, lines, next((part for part in parts if part), None))


def padding(value: Value, memory: Memory) -> Kernel:
    """A value with another around it and between its elements."""
    part, filling = value.args
    writer = Writer(memory)
    target = writer.pointer(value)
    fill = writer.load(filling, ())
    lines = [
        *_lines(writer, []),
        f"for (long i = 0; i < {value.size}; i++) {target}[i] = {fill};",
    ]
    writer.statements.clear()
    low = dict(enumerate(value.params["low"]))
    steps = dict(enumerate(value.params["steps"]))
    lines += ["{", *_copied(writer, part, value, low, steps)[0], "}"]
    return _function(writer, lines)


def _copied(
    writer: Writer,
    part: Value,
    whole: Value,
    low: dict[int, int],
    steps: dict[int, int],
    *,
    may_share: bool = False,
) -> tuple[list[str], _Loop | None]:
    """Loops that write `part` into `whole` from `low` on, every so many `steps`; what is shared."""
    inner = Writer(writer.memory, writer.pointers, count=writer.count)
    index = loops_over(part.shape)
    given = inner.load(part, index)
    moved = [
        each.times(steps.get(axis, 1)).plus(Index(const=low.get(axis, 0)))
        for axis, each in enumerate(index)
    ]
    target = inner.element(whole, address(moved, contiguous(whole.shape)))
    inner.statements.append(f"{target} = {given};")
    loops = _joined(part.shape, inner)
    writer.count = inner.count
    shared = _shared(loops, inner) if may_share else None
    return _nest(loops, _lines(inner, loops), shared), shared


def rows(value: Value, memory: Memory) -> Kernel:
    """Rows of an array by their numbers."""
    operand, indices = value.args
    writer = Writer(memory)
    target, source, numbers = (writer.pointer(v) for v in (value, operand, indices))
    width = value.size // indices.size
    kind = C_TYPES[value.dtype]
    count = operand.shape[0]
    fill = "NAN" if value.dtype == "float32" else "0"
    if value.params["fills"]:
        outside = (
            f"if (row < 0 || row >= {count}) {{ for (long j = 0; j < {width}; j++) "
            f"{target}[i * {width} + j] = {fill}; continue; }}"
        )
    else:
        outside = f"row = row < 0 ? 0 : row >= {count} ? {count - 1} : row;"
    shared = _Loop(0, indices.size) if value.size >= LEAST_SHARED else None
    start, end = _bounds(shared) if shared else ("0", f"{indices.size}")
    lines = [
        f"for (long i = {start}, end = {end}; i < end; i++) {{",
        f"long row = {numbers}[i];",
        outside,
        f"memcpy({target} + i * {width}, {source} + row * {width}, {width} * sizeof({kind}));",
        "}",
    ]
    return _function(writer, lines, shared)


def added_rows(value: Value, memory: Memory) -> Kernel:
    """An array with rows added to some of its own, by their numbers."""
    operand, indices, updates = value.args
    writer = Writer(memory)
    named = (value, operand, indices, updates)
    target, source, numbers, given = (writer.pointer(v) for v in named)
    width = updates.size // indices.size
    lines = [
        f"memcpy({target}, {source}, {value.size} * sizeof({C_TYPES[value.dtype]}));",
        f"for (long i = 0; i < {indices.size}; i++) {{",
        f"long row = {numbers}[i];",
        f"if (row < 0 || row >= {operand.shape[0]}) continue;",
        "#pragma GCC ivdep",
        f"for (long j = 0; j < {width}; j++) "
        f"{target}[row * {width} + j] += {given}[i * {width} + j];",
        "}",
    ]
    return _function(writer, lines)
