"""The loop: runs the program in chunks and hands control back after each.

It knows nothing of files, budgets or validation; who calls it decides when to stop.
"""

import functools
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from septet.engine.feeds import BlockFeed
from septet.engine.program import Program, Step
from septet.engine.schedules import Control
from septet.engine.state import TrainState


@dataclass(frozen=True)
class Chunk:
    """What one chunk did.

    Args:
        count: Steps done.
        seconds: Wall-clock time of the chunk.
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
        gather = feed.gather
        self._full = Program(step, feed.batch_size, platform, gather=gather)
        self._tail = (
            Program(step, feed.tail_size, platform, gather=gather) if feed.tail_size else None
        )

    def compile(self, control: Control) -> None:
        """Compile the program; the last, smaller batch's compiles while the first runs."""
        import jax

        block = self.feed.example()
        order = jax.ShapeDtypeStruct((self.feed.order_length,), np.int32)
        arguments = (self.state, block, order, control)
        self._full.lower(*arguments)
        if self._tail is not None:
            self._tail.lower(*arguments)
        self._full.compile()
        if self._tail is not None:
            self._tail.compile_ahead()

    @property
    def num_traces(self) -> int:
        """How often a step was traced: once, and once more for a smaller last batch."""
        return self._full.num_traces + (self._tail.num_traces if self._tail else 0)

    @property
    def memory_bytes(self) -> int | None:
        """Device memory that a chunk needs, where the compiler tells."""
        return self._full.memory_bytes()

    def advance(self, epoch: int, index: int, limit: int, control: Control) -> Chunk:
        """Run the next chunk: at most `limit` steps from step `index` of `epoch`."""
        import jax.numpy as jnp

        if index == 0:
            zeros = [jnp.zeros_like(value) for value in self.state.metrics]
            self.state = self.state._replace(metrics=zeros)
        begin = time.monotonic()
        if index < self.feed.full_steps:
            view = self.feed.view(epoch, index)
            count = max(1, min(self.pace.count, limit, view.steps))
            program = self._full
        else:
            assert self._tail is not None
            view, count, program = self.feed.tail(epoch), 1, self._tail
        result = program(self.state, view.block, view.order, control, view.start, count)
        self.state, logs, bad = result
        logs = {name: float(value) for name, value in logs.items()}
        seconds = time.monotonic() - begin
        if index < self.feed.full_steps:
            self.pace.see(count, seconds)
        return Chunk(count, seconds, logs, int(bad) if int(bad) >= 0 else None)


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
