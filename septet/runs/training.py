"""The training of a run: chunks, validation, log, checkpoints, budget, interruption.

What it decides is a function of the state, except for time: how a time budget became
steps is kept as events of the plan, and a reproduced run replays them.
"""

import hashlib
import time
from typing import Any

from septet.engine import devices
from septet.engine.loop import Chunk, all_finite
from septet.engine.schedules import Plan, rate_program
from septet.engine.state import copied, from_tensors, shipped_weights, to_tensors
from septet.errors import Interrupted, NonFiniteError
from septet.runs import checkpoints, storage
from septet.runs.bookkeeping import Bookkeeping
from septet.runs.budget import UNKNOWN_STEPS, Budget
from septet.runs.folder import RunFolder, read_object
from septet.runs.interruption import StopRequest
from septet.runs.log import RunLog
from septet.runs.observer import Forecast, Observer, Progress
from septet.runs.session import Session

Weights = tuple[list[Any], list[Any]]

GLIMPSE_S = 60.0
"""Seconds between two looks at what the network makes."""


class Training:
    """One run from wherever its folder says it stands to its last step.

    Args:
        session: Model, data and step.
        run: The run's folder, locked by this process.
        observer: Hears how it goes.
        started: `time.monotonic()` when the run was asked for.
    """

    def __init__(
        self,
        session: Session,
        run: RunFolder,
        observer: Observer,
        *,
        started: float,
    ):
        """See the class."""
        self.session = session
        self.run = run
        self.observer = observer
        self.started = started
        self.options = session.material.config.training
        self.books = Bookkeeping()
        self.step = 0
        self.spent_s = 0.0
        recorded = read_object(run.path / "replay.json")
        self.is_replay = recorded is not None
        self.plan = Plan.replaying(recorded["plan"] if recorded else [])
        self.log = RunLog(run.log_path)
        self.best: Weights | None = None
        self._best_saved: int | None = None
        self._logs: dict[str, float] = {}
        self._has_validation = len(session.split("validation")) > 0
        self._checkpointed: tuple[int, float] = (-1, time.monotonic())
        self._loop_s = 0.0
        self._loop_steps = 0
        # A session's first steps take up memory, and say little about the others.
        self._first = 0.0, 0
        self._validation_s = 0.0
        self._looked = -1
        self._restore()
        self.loop = session.loop_from(self._state)
        self.budget = self._make_budget()

    # Where the run stands

    def _restore(self) -> None:
        """Take the newest complete checkpoint, or begin."""
        self._state = self.session.state
        found, skipped = checkpoints.load_newest(self.run.checkpoints)
        for message in skipped:
            self.observer.note(f"Skipped a damaged checkpoint: {message}")
        if found is None:
            if self.run.log_path.exists():
                self.log.truncate(0, hashlib.sha256(b"").hexdigest())
            self.plan.apply_replay(0)
            if not self.plan.events:
                self.plan.revise(0, self._planned_steps())
            return
        self._state = from_tensors(found.tensors, self._state)
        self.step = found.step
        self.spent_s = found.state["spent_s"]
        self.plan.events = found.state["plan"]
        self.plan.replay = [event for event in self.plan.replay if event[0] > self.step]
        self._logs = found.state["metrics"]
        self.books = Bookkeeping(**found.state["bookkeeping"])
        self.log.truncate(found.state["log"]["bytes"], found.state["log"]["sha256"])
        self.observer.note(f"Resuming from checkpoint {found.path.name}.")
        self._checkpointed = (self.step, time.monotonic())
        self._restore_best(found.state["best_step"])

    def _restore_best(self, best_step: int | None) -> None:
        if best_step is None:
            return
        tensors = checkpoints.load_best(self.run.checkpoints, best_step).tensors
        split = len(self._state.trainable)
        values = [tensors[name] for name in sorted(tensors)]
        self.best = (values[:split], values[split:])
        self._best_saved = best_step

    def _planned_steps(self) -> int:
        if self.options.minutes is not None:
            return UNKNOWN_STEPS
        assert isinstance(self.options.epochs, int)  # `read` has settled "auto"
        return self.options.epochs * self.session.feed.steps_per_epoch

    def _make_budget(self) -> Budget | None:
        if self.options.minutes is None or self.is_replay:
            return None
        epochs = self.options.epochs
        assert epochs != "auto"
        return Budget(
            self.options.minutes,
            self.started,
            spent_s=self.spent_s,
            max_steps=epochs and epochs * self.session.feed.steps_per_epoch,
        )

    # The loop

    def train(self, stop: StopRequest) -> None:
        """Run to the end of the plan.

        Raises:
            Interrupted: `stop` was requested; the run is saved and resumable.
            NonFiniteError: The loss or an update was not finite.
            StorageError: A checkpoint or the log could not be written.
        """
        self._compile()
        if self._checkpointed[0] < 0:
            self.checkpoint()
        while True:
            self.plan.apply_replay(self.step)
            self._revise()
            limit = self._limit()
            if limit == 0:
                break
            self._advance(limit)
            if self._is_epoch_end():
                self._end_epoch()
            self._look()
            if self._is_checkpoint_due() or stop.requested:
                self.checkpoint()
            if stop.requested:
                raise Interrupted(f"septet resume {self.run.name}")
        if self.books.logged_step != self.step:
            self._end_epoch()
        if self._checkpointed[0] != self.step:
            self.checkpoint()
        self._look(at_last=True)

    def _compile(self) -> None:
        begin = time.monotonic()
        self.loop.compile(self.plan.control(self.books.plateau_scale))
        compile_s = time.monotonic() - begin
        if self.budget is not None:
            self.budget.allow_for(setup_s=time.monotonic() - self.started)
            material = self.session.material
            scoring_s = material.task.scoring_time_s(material.dataset)
            self.budget.allow_for(evaluation_s=scoring_s)
        session = self.session
        self.observer.forecast(
            Forecast(
                name=self.run.name,
                folder=str(self.run.path),
                device=str(devices.describe()["kind"]),
                architecture=session.architecture[0],
                parameters=int(session.model.count_params()),
                examples=dict(session.material.dataset.account.splits),
                steps=None if self.budget else self.plan.total_steps,
                steps_per_epoch=session.feed.steps_per_epoch,
                memory_bytes=self.loop.memory_bytes,
                compile_s=compile_s if self.loop.is_compiled else None,
            )
        )

    def _revise(self) -> None:
        if self.budget is None or self.step == 0:
            return
        step_s = self._loop_s / self._loop_steps if self._loop_s > 1.0 else None
        self.budget.revise(self.plan, self.step, step_s)

    def _limit(self) -> int:
        limit = self.plan.limit(self.step)
        every = self.options.checkpoint_every_steps
        return limit if every is None else min(limit, every - self.step % every)

    def _advance(self, limit: int) -> None:
        feed = self.session.feed
        epoch, index = divmod(self.step, feed.steps_per_epoch)
        control = self.plan.control(self.books.plateau_scale)
        chunk = self.loop.advance(epoch, index, limit, control)
        self.step += chunk.count
        if chunk.bad_step is not None:
            raise self._non_finite("loss", chunk.bad_step)
        self._loop_s += chunk.seconds
        self._loop_steps += chunk.count
        if self._loop_steps == chunk.count:
            self._first = chunk.seconds, chunk.count
        self._logs = chunk.logs
        self._report(chunk)

    def _report(self, chunk: Chunk) -> None:
        seconds, steps = self._loop_s - self._first[0], self._loop_steps - self._first[1]
        if steps == 0:
            seconds, steps = self._first
        speed = steps / max(seconds, 1e-9)
        per_epoch = self.session.feed.steps_per_epoch
        total = self.plan.total_steps
        left = (total - self.step) / speed
        if self.budget is not None:
            left = max(0.0, self.budget.remaining_s())
        self.observer.progress(
            Progress(
                epoch=(self.step - 1) // per_epoch + 1,
                epochs=total / per_epoch,
                step=self.step,
                total_steps=total,
                steps_per_s=chunk.count / max(chunk.seconds, 1e-9),
                remaining_s=left,
                logs=chunk.logs,
            )
        )

    # What the network makes, from time to time

    def _look(self, *, at_last: bool = False) -> None:
        """Keep a picture of what the network makes, once a minute, where the task has one."""
        task, prepared = self.session.material.task, self.session.material.prepared
        inputs = task.glimpses(prepared)
        minute = int((self.spent_s + time.monotonic() - self.started) // GLIMPSE_S)
        if task.decoding_options is not None:
            # What it writes at last is in the evaluation, and at first it is noise.
            if minute > max(self._looked, 0):
                self._looked = minute
                self._look_at_text()
            return
        if inputs is None or (minute <= self._looked and not at_last):
            return
        self._looked = minute
        outputs = self.session.predict(shipped_weights(self.loop.state), inputs)
        self.run.glimpses.mkdir(exist_ok=True)
        path = self.run.glimpses / f"step-{self.step:012d}.png"
        storage.commit_file(path, task.draw_glimpse(outputs, prepared))

    def _look_at_text(self) -> None:
        task = self.session.material.task
        weights = self.session.shipped(shipped_weights(self.loop.state))
        network = task.shipped_network(self.session.model)
        text = task.glimpse(network, weights, self.session.material.prepared)
        if text is not None:
            self.run.glimpses.mkdir(exist_ok=True)
            path = self.run.glimpses / f"step-{self.step:012d}.txt"
            storage.commit_file(path, text.encode())

    def text_glimpses(self) -> list[dict[str, str]]:
        """{"at": which epoch, "text"} of every text kept so far, oldest first."""
        found = sorted(self.run.glimpses.glob("step-*.txt"))
        per_epoch = self.session.feed.steps_per_epoch
        return [
            {
                "at": f"epoch {int(path.stem.removeprefix('step-')) / per_epoch:.2f}",
                "text": path.read_text(encoding="utf-8"),
            }
            for path in found
        ]

    def glimpses(self) -> list[tuple[str, bytes]]:
        """(which epoch, PNG) of every picture kept so far, oldest first."""
        found = sorted(self.run.glimpses.glob("step-*.png"))
        per_epoch = self.session.feed.steps_per_epoch
        return [
            (f"epoch {int(path.stem.removeprefix('step-')) / per_epoch:.1f}", path.read_bytes())
            for path in found
        ]

    # The end of an epoch

    def _is_epoch_end(self) -> bool:
        return self.step % self.session.feed.steps_per_epoch == 0

    def _end_epoch(self) -> None:
        """Validate, log, and decide whether to go on."""
        begin = time.monotonic()
        self._require_finite()
        row = self._row()
        self.log.append(row)
        self.observer.epoch(row)
        self.books.logged_step = self.step
        monitor, direction = self.session.material.task.monitor
        if not self._has_validation:
            monitor, direction = "loss", "min"
        if self.books.record(row[monitor], direction, row):
            self.best = copied(shipped_weights(self.loop.state))
        self.books.lower_rate(self.options)
        if self.books.is_out_of_patience(self.options) and self.step < self.plan.total_steps:
            self.books.stopped = f"no improvement in {self.options.patience} epochs"
            self.plan.revise(self.step, self.step)
        # Validation is part of what a step costs when a budget turns time into steps.
        self._loop_s += time.monotonic() - begin

    def _row(self) -> dict[str, Any]:
        per_epoch = self.session.feed.steps_per_epoch
        row: dict[str, Any] = {"epoch": (self.step - 1) // per_epoch + 1, "step": self.step}
        row["learning_rate"] = self._learning_rate()
        row |= {"loss": self._logs["loss"], **self._logs}
        if self._has_validation:
            begin = time.monotonic()
            outputs = self.session.outputs(shipped_weights(self.loop.state), "validation")
            measured = self.session.loss.measure(outputs, self.session.arrays("validation")[1])
            row |= {f"validation_{name}": value for name, value in measured.items()}
            self._allow_for_test(time.monotonic() - begin)
            if not all(value == value for value in measured.values()):
                raise self._non_finite("validation loss", self.step)
        return row

    def _learning_rate(self) -> float:
        """The rate of the next step, as the program will compute it."""
        control = self.plan.control(self.books.plateau_scale)
        scale = rate_program(self.options.schedule, self.options.warmup)(self.step, control)
        return self.options.learning_rate * float(scale)

    def _allow_for_test(self, validation_s: float) -> None:
        if self.budget is not None:
            sizes = {
                name: len(split) for name, split in self.session.material.dataset.splits.items()
            }
            self.budget.allow_for(
                evaluation_s=validation_s * sizes["test"] / max(sizes["validation"], 1)
            )

    # Finite or not at all

    def _require_finite(self) -> None:
        if not all_finite(self.loop.state):
            raise self._non_finite("update", self.step - 1)

    def _non_finite(self, what: str, bad_step: int) -> NonFiniteError:
        epoch = bad_step // self.session.feed.steps_per_epoch + 1
        kept = max(self._checkpointed[0], 0)
        return NonFiniteError(
            f"The {what} stopped being a finite number at epoch {epoch}, step {bad_step + 1}. "
            f"The last good checkpoint is that of step {kept}; nothing after it was kept. "
            f"Try a lower training.learning_rate (it was {self.options.learning_rate:g}), "
            f"training.clip_norm=1.0 (it was {self.options.clip_norm}), "
            f"training.precision=float32 (it was {self.options.precision}), "
            "or look for absurd values with 'septet check'."
        )

    # Checkpoints

    def _is_checkpoint_due(self) -> bool:
        every = self.options.checkpoint_every_steps
        if every is not None and self.step % every == 0:
            return True
        return time.monotonic() - self._checkpointed[1] >= self.options.checkpoint_every_s

    def checkpoint(self) -> None:
        """Commit the whole state, and the best weights where they are new."""
        self._require_finite()
        self.log.sync()
        folder = self.run.checkpoints
        if self.best is not None and self._best_saved != self.books.best_step:
            assert self.books.best_step is not None
            checkpoints.save(folder, self.books.best_step, _named(self.best), {}, best=True)
            self._best_saved = self.books.best_step
        saved = checkpoints.save(folder, self.step, to_tensors(self.loop.state), self._facts())
        checkpoints.prune(folder, self.options.keep_checkpoints, committed=saved)
        self._checkpointed = (self.step, time.monotonic())

    def _facts(self) -> dict[str, Any]:
        length = self.log.length()
        return {
            "best_step": self._best_saved,
            "bookkeeping": self.books.to_json(),
            "plan": self.plan.events,
            "metrics": self._logs,
            "spent_s": self.spent_s + time.monotonic() - self.started,
            "log": {"bytes": length.bytes, "rows": length.rows, "sha256": length.sha256},
        }

    def shipped(self) -> Weights:
        """The weights to ship: of the best epoch, or of the last."""
        if self.options.restore_best and self.best is not None:
            return self.best
        return shipped_weights(self.loop.state)


def _named(weights: Weights) -> dict[str, Any]:
    return {f"{index:05d}": value for index, value in enumerate([*weights[0], *weights[1]])}
