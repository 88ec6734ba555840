"""Where the batches of `fit`, `evaluate` and `predict` come from, as blocks for a program.

Arrays lie on the device whole, and an epoch is an order over them. Whatever is iterated
(generators, `PyDataset`, Grain, DataLoader, `tf.data`) is gathered into blocks of batches.
Both draw exactly what Keras would draw.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from septet.engine.order import epoch_order
from septet.errors import InputError
from septet.fitting import keras_inside

BLOCK_BYTES = 32 << 20
"""Most bytes of batches that are gathered before they are handed to the device."""
GATHER_S = 0.25
"""Longest time to gather; a slow generator's batches are trained on as they come."""


@dataclass(frozen=True)
class Block:
    """Some steps of an epoch whose batches have one shape.

    Args:
        arrays: Pytree of arrays on the device; first axis: example. Of a batch that no
            program can take (sparse, ragged, text): that batch itself.
        order: Rows of the arrays, int32; batch i is `order[i * batch_size : ...]`. Longer
            than the steps need where that spares a compilation. None for such a batch.
        batch_size: Examples a step.
        steps: Steps of the block.
        first_step: Place of its first step in the epoch.
    """

    arrays: Any
    order: Any
    batch_size: int
    steps: int
    first_step: int

    def batch(self, index: int) -> Any:
        """The batch of one step, as Keras would have it."""
        import jax

        if self.order is None:
            return self.arrays
        rows = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        return jax.tree.map(lambda array: array[rows], self.arrays)


class ArraySource:
    """Arrays in memory: put on the device once, gathered there in the order of each epoch."""

    def __init__(
        self,
        whole: Any,
        indices: Any,
        *,
        seed: int | None = None,
    ):
        """Take the whole arrays and Keras' iterator over their row numbers.

        Args:
            whole: Pytree of host arrays with the same first axis.
            indices: `keras_inside.batches` over the row numbers.
            seed: Order the epochs by (seed, epoch) in place of Keras' draws.
        """
        import jax

        self.one_by_one = False  # a chunk may be as short as it likes without that
        self.num_examples = len(jax.tree.leaves(whole)[0])
        self._whole = whole
        self._arrays: Any = None
        self._indices = indices
        self._seed = seed

    @property
    def num_steps(self) -> int | None:
        """Steps of an epoch, where known."""
        return self._indices.num_batches

    def peek(self) -> Any:
        """A batch like the first, drawn as Keras draws one to build a model."""
        import jax

        _, _, (rows, *_) = next(iter(self._indices))
        return jax.tree.map(lambda array: array[: len(rows)], self._whole)

    def reset(self) -> None:
        """Begin anew, as Keras does before the first epoch."""
        self._indices.reset()

    def epoch(self, number: int) -> Iterator[Block]:
        """The blocks of an epoch: its whole batches, then the smaller last one."""
        import jax

        if self._arrays is None:
            # Copied first: on a CPU the device's memory may be the user's array itself, in
            # spite of device_put(may_alias=False).
            self._arrays = jax.device_put(jax.tree.map(_own, self._whole))
            self._whole = None
        batches = [np.asarray(batch[0], np.int32) for _, _, batch in self._indices]
        if self._seed is not None and batches:
            order = epoch_order(self.num_examples, self._seed, number)
            ends = np.cumsum([len(batch) for batch in batches])
            batches = np.split(order[: ends[-1]], ends[:-1])
        first = 0
        while first < len(batches):
            size = len(batches[first])
            last = first
            while last < len(batches) and len(batches[last]) == size:
                last += 1
            yield self._block(batches[first:last], first)
            first = last

    def _block(self, batches: list[np.ndarray], first: int) -> Block:
        import jax

        rows = np.concatenate(batches)
        # One length for whole batches, the last one and any number of steps.
        order = np.zeros(self.num_examples, np.int32)
        order[: len(rows)] = rows
        return Block(self._arrays, jax.device_put(order), len(batches[0]), len(batches), first)


class IterableSource:
    """Batches that come one by one, gathered into blocks.

    Args:
        batches: `keras_inside.batches` over the data.

    Attributes:
        one_by_one: Gather nothing, since a callback looks at every batch.
    """

    def __init__(self, batches: Any):
        """See the class."""
        self.one_by_one = False
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

    def epoch(self, number: int) -> Iterator[Block]:
        """The blocks of an epoch, as the batches come."""
        del number  # iterables keep their own order
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


def shape_of(tree: Any) -> Any:
    """(structure, ((shape, type) of each leaf)) of a pytree of arrays; hashable."""
    import jax

    leaves, structure = jax.tree.flatten(tree)
    return structure, tuple((tuple(np.shape(leaf)), str(leaf.dtype)) for leaf in leaves)


def is_dense(batch: Any) -> bool:
    """Whether all leaves are arrays of numbers with the same first axis."""
    import jax
    import jax.numpy as jnp

    leaves = jax.tree.leaves(batch)
    return (
        bool(leaves)
        and all(isinstance(leaf, np.ndarray | jax.Array) and np.ndim(leaf) > 0 for leaf in leaves)
        and all(jnp.issubdtype(leaf.dtype, np.number) or leaf.dtype == bool for leaf in leaves)
        and len({len(leaf) for leaf in leaves}) == 1
    )


def open_source(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    batch_size: int | None = None,
    steps: int | None = None,
    shuffle: Any = False,
    class_weight: Any = None,
    seed: int | None = None,
) -> ArraySource | IterableSource:
    """The source for what a user passed as data; raises what Keras raises for bad data."""
    batches = keras_inside.batches(
        x,
        y,
        sample_weight,
        batch_size=batch_size,
        steps_per_epoch=steps,
        shuffle=shuffle,
        class_weight=class_weight,
    )
    if not keras_inside.is_array_data(batches):
        if seed is not None:
            raise InputError(
                f"seed={seed} orders arrays, and {type(x).__name__} comes in an order of its own. "
                "Leave out the seed, or pass arrays."
            )
        return IterableSource(batches)
    size = batches.data_adapter.batch_size
    num_examples = _num_rows(x)
    if num_examples == 0:
        raise InputError("There are no examples: the arrays are empty. Pass at least one row.")
    everything = keras_inside.batches(
        x, y, sample_weight, batch_size=num_examples, class_weight=class_weight
    )
    _, _, (whole, *_) = next(iter(everything))
    if not is_dense(whole):
        return IterableSource(batches)
    indices = keras_inside.batches(
        np.arange(num_examples), batch_size=size, steps_per_epoch=steps, shuffle=shuffle
    )
    return ArraySource(whole, indices, seed=seed)


def _own(array: Any) -> Any:
    """The array, or a copy of what somebody else may write into."""
    return np.array(array) if isinstance(array, np.ndarray) else array


def _num_rows(x: Any) -> int:
    import keras

    return next(leaf.shape[0] for leaf in keras.tree.flatten(x) if leaf is not None)
