"""A time budget: turns the minutes that are left into steps, by measured speed."""

import time

from septet.engine.schedules import Plan

UNKNOWN_STEPS = 10_000_000
FINISH_S = 8.0
MOST_FINISH = 0.4
"""Largest share of the minutes that is kept for the test, the pictures and saving."""
OF_SETUP = 0.65
"""Seconds of finishing for a second of setting up, where that is more than `FINISH_S`."""
MARGIN = 0.97


class Budget:
    """Minutes that a run may take in all, counted from `started`.

    Args:
        minutes: The promise.
        started: `time.monotonic()` when the run was asked for.
        spent_s: Seconds that earlier, interrupted parts of the run took.
        max_steps: Never plan for more than this, or None.
    """

    def __init__(
        self, minutes: float, started: float, *, spent_s: float = 0.0, max_steps: int | None = None
    ):
        """See the class."""
        self.deadline = started + 60.0 * minutes - spent_s
        self.max_steps = max_steps or UNKNOWN_STEPS
        self.most_finish_s = MOST_FINISH * 60.0 * minutes
        self.finish_s = min(FINISH_S, self.most_finish_s)
        self.interval_s = max(1.0, min(10.0, 0.02 * 60.0 * minutes))
        self._next = 0.0

    def remaining_s(self) -> float:
        """Seconds left for steps and validation, after what finishing takes."""
        return self.deadline - self.finish_s - time.monotonic()

    def allow_for(self, *, setup_s: float = 0.0, evaluation_s: float = 0.0) -> None:
        """Keep time for finishing: a slow machine draws as slowly as it reads and compiles.

        A first start, whose packages are read and compiled anew, sets up in 20 s and finishes
        in 11.

        Args:
            setup_s: Seconds from the beginning to the first step.
            evaluation_s: Seconds that the test will take.
        """
        needed = max(FINISH_S, OF_SETUP * setup_s) + 1.5 * evaluation_s
        self.finish_s = max(self.finish_s, min(needed, self.most_finish_s))

    def revise(self, plan: Plan, step: int, step_s: float | None) -> None:
        """Fit the plan to the time left, if a measurement is there and one is due.

        Args:
            plan: Of the run; `total_steps` is revised.
            step: Where the run stands.
            step_s: Seconds a step takes, with its share of validation; None: not known.
        """
        remaining = self.remaining_s()
        if remaining <= 0.0:
            plan.revise(step, step)
            return
        now = time.monotonic()
        if step_s is None or now < self._next:
            return
        self._next = now + self.interval_s
        total = min(step + max(1, int(MARGIN * remaining / step_s)), self.max_steps)
        if abs(total - plan.total_steps) > 0.01 * plan.total_steps:
            plan.revise(step, total)
