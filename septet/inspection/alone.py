"""One layer by itself: its operations, and its time on the input it really got.

The layer is compiled as the engine compiles a training, so that the times are those of the
engine's own programs, without what neighbouring layers could share.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import keras

from septet.engine.compiling import compile_for, options_for
from septet.engine.lowering import lowered
from septet.inspection.flops import Count, count
from septet.inspection.watching import Call

LEAST_TURNS = 9
MOST_TURNS = 40
ENOUGH_S = 0.08
"""Time after which no more turns are taken once there are `LEAST_TURNS`."""


@dataclass(frozen=True)
class Timing:
    """How long a layer takes, medians of several turns.

    Args:
        forward_s: Of the layer.
        backward_s: From the gradient of its outputs to those of its weights and inputs; None
            where it was not asked for or there is nothing to differentiate.
        workspace_bytes: What XLA needs besides weights, inputs and outputs; None if not told.
    """

    forward_s: float
    backward_s: float | None
    workspace_bytes: int | None


class Workshop:
    """Compiles functions for one device, those that come out the same only once."""

    def __init__(self, platform: str):
        """See the class."""
        self._platform = platform
        self._known: dict[str, Any] = {}

    def compiled(self, function: Callable[..., Any], arguments: Sequence[Any]) -> "Ready":
        """`function`, compiled as the engine compiles, with its arguments at hand."""
        leaves, given = jax.tree.flatten(tuple(arguments))
        made: list[Any] = []

        def flat(*leaves: Any) -> list[Any]:
            outputs, structure = jax.tree.flatten(function(*jax.tree.unflatten(given, leaves)))
            made[:] = [structure]
            return outputs

        with lowered(self._platform):
            traced = jax.jit(flat).trace(*leaves)
            text = str(traced.jaxpr)
            program = None if traced.jaxpr.consts else self._known.get(text)
            if program is None:
                options = options_for(traced.jaxpr.jaxpr, self._platform)
                program = self._known[text] = compile_for(traced.lower(), options)
        return Ready(program, leaves, made[0])


@dataclass(frozen=True)
class Ready:
    """A compiled program with its arguments and the structure of what it gives."""

    program: Any
    leaves: list[Any]
    structure: Any

    def __call__(self) -> Any:
        """What it gives."""
        return jax.tree.unflatten(self.structure, self.program(*self.leaves))

    def median_s(self) -> float:
        """How long it takes, the median of several turns after one that is not counted."""
        jax.block_until_ready(self.program(*self.leaves))
        turns: list[float] = []
        while len(turns) < LEAST_TURNS or (len(turns) < MOST_TURNS and sum(turns) < ENOUGH_S):
            before = time.perf_counter()
            jax.block_until_ready(self.program(*self.leaves))
            turns.append(time.perf_counter() - before)
        return statistics.median(turns)

    def workspace_bytes(self) -> int | None:
        """What XLA needs besides arguments and results; None if not told."""
        try:
            return int(self.program.memory_analysis().temp_size_in_bytes)
        except (AttributeError, NotImplementedError, TypeError):
            return None


class Alone:
    """A call of a layer as a pure function of (weights, other variables, floats, the rest)."""

    def __init__(self, call: Call):
        """Take its layer, with the values its variables have now, and its arguments."""
        self._layer = call.layer
        leaves, self._structure = jax.tree.flatten((call.arguments, call.named))
        self._leaves = leaves
        arrays = [place for place, leaf in enumerate(leaves) if isinstance(leaf, jax.Array)]
        self._float_places = [place for place in arrays if _is_float(leaves[place])]
        self._other_places = [place for place in arrays if not _is_float(leaves[place])]
        self._floats = [leaves[place] for place in self._float_places]
        self._others = [leaves[place] for place in self._other_places]
        self._trainable, self._fixed = [], []
        if isinstance(call.layer, keras.Layer):
            self._trainable = [variable.value for variable in call.layer.trainable_variables]
            self._fixed = [variable.value for variable in call.layer.non_trainable_variables]

    def count(self) -> Count:
        """Its floating-point operations."""
        traced = jax.make_jaxpr(self._apply)(
            self._trainable, self._floats, self._fixed, self._others
        )
        return count(traced.jaxpr)

    def time(self, workshop: Workshop, *, with_backward: bool) -> Timing:
        """How long it takes on this device."""
        arguments = (self._trainable, self._floats, self._fixed, self._others)
        forward = workshop.compiled(self._apply, arguments)
        backward_s = self._time_backward(arguments, workshop) if with_backward else None
        return Timing(forward.median_s(), backward_s, forward.workspace_bytes())

    def _time_backward(self, arguments: tuple[Any, ...], workshop: Workshop) -> float | None:
        if not self._trainable and not self._floats:
            return None

        def prepare(trainable: Any, floats: Any, fixed: Any, others: Any) -> Any:
            def differentiable(trainable: Any, floats: Any) -> Any:
                outputs, rest = self._apply(trainable, floats, fixed, others)
                made = jax.tree.leaves(outputs)
                return [value for value in made if _is_float(value)], rest

            outputs, pull_back, _ = jax.vjp(differentiable, trainable, floats, has_aux=True)
            return outputs, pull_back

        def pull(pull_back: Any, slopes: Any) -> Any:
            return pull_back(slopes)

        outputs, pull_back = workshop.compiled(prepare, arguments)()
        if not outputs:
            return None
        given = (pull_back, [jnp.ones_like(value) for value in outputs])
        return workshop.compiled(pull, given).median_s()

    def _apply(self, trainable: Any, floats: Any, fixed: Any, others: Any) -> tuple[Any, Any]:
        """(outputs, new values of the other variables)."""
        leaves = list(self._leaves)
        for places, values in ((self._float_places, floats), (self._other_places, others)):
            for place, value in zip(places, values, strict=True):
                leaves[place] = value
        arguments, named = jax.tree.unflatten(self._structure, leaves)
        if not isinstance(self._layer, keras.Layer):
            return self._layer(*arguments, **named), []
        given: Any = self._layer.stateless_call(trainable, fixed, *arguments, **named)
        return given


def _is_float(value: Any) -> bool:
    return jnp.issubdtype(value.dtype, jnp.floating)
