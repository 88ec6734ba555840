"""Settings of object detection; their descriptions are the help and the docs."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from septet.config import DataOptions, Fraction
from septet.vision.options import StartOptions

GRAIN = 32
DEFAULT_BACKBONE = "resnet-micro"


def _of_grain(value: int | None) -> int | None:
    if value is not None and value % GRAIN:
        raise ValueError(f"it should be a multiple of {GRAIN}")
    return value


class DetectionDataOptions(DataOptions):
    """How a set of pictures with boxes is read."""

    size: Annotated[int | None, AfterValidator(_of_grain)] = Field(
        default=None,
        ge=GRAIN,
        le=2048,
        description="Height and width that all pictures are brought to, a multiple of 32. Default: "
        "their own size if all have the same and it is at most 256 pixels a side, otherwise 256.",
    )
    channels: Literal[1, 3] | None = Field(
        default=None,
        description="1: turn all pictures grey; 3: keep colour. Default: 1 if all are grey.",
    )
    fit: Literal["letterbox", "crop", "stretch"] = Field(
        default="letterbox",
        description="letterbox: keep the shape, with grey bars; crop: keep it, and look at the "
        "middle alone; stretch: lose it.",
    )


class DetectionModelOptions(StartOptions):
    """Which network, and how training pictures are changed."""

    backbone: str = Field(
        default=DEFAULT_BACKBONE,
        description="What turns a picture into feature maps, as resnet-mini or convnext-micro.",
    )
    backbone_width: int | None = Field(
        default=None, ge=4, le=256, description="Its width, where it is to differ from its name's."
    )
    pyramid_dim: int = Field(
        default=48, ge=8, le=512, description="Channels of every level and of the head."
    )
    head_depth: int = Field(
        default=2, ge=1, le=6, description="Convolutions of each of the head's two towers."
    )
    flip: bool | Literal["auto"] = Field(
        default="auto",
        description="Mirror training pictures left and right, half of the time. auto: yes; "
        "turn it off where left and right mean something, as in text or digits.",
    )
    scale: float = Field(
        default=0.4,
        ge=0.0,
        le=4.0,
        description="Make training pictures larger or smaller by up to this share; what no longer "
        "fits is cut off.",
    )
    shift: Fraction = Field(
        default=0.1, description="Move training pictures by up to this share of their sides."
    )
    stretch: float = Field(
        default=0.0,
        ge=0.0,
        le=4.0,
        description="Make training pictures wider or taller by up to this share.",
    )
    colour: float = Field(
        default=0.3,
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
        default=0, ge=0, le=512, description="Cover a square of so many pixels a side; 0 for none."
    )
    mixup: Fraction = Field(
        default=0.0,
        description="Share of training pictures that become the mean of two, with both's boxes.",
    )
    mosaic: Fraction = Field(
        default=0.0,
        description="Share of training pictures that become four others at half their size.",
    )
