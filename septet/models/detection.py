"""An anchor-free detector over any backbone: a feature pyramid and one head for all its levels.

FCOS (Tian et al. 2019, arXiv:1904.01355) without its centre-ness branch: the class scores are
trained towards the overlap of their own box instead (Li et al. 2020, arXiv:2006.04388). The
pyramid is that of Lin et al. 2017 (arXiv:1612.03144). Knows no loss, data set or drawing.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import keras
import numpy as np
from keras import layers
from pydantic import Field

from septet.models.backbones import backbone as maps_of
from septet.models.backbones import normalised
from septet.models.convolutional import MOMENTUM, PixelDeviation, PixelMean, checked
from septet.models.picture_classifier import Setting

Side = Annotated[int, Field(ge=32, le=2048)]
Stride = Literal[4, 8, 16, 32, 64, 128]

PRIOR = 0.01
"""Probability of every class at the start (Lin et al. 2017, arXiv:1708.02002, section 4.1)."""
LARGEST_SHARE = 8.0
"""Raw distances are cut at so many; see `Boxes`."""


@checked
def detector(
    *,
    height: Side,
    width: Side,
    channels: Literal[1, 3],
    num_classes: Annotated[int, Field(ge=1, le=10_000)],
    mean: PixelMean,
    deviation: PixelDeviation,
    backbone: str = "resnet-micro",
    backbone_width: Annotated[int, Field(ge=4, le=256)] | None = None,
    settings: Annotated[dict[str, Setting] | None, Field(max_length=10)] = None,
    strides: Annotated[list[Stride], Field(min_length=1, max_length=5)] = [8, 16, 32],  # noqa: B006
    pyramid_dim: Annotated[int, Field(ge=8, le=512)] = 48,
    head_depth: Annotated[int, Field(ge=1, le=6)] = 2,
) -> keras.Model:
    """Boxes and class scores at every place of the feature pyramid.

    The output is float32 [batch, places, num_classes + 4]: for each place a logit a class and
    left, top, right and bottom of one box, in pixels. The places are those of `places`.

    Args:
        height: Of the pictures, in pixels; a multiple of the largest stride.
        width: Of the pictures, in pixels; so too.
        channels: 1 for grey, 3 for colour.
        num_classes: How many kinds of things.
        mean: Of each channel over the training pictures, in 0..255.
        deviation: Standard deviation of each channel, in 0..255.
        backbone: A key of `backbones.BACKBONES`.
        backbone_width: Its width, where it is to differ from what the name stands for.
        settings: Other changes to what the name stands for; see `backbones.backbone`.
        strides: Pixels from one place to the next on each level, each twice the one before;
            those that the backbone lacks are made of the one before.
        pyramid_dim: Channels of every level and of the head.
        head_depth: 3x3 convolutions of each of the head's two towers.

    Raises:
        pydantic.ValidationError: An argument is out of its range.
        ValueError: Arguments do not fit each other.
    """
    require_fitting(height, width, strides)
    pictures, hidden = normalised(height, width, channels, mean, deviation)
    changes = dict(settings or {}) | ({} if backbone_width is None else {"width": backbone_width})
    levels = pyramid(maps_of(backbone, hidden, **changes), strides, pyramid_dim)
    head = Head(num_classes, pyramid_dim, head_depth)
    found = []
    for level, stride in zip(levels, strides, strict=True):
        logits, distances = head(level, f"level{stride}")
        count = math.ceil(height / stride) * math.ceil(width / stride)
        logits = layers.Reshape((count, num_classes), name=f"level{stride}_logits")(logits)
        distances = layers.Reshape((count, 4), name=f"level{stride}_distances")(distances)
        boxes = Boxes(height, width, stride, name=f"level{stride}_boxes", dtype="float32")(
            distances
        )
        found.append(
            layers.Concatenate(name=f"level{stride}_found", dtype="float32")([logits, boxes])
        )
    output = found[0]
    if len(found) > 1:
        output = layers.Concatenate(axis=1, name="found", dtype="float32")(found)
    return keras.Model({"pictures": pictures}, output, name="detector")


def require_fitting(height: int, width: int, strides: Sequence[int]) -> None:
    """ValueError where pictures or strides do not fit."""
    if any(next_ != 2 * stride for stride, next_ in itertools.pairwise(strides)):
        raise ValueError(f"Received strides {list(strides)}; expected each twice the one before.")
    if height % strides[-1] or width % strides[-1]:
        raise ValueError(
            f"Received pictures of {height}x{width}; expected multiples of the largest stride, "
            f"{strides[-1]}."
        )


def pyramid(maps: dict[int, Any], strides: Sequence[int], dim: int) -> list[Any]:
    """Feature maps of the strides, each `dim` channels, with what the coarser ones know added.

    Raises:
        ValueError: The backbone has no map of the first stride.
    """
    if strides[0] not in maps:
        raise ValueError(
            f"The backbone has maps of strides {sorted(maps)}; expected the first, {strides[0]}, "
            "among them."
        )
    laterals: dict[int, Any] = {}
    for stride in strides:
        if stride in maps:
            hidden = layers.Conv2D(dim, 1, use_bias=False, name=f"lateral{stride}")(maps[stride])
        else:
            hidden = layers.MaxPooling2D(2, padding="same", name=f"pool{stride}")(
                laterals[stride // 2]
            )
        laterals[stride] = layers.BatchNormalization(
            momentum=MOMENTUM, name=f"lateral{stride}_normalization"
        )(hidden)
    levels, above = [], None
    for stride in reversed(strides):
        merged = laterals[stride]
        if above is not None:
            doubled = layers.UpSampling2D(2, name=f"up{stride}")(above)
            merged = layers.Add(name=f"merged{stride}")([merged, doubled])
        above = merged
        smooth = layers.Conv2D(
            dim, 3, padding="same", use_bias=False, kernel_initializer="he_normal",
            name=f"smooth{stride}",
        )(merged)  # fmt: skip
        smooth = layers.BatchNormalization(momentum=MOMENTUM, name=f"smooth{stride}_normalization")(
            smooth
        )
        levels.append(layers.ReLU(name=f"smooth{stride}_relu")(smooth))
    return levels[::-1]


class Head:
    """Two towers of convolutions that all levels share; each level has its own normalisation.

    Shared statistics would be those of no level (Ghiasi et al. 2019, arXiv:1904.07392).
    """

    def __init__(self, num_classes: int, dim: int, depth: int):
        """The convolutions, which build themselves on first use."""
        self.towers = {
            kind: [
                layers.Conv2D(
                    dim, 3, padding="same", use_bias=False, kernel_initializer="he_normal",
                    name=f"{kind}_convolution{place}",
                )
                for place in range(1, depth + 1)
            ]
            for kind in ("class", "box")
        }  # fmt: skip
        start: Any = keras.initializers.Constant(-math.log((1 - PRIOR) / PRIOR))
        small: Any = keras.initializers.RandomNormal(stddev=0.01)
        self.classes = layers.Conv2D(
            num_classes, 1, kernel_initializer=small, bias_initializer=start, name="class_logits"
        )
        self.distances = layers.Conv2D(4, 1, kernel_initializer=small, name="box_distances")

    def __call__(self, level: Any, name: str) -> tuple[Any, Any]:
        """Logits and raw distances at each place of a level."""
        hidden = {"class": level, "box": level}
        for kind, tower in self.towers.items():
            for place, convolution in enumerate(tower, 1):
                after = convolution(hidden[kind])
                after = layers.BatchNormalization(
                    momentum=MOMENTUM, name=f"{name}_{kind}_normalization{place}"
                )(after)
                hidden[kind] = layers.ReLU(name=f"{name}_{kind}_relu{place}")(after)
        return self.classes(hidden["class"]), self.distances(hidden["box"])


class Boxes(layers.Layer):
    """From raw distances [batch, places, 4] to boxes in pixels, float32.

    A distance is `4 * stride * softplus(raw)`: positive, even in its growth, and about a box of
    six strides a side where the network knows nothing.
    """

    def __init__(self, height: int, width: int, stride: int, **given: Any):
        """For the level of one stride of a picture."""
        super().__init__(**given)
        self.stride = float(stride)
        self.middles = level_places(height, width, stride)

    def call(self, distances: Any) -> Any:
        """Left, top, right and bottom."""
        ops: Any = keras.ops
        sides = 4.0 * self.stride * ops.softplus(ops.cast(distances, "float32"))
        middles = ops.convert_to_tensor(self.middles)
        return ops.concatenate([middles - sides[..., :2], middles + sides[..., 2:]], axis=-1)

    def compute_output_shape(self, input_shape: Sequence[Any]) -> tuple[Any, ...]:
        """As the input's."""
        return tuple(input_shape)


def level_places(height: int, width: int, stride: int) -> np.ndarray:
    """X and y of the middle of each place of a level, row by row: float32 [places, 2]."""
    rows, columns = math.ceil(height / stride), math.ceil(width / stride)
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    return (np.stack([x, y], -1).reshape(-1, 2) + np.float32(0.5)) * np.float32(stride)


def places(height: int, width: int, strides: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Middle, float32 [places, 2], and stride, float32 [places], of all levels' places."""
    levels = [level_places(height, width, stride) for stride in strides]
    each = [
        np.full(len(level), stride, np.float32)
        for level, stride in zip(levels, strides, strict=True)
    ]
    return np.concatenate(levels), np.concatenate(each)
