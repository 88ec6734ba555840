"""Residual networks in torchvision's layout: feature maps by stride, no classes.

Layer for layer what torchvision and timm call resnet18, 34 and 50 (He et al. 2016; the stride
of a bottleneck lies on its 3x3 convolution), so that their weights fit; narrower ones and a stem
for small pictures are for training from scratch.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import keras
from keras import layers
from pydantic import ConfigDict, Field, validate_call

ops: Any = keras.ops

EXPANSION = 4
"""Channels that a bottleneck gives for each of its 3x3 convolution's."""
MOMENTUM = 0.9
"""Of the moving statistics: PyTorch's 0.1 in Keras' terms."""
EPSILON = 1e-5
"""Of batch normalisation, as in PyTorch."""
MAX_BLOCKS = 64
STEMS = {"standard": (7, 2, 4), "small": (3, 1, 1), "patch": (8, 4, 4)}
"""Side and stride of each stem's convolution, and the stride of the first stage."""

Blocks = Annotated[list[Annotated[int, Field(ge=1, le=36)]], Field(min_length=1, max_length=5)]


@validate_call(config=ConfigDict(arbitrary_types_allowed=True))
def residual_maps(
    inputs: Any,
    *,
    blocks: Blocks,
    is_bottleneck: bool = False,
    width: Annotated[int, Field(ge=1, le=512)] = 64,
    stem: Literal["standard", "small", "patch"] = "standard",
) -> dict[int, Any]:
    """Feature maps by stride, of normalised pictures [batch, height, width, channels].

    Args:
        inputs: The pictures, a `KerasTensor`.
        blocks: Of each stage; every stage after the first halves height and width.
        is_bottleneck: Blocks of three convolutions instead of two.
        width: Channels of the stem and of the first stage, doubled by each next one.
        stem: "standard": a 7x7 convolution of stride 2 and a 3x3 maximum of stride 2, so that the
            stages have strides 4, 8, 16, 32 and the stem 2; "small": one 3x3 convolution, so that
            the stages have strides 1, 2, 4, 8; "patch": one 8x8 convolution of stride 4, the
            same strides as "standard" without 2, in less time on a CPU.
    """
    if sum(blocks) > MAX_BLOCKS:
        raise ValueError(f"Received {sum(blocks)} blocks; expected at most {MAX_BLOCKS} in all.")
    size, first, stride = STEMS[stem]
    hidden = convolved(inputs, width, "stem", size=size, strides=first)
    hidden = layers.ReLU(name="stem_relu")(hidden)
    maps: dict[int, Any] = {first: hidden}
    if stride > first:
        hidden = StemPool(name="stem_pool")(hidden)
    make = bottleneck if is_bottleneck else basic
    for stage, count in enumerate(blocks, 1):
        for block in range(1, count + 1):
            strides = 2 if stage > 1 and block == 1 else 1
            hidden = make(hidden, width * 2 ** (stage - 1), strides, f"stage{stage}_block{block}")
        maps[stride * 2 ** (stage - 1)] = hidden
    return maps


def convolved(
    hidden: Any, filters: int, name: str, *, size: int = 3, strides: int = 1, gamma: str = "ones"
) -> Any:
    """Convolution without bias, padded evenly as in PyTorch, then batch normalisation."""
    if strides > 1 and size > 1:
        # Keras' "same" would pad the far side more, which shifts every map.
        edges = tuple(_edges(side, size, strides) for side in hidden.shape[1:3])
        hidden = layers.ZeroPadding2D(edges, name=f"{name}_padding")(hidden)
    hidden = layers.Conv2D(
        filters,
        size,
        strides=strides,
        padding="same" if strides == 1 else "valid",
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )(hidden)
    return layers.BatchNormalization(
        momentum=MOMENTUM,
        epsilon=EPSILON,
        gamma_initializer=gamma,
        name=f"{name}_normalization",
    )(hidden)


def _edges(side: int, size: int, strides: int) -> tuple[int, int]:
    """Zeros before and after, so that there is a window for each stride that is begun."""
    before = (size - strides + 1) // 2
    needed = (math.ceil(side / strides) - 1) * strides + size - side
    return before, max(before, needed - before)


def basic(hidden: Any, filters: int, strides: int, name: str) -> Any:
    """Two 3x3 convolutions beside the input."""
    inner = convolved(hidden, filters, f"{name}_convolution1", strides=strides)
    inner = layers.ReLU(name=f"{name}_relu1")(inner)
    inner = convolved(inner, filters, f"{name}_convolution2", gamma="zeros")
    return _added(hidden, inner, strides, f"{name}", last=2)


def bottleneck(hidden: Any, filters: int, strides: int, name: str) -> Any:
    """Convolutions of 1x1, 3x3 and 1x1 beside the input; four times the channels come out."""
    inner = convolved(hidden, filters, f"{name}_convolution1", size=1)
    inner = layers.ReLU(name=f"{name}_relu1")(inner)
    inner = convolved(inner, filters, f"{name}_convolution2", strides=strides)
    inner = layers.ReLU(name=f"{name}_relu2")(inner)
    inner = convolved(inner, EXPANSION * filters, f"{name}_convolution3", size=1, gamma="zeros")
    return _added(hidden, inner, strides, name, last=3)


def _added(hidden: Any, inner: Any, strides: int, name: str, *, last: int) -> Any:
    """`relu(x + f(x))`; where the shape changes, x goes through a 1x1 convolution."""
    if strides != 1 or hidden.shape[-1] != inner.shape[-1]:
        # Rows and columns are left out before the convolution and not by its strides: PyTorch 2.13
        # on CPU often gives such a kernel a wrong gradient (docs/experiments.md).
        fewer = hidden if strides == 1 else hidden[:, ::strides, ::strides]
        hidden = convolved(fewer, inner.shape[-1], f"{name}_shortcut", size=1)
    added = layers.Add(name=f"{name}_add")([hidden, inner])
    return layers.ReLU(name=f"{name}_relu{last}")(added)


class StemPool(layers.Layer):
    """The largest of each 3x3 window at every second place, of numbers that are not negative.

    Written as maxima of slices: XLA's own pooling over windows that overlap is slow on a CPU.
    """

    def call(self, features: Any) -> Any:
        """[batch, height, width, channels] -> about half the height and width."""
        padded = ops.pad(features, [[0, 0], [1, 1], [1, 1], [0, 0]])
        return _every_second(_every_second(padded, 1), 2)

    def compute_output_shape(self, input_shape: Sequence[Any]) -> tuple[Any, ...]:
        """Height and width halved, rounded up."""
        batch, height, width, channels = input_shape
        return (batch, (height + 1) // 2, (width + 1) // 2, channels)


def _every_second(padded: Any, axis: int) -> Any:
    """The largest of three neighbours along an axis, at every second place."""
    count = (padded.shape[axis] - 1) // 2
    before: list[Any] = [slice(None)] * axis
    first, second, third = (
        padded[(*before, slice(start, start + 2 * count - 1, 2))] for start in range(3)
    )
    return ops.maximum(ops.maximum(first, second), third)
