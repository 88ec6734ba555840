"""Settings of video classification; their descriptions are the help and the docs."""

from typing import Annotated, Literal

from pydantic import Field

from septet.config import Probability
from septet.vision.options import ImageDataOptions, StartOptions

Width = Annotated[int, Field(ge=4, le=256)]


class VideoDataOptions(ImageDataOptions):
    """How a set of videos is read."""

    size: int | None = Field(
        default=None,
        ge=8,
        le=512,
        description="Height and width that all frames are resized to. Default: their own size "
        "if all have the same and it is at most 64 pixels a side, otherwise 64.",
    )
    channels: Literal[1, 3] | None = Field(
        default=None,
        description="1: turn all frames grey; 3: keep colour. Default: 1 if all are grey.",
    )
    frames: int = Field(default=16, ge=2, le=256, description="Frames of a clip.")
    stride: int = Field(
        default=1,
        ge=1,
        le=256,
        description="Every so many frames of a video one is taken; more looks at a longer time.",
    )
    clips: int = Field(
        default=3,
        ge=1,
        le=32,
        description="Clips of a video, spread evenly over it where it is longer than one. Training "
        "takes one of them at random each time, scores and answers are their average.",
    )


class VideoModelOptions(StartOptions):
    """Which network, and how training clips are changed."""

    architecture: Literal["cnn-3d", "cnn-gru"] = Field(
        default="cnn-3d",
        description="cnn-3d: 3-D convolutions, and the mean over time; cnn-gru: a convolutional "
        "network for each frame, and a GRU over time. Both can be run frame by frame.",
    )
    width: Width = Field(
        default=16, description="Filters of the first stage; each next stage doubles them."
    )
    depth: int | None = Field(
        default=None,
        ge=1,
        le=8,
        description="Stages, each of half the height and width. Default: as many as leave at "
        "least 5 pixels a side, three at most.",
    )
    dense_dim: int = Field(
        default=128,
        ge=0,
        le=8192,
        description="Of cnn-gru: units that a frame's features are joined into; 0 for none.",
    )
    units: int = Field(default=128, ge=1, le=8192, description="Of cnn-gru: units of the GRU.")
    dropout: Probability = Field(
        default=0.1, description="Share of units dropped before the last layer and the GRU."
    )
    flip: bool = Field(
        default=False,
        description="Mirror training clips left and right, half of the time. Only where left and "
        "right mean nothing: a clip of something moving left becomes one moving right.",
    )
    shift: int = Field(
        default=0,
        ge=0,
        le=64,
        description="Move training clips by up to so many pixels each way.",
    )
    crop: float = Field(
        default=0.0,
        ge=0.0,
        le=0.9,
        description="Cut up to this share off each side of training clips and enlarge the rest.",
    )
    colour: float = Field(
        default=0.0,
        ge=0.0,
        le=1.0,
        description="Change brightness, contrast and saturation of training clips by up to this "
        "share.",
    )
    hue: float = Field(
        default=0.0,
        ge=0.0,
        le=0.5,
        description="Turn the colours of training clips by up to this share of a full turn.",
    )
    blur: float = Field(
        default=0.0,
        ge=0.0,
        le=5.0,
        description="Blur half of the training clips by a Gaussian of up to so many pixels.",
    )
    cutout: int = Field(
        default=0,
        ge=0,
        le=512,
        description="Cover a square of so many pixels a side, the same in all frames; 0 for none.",
    )
    mixup: float = Field(
        default=0.0,
        ge=0.0,
        le=10.0,
        description="Blend training clips and their labels in pairs, by shares drawn from a beta "
        "distribution of this concentration (0.2 is usual); 0 for none.",
    )
    cutmix: float = Field(
        default=0.0,
        ge=0.0,
        le=10.0,
        description="Put a rectangle of another training clip into each, and mix the labels by its "
        "area, drawn as for mixup (1.0 is usual); with both, one of them a step.",
    )
