"""The learning rate over a run, as a function of progress, and the plan of a run's length.

Progress runs from 0 to 1 and is continuous when the plan is revised: a time budget turns
into steps by measured speed, and each revision is an event that can be replayed.
"""

import functools
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Control(NamedTuple):
    """What the program needs to know the learning rate of any step: traced scalars."""

    from_step: Any
    from_progress: Any
    total_steps: Any
    scale: Any


def scale_at(progress: Any, schedule: str, warmup: float) -> Any:
    """What the highest learning rate is multiplied by at `progress` in [0, 1].

    "one-cycle" rises and falls by half cosines, down to 1e-3 (Smith and Topin,
    arXiv:1708.07120); "cosine" rises linearly and falls to 0 (Loshchilov and Hutter,
    arXiv:1608.03983); "inverse-sqrt" rises linearly and falls with the root of progress (Vaswani
    et al., arXiv:1706.03762); "constant" and "plateau" stay at 1 (plateau scales on the host).
    """
    import jax.numpy as jnp

    if schedule in ("constant", "plateau"):
        return jnp.ones_like(progress)
    rise = jnp.clip(progress / max(warmup, 1e-6), 0.0, 1.0)
    if schedule == "inverse-sqrt":
        first = max(warmup, 1e-6)
        return jnp.minimum(rise, jnp.sqrt(first / jnp.maximum(progress, first)))
    fall = jnp.clip((progress - warmup) / max(1.0 - warmup, 1e-6), 0.0, 1.0)
    down = 0.5 * (1.0 + jnp.cos(jnp.pi * fall))
    if schedule == "cosine":
        return jnp.where(progress < warmup, rise, down)
    up = 0.04 + 0.96 * 0.5 * (1.0 - jnp.cos(jnp.pi * rise))
    return jnp.where(progress < warmup, up, 1e-3 + (1.0 - 1e-3) * down)


def progress_at(step: Any, control: Control) -> Any:
    """Progress of `step` by the latest plan."""
    import jax.numpy as jnp

    done = (step - control.from_step).astype(jnp.float32)
    ahead = jnp.maximum(control.total_steps - control.from_step, 1).astype(jnp.float32)
    return control.from_progress + (1.0 - control.from_progress) * done / ahead


def rate_at(step: Any, control: Control, schedule: str, warmup: float) -> Any:
    """What the highest learning rate is multiplied by at `step`."""
    return control.scale * scale_at(progress_at(step, control), schedule, warmup)


@functools.cache
def rate_program(schedule: str, warmup: float) -> Any:
    """`rate_at` compiled, for the host: `(step, control) -> scale`."""
    import jax

    return jax.jit(lambda step, control: rate_at(step, control, schedule, warmup))


@dataclass
class Plan:
    """How many steps the run will have, with every revision of that number.

    Args:
        events: [step, progress at that step, total steps from then on], by step.
        replay: Events still to come when a recorded run is repeated.
    """

    events: list[list[float]] = field(default_factory=list)
    replay: list[list[float]] = field(default_factory=list)

    @property
    def total_steps(self) -> int:
        """Steps of the whole run by the latest plan."""
        return int(self.events[-1][2])

    def progress(self, step: int) -> float:
        """Share of the run that lies behind `step`."""
        from_step, from_progress, total = self.events[-1]
        share = (step - from_step) / max(total - from_step, 1)
        return min(1.0, from_progress + (1.0 - from_progress) * share)

    def to_json(self) -> list[dict[str, float]]:
        """The events by name, for the receipt."""
        names = ("step", "progress", "total_steps")
        return [dict(zip(names, event, strict=True)) for event in self.events]

    @classmethod
    def replaying(cls, events: list[dict[str, float]]) -> "Plan":
        """A plan that will take the decisions that `to_json` wrote down."""
        return cls(
            replay=[[event["step"], event["progress"], event["total_steps"]] for event in events]
        )

    def revise(self, step: int, total_steps: int) -> None:
        """From `step` on, the run has `total_steps` steps in all."""
        total_steps = max(int(total_steps), step)
        progress = self.progress(step) if self.events else 0.0
        if self.events and self.events[-1][0] == step:
            self.events.pop()
        self.events.append([step, progress, total_steps])

    def apply_replay(self, step: int) -> None:
        """Take over recorded events that were due by `step`."""
        while self.replay and self.replay[0][0] <= step:
            self.events.append(self.replay.pop(0))

    def limit(self, step: int) -> int:
        """Steps that may run before the plan must be looked at again."""
        ends = [self.total_steps - step]
        if self.replay:
            ends.append(int(self.replay[0][0]) - step)
        return max(0, min(ends))

    def control(self, scale: float) -> Control:
        """The latest event for the program, with the plateau's `scale`."""
        import numpy as np

        step, progress, total = self.events[-1]
        return Control(np.int32(step), np.float32(progress), np.int32(total), np.float32(scale))
