"""The task object-detection: where things are in a picture, and of which class."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from septet.config import TrainingOptions
from septet.data.dataset import Dataset, Split
from septet.engine.losses import Loss
from septet.errors import ConfigError, DataError
from septet.evaluation.detection import (
    SHOWN_FROM,
    by_picture,
    evaluate_boxes,
    quick_scores,
    require_pycocotools,
)
from septet.task import Answerer, Arrays, Augment, Prepared, Summarize
from septet.vision import geometry, starting
from septet.vision import inputs as vision_inputs
from septet.vision.classification import Label, PreparedPictures, channel_scales
from septet.vision.detecting import BOX_WEIGHT, DetectionLoss, summarizer, suppressed
from septet.vision.detection_options import (
    DEFAULT_BACKBONE,
    DetectionDataOptions,
    DetectionModelOptions,
)
from septet.vision.labelled import read_labelled, with_channels
from septet.vision.picture_task import PictureTask

if TYPE_CHECKING:
    from septet.vision.explaining import Aim

STRIDES = (8, 16, 32)
ANSWERED_AT_ONCE = 32

Side = Annotated[int, Field(ge=32, le=2048, multiple_of=32)]


class PreparedBoxes(PreparedPictures):
    """What a detector needs to know: as for pictures, and how they come onto its canvas."""

    labels: Annotated[list[Label], Field(min_length=1, max_length=10_000)]
    height: Side
    width: Side
    fit: Literal["stretch", "crop", "letterbox"] = "letterbox"


@dataclass(frozen=True)
class FoundBox:
    """One thing that was found: its class, how sure that is, and its sides in pixels."""

    label: str
    score: float
    left: float
    top: float
    right: float
    bottom: float

    def __str__(self) -> str:
        """As "cat 0.93 (12, 30 to 96, 120)"."""
        sides = f"{self.left:.0f}, {self.top:.0f} to {self.right:.0f}, {self.bottom:.0f}"
        return f"{self.label} {self.score:.2f} ({sides})"


@dataclass(frozen=True)
class BoxesAnswer:
    """Everything found in one picture, the surest first.

    Args:
        boxes: In pixels of the picture as it was given.
        pixels: The picture, where it is known: uint8 [height, width] or [height, width, 3].
    """

    boxes: tuple[FoundBox, ...]
    pixels: np.ndarray | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        """The boxes, one after the other."""
        return "; ".join(map(str, self.boxes)) or "nothing found"

    def to_json(self) -> dict[str, Any]:
        """The boxes as plain values."""
        return {"boxes": [vars(box) for box in self.boxes]}

    def overlay(self) -> bytes | None:
        """The picture with the boxes drawn on it, as PNG; None where it is not known."""
        from septet.vision.box_figures import drawn_boxes

        return None if self.pixels is None else drawn_boxes(self.pixels, self.boxes)


class ObjectDetection(PictureTask):
    """Where things are in a picture, and of which class."""

    name: ClassVar[str] = "object-detection"
    summary: ClassVar[str] = "Find things in pictures: boxes and classes (COCO, Pascal VOC, YOLO)"
    data_options: ClassVar = DetectionDataOptions
    model_options: ClassVar = DetectionModelOptions
    prepared_type: ClassVar = PreparedBoxes
    training_defaults: ClassVar[Mapping[str, Any]] = {
        "batch_size": 16,
        "learning_rate": 2e-3,
        "weight_decay": 5e-2,
        "clip_norm": 10.0,
    }
    presets: ClassVar[Mapping[str, Any]] = {"pretrained": starting.PRETRAINED}
    least_epochs: ClassVar[int] = 25
    least_steps: ClassVar[int] = 1500
    most_epochs: ClassVar[int] = 100
    monitor: ClassVar[tuple[str, str]] = ("validation_map_50", "max")
    scoring_s: ClassVar[float] = 14.0
    explains: ClassVar[bool] = True
    loss: ClassVar[str] = "detection"
    answered_at_once: ClassVar[int | None] = ANSWERED_AT_ONCE

    def scored_at_once(self, prepared: Prepared) -> int:
        """Few, since outputs for every place of a picture are large."""
        return 64

    def read(self, source: Path, options: DetectionDataOptions, seed: int) -> Dataset:
        """Read, check and split the labelled pictures at `source`."""
        require_pycocotools()
        return read_labelled(Path(source), options, seed)

    def prepare(self, dataset: Dataset, options: DetectionDataOptions) -> Prepared:
        """Classes, canvas, and mean and deviation of each channel over the training split."""
        mean, deviation = channel_scales(dataset.splits["train"].examples["pictures"])
        learned = {**dataset.facts, "mean": mean, "deviation": deviation}
        return PreparedBoxes.model_validate(learned).model_dump(mode="json")

    def arrays(self, split: Split, prepared: Prepared) -> tuple[Arrays, np.ndarray]:
        """Pictures, uint8, and boxes on the canvas, float32 [n, most, 5]; class -1 for none."""
        listed = true_boxes(split, prepared)
        most = max([1, *map(len, listed)])
        targets = np.zeros((len(split), most, 5), np.float32)
        targets[..., 0] = -1
        for row, boxes in enumerate(listed):
            placement = placement_of(split.examples["sizes"][row], prepared)
            canvas = (prepared["height"], prepared["width"])
            sides = geometry.clipped(placement.boxes(boxes[:, 1:]), canvas)
            # Of a picture whose middle alone is looked at, some boxes lie outside.
            is_there = np.all(sides[:, 2:] > sides[:, :2], axis=1)
            targets[row, : len(boxes), 0] = np.where(is_there, boxes[:, 0], -1)
            targets[row, : len(boxes), 1:] = np.where(is_there[:, None], sides, 0)
        return {"pictures": split.examples["pictures"]}, targets

    def queries(self, split: Split, prepared: Prepared) -> Arrays:
        """The pictures."""
        return {"pictures": split.examples["pictures"]}

    def encode(self, inputs: Any, prepared: Prepared) -> Arrays:
        """See `septet.vision.inputs.whole_pictures` for the forms that `inputs` may have."""
        pictures = [
            self._placed(pixels, prepared) for pixels in vision_inputs.whole_pictures(inputs)
        ]
        return {"pictures": np.stack(pictures)}

    def _placed(self, pixels: np.ndarray, prepared: Prepared) -> np.ndarray:
        placement = placement_of(pixels.shape[:2], prepared)
        return with_channels(placement.picture(pixels), prepared["channels"])

    def architecture(
        self, prepared: Prepared, options: DetectionModelOptions
    ) -> tuple[str, dict[str, Any]]:
        """The detector, over the chosen backbone.

        Raises:
            ConfigError: There is no such backbone.
            WeightsError: Those that training starts from are for no detector.
        """
        if options.pretrained is not None:
            return _started(starting.find(options.pretrained), prepared, options)
        _require_backbone(options.backbone)
        return "detector", _arguments(prepared, options) | {"backbone": options.backbone}

    def augment(self, prepared: Prepared, options: DetectionModelOptions) -> Augment | None:
        """Random changes of pictures and boxes together."""
        from septet.vision.box_augmentation import augmenting

        return augmenting(options, (prepared["height"], prepared["width"]))

    def objective(self, training: TrainingOptions, prepared: Prepared) -> Loss:
        """Quality focal loss and generalised IoU; see `detecting.DetectionLoss`.

        Raises:
            ConfigError: Another loss is asked for.
        """
        for name, value, expected in (
            ("loss", training.loss, "auto"),
            ("label_smoothing", training.label_smoothing, 0.0),
            ("class_weights", training.class_weights, "none"),
        ):
            if value != expected:
                raise ConfigError(
                    f"Setting 'training.{name}' is {value}; object-detection has its own loss. "
                    f"Set it to {expected}."
                )
        loss = loss_of(prepared)

        def detection(targets: Any, outputs: Any) -> Any:
            return loss(targets, outputs)

        def measure(summaries: np.ndarray, targets: np.ndarray) -> dict[str, float]:
            focal, apart, count = summaries[:, 0, :3].astype(np.float64).sum(axis=0)
            truths = [rows[rows[:, 0] >= 0] for rows in targets]
            found = by_picture(summaries[:, 1:])
            scores = quick_scores(found, truths, len(prepared["labels"]))
            return {"loss": (focal + BOX_WEIGHT * apart) / max(count, 1.0), **scores}

        return Loss(lambda: {"loss": detection, "metrics": []}, measure)

    def summarize(self, prepared: Prepared) -> Summarize:
        """The parts of the loss and the boxes that are left after suppression."""
        return summarizer(loss_of(prepared), (prepared["height"], prepared["width"]))

    def evaluate(self, outputs: np.ndarray, split: Split, prepared: Prepared) -> dict[str, Any]:
        """COCO's scores in the pixels of the pictures as they were on disk."""
        truths = true_boxes(split, prepared)
        found = found_boxes(outputs, split, prepared)
        evaluation = evaluate_boxes(found, truths, prepared["labels"])
        mistakes = [
            {**entry, "picture": split.sources[entry["row"]]} for entry in evaluation["mistakes"]
        ]
        return {**evaluation, "mistakes": mistakes}

    def answer(self, outputs: np.ndarray, prepared: Prepared) -> list[BoxesAnswer]:
        """The boxes of each picture, in pixels of the canvas."""
        size = (prepared["height"], prepared["width"])
        rows = by_picture(_suppressed(outputs, size))
        return [BoxesAnswer(as_boxes(each, prepared["labels"])) for each in rows]

    def respond(self, outputs_of: Answerer, inputs: Any, prepared: Prepared) -> list[BoxesAnswer]:
        """The boxes of each picture, in its own pixels."""
        answers: list[BoxesAnswer] = []
        waiting: list[np.ndarray] = []

        def flush() -> None:
            if not waiting:
                return
            arrays = {"pictures": np.stack([self._placed(pixels, prepared) for pixels in waiting])}
            size = (prepared["height"], prepared["width"])
            table = by_picture(_suppressed(outputs_of(arrays), size))
            for pixels, rows in zip(waiting, table, strict=True):
                placement = placement_of(pixels.shape[:2], prepared)
                back = np.concatenate([rows[:, :2], placement.boxes_back(rows[:, 2:])], axis=1)
                answers.append(BoxesAnswer(as_boxes(back, prepared["labels"]), pixels))
            waiting.clear()

        for pixels in vision_inputs.whole_pictures(inputs):
            waiting.append(pixels)
            if len(waiting) == ANSWERED_AT_ONCE:
                flush()
        flush()
        return answers

    def draw(
        self,
        outputs: np.ndarray,
        split: Split,
        evaluation: Mapping[str, Any],
        prepared: Prepared,
        folder: Path,
    ) -> list[tuple[str, str]]:
        """Predicted boxes against true ones, precision against recall, and the worst pictures."""
        from septet.vision.box_figures import draw_detections
        from septet.vision.figures import draw_explanations

        truths, found = true_boxes(split, prepared), found_boxes(outputs, split, prepared)
        drawn = draw_detections(split, found, truths, evaluation, prepared, folder)
        pictures, entries = split.examples["pictures"], evaluation.get("explanations") or []
        return drawn + draw_explanations(pictures, entries, folder)

    def aim(self, labels: Sequence[str]) -> "Aim":
        """The surest box."""
        from septet.vision.explaining import surest_box

        return surest_box(len(labels))

    def truth(self, split: Split, row: int) -> list[str]:
        """The classes of the labelled boxes."""
        return sorted({label for label, *_ in json.loads(split.targets[row])})


def _arguments(prepared: Prepared, options: DetectionModelOptions) -> dict[str, Any]:
    """Of a detector, but for its backbone's name."""
    return starting.sizes_of(prepared) | {
        "backbone_width": options.backbone_width,
        "strides": list(STRIDES),
        "pyramid_dim": options.pyramid_dim,
        "head_depth": options.head_depth,
    }


def _require_backbone(name: str) -> None:
    """ConfigError unless there is such a backbone."""
    from septet.models.backbones import kind_of

    try:
        kind_of(name)
    except ValueError as error:
        raise ConfigError(f"Setting 'model.backbone': {error}") from None


def _started(
    source: starting.Start, prepared: Prepared, options: DetectionModelOptions
) -> tuple[str, dict[str, Any]]:
    """The detector that the weights are of, or one over their backbone."""
    if kept := starting.kept_network(source, prepared, ("detector",)):
        return kept
    _require_backbone(options.backbone)
    # The default is no network of torchvision or timm: a file then says itself what it is.
    chosen = None if options.backbone == DEFAULT_BACKBONE else options.backbone
    name, settings = starting.backbone_for(source, chosen)
    # A stem for small pictures is left behind: boxes need the usual strides.
    settings.pop("stem", None)
    return "detector", _arguments(prepared, options) | {
        "backbone": name,
        "settings": settings or None,
    }


def loss_of(prepared: Prepared) -> DetectionLoss:
    """The loss for the places of a canvas."""
    from septet.models.detection import places

    return DetectionLoss(*places(prepared["height"], prepared["width"], STRIDES))


def placement_of(size: Sequence[int] | np.ndarray, prepared: Prepared) -> geometry.Placement:
    """How a picture of a height and width lies on the canvas."""
    original = (int(size[0]), int(size[1]))
    place_on = geometry.PLACEMENTS[prepared["fit"]]
    return place_on(original, (prepared["height"], prepared["width"]))


def true_boxes(split: Split, prepared: Prepared) -> list[np.ndarray]:
    """Class and sides of the labelled boxes of each picture, in its own pixels: float32 [n, 5].

    Raises:
        DataError: The network does not know a class.
    """
    numbers = {label: number for number, label in enumerate(prepared["labels"])}
    listed = []
    for text, source in zip(split.targets, split.sources, strict=True):
        boxes = json.loads(text)
        for label, *_ in boxes:
            if label not in numbers:
                known = ", ".join(prepared["labels"][:20])
                raise DataError(
                    f"{source}: the model does not know the class '{label}'. It knows: {known}. "
                    "Rename or remove it."
                )
        rows = [[numbers[label], *sides] for label, *sides in boxes]
        listed.append(np.array(rows, np.float32).reshape(-1, 5))
    return listed


def found_boxes(summaries: np.ndarray, split: Split, prepared: Prepared) -> list[np.ndarray]:
    """Score, class and sides of the boxes found in each picture, in its own pixels: [n, 6]."""
    found = []
    for rows, size in zip(by_picture(summaries[:, 1:]), split.examples["sizes"], strict=True):
        back = placement_of(size, prepared).boxes_back(rows[:, 2:])
        found.append(np.concatenate([rows[:, :2], back], axis=1))
    return found


def as_boxes(rows: np.ndarray, labels: Sequence[str]) -> tuple[FoundBox, ...]:
    """Rows of score, class and sides as answers, those that are sure enough."""
    return tuple(
        FoundBox(labels[int(row[1])], round(row[0], 4), *(round(side, 1) for side in row[2:]))
        for row in rows.astype(float).tolist()
        if row[0] >= SHOWN_FROM
    )


def _suppressed(outputs: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    import jax

    return np.asarray(jax.jit(suppressed, static_argnums=1)(outputs, size))
