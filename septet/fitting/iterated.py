"""Batches that come one by one (generators, `PyDataset`, Grain, DataLoader), in blocks."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from septet.fitting import keras_inside
from septet.fitting.blocks import Block, is_dense, shape_of

BLOCK_BYTES = 32 << 20
"""Most bytes of batches that are gathered before they are handed to the device."""
GATHER_S = 0.25
"""Longest time to gather; a slow generator's batches are trained on as they come."""


class IterableSource:
    """Batches that come one by one, gathered into blocks.

    Args:
        batches: `keras_inside.batches` over the data.

    Attributes:
        one_by_one: Gather nothing, since a callback looks at every batch.
        waited_s: Time in which batches were made, and the device waited.
    """

    def __init__(self, batches: Any):
        """See the class."""
        self.one_by_one = False
        self.waited_s = 0.0
        self._batches = batches
        self._sizes: dict[Any, int] = {}

    @property
    def num_steps(self) -> int | None:
        """Steps of an epoch, where known."""
        return self._batches.num_batches

    def peek(self) -> Any:
        """The first batch, looked at as Keras does to build a model."""
        _, _, (batch, *_) = next(iter(self._batches))
        return batch

    def reset(self) -> None:
        """Begin anew, as Keras does before the first epoch."""
        self._batches.reset()

    @property
    def continues(self) -> bool:
        """Whether an epoch begins where the last one stopped; see `fast_forward`."""
        return keras_inside.continues(self._batches)

    def fast_forward(self, epochs: int) -> None:
        """Leave out so many epochs; reads them where each begins where the last one stopped."""
        keras_inside.fast_forward(self._batches, epochs)

    def close(self) -> None:
        """Nothing to free."""

    def epoch(self, number: int, done: int = 0) -> Iterator[Block]:
        """The blocks of an epoch, as the batches come.

        They are made here and not ahead in a thread: not everything that can be iterated
        may change threads, and Keras' own data sets bring their workers along.
        """
        del number, done  # iterables keep their own order, and are read from its beginning
        blocks = self._blocks()
        while True:
            began = time.monotonic()
            block = next(blocks, None)
            self.waited_s += time.monotonic() - began
            if block is None:
                return
            yield block

    def _blocks(self) -> Iterator[Block]:
        gathering: Gathering | None = None
        for step, _, (batch, *_) in self._batches:
            if not is_dense(batch):
                if gathering is not None:
                    yield gathering.block()
                    gathering = None
                yield Block(batch, None, 0, 1, step)
                continue
            shape = shape_of(batch)
            if gathering is not None and not gathering.takes(shape):
                yield gathering.block()
                gathering = None
            if gathering is None:
                gathering = Gathering(batch, shape, self._block_steps(shape), step)
            gathering.add(batch)
        if gathering is not None:
            yield gathering.block()

    def _block_steps(self, shape: Any) -> int:
        """Batches of this shape in a block."""
        if self.one_by_one:
            return 1
        if shape not in self._sizes:
            _, leaves = shape
            num_bytes = sum(np.prod(dims) * np.dtype(kind).itemsize for dims, kind in leaves)
            fitting = int(max(1, BLOCK_BYTES // max(num_bytes, 1)))
            # A power of two, so that data sets of similar length share a program.
            steps = min(fitting, 256, self.num_steps or 256)
            self._sizes[shape] = 1 << (steps - 1).bit_length() if steps < fitting else fitting
        return self._sizes[shape]


class Gathering:
    """Batches of one shape on their way into a block.

    Each is copied when it comes: a generator may fill the same array again for the next.

    Args:
        batch: The first of them.
        shape: Its `shape_of`.
        room: Batches that the block has room for.
        first_step: Place of the first in the epoch.
    """

    def __init__(self, batch: Any, shape: Any, room: int, first_step: int):
        """Make the room; `add` also takes the first batch."""
        import jax

        self.shape = shape
        self.room = room
        self.first_step = first_step
        self.steps = 0
        self.began = time.monotonic()
        leaves, self._structure = jax.tree.flatten(batch)
        self._size = len(leaves[0])
        self._arrays = [
            np.zeros((room * self._size, *leaf.shape[1:]), leaf.dtype) for leaf in leaves
        ]

    def takes(self, shape: Any) -> bool:
        """Whether another batch, of this shape, still belongs to the block."""
        is_late = time.monotonic() - self.began > GATHER_S
        return shape == self.shape and self.steps < self.room and not is_late

    def add(self, batch: Any) -> None:
        """Copy a batch."""
        import jax

        begin = self.steps * self._size
        for array, leaf in zip(self._arrays, jax.tree.leaves(batch), strict=True):
            array[begin : begin + self._size] = leaf
        self.steps += 1

    def block(self) -> Block:
        """What was gathered, on the device."""
        import jax

        arrays = jax.device_put(jax.tree.unflatten(self._structure, self._arrays))
        order = jax.device_put(np.arange(self.room * self._size, dtype=np.int32))
        return Block(arrays, order, self._size, self.steps, self.first_step)
