"""Batches of rows of about one length: all rows, little padding, an order of the seed's."""

import threading
import time

import numpy as np
import pytest

from septet.engine.buckets import (
    FEWEST_STEPS,
    MOST_SIZES,
    STRETCH,
    WASTE,
    batched,
    choose_sizes,
    padding,
)
from septet.engine.feeds import BucketFeed, ResidentFeed, feed_of
from septet.engine.loop import Loop
from septet.engine.program import Program, keras_step
from septet.engine.schedules import Control
from septet.engine.state import create_metrics, initial_state


def lengths_of(count=4000, seed=0):
    return np.clip(np.random.default_rng(seed).geometric(1 / 20, count), 1, 96)


@pytest.mark.parametrize("batch_size", [16, 64])
@pytest.mark.parametrize("shape", ["geometric", "even", "two", "movies"])
def test_at_most_a_fifth_of_all_places_is_padding(shape, batch_size):
    random = np.random.default_rng(1)
    lengths, longest = {
        "geometric": (lengths_of(20_000), 96),
        "even": (random.integers(1, 513, 40_000), 512),
        "two": (random.choice([7, 500], 20_000), 512),
        "movies": (np.clip(random.normal(21, 10, 9000).astype(int), 1, 60), 48),
    }[shape]
    sizes = choose_sizes(lengths, longest, batch_size)
    assert sizes == tuple(sorted(set(sizes)))
    assert sizes[-1] == longest
    assert len(sizes) <= MOST_SIZES
    assert padding(lengths, sizes) <= 0.2
    kinds = np.searchsorted(sizes, np.minimum(lengths, longest))
    assert np.bincount(kinds, minlength=len(sizes)).min() >= FEWEST_STEPS * batch_size
    # What is left over of a size goes with a larger one, and that is counted here.
    order, of_batches = batched(kinds, batch_size, 0, 5)
    places = (np.array(sizes)[of_batches] * batch_size).sum() + longest * (len(order) % batch_size)
    assert 1.0 - np.minimum(lengths, longest).sum() / places <= 0.2


def test_sizes_are_as_few_as_do_and_leave_as_little_padding_as_can_be():
    lengths, longest, batch_size = lengths_of(6000), 32, 16
    sizes = choose_sizes(lengths, longest, batch_size)
    from itertools import combinations

    def allowed(chosen):
        counts = np.bincount(np.searchsorted(chosen, np.minimum(lengths, longest)))
        return len(counts) == len(chosen) and counts.min() >= FEWEST_STEPS * batch_size

    def least(count):
        every = combinations(range(4, longest, 4), count - 1)
        return min(
            padding(lengths, (*chosen, longest)) for chosen in every if allowed((*chosen, longest))
        )

    assert padding(lengths, sizes) == pytest.approx(least(len(sizes)))
    assert padding(lengths, sizes) <= WASTE < least(len(sizes) - 1)


def test_small_sets_and_full_rows_have_one_length():
    assert choose_sizes(lengths_of(100), 96, 16) == (96,)
    assert choose_sizes(np.full(10_000, 20), 24, 16) == (24,)
    assert choose_sizes(np.zeros(10_000, int), 8, 16)[-1] == 8


@pytest.mark.parametrize("count", [1000, 1024, 17, 5])
def test_every_row_comes_once_in_a_batch_that_it_fits_into(count):
    sizes = (8, 24, 96)
    lengths = lengths_of(count)
    kinds = np.searchsorted(sizes, lengths)
    batch_size = min(16, count)
    order, of_batches = batched(kinds, batch_size, 7, 3)
    assert sorted(order.tolist()) == list(range(count))
    assert order.dtype == np.int32
    assert len(of_batches) == count // batch_size
    for number, kind in enumerate(of_batches):
        rows = order[number * batch_size : (number + 1) * batch_size]
        assert lengths[rows].max() <= sizes[kind]
        # Only what one size had left over goes with the next.
        assert (kinds[rows] < kind).sum() < batch_size


def test_the_order_is_another_each_epoch_and_the_same_each_time():
    kinds = np.searchsorted((8, 24, 96), lengths_of())
    first, again = batched(kinds, 16, 7, 0), batched(kinds, 16, 7, 0)
    assert (first[0] == again[0]).all()
    assert (first[1] == again[1]).all()
    for other in (batched(kinds, 16, 7, 1), batched(kinds, 16, 8, 0)):
        assert (first[0] != other[0]).any()
    # Short and long batches are mixed over the whole epoch.
    runs = np.flatnonzero(np.diff(first[1])).tolist()
    assert len(runs) > len(first[1]) / STRETCH / 3
    halves = np.array_split(first[1], 2)
    assert abs(halves[0].mean() - halves[1].mean()) < 0.4


CONTROL = Control(np.int32(0), np.float32(0), np.int32(40), np.float32(1))


def texts(count=700):
    random = np.random.default_rng(3)
    lengths = np.clip(random.geometric(0.2, count), 1, 16)
    tokens = random.integers(1, 30, (count, 16)).astype(np.int32)
    tokens[np.arange(16)[None] >= lengths[:, None]] = 0
    return ({"tokens": tokens}, (tokens[:, 0] % 2).astype(np.int32)), lengths


def loop_of(feed):
    import keras

    from septet.models.text import bag

    keras.utils.set_random_seed(0)
    model = bag(vocabulary_size=30, num_outputs=2, dim=4, buckets=40)
    model.compile(
        optimizer=keras.optimizers.Adam(1e-2),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    from septet.engine.feeds import example_batch

    create_metrics(model, example_batch(feed))
    step = keras_step(model, learning_rate=1e-2, schedule="constant", warmup=0.0)
    loop = Loop(step, feed, initial_state(model, with_average=False), platform="cpu")
    loop.compile(CONTROL)
    return loop


def test_chunks_of_any_number_of_steps_end_in_the_same_bits():
    import jax

    arrays, lengths = texts()
    feed = feed_of(arrays, batch_size=16, seed=1, lengths=lengths)
    assert isinstance(feed, BucketFeed)
    assert len(feed.sizes) > 1
    found = []
    for most in (1, 1000):
        loop = loop_of(feed)
        for epoch in range(2):
            index = 0
            while index < feed.steps_per_epoch:
                loop.pace.count = most
                index += loop.advance(epoch, index, most, CONTROL).count
            assert index == feed.steps_per_epoch
        assert loop.num_traces == len(feed.sizes) + 1
        found.append([np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(loop.state)])
    assert found[0] == found[1]


def test_batches_are_the_rows_without_what_is_padding_in_all_of_them():
    arrays, lengths = texts()
    feed = feed_of(arrays, batch_size=16, seed=1, lengths=lengths)
    assert isinstance(feed, BucketFeed)
    order = feed.order(0)
    for index in range(feed.full_steps):
        view = feed.view(0, index)
        rows = order[index * 16 : (index + 1) * 16]
        inputs, targets = feed.gathers[view.kind](view.block, rows)
        size = feed.sizes[view.kind]
        assert (np.asarray(inputs["tokens"]) == arrays[0]["tokens"][rows, :size]).all()
        assert (arrays[0]["tokens"][rows, size:] == 0).all()
        assert (np.asarray(targets) == arrays[1][rows]).all()


def test_what_is_padding_is_said():
    arrays, lengths = texts()
    said = []
    feed_of(arrays, batch_size=16, seed=1, lengths=lengths, note=said.append)
    assert len(said) == 1
    assert "of all places are padding; in rows of one length 69%" in said[0]
    plain = feed_of(arrays, batch_size=16, seed=1)
    assert type(plain) is ResidentFeed


def test_after_a_step_that_is_not_finite_no_batch_of_another_length_follows():
    (inputs, targets), lengths = texts()
    weights = np.full(len(targets), np.nan, np.float32)
    feed = feed_of((inputs, targets, weights), batch_size=16, seed=1, lengths=lengths)
    first = feed.view(0, 0).steps
    assert first < feed.full_steps
    loop = loop_of(feed)
    loop.pace.count = feed.full_steps
    chunk = loop.advance(0, 0, feed.full_steps, CONTROL)
    assert chunk.bad_step == 0
    assert chunk.count == first


def test_the_wait_for_a_program_that_still_compiles_is_not_time_of_steps(monkeypatch):
    arrays, lengths = texts()
    feed = feed_of(arrays, batch_size=16, seed=1, lengths=lengths)
    compiled = Program.compile

    def slowly(program: Program) -> None:
        if threading.current_thread() is not threading.main_thread():
            time.sleep(2.0)
        compiled(program)

    monkeypatch.setattr(Program, "compile", slowly)
    loop = loop_of(feed)
    loop.pace.count = feed.full_steps
    begin = time.monotonic()
    chunk = loop.advance(0, 0, feed.full_steps, CONTROL)
    assert chunk.seconds < time.monotonic() - begin - 1.0
    assert loop.pace.count > 1
