"""The C program of a step: its functions, the order of their calls, and the memory they share."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from septet.engine.native import kernels, products
from septet.engine.native.functions import BYTES, C_TYPES, literal
from septet.engine.native.graph import Graph, Value
from septet.engine.native.plan import Plan, Unit, may_share, plan
from septet.engine.native.tiling import Vectors

ALIGNMENT = 64
SLACK = 256
"""Bytes after every array, since products load whole vectors at its end."""


@dataclass
class Program:
    """A program under construction.

    Args:
        vectors: What the processor has.
    """

    vectors: Vectors
    functions: dict[str, str] = field(default_factory=dict)
    tables: dict[int, tuple[str, str]] = field(default_factory=dict)
    depth: int = 0

    def function(self, text: str) -> str:
        """The name of the function with that text."""
        return self.functions.setdefault(text, f"k{len(self.functions)}")

    def table(self, value: Value) -> str:
        """The name of a constant array."""
        if id(value) not in self.tables:
            name = f"table{len(self.tables)}"
            numbers = value.params["array"].array.ravel().tolist()
            text = ", ".join(literal(number, value.dtype) for number in numbers)
            size = len(numbers) + SLACK // 4
            kind = C_TYPES[value.dtype]
            self.tables[id(value)] = (
                name,
                f"static const {kind} {name}[{size}] __attribute__((aligned(64))) = {{{text}}};",
            )
        return self.tables[id(value)][0]


MOST_PARTS, LEAST_PART = 8, 6000
"""Most texts that the functions are spread over, and about how many characters one has at least.

Not a matter of how many cores there are: the same step is the same machine code.
"""


def step_texts(
    inputs: Sequence[Value], outputs: Sequence[Value], in_place: Mapping[int, int], vectors: Vectors
) -> tuple[list[str], int]:
    """(`step(P, A)`, then the functions that it calls, in texts compiled apart; bytes at A).

    Args:
        inputs: Given at P[0], P[1] ...
        outputs: Written to P[len(inputs)] ..., but for those that replace an input.
        in_place: Place of the input that an output replaces, by the output's place.
        vectors: What the processor has.
    """
    program = Program(vectors)
    places = {id(value): f"P[{place}]" for place, value in enumerate(inputs)}
    targets = [f"P[{in_place.get(place, len(inputs) + place)}]" for place in range(len(outputs))]
    replaced = [inputs[in_place[p]] if p in in_place else None for p in range(len(outputs))]
    lines, size = _region(program, inputs, outputs, places, targets, replaced, "A")
    head = f"static void step(char **P, char *A, {kernels.THREAD}, meeting *met) {{"
    tables = [text for _, text in program.tables.values()]
    functions = [f"{HIDDEN} void {name}{text}" for text, name in program.functions.items()]
    # A body begins with what the function takes; a declaration ends there.
    declared = [text.partition(") {")[0] + ");" for text in functions]
    step = "\n".join([*tables, *declared, head, *_met(lines), "}"])
    return [step, *_spread(functions)], size


HIDDEN = '__attribute__((visibility("hidden")))'


def _spread(functions: Sequence[str]) -> list[str]:
    """Texts of about one length, each some of the functions."""
    count = min(MOST_PARTS, max(1, sum(map(len, functions)) // LEAST_PART), len(functions))
    parts: list[list[str]] = [[] for _ in range(count)]
    for text in sorted(functions, key=len, reverse=True):
        min(parts, key=lambda part: sum(map(len, part))).append(text)
    return ["\n".join(part) for part in parts]


def _region(
    program: Program,
    inputs: Sequence[Value],
    outputs: Sequence[Value],
    places: dict[int, str],
    targets: Sequence[str],
    replaced: Sequence[Value | None],
    arena: str,
) -> tuple[list[str], int]:
    """(calls that compute `outputs` into `targets`, bytes of memory that they need at `arena`)."""
    made = plan(inputs, outputs)
    made_at = made.made_at()
    places = dict(places)
    finished: set[int] = set()
    for place, (output, source) in enumerate(zip(outputs, replaced, strict=True)):
        if source is None and id(output) in made_at and id(output) not in places:
            # Nobody else reads or writes there.
            places[id(output)] = targets[place]
            finished.add(place)
        elif source is not None and output is source:
            finished.add(place)
        elif source is not None and may_share(made, source, output, made_at):
            places[id(output)] = targets[place]
            finished.add(place)
    size = _allocate(program, made, places, arena)
    lines = []
    for unit in made.units:
        lines += _call(program, made, unit, places, arena)
    for place, (output, target) in enumerate(zip(outputs, targets, strict=True)):
        if place not in finished:
            source = _place(program, output, places)
            lines += _alone(f"memcpy({target}, {source}, {_bytes(output)})")
    return lines, size


MEET = "meet(met, T);"


def _alone(call: str) -> list[str]:
    """A call that the first thread makes."""
    return [f"if (t == 0) {call};", MEET]


def _met(lines: Sequence[str]) -> list[str]:
    """`lines` without the meetings between calls that one thread makes anyway."""
    kept: list[str] = []
    for line in lines:
        is_alone = line.startswith("if (t == 0)")
        if is_alone and len(kept) > 1 and kept[-1] == MEET and kept[-2].startswith("if (t == 0)"):
            kept.pop()
        kept.append(line)
    return kept


def _allocate(program: Program, made: Plan, places: dict[int, str], arena: str) -> int:
    """Give every stored value without a place one in the arena; bytes in all.

    Memory is used again once the last unit that reads a value is done.
    """
    last: dict[int, int] = {}
    for at, unit in enumerate(made.units):
        for value in [*unit.values, *(read for read, _ in unit.reads)]:
            last[id(value)] = at
    for value in made.outputs:
        last[id(value)] = len(made.units)
    free: list[tuple[int, int]] = []  # (offset, size), in order
    ends: dict[int, list[tuple[int, int]]] = {}
    top = 0

    def take(size: int) -> int:
        nonlocal top
        for index, (offset, room) in enumerate(free):
            if room >= size:
                free[index : index + 1] = [(offset + size, room - size)] if room > size else []
                return offset
        top += size
        return top - size

    for at, unit in enumerate(made.units):
        for value in _results(unit):
            if id(value) in places:
                continue
            size = -(-(_bytes(value) + SLACK) // ALIGNMENT) * ALIGNMENT
            offset = take(size)
            places[id(value)] = f"({arena} + {offset})"
            ends.setdefault(last.get(id(value), at), []).append((offset, size))
        for offset, size in ends.pop(at, []):
            _give_back(free, offset, size)
        if unit.kind == "loop":
            # What is within a loop has memory of its own, above all else.
            loop = unit.values[0]
            loop.params["text"], size = _loop(program, made, loop, places, arena, top)
            top += size
    return top


def _give_back(free: list[tuple[int, int]], offset: int, size: int) -> None:
    free.append((offset, size))
    free.sort()
    merged: list[tuple[int, int]] = []
    for start, room in free:
        if merged and merged[-1][0] + merged[-1][1] == start:
            merged[-1] = (merged[-1][0], merged[-1][1] + room)
        else:
            merged.append((start, room))
    free[:] = merged


def _results(unit: Unit) -> list[Value]:
    return [] if unit.kind in ("loop", "result") else unit.values


def _bytes(value: Value) -> int:
    return value.size * BYTES[value.dtype]


def _place(program: Program, value: Value, places: Mapping[int, str]) -> str:
    """Where a stored value lies, or what it is a reshape of."""
    while value.op == "reshape" and id(value) not in places:
        value = value.args[0]
    return program.table(value) if value.op == "table" else places[id(value)]


def _call(
    program: Program, made: Plan, unit: Unit, places: Mapping[int, str], arena: str
) -> list[str]:
    """The call of a unit's function, or the loop that it is."""
    value = unit.values[0]
    if unit.kind == "result":
        return []
    if unit.kind == "loop":
        return value.params["text"]
    memory = kernels.Memory(made.stored, lambda each: _place(program, each, places))
    if unit.kind == "dot":
        sides = made.layouts[id(value), 0], made.layouts[id(value), 1]
        text = products.product(value, sides, program.vectors)
        found = [f"(f32 *){memory.place(each)}" for each in (value, sides[0].base, sides[1].base)]
        kernel = kernels.Kernel(text, found, is_shared=_work(value) >= kernels.LEAST_SHARED)
    elif unit.kind in ("points", "threefry"):
        make = kernels.points if unit.kind == "points" else kernels.random_bits
        kernel = make(unit.values, memory)
    else:
        kernel = _OTHER[unit.kind](value, memory)
    name, arguments = program.function(kernel.body), ", ".join(kernel.arguments)
    if kernel.is_shared:
        return [f"{name}({arguments}, t, T);", MEET]
    return _alone(f"{name}({arguments}, 0, 1)")


def _work(dot: Value) -> int:
    """Multiplications of a product."""
    left = dot.args[0]
    return dot.size * math.prod(left.shape[axis] for axis in dot.params["contracted"][0])


_OTHER = {
    "reduce": kernels.reduction, "argument": kernels.argument, "pad": kernels.padding,
    "concatenate": kernels.concatenation, "gather": kernels.rows, "scatter": kernels.added_rows,
}  # fmt: skip


def _loop(
    program: Program, made: Plan, loop: Value, places: dict[int, str], arena: str, offset: int
) -> tuple[list[str], int]:
    """(the text of a loop, bytes that it needs from `offset` on)."""
    body = loop.params["body"]
    program.depth += 1
    row, size = f"r{program.depth}", 0

    def room(value: Value) -> str:
        nonlocal size
        start = offset + size
        size += -(-(_bytes(value) + SLACK) // ALIGNMENT) * ALIGNMENT
        return f"({arena} + {start})"

    lines = ["{"]
    results = {
        value.params["place"]: value
        for unit in made.units
        if unit.kind == "result" and unit.values[0].args[0] is loop
        for value in unit.values
    }
    inner = {id(value): _place(program, outer, places) for value, outer in body.consts}
    for place, (value, outer) in enumerate(body.carries):
        where = room(value)
        if place in results:
            where = places.setdefault(id(results[place]), where)
        inner[id(value)] = where
        lines += _alone(f"memcpy({where}, {_place(program, outer, places)}, {_bytes(value)})")
    for value, outer in body.walked:
        whole = _place(program, outer, places)
        inner[id(value)] = f"({whole} + {row} * {_bytes(value)}L)"
    carries = [value for value, _ in body.carries]
    outputs, replaced = list(body.after), list(carries)
    for place, output in enumerate(body.after):
        # The carry of another place, or what is given, is copied.
        is_given = output.op in ("input", "table") and output is not carries[place]
        if is_given or body.after.index(output) != place:
            outputs[place] = _copy_of(body.graph, output, place)
    targets = [inner[id(value)] for value in carries]
    for place, output in enumerate(body.rows, len(carries)):
        if place not in results:
            continue
        found = results[place]
        if id(found) not in places:
            places[id(found)] = room(found)
        if output.op in ("input", "table") or any(output is each for each in outputs):
            output = _copy_of(body.graph, output, place)
        outputs.append(output)
        targets.append(f"({places[id(found)]} + {row} * {_bytes(output)}L)")
        replaced.append(None)
    text, inside = _region(
        program,
        [value for pairs in (body.consts, body.carries, body.walked) for value, _ in pairs],
        outputs,
        inner,
        targets,
        replaced,
        f"({arena} + {offset + size})",
    )
    start, change = (f"{body.length - 1}", "--") if body.is_reversed else ("0", "++")
    end = f"{row} >= 0" if body.is_reversed else f"{row} < {body.length}"
    lines.append(f"for (long {row} = {start}; {end}; {row}{change}) {{")
    return [*lines, *text, "}", "}"], size + inside


def _copy_of(graph: Graph, value: Value, place: int) -> Value:
    copy = graph.make("map", (value,), value.shape, value.dtype, function="copy", place=place)
    if value.op == "input":
        # Before all else, so that what is copied may be written over.
        copy.number = 0
    return copy
