"""From settings and data to something that can train: reading, accounting, building.

Everything here is a function of (config, data, seed), so a resumed or reproduced run
builds the same thing again.
"""

import difflib
import glob
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from septet import backends, registry
from septet.config import RunConfig, TrainingOptions, validate
from septet.data.dataset import Dataset, Split
from septet.engine import devices, keras_loop
from septet.engine.feeds import BlockFeed, Feed, WindowFeed, example_batch, feed_of
from septet.engine.keras_loop import HostFeed, KerasLoop
from septet.engine.loop import Loop
from septet.engine.losses import Loss, chosen_loss, loss_name
from septet.engine.optimizers import make_optimizer
from septet.engine.predict import Predictor
from septet.engine.program import keras_step
from septet.engine.state import TrainState, create_metrics, initial_state
from septet.errors import ConfigError, DataError
from septet.runs.model_schema import first_complaint
from septet.task import Task, Windows

ADVERSARIAL = "adversarial"
"""`Task.loss` of two players, whose losses and metrics are the network's own."""


@dataclass(frozen=True)
class Material:
    """A data set read for a task, with its settings.

    Args:
        task: The task.
        config: Everything resolved.
        dataset: Splits, account and facts.
        prepared: What the task learned from the training split.
        pretrained: SHA-256 of the weights that training starts from, if it does from any.
    """

    task: Task
    config: RunConfig
    dataset: Dataset
    prepared: dict[str, Any]
    pretrained: str | None = None


def resolve_source(task: str, source: str) -> Path:
    """DATA as given by a user, as a path: an existing path, or a sample's name.

    Raises:
        DataError: There is neither, or the sample is for another task.
    """
    path = Path(source)
    # Unlike `Path.exists`, it does not fail on a name that is too long for a file.
    if os.path.exists(source):
        return path
    if is_pattern(task, source) and glob.glob(source, recursive=True):
        return path
    if source not in registry.SAMPLES:
        samples = ", ".join(sorted(registry.SAMPLES))
        near = difflib.get_close_matches(source, registry.SAMPLES, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise DataError(
            f"There is no file or folder '{source[:200]}', nor a sample of that name.{hint} "
            f"Give a path, or one of the samples: {samples}."
        )
    sample = registry.sample(source)
    if sample.task is None:
        raise DataError(
            f"The sample '{source}' is a series for septet.fit, which no task reads. "
            f"See examples/forecast_temperature.py; its file is '{sample.path()}'."
        )
    if sample.weights_for:
        raise DataError(
            f"The sample '{source}' holds weights and no data. Start from it with: septet train "
            f"{task if task in (sample.task, *sample.also) else sample.task} DATA "
            f"--set model.pretrained={source}"
        )
    if task not in (sample.task, *sample.also):
        raise DataError(
            f"The sample '{source}' is for {sample.task}, not for {task}. "
            f"Use: septet train {sample.task} {source}"
        )
    return sample.path()


def is_pattern(task: str, source: str) -> bool:
    """Whether a source is a pattern of file names, and the task reads such."""
    return registry.task(task).reads_patterns and glob.has_magic(source)


def read(config: RunConfig) -> Material:
    """Read the data of `config` and learn what the task needs from the training split.

    Raises:
        DataError: The data cannot be used; the message says why.
    """
    task = registry.task(config.task)
    options = validate(task.data_options, config.data, "data")
    source = resolve_source(config.task, config.source)
    dataset = task.read(source, options, config.seed)
    dataset.account.require_trainable(options.max_rejected)
    if not dataset.splits.get("train"):
        raise DataError(
            f"No examples to train on in '{config.source}': read {dataset.account.read}, "
            f"rejected {len(dataset.account.rejections)}. See why with: "
            f"septet check {config.task} {config.source}"
        )
    model_options = validate(task.model_options, config.model, "model")
    pretrained = task.pretrained(model_options)
    try:
        prepared = task.learn(dataset, options, model_options)
    except ValidationError as error:
        raise DataError(
            f"{task.name} cannot be trained on what was read of '{config.source}': "
            f"{first_complaint(error)}. Give more examples or classes, or raise data.limit where "
            f"it is set. See what was read with: septet check {config.task} {config.source}"
        ) from None
    # A loss that does not suit, or a network that cannot be built, is refused here, before a run
    # folder exists.
    if task.objective(config.training, prepared) is None:
        loss_name(task.name, task.loss, config.training.loss, config.training.label_smoothing)
    task.architecture(prepared, model_options)
    chosen = _with_epochs(config, task, dataset, prepared)
    return Material(task, chosen, dataset, prepared, pretrained)


def _with_epochs(
    config: RunConfig, task: Task, dataset: Dataset, prepared: dict[str, Any]
) -> RunConfig:
    """`config` with the epochs that suit the data in place of "auto"; none beside minutes."""
    training = config.training
    if training.epochs != "auto":
        return config
    steps = math.ceil(task.epoch_examples(dataset, prepared) / training.batch_size)
    least, least_steps, most = task.passes(prepared)
    wanted = max(least, math.ceil(least_steps / steps))
    epochs = None if training.minutes is not None else min(wanted, most)
    training = training.model_copy(update={"epochs": epochs})
    return config.model_copy(update={"training": training})


@dataclass
class Session:
    """A model, its data where they are trained on, and what trains it.

    Args:
        material: What it was made from.
        platform: Where it runs.
        architecture: Name and arguments of the network.
        model: Built and compiled; its variables hold the initial weights.
        feed: The training data.
        loop_from: The loop that trains, from a state on.
        state: The initial state.
        predictor: The forward pass.
        summarizes: Whether scores need summaries of outputs alone.
    """

    material: Material
    platform: str
    architecture: tuple[str, dict[str, Any]]
    model: Any
    feed: Feed
    loop_from: Callable[[TrainState], Loop | KerasLoop]
    state: TrainState
    predictor: Predictor
    summarizes: bool
    _encoded: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    def outputs(self, weights: tuple[list[Any], list[Any]], split: str) -> np.ndarray:
        """The shipped network's outputs on a split, or their summaries: float32 [n, ...]."""
        if self.summarizes:
            targets = self.arrays(split)[1]
            return self.predictor.summaries(self.shipped(weights), self.queries(split), targets)
        return self.predict(weights, self.queries(split))

    def calibrate(self, weights: tuple[list[Any], list[Any]]) -> None:
        """Let the task decide what needs trained weights and the validation split."""
        task, config = self.material.task, self.material.config
        options = validate(task.model_options, config.model, "model")
        prepared = task.calibrate(
            lambda: self.outputs(weights, "validation"),
            self.split("validation"),
            self.material.prepared,
            options,
        )
        self.material = replace(self.material, prepared=prepared)

    def queries(self, split: str) -> dict[str, np.ndarray]:
        """What the shipped network is asked about a split; made once for validation."""
        make = self.material.task.queries
        return self._once("queries", split, lambda: make(self.split(split), self.material.prepared))

    def predict(
        self, weights: tuple[list[Any], list[Any]], inputs: dict[str, np.ndarray]
    ) -> np.ndarray:
        """The shipped network's outputs for inputs, float32 [n, ...]."""
        return self.predictor(self.shipped(weights), inputs)

    def shipped(self, weights: tuple[list[Any], list[Any]]) -> tuple[list[Any], list[Any]]:
        """Of all (trainable, non-trainable) weights those of the shipped network."""
        part = self.material.task.shipped_network(self.model)
        if part is self.model:
            return weights
        groups = ("trainable_variables", "non_trainable_variables")
        values = {
            id(variable): value
            for group, given in zip(groups, weights, strict=True)
            for variable, value in zip(getattr(self.model, group), given, strict=True)
        }
        trainable, fixed = ([values[id(v)] for v in getattr(part, group)] for group in groups)
        return trainable, fixed

    @property
    def loss(self) -> Loss:
        """What is trained on and validated."""
        return _loss(self.material)

    @property
    def shipped_architecture(self) -> tuple[str, dict[str, Any]]:
        """Name and arguments of the shipped network."""
        return self.material.task.shipped_architecture(*self.architecture)

    def arrays(self, split: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Inputs and targets of a split; made once for validation, which comes every epoch."""
        make = self.material.task.arrays
        return self._once("arrays", split, lambda: make(self.split(split), self.material.prepared))

    def _once(self, kind: str, split: str, make: Callable[[], Any]) -> Any:
        if split != "validation":
            return make()
        if kind not in self._encoded:
            self._encoded[kind] = make()
        return self._encoded[kind]

    def split(self, name: str) -> Split:
        """A split; empty where the data has none of that name."""
        return self.material.dataset.splits[name]


def open_session(material: Material, *, note: Callable[[str], None]) -> Session:
    """Build the network, compile its step's ingredients and put the data on the device.

    Data that do not fit there are streamed; `note` is told when something happens to that, and
    where another backend than JAX trains.
    """
    platform = devices.start()
    task, config = material.task, material.config
    options = validate(task.model_options, config.model, "model")
    (name, arguments), model = build_network(material)
    training = config.training
    arrays = _training_data(material)
    around = {
        "learning_rate": training.learning_rate,
        "schedule": training.schedule,
        "warmup": training.warmup,
        "average_decay": training.average_decay,
        "augment": task.augment(material.prepared, options),
        "seed": config.seed,
        "tuning": task.start(model, material.prepared, options, note),
    }
    prepare = _compiled_loop if backends.current() == "jax" else _keras_loop
    feed, loop_from, state = prepare(model, arrays, material, around, platform, note)
    summarize = task.summarize(material.prepared)
    predictor = Predictor(
        task.shipped_network(model),
        platform=platform,
        batch_size=task.scored_at_once(material.prepared),
        summarize=summarize,
    )
    return Session(
        material, platform, (name, arguments), model, feed, loop_from, state, predictor,
        summarize is not None,
    )  # fmt: skip


def _training_data(material: Material) -> Any:
    """Arrays (inputs, targets[, weights]), or on JAX the windows of a task that has them."""
    task, config = material.task, material.config
    train = material.dataset.splits["train"]
    if backends.current() == "jax":
        windows = task.windows(train, material.prepared)
        if windows is not None:
            return windows
    inputs, targets = task.arrays(train, material.prepared)
    # A loss of the task's own weighs its classes itself.
    own = task.objective(config.training, material.prepared)
    if config.training.class_weights == "balanced" and own is None:
        return inputs, targets, balanced_weights(targets, config)
    return inputs, targets


def build_network(material: Material) -> tuple[tuple[str, dict[str, Any]], Any]:
    """Name and arguments of the network, and the network: initial weights, compiled."""
    task, config = material.task, material.config
    options = validate(task.model_options, config.model, "model")
    name, arguments = task.architecture(material.prepared, options)
    model = _build(name, arguments, config)
    _compile(model, material)
    return (name, arguments), model


Prepared = tuple[Feed, Callable[[TrainState], Loop | KerasLoop], TrainState]


def _compiled_loop(
    model: Any,
    arrays: Any,
    material: Material,
    around: dict[str, Any],
    platform: str,
    note: Callable[[str], None],
) -> Prepared:
    """The compiled loop, with the data on the device or streamed there."""
    config, task = material.config, material.task
    sizes = {"batch_size": config.training.batch_size, "seed": config.seed}
    if isinstance(arrays, Windows):
        feed: BlockFeed = WindowFeed(arrays, **sizes)
    else:
        lengths = task.row_lengths(arrays[0], material.prepared)
        feed = feed_of(arrays, **sizes, note=note, lengths=lengths)
    if registry.task(config.task).loss != ADVERSARIAL:
        create_metrics(model, example_batch(feed))
    step = keras_step(model, **around)
    state = initial_state(model, with_average=config.training.average_decay is not None)
    return feed, lambda state: Loop(step, feed, state, platform=platform), state


def _keras_loop(
    model: Any,
    arrays: tuple[Any, ...],
    material: Material,
    around: dict[str, Any],
    platform: str,
    note: Callable[[str], None],
) -> Prepared:
    """Keras' own `fit`, with the data on the host."""
    del platform
    config = material.config
    note(keras_loop.promise(backends.title()))
    feed = HostFeed(arrays, batch_size=config.training.batch_size, seed=config.seed)
    if registry.task(config.task).loss != ADVERSARIAL:
        keras_loop.create_metrics(model, arrays)
    with_average = config.training.average_decay is not None
    state = keras_loop.initial_state(model, with_average=with_average)
    return feed, lambda state: KerasLoop(model, feed, state, **around), state


def _compile(model: Any, material: Material) -> None:
    """Give the network its optimizer, or both of its players theirs, and its loss.

    Raises:
        ConfigError: Two players cannot train in float16.
    """
    task, training = material.task, material.config.training
    if task.loss == ADVERSARIAL:
        if training.precision == "float16":
            raise ConfigError(
                "Setting 'training.precision' is float16, whose loss scaling is for one loss and "
                f"not for the two of {task.name}. Use float32 or bfloat16."
            )
        optimizers = make_optimizer(training), make_optimizer(training)
        model.compile(optimizers[0], discriminator_optimizer=optimizers[1])
        return
    loss = _loss(material).compile_arguments()
    model.compile(
        optimizer=make_optimizer(training),
        loss=loss["loss"],
        metrics=loss["metrics"],
        auto_scale_loss=training.precision == "float16",
    )


def _loss(material: Material) -> Loss:
    """The task's own loss, or the one that it and the settings name."""
    task, training = material.task, material.config.training
    own = task.objective(training, material.prepared)
    return own or chosen_loss(task.name, task.loss, training.loss, training.label_smoothing)


def _build(name: str, arguments: dict[str, Any], config: RunConfig) -> Any:
    """The network with weights drawn from the seed, computing in the chosen precision."""
    import keras

    policies = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}
    before = keras.config.dtype_policy()
    keras.utils.set_random_seed(config.seed)
    keras.config.set_dtype_policy(policies[config.training.precision])
    try:
        return registry.architecture(name)(**arguments)
    finally:
        keras.config.set_dtype_policy(before)


def balanced_weights(labels: np.ndarray, config: RunConfig) -> np.ndarray:
    """A weight for each example, so that every class weighs the same: float32 [n]."""
    if not np.issubdtype(labels.dtype, np.integer):
        raise DataError(
            f"training.class_weights=balanced needs classes, and {config.task} has numbers. "
            "Use training.class_weights=none."
        )
    counts = np.bincount(labels)
    present = np.count_nonzero(counts)
    return (len(labels) / (present * counts[labels])).astype(np.float32)


def training_options(
    task: Task, values: dict[str, Any], model: Mapping[str, Any] | None = None
) -> TrainingOptions:
    """Training settings: general defaults, the task's beside these of the model, `values`."""
    defaults = task.defaults_beside(model or {})
    return validate(TrainingOptions, {**defaults, **values}, "training")
