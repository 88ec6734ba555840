"""Keeps a training of `fit` in a run folder: log, checkpoints, model, receipt, report.

A resumed training makes the very steps that the uninterrupted one makes. For that a
checkpoint holds, beside the whole state of the model, what the callbacks remember and
where the random generators stood, at the beginning and at that of the epoch.
"""

import hashlib
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from septet.engine.loop import all_finite
from septet.engine.state import TrainState, from_tensors, to_tensors
from septet.errors import InputError, Interrupted, NonFiniteError, SeptetError
from septet.fitting import identity, keras_inside, memory
from septet.runs import checkpoints, index, storage
from septet.runs.folder import RunFolder, read_object, runs_root
from septet.runs.interruption import StopRequest, stop_on_signal
from septet.runs.log import RunLog
from septet.runs.receipt import hash_json, hash_tensors, make_receipt
from septet.runs.report import write_report
from septet.runs.running import note_end

CHECKPOINT_EVERY_S = 30.0
KEEP_CHECKPOINTS = 2
MODEL = "model.keras"
WEIGHTS = "model.weights.h5"
CHANCE = "chance"
CALLBACKS = "callbacks"


class Position(NamedTuple):
    """Where a training stands: the epoch (from 0) and how many of its steps are done."""

    epoch: int
    step: int


@dataclass
class Keeper:
    """The folder's side of a training.

    Args:
        run: The run's folder, locked by this process.
        model: What is trained.
        callbacks: `keras.callbacks.CallbackList`.
        source: Where the batches come from.
        stop: Whether somebody asked to stop.
        account: What is known of the data.
    """

    run: RunFolder
    model: Any
    callbacks: Any
    source: Any
    stop: StopRequest
    account: Mapping[str, Any]
    total_steps: int = 0
    logs: dict[str, Any] = field(default_factory=dict)
    spent_s: float = 0.0

    def __post_init__(self) -> None:
        """Open the log."""
        self.log = RunLog(self.run.log_path)
        self.is_finished = self.run.status()["status"] == "finished"
        self.started = self._saved_at = time.monotonic()
        self._found: checkpoints.Checkpoint | None = None
        self._began = self._epoch_began = memory.of_chance()
        self._epoch_first_step = 0
        self._made = memory.remembered(self.callbacks.callbacks)

    # Where it stands

    def restore(self, start: Position) -> Position:
        """Take the newest complete checkpoint, or begin at `start` with a first one."""
        found, skipped = checkpoints.load_newest(self.run.checkpoints)
        for message in skipped:
            self._note(message)
        if found is None:
            if self.run.log_path.exists():
                self.log.truncate(0, hashlib.sha256(b"").hexdigest())
            self._save(start)
            return start
        self._found = found
        facts = found.state
        self.total_steps, self.logs = found.step, facts["logs"]
        self.spent_s = facts["spent_s"]
        self._began = self._chance("began")
        self.log.truncate(facts["log"]["bytes"], facts["log"]["sha256"])
        position = Position(*facts["position"])
        self._epoch_first_step = self.total_steps - position.step
        self._put_back()
        return position

    def begin_epoch(self, position: Position) -> None:
        """Before the order of an epoch is drawn; puts everything back in a begun one.

        Callbacks have been told that the epoch begins, and may have changed something then.
        """
        self._begin_work(position)
        if self._found is None:
            self._epoch_began = memory.of_chance()
            self._epoch_first_step = self.total_steps
            return
        if self.source.continues:
            memory.to_chance(*self._began)
        self.source.fast_forward(position.epoch)
        if position.step:
            self._put_back()
            self._epoch_began = self._chance("epoch")
        else:
            self._epoch_began = self._chance("now")
        memory.to_chance(*self._epoch_began)
        self._found = None

    def _begin_work(self, position: Position) -> None:
        """Say so, the first time."""
        if self._found is not None:
            self._note(f"Continuing the run '{self.run.name}' in epoch {position.epoch + 1}.")
        if self.is_finished or self._found is not None:
            self.is_finished = False
            self.run.set_status("running")

    def _put_back(self) -> None:
        """Model and callbacks as they were."""
        assert self._found is not None
        tensors, facts = self._found.tensors, self._found.state
        like = keras_inside.state_of(self.model)
        state = {name: value for name, value in tensors.items() if _is_of_state(name)}
        keras_inside.put(self.model, from_tensors(state, like))
        remembered = _inside(tensors, CALLBACKS)
        memory.to_callbacks(self.callbacks.callbacks, facts["callbacks"], remembered, self._made)
        self.model.stop_training = facts["stopped"]

    def _chance(self, when: str) -> tuple[dict[str, Any], memory.Tensors]:
        assert self._found is not None
        tensors = _inside(self._found.tensors, f"{CHANCE}/{when}")
        return self._found.state["chance"][when], tensors

    # What happens

    def see(self, epoch: int, place: int, logs: Mapping[str, Any]) -> None:
        """The first `place` steps of `epoch` are done.

        Raises:
            Interrupted: Somebody asked to stop; everything is saved.
            NonFiniteError: The loss is not a finite number; the last checkpoint is kept.
        """
        self.total_steps = self._epoch_first_step + place
        self.logs = keras_inside.plain(dict(logs))
        self._require_finite_loss(epoch, place)
        if self.stop.requested or self._is_due():
            self._save(Position(epoch, place))
        self._stop_if_asked(epoch)

    def end_epoch(self, epoch: int, logs: Mapping[str, Any]) -> None:
        """An epoch and its validation are over, and callbacks know; see `see`."""
        self.logs = {}
        self.log.append({"epoch": epoch + 1, "step": self.total_steps, **_finite(logs)})
        if self.stop.requested or self._is_due():
            self._save(Position(epoch + 1, 0))
        self._stop_if_asked(epoch + 1)

    def _stop_if_asked(self, epoch: int) -> None:
        if self.stop.requested:
            raise Interrupted(
                f"The run '{self.run.name}' is saved in epoch {epoch + 1}, after step "
                f"{self.total_steps:,}. Start the same program again to continue it."
            )

    def _require_finite_loss(self, epoch: int, place: int) -> None:
        loss = self.logs.get("loss", 0.0)
        if loss - loss != 0:
            raise self._non_finite("loss", epoch, place)

    def _non_finite(self, what: str, epoch: int, place: int) -> NonFiniteError:
        saved = max(checkpoints.steps(self.run.checkpoints), default=0)
        return NonFiniteError(
            f"The {what} stopped being a finite number at epoch {epoch + 1}, step {place}. The "
            f"last good checkpoint is that of step {saved}; nothing after it was kept. Try a "
            "lower learning rate, clipnorm=1.0 in the optimizer, or look for absurd values in "
            "the data; give the new training another run name."
        )

    # Checkpoints

    def _is_due(self) -> bool:
        return time.monotonic() - self._saved_at >= CHECKPOINT_EVERY_S

    def _save(self, position: Position) -> None:
        """Commit everything that continuing from `position` needs."""
        state = keras_inside.state_of(self.model)
        if not all_finite(state._replace(metrics=[])):
            raise self._non_finite("update", *position)
        self.log.sync()
        length = self.log.length()
        now = memory.of_chance()
        chances = {"began": self._began, "epoch": self._epoch_began, "now": now}
        remembered, arrays = memory.of_callbacks(self.callbacks.callbacks, self._made)
        tensors = {**to_tensors(state), **_named(CALLBACKS, arrays)}
        for when, (_, words) in chances.items():
            tensors |= _named(f"{CHANCE}/{when}", words)
        facts = {
            "position": list(position),
            "logs": _finite(self.logs),
            "stopped": bool(self.model.stop_training),
            "callbacks": remembered,
            "chance": {when: known for when, (known, _) in chances.items()},
            "spent_s": self.spent_s + time.monotonic() - self.started,
            "log": {"bytes": length.bytes, "rows": length.rows, "sha256": length.sha256},
            "best_step": None,
        }
        saved = checkpoints.save(self.run.checkpoints, self.total_steps, tensors, facts)
        checkpoints.prune(self.run.checkpoints, KEEP_CHECKPOINTS, committed=saved)
        self._saved_at = time.monotonic()

    # The end

    def finish(self, epoch: int) -> None:
        """Commit the last state, the model, scores, receipt, curves and report.

        Args:
            epoch: Epochs that are done.
        """
        if self.is_finished:
            self._note(
                f"The run '{self.run.name}' is finished already; the model has its weights. "
                "Give more epochs to train on, or another run name to train anew."
            )
            return
        if self._found is not None:  # all epochs were done: nothing has drawn since
            self._epoch_began = self._chance("epoch")
            memory.to_chance(*self._chance("now"))
        self._save(Position(epoch, 0))
        rows = self.log.read()
        self._commit_model()
        evaluation = _evaluation(rows[-1] if rows else {}, self.account["splits"])
        self._commit("evaluation.json", evaluation)
        receipt = self._receipt()
        self._commit("receipt.json", receipt)
        self._write_report(rows, evaluation, receipt)
        name, value = next(iter(evaluation["scores"].items()), (None, None))
        self.run.set_status(
            "finished",
            epochs=epoch,
            steps=self.total_steps,
            score=value,
            score_name=name,
            seconds=self._seconds(),
            error=None,
        )
        index.refresh(self.run.path.parent)

    def _commit_model(self) -> None:
        """The model as a .keras file, or its weights alone where it cannot be written so."""
        with tempfile.TemporaryDirectory(prefix="septet-") as folder:
            staged = Path(folder) / MODEL
            try:
                self.model.save(staged)
            except Exception as error:
                self._note(f"{MODEL} could not be written ({error}); {WEIGHTS} has the weights.")
                staged = Path(folder) / WEIGHTS
                self.model.save_weights(staged)
            storage.commit_file(self.run.path / staged.name, staged.read_bytes())

    def _receipt(self) -> dict[str, Any]:
        config = self.run.config()
        values = [np.asarray(variable.value) for variable in self.model.weights]
        weights = {f"{place:05d}": value for place, value in enumerate(values)}
        receipt = make_receipt(
            config=config,
            data=hash_json(config["data"]),
            weights=hash_tensors(weights),
            log=self.run.log_path.read_bytes() if self.run.log_path.exists() else b"",
            user_folder=Path.cwd(),
        )
        return {**receipt, "settings": config}

    def _write_report(
        self, rows: list[dict[str, Any]], evaluation: dict[str, Any], receipt: dict[str, Any]
    ) -> None:
        from septet.evaluation.figures import draw_curves

        with tempfile.TemporaryDirectory(prefix="septet-") as folder:
            figures = draw_curves([_as_shown(row) for row in rows], Path(folder))
            for name, _ in figures:
                storage.commit_file(self.run.path / name, (Path(folder) / name).read_bytes())
        html = write_report(
            self.run.path,
            name=self.run.name,
            config=self.run.config(),
            account=self.account,
            evaluation=evaluation,
            log_rows=rows,
            figures=figures,
            receipt=receipt,
            facts={
                "parameters": int(self.model.count_params()),
                "epochs": len(rows),
                "steps": self.total_steps,
                "seconds": self._seconds(),
            },
        )
        storage.commit_file(self.run.report_path, html.encode())

    def _seconds(self) -> float:
        return round(self.spent_s + time.monotonic() - self.started, 1)

    def _commit(self, name: str, value: dict[str, Any]) -> None:
        storage.commit_file(self.run.path / name, storage.json_bytes(value))

    def _note(self, text: str) -> None:
        from septet.fitting.talking import note

        note(text, 1)


def kept(
    training: Any,
    name: str,
    config: dict[str, Any],
    splits: dict[str, int],
    *,
    start: int,
    epochs: int,
) -> Any:
    """Run `training` from `start` up to `epochs` in the run folder `name`; the history.

    A folder of that name that holds the same training is continued.

    Raises:
        InputError: The name cannot be used, or holds another training.
        RunBusyError: Another process works on it.
    """
    run, source = _open(name, config), training.source
    with run.lock(), stop_on_signal() as stop:
        account = read_object(run.path / "account.json") or _account(source, splits, config)
        training.keeper = Keeper(run, training.model, training.callbacks, source, stop, account)
        try:
            if not training.keeper.is_finished:
                run.set_status("running")
            storage.commit_file(run.path / "account.json", storage.json_bytes(account))
            return training.run(start, epochs)
        except KeyboardInterrupt as error:
            note_end(run, "interrupted", None)
            if isinstance(error, Interrupted):
                raise
            raise Interrupted(f"The run '{name}' continues when its program does.") from None
        except Exception as error:
            text = str(error) if isinstance(error, SeptetError) else repr(error)
            note_end(run, "failed", text)
            raise


def _open(name: str, config: dict[str, Any]) -> RunFolder:
    """The run's folder, new or of the same training."""
    path = runs_root() / name
    if not (path / "config.json").exists():
        return RunFolder.create(runs_root(), name, identity.TASK, config)
    run = RunFolder(path)
    recorded = run.config()
    if recorded.get("task") != identity.TASK:
        raise InputError(
            f"The run '{name}' is one of {recorded.get('task')}, not of septet.fit. "
            "Choose another name for the run."
        )
    identity.require_same(name, recorded, config)
    return run


def _account(source: Any, splits: dict[str, int], config: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of data that were passed as they are: all are used."""
    count = sum(splits.values()) if "train" in splits else None
    if count is None:
        message = f"The data came by batches from {config['source']}, uncounted and unhashed."
        findings = [_finding("note", message, "")]
    else:
        findings = [
            _finding(
                "warning",
                f"{rows:,} of {splits['train']:,} rows have a value that is not a finite number.",
                "Leave these rows out or replace the values: such a loss cannot be trained.",
            )
            for rows in [source.non_finite_rows()]
            if rows
        ]
    return {
        "read": count,
        "used": count,
        "rejected": 0,
        "splits": splits,
        "findings": findings,
        "rejections": [],
    }


def _finding(severity: str, message: str, remedy: str) -> dict[str, str]:
    return {"severity": severity, "where": "x, y", "message": message, "remedy": remedy}


def _evaluation(row: Mapping[str, Any], splits: Mapping[str, int]) -> dict[str, Any]:
    """The scores of the last epoch: of validation, or else of the training itself."""
    scores = {
        name.removeprefix("val_"): value for name, value in row.items() if name.startswith("val_")
    }
    split = "validation" if scores else "train"
    if not scores:
        others = ("epoch", "step", "learning_rate")
        scores = {name: value for name, value in row.items() if name not in others}
    known = {name: value for name, value in scores.items() if isinstance(value, int | float)}
    # The loss comes last: a metric says more where there is one.
    ordered = sorted(known, key=lambda name: name == "loss")
    return {
        "split": split,
        "examples": splits.get(split),
        "scores": {name: known[name] for name in ordered},
    }


def _as_shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as the curves' drawing names its values."""
    return {
        f"validation_{name[4:]}" if name.startswith("val_") else name: value
        for name, value in row.items()
    }


def _finite(logs: Mapping[str, Any]) -> dict[str, Any]:
    """Logs as JSON values; what is not a finite number is null."""
    plain = keras_inside.plain(dict(logs))
    return {
        name: value if isinstance(value, int | float) and value - value == 0 else None
        for name, value in plain.items()
    }


def _is_of_state(name: str) -> bool:
    """Whether a tensor's name is that of a part of the state."""
    return name.split("/")[0] in TrainState._fields


def _named(group: str, tensors: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{group}/{name}": value for name, value in tensors.items()}


def _inside(tensors: Mapping[str, Any], group: str) -> dict[str, Any]:
    start = f"{group}/"
    return {n.removeprefix(start): value for n, value in tensors.items() if n.startswith(start)}
