"""What of a graph is written to memory, in which order, in which loops, and where.

A value that is used once or costs little is computed where it is needed. Values over the
same elements are computed in one loop, if that changes nothing they are made of.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from septet.engine.native import functions
from septet.engine.native.graph import VIEWS, UnsupportedError, Value, reachable
from septet.engine.native.indexing import Layout, collapsed, layout

LEAST_STORED = 4
"""A value that is used more than once is written to memory where it costs more than this."""
MOST_INLINE = 80
"""The most that an expression may cost before a part of it is written to memory."""
MOST_IN_A_LOOP, MOST_OUTPUTS, WINDOW = 400, 16, 60
"""Most cost and outputs of one loop, and how far back one is looked for."""

ALWAYS = frozenset(
    {"dot", "reduce", "argument", "gather", "scatter", "threefry", "loop", "result", "concatenate",
     "pad"}
)  # fmt: skip
GIVEN = frozenset({"input", "table"})
PAD_COST, LEAST_RUN = 4, 4
"""Of an element with something around it, and the least length of rows that get it by loops."""


def is_whole(value: Value) -> bool:
    """Whether a value has memory of its own in any case."""
    if value.op == "pad":
        return not is_framed(value)
    return value.op in ALWAYS | GIVEN


def is_framed(pad: Value) -> bool:
    """Whether what is around a value is put there while rows are gone through, all alike."""
    shape, inner = pad.shape, pad.args[0].shape
    return (
        pad.dtype in ("float32", "int32", "uint32")
        and all(step == 1 for step in pad.params["steps"])
        and shape[-1] == inner[-1] >= LEAST_RUN
    )


@dataclass(eq=False)
class Unit:
    """One piece of work: a loop over elements with some results, or one larger operation.

    Args:
        kind: "points", or the operation's name.
        values: Its results.
        reads: (stored value, whether only the element in hand is read) of all that it reads.
        cost: Of each element.
    """

    kind: str
    values: list[Value]
    reads: list[tuple[Value, bool]]
    cost: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the elements that it loops over."""
        return self.values[0].shape


@dataclass
class Plan:
    """The units of a graph in order.

    Args:
        units: The work.
        stored: Identities of values with memory of their own, given ones included.
        inputs: Given values.
        outputs: What is wanted.
        layouts: Where the operands of products lie, by (identity of the product, side).
    """

    units: list[Unit]
    stored: set[int]
    inputs: Sequence[Value]
    outputs: Sequence[Value]
    layouts: dict[tuple[int, int], Layout] = field(default_factory=dict)

    def made_at(self) -> dict[int, int]:
        """Place of the unit that makes a value, by identity."""
        return {id(value): place for place, unit in enumerate(self.units) for value in unit.values}


def plan(inputs: Sequence[Value], outputs: Sequence[Value]) -> Plan:
    """The work that `outputs` take.

    Raises:
        UnsupportedError: A product's operands lie where no stride leads.
    """
    needed = reachable(outputs)
    uses: dict[int, int] = {}
    for value in [*outputs, *(arg for each in needed for arg in each.args)]:
        uses[id(value)] = uses.get(id(value), 0) + 1
    stored = {id(value) for value in needed if is_whole(value)}
    stored |= {id(value) for value in outputs if value.op != "input"}
    layouts = _with_operands(needed, stored)
    costs: dict[int, int] = {}
    for value in needed:
        costs[id(value)] = _settle(value, uses[id(value)], costs, stored)
    made = Plan([], stored, inputs, outputs, layouts)
    for value in needed:
        if id(value) in stored and value.op not in GIVEN:
            _place(made, value, costs)
    return made


def _settle(value: Value, uses: int, costs: dict[int, int], stored: set[int]) -> int:
    """Cost of having `value` in an expression; decides whether it is stored instead."""

    def of(arg: Value) -> int:
        return 1 if id(arg) in stored else costs[id(arg)]

    if value.op == "broadcast":
        (base,) = value.args
        grows = value.size >= 2 * base.size
        if grows and id(base) not in stored and _innermost(base).op == "map":
            stored.add(id(base))
    total = sum(of(arg) for arg in value.args)
    if value.op == "map":
        total += functions.cost(value)
        if total > MOST_INLINE:
            # The dearest argument goes to memory, and what uses it reads that.
            dearest = max(value.args, key=of)
            if _innermost(dearest).op == "map":
                stored.add(id(dearest))
                total = sum(of(arg) for arg in value.args) + functions.cost(value)
        if uses > 1 and total > LEAST_STORED:
            stored.add(id(value))
    elif value.op == "iota":
        total = 1
    elif value.op == "pad":
        total += PAD_COST
        if uses > 1:
            stored.add(id(value))
    elif uses > 1 and total > 2 * LEAST_STORED and value.op in VIEWS:
        stored.add(id(value))
    return total


def _innermost(value: Value) -> Value:
    while value.op in VIEWS:
        value = value.args[0]
    return value


def _with_operands(needed: Sequence[Value], stored: set[int]) -> dict[tuple[int, int], Layout]:
    """Have what products and other larger operations read stored where they can read it."""
    layouts: dict[tuple[int, int], Layout] = {}
    for value in needed:
        if value.op == "dot":
            for side in (0, 1):
                layouts[id(value), side] = _operand(value, side, stored)
        elif value.op in ("gather", "scatter"):
            for arg in value.args:
                keep_whole(arg, stored)
        elif value.op == "loop":
            for arg in value.args:
                keep_whole(arg, stored)
        elif value.op == "argument":
            keep_whole(value.args[0], stored)
        elif value.op == "dynamic_slice":
            keep_whole(value.args[0], stored)
    return layouts


def keep_whole(value: Value, stored: set[int]) -> None:
    """Have `value` stored in row-major order: by itself, or as what it is a reshape of."""
    base = value
    while base.op == "reshape" and id(base) not in stored:
        base = base.args[0]
    stored.add(id(base))


def _operand(dot: Value, side: int, stored: set[int]) -> Layout:
    """Where a product's left (0) or right side lies."""
    value = dot.args[side]
    found = layout(value, stored)
    contracted, batch = dot.params["contracted"][side], dot.params["batch"][side]
    if found is not None:
        sizes = [value.shape[axis] for axis in contracted]
        strides = [found.strides[axis] for axis in contracted]
        depth = collapsed(sizes, strides)
        free = [axis for axis in range(len(value.shape)) if axis not in {*contracted, *batch}]
        wide = collapsed([value.shape[axis] for axis in free], [found.strides[a] for a in free])
        # The right side is read along its rows or along its columns, without gaps.
        is_right = depth is not None and wide is not None and 1 in (depth, wide)
        # The left side is read by loops; those of windows go along several axes in the depth.
        is_left = depth is not None or value.op == "windows"
        if is_right if side else is_left:
            if _innermost(found.base).op not in ("const",):
                keep_whole(found.base, stored)
                return found
    stored.add(id(value))
    found = layout(value, stored)
    if found is None:
        raise UnsupportedError("a product of what has no strides")
    return found


def reads_of(value: Value, stored: set[int]) -> Iterator[tuple[Value, bool]]:
    """(stored value, whether it is read at the element in hand only) of what makes `value`."""
    pending = [(arg, value.op in ("map", "threefry")) for arg in value.args]
    seen = set()
    while pending:
        arg, is_same = pending.pop()
        if (id(arg), is_same) in seen:
            continue
        seen.add((id(arg), is_same))
        if id(arg) in stored:
            yield arg, is_same
        else:
            pending += [(each, is_same and arg.op == "map") for each in arg.args]


def _place(made: Plan, value: Value, costs: dict[int, int]) -> None:
    """Add what makes `value` to a loop that is there already, or as a unit of its own."""
    if value.op == "dot":
        reads = [(made.layouts[id(value), side].base, False) for side in (0, 1)]
    else:
        reads = list(reads_of(value, made.stored))
    if value.op == "threefry":
        twin = _twin(made.units, value)
        if twin is not None:
            twin.values.append(value)
            return
    is_points = not is_whole(value)
    if is_points:
        places = made.made_at()
        unit = _loop_for(made.units, places, value, reads, costs[id(value)])
        if unit is not None:
            unit.values.append(value)
            unit.reads += reads
            unit.cost += costs[id(value)]
            return
    kind = "points" if is_points else value.op
    made.units.append(Unit(kind, [value], reads, costs[id(value)]))


def _twin(units: Sequence[Unit], value: Value) -> Unit | None:
    for unit in units:
        if unit.kind == "threefry" and unit.values[0].args == value.args:
            return unit
    return None


def _loop_for(
    units: Sequence[Unit],
    places: dict[int, int],
    value: Value,
    reads: Sequence[tuple[Value, bool]],
    cost: int,
) -> Unit | None:
    """The latest loop over the same elements that `value` may join."""
    first = max(len(units) - WINDOW, 0)
    for place in range(len(units) - 1, first - 1, -1):
        unit = units[place]
        is_open = (
            unit.kind == "points"
            and unit.shape == value.shape
            and unit.cost + cost <= MOST_IN_A_LOOP
            and len(unit.values) < MOST_OUTPUTS
        )
        within = {id(each) for each in unit.values}
        if is_open and (value.shape == () or _shares(unit, within, reads)):
            if all(
                (id(read) in within and is_same) or places.get(id(read), -1) < place
                for read, is_same in reads
            ):
                return unit
        # Nothing that it reads may be made later than the loop it joins.
        if any(places.get(id(read), -1) == place for read, _ in reads):
            return None
    return None


def _shares(unit: Unit, within: set[int], reads: Sequence[tuple[Value, bool]]) -> bool:
    read = {id(each) for each, is_same in unit.reads if is_same}
    return any(id(each) in within or (is_same and id(each) in read) for each, is_same in reads)


def may_share(made: Plan, source: Value, target: Value, places: dict[int, int]) -> bool:
    """Whether `target` may be written over `source`: all who read that have done so by then."""
    if id(target) not in places or source.shape != target.shape or source.dtype != target.dtype:
        return False
    place = places[id(target)]
    unit = made.units[place]
    if unit.kind not in ("points", "dot", "reduce", "gather"):
        return False
    for at, other in enumerate(made.units):
        for read, is_same in other.reads:
            if read is not source:
                continue
            if at > place or (at == place and not (is_same and unit.kind == "points")):
                return False
    return sum(output is target for output in made.outputs) == 1
