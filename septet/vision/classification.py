"""The task image-classification: which class each picture belongs to."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from septet.data.array_files import parts
from septet.data.dataset import Dataset, Split
from septet.errors import ConfigError, DataError
from septet.evaluation.classification import ClassAnswer, class_answers, evaluate_classification
from septet.task import Arrays, Augment, Prepared
from septet.vision import inputs as vision_inputs
from septet.vision import starting
from septet.vision.options import Architecture, ImageDataOptions, ImageModelOptions
from septet.vision.picture_task import PictureTask
from septet.vision.reading import read_dataset

NAMED_BY_KERAS = {name for name in get_args(Architecture) if name[0].isupper()}
CLASSIFIERS = ("cnn", "keras-application", "picture-classifier", "resnet")
"""Networks that are kept where training starts from a model of theirs."""
SMALL_SIDE = 64
"""Pixels a side below which backbones keep more of them."""
LARGEST_FILTERS = 256
MAX_LAYERS = 32
"""As many as `septet.models.convolutional` builds, which this must not import."""
MOST_STAGES = 6
SMALLEST_MAP = 3
"""Pixels a side that the last stage has at least, unless `model.depth` says otherwise."""

Label = Annotated[str, StringConstraints(max_length=1000)]
Side = Annotated[int, Field(ge=1, le=1024)]
Mean = Annotated[float, Field(ge=0.0, le=255.0)]
Deviation = Annotated[float, Field(ge=0.1, le=255.0)]


class PreparedPictures(BaseModel):
    """What a network for pictures needs to know: classes by logit, size, and channel scales."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

    labels: Annotated[list[Label], Field(min_length=2, max_length=100_000)]
    height: Side
    width: Side
    channels: Literal[1, 3]
    fit: Literal["stretch", "crop", "letterbox"] = "stretch"
    mean: Annotated[list[Mean], Field(min_length=1, max_length=3)]
    deviation: Annotated[list[Deviation], Field(min_length=1, max_length=3)]

    @model_validator(mode="after")
    def _fits_together(self) -> "PreparedPictures":
        if len(set(self.labels)) < len(self.labels):
            raise ValueError("two labels are the same")
        if not len(self.mean) == len(self.deviation) == self.channels:
            raise ValueError("mean and deviation must have one value a channel")
        return self


class ImageClassification(PictureTask):
    """Which class each picture belongs to."""

    name: ClassVar[str] = "image-classification"
    summary: ClassVar[str] = "Predict the class of a picture (folders, CSV of paths, or .npz)"
    data_options: ClassVar = ImageDataOptions
    model_options: ClassVar = ImageModelOptions
    prepared_type: ClassVar = PreparedPictures
    training_defaults: ClassVar[Mapping[str, Any]] = {
        "batch_size": 64,
        "learning_rate": 3e-3,
        "weight_decay": 1e-2,
    }
    presets: ClassVar[Mapping[str, Any]] = {
        # For half an hour where the default takes ten minutes: seen more often, a network learns
        # the pictures by heart unless parts of them are covered and labels are softened.
        "best": {
            "model": {"width": 40, "dropout": 0.25, "cutout": 8},
            "training": {"label_smoothing": 0.05, "average_decay": 0.999},
        },
        "pretrained": {**starting.PRETRAINED, "data": {"channels": 3, "size": 160}},
    }
    least_epochs: ClassVar[int] = 22
    least_steps: ClassVar[int] = 1000
    most_epochs: ClassVar[int] = 60
    monitor: ClassVar[tuple[str, str]] = ("validation_accuracy", "max")
    loss: ClassVar[str] = "softmax"
    explains: ClassVar[bool] = True
    has_applications: ClassVar[bool] = True
    scoring_s: ClassVar[float] = 5.0

    def read(self, source: Path, options: ImageDataOptions, seed: int) -> Dataset:
        """Read, check and split the pictures at `source`."""
        return read_dataset(Path(source), options, seed)

    def prepare(self, dataset: Dataset, options: ImageDataOptions) -> Prepared:
        """Classes, size, and mean and deviation of each channel over the training split."""
        mean, deviation = channel_scales(dataset.splits["train"].examples["pictures"])
        learned = {**dataset.facts, "mean": mean, "deviation": deviation}
        return PreparedPictures.model_validate(learned).model_dump(mode="json")

    def arrays(self, split: Split, prepared: Prepared) -> tuple[Arrays, np.ndarray]:
        """Pictures, uint8 [N, height, width, channels], as they are; labels, int32 [N]."""
        return {"pictures": split.examples["pictures"]}, numbers_of(split, prepared)

    def encode(self, inputs: Any, prepared: Prepared) -> Arrays:
        """See `septet.vision.inputs.encode_pictures` for the forms that `inputs` may have."""
        size = vision_inputs.input_size(prepared)
        return {"pictures": vision_inputs.encode_pictures(inputs, *size)}

    def adapt(self, prepared: Prepared, options: ImageModelOptions) -> Prepared:
        """Pixels scaled as the weights that training starts from need it.

        Raises:
            ConfigError: The network takes colour, and the pictures are grey.
        """
        is_of_keras = options.architecture in NAMED_BY_KERAS
        if options.pretrained is None and is_of_keras and prepared["channels"] == 1:
            raise ConfigError(
                f"Setting 'model.architecture' is {options.architecture}, which takes colour, "
                "and these pictures are grey. Set data.channels=3."
            )
        return super().adapt(prepared, options)

    def architecture(
        self, prepared: Prepared, options: ImageModelOptions
    ) -> tuple[str, dict[str, Any]]:
        """A convolutional network with as many stages as the pictures' size allows.

        Or the backbone that is named, or the network of the weights that training starts from.
        """
        if options.pretrained is not None:
            return _started(starting.find(options.pretrained), prepared, options)
        if options.architecture not in ("cnn", "resnet"):
            return _over_backbone(prepared, options)
        height, width = prepared["height"], prepared["width"]
        depth = options.depth or fitting_depth(min(height, width))
        if options.architecture == "cnn" and min(height, width) < 2**depth:
            raise ConfigError(
                f"Setting 'model.depth' is {depth}, but pictures of {height}x{width} cannot be "
                f"halved so often; expected at most {min(height, width).bit_length() - 1}."
            )
        # More convolutions pay most in the middle: the first stage works on full-size maps, the
        # last has the most filters.
        convolutions = [1, *[options.repeats] * (depth - 2), *[1] * (depth > 1)]
        is_residual = options.architecture == "resnet"
        count = depth * options.repeats if is_residual else sum(convolutions)
        if count > MAX_LAYERS:
            raise ConfigError(
                f"Setting 'model.repeats' is {options.repeats}, which with {depth} stages makes "
                f"{count} {'blocks' if is_residual else 'convolutions'}; expected at most "
                f"{MAX_LAYERS}. Lower model.repeats or model.depth."
            )
        filters = [min(options.width * 2**stage, LARGEST_FILTERS) for stage in range(depth)]
        filters = [max(number, options.width) for number in filters]
        arguments: dict[str, Any] = {
            name: prepared[name] for name in ("height", "width", "channels", "mean", "deviation")
        }
        arguments |= {"num_classes": len(prepared["labels"]), "filters": filters}
        if is_residual:
            return "resnet", arguments | {"blocks": options.repeats, "dropout": options.dropout}
        return "cnn", arguments | {
            "convolutions": convolutions,
            "dense_dim": options.dense_dim,
            "dropout": options.dropout,
        }

    def augment(self, prepared: Prepared, options: ImageModelOptions) -> Augment | None:
        """Random changes of {"pictures": uint8 [batch, height, width, channels]}."""
        from septet.vision import augmentation

        side = min(prepared["height"], prepared["width"])
        changes: list[augmentation.Change] = []
        if options.flip:
            changes.append(augmentation.flip)
        if options.crop or options.rotation:
            changes.append(augmentation.zoom_and_rotate(options.crop, options.rotation))
        if options.shift:
            changes.append(augmentation.shift(min(options.shift, side)))
        if options.colour or options.hue:
            changes.append(augmentation.colour(options.colour, options.hue))
        if options.blur:
            changes.append(augmentation.blur(options.blur))
        if options.cutout:
            changes.append(augmentation.cutout(min(options.cutout, side)))
        change = augmentation.of_pictures(augmentation.compose(changes)) if changes else None
        if not (options.mixup or options.cutmix):
            return change
        count = len(prepared["labels"])
        mixed = augmentation.mix(count, mixup=options.mixup, cutmix=options.cutmix)
        return augmentation.chained(change, mixed)

    def evaluate(self, outputs: np.ndarray, split: Split, prepared: Prepared) -> dict[str, Any]:
        """Accuracy and its kin; see `evaluate_classification`."""
        return evaluate_classification(outputs, numbers_of(split, prepared), prepared["labels"])

    def answer(self, outputs: np.ndarray, prepared: Prepared) -> list[ClassAnswer]:
        """The likeliest class of each picture, and the probability of every class."""
        return class_answers(outputs, prepared["labels"])

    def draw(
        self,
        outputs: np.ndarray,
        split: Split,
        evaluation: Mapping[str, Any],
        prepared: Prepared,
        folder: Path,
    ) -> list[tuple[str, str]]:
        """Confusion matrix, reliability, scores by class, and the worst mistakes."""
        from septet.evaluation.figures import draw_classification
        from septet.vision.figures import draw_explanations, draw_mistakes

        labels, names = numbers_of(split, prepared), prepared["labels"]
        drawn = draw_classification(evaluation, outputs, labels, names, folder)
        pictures = split.examples["pictures"]
        drawn += draw_mistakes(pictures, outputs, labels, names, split.sources, folder)
        return drawn + draw_explanations(pictures, evaluation.get("explanations") or [], folder)


def _started(
    source: starting.Start, prepared: Prepared, options: ImageModelOptions
) -> tuple[str, dict[str, Any]]:
    """The network of the weights that training starts from, or a classifier over its backbone."""
    if kept := starting.kept_network(source, prepared, CLASSIFIERS):
        return kept
    arguments = {**starting.sizes_of(prepared), "dropout": options.dropout}
    if source.kind == "application":
        return "keras-application", {**arguments, "application": source.place}
    name, settings = starting.backbone_for(source, options.architecture)
    settings = {**settings, **(options.backbone or {})}
    return "picture-classifier", {**arguments, "backbone": name, "settings": settings or None}


def _over_backbone(prepared: Prepared, options: ImageModelOptions) -> tuple[str, dict[str, Any]]:
    """A classifier over a backbone, or a Keras application, with drawn weights."""
    arguments: dict[str, Any] = {
        name: prepared[name] for name in ("height", "width", "channels", "mean", "deviation")
    }
    arguments |= {"num_classes": len(prepared["labels"]), "dropout": options.dropout}
    if options.architecture in NAMED_BY_KERAS:
        return "keras-application", arguments | {"application": options.architecture}
    side = min(prepared["height"], prepared["width"])
    settings = {**_for_small_pictures(options.architecture, side), **(options.backbone or {})}
    return "picture-classifier", arguments | {
        "backbone": options.architecture,
        "settings": settings or None,
    }


def _for_small_pictures(name: str, side: int) -> dict[str, Any]:
    """What keeps a backbone from shrinking small pictures to nothing."""
    if side >= SMALL_SIDE:
        return {}
    if name.startswith("resnet"):
        return {"stem": "small"}
    if name.startswith("convnext"):
        return {"patch": 1 if side < SMALL_SIDE // 2 else 2}
    if name.startswith("vit"):
        return {"patch": max(patch for patch in (1, 2, 4) if side % patch == 0)}
    return {"stages": min(5, fitting_depth(side))}


def channel_scales(pictures: np.ndarray) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel of uint8 [N, h, w, c], in 0..255.

    Exact, from counts of the 256 values. A deviation is at least 1, so that pictures of
    one colour do not divide by zero.
    """
    values = np.arange(256, dtype=np.float64)
    means, deviations = [], []
    counted = np.zeros((pictures.shape[-1], 256), np.int64)
    for part in parts(pictures):
        for channel, counts in enumerate(counted):
            counts += np.bincount(part[..., channel].ravel(), minlength=256)
    for counts in counted:
        total = max(int(counts.sum()), 1)
        mean = float(counts @ values / total)
        means.append(mean)
        deviations.append(max(1.0, float(np.sqrt(counts @ (values - mean) ** 2 / total))))
    return means, deviations


def fitting_depth(side: int, smallest: int = SMALLEST_MAP, most: int = MOST_STAGES) -> int:
    """Stages, each half the size of the one before, that leave at least `smallest` pixels."""
    depth = 1
    while side >> (depth + 1) >= smallest and depth < most:
        depth += 1
    return depth


def numbers_of(split: Split, prepared: Prepared) -> np.ndarray:
    """Places of the split's class names among `prepared["labels"]`, int32 [N].

    Raises:
        DataError: The network does not know a class.
    """
    places = {label: place for place, label in enumerate(prepared["labels"])}
    unknown = sorted({str(name) for name in split.targets if name not in places})
    if unknown:
        known = ", ".join(prepared["labels"][:20])
        raise DataError(
            f"The model does not know the class '{unknown[0]}' ({len(unknown)} such classes). "
            f"It knows: {known}. Rename or remove it."
        )
    return np.array([places[name] for name in split.targets], dtype=np.int32)
