"""The compiled loop: chunks change nothing, nothing is compiled twice, everything is trained on."""

import hashlib

import numpy as np
import pytest

from septet.engine import program
from septet.engine.loop import Loop, all_finite
from septet.engine.state import from_tensors, shipped_weights, to_tensors
from septet.errors import CheckpointError
from tests.engine.networks import convolutional, dense, make_loop, make_plan, run_steps


def digest(loop: Loop) -> str:
    whole = hashlib.sha256()
    for name, value in sorted(to_tensors(loop.state).items()):
        whole.update(name.encode() + value.tobytes())
    return whole.hexdigest()


@pytest.mark.parametrize("build", [dense, pytest.param(convolutional, marks=pytest.mark.slow)])
def test_state_does_not_depend_on_the_length_of_chunks(build):
    digests = set()
    for limit in (1, 3, 100):
        loop = make_loop(build)
        run_steps(loop, 0, 12, limit)
        digests.add(digest(loop))
    assert len(digests) == 1


def test_step_is_traced_once_for_each_batch_size():
    loop = make_loop()
    for limit in (1, 2, 4):
        run_steps(loop, 0, 10, limit)
    # One tracing finds the shape of the logs, one makes the program; for both batch sizes.
    assert loop.num_traces == 2


def test_steps_of_a_run_are_to_give_the_same_bits_on_a_gpu(monkeypatch):
    asked = []

    def options_for(jaxpr, platform, *, repeatable):
        asked.append(repeatable)
        return {}

    monkeypatch.setenv("SEPTET_NATIVE", "0")
    monkeypatch.setattr(program, "options_for", options_for)
    run_steps(make_loop(), 0, 5, 100)
    assert len(asked) == 2
    assert all(asked)


def test_loss_falls():
    logs = run_steps(make_loop(), 0, 50, 100)
    assert logs[-1]["loss"] < 0.7 * logs[0]["loss"]


@pytest.mark.slow
def test_resuming_at_every_step_of_two_epochs_ends_at_the_same_state():
    whole = make_loop()
    saved = {0: to_tensors(whole.state)}
    for step in range(10):
        run_steps(whole, step, step + 1, 1)
        saved[step + 1] = {name: value.copy() for name, value in to_tensors(whole.state).items()}
    expected = digest(whole)
    resumed = make_loop()
    for step, tensors in saved.items():
        resumed.state = from_tensors(tensors, resumed.state)
        run_steps(resumed, step, 10, 4)
        assert digest(resumed) == expected, f"resumed at step {step}"


@pytest.mark.slow
@pytest.mark.parametrize("group", ["trainable", "non_trainable", "optimizer", "metrics", "average"])
def test_resuming_without_one_part_of_the_state_ends_elsewhere(group):
    whole = make_loop()
    run_steps(whole, 0, 3, 1)
    tensors = {name: value.copy() for name, value in to_tensors(whole.state).items()}
    run_steps(whole, 3, 9, 4)
    for name, value in tensors.items():
        if name.startswith(group):
            tensors[name] = np.zeros_like(value)
    damaged = make_loop()
    damaged.state = from_tensors(tensors, damaged.state)
    logs = run_steps(damaged, 3, 5, 4)
    whole_again = make_loop()
    expected_logs = run_steps(whole_again, 0, 5, 5)
    run_steps(damaged, 5, 9, 4)
    assert digest(damaged) != digest(whole) or logs[-1] != expected_logs[-1]


@pytest.mark.slow
def test_every_example_of_an_epoch_is_trained_on_once():
    loop = make_loop(average_decay=None)
    seen = []
    feed = loop.feed
    order = feed.order(0)
    for index in range(feed.steps_per_epoch):
        seen.extend(order[index * feed.batch_size : (index + 1) * feed.batch_size])
    assert sorted(seen) == list(range(feed.num_examples))
    # Keras' own loss tracker counts the examples that the steps really saw.
    run_steps(loop, 0, feed.steps_per_epoch, 100)
    counts = [float(value) for value in loop.state.metrics]
    assert feed.num_examples in counts


@pytest.mark.slow
def test_non_finite_loss_names_its_first_step():
    loop = make_loop(average_decay=None)
    run_steps(loop, 0, 2, 2)
    broken = [value * np.nan for value in loop.state.trainable]
    loop.state = loop.state._replace(trainable=broken)
    loop.pace.count = 2
    chunk = loop.advance(0, 2, 2, make_plan(loop).control(1.0))
    assert chunk.bad_step == 2
    assert not all_finite(loop.state)


@pytest.mark.slow
def test_finite_state_is_found_finite():
    assert all_finite(make_loop().state)


@pytest.mark.slow
def test_average_lags_behind_the_weights():
    loop = make_loop(average_decay=0.99)
    run_steps(loop, 0, 20, 20)
    average, _ = shipped_weights(loop.state)
    distance = max(
        float(np.abs(np.asarray(a) - np.asarray(b)).max())
        for a, b in zip(average, loop.state.trainable, strict=True)
    )
    assert 0.0 < distance < 1.0


@pytest.mark.slow
def test_restoring_another_models_state_names_the_variable():
    tensors = to_tensors(make_loop().state)
    tensors["trainable/00000"] = np.zeros((2, 2), np.float32)
    with pytest.raises(CheckpointError, match=r"trainable/00000.*\(2, 2\).*\(5, 8\)"):
        from_tensors(tensors, make_loop().state)
    del tensors["trainable/00000"]
    with pytest.raises(CheckpointError, match=r"trainable/00000.*missing"):
        from_tensors(tensors, make_loop().state)
