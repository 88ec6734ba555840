"""Settings of semantic segmentation; their descriptions are the help and the docs."""

from typing import Literal

from pydantic import Field

from septet.config import DataOptions, Probability
from septet.vision.options import StartOptions

Backbone = Literal[
    "convnext-atto",
    "convnext-micro",
    "convnext-tiny",
    "efficientnet-lite0",
    "efficientnet-lite1",
    "efficientnet-lite2",
    "efficientnet-lite3",
    "efficientnet-lite4",
    "resnet-micro",
    "resnet-patch",
    "resnet-mini",
    "resnet18",
    "resnet34",
    "resnet50",
    "small-cnn",
    "vit-base",
    "vit-micro",
    "vit-small",
    "vit-tiny",
]
"""Those of `septet.models.backbones`, which would take seconds to import."""
DEFAULT_BACKBONE: Backbone = "resnet-mini"


class SegmentationDataOptions(DataOptions):
    """How pictures and masks are read."""

    size: int | None = Field(
        default=None,
        ge=16,
        le=1024,
        description="Height and width that the network sees, rounded up to a multiple of 32. "
        "Default: the pictures' own size if all have the same and it is at most 256 pixels a "
        "side, otherwise 128.",
    )
    fit: Literal["stretch", "letterbox"] = Field(
        default="stretch",
        description="How pictures of another shape are resized. stretch: their shape is lost; "
        "letterbox: it is kept, with grey bars, where nothing is asked of the network.",
    )
    large: Literal["resize", "tile"] = Field(
        default="resize",
        description="What becomes of larger pictures. resize: they are made smaller, and answers "
        "larger again; tile: they are cut into tiles of data.size in their own resolution, in "
        "predictions with overlap.",
    )
    channels: Literal[1, 3] | None = Field(
        default=None,
        description="1: turn all pictures grey; 3: keep colour. Default: 1 if all are grey.",
    )
    format: Literal["auto", "masks", "coco", "labelme", "yolo"] = Field(
        default="auto",
        description="masks: a folder of pictures and one of masks; coco: JSON with polygons or "
        "run lengths; labelme: a JSON file for each picture; yolo: a YAML file and outlines as "
        "text. auto: what the folder looks like.",
    )
    legend: str | None = Field(
        default=None,
        description="File that says which class is which number or colour, relative to the data. "
        "Default: legend.csv, class_dict.csv, classes.txt or labels.txt beside the masks or "
        "above them.",
    )
    ignored: int | None = Field(
        default=255,
        ge=0,
        le=255,
        description="Number in masks of pixels that count neither in training nor in scores; "
        "null for none.",
    )


class SegmentationModelOptions(StartOptions):
    """Which network, and how training pictures and masks are changed."""

    architecture: Literal["unet", "fpn", "deeplab"] = Field(
        default="unet",
        description="unet: a U-Net of residual blocks, quick on a CPU; fpn, deeplab: that head "
        "over model.backbone.",
    )
    backbone: Backbone = Field(
        default=DEFAULT_BACKBONE, description="What fpn and deeplab stand on."
    )
    width: int = Field(
        default=32,
        ge=4,
        le=256,
        description="Filters of unet's level of stride 4; a finer level has half as many, a "
        "coarser one twice, up to 256. The head of fpn and deeplab has twice as many.",
    )
    depth: int | None = Field(
        default=None,
        ge=1,
        le=7,
        description="Levels of unet. Default: as many as leave 5 pixels a side, at most 5.",
    )
    blocks: int = Field(default=1, ge=1, le=8, description="Residual blocks of each level of unet.")
    stem: Literal[1, 2, 4] | None = Field(
        default=None,
        description="Stride of the first level of unet. Default: 1 for pictures of up to 64 "
        "pixels a side, 2 up to 128, otherwise 4.",
    )
    dropout: Probability = Field(
        default=0.1, description="Share of the deepest maps that is dropped in training."
    )
    flip: bool = Field(
        default=True,
        description="Mirror training pictures left and right, half of the time; turn it off where "
        "left and right mean something.",
    )
    scale: float = Field(
        default=0.3,
        ge=0.0,
        le=0.9,
        description="Enlarge or shrink training pictures by up to this share, and cut out or fill "
        "up what is then too much or missing.",
    )
    colour: float = Field(
        default=0.25,
        ge=0.0,
        le=1.0,
        description="Change brightness, contrast and saturation of training pictures by up to "
        "this share.",
    )
    hue: float = Field(
        default=0.0,
        ge=0.0,
        le=0.5,
        description="Turn the colours of training pictures by up to this share of a full turn.",
    )
    blur: float = Field(
        default=0.0,
        ge=0.0,
        le=5.0,
        description="Blur half of the training pictures by a Gaussian of up to so many pixels.",
    )
    cutout: int = Field(
        default=0,
        ge=0,
        le=512,
        description="Cover a square of so many pixels a side of training pictures, where nothing "
        "is then asked of the network; 0 for none.",
    )
