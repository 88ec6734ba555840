"""Convolutional networks that classify pictures: a small plain one and a residual one.

Both take uint8 pictures [batch, height, width, channels] (the plain one also float32 ones),
normalise them as their first layer, and give logits [batch, num_classes]. They know no data
set, loss or optimizer. Only 3x3 and 1x1 convolutions and 2x2 pooling are used, which
`engine/lowering.py` makes fast on CPU.
"""

from typing import Annotated, Any, Literal, cast

import keras
from keras import layers
from pydantic import ConfigDict, Field, validate_call

from septet.models.dropping import Drop

Side = Annotated[int, Field(ge=1, le=1024)]
Filters = Annotated[int, Field(ge=1, le=2048)]
Repeats = Annotated[int, Field(ge=1, le=8)]
Share = Annotated[float, Field(ge=0.0, lt=1.0)]
PixelMean = Annotated[list[Annotated[float, Field(ge=0.0, le=255.0)]], Field(max_length=3)]
PixelDeviation = Annotated[list[Annotated[float, Field(ge=0.1, le=255.0)]], Field(max_length=3)]
Classes = Annotated[int, Field(ge=1, le=100_000)]
Stages = Annotated[list[Filters], Field(min_length=1, max_length=8)]

MOMENTUM = 0.95
"""Of the moving statistics; Keras' 0.99 lags behind the weights for the first hundreds of steps."""
MAX_LAYERS = 32
"""Convolutions of `cnn`, or blocks of `resnet`, in all; one more would be slow to build."""

checked = validate_call(config=ConfigDict(allow_inf_nan=False))


@checked
def cnn(
    *,
    height: Side,
    width: Side,
    channels: Literal[1, 3],
    num_classes: Classes,
    mean: PixelMean,
    deviation: PixelDeviation,
    filters: Stages,
    convolutions: Annotated[list[Repeats], Field(min_length=1, max_length=8)],
    dense_dim: Annotated[int, Field(ge=0, le=8192)] = 128,
    dropout: Share = 0.3,
    is_normalised: bool = True,
    padding: Literal["same", "valid"] = "same",
    dtype: Literal["uint8", "float32"] = "uint8",
) -> keras.Model:
    """Stages of 3x3 convolutions, each halved by max-pooling, and a dense head.

    The design is VGG's (Simonyan and Zisserman 2015) with batch normalisation before
    each ReLU (Ioffe and Szegedy 2015). The last convolution of a stage is pooled before
    it is normalised, which leaves a quarter of the values to normalise.

    Args:
        height: Of the pictures, in pixels.
        width: Of the pictures, in pixels.
        channels: 1 for grey, 3 for colour.
        num_classes: Number of logits.
        mean: Of each channel over the training pictures, in 0..255.
        deviation: Standard deviation of each channel, in 0..255.
        filters: Of each stage.
        convolutions: How many each stage has; as long as `filters`.
        dense_dim: Units of the hidden dense layer; 0 for none.
        dropout: Share dropped before the last layer and, with one, the hidden dense layer.
        is_normalised: By the batch; else every layer has a bias instead.
        padding: "same": a convolution keeps height and width; "valid": each loses 2 pixels.
        dtype: Of the pictures. Numbers of mean 0 and deviation 1 are taken as they are.

    Raises:
        pydantic.ValidationError: An argument is out of its range.
        ValueError: Arguments do not fit each other.
    """
    if len(convolutions) != len(filters):
        raise ValueError(
            f"Received {len(filters)} stages of filters and {len(convolutions)} of "
            "convolutions; expected as many of each."
        )
    if sum(convolutions) > MAX_LAYERS:
        raise ValueError(
            f"Received {sum(convolutions)} convolutions; expected at most {MAX_LAYERS}."
        )
    if _side_left(min(height, width), convolutions, padding) < 1:
        lost = "" if padding == "same" else " after 3x3 convolutions without padding"
        raise ValueError(
            f"Pictures of {height}x{width} cannot be halved {len(filters)} times{lost}; "
            "use fewer stages or larger pictures."
        )
    pictures, hidden = _normalised(height, width, channels, mean, deviation, dtype)
    for stage, (number, repeats) in enumerate(zip(filters, convolutions, strict=True), 1):
        for turn in range(1, repeats + 1):
            pool = f"stage{stage}_pool" if turn == repeats else None
            hidden = _convolved(
                hidden,
                number,
                f"stage{stage}_convolution{turn}",
                pool=pool,
                padding=padding,
                is_normalised=is_normalised,
            )
            hidden = layers.ReLU(name=f"stage{stage}_relu{turn}")(hidden)
    hidden = layers.Flatten(name="flatten")(hidden)
    if dense_dim:
        hidden = Drop(dropout, name="dense_dropout")(hidden)
        hidden = layers.Dense(
            dense_dim, use_bias=not is_normalised, kernel_initializer="he_normal", name="dense"
        )(hidden)
        if is_normalised:
            hidden = layers.BatchNormalization(momentum=MOMENTUM, name="dense_normalization")(
                hidden
            )
        hidden = layers.ReLU(name="dense_relu")(hidden)
    hidden = Drop(dropout, name="dropout")(hidden)
    logits = layers.Dense(num_classes, name="logits")(hidden)
    return keras.Model({"pictures": pictures}, logits, name="cnn")


@checked
def resnet(
    *,
    height: Side,
    width: Side,
    channels: Literal[1, 3],
    num_classes: Classes,
    mean: PixelMean,
    deviation: PixelDeviation,
    filters: Stages,
    blocks: Repeats = 2,
    dropout: Share = 0.0,
) -> keras.Model:
    """Residual network with two-convolution blocks (He et al. 2016, as used for CIFAR).

    The last normalisation of each block starts at zero, so that every block starts as
    the identity (Goyal et al. 2017).

    Args:
        height: Of the pictures, in pixels.
        width: Of the pictures, in pixels.
        channels: 1 for grey, 3 for colour.
        num_classes: Number of logits.
        mean: Of each channel over the training pictures, in 0..255.
        deviation: Standard deviation of each channel, in 0..255.
        filters: Of each stage; every stage after the first halves height and width.
        blocks: In each stage.
        dropout: Share dropped before the last layer.

    Raises:
        pydantic.ValidationError: An argument is out of its range.
        ValueError: Arguments do not fit each other.
    """
    if blocks * len(filters) > MAX_LAYERS:
        raise ValueError(
            f"Received {len(filters)} stages of {blocks} blocks; expected at most {MAX_LAYERS} "
            "blocks in all."
        )
    pictures, hidden = _normalised(height, width, channels, mean, deviation)
    hidden = layers.ReLU(name="stem_relu")(_convolved(hidden, filters[0], "stem"))
    for stage, number in enumerate(filters, 1):
        for block in range(1, blocks + 1):
            strides = 2 if stage > 1 and block == 1 else 1
            hidden = _residual(hidden, number, strides, f"stage{stage}_block{block}")
    hidden = layers.GlobalAveragePooling2D(name="average")(hidden)
    hidden = Drop(dropout, name="dropout")(hidden)
    logits = layers.Dense(num_classes, name="logits")(hidden)
    return keras.Model({"pictures": pictures}, logits, name="resnet")


def _side_left(side: int, convolutions: list[int], padding: str) -> int:
    """Pixels left of a side of `side` pixels after all stages; 0 or less where there are none."""
    for repeats in convolutions:
        side = (side if padding == "same" else side - 2 * repeats) // 2
    return side


def _normalised(
    height: int,
    width: int,
    channels: int,
    mean: list[float],
    deviation: list[float],
    dtype: str = "uint8",
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """The input "pictures" and the same as floats of about zero mean and unit deviation."""
    if not len(mean) == len(deviation) == channels:
        raise ValueError(
            f"Received {len(mean)} means and {len(deviation)} deviations; expected {channels}, "
            "one a channel."
        )
    pictures: Any = layers.Input((height, width, channels), dtype=dtype, name="pictures")
    if dtype == "float32" and not any(mean) and set(deviation) == {1.0}:
        return pictures, pictures
    scale = [1.0 / value for value in deviation]
    offset = [-middle * factor for middle, factor in zip(mean, scale, strict=True)]
    # Keras takes a list for each, one number a channel, whatever its annotations say.
    normalise: Any = layers.Rescaling(scale, cast(Any, offset), name="normalise")
    return pictures, normalise(pictures)


def _convolved(
    hidden: keras.KerasTensor,
    filters: int,
    name: str,
    *,
    size: int = 3,
    strides: int = 1,
    gamma: str = "ones",
    pool: str | None = None,
    padding: str = "same",
    is_normalised: bool = True,
) -> keras.KerasTensor:
    """Convolution, max-pooling if it has a name, then batch normalisation in place of a bias."""
    hidden = layers.Conv2D(
        filters,
        size,
        strides=strides,
        padding=padding,
        use_bias=not is_normalised,
        kernel_initializer="he_normal",
        name=name,
    )(hidden)
    if pool:
        hidden = layers.MaxPooling2D(2, name=pool)(hidden)
    if not is_normalised:
        return hidden
    return layers.BatchNormalization(
        momentum=MOMENTUM, gamma_initializer=gamma, name=f"{name}_normalization"
    )(hidden)


def _residual(
    hidden: keras.KerasTensor, filters: int, strides: int, name: str
) -> keras.KerasTensor:
    """`relu(x + f(x))`; where the shape changes, x goes through a 1x1 convolution."""
    shortcut = hidden
    if strides != 1 or hidden.shape[-1] != filters:
        # Rows and columns are left out before the convolution and not by its strides: PyTorch 2.13
        # on CPU often gives such a kernel a wrong gradient (docs/experiments.md).
        fewer: Any = hidden if strides == 1 else hidden[:, ::strides, ::strides]
        shortcut = _convolved(fewer, filters, f"{name}_shortcut", size=1)
    inner = layers.ReLU(name=f"{name}_relu1")(
        _convolved(hidden, filters, f"{name}_convolution1", strides=strides)
    )
    inner = _convolved(inner, filters, f"{name}_convolution2", gamma="zeros")
    return layers.ReLU(name=f"{name}_relu2")(layers.Add(name=f"{name}_add")([shortcut, inner]))
