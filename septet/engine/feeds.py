"""Feeds: where batches come from.

A resident feed keeps the whole set on the device. A streaming feed has blocks of it
prepared ahead, for sets that do not fit. Both have the same order of examples, so that
a training does not depend on which of them serves it.
"""

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from septet.data.array_files import FileArray
from septet.data.streams import Note, Stream
from septet.engine import devices
from septet.engine.buckets import batched, choose_sizes, padding
from septet.engine.order import epoch_order
from septet.task import Windows

BLOCK_BYTES = 32 << 20
"""Most bytes of a block of a streaming feed."""
MOST_BLOCK_STEPS = 1024


Gather = Callable[[Any, Any], Any]
"""Of a block and rows of it, the batch."""


@dataclass(frozen=True)
class View:
    """What a program needs for some steps: a block, rows of it, and where to begin.

    Args:
        block: Pytree of device arrays, [rows, ...] each.
        order: Rows of the block, int32; step i takes `order[i * batch : (i + 1) * batch]`.
        start: The step to begin with, counted in `order`.
        steps: Steps of the batch's size that are there from `start` on.
        kind: Which of the feed's kinds of batches they are.
    """

    block: Any
    order: Any
    start: int
    steps: int
    kind: int = 0


class Feed(ABC):
    """Batches of examples, in an order that is a function of (seed, epoch).

    Args:
        num_examples: In all.
        batch_size: Examples a step, at most `num_examples`.
        seed: Of the order.
    """

    def __init__(self, num_examples: int, batch_size: int, seed: int):
        """See the class."""
        self.num_examples = num_examples
        self.batch_size = min(batch_size, num_examples)
        self.seed = seed

    @property
    def full_steps(self) -> int:
        """Steps of an epoch that have a whole batch."""
        return self.num_examples // self.batch_size

    @property
    def tail_size(self) -> int:
        """Examples in the last, smaller batch; 0 if there is none."""
        return self.num_examples % self.batch_size

    @property
    def steps_per_epoch(self) -> int:
        """Steps of an epoch, the smaller last one included."""
        return self.full_steps + (self.tail_size > 0)

    def order(self, epoch: int) -> np.ndarray:
        """Examples in the order of `epoch`: int32 [num_examples]."""
        return epoch_order(self.num_examples, self.seed, epoch)

    waited_s: float = 0.0
    """Time that the device waited for data."""

    @abstractmethod
    def close(self) -> None:
        """Free what prepares batches."""


class BlockFeed(Feed):
    """Batches as rows of blocks on the device, for a program that loops over them."""

    @abstractmethod
    def view(self, epoch: int, index: int) -> View:
        """For whole batches from step `index` of `epoch` on."""

    @abstractmethod
    def tail(self, epoch: int) -> View:
        """For the last, smaller batch."""

    @abstractmethod
    def example(self) -> Any:
        """A block like those of `view`; only its shapes and types count."""

    @property
    def order_length(self) -> int:
        """Numbers in the order of a view."""
        import jax

        return len(jax.tree.leaves(self.example())[0])

    def gather(self, block: Any, rows: Any) -> Any:
        """The batch that `rows` of an order stand for; pure JAX, within the program."""
        return rows_of(block, rows)

    @property
    def gathers(self) -> list[Gather]:
        """`gather` for each kind of batches; the last is that of the smaller batch, too."""
        return [self.gather]


class ResidentFeed(BlockFeed):
    """A data set that lies on the device once."""

    def __init__(self, block: Any, *, batch_size: int, seed: int):
        """`block`: (inputs, targets[, weights]), pytrees of device arrays [n, ...]."""
        import jax

        super().__init__(len(jax.tree.leaves(block)[0]), batch_size, seed)
        self.block = block
        self._ordered: tuple[int, Any] = (-1, None)

    @classmethod
    def of(cls, arrays: Any, *, batch_size: int, seed: int) -> "ResidentFeed":
        """Put `arrays` (a tuple of pytrees of host arrays) on the device."""
        import jax

        return cls(jax.device_put(arrays), batch_size=batch_size, seed=seed)

    def view(self, epoch: int, index: int) -> View:
        """See `BlockFeed`."""
        return View(self.block, self._order(epoch), index, self.full_steps - index)

    def tail(self, epoch: int) -> View:
        """See `BlockFeed`: its rows moved to the front of an order of equal length."""
        import jax.numpy as jnp

        order, first = self._order(epoch), self.full_steps * self.batch_size
        return View(self.block, jnp.concatenate([order[first:], order[:first]]), 0, 1)

    def example(self) -> Any:
        """See `BlockFeed`."""
        return self.block

    def close(self) -> None:
        """Nothing to free."""

    def _order(self, epoch: int) -> Any:
        import jax

        if self._ordered[0] != epoch:
            self._ordered = (epoch, jax.device_put(self.order(epoch)))
        return self._ordered[1]


class BucketFeed(ResidentFeed):
    """A data set on the device whose batches have several lengths; see `engine.buckets`.

    The second axis of every input is time, and padding is at its end: a batch leaves out what
    is padding in all of its rows.
    """

    def __init__(
        self,
        block: Any,
        *,
        lengths: np.ndarray,
        sizes: tuple[int, ...],
        batch_size: int,
        seed: int,
    ):
        """See the class.

        Args:
            block: (inputs, targets[, weights]), pytrees of device arrays [n, ...].
            lengths: Places of each row that are not padding, int [n].
            sizes: Lengths of batches, rising; the last is the inputs' own.
            batch_size: Examples a step.
            seed: Of the order.
        """
        super().__init__(block, batch_size=batch_size, seed=seed)
        self.sizes = sizes
        self.kinds = np.searchsorted(sizes, np.minimum(lengths, sizes[-1]))
        self._batched: tuple[int, np.ndarray, np.ndarray] | None = None

    def order(self, epoch: int) -> np.ndarray:
        """See `Feed`: rows of about one length together."""
        return self._batches(epoch)[0]

    def view(self, epoch: int, index: int) -> View:
        """See `BlockFeed`: the steps of the length that step `index` has."""
        kinds = self._batches(epoch)[1][index:]
        others = np.flatnonzero(kinds != kinds[0])
        steps = int(others[0]) if len(others) else len(kinds)
        return View(self.block, self._order(epoch), index, steps, int(kinds[0]))

    @property
    def gathers(self) -> list[Gather]:
        """See `BlockFeed`: one for each length."""
        return [functools.partial(self._cut, size) for size in self.sizes]

    def _cut(self, size: int, block: Any, rows: Any) -> Any:
        import jax

        inputs, *rest = rows_of(block, rows)
        return (jax.tree.map(lambda array: array[:, :size], inputs), *rest)

    def _batches(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        if self._batched is None or self._batched[0] != epoch:
            self._batched = (epoch, *batched(self.kinds, self.batch_size, self.seed, epoch))
        return self._batched[1:]


def rows_of(block: Any, rows: Any) -> Any:
    """Rows of every array of a block."""
    import jax
    import jax.numpy as jnp

    return jax.tree.map(lambda array: jnp.take(array, rows, axis=0), block)


def example_batch(feed: BlockFeed) -> Any:
    """Shapes and types of a batch."""
    import jax

    rows = jax.ShapeDtypeStruct((1,), np.int32)
    block = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), feed.example())
    return jax.eval_shape(feed.gather, block, rows)


class WindowFeed(BlockFeed):
    """Windows of one long sequence, cut out on the device: no token lies there twice.

    A pass reads the sequence once, from a first token that its number and the seed decide,
    in windows that lie side by side and come in an order of their own; it may be several
    epochs. A window's targets are its tokens one further on.
    """

    def __init__(self, windows: Windows, *, batch_size: int, seed: int):
        """Put the tokens on the device."""
        import jax

        super().__init__(windows.count, batch_size, seed)
        self.length = windows.length
        self.parts, self.in_a_pass = windows.parts, windows.in_a_pass
        self.spare = len(windows.tokens) - 1 - windows.in_a_pass * windows.length
        self.block = jax.device_put(np.asarray(windows.tokens))
        self._ordered: tuple[int, Any] = (-1, None)

    def order(self, epoch: int) -> np.ndarray:
        """Where the windows of `epoch` begin: int32 [num_examples]."""
        number, part = divmod(epoch, self.parts)
        first = epoch_order(self.spare + 1, self.seed, number)[0]
        every = epoch_order(self.in_a_pass, self.seed, number) * self.length + first
        return every[part * self.num_examples : (part + 1) * self.num_examples]

    def view(self, epoch: int, index: int) -> View:
        """See `BlockFeed`."""
        return View(self.block, self._order(epoch), index, self.full_steps - index)

    def tail(self, epoch: int) -> View:
        """See `BlockFeed`."""
        import jax.numpy as jnp

        shifted = jnp.roll(self._order(epoch), -self.full_steps * self.batch_size)
        return View(self.block, shifted, 0, 1)

    def example(self) -> Any:
        """See `BlockFeed`."""
        return self.block

    @property
    def order_length(self) -> int:
        """One number a window."""
        return self.num_examples

    def gather(self, block: Any, rows: Any) -> Any:
        """({"tokens": int32 [batch, length]}, the tokens after each)."""
        import jax.numpy as jnp

        places = rows[:, None] + jnp.arange(self.length + 1, dtype=rows.dtype)[None, :]
        tokens = jnp.take(block, places, axis=0).astype(jnp.int32)
        return {"tokens": tokens[:, :-1]}, tokens[:, 1:]

    def close(self) -> None:
        """Nothing to free."""

    def _order(self, epoch: int) -> Any:
        import jax

        if self._ordered[0] != epoch:
            self._ordered = (epoch, jax.device_put(self.order(epoch)))
        return self._ordered[1]


class StreamingFeed(BlockFeed):
    """A data set of which a few blocks are in memory; the next ones are read meanwhile.

    A block holds the examples of some steps in the order in which they are used. While
    the device works on one, the next is on its way to it and others are being read.
    """

    def __init__(
        self,
        arrays: Any,
        *,
        batch_size: int,
        seed: int,
        workers: int | None = None,
        note: Note = lambda text: None,
        block_bytes: int = BLOCK_BYTES,
    ):
        """See the class.

        Args:
            arrays: (inputs, targets[, weights]): pytrees of arrays [n, ...] in memory, or
                of `np.memmap`s, which worker processes read.
            batch_size: Examples a step.
            seed: Of the order.
            workers: How many read.
            note: Told when one dies.
            block_bytes: Most bytes of a block.
        """
        import jax

        leaves, self._structure = jax.tree.flatten(arrays)
        super().__init__(len(leaves[0]), batch_size, seed)
        self.block_steps = block_steps(leaves, self.batch_size, self.full_steps, block_bytes)
        rows = self.block_steps * self.batch_size + self.tail_size
        self.stream = Stream(
            leaves, [leaf.dtype for leaf in leaves], block_rows=rows, workers=workers, note=note
        )
        self._blocks = Blocks(self.stream)
        self._rows = rows
        self._straight: Any = None
        self._current: tuple[int, int] | None = None
        self._block: Any = None

    @property
    def waited_s(self) -> float:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Time that the device waited for data."""
        return self.stream.waited_s

    @property
    def _num_blocks(self) -> int:
        return math.ceil(self.full_steps / self.block_steps)

    def view(self, epoch: int, index: int) -> View:
        """See `BlockFeed`."""
        number, start = divmod(index, self.block_steps)
        self._go_to(epoch, number)
        last = min(self.full_steps, (number + 1) * self.block_steps)
        return View(self._block, self._order(), start, last - index)

    def tail(self, epoch: int) -> View:
        """See `BlockFeed`: the last block has its rows at the end."""
        import jax.numpy as jnp

        number = self._num_blocks - 1
        self._go_to(epoch, number)
        steps = self.full_steps - number * self.block_steps
        return View(self._block, jnp.roll(self._order(), -steps * self.batch_size), 0, 1)

    def example(self) -> Any:
        """See `BlockFeed`."""
        import jax

        leaves = [
            jax.ShapeDtypeStruct((self._rows, *shape), jax.dtypes.canonicalize_dtype(kind))
            for kind, shape in self.stream.layout.leaves
        ]
        return jax.tree.unflatten(self._structure, leaves)

    def _order(self) -> Any:
        import jax

        if self._straight is None:
            self._straight = jax.device_put(np.arange(self._rows, dtype=np.int32))
        return self._straight

    def _go_to(self, epoch: int, number: int) -> None:
        """Have block `number` of `epoch`, in turn or with a new plan from there on."""
        import jax

        if self._current == (epoch, number):
            return
        if self._current is None or self._after(self._current) != (epoch, number):
            self._blocks.plan(self._rows_from(epoch, number))
        leaves = self._blocks.next()
        assert leaves is not None  # the plan has no end
        self._block = jax.tree.unflatten(self._structure, leaves)
        self._current = (epoch, number)

    def _after(self, place: tuple[int, int]) -> tuple[int, int]:
        epoch, number = place
        return (epoch, number + 1) if number + 1 < self._num_blocks else (epoch + 1, 0)

    def _rows_from(self, epoch: int, number: int) -> Iterator[np.ndarray]:
        """The rows of each block from there on, without end."""
        size = self.block_steps * self.batch_size
        while True:
            order = self.order(epoch)
            while number < self._num_blocks:
                is_last = number + 1 == self._num_blocks
                yield order[number * size : None if is_last else (number + 1) * size]
                number += 1
            epoch, number = epoch + 1, 0

    def close(self) -> None:
        """End workers and threads."""
        self.stream.close()


class Blocks:
    """The blocks of a stream on the device, the next one on its way while one is in use.

    Args:
        stream: Prepares them.
    """

    def __init__(self, stream: Stream):
        """See the class."""
        self.stream = stream
        self._in_use: int | None = None
        self._ahead: tuple[int, list[Any]] | None = None

    def plan(self, rows: Iterator[np.ndarray]) -> None:
        """Begin with these blocks of rows instead."""
        for slot in (self._in_use, self._ahead[0] if self._ahead is not None else None):
            if slot is not None:
                self.stream.release(slot)
        self._in_use = self._ahead = None
        self.stream.plan(rows)

    def next(self) -> list[Any] | None:
        """The device arrays of the next block; those given before are not valid any more."""
        found = self._ahead or self._put(wait=True)
        if self._in_use is not None:
            self.stream.release(self._in_use)
        self._in_use = self._ahead = None
        if found is None:
            return None
        self._in_use, arrays = found
        self._ahead = self._put(wait=False)
        return arrays

    def _put(self, *, wait: bool) -> tuple[int, list[Any]] | None:
        """The next block, on its way to the device."""
        import jax

        found = self.stream.next(wait=wait)
        if found is None:
            return None
        slot, arrays = found
        # On a CPU the device takes the slot's memory as it is.
        return slot, jax.device_put(arrays)


def block_steps(leaves: Sequence[Any], batch_size: int, full_steps: int, most_bytes: int) -> int:
    """Steps of a block of at most so many bytes."""
    row_bytes = sum(leaf.dtype.itemsize * math.prod(leaf.shape[1:]) for leaf in leaves)
    fitting = max(1, most_bytes // max(1, row_bytes * batch_size))
    return max(1, min(fitting, MOST_BLOCK_STEPS, full_steps))


def fits_on_device(leaves: Sequence[np.ndarray]) -> bool:
    """Whether arrays may lie on the device as a whole.

    On a CPU they may take a quarter of the free memory, unless they lie there already.
    """
    num_bytes = sum(leaf.nbytes for leaf in leaves)
    return num_bytes <= devices.room_for_data()


def is_in_file(array: Any) -> bool:
    """Whether an array can be read from its file, row by row."""
    return isinstance(array, np.ndarray) and FileArray.of(array) is not None


def feed_of(
    arrays: Any,
    *,
    batch_size: int,
    seed: int,
    note: Note = lambda text: None,
    lengths: np.ndarray | None = None,
) -> BlockFeed:
    """A resident feed where the arrays fit on the device, else a streaming one.

    Args:
        arrays: (inputs, targets[, weights]): pytrees of host arrays [n, ...].
        batch_size: Examples a step.
        seed: Of the order.
        note: Told what happens to a stream, and how much of several lengths is padding.
        lengths: Where inputs have time as their second axis, places of each row that are not
            padding; a resident feed then has batches of several lengths.
    """
    import jax

    if not fits_on_device(jax.tree.leaves(arrays)):
        return StreamingFeed(arrays, batch_size=batch_size, seed=seed, note=note)
    if lengths is not None:
        longest = jax.tree.leaves(arrays[0])[0].shape[1]
        sizes = choose_sizes(lengths, longest, min(batch_size, len(lengths)))
        if len(sizes) > 1:
            note(
                f"Rows of {', '.join(map(str, sizes[:-1]))} and {longest} tokens: "
                f"{padding(lengths, sizes):.0%} of all places are padding; in rows of one length "
                f"{padding(lengths, (longest,)):.0%}."
            )
            return BucketFeed(
                jax.device_put(arrays), lengths=lengths, sizes=sizes, batch_size=batch_size,
                seed=seed,
            )  # fmt: skip
    return ResidentFeed.of(arrays, batch_size=batch_size, seed=seed)
