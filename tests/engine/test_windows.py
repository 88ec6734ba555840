"""Windows of one sequence: every token once a pass, in an order of seed and epoch alone."""

import jax
import numpy as np
import pytest

from septet.engine.feeds import WindowFeed, example_batch
from septet.task import Windows

TOKENS = np.arange(1003, dtype=np.uint16)


def feed(length=10, parts=1, batch_size=8, seed=0, tokens=TOKENS):
    return WindowFeed(Windows(tokens, length, parts), batch_size=batch_size, seed=seed)


def epoch_of(source, epoch):
    """All (inputs, targets) of an epoch, the smaller last batch included."""
    found = []
    for index in range(source.full_steps):
        view = source.view(epoch, index)
        rows = view.order[view.start * source.batch_size : (view.start + 1) * source.batch_size]
        found.append(source.gather(view.block, rows))
    if source.tail_size:
        view = source.tail(epoch)
        found.append(source.gather(view.block, view.order[: source.tail_size]))
    inputs = np.concatenate([np.array(given["tokens"]) for given, _ in found])
    return inputs, np.concatenate([np.array(targets) for _, targets in found])


@pytest.mark.parametrize("parts", [1, 3])
def test_a_pass_reads_the_sequence_once(parts):
    source = feed(parts=parts)
    found = [epoch_of(source, epoch) for epoch in range(parts)]
    inputs = np.concatenate([each for each, _ in found])
    targets = np.concatenate([each for _, each in found])
    assert (targets == inputs + 1).all()
    assert len(np.unique(inputs)) == inputs.size
    assert inputs.size == source.num_examples * parts * 10
    # What is left out is less than a window for each part, and what no window fits into.
    assert len(TOKENS) - 1 - inputs.size < 10 * (parts + 1)


def test_each_pass_begins_elsewhere_and_comes_in_another_order():
    source = feed()
    firsts = {int(source.order(epoch).min()) for epoch in range(30)}
    assert firsts == {0, 1, 2}
    assert source.order(0).tolist() != source.order(1).tolist()
    assert source.order(4).tolist() == feed().order(4).tolist()
    assert source.order(4).tolist() != feed(seed=1).order(4).tolist()


def test_only_one_copy_of_the_tokens_is_on_the_device():
    source = feed(length=100)
    assert source.block.nbytes == TOKENS.nbytes
    inputs, targets = example_batch(source)
    assert (inputs["tokens"].shape, targets.shape) == ((1, 100), (1, 100))
    assert inputs["tokens"].dtype == targets.dtype == np.int32
    assert not isinstance(inputs["tokens"], jax.Array)


def test_a_sequence_of_one_window_and_one_more_token_serves():
    source = feed(length=10, tokens=np.arange(11))  # pyright: ignore
    inputs, targets = epoch_of(source, 7)
    assert inputs.tolist() == [list(range(10))]
    assert targets.tolist() == [list(range(1, 11))]
