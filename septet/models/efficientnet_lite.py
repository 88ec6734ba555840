"""EfficientNet-Lite: narrow maps that are widened inside each block (Tan, Le, arXiv:1905.11946).

Layer for layer what TensorFlow's authors published and timm calls tf_efficientnet_lite0 to 4:
EfficientNet without squeeze-and-excitation, with ReLU6, and with a stem and a last layer that
do not grow. Padding is TensorFlow's, further at the far side, as the weights were learned.
"""

import math
from typing import Annotated, Any

from keras import layers
from pydantic import ConfigDict, Field, validate_call

MOMENTUM = 0.9
"""Of the moving statistics; timm's for training on."""
EPSILON = 1e-3
STEM_FILTERS, TOP_FILTERS = 32, 1280
GRAIN = 8
"""Channels are multiples of it."""
STAGES = (
    # Blocks, window, stride, times as wide inside, channels.
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)

Factor = Annotated[float, Field(ge=0.1, le=4.0)]


@validate_call(config=ConfigDict(arbitrary_types_allowed=True))
def efficientnet_lite_maps(
    inputs: Any, *, wider: Factor = 1.0, deeper: Factor = 1.0
) -> dict[int, Any]:
    """Feature maps by stride (2, 4, 8, 16, 32), of normalised [batch, height, width, channels].

    Args:
        inputs: The pictures, a `KerasTensor`.
        wider: What the channels of every stage are multiplied by.
        deeper: What the blocks of every stage but the first and last are multiplied by.
    """
    hidden = _normalised(
        layers.Conv2D(
            STEM_FILTERS, 3, strides=2, padding="same", use_bias=False,
            kernel_initializer="he_normal", name="stem",
        )(inputs),
        "stem",
    )  # fmt: skip
    hidden = _relu6(hidden, "stem")
    stride, maps = 2, {}
    for stage, (blocks, window, strides, times, filters) in enumerate(STAGES, 1):
        is_end = stage in (1, len(STAGES))
        count = blocks if is_end else math.ceil(deeper * blocks)
        for block in range(1, count + 1):
            hidden = _block(
                hidden, window, strides if block == 1 else 1, times, rounded(filters * wider),
                f"stage{stage}_block{block}",
            )  # fmt: skip
        stride *= strides
        maps[stride] = hidden
    return maps


def efficientnet_lite_top(hidden: Any) -> Any:
    """What classifiers have between the last map and its mean: a wide 1x1 convolution."""
    return _relu6(_convolved(hidden, TOP_FILTERS, "top"), "top")


def rounded(filters: float) -> int:
    """The nearest multiple of eight channels that is not less by more than a tenth."""
    nearest = max(GRAIN, int(filters + GRAIN / 2) // GRAIN * GRAIN)
    return nearest if nearest >= 0.9 * filters else nearest + GRAIN


def _block(hidden: Any, window: int, strides: int, times: int, filters: int, name: str) -> Any:
    """Widened, each channel convolved on its own, narrowed; beside the input where shapes agree."""
    inner = hidden
    if times > 1:
        inner = _convolved(inner, times * hidden.shape[-1], f"{name}_expansion")
        inner = _relu6(inner, f"{name}_expansion")
    inner = layers.DepthwiseConv2D(
        window, strides=strides, padding="same", use_bias=False,
        depthwise_initializer="he_normal", name=f"{name}_depthwise",
    )(inner)  # fmt: skip
    inner = _relu6(_normalised(inner, f"{name}_depthwise"), f"{name}_depthwise")
    inner = _convolved(inner, filters, f"{name}_projection")
    if strides > 1 or hidden.shape[-1] != filters:
        return inner
    return layers.Add(name=f"{name}_add")([hidden, inner])


def _convolved(hidden: Any, filters: int, name: str) -> Any:
    """A 1x1 convolution without bias, then batch normalisation."""
    hidden = layers.Conv2D(
        filters, 1, use_bias=False, kernel_initializer="he_normal", name=name
    )(hidden)  # fmt: skip
    return _normalised(hidden, name)


def _normalised(hidden: Any, name: str) -> Any:
    return layers.BatchNormalization(
        momentum=MOMENTUM, epsilon=EPSILON, name=f"{name}_normalization"
    )(hidden)


def _relu6(hidden: Any, name: str) -> Any:
    return layers.ReLU(6.0, name=f"{name}_relu")(hidden)
