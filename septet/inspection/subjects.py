"""What can be looked into: a run, an architecture by name, or a Keras model with data."""

import inspect as signatures
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np

from septet.engine.order import epoch_order
from septet.engine.state import from_tensors, initial_state, shipped_weights
from septet.errors import InputError
from septet.inspection import examples
from septet.runs import checkpoints
from septet.runs.folder import RunFolder
from septet.runs.model_folder import load_network
from septet.runs.running import run_config
from septet.runs.session import ADVERSARIAL, balanced_weights, build_network, read

SplitName = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Subject:
    """A network with a batch.

    Args:
        title: What it is.
        notes: What a reader must know of it.
        model: Compiled where there is a loss.
        inputs: Of the batch.
        targets: Of the batch; None where there are none.
        weights: Of the batch's examples; None where all weigh the same.
        folder: Where its picture belongs.
        picture: Name of its picture.
    """

    title: str
    model: Any
    inputs: Any
    targets: Any = None
    weights: Any = None
    notes: list[str] = field(default_factory=list)
    folder: Path = field(default_factory=Path)
    picture: str = "inspect.png"


def of_model(model: Any, inputs: Any, targets: Any, *, batch_size: int | None) -> Subject:
    """A Keras model with a batch: the first `batch_size` examples of what is given, or 32.

    Raises:
        InputError: There are no inputs, or they are not arrays of one length.
    """
    if inputs is None:
        raise InputError(
            "A keras.Model needs inputs to look into it. Give a batch: septet.inspect(model, x, y)."
        )
    arrays: Any = keras.tree.map_structure(_as_array, (inputs, targets))
    lengths = {len(array) for array in keras.tree.flatten(arrays) if array is not None}
    if len(lengths) != 1 or 0 in lengths:
        raise InputError(
            f"Received arrays of {sorted(lengths)} examples; expected x and y of one length, "
            "1 or more."
        )
    size = min(batch_size or 32, *lengths)
    batch: Any = keras.tree.map_structure(
        lambda array: None if array is None else array[:size], arrays
    )
    inputs, targets = batch
    if not model.built:
        _call(model, inputs)
    return Subject(f"Model '{model.name}'", model, inputs, targets)


def _as_array(value: Any) -> Any:
    if value is None:
        return None
    array = np.asarray(value)
    if array.dtype == object or array.ndim == 0:
        raise InputError(f"Received {type(value).__name__}; expected arrays [examples, ...].")
    return array.astype(np.float32) if array.dtype == np.float64 else array


def _call(model: Any, inputs: Any) -> None:
    """Have a model make its weights."""
    takes = "training" in signatures.signature(model.call).parameters
    model(
        keras.tree.map_structure(lambda a: a[:1], inputs), **({"training": False} if takes else {})
    )


def of_architecture(
    name: str, chosen: Mapping[str, Any], *, batch_size: int | None, seed: int
) -> Subject:
    """A registered architecture with untrained weights and made-up inputs.

    Raises:
        ConfigError: It has no such argument, or it is out of range.
    """
    model, arguments = examples.build(name, chosen, seed=seed)
    loss = examples.compile_example(name, model, arguments)
    inputs, targets = examples.make_batch(name, arguments, size=batch_size or 32, seed=seed)
    shown = ", ".join(
        f"{key}={value}" for key, value in arguments.items() if key not in ("mean", "deviation")
    )
    return Subject(
        f"Architecture '{name}'",
        model,
        inputs,
        targets,
        notes=[
            f"The weights are untrained, and inputs and targets are MADE UP; the loss is {loss}.",
            f"Built with {shown}.",
        ],
        picture=f"inspect-{name}.png",
    )


def of_run(folder: RunFolder, *, split: SplitName, batch_size: int | None) -> Subject:
    """A finished run of a task: its own weights, loss and data.

    The batch is the first that training saw, or as many of another split; of the order of the
    first epoch, without augmentation.

    Raises:
        InputError: The split is empty, the data are gone, or a player that no model folder keeps
            is not in the checkpoints either.
    """
    config = run_config(folder)
    material = read(config)
    task = material.task
    whole = material.dataset.splits[split]
    if not len(whole):
        raise InputError(
            f"The run '{folder.name}' has no {split} examples. Choose another split: "
            f"{', '.join(n for n, s in material.dataset.splits.items() if len(s))}."
        )
    (name, _), model = build_network(material)
    _give_weights(folder, task, model, config.training.average_decay is not None)
    size = min(batch_size or config.training.batch_size, len(whole))
    rows = epoch_order(len(whole), config.seed, 0)[:size]
    inputs, targets = task.arrays(whole.take(rows), material.prepared)
    weights = None
    if config.training.class_weights == "balanced":
        every = task.arrays(whole, material.prepared)[1]
        weights = balanced_weights(every, config)[rows]
    precision = config.training.precision
    return Subject(
        f"Run '{folder.name}': {config.task}, network '{name}'",
        model,
        {key: np.asarray(array) for key, array in inputs.items()},
        None if task.loss == ADVERSARIAL else targets,
        weights,
        notes=[
            f"Its own weights, loss and data: {size} {split} examples of '{config.source}', "
            "without augmentation."
            + ("" if precision == "float32" else f" It computes in {precision}.")
        ],
        folder=folder.path,
    )


def _give_weights(folder: RunFolder, task: Any, model: Any, has_average: bool) -> None:
    """The weights that the run ships, and of a player that it does not ship the newest kept."""
    if task.loss == ADVERSARIAL:
        found, _ = checkpoints.load_newest(folder.checkpoints)
        if found is None:
            raise InputError(
                f"'{folder.checkpoints}' has no complete checkpoint, and the discriminator is "
                "kept nowhere else. Look into the generator alone: "
                "septet.inspect(septet.load(run).network, noise)."
            )
        state = from_tensors(found.tensors, initial_state(model, with_average=has_average))
        trainable, fixed = shipped_weights(state)
        _assign(model.trainable_variables, trainable)
        _assign(model.non_trainable_variables, fixed)
    _, shipped = load_network(folder.model)
    part = task.shipped_network(model)
    _assign(part.weights, [variable.value for variable in shipped.weights])


def _assign(variables: Any, values: Any) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
