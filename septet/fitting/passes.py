"""One pass over a source in chunks, with callbacks as Keras calls them."""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from septet.engine.loop import Pace
from septet.engine.program import Program, Step
from septet.engine.schedules import Control
from septet.engine.state import TrainState
from septet.fitting import keras_inside
from septet.fitting.blocks import Block, shape_of
from septet.fitting.sources import Source

NO_CONTROL = Control(np.int32(0), np.float32(0), np.int32(1), np.float32(1))
"""The learning rate is the optimizer's own business here."""


class Programs:
    """The compiled programs of a model, kept on it until it is compiled anew."""

    def __init__(self, model: Any, platform: str):
        """Begin without any; `of` is the way to get those of a model."""
        self.model = model
        self.platform = platform
        self.compiled_as = keras_inside.compiled_as(model)
        self._programs: dict[Any, Any] = {}

    @classmethod
    def of(cls, model: Any, platform: str) -> "Programs":
        """Those of `model`, from earlier calls if it was not compiled anew since."""
        kept = getattr(model, "_septet_programs", None)
        if (
            not isinstance(kept, cls)
            or kept.model is not model
            or kept.compiled_as is not keras_inside.compiled_as(model)
        ):
            kept = cls(model, platform)
            # Not a part of the model that Keras should track.
            object.__setattr__(model, "_septet_programs", kept)
        return kept

    def get(
        self, kind: str, block: Block, state: TrainState, *, halts: bool, repeatable: bool
    ) -> Program | None:
        """The program for blocks and states of these shapes, compiled.

        None where a step cannot be looped although Keras can run it: when it changes the
        shape or type of a variable.
        """

        def compiled() -> Program | None:
            step = step_of(self.model, kind)
            size, platform = block.batch_size, self.platform
            program = Program(step, size, platform, halts=halts, repeatable=repeatable)
            try:
                program.lower(state, block.arrays, block.order, NO_CONTROL)
            except TypeError as error:
                if "carry" not in str(error):
                    raise
                return None
            program.compile()
            return program

        shapes = shape_of((state, block.arrays, block.order))
        return self.keep((kind, block.batch_size, halts, repeatable, shapes), compiled)

    def keep(self, key: Any, make: Callable[[], Any]) -> Any:
        """What `make` made when `key` was first asked for."""
        if key not in self._programs:
            self._programs[key] = make()
        return self._programs[key]

    def step(self, kind: str) -> Any:
        """Keras' own compiled function of one step: `(state, iterator) -> (logs, state)`."""
        getattr(self.model, f"make_{kind}_function")()
        return getattr(self.model, f"{kind}_function")


def step_of(model: Any, kind: str) -> Step:
    """The model's own `train_step` or `test_step`, for a `Program`."""
    groups = keras_inside.Lent.GROUPS[kind]
    own = model.train_step if kind == "train" else model.test_step

    def step(state: TrainState, batch: Any, control: Control) -> tuple[TrainState, dict[str, Any]]:
        del control
        logs, values = own(tuple(getattr(state, group) for group in groups), batch)
        return renewed(state, groups, values), logs

    return step


def renewed(state: TrainState, groups: Sequence[str], values: Any) -> TrainState:
    """`state` one step later, its `groups` replaced by `values`."""
    changed = {group: list(each) for group, each in zip(groups, values, strict=True)}
    return state._replace(**changed, step=state.step + 1)


class Hooks:
    """When the callbacks of a pass are called.

    Args:
        kind: "train", "test" or "predict".
        callbacks: `keras.callbacks.CallbackList`.
        steps_per_execution: Steps between two calls in Keras.

    Attributes:
        watchers: Names of the callbacks for which Keras' rhythm is kept; where there are
            none, they are called once a chunk.
        halts: Whether the program stops by itself where the loss is not finite.
    """

    def __init__(self, kind: str, callbacks: Any, steps_per_execution: int):
        """See the class."""
        every = callbacks.callbacks
        waits_for_nan = kind == "train" and any(map(_ends_at_nan, every))
        self.watchers = [type(each).__name__ for each in every if watches_batches(each, kind)]
        self.halts = waits_for_nan and steps_per_execution == 1
        keeps_rhythm = self.watchers or (waits_for_nan and not self.halts)
        self._stride = steps_per_execution if keeps_rhythm else None
        self._begin = getattr(callbacks, f"on_{kind}_batch_begin")
        self._end = getattr(callbacks, f"on_{kind}_batch_end")
        self._opened: int | None = None

    def room(self, place: int) -> int | None:
        """Most steps that may be done from step `place` before the next call; None: any."""
        return None if self._stride is None else self._stride - place % self._stride

    def open(self, place: int) -> None:
        """Steps from `place` on come next."""
        if self._opened is None:
            self._opened = place
            self._begin(place)

    def see(self, place: int, logs: dict[str, Any]) -> None:
        """All steps before `place` are done."""
        if self._stride is None or place % self._stride == 0:
            self._opened = None
            self._end(place - 1, logs)

    def close(self, logs: dict[str, Any]) -> None:
        """The epoch is over, perhaps in the middle of several steps that are one call."""
        if self._opened is not None and self._stride is not None:
            place, self._opened = self._opened, None
            self._end(place + self._stride - 1, logs)


def watches_batches(callback: Any, kind: str = "train") -> bool:
    """Whether a callback must be called at every batch, not only now and then.

    Progress bars need not, nor those of Keras' own that only look when `save_freq` is a
    number, nor `TerminateOnNaN`: the program stops by itself at the step it waits for.
    """
    import keras

    builtin = keras.callbacks
    if type(callback) in (builtin.ProgbarLogger, builtin.History, builtin.TerminateOnNaN):
        return False
    savers = [
        getattr(builtin, name)
        for name in ("ModelCheckpoint", "BackupAndRestore", "OrbaxCheckpoint")
        if hasattr(builtin, name)
    ]
    if type(callback) in savers and getattr(callback, "save_freq", None) == "epoch":
        return False
    names = [f"on_{kind}_batch_begin", f"on_{kind}_batch_end"]
    if kind == "train":
        names += ["on_batch_begin", "on_batch_end"]
    return not all(keras_inside.is_default(getattr(callback, name)) for name in names)


def _ends_at_nan(callback: Any) -> bool:
    import keras

    return isinstance(callback, keras.callbacks.TerminateOnNaN)


class Pass:
    """Trains or tests a model on one epoch after another of a source.

    Args:
        model: A compiled `keras.Model`.
        kind: "train" or "test".
        hooks: When callbacks are called.
        platform: "cpu" or another; decides the lowering.
        chunk_s: Seconds after which the host wants control back.

    Attributes:
        repeatable: Steps must give the same bits each time, if that is slower.
    """

    def __init__(self, model: Any, kind: str, hooks: Hooks, platform: str, chunk_s: float = 0.25):
        """See the class."""
        self.repeatable = False
        self.model = model
        self.kind = kind
        self.hooks = hooks
        self.programs = Programs.of(model, platform)
        self.pace = Pace(chunk_s)
        self._state: TrainState | None = None
        self._looked_up: tuple[Block, Program | None] | None = None

    def run(
        self,
        source: Source,
        epoch: int,
        is_over: Callable[[int, dict[str, Any]], bool],
        done: int = 0,
        logs: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """One epoch; the logs of its last step.

        Args:
            source: Where batches come from.
            epoch: Which, from 0.
            is_over: Asked after each chunk, with the steps of the epoch done so far and
                the logs of the last.
            done: Steps of it that are done already.
            logs: Those of the last of these.
        """
        lent = keras_inside.Lent(self.model, self.kind)
        logs = logs or {}
        try:
            for block in source.epoch(epoch, done):
                index = max(0, done - block.first_step)
                while index < block.steps:
                    index, logs = self._chunk(lent, block, index)
                    if is_over(block.first_step + index, logs):
                        self.hooks.close(logs)
                        return logs
            self.hooks.close(logs)
        finally:
            lent.end()
        return logs

    def _chunk(
        self, lent: keras_inside.Lent, block: Block, index: int
    ) -> tuple[int, dict[str, Any]]:
        """Some steps of a block from its step `index`: (the next step, logs)."""
        place = block.first_step + index
        self.hooks.open(place)
        if lent.is_given_back or self._state is None:
            # A callback may have changed the variables.
            self._state, self._looked_up = lent.take(), None
        state = self._state._replace(step=np.int32(0))
        program = self._program(block, state)
        started = time.monotonic()
        with uninterrupted():
            if program is None:
                state, logs = self._single_step(state, block.batch(index))
            else:
                count = min(block.steps - index, self.hooks.room(place) or self.pace.count)
                state, logs, _ = program(state, block.arrays, block.order, NO_CONTROL, index, count)
            self._state = state
            lent.lend(state)
        done = int(state.step)  # waits for the device
        self.pace.see(done, time.monotonic() - started)
        self.hooks.see(place + done, logs)
        return index + done, logs

    def _program(self, block: Block, state: TrainState) -> Program | None:
        """The program for `block`; the state keeps its shapes as long as it stays here."""
        if self._looked_up is None or self._looked_up[0] is not block:
            program = None
            if block.order is not None:
                how = {"halts": self.hooks.halts, "repeatable": self.repeatable}
                program = self.programs.get(self.kind, block, state, **how)
            self._looked_up = (block, program)
        return self._looked_up[1]

    def _single_step(self, state: TrainState, batch: Any) -> tuple[TrainState, dict[str, Any]]:
        """One step by Keras' own function, for what no program can take."""
        groups = keras_inside.Lent.GROUPS[self.kind]
        values = tuple(getattr(state, group) for group in groups)
        logs, values = self.programs.step(self.kind)(values, iter([batch]))
        return renewed(state, groups, values), logs


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Put off Ctrl-C until the state that a program returns has arrived."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed: list[Any] = []
    handler = signal.signal(signal.SIGINT, lambda *arguments: pressed.append(arguments))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if pressed and callable(handler):
        handler(*pressed[0])
