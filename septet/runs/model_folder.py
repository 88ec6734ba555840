"""The model folder: what a run produces and a person ships.

`model.json` (closed schema), `weights.safetensors`, `README.md` (the card) and the manifest
of the durable commit. Loading builds from the tables in `registry`, checks every declared
size before memory is taken, and executes, imports or opens nothing that a file names.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ConfigDict, TypeAdapter, ValidationError

from septet import backends, registry
from septet.errors import InputError, ModelFolderError
from septet.runs.disk import size_of
from septet.runs.manifest import MANIFEST, unseal
from septet.runs.model_card import card
from septet.runs.model_schema import (
    FORMAT_VERSION,
    MAX_BYTES,
    ModelDescription,
    decode_description,
    encode_description,
    entries_of,
    first_complaint,
)
from septet.runs.networks import build_apart, differences, network_weights, set_weights
from septet.runs.storage import commit_folder
from septet.runs.tensors import encode_tensors
from septet.runs.weights_file import (
    check_names,
    check_numbers,
    open_folder,
    read_small,
    read_weights,
    refusal,
)
from septet.version import __version__

if TYPE_CHECKING:
    import keras

DESCRIPTION, WEIGHTS, CARD = "model.json", "weights.safetensors", "README.md"
REQUIRED = frozenset({DESCRIPTION, WEIGHTS, MANIFEST})
KNOWN = REQUIRED | {CARD}
MAX_MANIFEST_BYTES = 64 * 2**10
STRICT = ConfigDict(strict=True, allow_inf_nan=False)
FIXED_BY_DATA = ("cardinalities", "mean", "deviation", "vocabulary_size")
"""Arguments that the data decide alone and that the network's inputs do not show."""


def save_model_folder(
    folder: Path,
    *,
    task: str,
    architecture: str,
    arguments: Mapping[str, Any],
    prepared: Mapping[str, Any],
    weights: Mapping[str, np.ndarray],
    evaluation: Mapping[str, Any],
    account: Mapping[str, Any],
    monitor: tuple[str, str] | None = None,
) -> ModelDescription:
    """Commit a model folder that `load_network` accepts; complete or as before.

    Args:
        folder: Where; its parents are made, and a folder there is replaced.
        task: Name in `registry.TASKS`.
        architecture: Name in `registry.ARCHITECTURES`.
        arguments: Of the architecture; plain JSON values.
        prepared: What the task's `prepare` gave.
        weights: Arrays by their name in the network, as `name_weights` gives them.
        evaluation: What the task's `evaluate` gave; its scores and intervals are kept.
        account: `Account.to_json()`; its numbers are kept.
        monitor: The task's, as ("validation_loss", "min").

    Raises:
        ModelFolderError: It would not load: values out of the schema or their ranges, or
            weights that are not the architecture's or have numbers that none may have.
        StorageError: It could not be written.
    """
    arrays = {name: np.asarray(value) for name, value in weights.items()}
    for name, array in arrays.items():
        check_numbers(name, array, folder)
    content = encode_tensors(arrays)
    digest = hashlib.sha256()
    for piece in content:
        digest.update(piece)
    try:
        entries = [entry.model_dump() for entry in entries_of(arrays)]
        description = ModelDescription.model_validate(
            {
                "format_version": FORMAT_VERSION,
                "septet": __version__,
                "task": task,
                "architecture": architecture,
                "arguments": dict(arguments),
                "prepared": dict(prepared),
                "monitor": monitor and {"name": monitor[0], "direction": monitor[1]},
                "evaluation": kept_scores(evaluation),
                "data": {name: account[name] for name in ("read", "used", "rejected", "splits")},
                "weights": {
                    "size": size_of(content),
                    "sha256": digest.hexdigest(),
                    "entries": entries,
                },
            }
        )
        data = encode_description(description)
    except ValidationError as error:
        raise unsaveable(folder, first_complaint(error)) from None
    except (ValueError, TypeError) as error:
        raise unsaveable(folder, str(error)) from None
    check_network(folder / DESCRIPTION, description)
    files = {DESCRIPTION: data, WEIGHTS: content, CARD: card(description).encode()}
    commit_folder(folder, files, {})
    return description


def unsaveable(folder: Path, reason: str) -> ModelFolderError:
    """Why a model cannot be saved."""
    return refusal(
        folder, f"was not written: {reason}", "plain JSON within limits", "Correct the value."
    )


def kept_scores(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """Scores and intervals as plain numbers, with null where they are undefined."""

    def plain(value: Any) -> float | None:
        number = math.nan if value is None else float(value)
        return number if math.isfinite(number) else None

    intervals = evaluation.get("intervals") or {}
    return {
        "scores": {name: plain(value) for name, value in evaluation["scores"].items()},
        "intervals": {name: [plain(end) for end in ends] for name, ends in intervals.items()},
    }


def name_weights(
    architecture: str,
    arguments: Mapping[str, Any],
    trainable: Sequence[Any],
    non_trainable: Sequence[Any],
) -> dict[str, np.ndarray]:
    """Weights by the names a model folder gives them.

    Args:
        architecture: Name in `registry.ARCHITECTURES`.
        arguments: Of the architecture.
        trainable: Values in the order of the network's `trainable_variables`.
        non_trainable: Values in the order of its `non_trainable_variables`.
    """
    builder = registry.architecture(architecture)
    network = build_apart(lambda: builder(**arguments))
    variables = [*network.trainable_variables, *network.non_trainable_variables]
    kept = {id(variable) for variable in network.weights}
    return {
        variable.path: np.asarray(value)
        for variable, value in zip(variables, [*trainable, *non_trainable], strict=True)
        if id(variable) in kept
    }


def read_model_folder(path: Path | str) -> ModelDescription:
    """What the model folder at `path` says of itself; reads no weights and builds nothing.

    Raises:
        ModelFolderError: It is not a whole model folder, or not of the schema.
    """
    path = Path(path)
    with open_folder(path) as folder:
        return read_description(folder, path)


def load_network(path: Path | str) -> tuple[ModelDescription, "keras.Model"]:
    """The description and the network of the model folder at `path`, weights in place.

    Raises:
        ModelFolderError: The folder is damaged, hostile, or not for this version.
    """
    path = Path(path)
    with open_folder(path) as folder:
        description = read_description(folder, path)
        network = check_network(path / DESCRIPTION, description)
        weights = read_weights(folder, path, WEIGHTS, description.weights)
    if backends.current() != "jax":
        # What it costs is known by now, and there a variable needs a value to be given another.
        arguments = description.arguments
        network = build(path / DESCRIPTION, description.architecture, arguments, with_values=True)
    set_weights(network, weights)
    return description, network


def read_description(folder: int, path: Path) -> ModelDescription:
    """The description in an open folder, checked against the schema and the manifest."""
    check_names(folder, path, REQUIRED, KNOWN)
    sealed = read_small(folder, path, MANIFEST, MAX_MANIFEST_BYTES)
    try:
        records = unseal(sealed)["files"]
    except ValueError as error:
        raise refusal(path / MANIFEST, f"is damaged: {error}", "the manifest of a save") from None
    data = read_small(folder, path, DESCRIPTION, MAX_BYTES)
    try:
        description = decode_description(data)
    except ValueError as error:
        raise refusal(
            path / DESCRIPTION, f"is not accepted: {error}", "the description that a save writes"
        ) from None
    weights = description.weights
    expected = {DESCRIPTION: (len(data), hashlib.sha256(data).hexdigest())}
    expected[WEIGHTS] = (weights.size, weights.sha256)
    for name, (size, digest) in expected.items():
        if records.get(name) != {"size": size, "sha256": digest}:
            raise refusal(
                path / MANIFEST, f"has another size or SHA-256 of {name}", "those of the files"
            )
    check_tables(path / DESCRIPTION, description)
    return description


def check_tables(file: Path, description: ModelDescription) -> None:
    """Refuse a task or architecture that is not in our tables, and `prepared` out of range."""
    for kind, name, table in (
        ("task", description.task, registry.TASKS),
        ("architecture", description.architecture, registry.ARCHITECTURES),
    ):
        if name not in table:
            raise refusal(
                file,
                f"names the {kind} {name!r}",
                f"one of {', '.join(sorted(table))}",
                "Load it with the version of Septet that saved it.",
            )
    prepared_type = registry.task(description.task).prepared_type
    try:
        prepared_type.model_validate_json(json.dumps(description.prepared), strict=True)
    except ValidationError as error:
        raise refusal(
            file,
            f"has 'prepared' values out of range: {first_complaint(error)}",
            f"those of the task {description.task}",
        ) from None


def check_network(file: Path, description: ModelDescription) -> "keras.Model":
    """The network of a description, without memory for its weights, once all of it fits.

    Raises:
        ModelFolderError: Arguments out of range, a network for other data than `prepared`
            says, or other weights than are listed.
    """
    check_tables(file, description)
    network = build(file, description.architecture, description.arguments)
    listed = {e.name: (e.dtype, tuple(e.shape)) for e in description.weights.entries}
    problem = differences(network_weights(network), listed)
    if problem:
        raise refusal(file, f"lists other weights: {problem}", "those of its architecture")
    check_fits_task(file, description, network)
    return network


def build(
    file: Path, architecture: str, arguments: Mapping[str, Any], *, with_values: bool = False
) -> "keras.Model":
    """The network called `architecture`, its arguments checked without any conversion."""
    builder = registry.architecture(architecture)
    adapter = TypeAdapter(getattr(builder, "raw_function", builder), config=STRICT)
    try:
        return build_apart(
            lambda: adapter.validate_json(json.dumps(dict(arguments))), with_values=with_values
        )
    except ValidationError as error:
        problem = first_complaint(error)
    # Keras raises every kind of error; what built before builds again, so it is the arguments.
    except Exception as error:
        problem = one_line(error)
    raise refusal(
        file,
        f"has 'arguments' that the architecture {architecture!r} refuses: {problem}",
        "arguments within its ranges",
    )


def one_line(error: Exception) -> str:
    """What an error says, short and without line breaks."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def check_fits_task(file: Path, description: ModelDescription, network: "keras.Model") -> None:
    """Refuse a network whose inputs or outputs are not those the task needs for `prepared`."""
    task = registry.task(description.task)
    try:
        wanted_all = task.architecture(description.prepared, task.model_options())
        name, arguments = task.shipped_architecture(*wanted_all)
    except (InputError, ValueError, TypeError, LookupError, ArithmeticError) as error:
        raise refusal(
            file, f"has 'prepared' values that do not agree: {one_line(error)}", "those of one set"
        ) from None
    wanted = build(file, name, arguments)
    for side in ("inputs", "outputs"):
        found, expected = signature(network, side), signature(wanted, side)
        if found != expected:
            raise refusal(
                file,
                f"has a network with {side} {found}",
                f"{expected}, by its task and 'prepared'",
            )
    for key in FIXED_BY_DATA:
        given = description.arguments.get(key)
        if key in arguments and key in description.arguments and given != arguments[key]:
            raise refusal(
                file, f"has other {key} in 'arguments' than in 'prepared'", "the same in both"
            )


def signature(network: "keras.Model", side: str) -> list[tuple[str, tuple, str]]:
    """Name (of inputs), shape and type of each tensor on a side of a network."""
    tensors: list[Any] = network.inputs if side == "inputs" else network.outputs
    names = [str(tensor.name) if side == "inputs" else "" for tensor in tensors]
    kinds = [(tuple(tensor.shape[1:]), str(tensor.dtype)) for tensor in tensors]
    return sorted((name, *kind) for name, kind in zip(names, kinds, strict=True))
