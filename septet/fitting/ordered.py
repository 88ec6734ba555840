"""Arrays whose rows are used in an order drawn for each epoch: on the device whole, or streamed."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from septet.data.array_files import parts
from septet.data.streams import Stream
from septet.engine.feeds import BLOCK_BYTES, Blocks, block_steps
from septet.engine.order import epoch_order
from septet.fitting import keras_inside
from septet.fitting.blocks import Block
from septet.fitting.talking import note


@dataclass(frozen=True)
class Run:
    """Steps of one size, one after the other.

    Args:
        first: Place of the first in the epoch.
        size: Examples of each.
        rows: Their rows, int32 [steps * size].
    """

    first: int
    size: int
    rows: np.ndarray

    @property
    def steps(self) -> int:
        """How many they are."""
        return len(self.rows) // self.size

    def pieces(self, steps: int) -> Iterator["Run"]:
        """The same in pieces of at most so many steps."""
        for begin in range(0, self.steps, steps):
            rows = self.rows[begin * self.size : (begin + steps) * self.size]
            yield Run(self.first + begin, self.size, rows)


def _sizes(drawn: list[int], size: int | None) -> Iterator[tuple[int, int]]:
    """(examples of a step, steps of that size in a row) of an epoch.

    Args:
        drawn: Examples of each batch that was drawn.
        size: Examples of a step where all rows were drawn as one batch.
    """
    if size is not None:
        steps, rest = divmod(sum(drawn), size)
        yield from ((count, times) for count, times in ((size, steps), (rest, 1)) if count * times)
        return
    for count, group in itertools.groupby(drawn):
        yield count, len(list(group))


class OrderedSource:
    """Arrays that are used in an order drawn for each epoch."""

    def __init__(
        self, whole: Any, indices: Any, *, seed: int | None = None, batch_size: int | None = None
    ):
        """Take the whole arrays and Keras' iterator over their row numbers.

        Args:
            whole: Pytree of host arrays with the same first axis.
            indices: `keras_inside.batches` over the row numbers.
            seed: Order the epochs by (seed, epoch) in place of Keras' draws.
            batch_size: Examples of a batch where `indices` gives all rows at once.
        """
        import jax

        self.one_by_one = False  # a chunk may be as short as it likes without that
        self.num_examples = len(jax.tree.leaves(whole)[0])
        self._whole = whole
        self._indices = indices
        self._seed = seed
        self._size = batch_size

    @property
    def num_steps(self) -> int | None:
        """Steps of an epoch, where known."""
        if self._size is not None:
            return -(-self.num_examples // self._size)
        return self._indices.num_batches

    def peek(self) -> Any:
        """A batch like the first, drawn as Keras draws one to build a model."""
        import jax

        _, _, (rows, *_) = next(iter(self._indices))
        count = min(self._size or len(rows), len(rows))
        return jax.tree.map(lambda array: array[:count], self._whole)

    def reset(self) -> None:
        """Begin anew, as Keras does before the first epoch."""
        self._indices.reset()

    @property
    def continues(self) -> bool:
        """Whether an epoch begins where the last one stopped; see `fast_forward`."""
        return keras_inside.continues(self._indices)

    def fast_forward(self, epochs: int) -> None:
        """Leave out so many epochs."""
        keras_inside.fast_forward(self._indices, epochs)

    def non_finite_rows(self) -> int:
        """How many examples have a value that is no finite number."""
        import jax

        bad = np.zeros(self.num_examples, bool)
        for leaf in map(np.asarray, jax.tree.leaves(self._whole)):
            if leaf.dtype.kind in "fc":
                begin = 0
                for part in parts(leaf):
                    wrong = ~np.isfinite(part).all(axis=tuple(range(1, part.ndim)))
                    bad[begin : begin + len(part)] |= wrong
                    begin += len(part)
        return int(bad.sum())

    def epoch(self, number: int, done: int = 0) -> Iterator[Block]:
        """The blocks of an epoch in its order: whole batches, then the smaller last one.

        Args:
            number: The epoch.
            done: Steps of it that nobody needs any more.
        """
        raise NotImplementedError

    @property
    def waited_s(self) -> float:
        """Time that the device waited for data."""
        return 0.0

    def close(self) -> None:
        """Free what prepares blocks."""

    def _runs(self, number: int) -> Iterator[Run]:
        """Draw the order of an epoch, as runs of steps of one size."""
        batches = [np.asarray(batch[0], np.int32) for _, _, batch in self._indices]
        if not batches:
            return
        rows = np.concatenate(batches)
        if self._seed is not None:
            rows = epoch_order(self.num_examples, self._seed, number)[: len(rows)]
        first = begin = 0
        for size, steps in _sizes([len(batch) for batch in batches], self._size):
            yield Run(first, size, rows[begin : begin + size * steps])
            first, begin = first + steps, begin + size * steps


class ArraySource(OrderedSource):
    """Arrays in memory: put on the device once, gathered there in the order of each epoch."""

    def __init__(
        self, whole: Any, indices: Any, *, seed: int | None = None, batch_size: int | None = None
    ):
        """See `OrderedSource`."""
        super().__init__(whole, indices, seed=seed, batch_size=batch_size)
        self._arrays: Any = None

    def epoch(self, number: int, done: int = 0) -> Iterator[Block]:
        """See `OrderedSource`."""
        import jax

        del done  # all is there
        if self._arrays is None:
            # Copied first: on a CPU the device's memory may be the user's array itself, in
            # spite of device_put(may_alias=False).
            self._arrays = jax.device_put(jax.tree.map(_own, self._whole))
            self._whole = self._arrays
        for run in self._runs(number):
            # One length for whole batches, the last one and any number of steps.
            order = np.zeros(self.num_examples, np.int32)
            order[: len(run.rows)] = run.rows
            yield Block(self._arrays, order, run.size, run.steps, run.first)


class StreamedSource(OrderedSource):
    """Arrays that do not fit on the device: blocks of an epoch's batches, read ahead.

    Args:
        whole: Pytree of arrays in memory or, to be read by worker processes, `np.memmap`s.
        kinds: Types of the leaves as Keras gives them to a model.
        indices: See `OrderedSource`.
        seed: The same.
        batch_size: Examples of a whole batch.
        verbose: Whether to say when a worker dies.
    """

    def __init__(
        self,
        whole: Any,
        kinds: list[np.dtype],
        indices: Any,
        *,
        seed: int | None,
        batch_size: int,
        verbose: Any = 1,
    ):
        """See the class."""
        import jax

        super().__init__(whole, indices, seed=seed)
        leaves, self._structure = jax.tree.flatten(whole)
        self._kinds = kinds
        self.batch_size = min(batch_size, self.num_examples)
        full_steps = self.num_examples // self.batch_size
        self.block_steps = block_steps(leaves, self.batch_size, full_steps, BLOCK_BYTES)
        self.stream = Stream(
            leaves,
            kinds,
            block_rows=self.block_steps * self.batch_size,
            note=lambda text: note(text, verbose),
        )

    def peek(self) -> Any:
        """See `OrderedSource`; with the types that Keras gives a model."""
        import jax

        leaves, kinds = jax.tree.leaves(super().peek()), self._kinds
        cast = [np.array(leaf, kind) for leaf, kind in zip(leaves, kinds, strict=True)]
        return jax.tree.unflatten(self._structure, cast)

    def epoch(self, number: int, done: int = 0) -> Iterator[Block]:
        """See `OrderedSource`."""
        import jax

        pieces = [piece for run in self._runs(number) for piece in run.pieces(self.block_steps)]
        planned = [piece for piece in pieces if piece.first + piece.steps > done]
        blocks = Blocks(self.stream)
        blocks.plan(piece.rows for piece in planned)
        straight = jax.device_put(np.arange(self.stream.layout.rows, dtype=np.int32))
        try:
            for piece in planned:
                leaves = blocks.next()
                assert leaves is not None  # as many as were planned
                arrays = jax.tree.unflatten(self._structure, leaves)
                yield Block(arrays, straight, piece.size, piece.steps, piece.first)
        finally:
            blocks.plan(iter(()))

    @property
    def waited_s(self) -> float:
        """Time that the device waited for data."""
        return self.stream.waited_s

    def close(self) -> None:
        """End workers and threads."""
        self.stream.close()


def _own(array: Any) -> Any:
    """The array, or a copy of what somebody else may write into."""
    return np.array(array) if isinstance(array, np.ndarray) else array
