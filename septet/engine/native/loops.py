"""Loops over time: as little as possible is done within, and the rest for all steps at once.

- A product of what the loop walks along by a weight is one product before it.
- A product by a weight that is only a result is one product after it.
- A sum over the steps of products or sums (the gradient of a weight) is one after it.
- A weight is transposed once, not at each step.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from septet.engine.native.graph import Graph, Shape, Value, reachable

MOST_KEPT = 64 << 20
"""Most bytes of one array of all time steps that is kept for this."""


@dataclass(eq=False)
class Body:
    """What a loop repeats, as a graph of its own.

    Args:
        graph: Its values.
        consts: Of what surrounds it, within and without.
        carries: What goes from step to step: within, and what it begins with.
        walked: What has a row for each step: a row within, and all of them.
        after: The carries' values after a step.
        rows: What each step gives a row of.
        length: Steps.
        is_reversed: Whether the last row comes first.
    """

    graph: Graph
    consts: list[tuple[Value, Value]]
    carries: list[tuple[Value, Value]]
    walked: list[tuple[Value, Value]]
    after: list[Value]
    rows: list[Value]
    length: int
    is_reversed: bool

    @property
    def outputs(self) -> list[Value]:
        """All that a step computes."""
        return [*self.after, *self.rows]


def loop(
    graph: Graph,
    values: Sequence[Value],
    shapes: Sequence[tuple[Shape, str]],
    read: Callable[[Graph, list[Value]], list[Value]],
    num_consts: int,
    num_carry: int,
    length: int,
    is_reversed: bool,
) -> list[Value]:
    """The results of a loop: carries after the last step, then all rows of each output.

    Args:
        graph: Where the loop stands.
        values: Constants, carries' beginnings and arrays to walk along.
        shapes: Of these within the loop.
        read: The outputs of one step, from its inputs.
        num_consts: How many of `values` are constants.
        num_carry: How many are carries.
        length: Steps.
        is_reversed: Whether the last row comes first.
    """
    inner = Graph()
    inputs = [inner.input(f"{place}", *shape) for place, shape in enumerate(shapes)]
    pairs = list(zip(inputs, values, strict=True))
    begin, end = num_consts, num_consts + num_carry
    given = [
        each if begin <= place < end else _same_inside(inner, outer, each)
        for place, (each, outer) in enumerate(pairs)
    ]
    outputs = read(inner, given)
    body = Body(
        inner, pairs[:begin], pairs[begin:end], pairs[end:], outputs[:num_carry],
        outputs[num_carry:], length, is_reversed,
    )  # fmt: skip
    _multiply_before(graph, body)
    num_rows = len(body.rows)
    sums = _sums_after(body)
    products = _products_after(body)
    return _results(graph, body, num_rows, sums, products)


def _same_inside(inner: Graph, outer: Value, given: Value) -> Value:
    """A constant of what surrounds a loop as one of the loop; anything else as it is given."""
    scalar = outer.args[0] if outer.op == "broadcast" else outer
    if scalar.op != "const":
        return given
    constant = inner.make("const", (), (), scalar.dtype, value=scalar.params["value"])
    return inner.broadcast(constant, given.shape, ()) if given.shape else constant


def _counts(body: Body) -> dict[int, int]:
    """How often each value of the body is used."""
    counts: dict[int, int] = {}
    needed = reachable(body.outputs)
    for value in [*body.outputs, *(arg for each in needed for arg in each.args)]:
        counts[id(value)] = counts.get(id(value), 0) + 1
    return counts


def _replace(body: Body, changes: dict[int, Value]) -> None:
    """Have everything in the body use other values in place of some."""
    for value in reachable(body.outputs):
        if any(id(arg) in changes for arg in value.args):
            value.args = tuple(changes.get(id(arg), arg) for arg in value.args)
    body.after = [changes.get(id(value), value) for value in body.after]
    body.rows = [changes.get(id(value), value) for value in body.rows]


def _outside(graph: Graph, value: Value, pairs: Sequence[tuple[Value, Value]]) -> Value | None:
    """A constant of the loop, or its transpose, as the value outside."""
    if value.op == "transpose":
        found = _outside(graph, value.args[0], pairs)
        return None if found is None else graph.transpose(found, value.params["order"])
    return next((outer for each, outer in pairs if each is value), None)


def _is_plain(value: Value) -> bool:
    return value.op == "dot" and not any(value.params["batch"])


def _is_small(value: Value, length: int) -> bool:
    return value.size * length * 4 <= MOST_KEPT


def _multiply_before(graph: Graph, body: Body) -> None:
    """Products of a row that is walked along by a constant, for all rows before the loop."""
    changes: dict[int, Value] = {}
    for value in reachable(body.outputs):
        if not _is_plain(value) or not _is_small(value, body.length):
            continue
        left, right = value.args
        rows = next((outer for each, outer in body.walked if each is left), None)
        weight = _outside(graph, right, body.consts)
        if rows is None or weight is None:
            continue
        whole = _over_time(graph, value, rows, weight)
        row = body.graph.input(f"product {value.number}", value.shape, value.dtype)
        body.walked.append((row, whole))
        changes[id(value)] = row
    _replace(body, changes)


def _over_time(graph: Graph, value: Value, left: Value, weight: Value) -> Value:
    """The product `value` of one step, for the left sides of all steps."""
    of_left, of_right = value.params["contracted"]
    shape = (left.shape[0], *value.shape)
    contracted = (tuple(axis + 1 for axis in of_left), of_right)
    return graph.make(
        "dot", (left, weight), shape, value.dtype, contracted=contracted, batch=((), ())
    )


@dataclass(frozen=True)
class _Sum:
    """A carry that only adds up what each step gives: how, and rows of what."""

    value: Value
    rows: tuple[int, ...]


def _sums_after(body: Body) -> dict[int, _Sum]:
    """Take carries that add up products or sums out of the loop; by place of the carry."""
    found: dict[int, _Sum] = {}
    counts = _counts(body)
    for place, (carry, _) in enumerate(body.carries):
        after = body.after[place]
        if after.op != "map" or after.params["function"] != "add":
            continue
        if counts.get(id(carry), 0) != 1 or counts[id(after)] != 1:
            continue
        if not any(arg is carry for arg in after.args):
            continue
        (term,) = [arg for arg in after.args if arg is not carry] or [carry]
        is_sum = term.op == "reduce" and term.params["kind"] == "sum"
        if not (_is_plain(term) or is_sum) or counts[id(term)] != 1:
            continue
        if all(_is_small(arg, body.length) for arg in term.args):
            found[place] = _Sum(term, tuple(_row(body, arg) for arg in term.args))
    return found


def _row(body: Body, value: Value) -> int:
    """The place among the loop's rows of `value`."""
    for place, row in enumerate(body.rows):
        if row is value:
            return place
    body.rows.append(value)
    return len(body.rows) - 1


def _products_after(body: Body) -> dict[int, tuple[Value, int, Value]]:
    """Take rows that are products by a constant out of the loop.

    By place of the row: (the product, the place of its left side among the rows, its weight).
    """
    found = {}
    counts = _counts(body)
    for place, value in enumerate(list(body.rows)):
        if not _is_plain(value) or counts[id(value)] != 1:
            continue
        left, right = value.args
        weight = right.args[0] if right.op == "transpose" else right
        if any(each is weight for each, _ in body.consts) and _is_small(left, body.length):
            found[place] = (value, _row(body, left), right)
    return found


def _turn_weights(graph: Graph, body: Body) -> None:
    """Transpose a weight by which the loop multiplies once, before it."""
    for value in reachable(body.outputs):
        if not _is_plain(value) or len(value.args[1].shape) != 2:
            continue
        left, right = value.args
        is_turned = value.params["contracted"][1] == (1,)
        if right.op == "transpose":
            right, is_turned = right.args[0], not is_turned
        outer = _outside(graph, right, body.consts)
        if outer is None or not is_turned:
            continue
        turned = graph.transpose(outer, (1, 0))
        inner = body.graph.input(f"turned {right.number}", turned.shape, turned.dtype)
        if not any(each is inner for each, _ in body.consts):
            body.consts.append((inner, turned))
        value.args = (left, inner)
        value.params["contracted"] = (value.params["contracted"][0], (0,))


def _results(
    graph: Graph,
    body: Body,
    num_rows: int,
    sums: dict[int, _Sum],
    products: dict[int, tuple[Value, int, Value]],
) -> list[Value]:
    """Make the loop, and after it what was taken out of it."""
    starts = [start for _, start in body.carries]
    kept = [place for place in range(len(body.carries)) if place not in sums]
    names = [place for place in range(len(body.rows)) if place not in products]
    all_rows = list(body.rows)
    body.carries = [body.carries[place] for place in kept]
    body.after = [body.after[place] for place in kept]
    body.rows = [all_rows[place] for place in names]
    _turn_weights(graph, body)
    seen = {id(value) for value in reachable(body.outputs)}
    consts = body.consts
    body.consts = [pair for pair in consts if id(pair[0]) in seen]
    walked = body.walked
    body.walked = [pair for pair in walked if id(pair[0]) in seen]
    outer = [value for pairs in (body.consts, body.carries, body.walked) for _, value in pairs]
    made = graph.make("loop", outer, (), "int32", body=body)

    def row(place: int) -> Value:
        value = all_rows[place]
        found = next((rows for each, rows in walked if each is value), None)
        if found is not None:
            return found
        first = next(at for at in names if all_rows[at] is value)
        shape = (body.length, *value.shape)
        at = len(kept) + names.index(first)
        return graph.make("result", (made,), shape, value.dtype, place=at)

    results = []
    for place, start in enumerate(starts):
        if place in sums:
            results.append(_summed(graph, sums[place], [row(at) for at in sums[place].rows], start))
        else:
            at = kept.index(place)
            results.append(graph.make("result", (made,), start.shape, start.dtype, place=at))
    for place in range(num_rows):
        if place in products:
            value, left, right = products[place]
            weight = _outside(graph, right, consts)
            assert weight is not None
            results.append(_over_time(graph, value, row(left), weight))
        else:
            results.append(row(place))
    return results


def _summed(graph: Graph, found: _Sum, rows: Sequence[Value], start: Value) -> Value:
    """A sum over all steps, in one product or one sum."""
    value = found.value
    if value.op == "dot":
        contracted = tuple((0, *(axis + 1 for axis in axes)) for axes in value.params["contracted"])
        total = graph.make(
            "dot", rows, value.shape, value.dtype, contracted=contracted, batch=((), ())
        )
    else:
        axes = (0, *(axis + 1 for axis in value.params["axes"]))
        total = graph.make("reduce", rows, value.shape, value.dtype, axes=axes, kind="sum")
    return graph.map("add", [start, total], start.dtype)
