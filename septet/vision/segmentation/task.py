"""The task semantic-segmentation: which class every pixel of a picture belongs to."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from septet.config import TrainingOptions
from septet.data.dataset import Dataset, Split
from septet.engine.losses import Loss
from septet.errors import ConfigError, DataError
from septet.task import Answerer, Arrays, Augment, Prepared, Summarize
from septet.vision import inputs as vision_inputs
from septet.vision import starting
from septet.vision.classification import Label, PreparedPictures, channel_scales
from septet.vision.gathering import fit
from septet.vision.picture_task import PictureTask
from septet.vision.segmentation import losses, scores
from septet.vision.segmentation.answers import (
    SegmentationAnswer,
    answer_of,
    classes_of,
    clear_class,
)
from septet.vision.segmentation.colours import palette_of
from septet.vision.segmentation.legend import IGNORED, MOST_CLASSES
from septet.vision.segmentation.options import (
    DEFAULT_BACKBONE,
    SegmentationDataOptions,
    SegmentationModelOptions,
)
from septet.vision.segmentation.packing import packed, unpacked
from septet.vision.segmentation.reading import MULTIPLE, fit_classes, read_segments

if TYPE_CHECKING:
    from septet.vision.explaining import Aim

LARGEST_FILTERS = 256
SMALLEST_MAP = 5
"""Places a side that the deepest level has at least, unless `model.depth` says otherwise."""
MOST_LEVELS = 5
SMALL, MIDDLE = 64, 128
"""Pictures of at most so many pixels a side are worked on in full size, and in half."""
FEWEST_FILTERS = 8

Side = Annotated[int, Field(ge=MULTIPLE, le=1024, multiple_of=MULTIPLE)]
Byte = Annotated[int, Field(ge=0, le=255)]
Colour = Annotated[list[Byte], Field(min_length=3, max_length=3)]


class PreparedSegments(PreparedPictures):
    """What a network for pixels needs to know: as for pictures, and colours and shares."""

    labels: Annotated[list[Label], Field(min_length=2, max_length=MOST_CLASSES)]
    colours: Annotated[list[Colour | None], Field(max_length=MOST_CLASSES)]
    shares: Annotated[list[Annotated[float, Field(ge=0.0, le=1.0)]], Field(max_length=MOST_CLASSES)]
    height: Side
    width: Side
    large: Literal["resize", "tile"]

    @model_validator(mode="after")
    def _has_as_many(self) -> "PreparedSegments":
        if not len(self.labels) == len(self.colours) == len(self.shares):
            raise ValueError("labels, colours and shares must be as many")
        return self


class SemanticSegmentation(PictureTask):
    """Which class every pixel of a picture belongs to."""

    name: ClassVar[str] = "semantic-segmentation"
    summary: ClassVar[str] = "Predict the class of every pixel (pictures with masks or polygons)"
    data_options: ClassVar = SegmentationDataOptions
    model_options: ClassVar = SegmentationModelOptions
    prepared_type: ClassVar = PreparedSegments
    training_defaults: ClassVar[Mapping[str, Any]] = {
        "batch_size": 16,
        "learning_rate": 3e-3,
        "weight_decay": 1e-2,
    }
    presets: ClassVar[Mapping[str, Any]] = {
        "pretrained": {
            **starting.PRETRAINED,
            "model": {**starting.PRETRAINED["model"], "architecture": "fpn"},
        }
    }
    least_epochs: ClassVar[int] = 20
    least_steps: ClassVar[int] = 1000
    most_epochs: ClassVar[int] = 100
    monitor: ClassVar[tuple[str, str]] = ("validation_mean_iou", "max")
    loss: ClassVar[str] = "pixels"
    answered_at_once: ClassVar[int | None] = 1
    explains: ClassVar[bool] = True
    scoring_s: ClassVar[float] = 8.0

    def scored_at_once(self, prepared: Prepared) -> int:
        """Few, since outputs for every place of a picture are large."""
        return 16

    def read(self, source: Path, options: SegmentationDataOptions, seed: int) -> Dataset:
        """Read, check and split the pictures and masks at `source`."""
        return read_segments(Path(source), options, seed)

    def prepare(self, dataset: Dataset, options: SegmentationDataOptions) -> Prepared:
        """Classes and their shares of pixels, size, and each channel's mean and deviation."""
        train = dataset.splits["train"]
        mean, deviation = channel_scales(train.examples["pictures"])
        counts = np.zeros(256, np.int64)
        for mask in train.targets:
            counts += np.bincount(mask.ravel(), minlength=256)
        counts = counts[: len(dataset.facts["labels"])]
        shares = (counts / max(int(counts.sum()), 1)).tolist()
        learned = {**dataset.facts, "mean": mean, "deviation": deviation, "shares": shares}
        return PreparedSegments.model_validate(learned).model_dump(mode="json")

    def arrays(self, split: Split, prepared: Prepared) -> tuple[Arrays, np.ndarray]:
        """Pictures, uint8 [N, height, width, channels]; masks, uint8 [N, height, width].

        Raises:
            DataError: A mask has a class that the network does not know.
        """
        return {"pictures": _pictures(split, prepared)}, _masks(split, prepared)

    def queries(self, split: Split, prepared: Prepared) -> Arrays:
        """The pictures alone."""
        return {"pictures": _pictures(split, prepared)}

    def encode(self, inputs: Any, prepared: Prepared) -> Arrays:
        """See `septet.vision.inputs.encode_pictures` for the forms that `inputs` may have."""
        size = vision_inputs.input_size(prepared)
        return {"pictures": vision_inputs.encode_pictures(inputs, *size)}

    def architecture(
        self, prepared: Prepared, options: SegmentationModelOptions
    ) -> tuple[str, dict[str, Any]]:
        """A U-Net as deep as the pictures' size allows, or a head over a backbone."""
        arguments = starting.sizes_of(prepared) | {"dropout": options.dropout}
        if options.pretrained is not None:
            source = starting.find(options.pretrained)
            if kept := starting.kept_network(source, prepared, ("unet", "pixel-head")):
                return kept
            return "pixel-head", arguments | _head_over(source, options)
        if options.architecture != "unet":
            return "pixel-head", arguments | {
                "backbone": options.backbone,
                "head": options.architecture,
                "dim": 2 * options.width,
            }
        side = min(prepared["height"], prepared["width"])
        stem = options.stem or (1 if side <= SMALL else 2 if side <= MIDDLE else 4)
        depth = options.depth or _fitting_depth(side, stem)
        stride = stem * 2 ** (depth - 1)
        if prepared["height"] % stride or prepared["width"] % stride:
            raise ConfigError(
                f"Setting 'model.depth' is {depth}, whose deepest level has stride {stride}; "
                f"pictures of {prepared['height']}x{prepared['width']} are no multiple of it. "
                "Lower model.depth or model.stem, or choose another data.size."
            )
        filters = [_filters(options.width, stem * 2**level) for level in range(depth)]
        return "unet", arguments | {
            "filters": filters,
            "blocks": [options.blocks] * depth,
            "stem": stem,
            "decoder": max(64, options.width),
        }

    def augment(self, prepared: Prepared, options: SegmentationModelOptions) -> Augment | None:
        """Random changes of pictures and masks together."""
        from septet.vision import augmentation
        from septet.vision.segmentation import moving

        moves: list[moving.Move] = []
        if options.flip:
            moves.append(moving.flip)
        if options.scale:
            moves.append(moving.scale_and_crop(options.scale))
        if options.colour or options.hue:
            look = augmentation.colour(options.colour, options.hue)
            moves.append(moving.of_pictures(look))
        if options.blur:
            moves.append(moving.of_pictures(augmentation.blur(options.blur)))
        if options.cutout:
            side = min(prepared["height"], prepared["width"])
            moves.append(moving.cutout(min(options.cutout, side)))
        return moving.of_both(moves) if moves else None

    def objective(self, training: TrainingOptions, prepared: Prepared) -> Loss:
        """The terms that training.loss adds up, each by pixels that are known."""
        return Loss(
            partial(_compile_arguments, _loss(self.name, training, prepared)),
            partial(_measure, prepared=prepared),
        )

    def summarize(self, prepared: Prepared) -> Summarize:
        """Cross-entropy of each picture and its classes, packed."""

        def summary(outputs: Any, targets: Any) -> Any:
            import jax
            import jax.numpy as jnp

            # JAX throughout, whatever Keras runs on; `losses` are Keras' operations.
            known = targets != IGNORED
            labels = jnp.where(known, targets, 0).astype(jnp.int32)[..., None]
            shares = jnp.take_along_axis(jax.nn.log_softmax(outputs), labels, axis=-1)[..., 0]
            total = jnp.sum(jnp.where(known, -shares, 0.0), axis=(1, 2))
            lost = total / jnp.maximum(jnp.sum(known, axis=(1, 2)), 1)
            classes = jnp.argmax(outputs, axis=-1)
            return jnp.concatenate([lost[:, None], packed(classes)], axis=1)

        return summary

    def evaluate(self, outputs: np.ndarray, split: Split, prepared: Prepared) -> dict[str, Any]:
        """Intersection over union, boundaries and their kin; see `evaluate_segments`."""
        found = _found(outputs, prepared)
        truth, labels = _masks(split, prepared), prepared["labels"]
        return scores.evaluate_segments(truth, found, labels, split.sources)

    def answer(self, outputs: np.ndarray, prepared: Prepared) -> list[SegmentationAnswer]:
        """The class of each pixel as the network sees it, on white; see `respond`."""
        size = (prepared["height"], prepared["width"])
        white = np.full(size, 255, np.uint8)
        classes = outputs.argmax(axis=-1).astype(np.uint8)
        return [answer_of(each, white, prepared) for each in classes]

    def respond(
        self, outputs_of: Answerer, inputs: Any, prepared: Prepared
    ) -> list[SegmentationAnswer]:
        """The class of each pixel of each picture, in its own size, one picture after the other."""

        def logits(pictures: np.ndarray) -> np.ndarray:
            return outputs_of({"pictures": pictures})

        answers = []
        for pixels in vision_inputs.whole_pictures(inputs):
            answers.append(answer_of(classes_of(pixels, prepared, logits), pixels, prepared))
        return answers

    def draw(
        self,
        outputs: np.ndarray,
        split: Split,
        evaluation: Mapping[str, Any],
        prepared: Prepared,
        folder: Path,
    ) -> list[tuple[str, str]]:
        """Scores by class; picture, mask, answer and errors of the first and the worst."""
        from septet.vision.figures import draw_explanations
        from septet.vision.segmentation.figures import draw_segments

        labels, pictures = prepared["labels"], _pictures(split, prepared)
        drawn = draw_segments(
            pictures, _masks(split, prepared), _found(outputs, prepared), labels,
            palette_of(labels, prepared["colours"]), split.sources, evaluation, folder,
        )  # fmt: skip
        entries = evaluation.get("explanations") or []
        return drawn + draw_explanations(pictures, entries, folder)

    def aim(self, labels: Sequence[str]) -> "Aim":
        """The largest class."""
        from septet.vision.explaining import largest_class

        return largest_class(clear_class(labels))

    def truth(self, split: Split, row: int) -> list[str]:
        """The classes that the mask shows, without the background."""
        names = str(split.examples["classes"][row]).split("\n")
        numbers = [n for n in np.unique(split.targets[row]).tolist() if n < len(names)]
        return [names[n] for n in numbers if n != clear_class(names)]


def _head_over(source: starting.Start, options: SegmentationModelOptions) -> dict[str, Any]:
    """Backbone and head of a network that starts from another's weights.

    Raises:
        ConfigError: A U-Net is asked for, which has no backbone.
    """
    if options.architecture == "unet":
        raise ConfigError(
            f"Setting 'model.architecture' is unet, which starts only from a run of its own kind; "
            f"'{source.place}' is none. Set model.architecture=fpn or deeplab."
        )
    # The default is no network of torchvision or timm: a file then says itself what it is.
    chosen = None if options.backbone == DEFAULT_BACKBONE else options.backbone
    name, settings = starting.backbone_for(source, chosen)
    # A stem for small pictures is left behind: a head needs the usual strides.
    settings.pop("stem", None)
    return {
        "backbone": name,
        "settings": settings or None,
        "head": options.architecture,
        "dim": 2 * options.width,
    }


def _fitting_depth(side: int, stem: int) -> int:
    """Levels whose deepest has at least `SMALLEST_MAP` places a side; sides are multiples of 32."""
    depth = 1
    while depth < MOST_LEVELS and side // (stem * 2**depth) >= SMALLEST_MAP:
        depth += 1
    while stem * 2 ** (depth - 1) > MULTIPLE:
        depth -= 1
    return depth


def _filters(width: int, stride: int) -> int:
    """As many as cost the same at every stride, where `width` are those at stride 4."""
    return max(min(width * stride // 4, max(LARGEST_FILTERS, width)), min(FEWEST_FILTERS, width))


def _loss(task: str, training: TrainingOptions, prepared: Prepared) -> dict[str, Any]:
    """Arguments of `losses.of_each_picture` that the settings ask for.

    Raises:
        ConfigError: They ask for a loss that pixels do not have.
    """
    terms = losses.terms_of(training.loss, task)
    if training.label_smoothing and "cross-entropy" not in terms:
        raise ConfigError(
            f"Setting 'training.label_smoothing' is {training.label_smoothing:g}, which needs "
            "cross-entropy; choose training.loss=cross-entropy+dice."
        )
    is_balanced = training.class_weights == "balanced"
    if is_balanced and terms == ("dice",):
        raise ConfigError(
            "Setting 'training.class_weights' is balanced, but a Dice loss weighs classes alike "
            "already; choose training.loss=cross-entropy+dice, or training.class_weights=none."
        )
    weights = losses.balanced(prepared["shares"]) if is_balanced else None
    return {"terms": terms, "smoothing": training.label_smoothing, "weights": weights}


def _compile_arguments(how: dict[str, Any]) -> dict[str, Any]:
    import keras

    def loss(masks: Any, logits: Any) -> Any:
        return losses.of_each_picture(masks, logits, **how)

    metric = keras.metrics.MeanMetricWrapper(losses.accuracy_of_each_picture, name="pixel_accuracy")
    return {"loss": loss, "metrics": [metric]}


def _measure(outputs: np.ndarray, targets: np.ndarray, prepared: Prepared) -> dict[str, float]:
    """Cross-entropy, mean intersection over union and accuracy, of summaries."""
    labels = prepared["labels"]
    counts, _ = scores.count_pixels(targets, _found(outputs, prepared), len(labels))
    total = counts.sum(axis=0)
    right, _, actual = total
    mean = float(scores.mean_iou(total, scores.foreground(labels)))
    return {
        "loss": float(outputs[:, 0].astype(np.float64).mean()),
        "mean_iou": mean if mean == mean else 0.0,
        "pixel_accuracy": float(right.sum() / max(actual.sum(), 1.0)),
    }


def _found(outputs: np.ndarray, prepared: Prepared) -> np.ndarray:
    """The classes in summaries: uint8 [n, height, width]."""
    return unpacked(outputs[:, 1:], prepared["height"], prepared["width"])


def _pictures(split: Split, prepared: Prepared) -> np.ndarray:
    pictures = split.examples["pictures"]
    size = (prepared["height"], prepared["width"], prepared["channels"])
    if pictures.shape[1:] == size or not len(pictures):
        return pictures.reshape(-1, *size)
    return np.stack([fit(_flat(picture), *size) for picture in pictures])


def _flat(picture: np.ndarray) -> np.ndarray:
    return picture[..., 0] if picture.shape[-1] == 1 else picture


def _masks(split: Split, prepared: Prepared) -> np.ndarray:
    """Masks by the network's classes and in its size.

    Raises:
        DataError: A mask has a class that the network does not know.
    """
    masks, size = split.targets, (prepared["height"], prepared["width"])
    if not len(masks):
        return masks.reshape(0, *size)
    names = str(split.examples["classes"][0]).split("\n")
    if names != prepared["labels"]:
        masks = _renumbered(masks, names, prepared["labels"])
    if masks.shape[1:] != size:
        masks = np.stack([fit_classes(mask, *size) for mask in masks])
    return masks


def _renumbered(masks: np.ndarray, names: list[str], labels: list[str]) -> np.ndarray:
    table = np.full(256, IGNORED, np.uint8)
    present = {int(number) for mask in masks for number in np.unique(mask)}
    for number, name in enumerate(names):
        if name in labels:
            table[number] = labels.index(name)
        elif number in present:
            raise DataError(
                f"The model does not know the class '{name}'. It knows: {', '.join(labels[:20])}. "
                "Rename it, or mark its pixels as ignored."
            )
    return table[masks]
