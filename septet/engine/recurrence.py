"""Recurrent loops with fewer and larger matrix products, where XLA's own are slow.

`jax.lax.scan` repeats its whole body at every time step, and its gradient adds up the
gradient of every weight at every time step. While a model is traced under
`lowering.lowered`, a scan is taken apart:

- what depends on no carry is computed before the loop, for all time steps at once (the
  input's part in the gates of an LSTM becomes one product);
- the gradient of a weight by which the loop multiplies is one product over all time steps
  after the loop, in place of one at each of them and their sum.

The values are the same to float32 rounding. A scan without products, or with what this
does not know, stays as it was.
"""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

MOST_HOISTED_BYTES = 64 << 20
"""Most that is kept of all time steps at once, beside what the loop keeps anyway."""


def scan_for(original: Callable[..., Any]) -> Callable[..., Any]:
    """`jax.lax.scan` that takes the lowered path where it applies."""

    def scan(
        f: Any,
        init: Any,
        xs: Any = None,
        length: int | None = None,
        reverse: bool = False,
        unroll: Any = 1,
        **rest: Any,
    ) -> Any:
        import jax

        if jax.tree.leaves(xs) and not rest:
            taken_apart = _taken_apart(f, init, xs)
            if taken_apart is not None:
                parts, consts = taken_apart
                loop = functools.partial(original, length=length, reverse=reverse, unroll=unroll)
                return _run(parts, loop, consts, init, xs)
        return original(f, init, xs, length, reverse, unroll, **rest)

    return scan


@dataclass(frozen=True)
class Product:
    """A product in the body of a loop by what is the same at each time step.

    Args:
        equation: Its equation.
        dims: ((contracted dimensions of the left side, of the right side), ...).
    """

    equation: Any
    dims: Any

    @property
    def weight(self) -> Any:
        """The variable of the right side."""
        return self.equation.invars[1]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the result."""
        return self.equation.outvars[0].aval.shape

    @property
    def dtype(self) -> Any:
        """Of the result."""
        return self.equation.outvars[0].aval.dtype

    def weight_gradient(self, lefts: Any, gradients: Any) -> Any:
        """Of the right side, from left sides and result gradients of all steps, [T, ...] each."""
        import jax.numpy as jnp
        from jax import lax

        (left_axes, right_axes), _ = self.dims
        rank = len(self.equation.invars[0].aval.shape)
        free = [axis for axis in range(rank) if axis not in left_axes]
        contracted = ([0, *(axis + 1 for axis in free)], list(range(len(free) + 1)))
        found = lax.dot_general(
            lefts,
            gradients,
            (contracted, ((), ())),
            preferred_element_type=self.weight.aval.dtype,
        )
        # Now the axes are: those of the left side in its order, then those that are free.
        in_order = sorted(left_axes)
        right_rank = len(self.weight.aval.shape)
        right_free = [axis for axis in range(right_rank) if axis not in right_axes]
        places = [
            in_order.index(left_axes[right_axes.index(axis)])
            if axis in right_axes
            else len(in_order) + right_free.index(axis)
            for axis in range(right_rank)
        ]
        return jnp.transpose(found, places)


@dataclass(frozen=True)
class Parts:
    """The equations of a loop's body, by what they depend on.

    Args:
        jaxpr: All of them.
        constant: Those that depend on nothing that changes within the loop.
        ahead: Those that depend on the loop's inputs but on no carry.
        within: The rest.
        products: Those of `within` whose weights' gradients are taken after the loop.
        carry: The carry's variables and its tree.
        inputs: The inputs' variables.
        outputs: The tree of (carry, outputs).
    """

    jaxpr: Any
    constant: list[Any]
    ahead: list[Any]
    within: list[Any]
    products: list[Product]
    carry: list[Any]
    inputs: list[Any]
    weights: list[Any]
    outputs: Any


def _taken_apart(f: Any, init: Any, xs: Any) -> tuple[Parts, list[Any]] | None:
    """(the parts of a scan's body, what it closes over), or None where nothing is won."""
    import jax

    first = jax.tree.map(lambda leaf: leaf[0], xs)
    function, consts = jax.closure_convert(f, init, first)
    carry, carry_tree = jax.tree.flatten(init)
    inputs, inputs_tree = jax.tree.flatten(first)
    trees: list[Any] = []

    def flat(*leaves: Any) -> list[Any]:
        end = len(carry) + len(inputs)
        before = jax.tree.unflatten(carry_tree, leaves[: len(carry)])
        given = jax.tree.unflatten(inputs_tree, leaves[len(carry) : end])
        found, tree = jax.tree.flatten(function(before, given, *leaves[end:]))
        trees.append(tree)
        return found

    closed = jax.make_jaxpr(flat)(*carry, *inputs, *consts)
    if closed.effects or len(closed.jaxpr.outvars) < len(carry):
        return None
    # A second tracing with inner functions opened, so that their products are seen.
    opened = jax.make_jaxpr(lambda *leaves: _evaluate(closed.jaxpr, closed.consts, leaves))
    closed = opened(*carry, *inputs, *consts)
    jaxpr = closed.jaxpr
    if any(
        before.aval.shape != after.aval.shape or before.aval.dtype != after.aval.dtype
        for before, after in zip(jaxpr.invars, jaxpr.outvars[: len(carry)], strict=False)
    ):
        return None  # the original says what is wrong
    parts = _sorted(jaxpr, len(carry), len(inputs), trees[0])
    is_large = _hoisted_bytes(parts) * len(jax.tree.leaves(xs)[0]) > MOST_HOISTED_BYTES
    if not parts.products or is_large:
        return None
    return parts, [*consts, *closed.consts]


def _evaluate(jaxpr: Any, consts: Sequence[Any], arguments: Sequence[Any]) -> list[Any]:
    """The outputs of a jaxpr; functions that are compiled on their own are opened."""
    known = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *arguments], strict=True))
    for equation in jaxpr.eqns:
        values = [_value(known, variable) for variable in equation.invars]
        if equation.primitive.name in ("jit", "pjit") and "jaxpr" in equation.params:
            inner = equation.params["jaxpr"]
            found = _evaluate(inner.jaxpr, inner.consts, values)
        else:
            found = _bound(equation, values)
        known.update(zip(equation.outvars, found, strict=True))
    return [_value(known, variable) for variable in jaxpr.outvars]


def _value(known: dict[Any, Any], variable: Any) -> Any:
    return variable.val if hasattr(variable, "val") else known[variable]


def _bound(equation: Any, values: Sequence[Any]) -> list[Any]:
    """The results of one equation."""
    from jax.extend import core

    # As a jaxpr of its own: how a primitive is bound differs between versions of JAX.
    given = {
        variable: value
        for variable, value in zip(equation.invars, values, strict=True)
        if not hasattr(variable, "val")
    }
    names, results = ("",) * len(given), ("",) * len(equation.outvars)
    debug_info = core.DebugInfo("scan", str(equation.primitive), names, results)
    alone = core.Jaxpr([], list(given), equation.outvars, [equation], debug_info=debug_info)
    return list(core.jaxpr_as_fun(core.ClosedJaxpr(alone, []))(*given.values()))


def _sorted(jaxpr: Any, num_carry: int, num_inputs: int, outputs: Any) -> Parts:
    """The equations of a flat jaxpr by what they depend on."""
    carry = jaxpr.invars[:num_carry]
    inputs = jaxpr.invars[num_carry : num_carry + num_inputs]
    weights = [*jaxpr.invars[num_carry + num_inputs :], *jaxpr.constvars]
    by_carry, by_inputs = set(carry), set(inputs)
    constant, ahead, within, products = [], [], [], []
    for equation in jaxpr.eqns:
        used = {variable for variable in equation.invars if not hasattr(variable, "val")}
        if used & by_carry:
            by_carry.update(equation.outvars)
            within.append(equation)
            product = _product(equation, by_carry | by_inputs)
            products += [product] if product is not None else []
        elif used & by_inputs:
            by_inputs.update(equation.outvars)
            ahead.append(equation)
        else:
            constant.append(equation)
    return Parts(
        jaxpr, constant, ahead, within, products, carry, inputs, weights, outputs
    )  # fmt: skip


def _product(equation: Any, changing: set[Any]) -> Product | None:
    """A matrix product whose right side alone is the same at each time step."""
    import jax.numpy as jnp

    if equation.primitive.name != "dot_general":
        return None
    left, right = equation.invars
    dims = equation.params["dimension_numbers"]
    is_plain = (
        not hasattr(left, "val")
        and not hasattr(right, "val")
        and left in changing
        and right not in changing
        and dims[1] == ((), ())
        and jnp.issubdtype(right.aval.dtype, jnp.floating)
        and left.aval.dtype == right.aval.dtype
    )
    return Product(equation, dims) if is_plain else None


def _crossing(parts: Parts) -> tuple[list[Any], list[Any]]:
    """Variables that the loop uses: of the constant part and weights, and of what is ahead."""
    used: dict[Any, None] = {}
    for equation in parts.within:
        used.update(dict.fromkeys(v for v in equation.invars if not hasattr(v, "val")))
    used.update(dict.fromkeys(v for v in parts.jaxpr.outvars if not hasattr(v, "val")))
    made_within = {v for equation in parts.within for v in equation.outvars}
    made_ahead = {v for equation in parts.ahead for v in equation.outvars} | set(parts.inputs)
    fixed, stepwise = [], []
    for variable in used:
        if variable in made_ahead:
            stepwise.append(variable)
        elif variable not in made_within and variable not in parts.carry:
            fixed.append(variable)
    return fixed, stepwise


def _hoisted_bytes(parts: Parts) -> int:
    """Bytes a time step of what is computed before the loop for all of them."""
    _, stepwise = _crossing(parts)
    return sum(
        math.prod(variable.aval.shape) * variable.aval.dtype.itemsize
        for variable in stepwise
        if variable not in parts.inputs
    )


def _run(parts: Parts, loop: Any, consts: Sequence[Any], init: Any, xs: Any) -> Any:
    """The scan in its parts."""
    import jax

    known = dict(zip(parts.weights, consts, strict=True))
    _extend(known, parts.constant)
    fixed, stepwise = _crossing(parts)

    def ahead(values: Sequence[Any]) -> list[Any]:
        seen = {**known, **dict(zip(parts.inputs, values, strict=True))}
        _extend(seen, parts.ahead)
        return [seen[variable] for variable in stepwise]

    rows = jax.vmap(ahead)(jax.tree.leaves(xs))
    looped = _looped(parts, loop, fixed, stepwise)
    carry, outputs = looped([known[v] for v in fixed], jax.tree.leaves(init), rows)
    return jax.tree.unflatten(parts.outputs, [*carry, *outputs])


def _extend(known: dict[Any, Any], equations: Sequence[Any]) -> None:
    """Add the results of equations."""
    for equation in equations:
        values = [_value(known, variable) for variable in equation.invars]
        known.update(zip(equation.outvars, _bound(equation, values), strict=True))


def _looped(parts: Parts, loop: Any, fixed: list[Any], stepwise: list[Any]) -> Any:
    """`(fixed, carry, rows) -> (carry, outputs)` whose weights' gradients are products."""
    import jax
    import jax.numpy as jnp
    from jax import lax

    num_carry = len(parts.carry)
    products = {id(product.equation): product for product in parts.products}

    def body(values: Sequence[Any], carry: Sequence[Any], rows: Any, extra: Any) -> Any:
        known = dict(zip(fixed, values, strict=True))
        known.update(zip(parts.carry, carry, strict=True))
        known.update(zip(stepwise, rows, strict=True))
        lefts = []
        for equation in parts.within:
            if extra is None or id(equation) not in products:
                _extend(known, [equation])
                continue
            left, right = (known[variable] for variable in equation.invars)
            result = _watched_product(equation, left, lax.stop_gradient(right), extra[len(lefts)])
            known[equation.outvars[0]] = result
            lefts.append(left)
        found = [_value(known, variable) for variable in parts.jaxpr.outvars]
        return found[:num_carry], found[num_carry:], lefts

    def plain(values: Sequence[Any], init: Sequence[Any], rows: Any) -> Any:
        def one(carry: Any, row: Any) -> Any:
            carry, outputs, _ = body(values, carry, row, None)
            return carry, outputs

        return loop(one, list(init), rows)

    def forward(values: Sequence[Any], init: Sequence[Any], rows: Any) -> Any:
        length = len(jax.tree.leaves(rows)[0])
        zeros = [jnp.zeros((length, *each.shape), each.dtype) for each in parts.products]

        def watched(values: Any, init: Any, rows: Any, extras: Any) -> Any:
            def one(carry: Any, row: Any) -> Any:
                row, extra = row
                carry, outputs, lefts = body(values, carry, row, extra)
                return carry, (outputs, lefts)

            carry, (outputs, lefts) = loop(one, list(init), (rows, extras))
            return (carry, outputs), lefts

        found, backward, lefts = jax.vjp(watched, values, init, rows, zeros, has_aux=True)
        return found, (backward, lefts)

    def backward(kept: Any, gradient: Any) -> Any:
        pull, lefts = kept
        of_values, of_init, of_rows, of_results = pull(gradient)
        of_values = list(of_values)
        for product, left, of_result in zip(parts.products, lefts, of_results, strict=True):
            place = fixed.index(product.weight)
            of_values[place] = of_values[place] + product.weight_gradient(left, of_result)
        return of_values, of_init, of_rows

    looped = jax.custom_vjp(plain)
    looped.defvjp(forward, backward)
    return looped


def _watched_product(equation: Any, left: Any, right: Any, extra: Any) -> Any:
    """The product, whose result's gradient goes to `extra` as well as to the left side."""
    import jax
    import jax.numpy as jnp

    def product(left: Any, right: Any) -> Any:
        (found,) = _bound(equation, [left, right])
        return found

    def forward(left: Any, right: Any, extra: Any) -> Any:
        del extra
        return product(left, right), right

    def backward(right: Any, gradient: Any) -> Any:
        shape = jax.ShapeDtypeStruct(equation.invars[0].aval.shape, right.dtype)
        (of_left,) = jax.linear_transpose(lambda left: product(left, right), shape)(gradient)
        return of_left, jnp.zeros_like(right), gradient

    watched = jax.custom_vjp(lambda left, right, extra: forward(left, right, extra)[0])
    watched.defvjp(forward, backward)
    return watched(left, right, extra)
