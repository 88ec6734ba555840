"""Networks of `keras.applications` as classifiers of pictures, by name from a table.

They are built without their last layer and without weights; what Keras has kept of weights on
this machine can be given to them. Nothing is fetched.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import keras
import numpy as np
from keras import layers
from pydantic import Field

from septet.errors import WeightsError
from septet.models.backbones import normalised
from septet.models.convolutional import Classes, PixelDeviation, PixelMean, Share, checked
from septet.models.dropping import Drop
from septet.models.pretrained import require_numbers

ops: Any = keras.ops

Name = Literal[
    "ConvNeXtTiny",
    "DenseNet121",
    "EfficientNetV2B0",
    "MobileNetV2",
    "MobileNetV3Large",
    "MobileNetV3Small",
    "ResNet50",
    "ResNet50V2",
    "VGG16",
    "Xception",
]
Side = Annotated[int, Field(ge=32, le=1024)]


@dataclass(frozen=True)
class Application:
    """What a network of `keras.applications` expects.

    Args:
        mean: Of each channel, in 0..255.
        deviation: Of each channel, in 0..255.
        is_reversed: Blue comes first.
    """

    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    is_reversed: bool = False


HALF = Application((127.5, 127.5, 127.5), (127.5, 127.5, 127.5))
IMAGENET = Application((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
CAFFE = Application((123.68, 116.779, 103.939), (1.0, 1.0, 1.0), is_reversed=True)
BYTES = Application((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
"""They have layers of their own that scale."""

APPLICATIONS: Mapping[str, Application] = {
    "ConvNeXtTiny": BYTES,
    "DenseNet121": IMAGENET,
    "EfficientNetV2B0": BYTES,
    "MobileNetV2": HALF,
    "MobileNetV3Large": BYTES,
    "MobileNetV3Small": BYTES,
    "ResNet50": CAFFE,
    "ResNet50V2": HALF,
    "VGG16": CAFFE,
    "Xception": HALF,
}


@checked
def keras_application(
    *,
    height: Side,
    width: Side,
    channels: Literal[3],
    num_classes: Classes,
    mean: PixelMean,
    deviation: PixelDeviation,
    application: Name,
    dropout: Share = 0.0,
) -> keras.Model:
    """Logits [batch, num_classes] of uint8 pictures [batch, height, width, 3].

    Args:
        height: Of the pictures, in pixels.
        width: Of the pictures, in pixels.
        channels: 3, for colour.
        num_classes: Number of logits.
        mean: Of each channel, in 0..255, as in `APPLICATIONS` for Keras' own weights.
        deviation: Of each channel, in 0..255.
        application: A key of `APPLICATIONS`.
        dropout: Share dropped before the last layer.

    Raises:
        pydantic.ValidationError: An argument is out of its range.
        ValueError: The network cannot be built for that size.
    """
    pictures, hidden = normalised(height, width, channels, mean, deviation)
    if APPLICATIONS[application].is_reversed:
        hidden = hidden[..., ::-1]
    inside = _built(application, hidden)
    vector = layers.GlobalAveragePooling2D(name="average")(inside.output)
    vector = Drop(dropout, name="dropout")(vector)
    logits = layers.Dense(num_classes, name="logits")(vector)
    return keras.Model({"pictures": pictures}, logits, name="keras_application")


def _built(application: str, hidden: Any, weights: str | None = None) -> Any:
    make = getattr(keras.applications, application)
    return make(include_top=False, weights=weights, input_tensor=hidden)


def kept_weights(application: str) -> Path:
    """The file in which Keras keeps the network's ImageNet weights on this machine.

    Raises:
        WeightsError: It has not been fetched.
    """
    folder = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras")) / "models"
    names = [entry.name for entry in folder.glob("*.h5")] if folder.is_dir() else []
    stems = {
        "ConvNeXtTiny": "convnext_tiny_notop",
        "DenseNet121": "densenet121_weights_tf_dim_ordering_tf_kernels_notop",
        "EfficientNetV2B0": "efficientnetv2-b0_notop",
        "MobileNetV2": "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top",
        "MobileNetV3Large": "weights_mobilenet_v3_large_224_1.0_float_no_top_v2",
        "MobileNetV3Small": "weights_mobilenet_v3_small_224_1.0_float_no_top_v2",
        "ResNet50": "resnet50_weights_tf_dim_ordering_tf_kernels_notop",
        "ResNet50V2": "resnet50v2_weights_tf_dim_ordering_tf_kernels_notop",
        "VGG16": "vgg16_weights_tf_dim_ordering_tf_kernels_notop",
        "Xception": "xception_weights_tf_dim_ordering_tf_kernels_notop",
    }
    name = f"{stems[application]}.h5"
    if name not in names:
        missing(application, folder / name)
    return folder / name


def missing(application: str, file: Path) -> NoReturn:
    """Why Keras' weights cannot be used, and what to do."""
    raise WeightsError(
        f"Keras has no weights of '{application}' on this machine (looked for '{file}'), and "
        "Septet fetches none. Where there is a network, let Keras fetch them once with: python -c "
        f'"import keras; keras.applications.{application}(include_top=False)"; or train it from '
        f"scratch with model.architecture={application}."
    )


def load_kept(network: keras.Model, application: str) -> list[str]:
    """Give a network of `keras_application` Keras' own weights; the paths of those it got.

    Raises:
        WeightsError: They have not been fetched, or the file is damaged.
    """
    file = kept_weights(application)
    inputs = layers.Input((*network.input_shape["pictures"][1:3], 3))
    source = _built(application, inputs)
    try:
        source.load_weights(file)
    except Exception as error:  # h5py and Keras raise every kind of error
        reason = " ".join(str(error).split())[:300]
        raise WeightsError(
            f"'{file}' could not be read as the weights of '{application}': {reason}. Delete it "
            "and let Keras fetch it again."
        ) from None
    for variable in source.weights:
        require_numbers(variable.path, np.asarray(variable.value), str(file))
    own = [layer for layer in network.layers if layer.weights and layer.name != "logits"]
    theirs = [layer for layer in source.layers if layer.weights]
    for layer, given in zip(own, theirs, strict=True):
        for variable, value in zip(layer.weights, given.weights, strict=True):
            variable.assign(value)
    return [variable.path for layer in own for variable in layer.weights]
