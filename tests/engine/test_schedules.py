"""Learning-rate schedules and plans."""

import jax.numpy as jnp
import numpy as np
import pytest

from septet.engine.schedules import Plan, progress_at, scale_at


def scales(schedule: str, warmup: float = 0.2) -> np.ndarray:
    progress = jnp.linspace(0.0, 1.0, 101)
    return np.asarray(scale_at(progress, schedule, warmup))


def test_constant_stays():
    assert np.all(scales("constant") == 1.0)


def test_cosine_warms_up_linearly_and_ends_at_zero():
    found = scales("cosine")
    np.testing.assert_allclose(found[:21], np.linspace(0, 1, 21), atol=1e-6)
    assert found[20] == pytest.approx(1.0)
    assert found[60] == pytest.approx(0.5)
    assert found[-1] == pytest.approx(0.0, abs=1e-6)


def test_one_cycle_rises_to_one_and_falls_below_where_it_began():
    found = scales("one-cycle")
    assert found.argmax() == 20
    assert found[20] == pytest.approx(1.0)
    assert found[-1] < found[0] < 0.05
    assert np.all(np.diff(found[:21]) > 0)
    assert np.all(np.diff(found[20:]) < 0)


def test_inverse_square_root_rises_and_falls_with_the_root_of_progress():
    found = scales("inverse-sqrt")
    np.testing.assert_allclose(found[:21], np.linspace(0, 1, 21), atol=1e-6)
    assert found[80] == pytest.approx(0.5)
    assert found[-1] == pytest.approx(0.2**0.5)


def test_progress_is_continuous_when_the_plan_is_revised():
    plan = Plan()
    plan.revise(0, 100)
    before = plan.progress(40)
    plan.revise(40, 60)
    assert plan.progress(40) == pytest.approx(before) == pytest.approx(0.4)
    assert plan.progress(50) == pytest.approx(0.7)
    assert plan.progress(60) == pytest.approx(1.0)
    on_device = progress_at(jnp.int32(50), plan.control(1.0))
    assert float(on_device) == pytest.approx(0.7)


def test_plan_never_ends_before_where_it_stands():
    plan = Plan()
    plan.revise(0, 10)
    plan.revise(7, 3)
    assert plan.total_steps == 7
    assert plan.limit(7) == 0


def test_replay_takes_each_event_at_its_step():
    recorded = [[0, 0.0, 100], [10, 0.1, 30], [20, 0.55, 20]]
    plan = Plan(replay=[list(event) for event in recorded])
    plan.apply_replay(0)
    assert plan.limit(0) == 10
    plan.apply_replay(10)
    assert (plan.total_steps, plan.limit(10)) == (30, 10)
    plan.apply_replay(20)
    assert plan.limit(20) == 0
    assert plan.events == recorded
