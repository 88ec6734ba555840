"""Where a network for pictures starts from: weights of a file, a run, a model folder, a preset.

`find` says what a user's text names; the rest reads from there what the network must be, what
its pictures must be like, and its weights. `StartingTask` is a task that can do so.
"""

import os
import re
from abc import ABC
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from septet.engine.tuning import require_start
from septet.errors import InputError, RunNotFoundError, WeightsError
from septet.task import Prepared, Task

if TYPE_CHECKING:
    from septet.engine.tuning import Tuning
    from septet.runs.model_schema import ModelDescription
    from septet.vision.options import StartOptions

Kind = Literal["file", "folder", "preset", "application"]
FROZEN, THAWING, LAYER_DECAY = 0.2, 0.0, 0.8
"""What the settings are by themselves where weights are given."""
PRETRAINED: Mapping[str, Mapping[str, Any]] = {
    "data": {"channels": 3},
    "model": {"pretrained": "efficientnet-lite0", "frozen_norms": True},
}
"""The preset of that name: a backbone that has seen photographs and is quick on a CPU."""
HALF = 127.5
PLACES = re.compile(r"(?:stage|block)(\d+)[a-z]?(?:_|$)")
FIRST = ("stem", "patches", "tokens")
HEADS = ("logits/", "class_logits/")
"""Weights that belong to classes, and to others' not though there be as many."""
QUARTERS = 4


@dataclass(frozen=True)
class Start:
    """What `model.pretrained` names.

    Args:
        kind: "file" of safetensors, model "folder", KerasHub "preset", or Keras "application".
        place: Its whole path, or the application's name.
    """

    kind: Kind
    place: str

    @property
    def path(self) -> Path:
        """Its path."""
        return Path(self.place)


def find(text: str, has_applications: bool = True) -> Start:
    """What a text names: a file or folder, a run, fetched weights, or a Keras application.

    Args:
        text: From a user.
        has_applications: A text that names nothing is told of Keras' applications.

    Raises:
        WeightsError: None of them.
        DataError: They are weights that have not been fetched.
    """
    from septet import registry
    from septet.models.keras_application import APPLICATIONS
    from septet.models.keras_hub_preset import is_preset
    from septet.runs.folder import RunFolder, runs_root

    path = Path(text)
    # Unlike `Path.is_dir`, these do not fail on a name that is too long for a file.
    if os.path.isdir(path):
        for folder in (path, path / "model"):
            if (folder / "model.json").is_file():
                return Start("folder", str(folder.absolute()))
        if is_preset(path):
            return Start("preset", str(path.absolute()))
        raise WeightsError(
            f"The folder '{text}' is no model folder, no finished run and no KerasHub preset, so "
            "training cannot start from it. Give one of these, or a file of safetensors."
        )
    if os.path.exists(path) or path.suffix == ".safetensors":
        return Start("file", str(path.absolute()))
    if text in APPLICATIONS:
        return Start("application", text)
    try:
        run = RunFolder.find(runs_root(), text)
    except RunNotFoundError:
        known = registry.weights("pictures")
        if text in known:
            return Start("file", str(known[text].path()))
        said, applications = "to start from", ""
        if has_applications:
            said = "to start from, nor a Keras application of that name"
            applications = f", or a Keras application: {', '.join(sorted(APPLICATIONS))}"
        raise WeightsError(
            f"There is no file, folder or run '{text}' {said}. Give a .safetensors file, a run, "
            "a model folder, a KerasHub preset, weights to be had by septet data fetch "
            f"({', '.join(known)}){applications}."
        ) from None
    if not (run.model / "model.json").is_file():
        raise WeightsError(
            f"The run '{text}' has no model to start from yet. Finish it with: septet resume {text}"
        )
    return Start("folder", str(run.model.absolute()))


def digest(start: Start) -> str:
    """SHA-256 of the weights.

    Raises:
        InputError: They cannot be read.
    """
    from septet.models.keras_application import kept_weights
    from septet.models.keras_hub_preset import FILE
    from septet.runs.foreign_tensors import hash_file

    if start.kind == "folder":
        return description_of(start).weights.sha256
    if start.kind == "application":
        return hash_file(kept_weights(start.place))
    return hash_file(start.path / FILE if start.kind == "preset" else start.path)


def description_of(start: Start) -> "ModelDescription":
    """What a model folder says of itself; WeightsError if it is not for pictures."""
    from septet.runs.model_folder import read_model_folder

    description = read_model_folder(start.path)
    if "channels" not in description.arguments or "num_classes" not in description.arguments:
        raise WeightsError(
            f"'{start.place}' is a model for {description.task}, whose network does not look at "
            "pictures. Start from a run with pictures."
        )
    return description


def sizes_of(prepared: Prepared) -> dict[str, Any]:
    """Arguments of a network that the data decide and not the weights."""
    names = ("height", "width", "channels", "mean", "deviation")
    return {**{name: prepared[name] for name in names}, "num_classes": len(prepared["labels"])}


def kept_network(
    start: Start, prepared: Prepared, kinds: Collection[str]
) -> tuple[str, dict[str, Any]] | None:
    """Name and arguments of a model folder's network, for classes of its own.

    None where the weights are of no folder, or of one whose network is none of `kinds`.
    """
    if start.kind != "folder":
        return None
    description = description_of(start)
    if description.architecture not in kinds:
        return None
    return description.architecture, {**description.arguments, **sizes_of(prepared)}


def backbone_for(start: Start, chosen: str | None) -> tuple[str, dict[str, Any]]:
    """The backbone whose weights they are, and changes to what its name stands for.

    Args:
        start: Where from.
        chosen: What a user's setting says, where a file may be of several.

    Raises:
        WeightsError: It is not known, or not one that other networks stand on.
    """
    from septet.models.backbones import BACKBONES

    if start.kind == "application":
        raise WeightsError(
            f"'{start.place}' is a network of Keras that only image-classification starts from. "
            "Give a .safetensors file, a run, a model folder or a KerasHub preset."
        )
    if start.kind == "preset":
        from septet.models.keras_hub_preset import backbone_settings

        name, settings = backbone_settings(start.path)
        return name, dict(settings)
    if start.kind == "file":
        return _named_backbone(start, chosen), {}
    description = description_of(start)
    name: Any = description.arguments.get("backbone")
    if name not in BACKBONES:
        raise WeightsError(
            f"'{start.place}' is a model for {description.task} whose network "
            f"'{description.architecture}' has no backbone that another could stand on. Start from "
            f"a run whose network stands on one of: {', '.join(BACKBONES)}."
        )
    settings = dict(description.arguments.get("settings") or {})
    width = description.arguments.get("backbone_width")
    return name, settings if width is None else {**settings, "width": width}


def _named_backbone(start: Start, chosen: str | None) -> str:
    """The backbone that the settings name, or the one whose tensors a file has."""
    from septet.models.backbones import BACKBONES
    from septet.models.pretrained import backbone_of
    from septet.runs.foreign_tensors import open_tensors

    if chosen is not None and chosen in BACKBONES:
        return chosen
    with open_tensors(start.path) as tensors:
        found = backbone_of(tensors)
    if found is None:
        raise WeightsError(
            f"'{start.place}' has tensors of no backbone that is known by its names. Say which "
            f"it is of, one of: {', '.join(BACKBONES)}."
        )
    return found


def adapt(start: Start, prepared: Prepared, pixels: str) -> Prepared:
    """`prepared` with the pixel scales that the weights were learned with.

    Raises:
        WeightsError: They are for pictures of other channels.
    """
    channels = 3
    if start.kind == "folder":
        learned = description_of(start).arguments
        channels = learned["channels"]
    if prepared["channels"] != channels:
        raise WeightsError(
            f"'{start.place}' is for pictures of {channels} channels, and these have "
            f"{prepared['channels']}. Set data.channels={channels}."
        )
    mean, deviation = _pixel_scales(start, prepared, pixels)
    return {**prepared, "mean": mean, "deviation": deviation}


def _pixel_scales(start: Start, prepared: Prepared, pixels: str) -> tuple[list[float], list[float]]:
    """Mean and deviation of each channel."""
    from septet.models.keras_application import APPLICATIONS
    from septet.models.pretrained import IMAGENET_DEVIATION, IMAGENET_MEAN
    from septet.runs.foreign_tensors import open_tensors

    if pixels == "data":
        return prepared["mean"], prepared["deviation"]
    if start.kind == "folder" and pixels == "auto":
        learned = description_of(start).arguments
        return learned["mean"], learned["deviation"]
    if start.kind == "application" and pixels == "auto":
        known = APPLICATIONS[start.place]
        return list(known.mean), list(known.deviation)
    if pixels == "auto":
        pixels = "imagenet"
        if start.kind == "file":
            with open_tensors(start.path) as tensors:
                # timm's own Vision Transformers and what it has of TensorFlow were trained on
                # pictures from -1 to 1.
                is_half = "cls_token" in tensors or "conv_stem.weight" in tensors
                pixels = "half" if is_half else "imagenet"
        else:
            from septet.models.keras_hub_preset import read_config

            is_vit = read_config(start.path).get("class_name") == "ViTBackbone"
            pixels = "half" if is_vit else "imagenet"
    if pixels == "half":
        return [HALF] * prepared["channels"], [HALF] * prepared["channels"]
    return list(IMAGENET_MEAN), list(IMAGENET_DEVIATION)


def load(
    start: Start,
    network: Any,
    prepared: Prepared,
    arguments: Mapping[str, Any],
    note: Callable[[str], None],
) -> list[str]:
    """Give the network the weights; the paths of those that it got.

    Raises:
        InputError: They cannot be read, or are not the network's.
    """
    if start.kind == "application":
        from septet.models.keras_application import load_kept

        given = load_kept(network, start.place)
    else:
        values = _values(start, network, prepared, arguments)
        for variable in network.weights:
            if variable.path in values:
                variable.assign(values[variable.path])
        given = list(values)
    new = [variable.path for variable in network.weights if variable.path not in set(given)]
    shown = ", ".join(new[:4]) + (" ..." if len(new) > 4 else "")
    note(
        f"Starting from {start.place}: {len(given)} arrays of weights are its own, "
        f"{len(new)} are new{': ' + shown if new else ''}."
    )
    return given


def _values(
    start: Start, network: Any, prepared: Prepared, arguments: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """Weights by path."""
    from septet.models.pretrained import convert
    from septet.runs.foreign_tensors import open_tensors

    shapes = {variable.path: tuple(variable.shape) for variable in network.weights}
    if start.kind == "folder":
        return _of_folder(start, shapes, prepared)
    grid = _grid(network, prepared)
    backbone = arguments["backbone"]
    if start.kind == "preset":
        from septet.models.keras_hub_preset import preset_tensors

        return convert(preset_tensors(start.path), backbone, shapes, source=start.place, grid=grid)
    with open_tensors(start.path) as tensors:
        return convert(tensors, backbone, shapes, source=start.place, grid=grid)


def _grid(network: Any, prepared: Prepared) -> tuple[int, int] | None:
    """Rows and columns of patches, of a Vision Transformer."""
    patches = next((layer for layer in network.layers if layer.name == "patches"), None)
    if patches is None:
        return None
    return prepared["height"] // patches.strides[0], prepared["width"] // patches.strides[1]


def _of_folder(
    start: Start, shapes: Mapping[str, tuple[int, ...]], prepared: Prepared
) -> dict[str, np.ndarray]:
    """A model folder's weights, but for what the size and the classes decide."""
    from septet.runs.model_folder import load_network

    description, network = load_network(start.path)
    has_same_classes = description.prepared.get("labels") == prepared["labels"]
    values = {
        variable.path: np.asarray(variable.value)
        for variable in network.weights
        if shapes.get(variable.path) == tuple(variable.shape)
        and (has_same_classes or not variable.path.startswith(HEADS))
    }
    if not values:
        raise WeightsError(
            f"'{start.place}' shares no weights with the network. Start from another model."
        )
    return values


def tuning(network: Any, given: list[str], options: "StartOptions") -> "Tuning":
    """Groups of variables by their distance to the picture; what was not given is new."""
    from septet.engine.tuning import Tuning

    known = set(given)
    variables = network.trainable_variables
    places = [_place(variable.path) if variable.path in known else None for variable in variables]
    deepest = max((place for place in places if place is not None and place >= 0), default=-1)
    if deepest < 1:
        # Names say nothing: quarters by the order in the network.
        ordered = [place for place, path in enumerate(variables) if path.path in known]
        quarter = max(1, -(-len(ordered) // QUARTERS))
        numbers = {place: rank // quarter for rank, place in enumerate(ordered)}
        deepest = max(numbers.values(), default=0)
        places = [numbers.get(place) for place in range(len(variables))]
    groups = tuple(
        deepest + 1 if place is None else deepest if place < 0 else place for place in places
    )
    # Where nothing is new, nothing would be trained meanwhile.
    frozen = FROZEN if deepest + 1 in groups else 0.0
    return Tuning(
        groups,
        frozen=frozen if options.frozen is None else options.frozen,
        thawing=options.thawing,
        decay=LAYER_DECAY if options.layer_decay is None else options.layer_decay,
        kept=_norms(network, known) if options.frozen_norms else frozenset(),
    )


def _norms(network: Any, known: Collection[str]) -> frozenset[int]:
    """Places of the scales and offsets of normalisations of batches that were learned before."""
    import keras

    of_norms = {
        variable.path
        for layer in network._flatten_layers(include_self=False)
        if isinstance(layer, keras.layers.BatchNormalization)
        for variable in layer.trainable_variables
    }
    paths = [variable.path for variable in network.trainable_variables]
    return frozenset(
        place for place, path in enumerate(paths) if path in known and path in of_norms
    )


def _place(path: str) -> int:
    """The number of a weight's stage or block, 0 for what comes before; -1 if it has none."""
    layer = path.split("/")[0]
    if layer.startswith(FIRST):
        return 0
    found = PLACES.match(layer)
    return int(found.group(1)) if found else -1


def locate(settings: Mapping[str, Any], has_applications: bool) -> dict[str, Any]:
    """Settings whose `pretrained` names the same from everywhere and later.

    Raises:
        InputError: It names nothing.
    """
    found = dict(settings)
    text = found.get("pretrained")
    if isinstance(text, str):
        if not text:
            raise InputError("Setting 'model.pretrained' is empty. Name weights, or leave it out.")
        found["pretrained"] = find(text, has_applications).place
    return found


class StartingTask(Task, ABC):
    """A task whose network may start from weights; `architecture` is given to heed them."""

    has_applications: ClassVar[bool] = False
    """Whether it may start from Keras' applications."""

    def settle(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Settings whose `pretrained` names the same from everywhere and later."""
        return locate(settings, self.has_applications)

    def pretrained(self, options: "StartOptions") -> str | None:
        """SHA-256 of the weights that training starts from."""
        require_start(options)
        return None if options.pretrained is None else digest(find(options.pretrained))

    def adapt(self, prepared: Prepared, options: Any) -> Prepared:
        """Pixels scaled as the weights that training starts from need it."""
        if options.pretrained is None:
            return prepared
        return adapt(find(options.pretrained), prepared, options.pixels)

    def start(
        self,
        network: Any,
        prepared: Prepared,
        options: "StartOptions",
        note: Callable[[str], None],
    ) -> "Tuning | None":
        """Weights of `model.pretrained`, and how they are trained on."""
        if options.pretrained is None:
            return None
        arguments = self.architecture(prepared, options)[1]
        given = load(find(options.pretrained), network, prepared, arguments, note)
        return tuning(network, given, options)
