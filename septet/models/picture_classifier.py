"""A classifier of pictures over any backbone of `septet.models.backbones`."""

from typing import Annotated, Any, Literal

import keras
from keras import layers
from pydantic import Field

from septet.models.backbones import normalised, pooled
from septet.models.convolutional import Classes, PixelDeviation, PixelMean, Share, Side, checked
from septet.models.dropping import Drop

Name = Literal[
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
Setting = bool | int | float | str | list[int]


@checked
def picture_classifier(
    *,
    height: Side,
    width: Side,
    channels: Literal[1, 3],
    num_classes: Classes,
    mean: PixelMean,
    deviation: PixelDeviation,
    backbone: Name,
    settings: Annotated[dict[str, Setting] | None, Field(max_length=10)] = None,
    dropout: Share = 0.0,
) -> keras.Model:
    """Logits [batch, num_classes] of uint8 pictures [batch, height, width, channels].

    Args:
        height: Of the pictures, in pixels.
        width: Of the pictures, in pixels.
        channels: 1 for grey, 3 for colour.
        num_classes: Number of logits.
        mean: Of each channel over the training pictures, in 0..255.
        deviation: Standard deviation of each channel, in 0..255.
        backbone: A key of `septet.models.backbones.BACKBONES`.
        settings: Changes to what that name stands for; see `septet.models.backbones.backbone`.
        dropout: Share dropped before the last layer.

    Raises:
        pydantic.ValidationError: An argument is out of its range.
        ValueError: Arguments do not fit each other.
    """
    pictures, hidden = normalised(height, width, channels, mean, deviation)
    vector: Any = pooled(backbone, hidden, **(settings or {}))
    vector = Drop(dropout, name="dropout")(vector)
    logits = layers.Dense(num_classes, name="logits")(vector)
    return keras.Model({"pictures": pictures}, logits, name="picture_classifier")
