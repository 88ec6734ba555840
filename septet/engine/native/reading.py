"""What JAX traced, read into a graph: one function for each kind of primitive."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from septet.engine.native import loops
from septet.engine.native.graph import Graph, Shape, UnsupportedError, Value
from septet.engine.native.windows import joined_taps


def read(jaxpr: Any, consts: Sequence[Any], inputs: Sequence[Value], graph: Graph) -> list[Value]:
    """The outputs of a jaxpr as values of `graph`.

    Raises:
        UnsupportedError: It has a primitive, or a form of one, that is not known here.
    """
    known: dict[Any, Value] = {}

    def look(variable: Any) -> Value:
        return graph.const(variable.val) if hasattr(variable, "val") else known[variable]

    for variable, const in zip(jaxpr.constvars, consts, strict=True):
        known[variable] = graph.const(const)
    known.update(zip(jaxpr.invars, inputs, strict=True))
    for equation in jaxpr.eqns:
        name = equation.primitive.name
        values = [look(variable) for variable in equation.invars]
        is_array_of_keys = any(
            "key<" in str(variable.aval.dtype) and variable.aval.shape
            for variable in equation.invars
        )
        if is_array_of_keys and name not in _OF_KEYS:
            raise UnsupportedError(f"'{name}' of several keys")
        if name in _CALLS:
            inner = next(equation.params[key] for key in _CALLS[name] if key in equation.params)
            closed = getattr(inner, "consts", [])
            results = read(getattr(inner, "jaxpr", inner), closed, values, graph)
        elif name in _READERS:
            results = _READERS[name](graph, values, equation)
        else:
            raise UnsupportedError(f"the primitive '{name}'")
        results = [results] if isinstance(results, Value) else results
        known.update(zip(equation.outvars, results, strict=True))
    return [look(variable) for variable in jaxpr.outvars]


def shape_of(aval: Any) -> tuple[Shape, str]:
    """(shape, type) as a value has them: keys of random numbers are two unsigned integers."""
    if "key<" in str(aval.dtype):
        if "key<fry>" not in str(aval.dtype):
            raise UnsupportedError(f"random numbers of {aval.dtype}")
        return (*aval.shape, 2), "uint32"
    return tuple(aval.shape), str(aval.dtype)


_CALLS: dict[str, tuple[str, ...]] = dict.fromkeys(
    (
        "jit", "pjit", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call",
        "custom_vjp_call_jaxpr", "checkpoint", "remat", "remat2", "custom_lin",
    ),
    ("jaxpr", "call_jaxpr", "fun_jaxpr"),
)  # fmt: skip
"""Primitives that are a jaxpr of their own, and the parameters that may hold it."""
_OF_KEYS = frozenset({*_CALLS, "slice", "squeeze", "reshape", "random_unwrap", "unstack"})

Reader = Callable[[Graph, list[Value], Any], Value | list[Value]]
_READERS: dict[str, Reader] = {}


def _reads(*names: str) -> Callable[[Reader], Reader]:
    def keep(reader: Reader) -> Reader:
        _READERS.update(dict.fromkeys(names, reader))
        return reader

    return keep


_ALIKE = (
    "add", "sub", "mul", "div", "max", "min", "pow", "exp", "exp2", "log", "log1p", "expm1", "tanh",
    "logistic", "sqrt", "rsqrt", "cbrt", "neg", "abs", "sign", "floor", "ceil", "erf", "erfc",
    "erf_inv", "sin", "cos", "square", "and", "or", "xor", "not", "is_finite", "eq", "ne", "lt",
    "le", "gt", "ge", "shift_left", "shift_right_logical", "rem", "atan2", "select_n", "clamp",
    "nextafter", "one_minus_square",
)  # fmt: skip


@_reads(*_ALIKE)
def _map(graph: Graph, values: list[Value], equation: Any) -> Value:
    shape, dtype = shape_of(equation.outvars[0].aval)
    spread = [graph.spread(value, shape) for value in values]
    return graph.map(equation.primitive.name, spread, dtype)


@_reads("add_any")
def _add_any(graph: Graph, values: list[Value], equation: Any) -> Value:
    return graph.map("add", values, values[0].dtype)


@_reads("integer_pow")
def _integer_pow(graph: Graph, values: list[Value], equation: Any) -> Value:
    return graph.map("integer_pow", values, values[0].dtype, exponent=int(equation.params["y"]))


@_reads("round")
def _round(graph: Graph, values: list[Value], equation: Any) -> Value:
    if int(equation.params["rounding_method"]) != 1:
        raise UnsupportedError("rounding away from zero")
    return graph.map("round", values, values[0].dtype)


@_reads("convert_element_type")
def _convert(graph: Graph, values: list[Value], equation: Any) -> Value:
    _, dtype = shape_of(equation.outvars[0].aval)
    return values[0] if dtype == values[0].dtype else graph.map("convert", values, dtype)


@_reads("bitcast_convert_type")
def _bitcast(graph: Graph, values: list[Value], equation: Any) -> Value:
    shape, dtype = shape_of(equation.outvars[0].aval)
    if shape != values[0].shape or "bool" in (dtype, values[0].dtype):
        raise UnsupportedError("a cast of bits between sizes")
    return graph.map("bitcast", values, dtype)


@_reads("stop_gradient", "copy", "copy_p", "optimization_barrier", "random_wrap", "random_unwrap")
@_reads("device_put", "reduce_precision", "sharding_constraint")
def _same(graph: Graph, values: list[Value], equation: Any) -> list[Value]:
    if equation.primitive.name == "reduce_precision":
        raise UnsupportedError("reduced precision")
    return values


@_reads("broadcast_in_dim")
def _broadcast(graph: Graph, values: list[Value], equation: Any) -> Value:
    shape, _ = shape_of(equation.outvars[0].aval)
    return graph.broadcast(values[0], shape, equation.params["broadcast_dimensions"])


@_reads("reshape", "squeeze", "expand_dims")
def _reshape(graph: Graph, values: list[Value], equation: Any) -> Value:
    if equation.params.get("dimensions") is not None and equation.primitive.name == "reshape":
        raise UnsupportedError("a reshape in another order")
    return graph.reshape(values[0], shape_of(equation.outvars[0].aval)[0])


@_reads("transpose")
def _transpose(graph: Graph, values: list[Value], equation: Any) -> Value:
    return graph.transpose(values[0], equation.params["permutation"])


@_reads("slice")
def _slice(graph: Graph, values: list[Value], equation: Any) -> Value:
    params, (value,) = equation.params, values
    # Of an array of keys, each of which is two numbers here.
    more = len(value.shape) - len(params["start_indices"])
    strides = params["strides"] or (1,) * len(params["start_indices"])
    return graph.slice(
        value,
        (*params["start_indices"], *(0,) * more),
        (*params["limit_indices"], *value.shape[len(value.shape) - more :]),
        (*strides, *(1,) * more),
    )


@_reads("split")
def _split(graph: Graph, values: list[Value], equation: Any) -> list[Value]:
    (value,), axis = values, equation.params["axis"]
    begin, parts = 0, []
    for size in equation.params["sizes"]:
        starts = [begin if place == axis else 0 for place in range(len(value.shape))]
        limits = [
            begin + int(size) if place == axis else whole for place, whole in enumerate(value.shape)
        ]
        parts.append(graph.slice(value, starts, limits))
        begin += int(size)
    return parts


@_reads("unstack")
def _unstack(graph: Graph, values: list[Value], equation: Any) -> list[Value]:
    (value,), axis = values, equation.params["axis"]
    before, after = value.shape[:axis], value.shape[axis + 1 :]
    zeros = (0,) * len(before), (0,) * len(after)
    parts = []
    for place in range(value.shape[axis]):
        part = graph.slice(value, (*zeros[0], place, *zeros[1]), (*before, place + 1, *after))
        parts.append(graph.reshape(part, (*before, *after)))
    return parts


@_reads("rev")
def _reverse(graph: Graph, values: list[Value], equation: Any) -> Value:
    axes = tuple(equation.params["dimensions"])
    return graph.make("reverse", values, values[0].shape, values[0].dtype, axes=axes)


@_reads("concatenate")
def _concatenate(graph: Graph, values: list[Value], equation: Any) -> Value:
    shape, dtype = shape_of(equation.outvars[0].aval)
    axis = equation.params["dimension"]
    windows = joined_taps(graph, values, axis)
    return windows or graph.make("concatenate", values, shape, dtype, axis=axis)


@_reads("stack")
def _stack(graph: Graph, values: list[Value], equation: Any) -> Value:
    shape, dtype = shape_of(equation.outvars[0].aval)
    axis = equation.params["axis"]
    rows = [graph.reshape(value, (*value.shape[:axis], 1, *value.shape[axis:])) for value in values]
    return rows[0] if len(rows) == 1 else graph.make("concatenate", rows, shape, dtype, axis=axis)


@_reads("tile")
def _tile(graph: Graph, values: list[Value], equation: Any) -> Value:
    (value,), times = values, equation.params["reps"]
    shape, _ = shape_of(equation.outvars[0].aval)
    pairs = [size for pair in zip(times, value.shape, strict=True) for size in pair]
    spread = graph.broadcast(value, pairs, range(1, len(pairs), 2))
    return graph.reshape(spread, shape)


@_reads("pad")
def _pad(graph: Graph, values: list[Value], equation: Any) -> Value:
    value, filling = values
    config = equation.params["padding_config"]
    if any(low < 0 or high < 0 for low, high, _ in config):
        holes = [within for *_, within in config]
        sizes = [(size - 1) * (hole + 1) + 1 for size, hole in zip(value.shape, holes, strict=True)]
        if any(holes):
            raise UnsupportedError("a crop with holes")
        starts = [max(-low, 0) for low, _, _ in config]
        limits = [size - max(-high, 0) for size, (_, high, _) in zip(sizes, config, strict=True)]
        value = graph.slice(value, starts, limits)
        config = [(max(low, 0), max(high, 0), 0) for low, high, _ in config]
    shape, dtype = shape_of(equation.outvars[0].aval)
    if shape == value.shape:
        return value
    return graph.make(
        "pad",
        (value, filling),
        shape,
        dtype,
        low=tuple(int(low) for low, _, _ in config),
        steps=tuple(int(within) + 1 for *_, within in config),
    )


@_reads("iota")
def _iota(graph: Graph, values: list[Value], equation: Any) -> Value:
    shape, dtype = shape_of(equation.outvars[0].aval)
    return graph.make("iota", (), shape, dtype, axis=int(equation.params["dimension"]))


_REDUCTIONS = {
    "reduce_sum": "sum", "reduce_max": "max", "reduce_min": "min", "reduce_prod": "prod",
    "reduce_and": "and", "reduce_or": "or",
}  # fmt: skip


@_reads(*_REDUCTIONS)
def _reduce(graph: Graph, values: list[Value], equation: Any) -> Value:
    axes = tuple(int(axis) for axis in equation.params["axes"])
    shape, dtype = shape_of(equation.outvars[0].aval)
    if all(values[0].shape[axis] == 1 for axis in axes):
        return graph.reshape(values[0], shape)
    kind = _REDUCTIONS[equation.primitive.name]
    return graph.make("reduce", values, shape, dtype, axes=axes, kind=kind)


@_reads("argmax", "argmin")
def _argument(graph: Graph, values: list[Value], equation: Any) -> Value:
    (axis,) = equation.params["axes"]
    shape, dtype = shape_of(equation.outvars[0].aval)
    order = [place for place in range(len(values[0].shape)) if place != axis] + [axis]
    value = graph.transpose(values[0], order)
    return graph.make("argument", (value,), shape, dtype, kind=equation.primitive.name[3:])


@_reads("dot_general")
def _dot(graph: Graph, values: list[Value], equation: Any) -> Value:
    shape, dtype = shape_of(equation.outvars[0].aval)
    if {dtype, *(value.dtype for value in values)} != {"float32"}:
        raise UnsupportedError(f"a product of {values[0].dtype} and {values[1].dtype}")
    contracted, batch = equation.params["dimension_numbers"]
    sides = [
        _in_order(graph, value, tuple(axes), tuple(together))
        for value, axes, together in zip(values, contracted, batch, strict=True)
    ]
    return graph.dot(
        sides[0][0],
        sides[1][0],
        shape,
        tuple(axes for _, axes, _ in sides),
        tuple(together for _, _, together in sides),
    )


def _in_order(
    graph: Graph, value: Value, contracted: tuple[int, ...], batch: tuple[int, ...]
) -> tuple[Value, tuple[int, ...], tuple[int, ...]]:
    """A side of a product, (value, contracted axes, batch axes), its axes in an order of runs.

    Where the contracted or the free axes are not neighbours in order, a transposed view has
    the batch's axes first, then the contracted, then the free ones.
    """
    free = tuple(axis for axis in range(len(value.shape)) if axis not in {*contracted, *batch})
    if all(_is_run(axes) for axes in (contracted, free)):
        return value, contracted, batch
    view = graph.transpose(value, (*batch, *contracted, *free))
    first = len(batch)
    return view, tuple(range(first, first + len(contracted))), tuple(range(first))


def _is_run(axes: tuple[int, ...]) -> bool:
    return all(after == before + 1 for before, after in itertools.pairwise(axes))


@_reads("gather")
def _gather(graph: Graph, values: list[Value], equation: Any) -> Value:
    operand, indices = values
    params = equation.params
    numbers, sizes = params["dimension_numbers"], tuple(params["slice_sizes"])
    rank = len(indices.shape) - 1
    is_rows = (
        tuple(numbers.start_index_map) == (0,)
        and tuple(numbers.collapsed_slice_dims) == (0,)
        and not numbers.operand_batching_dims
        and indices.shape[-1] == 1
        and sizes == (1, *operand.shape[1:])
        and tuple(numbers.offset_dims) == tuple(range(rank, rank + len(operand.shape) - 1))
    )
    if not is_rows:
        raise UnsupportedError("a gather of other than rows")
    shape, dtype = shape_of(equation.outvars[0].aval)
    fills = "FILL" in str(params["mode"])
    indices = graph.reshape(indices, indices.shape[:-1])
    return graph.make("gather", (operand, indices), shape, dtype, fills=fills)


@_reads("scatter-add", "scatter_add")
def _scatter(graph: Graph, values: list[Value], equation: Any) -> Value:
    operand, indices, updates = values
    numbers = equation.params["dimension_numbers"]
    rank = len(indices.shape) - 1
    is_rows = (
        tuple(numbers.scatter_dims_to_operand_dims) == (0,)
        and tuple(numbers.inserted_window_dims) == (0,)
        and not numbers.operand_batching_dims
        and indices.shape[-1] == 1
        and tuple(numbers.update_window_dims) == tuple(range(rank, rank + len(operand.shape) - 1))
        and updates.shape == (*indices.shape[:-1], *operand.shape[1:])
    )
    if not is_rows:
        raise UnsupportedError("a scatter of other than rows")
    indices = graph.reshape(indices, indices.shape[:-1])
    return graph.make("scatter", (operand, indices, updates), operand.shape, operand.dtype)


@_reads("dynamic_slice")
def _dynamic_slice(graph: Graph, values: list[Value], equation: Any) -> Value:
    operand, *starts = values
    shape, dtype = shape_of(equation.outvars[0].aval)
    return graph.make("dynamic_slice", (operand, *starts), shape, dtype)


@_reads("random_bits")
def _random_bits(graph: Graph, values: list[Value], equation: Any) -> list[Value]:
    from jax.extend.random import threefry_prng_impl as threefry

    width, shape = equation.params["bit_width"], equation.params["shape"]
    if width != 32 or values[0].shape != (2,) or 0 in shape:
        raise UnsupportedError("random bits of several keys, or of a width other than 32")
    return _traced(graph, lambda key: threefry.random_bits(key, 32, shape), values)


@_reads("random_fold_in")
def _fold_in(graph: Graph, values: list[Value], equation: Any) -> list[Value]:
    from jax.extend.random import threefry_2x32

    key, number = values
    if key.shape != (2,) or number.shape != ():
        raise UnsupportedError("several keys at once")
    number = number if number.dtype == "uint32" else graph.map("convert", [number], "uint32")
    # The upper half of a number of 32 bits is zero.
    zeros = graph.broadcast(graph.const(np.uint32(0)), (1,), ())
    parts = [zeros, graph.reshape(number, (1,))]
    pair = graph.make("concatenate", parts, (2,), "uint32", axis=0)

    return _traced(graph, threefry_2x32, [key, pair])


@_reads("random_split")
def _random_split(graph: Graph, values: list[Value], equation: Any) -> list[Value]:
    from jax.extend.random import threefry_prng_impl as threefry

    if values[0].shape != (2,):
        raise UnsupportedError("several keys at once")
    shape = equation.params["shape"]
    return _traced(graph, lambda key: threefry.split(key, shape), values)


@_reads("random_seed")
def _random_seed(graph: Graph, values: list[Value], equation: Any) -> Value:
    (seed,) = values
    if seed.op != "const":
        raise UnsupportedError("a seed that is computed")
    from jax.extend.random import threefry_prng_impl as threefry

    return graph.const(np.asarray(threefry.seed(np.dtype(seed.dtype).type(seed.params["value"]))))


@_reads("iota_2x32_shape")
def _counts(graph: Graph, values: list[Value], equation: Any) -> list[Value]:
    shape = tuple(equation.params["shape"])
    size = int(np.prod(shape, dtype=np.int64))
    if size >= 2**31:
        raise UnsupportedError("more random numbers than a count of 32 bits holds")
    high = graph.broadcast(graph.const(np.uint32(0)), shape, ())
    return [high, graph.reshape(graph.make("iota", (), (size,), "uint32", axis=0), shape)]


@_reads("threefry2x32")
def _threefry(graph: Graph, values: list[Value], equation: Any) -> list[Value]:
    shape, dtype = shape_of(equation.outvars[0].aval)
    spread = [graph.spread(value, shape) for value in values]
    return [graph.make("threefry", spread, shape, dtype, half=half) for half in (0, 1)]


@_reads("scan")
def _scan(graph: Graph, values: list[Value], equation: Any) -> list[Value]:
    params = equation.params
    closed = params["jaxpr"]
    shapes = [shape_of(variable.aval) for variable in closed.jaxpr.invars]

    def body(inner: Graph, inputs: list[Value]) -> list[Value]:
        return read(closed.jaxpr, closed.consts, inputs, inner)

    if "num_consts" in params:
        num_consts, num_carry = params["num_consts"], params["num_carry"]
    else:  # since JAX 0.11
        num_consts, num_carry, _ = (len(part) for part in params["ft_in"].unpack())
    return loops.loop(
        graph, values, shapes, body, num_consts, num_carry,
        int(params["length"]), bool(params["reverse"]),
    )  # fmt: skip


def _traced(graph: Graph, function: Callable[..., Any], values: list[Value]) -> list[Value]:
    """What a JAX function gives for values of the graph."""
    import jax

    shapes = [jax.ShapeDtypeStruct(value.shape, value.dtype) for value in values]
    closed = jax.make_jaxpr(function)(*shapes)
    return read(closed.jaxpr, closed.consts, values, graph)
