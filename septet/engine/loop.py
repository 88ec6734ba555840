"""The loop: runs the program in chunks and hands control back after each.

It knows nothing of files, budgets or validation; who calls it decides when to stop.
"""

import functools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from septet.engine.feeds import BlockFeed, View
from septet.engine.program import Program, Step
from septet.engine.schedules import Control
from septet.engine.state import TrainState


@dataclass(frozen=True)
class Chunk:
    """What one chunk did.

    Args:
        count: Steps done.
        seconds: Wall-clock time of its steps; not the wait for a program still compiling.
        logs: Running loss and metrics of the epoch after its last step.
        bad_step: First step whose loss was not finite, or None.
    """

    count: int
    seconds: float
    logs: dict[str, float]
    bad_step: int | None


class Pace:
    """How many steps fill the time after which the host wants control back.

    Args:
        chunk_s: That time.
    """

    def __init__(self, chunk_s: float):
        """See the class; the first chunk is one step."""
        self.chunk_s = chunk_s
        self.count = 1

    def see(self, count: int, seconds: float) -> None:
        """Learn from a chunk; grow by no more than 8 times, since a first one may lie."""
        wanted = self.chunk_s * count / max(seconds, 1e-6)
        self.count = max(1, int(min(wanted, self.count * 8)))


class Loop:
    """Chunks of steps over a feed, from any position.

    Args:
        step: Pure `(state, batch, control) -> (state, logs)`.
        feed: Where batches come from.
        state: Where to begin.
        platform: "cpu" or another; decides the lowering.
        chunk_s: How long a chunk should take.
    """

    is_compiled = True

    def __init__(
        self,
        step: Step,
        feed: BlockFeed,
        state: TrainState,
        *,
        platform: str,
        chunk_s: float = 0.25,
    ):
        """See the class."""
        self.state = state
        self.feed = feed
        self.pace = Pace(chunk_s)
        gathers = feed.gathers
        self._full = [Program(step, feed.batch_size, platform, gather=gather) for gather in gathers]
        self._tail = (
            Program(step, feed.tail_size, platform, gather=gathers[-1]) if feed.tail_size else None
        )

    def compile(self, control: Control) -> None:
        """Compile the program; those of other batches compile while the first runs."""
        import jax

        block = self.feed.example()
        order = jax.ShapeDtypeStruct((self.feed.order_length,), np.int32)
        arguments = (self.state, block, order, control)
        *others, largest = self._full
        others += [] if self._tail is None else [self._tail]
        for program in (largest, *others):
            program.lower(*arguments)
        largest.compile()
        for program in others:
            program.compile_ahead()

    @property
    def num_traces(self) -> int:
        """How often a step was traced: once a kind of batch, and for a smaller last batch."""
        programs = [*self._full, *([] if self._tail is None else [self._tail])]
        return sum(program.num_traces for program in programs)

    @property
    def memory_bytes(self) -> int | None:
        """Device memory that a chunk needs, where the compiler tells."""
        return self._full[-1].memory_bytes()

    def advance(self, epoch: int, index: int, limit: int, control: Control) -> Chunk:
        """Run the next chunk: at most `limit` steps from step `index` of `epoch`."""
        import jax.numpy as jnp

        if index == 0:
            zeros = [jnp.zeros_like(value) for value in self.state.metrics]
            self.state = self.state._replace(metrics=zeros)
        begin = time.monotonic()
        is_whole = index < self.feed.full_steps
        parts = self._whole(epoch, index, limit) if is_whole else [self._smaller(epoch)]
        count, bad_step, logs, waited = 0, -1, {}, 0.0
        for program, view, steps in parts:
            waited += program.wait()
            result = program(self.state, view.block, view.order, control, view.start, steps)
            self.state, logs, bad = result
            count += steps
            bad_step = int(bad)
            if bad_step >= 0:
                break
        logs = {name: float(value) for name, value in logs.items()}
        seconds = time.monotonic() - begin - waited
        if is_whole:
            self.pace.see(count, seconds)
        return Chunk(count, seconds, logs, bad_step if bad_step >= 0 else None)

    def _whole(self, epoch: int, index: int, limit: int) -> Iterator[tuple[Program, View, int]]:
        """The next whole batches: as many as the pace asks for, kind by kind."""
        wanted = min(self.pace.count, limit, self.feed.full_steps - index)
        while wanted > 0:
            view = self.feed.view(epoch, index)
            steps = min(wanted, view.steps)
            yield self._full[view.kind], view, steps
            # Where there is one kind, the next view may take this one's memory.
            wanted = wanted - steps if len(self._full) > 1 else 0
            index += steps

    def _smaller(self, epoch: int) -> tuple[Program, View, int]:
        assert self._tail is not None
        return self._tail, self.feed.tail(epoch), 1


def all_finite(state: TrainState) -> bool:
    """Whether every real number that training changes is finite."""
    import jax

    return bool(_finite_program()(jax.tree.leaves(state)))


@functools.cache
def _finite_program() -> Any:
    import jax
    import jax.numpy as jnp

    def check(leaves: list[Any]) -> Any:
        real = [leaf for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.floating)]
        return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in real]))

    return jax.jit(check)
