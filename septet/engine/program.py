"""The program: a pure training step looped on the device, its trip count an argument.

One compilation serves every chunk length, so the host may take control back whenever it
likes and no result depends on when it does.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from septet.engine.compiling import compile_for, options_for
from septet.engine.feeds import rows_of
from septet.engine.lowering import TooLargeError, apart, lowered
from septet.engine.native import building, calls
from septet.engine.native.graph import UnsupportedError
from septet.engine.native.step import MOST_PRODUCT, NativeStep
from septet.engine.schedules import Control, rate_at
from septet.engine.state import TrainState
from septet.engine.tuning import Tuning, tuned_train_step
from septet.task import Augment

logger = logging.getLogger(__name__)

Step = Callable[[TrainState, Any, Control], tuple[TrainState, dict[str, Any]]]


def keras_step(
    model: Any,
    *,
    learning_rate: float,
    schedule: str,
    warmup: float,
    average_decay: float | None = None,
    augment: Augment | None = None,
    seed: int = 0,
    tuning: Tuning | None = None,
) -> Step:
    """A step that is the compiled `keras.Model`'s own `train_step`, with what surrounds it.

    Args:
        model: Built and compiled.
        learning_rate: Highest rate; `schedule` and `warmup` say how it moves.
        schedule: As in `schedules.scale_at`.
        warmup: Share of the run over which the rate rises.
        average_decay: Decay of a moving average of the weights, or None.
        augment: Pure `(key, inputs, targets) -> (inputs, targets)`, applied to each batch.
        seed: Of the augmentation; each step's key is folded from it.
        tuning: Which variables move when and how fast, where some were learned before.
    """
    import jax
    import jax.numpy as jnp

    rate_index = _learning_rate_index(model.optimizer)

    def step(state: TrainState, batch: Any, control: Control) -> tuple[TrainState, dict[str, Any]]:
        if augment is not None:
            key = jax.random.fold_in(jax.random.key(seed), state.step)
            changed = apart(augment, key, *batch[:2], never=state.step < 0)
            batch = (*changed, *batch[2:])
        scale = rate_at(state.step, control, schedule, warmup)
        optimizer = list(state.optimizer)
        current = optimizer[rate_index]
        optimizer[rate_index] = (learning_rate * scale).astype(current.dtype)
        parts = (state.trainable, state.non_trainable, optimizer, state.metrics)
        logs, parts = (
            model.train_step(parts, batch)
            if tuning is None
            else tuned_train_step(model, tuning, parts, batch, state.step, control)
        )
        trainable, non_trainable, optimizer, metrics = parts
        average = state.average
        if average_decay is not None:
            # A young average follows closely, so that early weights do not linger.
            count = state.step.astype(jnp.float32)
            decay = jnp.minimum(average_decay, (1.0 + count) / (10.0 + count))
            average = _blend(average, [*trainable, *non_trainable], decay)
        state = TrainState(
            list(trainable), list(non_trainable), list(optimizer), list(metrics), average,
            state.step + 1,
        )  # fmt: skip
        return state, logs

    return step


def _blend(average: list[Any], current: list[Any], decay: Any) -> list[Any]:
    """The moving average after one more step; what is not a real number is copied."""
    import jax.numpy as jnp

    return [
        old + (1.0 - decay).astype(old.dtype) * (new - old)
        if jnp.issubdtype(old.dtype, jnp.floating)
        else new
        for old, new in zip(average, current, strict=True)
    ]


def _learning_rate_index(optimizer: Any) -> int:
    """Where the learning rate stands among the optimizer's variables."""
    # LossScaleOptimizer wraps the one that holds the rate and lists its variables too.
    rate = getattr(optimizer, "inner_optimizer", optimizer).learning_rate
    return next(i for i, variable in enumerate(optimizer.variables) if variable is rate)


class Program:
    """`step` looped over rows of an order, compiled once for one batch size.

    `run(state, block, order, control, start, count)` does `count` steps from step
    `start` of the epoch, gathering rows `order[start * batch : ...]` of `block`, and
    returns (state, logs of the last step, first step of this call whose running loss
    was not finite or -1). With `halts`, that step is the last one done.
    """

    def __init__(
        self,
        step: Step,
        batch_size: int,
        platform: str,
        *,
        halts: bool = False,
        repeatable: bool = True,
        gather: Callable[[Any, Any], Any] = rows_of,
    ):
        """See the class; `platform` decides the lowering, `gather` what rows stand for.

        With `repeatable`, a GPU gives the same bits each time, too, and is slower.
        """
        self.batch_size = batch_size
        self._gather = gather
        self.halts = halts
        self._repeatable = repeatable
        self.num_traces = 0
        self._step = step
        self._platform = platform
        self._native: NativeStep | None = None
        self._one: Any = None
        self._shapes: Any = None
        self._compiled: Any = None
        self._lowered: Any = None
        self._options: dict[str, Any] = {}
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None

    def lower(self, state: Any, block: Any, order: Any, control: Control) -> None:
        """Trace for these shapes; cheap beside compiling, and not safe to do in a thread."""
        import jax

        # Traced once though used twice: the second use finds the first's trace.
        self._one = jax.jit(self._single, inline=True)
        self._shapes = jax.tree.map(_shape_of, (state, block, order, control))
        before = calls.misses()
        with lowered(self._platform, windows=MOST_PRODUCT, trains=True) as seen:
            self._native = self._as_native()
        if self._native is None:
            if seen.convolutions or calls.misses() > before:
                # XLA has them in another form, or calls what would be C here.
                self._one = jax.jit(self._single, inline=True)
            with lowered(self._platform, trains=True):
                self._lower_for_xla()

    def _as_native(self) -> NativeStep | None:
        """The step as C, where that serves and can be had."""
        import jax
        import numpy as np

        if self._platform != "cpu":
            return None
        try:
            building.compiler()
            arguments = (jax.ShapeDtypeStruct((), np.int32), *self._shapes)
            traced = self._one.trace(*arguments)
            return NativeStep(traced.jaxpr, arguments, traced.out_info)
        except (UnsupportedError, TooLargeError, building.NoCompilerError) as reason:
            logger.debug("XLA takes the step: %s", reason)
        except Exception as error:
            # A defect of this compiler must not cost anyone a run that XLA can do.
            logger.warning("A step could not be written as C, so XLA takes it: %r", error)
        return None

    def _lower_for_xla(self) -> None:
        import jax
        import numpy as np

        program = jax.jit(self._run, donate_argnums=0)
        traced = program.trace(*self._shapes, np.int32(0), np.int32(0))
        self._options = options_for(traced.jaxpr.jaxpr, self._platform, repeatable=self._repeatable)
        self._lowered = traced.lower()

    def compile(self) -> None:
        """Compile what was lowered; may run in a thread."""
        if self._native is not None:
            try:
                self._native.compile()
                return
            except building.NoCompilerError as reason:
                logger.warning("The C compiler refused a step, so XLA takes it: %s", reason)
                self._native = None
                with lowered(self._platform, trains=True):
                    self._lower_for_xla()
        self._compiled = compile_for(self._lowered, self._options)
        self._lowered = None

    def compile_ahead(self) -> None:
        """Compile in a thread while something else runs; `wait` or the first call joins it."""

        def work() -> None:
            try:
                self.compile()
            except BaseException as error:
                self._failure = error

        # Not a daemon: a process that exits inside the compiler aborts instead of exiting.
        self._thread = threading.Thread(target=work, name="septet-compile")
        self._thread.start()

    def wait(self) -> float:
        """Wait for a thread that compiles ahead, and raise what stopped it; how long, in s."""
        if self._thread is None:
            return 0.0
        begin = time.monotonic()
        self._thread.join()
        self._thread = None
        if self._failure is not None:
            raise self._failure
        return time.monotonic() - begin

    def memory_bytes(self) -> int | None:
        """Device memory of a call: arguments, results and temporaries; None if not told."""
        if self._native is not None:
            return self._native.memory_bytes
        try:
            analysis = self._compiled.memory_analysis()
            return int(analysis.argument_size_in_bytes + analysis.temp_size_in_bytes)
        except (AttributeError, NotImplementedError, TypeError):
            return None

    def __call__(
        self, state: Any, block: Any, order: Any, control: Control, start: int, count: int
    ) -> tuple[Any, dict[str, Any], Any]:
        """Run `count` steps; see the class."""
        import numpy as np

        self.wait()
        if self._native is not None:
            return self._native(state, block, order, control, start, count, self.halts)
        return self._compiled(state, block, order, control, np.int32(start), np.int32(count))

    def _single(
        self, index: Any, state: Any, block: Any, order: Any, control: Control
    ) -> tuple[Any, dict[str, Any], Any]:
        """One step: (state, logs, whether its running loss is finite)."""
        import jax.numpy as jnp
        from jax import lax

        self.num_traces += 1
        rows = lax.dynamic_slice_in_dim(order, index * self.batch_size, self.batch_size)
        batch = self._gather(block, rows)
        state, logs = self._step(state, batch, control)
        return state, logs, jnp.isfinite(logs["loss"]).all() if "loss" in logs else jnp.array(True)

    def _run(
        self, state: Any, block: Any, order: Any, control: Control, start: Any, count: Any
    ) -> tuple[Any, dict[str, Any], Any]:
        import jax
        import jax.numpy as jnp
        from jax import lax

        def body(carry: Any) -> Any:
            index, state, _, bad = carry
            state, logs, is_finite = self._one(start + index, state, block, order, control)
            first = (bad < 0) & ~is_finite
            return index + 1, state, logs, jnp.where(first, state.step - 1, bad)

        def is_unfinished(carry: Any) -> Any:
            index, _, _, bad = carry
            return (index < count) & (bad < 0) if self.halts else index < count

        shapes = jax.eval_shape(self._one, start, state, block, order, control)[1]
        logs = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        bad = jnp.full((), -1, jnp.int32)
        return lax.while_loop(is_unfinished, body, (jnp.int32(0), state, logs, bad))[1:]


def _shape_of(leaf: Any) -> Any:
    import jax
    import numpy as np

    dtype = leaf.dtype if hasattr(leaf, "dtype") else np.asarray(leaf).dtype
    return jax.ShapeDtypeStruct(np.shape(leaf), dtype)
