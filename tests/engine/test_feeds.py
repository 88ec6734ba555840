"""A streamed data set trains as one that lies on the device: the same steps, bit for bit."""

from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from septet.engine import feeds
from septet.engine.feeds import Feed, ResidentFeed, StreamingFeed
from septet.engine.loop import Loop
from septet.engine.state import to_tensors
from tests.engine.networks import make_loop, run_steps


def in_files(folder: Path, tree: Any) -> Any:
    """The arrays of a pytree as memory maps of files."""
    leaves, structure = jax.tree.flatten(tree)
    for number, leaf in enumerate(leaves):
        np.save(folder / f"{number}.npy", leaf)
    maps = [np.load(folder / f"{number}.npy", mmap_mode="r") for number in range(len(leaves))]
    return jax.tree.unflatten(structure, maps)


def small_blocks(arrays: Any, *, folder: Path | None, steps: int, **options: Any) -> Feed:
    """A streaming feed whose blocks have so many steps."""
    if folder is not None:
        arrays = in_files(folder, arrays)
    leaves = jax.tree.leaves(arrays)
    row_bytes = sum(leaf.nbytes // len(leaf) for leaf in leaves)
    size = row_bytes * options["batch_size"] * steps
    return StreamingFeed(arrays, **options, workers=2, block_bytes=size)


def same(first: Loop, second: Loop) -> None:
    expected, found = to_tensors(first.state), to_tensors(second.state)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


@pytest.mark.parametrize("steps", [1, 2, 100])
@pytest.mark.parametrize("is_in_files", [True, False])
def test_every_step_is_that_of_a_resident_set(steps, is_in_files, tmp_path):
    resident = make_loop()
    folder = tmp_path if is_in_files else None
    streamed = make_loop(feed=partial(small_blocks, folder=folder, steps=steps))
    assert isinstance(streamed.feed, StreamingFeed)
    per_epoch = resident.feed.steps_per_epoch
    assert streamed.feed.steps_per_epoch == per_epoch
    assert resident.feed.tail_size
    expected = run_steps(resident, 0, 3 * per_epoch, 100)
    logs = run_steps(streamed, 0, 3 * per_epoch, 100)
    assert logs[-1] == expected[-1]
    same(resident, streamed)
    streamed.feed.close()


def test_it_can_be_entered_at_any_step(tmp_path):
    resident = make_loop()
    per_epoch = resident.feed.steps_per_epoch
    streamed = make_loop(feed=partial(small_blocks, folder=tmp_path, steps=2))
    start = streamed.state
    rows = {}
    for step in range(2 * per_epoch):
        epoch, index = divmod(step, per_epoch)
        is_tail = index == resident.feed.full_steps
        view = resident.feed.tail(epoch) if is_tail else resident.feed.view(epoch, index)
        rows[step] = _batch(resident.feed, view, is_tail)
    for step in [*range(2 * per_epoch - 1, -1, -1), 3, 3, 0]:
        epoch, index = divmod(step, per_epoch)
        is_tail = index == streamed.feed.full_steps
        view = streamed.feed.tail(epoch) if is_tail else streamed.feed.view(epoch, index)
        for expected, found in zip(rows[step], _batch(streamed.feed, view, is_tail), strict=True):
            np.testing.assert_array_equal(found, expected)
    assert streamed.state is start
    streamed.feed.close()


def _batch(feed: Feed, view: feeds.View, is_tail: bool) -> list[np.ndarray]:
    size = feed.tail_size if is_tail else feed.batch_size
    rows = np.asarray(view.order)[view.start * size : (view.start + 1) * size]
    return [np.array(leaf)[rows] for leaf in jax.tree.leaves(view.block)]


def test_what_does_not_fit_is_streamed(monkeypatch):
    arrays = ({"inputs": np.zeros((100, 4), np.float32)}, np.zeros(100, np.int32))
    assert isinstance(feeds.feed_of(arrays, batch_size=8, seed=0), ResidentFeed)
    monkeypatch.setattr("septet.engine.devices.room_for_data", lambda: 100)
    feed = feeds.feed_of(arrays, batch_size=8, seed=0)
    assert isinstance(feed, StreamingFeed)
    feed.close()
