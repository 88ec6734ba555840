"""Training on from weights that were learned before: parts held still, then at rates of their own.

Everything is a function of the run's progress, inside the one program, so that a resumed run
is the uninterrupted one. While all that was learned before stands still, its part of the
backward pass is not computed.
"""

import contextlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from septet.engine.schedules import Control, progress_at
from septet.errors import ConfigError


@dataclass(frozen=True)
class Tuning:
    """Which variables move when, and how fast.

    Args:
        groups: Of each trainable variable: 0 for what is nearest to the input, the highest for
            what is new, which is never held.
        frozen: Share of the run in which only what is new is trained.
        thawing: Share of the run after that over which groups are freed one by one, the last
            first (Howard and Ruder, arXiv:1801.06146); 0 frees them together.
        decay: What each group's rate is multiplied by for every group between it and the new.
        kept: Places of variables that never move, as the scales and offsets of normalisations of
            batches; these then use and keep the statistics that they have.
    """

    groups: tuple[int, ...]
    frozen: float = 0.0
    thawing: float = 0.0
    decay: float = 1.0
    kept: frozenset[int] = frozenset()

    @property
    def new(self) -> int:
        """The group of what is new."""
        return max(self.groups)

    def freed_at(self, group: int) -> float:
        """Progress from which a group is trained."""
        if group == self.new or self.frozen == 0.0 == self.thawing:
            return 0.0
        behind = self.new - 1 - group
        return self.frozen + self.thawing * behind / max(self.new - 1, 1)

    @property
    def old(self) -> frozenset[int]:
        """Places of all variables that were learned before."""
        return frozenset(place for place, group in enumerate(self.groups) if group != self.new)


def require_start(options: Any) -> None:
    """Refuse settings that are for given weights where there are none.

    Args:
        options: With `pretrained`, `frozen`, `thawing`, `layer_decay` and, of pictures,
            `frozen_norms`.

    Raises:
        ConfigError: One of the others is set, and the first is not.
    """
    if options.pretrained is not None:
        return
    unset = {"frozen": None, "layer_decay": None, "thawing": 0.0, "frozen_norms": False}
    for name, nothing in unset.items():
        if getattr(options, name, nothing) != nothing:
            raise ConfigError(
                f"Setting 'model.{name}' is for networks that start from weights. Give them with "
                f"model.pretrained, or leave model.{name} out."
            )


def rates(tuning: Tuning, step: Any, control: Control, beta: float | None) -> list[Any]:
    """What each variable's update is multiplied by at `step`: float32 scalars.

    Args:
        tuning: Groups and when they are freed.
        step: Steps done.
        control: The plan.
        beta: Decay of the mean of squared gradients, where the optimizer keeps one. It is zero
            while no gradient comes, in the share `frozen`, and Adam's correction, which counts
            from the run's first step, then takes it for too small.
    """
    import jax.numpy as jnp

    progress = progress_at(step, control)
    left = jnp.maximum(control.total_steps - control.from_step, 1).astype(jnp.float32)
    steps_a_share = left / jnp.maximum(1.0 - control.from_progress, 1e-6)
    late = jnp.float32(1.0)
    if beta is not None and tuning.frozen > 0.0:
        since = jnp.maximum((progress - tuning.frozen) * steps_a_share, 0.0)
        counted = [1.0 - jnp.power(jnp.float32(beta), steps + 1.0) for steps in (since, step)]
        late = jnp.sqrt(counted[0] / jnp.maximum(counted[1], counted[0]))
    found: dict[int, Any] = {}
    for group in sorted(set(tuning.groups)):
        freed = tuning.freed_at(group)
        rate = jnp.float32(tuning.decay ** (tuning.new - group))
        if freed > 0.0:
            rate = jnp.where(progress >= freed, rate * late, 0.0)
        found[group] = rate
    nothing = jnp.float32(0.0)
    return [
        nothing if place in tuning.kept else found[group]
        for place, group in enumerate(tuning.groups)
    ]


def tuned_train_step(
    model: Any, tuning: Tuning, parts: tuple[Any, ...], batch: Any, step: Any, control: Control
) -> tuple[Any, tuple[Any, ...]]:
    """`model.train_step(parts, batch)` with updates at the rates of `tuning`.

    Args:
        model: Built and compiled.
        tuning: Groups and when they are freed.
        parts: (trainable, non-trainable, optimizer, metrics) values.
        batch: Of one step.
        step: Steps done.
        control: The plan.
    """
    from jax import lax

    def all_move(parts: Any, batch: Any) -> Any:
        with held(model, tuning.kept):
            return model.train_step(parts, batch)

    def new_moves(parts: Any, batch: Any) -> Any:
        with held(model, tuning.kept | tuning.old):
            return model.train_step(parts, batch)

    before = parts[0]
    if tuning.frozen:
        is_frozen = progress_at(step, control) < tuning.frozen
        logs, parts = lax.cond(is_frozen, new_moves, all_move, parts, batch)
    else:
        logs, parts = all_move(parts, batch)
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    found = rates(tuning, step, control, getattr(optimizer, "beta_2", None))
    moved = [
        old + rate.astype(old.dtype) * (new - old)
        for old, new, rate in zip(before, parts[0], found, strict=True)
    ]
    return logs, (moved, *parts[1:])


@contextlib.contextmanager
def held(model: Any, still: Collection[int]) -> Iterator[None]:
    """Trace `model` with the trainable variables of these places held still.

    No gradient reaches them, and normalisations of batches all of whose variables are held use
    and keep the statistics that they have.
    """
    import keras
    from jax import lax

    if not still:
        yield
        return
    own = model.stateless_call

    def call(trainable: Sequence[Any], *rest: Any, **more: Any) -> Any:
        stopped = [
            lax.stop_gradient(value) if place in still else value
            for place, value in enumerate(trainable)
        ]
        return own(stopped, *rest, **more)

    fixed = {
        id(variable) for place, variable in enumerate(model.trainable_variables) if place in still
    }
    norms = [
        layer
        for layer in model._flatten_layers(include_self=False)
        if isinstance(layer, keras.layers.BatchNormalization)
        and all(id(variable) in fixed for variable in layer.trainable_variables)
    ]
    model.stateless_call = call
    calls = [_at_rest(layer) for layer in norms]
    try:
        for layer, at_rest in zip(norms, calls, strict=True):
            layer.call = at_rest
        yield
    finally:
        del model.stateless_call
        for layer in norms:
            layer.__dict__.pop("call", None)


def _at_rest(layer: Any) -> Any:
    """A layer's call, as in prediction."""
    own = layer.call

    def call(inputs: Any, training: Any = None, mask: Any = None) -> Any:
        del training
        return own(inputs, training=False, mask=mask)

    return call
