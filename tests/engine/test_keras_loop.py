"""The loop through Keras' own `fit`: it trains as the compiled loop does, and goes on anywhere.

Here on JAX, where both can be had; `tests/backends/` runs it where it is needed.
"""

from typing import Any

import keras
import numpy as np
import pytest

from septet.engine import keras_loop
from septet.engine.keras_loop import HostFeed, KerasLoop
from septet.engine.loop import all_finite
from septet.engine.state import copied, from_tensors, shipped_weights, to_tensors
from septet.errors import CheckpointError
from tests.engine.networks import (
    BATCH_SIZE,
    compiled,
    dense,
    make_arrays,
    make_loop,
    make_plan,
    run_steps,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*__array__:DeprecationWarning")

AROUND: dict[str, Any] = {"learning_rate": 1e-2, "schedule": "one-cycle", "warmup": 0.2}


def make_keras_loop(**around) -> KerasLoop:
    """The same as `make_loop`, through Keras' own fit."""
    keras.utils.set_random_seed(0)
    model = dense()
    inputs, labels = make_arrays(model.inputs[0].shape[1:])
    compiled(model, inputs, labels)
    feed = HostFeed((inputs, labels), batch_size=BATCH_SIZE, seed=3)
    state = keras_loop.initial_state(model, with_average=True)
    return KerasLoop(model, feed, state, **{**AROUND, "average_decay": 0.9, **around})


def add_noise(key, inputs, targets):
    import jax

    noise = jax.random.normal(key, inputs["inputs"].shape)
    return {"inputs": inputs["inputs"] + noise}, (targets + noise[:, 0].astype("int32")) % 2


@pytest.mark.parametrize("augment", [None, add_noise], ids=["plain", "augmented"])
def test_it_trains_as_the_compiled_loop_does(augment):
    loops = make_loop(augment=augment), make_keras_loop(augment=augment)
    logs = [run_steps(loop, 0, 12, 3)[-1] for loop in loops]
    for name, value in logs[0].items():
        assert logs[1][name] == pytest.approx(value, rel=1e-4), name
    expected, found = (to_tensors(loop.state) for loop in loops)
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert found[name].dtype == value.dtype
        np.testing.assert_allclose(found[name], value, rtol=1e-3, atol=2e-5, err_msg=name)


def test_a_chunk_ends_when_its_time_is_over_and_changes_nothing():
    whole, pieces = make_keras_loop(), make_keras_loop(chunk_s=0.0)
    run_steps(whole, 0, 7, 100)
    control = make_plan(pieces).control(1.0)
    counts = []
    while pieces.step < 7:
        epoch, index = divmod(pieces.step, pieces.feed.steps_per_epoch)
        chunk = pieces.advance(epoch, index, 7 - pieces.step, control)
        counts.append(chunk.count)
    assert counts == [1] * 7
    for name, value in to_tensors(whole.state).items():
        np.testing.assert_array_equal(to_tensors(pieces.state)[name], value, err_msg=name)


@pytest.mark.parametrize("stop", [2, 5, 6])
def test_it_goes_on_from_a_checkpoint(stop):
    whole = make_keras_loop()
    run_steps(whole, 0, 9, 4)
    first = make_keras_loop()
    run_steps(first, 0, stop, 4)
    kept = {name: value.copy() for name, value in to_tensors(first.state).items()}
    again = make_keras_loop()
    state = from_tensors(kept, again.state)
    resumed = KerasLoop(again.model, again.feed, state, **AROUND, average_decay=0.9)
    run_steps(resumed, stop, 9, 4)
    for name, value in to_tensors(whole.state).items():
        np.testing.assert_array_equal(to_tensors(resumed.state)[name], value, err_msg=name)
    kept["trainable/00000"] = kept["trainable/00000"][:1]
    with pytest.raises(CheckpointError, match="has shape"):
        from_tensors(kept, again.state)


def test_a_loss_that_is_not_finite_names_its_step():
    loop = make_keras_loop()
    run_steps(loop, 0, 2, 2)
    inputs, _ = loop.feed.arrays
    inputs["inputs"][loop.feed.order(0)[2 * BATCH_SIZE]] = np.nan
    chunk = loop.advance(0, 2, 3, make_plan(loop).control(1.0))
    assert (chunk.bad_step, chunk.count) == (2, 1)
    assert not all_finite(loop.state)


def test_what_is_kept_of_a_state_does_not_change_with_it():
    loop = make_keras_loop()
    run_steps(loop, 0, 2, 2)
    kept = copied(shipped_weights(loop.state))
    before = [value.copy() for value in kept[0]]
    run_steps(loop, 2, 5, 2)
    moved = shipped_weights(loop.state)[0]
    for value, old, new in zip(kept[0], before, moved, strict=True):
        np.testing.assert_array_equal(value, old)
        assert not np.array_equal(old, new)
