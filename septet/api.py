"""What Septet does, as functions: train, resume, predict, inspect, load, fit and more."""

import difflib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from septet import backends, registry
from septet.config import RunConfig, validate
from septet.data.account import Account
from septet.errors import ConfigError, InputError, RunNotFoundError
from septet.fitting import fit as fitting
from septet.fitting import identity
from septet.fitting.fit import fit as fit
from septet.fitting.outputs import predict as predict_with
from septet.runs import storage
from septet.runs.folder import RunFolder, read_object, runs_root
from septet.runs.observer import Observer
from septet.runs.receipt import compare_receipts, is_reproduced
from septet.runs.running import run_config, run_to_the_end
from septet.runs.session import is_pattern, read, resolve_source, training_options
from septet.runs.shipped import Model
from septet.version import __version__

if TYPE_CHECKING:
    from septet.inspection.findings import Inspection
    from septet.inspection.subjects import SplitName, Subject

Settings = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Run:
    """A finished run.

    Args:
        name: Its name.
        folder: Where everything about it is.
        evaluation: Scores with intervals, per class, and what they were measured on.
    """

    name: str
    folder: Path
    evaluation: dict[str, Any]

    @property
    def scores(self) -> dict[str, float]:
        """The scores by name."""
        return self.evaluation["scores"]

    @property
    def report(self) -> Path:
        """The page that shows the run."""
        return self.folder / "report.html"

    def load(self) -> Model:
        """The trained model, ready to predict."""
        return Model(self.folder / "model")

    def predict(self, inputs: Any, **how: Any) -> Any:
        """Answers of the trained model; loads it each time, so `load` for many calls."""
        return self.load().predict(inputs, **how)


@dataclass(frozen=True)
class Reproduction:
    """Whether training again gave the same.

    Args:
        equal: Weights and log are bit for bit the same.
        differences: What differs, inputs first; empty when equal.
        run: The new run.
    """

    equal: bool
    differences: list[str]
    run: Run


def resolve_config(
    task: str,
    data: str | Path,
    settings: Settings | None = None,
    *,
    epochs: int | None = None,
    minutes: float | None = None,
    seed: int = 0,
    backend: str | None = None,
    preset: str | None = None,
) -> RunConfig:
    """Everything a run needs, with defaults filled in and checked.

    Raises:
        ConfigError: A setting is unknown or out of range, or the task has no such preset.
        InputError: The task is unknown.
    """
    kind = registry.task(task)
    groups = recipe(task, kind.presets, preset)
    for group, values in (settings or {}).items():
        if group not in groups:
            raise ConfigError(f"Unknown group of settings '{group}'. Known: data, model, training.")
        groups[group] |= values
    if epochs is not None:
        groups["training"]["epochs"] = epochs
    if minutes is not None:
        groups["training"]["minutes"] = minutes
        groups["training"].setdefault("epochs", None)
    groups["model"] = kind.settle(groups["model"])
    training = training_options(kind, groups["training"], groups["model"])
    if training.epochs is None and training.minutes is None:
        raise ConfigError("Neither training.epochs nor training.minutes is set. Set one.")
    source = str(data)
    if os.path.exists(source) or is_pattern(task, source):
        source = str(Path(source).absolute())
    return validate(
        RunConfig,
        {
            "septet": __version__,
            "task": task,
            "source": source,
            "backend": backend or backends.current(),
            "seed": seed,
            "data": validate(kind.data_options, groups["data"], "data").model_dump(mode="json"),
            "model": validate(kind.model_options, groups["model"], "model").model_dump(mode="json"),
            "training": training.model_dump(mode="json"),
        },
        "config",
    )


def recipe(
    task: str, presets: Mapping[str, Settings], preset: str | None
) -> dict[str, dict[str, Any]]:
    """The settings of a task's preset by group; none where `preset` is None.

    Raises:
        ConfigError: The task has no preset of that name.
    """
    if preset is not None and preset not in presets:
        known = f"It has: {', '.join(sorted(presets))}." if presets else "It has none."
        raise ConfigError(f"The task {task} has no preset '{preset}'. {known} Leave --preset out.")
    chosen = presets[preset] if preset is not None else {}
    return {group: dict(chosen.get(group, {})) for group in ("data", "model", "training")}


def train(
    task: str,
    data: str | Path,
    *,
    settings: Settings | None = None,
    epochs: int | None = None,
    minutes: float | None = None,
    seed: int = 0,
    name: str | None = None,
    backend: str | None = None,
    preset: str | None = None,
    observer: Observer | None = None,
    started: float | None = None,
) -> Run:
    """Train `task` on `data` and keep everything about it in a run folder.

    Args:
        task: As listed by `septet tasks`.
        data: A path, or a sample's name.
        settings: `{"model": {"depth": 3}, "training": {...}, "data": {...}}`.
        epochs: Passes over the training data.
        minutes: End within so many minutes, everything included.
        seed: Of initial weights, splits, order and augmentation.
        name: Of the run; made up when absent.
        backend: "jax", "tensorflow" or "torch", where Keras is not imported yet; by default
            what KERAS_BACKEND says, else "jax".
        preset: A recipe of the task, such as "best" of image-classification; `settings` come
            before it.
        observer: Hears how it goes.
        started: `time.monotonic()` from which `minutes` count.

    Raises:
        InputError: Refused, with nothing written.
        RunError: Failed while running; resumable from the last checkpoint.
        Interrupted: Stopped on request; resumable.

    Example:
        >>> import septet
        >>> run = septet.train("tabular-classification", "breast-cancer")  # doctest: +SKIP
        >>> run.scores["accuracy"]                                         # doctest: +SKIP
    """
    started = time.monotonic() if started is None else started
    backend = backends.choose(backend)
    config = resolve_config(
        task, data, settings, epochs=epochs, minutes=minutes, seed=seed, backend=backend,
        preset=preset,
    )  # fmt: skip
    material = read(config)
    settled = material.config.model_dump(mode="json")
    run = RunFolder.create(runs_root(), name, task, settled)
    evaluation = run_to_the_end(run, observer or Observer(), started=started, material=material)
    return Run(run.name, run.path, evaluation)


def resume(run: str, *, observer: Observer | None = None, started: float | None = None) -> Run:
    """Continue a run from its newest complete checkpoint to its end, on its own backend.

    Raises:
        InputError: Keras runs on another backend already, or that of the run is not installed.
        RunNotFoundError: There is no such run.
        RunBusyError: Another process works on it.
    """
    folder = RunFolder.find(runs_root(), run)
    _require_task(folder, "Start the program that called it again to continue the run.")
    backends.choose(run_config(folder).backend)
    evaluation = run_to_the_end(folder, observer or Observer(), started=started)
    return Run(folder.name, folder.path, evaluation)


def check(
    task: str, data: str | Path, *, settings: Settings | None = None, seed: int = 0
) -> Account:
    """The account of a data set; trains nothing."""
    return examine(task, data, settings=settings, seed=seed)[0]


def examine(
    task: str, data: str | Path, *, settings: Settings | None = None, seed: int = 0
) -> tuple[Account, float]:
    """The account of a data set, and the share of rejections that its settings allow."""
    config = resolve_config(task, data, settings, seed=seed)
    kind = registry.task(task)
    options = validate(kind.data_options, config.data, "data")
    account = kind.read(resolve_source(task, config.source), options, seed).account
    return account, options.max_rejected


def evaluate(run: Any, data: Any = None, *arguments: Any, **settings: Any) -> Any:
    """The scores of a run's model: those of its own test, or measured now on `data`.

    Given a compiled `keras.Model` instead of a run: what `model.evaluate` gives, with its
    arguments (`septet.fitting.fit.evaluate`).
    """
    if not isinstance(run, str | Path):
        return fitting.evaluate(run, data, *arguments, **settings)
    if arguments or settings:
        raise InputError("evaluate takes a run and its data; only a keras.Model takes more.")
    folder = RunFolder.find(runs_root(), str(run))
    if data is None:
        evaluation = read_object(folder.path / "evaluation.json")
        if evaluation is None:
            raise RunNotFoundError(
                f"The run '{folder.name}' has no scores yet; it is {folder.status()['status']}. "
                f"Finish it with: septet resume {folder.name}"
            )
        return evaluation
    model = Model(model_of(folder))
    source = resolve_source(model.description.task, str(data))
    return model.evaluate(source, options=folder.config()["data"])


def predict(run: Any, inputs: Any, **settings: Any) -> Any:
    """Answers of a run's model for `inputs`; loads it each time, so `load` for many calls.

    Given a `keras.Model` instead of a run: what `model.predict` gives, with its arguments
    (`septet.fitting.outputs.predict`).
    """
    if not isinstance(run, str | Path):
        return predict_with(run, inputs, **settings)
    if settings:
        raise InputError("predict takes a run and its inputs; only a keras.Model takes more.")
    return load(run).predict(inputs)


def load(path: str | Path) -> Model:
    """The model in a model folder, a run folder or the run of that name."""
    folder = Path(path)
    is_model = os.path.isfile(folder / "model.json")
    if not is_model and os.path.isfile(folder / "config.json"):
        return Model(model_of(RunFolder(folder)))
    if os.path.exists(folder):
        return Model(folder)
    return Model(model_of(RunFolder.find(runs_root(), str(path))))


def model_of(run: RunFolder) -> Path:
    """The model folder of a run.

    Raises:
        RunNotFoundError: The run is not finished, so it has none.
    """
    file = run.path / "model.keras"
    _require_task(run, f"Load its model with: keras.models.load_model('{file}').")
    if not run.model.exists():
        raise RunNotFoundError(
            f"The run '{run.name}' has no model yet; it is {run.status()['status']}. "
            f"Finish it with: septet resume {run.name}"
        )
    return run.model


def _require_task(run: RunFolder, remedy: str) -> None:
    """InputError for a run of a plain Keras model, which only its program can build."""
    if run.identity()["task"] == identity.TASK:
        raise InputError(f"The run '{run.name}' is one of septet.fit. {remedy}")


def inspect(
    what: Any = "latest",
    x: Any = None,
    y: Any = None,
    *,
    backward: bool = False,
    arguments: Mapping[str, Any] | None = None,
    split: "SplitName" = "train",
    batch_size: int | None = None,
    depth: int | None = None,
    timed: bool = True,
    seed: int = 0,
) -> "Inspection":
    """What each layer of a network costs and what flows through it, for one batch.

    Args:
        what: A finished run (name, folder or "latest"), a name in `registry.ARCHITECTURES`, or
            any `keras.Model`.
        x: Inputs of a `keras.Model`; a run has its own, those of an architecture are made up.
        y: Targets of a `keras.Model`, for `backward`.
        backward: Gradients and the time of the backward pass, too. The network then runs as in
            a training step, with dropout and statistics of the batch; else as in prediction.
        arguments: Of an architecture, where they differ from the example's.
        split: Of a run's data: "train", "validation" or "test".
        batch_size: Examples; as many as a run trains on at once, else 32.
        depth: Show layers within layers down to this depth; None for all.
        timed: Measure each layer's time; without, it is done several times sooner.
        seed: Of made-up weights, inputs and noise.

    Raises:
        InputError: There is no such run or architecture, or what it needs is missing.

    Example:
        >>> import septet
        >>> found = septet.inspect("cnn", backward=True)             # doctest: +SKIP
        >>> [(row.name, row.flops) for row in found.rows]            # doctest: +SKIP
        >>> found.draw("cnn.png")                                    # doctest: +SKIP
    """
    for name, number in (("batch_size", batch_size), ("depth", depth)):
        if number is not None and number < 1:
            raise InputError(f"Received {name}={number}; expected 1 or more.")
    subject = subject_of(
        what, x, y, arguments=arguments or {}, split=split, batch_size=batch_size, seed=seed
    )
    return inspect_subject(subject, backward=backward, depth=depth, is_timed=timed, seed=seed)


def inspect_subject(subject: "Subject", **how: Any) -> "Inspection":
    """See `septet.inspection.inspecting.inspect_subject`, which is imported when needed."""
    from septet.inspection import inspecting

    return inspecting.inspect_subject(subject, **how)


def subject_of(
    what: Any,
    x: Any = None,
    y: Any = None,
    *,
    arguments: Mapping[str, Any],
    split: "SplitName",
    batch_size: int | None,
    seed: int,
) -> "Subject":
    """What `inspect` is to look into; a run comes before an architecture of its name."""
    from septet.inspection import subjects

    if not isinstance(what, str | Path):
        if arguments:
            raise InputError("A keras.Model is built already and takes no arguments.")
        return subjects.of_model(what, x, y, batch_size=batch_size)
    if x is not None or y is not None:
        raise InputError("A run or architecture brings its own batch; only a keras.Model takes x.")
    try:
        folder = RunFolder.find(runs_root(), str(what))
    except RunNotFoundError as error:
        if what in registry.ARCHITECTURES:
            return subjects.of_architecture(str(what), arguments, batch_size=batch_size, seed=seed)
        raise RunNotFoundError(_no_such_subject(str(what), str(error))) from None
    if arguments:
        raise InputError(
            f"'{what}' is a run, whose network is what it was trained as; only an architecture "
            f"takes arguments: {', '.join(sorted(registry.ARCHITECTURES))}."
        )
    model_of(folder)
    return subjects.of_run(folder, split=split, batch_size=batch_size)


def _no_such_subject(name: str, no_run: str) -> str:
    near = difflib.get_close_matches(name, registry.ARCHITECTURES, n=1)
    hint = f"Did you mean '{near[0]}'?" if near else ""
    known = ", ".join(sorted(registry.ARCHITECTURES))
    return f"{no_run} Nor is it an architecture. {hint} Known architectures: {known}.".replace(
        "  ", " "
    )


def reproduce(
    run: str, *, observer: Observer | None = None, name: str | None = None
) -> Reproduction:
    """Train a run again from its receipt and say whether it came out the same.

    Args:
        run: A run, or the path of a receipt.json: that file is enough, with the data.
        observer: Hears how it goes.
        name: Of the new run.

    Raises:
        InputError: The run is not finished, so there is nothing to compare with.
    """
    receipt = read_receipt(run)
    config = validate(RunConfig, receipt["settings"], "settings")
    backends.choose(config.backend)
    material = read(config)
    again = RunFolder.create(runs_root(), name, config.task, config.model_dump(mode="json"))
    storage.commit_file(again.path / "replay.json", storage.json_bytes({"plan": receipt["plan"]}))
    evaluation = run_to_the_end(again, observer or Observer(), material=material)
    differences = compare_receipts(receipt, read_object(again.receipt_path) or {})
    equal = is_reproduced(differences)
    return Reproduction(equal, differences, Run(again.name, again.path, evaluation))


def read_receipt(run: str) -> dict[str, Any]:
    """The receipt of a run, or the receipt file itself when `run` is one.

    Raises:
        InputError: The run is not finished, or the file is not a receipt.
    """
    file = Path(run)
    if file.suffix == ".json" and file.is_file():
        receipt = read_object(file)
        if receipt is None or not {"settings", "plan", "weights", "log"} <= receipt.keys():
            raise InputError(f"'{run}' is not a receipt. Give a run, or a run's receipt.json.")
        return receipt
    original = RunFolder.find(runs_root(), run)
    _require_task(original, "Start its program again with another run name, and compare.")
    receipt = read_object(original.receipt_path)
    if receipt is None:
        raise InputError(
            f"The run '{original.name}' has no receipt; it is {original.status()['status']}. "
            f"Finish it with: septet resume {original.name}"
        )
    return receipt
