"""The task video-classification: what happens in each video."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from septet.data.dataset import Dataset, Split
from septet.errors import ConfigError, WeightsError
from septet.evaluation.classification import ClassAnswer, class_answers, evaluate_classification
from septet.task import Arrays, Augment, Explanation, Prepared
from septet.vision import starting
from septet.vision.classification import (
    LARGEST_FILTERS,
    PreparedPictures,
    channel_scales,
    fitting_depth,
    numbers_of,
)
from septet.vision.starting import StartingTask
from septet.vision.video import inputs as video_inputs
from septet.vision.video.options import VideoDataOptions, VideoModelOptions
from septet.vision.video.reading import read_videos

SMALLEST_MAP, MOST_STAGES = 5, 3
"""Pixels a side that the last stage has at least, and stages, unless `model.depth` says otherwise.

More stages would see more of a frame at once, and motion is seen from near."""
PIXELS_AT_ONCE = 1 << 20
"""Of all frames of the videos that are answered for together; each takes about 1 kB."""


class PreparedVideos(PreparedPictures):
    """What a network for videos needs to know: as for pictures, and how clips are cut."""

    frames: Annotated[int, Field(ge=2, le=256)]
    stride: Annotated[int, Field(ge=1, le=256)]
    clips: Annotated[int, Field(ge=1, le=32)]


class VideoClassification(StartingTask):
    """Which class each video belongs to."""

    name: ClassVar[str] = "video-classification"
    summary: ClassVar[str] = "Predict the class of a video (files, folders of frames, or .npz)"
    data_options: ClassVar = VideoDataOptions
    model_options: ClassVar = VideoModelOptions
    prepared_type: ClassVar = PreparedVideos
    training_defaults: ClassVar[Mapping[str, Any]] = {
        "batch_size": 32,
        "learning_rate": 3e-3,
        "weight_decay": 1e-2,
    }
    least_epochs: ClassVar[int] = 8
    least_steps: ClassVar[int] = 600
    most_epochs: ClassVar[int] = 60
    monitor: ClassVar[tuple[str, str]] = ("validation_accuracy", "max")
    loss: ClassVar[str] = "softmax"
    streams: ClassVar[bool] = True
    explains: ClassVar[bool] = True
    scoring_s: ClassVar[float] = 6.0

    def read(self, source: Path, options: VideoDataOptions, seed: int) -> Dataset:
        """Read, check and split the videos at `source`."""
        return read_videos(Path(source), options, seed)

    def prepare(self, dataset: Dataset, options: VideoDataOptions) -> Prepared:
        """Classes, size, clips, and mean and deviation of each channel over the training split."""
        mean, deviation = channel_scales(dataset.splits["train"].examples["clips"])
        learned = {**dataset.facts, "mean": mean, "deviation": deviation}
        return PreparedVideos.model_validate(learned).model_dump(mode="json")

    def arrays(self, split: Split, prepared: Prepared) -> tuple[Arrays, np.ndarray]:
        """Clips, uint8 [N, clips, frames, height, width, channels]; labels, int32 [N]."""
        return {"clips": split.examples["clips"]}, numbers_of(split, prepared)

    def encode(self, inputs: Any, prepared: Prepared) -> Arrays:
        """See `septet.vision.video.inputs.encode_videos` for the forms that `inputs` may have."""
        return {"clips": video_inputs.encode_videos(inputs, prepared)}

    def architecture(
        self, prepared: Prepared, options: VideoModelOptions
    ) -> tuple[str, dict[str, Any]]:
        """A network with as many stages as the frames' size allows, or that of given weights.

        Raises:
            ConfigError: Frames cannot be halved so often.
            WeightsError: Those that training starts from are for no videos.
        """
        if options.pretrained is not None:
            source = starting.find(options.pretrained)
            if kept := starting.kept_network(source, prepared, ("video-cnn", "video-recurrent")):
                return kept
            raise WeightsError(
                f"'{source.place}' has no network for videos, so training cannot start from it. "
                "Give a run or model folder of video-classification."
            )
        height, width = prepared["height"], prepared["width"]
        side = min(height, width)
        depth = options.depth or fitting_depth(side, SMALLEST_MAP, MOST_STAGES)
        if side < 2**depth:
            raise ConfigError(
                f"Setting 'model.depth' is {depth}, but frames of {height}x{width} cannot be "
                f"halved so often; expected at most {side.bit_length() - 1}."
            )
        arguments = starting.sizes_of(prepared)
        filters = [min(options.width * 2**stage, LARGEST_FILTERS) for stage in range(depth)]
        arguments["filters"] = [max(number, options.width) for number in filters]
        arguments["dropout"] = options.dropout
        if options.architecture == "cnn-3d":
            return "video-cnn", arguments
        return "video-recurrent", {
            **arguments,
            "dense_dim": options.dense_dim,
            "units": options.units,
        }

    def augment(self, prepared: Prepared, options: VideoModelOptions) -> Augment | None:
        """One clip of each video at random, and random changes of it."""
        from septet.vision import augmentation as pictures
        from septet.vision.video import augmentation as videos

        changes: list[pictures.Change] = []
        if options.flip:
            changes.append(videos.across(pictures.flip))
        if options.crop:
            changes.append(videos.across(pictures.zoom_and_rotate(options.crop, 0.0)))
        if options.shift:
            side = min(prepared["height"], prepared["width"])
            changes.append(videos.across(pictures.shift(min(options.shift, side))))
        if options.colour or options.hue:
            changes.append(videos.along(pictures.colour(options.colour, options.hue)))
        # Frames are channels to a blur and to what covers a square: each is changed alike.
        if options.blur:
            changes.append(videos.across(pictures.blur(options.blur)))
        if options.cutout:
            side = min(prepared["height"], prepared["width"])
            changes.append(videos.across(pictures.cutout(min(options.cutout, side))))
        change = None
        if changes or prepared["clips"] > 1:
            change = videos.of_clips(changes, picks=prepared["clips"] > 1)
        if not (options.mixup or options.cutmix):
            return change
        count = len(prepared["labels"])
        mixed = pictures.mix(count, mixup=options.mixup, cutmix=options.cutmix, of="clips")
        return pictures.chained(change, mixed)

    def scored_at_once(self, prepared: Prepared) -> int:
        """As many videos as have a million pixels in all their frames."""
        names = ("clips", "frames", "height", "width")
        pixels = int(np.prod([prepared[name] for name in names]))
        return min(256, 1 << max(0, (PIXELS_AT_ONCE // pixels).bit_length() - 1))

    def stream(self, network: Any, prepared: Prepared, *, platform: str) -> Any:
        """See `septet.vision.video.streaming.AnswerStream`."""
        from septet.models.video_stream import VideoStream
        from septet.vision.video.streaming import AnswerStream

        return AnswerStream(VideoStream(network, platform=platform), prepared)

    def evaluate(self, outputs: np.ndarray, split: Split, prepared: Prepared) -> dict[str, Any]:
        """Accuracy and its kin over videos; see `evaluate_classification`."""
        return evaluate_classification(outputs, numbers_of(split, prepared), prepared["labels"])

    def answer(self, outputs: np.ndarray, prepared: Prepared) -> list[ClassAnswer]:
        """The likeliest class of each video, and the probability of every class."""
        return class_answers(outputs, prepared["labels"])

    def draw(
        self,
        outputs: np.ndarray,
        split: Split,
        evaluation: Mapping[str, Any],
        prepared: Prepared,
        folder: Path,
    ) -> list[tuple[str, str]]:
        """Confusion matrix, reliability, scores by class, and frames of videos and of mistakes."""
        from septet.evaluation.figures import draw_classification
        from septet.vision.video.figures import draw_videos

        labels, names = numbers_of(split, prepared), prepared["labels"]
        drawn = draw_classification(evaluation, outputs, labels, names, folder)
        if not drawn:
            return []
        from septet.vision.figures import draw_explanations

        clips, entries = split.examples["clips"], evaluation.get("explanations") or []
        videos = draw_videos(clips, outputs, labels, names, split.sources, folder)
        # Of each video that is explained, the frame that decided.
        frames = {int(entry["row"]): clips[entry["row"], 0, entry["frame"]] for entry in entries}
        return [*videos, *drawn, *draw_explanations(frames, entries, folder)]

    def explain(
        self, network: Any, weights: Any, inputs: Any, prepared: Prepared
    ) -> list[Explanation]:
        """Where and when in the first clip of each video its likeliest class was seen.

        See `septet.vision.explaining`.
        """
        import keras

        from septet.vision.explaining import explain_pictures

        clips = self.encode(inputs, prepared)["clips"][:, :1]
        # Of one clip; what averages over several needs the input beside all else.
        of_clip = keras.Model(network.input, network.get_layer("logits").output)
        return explain_pictures(of_clip, weights, clips, prepared["labels"])

    def draw_explanations(
        self, inputs: Any, explanations: Sequence[Explanation], prepared: Prepared
    ) -> list[np.ndarray]:
        """The frame of each video that decided, beside itself under where it did."""
        from septet.vision.figures import pictures_beside

        clips = self.encode(inputs, prepared)["clips"]
        frames = [clip[0, each.frame or 0] for clip, each in zip(clips, explanations, strict=True)]
        return pictures_beside(np.stack(frames), explanations)

    def explainable(self, split: Split, row: int) -> np.ndarray:
        """The frames of an example's first clip."""
        return np.asarray(split.examples["clips"][row, 0])

    def inputs_from_arguments(self, arguments: Sequence[str]) -> list[Any]:
        """Paths of the videos that paths, folders and glob patterns name."""
        return video_inputs.inputs_from_arguments(arguments)
