"""Networks that give every pixel a class: a U-Net, and heads over any backbone.

All take uint8 pictures [batch, height, width, channels] and give logits [batch, height, width,
num_classes]. They are convolutional throughout, so the same weights fit pictures of another
size. They know no data set, loss or optimizer.
"""

from typing import Annotated, Any, Literal

import keras
from keras import layers
from pydantic import ConfigDict, Field, validate_call

from septet.models.backbones import backbone as feature_maps
from septet.models.backbones import normalised
from septet.models.picture_classifier import Name, Setting
from septet.models.residual import basic, convolved

ops: Any = keras.ops

Side = Annotated[int, Field(ge=8, le=2048)]
Classes = Annotated[int, Field(ge=2, le=255)]
Filters = Annotated[int, Field(ge=4, le=1024)]
Share = Annotated[float, Field(ge=0.0, lt=1.0)]
Channel = Annotated[list[Annotated[float, Field(ge=0.0, le=255.0)]], Field(max_length=3)]
Deviation = Annotated[list[Annotated[float, Field(ge=0.1, le=255.0)]], Field(max_length=3)]

RATES = (1, 2, 3)
"""Between the rows that a window of the DeepLab head skips, at stride 16; the paper's 6, 12 and 18
are for maps of 33x33."""

checked = validate_call(config=ConfigDict(allow_inf_nan=False))


@checked
def unet(
    *,
    height: Side,
    width: Side,
    channels: Literal[1, 3],
    num_classes: Classes,
    mean: Channel,
    deviation: Deviation,
    filters: Annotated[list[Filters], Field(min_length=1, max_length=7)],
    blocks: Annotated[list[Annotated[int, Field(ge=1, le=8)]], Field(min_length=1, max_length=7)],
    stem: Literal[1, 2, 4] = 2,
    decoder: Filters = 48,
    dropout: Share = 0.0,
) -> keras.Model:
    """A U-Net (Ronneberger et al., arXiv:1505.04597) with residual blocks and batch normalisation.

    Every level down halves the map; every level up doubles it, and puts the map of the same size
    from the way down beside it. Where the first level has stride 2 or 4, the last convolution
    gives each of its places all pixels below it (sub-pixel convolution, arXiv:1609.05158).

    Args:
        height: Of the pictures, a multiple of the deepest level's stride.
        width: Of the pictures, likewise.
        channels: 1 for grey, 3 for colour.
        num_classes: Logits of each pixel.
        mean: Of each channel over the training pictures, in 0..255.
        deviation: Standard deviation of each channel, in 0..255.
        filters: Of each level on the way down.
        blocks: Residual blocks of each level; as long as `filters`.
        stem: Stride of the first level. 1 works on full-size maps: exact, and dear.
        decoder: Most filters of a level on the way up.
        dropout: Share of the deepest level's channels that is dropped in training.

    Raises:
        pydantic.ValidationError: An argument is out of its range.
        ValueError: Arguments do not fit each other.
    """
    if len(blocks) != len(filters):
        raise ValueError(
            f"Received {len(filters)} levels of filters and {len(blocks)} of blocks; expected as "
            "many of each."
        )
    require_multiple(height, width, stem * 2 ** (len(filters) - 1))
    pictures, hidden = normalised(height, width, channels, mean, deviation)
    maps: list[Any] = []
    for level, (count, repeats) in enumerate(zip(filters, blocks, strict=True)):
        if level == 0:
            hidden = _stem(hidden, count, stem)
        for block in range(repeats):
            strides = 2 if level and block == 0 else 1
            hidden = basic(hidden, count, strides, f"down{level}_block{block}")
        maps.append(hidden)
    if dropout:
        hidden = layers.SpatialDropout2D(dropout, name="dropout")(hidden)
    for level in reversed(range(len(filters) - 1)):
        count = min(filters[level], decoder)
        hidden = layers.UpSampling2D(2, name=f"up{level}_larger")(hidden)
        hidden = layers.Concatenate(name=f"up{level}_beside")([hidden, maps[level]])
        hidden = convolved(hidden, count, f"up{level}_convolution")
        hidden = layers.ReLU(name=f"up{level}_relu")(hidden)
    return keras.Model({"pictures": pictures}, each_pixel(hidden, num_classes, stem), name="unet")


def _stem(hidden: Any, filters: int, stride: int) -> Any:
    """To the first level: 3x3 convolutions, each of stride 2 but one of stride 1."""
    for number in range(max(1, stride.bit_length() - 1)):
        hidden = convolved(hidden, filters, f"stem{number}", strides=2 if stride > 1 else 1)
        hidden = layers.ReLU(name=f"stem{number}_relu")(hidden)
    return hidden


@checked
def over_backbone(
    *,
    height: Side,
    width: Side,
    channels: Literal[1, 3],
    num_classes: Classes,
    mean: Channel,
    deviation: Deviation,
    backbone: Name = "resnet-mini",
    settings: Annotated[dict[str, Setting] | None, Field(max_length=10)] = None,
    head: Literal["fpn", "deeplab"] = "fpn",
    dim: Filters = 64,
    dropout: Share = 0.0,
) -> keras.Model:
    """A head for every pixel over a backbone's maps.

    "fpn": a feature pyramid whose levels are brought to the finest map and added (panoptic FPN,
    arXiv:1901.02446). "deeplab": windows with holes of several widths and the whole picture's
    mean, over the map of stride 16, then the map of stride 4 (DeepLabv3+, arXiv:1802.02611).

    Args:
        height: Of the pictures, a multiple of the backbone's largest stride.
        width: Of the pictures, likewise.
        channels: 1 for grey, 3 for colour.
        num_classes: Logits of each pixel.
        mean: Of each channel over the training pictures, in 0..255.
        deviation: Standard deviation of each channel, in 0..255.
        backbone: A key of `septet.models.backbones.BACKBONES`.
        settings: Changes to what that name stands for.
        head: Which of the two.
        dim: Filters of the head.
        dropout: Share of the head's last channels that is dropped in training.

    Raises:
        pydantic.ValidationError: An argument is out of its range.
        ValueError: The backbone does not fit the pictures.
    """
    pictures, hidden = normalised(height, width, channels, mean, deviation)
    maps = feature_maps(backbone, hidden, **(settings or {}))
    # What is finer than stride 4 costs more than it gives; a backbone may have nothing coarser.
    maps = {s: m for s, m in maps.items() if s >= min(4, max(maps))}
    require_multiple(height, width, max(maps))
    hidden = _pyramid(maps, dim) if head == "fpn" else _deeplab(maps, dim)
    if dropout:
        hidden = layers.SpatialDropout2D(dropout, name="dropout")(hidden)
    return keras.Model(
        {"pictures": pictures}, each_pixel(hidden, num_classes, min(maps)), name=head
    )


def _pyramid(maps: dict[int, Any], dim: int) -> Any:
    strides = sorted(maps, reverse=True)
    above, levels = None, []
    for stride in strides:
        level = convolved(maps[stride], dim, f"lateral{stride}", size=1)
        if above is not None:
            larger = layers.UpSampling2D(above[0] // stride, name=f"larger{stride}")(above[1])
            level = layers.Add(name=f"sum{stride}")([level, larger])
        above = (stride, level)
        smooth = layers.ReLU(name=f"relu{stride}")(level)
        smooth = convolved(smooth, dim, f"smooth{stride}")
        factor = stride // strides[-1]
        if factor > 1:
            smooth = layers.UpSampling2D(factor, interpolation="bilinear", name=f"to{stride}")(
                smooth
            )
        levels.append(smooth)
    merged = layers.Add(name="merged")(levels) if len(levels) > 1 else levels[0]
    return layers.ReLU(name="merged_relu")(merged)


def _deeplab(maps: dict[int, Any], dim: int) -> Any:
    fine = min(maps)
    coarse = max(stride for stride in maps if stride <= max(16, fine))
    hidden = maps[coarse]
    branches = [_relu(convolved(hidden, dim, "near", size=1), "near_relu")]
    for rate in RATES:
        holes = layers.Conv2D(
            dim, 3, padding="same", dilation_rate=rate, use_bias=False,
            kernel_initializer="he_normal", name=f"holes{rate}",
        )(hidden)  # fmt: skip
        holes = layers.BatchNormalization(momentum=0.9, name=f"holes{rate}_normalization")(holes)
        branches.append(_relu(holes, f"holes{rate}_relu"))
    whole = layers.GlobalAveragePooling2D(keepdims=True, name="whole")(hidden)
    whole = _relu(layers.Conv2D(dim, 1, name="whole_convolution")(whole), "whole_relu")
    # Added and not put beside, the mean of the picture need not be spread out before the product.
    beside = layers.Concatenate(name="branches")(branches)
    merged = convolved(beside, dim, "project", size=1)
    merged = layers.Add(name="with_whole")([merged, whole])
    merged = _relu(merged, "project_relu")
    if coarse == fine:
        return merged
    merged = layers.UpSampling2D(coarse // fine, interpolation="bilinear", name="larger")(merged)
    detail = _relu(convolved(maps[fine], max(4, dim // 2), "detail", size=1), "detail_relu")
    merged = layers.Concatenate(name="with_detail")([merged, detail])
    return _relu(convolved(merged, dim, "refine"), "refine_relu")


def _relu(hidden: Any, name: str) -> Any:
    return layers.ReLU(name=name)(hidden)


def each_pixel(hidden: Any, num_classes: int, stride: int) -> Any:
    """Logits of every pixel from maps of a stride: float32 [batch, height, width, num_classes]."""
    logits = layers.Conv2D(num_classes * stride**2, 1, dtype="float32", name="logits")(hidden)
    return logits if stride == 1 else Spread(stride, dtype="float32", name="pixels")(logits)


@keras.saving.register_keras_serializable("septet")
class Spread(layers.Layer):
    """Each place's channels as the pixels of a square: [b, h, w, s*s*c] to [b, h*s, w*s, c]."""

    def __init__(self, stride: int, **rest: Any):
        """`stride` is the square's side."""
        super().__init__(**rest)
        self.stride = stride

    def call(self, maps: Any) -> Any:
        """The pixels."""
        _, height, width, channels = maps.shape
        side = self.stride
        split = ops.reshape(maps, (-1, height, width, side, side, channels // side**2))
        rows = ops.transpose(split, (0, 1, 3, 2, 4, 5))
        return ops.reshape(rows, (-1, height * side, width * side, channels // side**2))

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        """Height and width times the side, channels by its square less."""
        batch, height, width, channels = input_shape
        side = self.stride
        return (batch, height * side, width * side, channels // side**2)

    def get_config(self) -> dict[str, Any]:
        """What it was made from."""
        return {**super().get_config(), "stride": self.stride}


def require_multiple(height: int, width: int, stride: int) -> None:
    """ValueError unless both sides are multiples of the deepest stride."""
    if height % stride or width % stride:
        raise ValueError(
            f"Received pictures of {height}x{width}; expected multiples of {stride}, the stride of "
            "the deepest level."
        )
