"""How far a layer of ours is from PyTorch's, forwards and backwards, lowered or as it is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from septet.engine.lowering import lowered
from tests.engine.native.compiled import native
from tests.models.parity.copying import Copy, copies
from tests.models.parity.recorded import Recorded, recorded

Forward = Callable[..., Any]
Built = tuple[Sequence[tuple[Any, str]], Forward]
QUICKLY = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
"""Programs that run once are compiled in a fraction of the time."""
KINDS = ("outputs", "weight_gradients", "input_gradients", "buffers")


@dataclass(frozen=True)
class Case:
    """A counterpart of what was recorded.

    Args:
        reference: The name under which it was.
        build: Gives (layers and their prefixes, a function of the inputs by name).
        expected: Changes what was recorded to what is to be compared, where conventions differ.
    """

    reference: str
    build: Callable[[], Built]
    expected: Callable[[Recorded], Recorded] = lambda reference: reference


def differences(case: Case, is_lowered: bool, is_native: bool = False) -> dict[str, float]:
    """Largest absolute difference of outputs, gradients and buffers, where there are some.

    Args:
        case: What is compared.
        is_lowered: Trace as the engine does on a CPU, else as Keras does.
        is_native: Compute by the native compiler, as the engine does where it can.
    """
    reference = case.expected(recorded()[case.reference])
    inputs = {name: jnp.asarray(value) for name, value in reference.inputs.items()}
    # Layers are built by what they are first given; within the scope they draw no weights.
    with keras.StatelessScope(initialize_variables=False):
        pairs, forward = case.build()
        jax.eval_shape(lambda: forward(**inputs))
    rules = [copy for layer, prefix in pairs for copy in copies(layer, prefix)]
    # A layer that is used at two places is listed once.
    rules = list({id(rule.variable): rule for rule in rules}.values())
    check_all_are_copied(pairs, rules)
    moving = [rule for rule in rules if rule.variable.trainable]
    fixed = [rule for rule in rules if not rule.variable.trainable]
    values = [[jnp.asarray(r.value(reference.weights)) for r in rs] for rs in (moving, fixed)]
    followed = {name: inputs[name] for name in reference.input_gradients}

    def run(weights: Any, followed: Any, fixed_values: Any) -> Any:
        variables = [rule.variable for rule in (*moving, *fixed)]
        mapping = list(zip(variables, (*weights, *fixed_values), strict=True))
        with keras.StatelessScope(state_mapping=mapping) as scope:
            outputs = forward(**{**inputs, **followed})
            after = [scope.get_current_value(rule.variable) for rule in fixed]
        outputs = list(outputs) if isinstance(outputs, tuple | list) else [outputs]
        return outputs, after

    def both_ways(weights: Any, followed: Any, fixed_values: Any, given: Any) -> Any:
        def forwards(weights: Any, followed: Any) -> Any:
            return run(weights, followed, fixed_values)

        if not given:
            return *forwards(weights, followed), None
        outputs, pull, after = jax.vjp(forwards, weights, followed, has_aux=True)
        return outputs, after, pull(given)

    given = [jnp.asarray(value) for value in reference.cotangents.values()]
    with lowered("cpu" if is_lowered else "as it is"):
        if is_native:
            outputs, after, gradients = in_c(both_ways, values[0], followed, values[1], given)
        else:
            program = jax.jit(both_ways).lower(values[0], followed, values[1], given)
            run_once = program.compile(QUICKLY)
            outputs, after, gradients = run_once(values[0], followed, values[1], given)
    found = {"outputs": farthest(outputs, list(reference.outputs.values()))}
    if gradients is not None:
        of_weights, of_inputs = gradients
        wanted = [rule.gradient(reference.weight_gradients) for rule in moving]
        if moving:
            found["weight_gradients"] = farthest(of_weights, wanted)
        if followed:
            wanted = [reference.input_gradients[name] for name in followed]
            found["input_gradients"] = farthest([of_inputs[name] for name in followed], wanted)
    if reference.buffers_after and fixed:
        found["buffers"] = farthest(after, [rule.value(reference.buffers_after) for rule in fixed])
    return found


def in_c(function: Any, *arguments: Any) -> Any:
    """What `function` gives, computed by the native compiler."""
    leaves, tree = jax.tree.flatten(arguments)
    flat = jax.jit(lambda *given: function(*jax.tree.unflatten(tree, given)))
    shape = jax.tree.structure(flat.eval_shape(*leaves))
    return jax.tree.unflatten(shape, native(flat, *leaves))


def check_all_are_copied(pairs: Sequence[tuple[Any, str]], rules: Sequence[Copy]) -> None:
    """No weight keeps a value of its own."""
    known = {id(rule.variable) for rule in rules}
    for layer, _ in pairs:
        for variable in layer.weights:
            assert id(variable) in known, f"{variable.path} is not copied"


def farthest(found: Sequence[Any], expected: Sequence[np.ndarray]) -> float:
    """Largest absolute difference; not a number where shapes differ."""
    largest = 0.0
    for one, other in zip(found, expected, strict=True):
        if one.shape != other.shape:
            return float("nan")
        apart = np.abs(np.asarray(one, np.float64) - other)
        largest = max(largest, float(apart.max(initial=0.0)))
        if np.isnan(apart).any():
            return float("nan")
    return largest
