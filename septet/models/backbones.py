"""Backbones by name: what turns a normalised picture into feature maps, or into one vector.

Classifiers take `pooled`, detectors and segmenters `backbone`. The table below is the only
place that knows which names there are; the networks are in the files it names.
"""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import keras
from keras import layers
from pydantic import ConfigDict, Field, validate_call

from septet.models.convnext import EPSILON, convnext_maps
from septet.models.efficientnet_lite import efficientnet_lite_maps, efficientnet_lite_top
from septet.models.residual import convolved, residual_maps
from septet.models.vision_transformer import vit_maps, vit_tokens

MAX_STAGES = 6


@validate_call(config=ConfigDict(arbitrary_types_allowed=True))
def small_cnn_maps(
    inputs: Any,
    *,
    width: Annotated[int, Field(ge=4, le=256)] = 32,
    stages: Annotated[int, Field(ge=1, le=MAX_STAGES)] = 5,
    repeats: Annotated[int, Field(ge=1, le=4)] = 1,
    widest: Annotated[int, Field(ge=4, le=2048)] = 256,
) -> dict[int, Any]:
    """Stages of 3x3 convolutions, each halved by a maximum: maps of strides 2, 4, 8 ...

    Args:
        inputs: Normalised pictures, a `KerasTensor` [batch, height, width, channels].
        width: Filters of the first stage, doubled by each next one.
        stages: How often height and width are halved.
        repeats: Convolutions of each stage.
        widest: No stage has more filters.
    """
    hidden, maps = inputs, {}
    for stage in range(1, stages + 1):
        filters = min(width * 2 ** (stage - 1), max(width, widest))
        for turn in range(1, repeats + 1):
            hidden = convolved(hidden, filters, f"stage{stage}_convolution{turn}")
            hidden = layers.ReLU(name=f"stage{stage}_relu{turn}")(hidden)
        hidden = layers.MaxPooling2D(2, padding="same", name=f"stage{stage}_pool")(hidden)
        maps[2**stage] = hidden
    return maps


@dataclass(frozen=True)
class Kind:
    """One backbone of the table.

    Args:
        maps: (inputs, **settings) -> feature maps by stride.
        settings: What the name stands for; may be changed one by one.
        family: "residual", "convnext", "efficientnet-lite", "vit" or "cnn", which share a layout
            of weights.
    """

    maps: Callable[..., dict[int, Any]]
    settings: Mapping[str, Any] = field(default_factory=dict)
    family: str = "cnn"


def _residual(blocks: list[int], **more: Any) -> Kind:
    return Kind(residual_maps, {"blocks": blocks, **more}, "residual")


def _convnext(depths: list[int], width: int, **more: Any) -> Kind:
    return Kind(convnext_maps, {"depths": depths, "width": width, **more}, "convnext")


def _efficientnet_lite(wider: float, deeper: float) -> Kind:
    values = {"wider": wider, "deeper": deeper}
    return Kind(efficientnet_lite_maps, values, "efficientnet-lite")


def _vit(dim: int, depth: int, num_heads: int, patch: int) -> Kind:
    values = {"dim": dim, "depth": depth, "num_heads": num_heads, "patch": patch}
    return Kind(vit_maps, values, "vit")


BACKBONES: Mapping[str, Kind] = {
    "small-cnn": Kind(small_cnn_maps),
    "resnet-micro": _residual([1, 1, 1, 1], width=16),
    "resnet-patch": _residual([1, 1, 1, 1], width=24, stem="patch"),
    "resnet-mini": _residual([2, 2, 2, 2], width=24),
    "resnet18": _residual([2, 2, 2, 2]),
    "resnet34": _residual([3, 4, 6, 3]),
    "resnet50": _residual([3, 4, 6, 3], is_bottleneck=True),
    "convnext-micro": _convnext([1, 1, 2, 1], 24, layer_scale=0.1),
    "convnext-atto": _convnext([2, 2, 6, 2], 40),
    "convnext-tiny": _convnext([3, 3, 9, 3], 96),
    "efficientnet-lite0": _efficientnet_lite(1.0, 1.0),
    "efficientnet-lite1": _efficientnet_lite(1.0, 1.1),
    "efficientnet-lite2": _efficientnet_lite(1.1, 1.2),
    "efficientnet-lite3": _efficientnet_lite(1.2, 1.4),
    "efficientnet-lite4": _efficientnet_lite(1.4, 1.8),
    "vit-micro": _vit(64, 4, 4, 8),
    "vit-tiny": _vit(192, 12, 3, 16),
    "vit-small": _vit(384, 12, 6, 16),
    "vit-base": _vit(768, 12, 12, 16),
}
"""resnet18, 34, 50, convnext-tiny and vit-base are torchvision's and timm's of that name,
convnext-atto, vit-tiny and vit-small timm's, efficientnet-lite0 to 4 its tf_efficientnet_lite0 to
4; micro and mini are for training from scratch."""


def backbone(name: str, inputs: Any, **settings: Any) -> dict[int, Any]:
    """Feature maps by stride, smallest stride first: {4: ..., 8: ..., 16: ..., 32: ...}.

    Args:
        name: A key of `BACKBONES`.
        inputs: Pictures of about zero mean and unit deviation, a `KerasTensor`
            [batch, height, width, channels]; `normalised` gives them from bytes.
        settings: Changes to what the name stands for, as `width=16` or `stem="small"`; see
            `residual_maps`, `convnext_maps`, `vit_tokens`, `small_cnn_maps`.

    Returns:
        Of strides 4, 8, 16 and 32, and what else the network has (2 of a residual network's stem).
        A stem of "small" or another patch gives other strides.

    Raises:
        ValueError: There is no such backbone or setting, or it does not fit the pictures.
    """
    kind = kind_of(name)
    return dict(sorted(kind.maps(inputs, **{**kind.settings, **settings}).items()))


def pooled(name: str, inputs: Any, **settings: Any) -> Any:
    """One vector a picture, [batch, dim], for a classifier; arguments as in `backbone`.

    The mean over the last map, normalised for ConvNeXt and made wider before for EfficientNet-Lite;
    the class token of a Vision Transformer.
    """
    kind = kind_of(name)
    settings = {**kind.settings, **settings}
    if kind.family == "vit":
        return vit_tokens(inputs, **settings)[:, 0]
    maps = kind.maps(inputs, **settings)
    hidden = maps[max(maps)]
    if kind.family == "efficientnet-lite":
        hidden = efficientnet_lite_top(hidden)
    hidden = layers.GlobalAveragePooling2D(name="average")(hidden)
    if kind.family == "convnext":
        hidden = layers.LayerNormalization(epsilon=EPSILON, name="normalization")(hidden)
    return hidden


def kind_of(name: str) -> Kind:
    """The backbone of that name; ValueError lists the names."""
    if name not in BACKBONES:
        near = difflib.get_close_matches(name, BACKBONES, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise ValueError(f"Unknown backbone '{name}'.{hint} Known: {', '.join(sorted(BACKBONES))}.")
    return BACKBONES[name]


def normalised(
    height: int, width: int, channels: int, mean: list[float], deviation: list[float]
) -> tuple[keras.KerasTensor, Any]:
    """The input "pictures", uint8, and the same as floats of about zero mean and unit deviation.

    Raises:
        ValueError: There is not one mean and deviation a channel.
    """
    pictures: Any = layers.Input((height, width, channels), dtype="uint8", name="pictures")
    return pictures, rescaled(pictures, channels, mean, deviation)


def rescaled(hidden: Any, channels: int, mean: list[float], deviation: list[float]) -> Any:
    """Pixels [..., channels] of 0..255 as floats of about zero mean and unit deviation.

    Raises:
        ValueError: There is not one mean and deviation a channel.
    """
    if not len(mean) == len(deviation) == channels:
        raise ValueError(
            f"Received {len(mean)} means and {len(deviation)} deviations; expected {channels}, "
            "one a channel."
        )
    # Keras takes a list for each, one number a channel, whatever its annotations say.
    scale: Any = [1.0 / value for value in deviation]
    offset: Any = [-middle * factor for middle, factor in zip(mean, scale, strict=True)]
    return layers.Rescaling(scale, offset, name="normalise")(hidden)
