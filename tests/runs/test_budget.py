"""Minutes turned into steps."""

import time

import pytest

from septet.engine.schedules import Plan
from septet.runs.budget import MARGIN, OF_SETUP, UNKNOWN_STEPS, Budget


def planned() -> Plan:
    plan = Plan()
    plan.revise(0, UNKNOWN_STEPS)
    return plan


def test_steps_fill_the_time_that_finishing_leaves():
    budget, plan = Budget(10.0, time.monotonic()), planned()
    budget.revise(plan, 100, 0.5)
    expected = 100 + MARGIN * (600.0 - budget.finish_s) / 0.5
    assert plan.total_steps == pytest.approx(expected, rel=0.01)


def test_run_ends_at_once_when_no_time_is_left():
    budget, plan = Budget(1.0, time.monotonic() - 120.0), planned()
    budget.revise(plan, 7, None)
    assert plan.total_steps == 7


def test_time_spent_before_an_interruption_counts():
    started = time.monotonic()
    assert Budget(2.0, started, spent_s=60.0).remaining_s() == pytest.approx(
        Budget(1.0, started).remaining_s(), abs=0.1
    )


def test_plan_stays_while_the_measured_speed_does():
    budget, plan = Budget(10.0, time.monotonic()), planned()
    budget.revise(plan, 100, 0.5)
    events = len(plan.events)
    budget._next = 0.0
    budget.revise(plan, 100, 0.5005)
    assert len(plan.events) == events


def test_epochs_limit_the_steps():
    budget, plan = Budget(10.0, time.monotonic(), max_steps=50), planned()
    budget.revise(plan, 10, 0.001)
    assert plan.total_steps == 50


def test_slow_machine_keeps_more_time_for_finishing_but_never_most_of_it():
    budget = Budget(1.0, time.monotonic())
    before = budget.finish_s
    budget.allow_for(setup_s=20.0, evaluation_s=2.0)
    assert budget.finish_s > before
    assert budget.finish_s == pytest.approx(20.0 * OF_SETUP + 3.0)
    budget.allow_for(setup_s=500.0)
    assert budget.finish_s == pytest.approx(24.0)
