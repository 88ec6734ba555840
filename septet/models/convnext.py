"""ConvNeXt: convolutional stages built like a Transformer's (Liu et al., arXiv:2201.03545).

Layer for layer as in torchvision and timm, but for what drops whole blocks in training.
"""

from typing import Annotated, Any

import keras
from keras import layers
from pydantic import ConfigDict, Field, validate_call

ops: Any = keras.ops

EPSILON = 1e-6
MAX_BLOCKS = 64

Depths = Annotated[list[Annotated[int, Field(ge=1, le=36)]], Field(min_length=1, max_length=5)]


@validate_call(config=ConfigDict(arbitrary_types_allowed=True))
def convnext_maps(
    inputs: Any,
    *,
    depths: Depths,
    width: Annotated[int, Field(ge=4, le=512)],
    patch: Annotated[int, Field(ge=1, le=8)] = 4,
    layer_scale: Annotated[float, Field(gt=0.0, le=1.0)] = 1e-6,
) -> dict[int, Any]:
    """Feature maps by stride, of normalised pictures [batch, height, width, channels].

    Args:
        inputs: The pictures, a `KerasTensor`.
        depths: Blocks of each stage; every stage after the first halves height and width.
        width: Channels of the first stage, doubled by each next one.
        patch: Pixels a side of the patches that the stem takes: the stride of the first stage.
        layer_scale: What a block's part is multiplied by at first.
    """
    if sum(depths) > MAX_BLOCKS:
        raise ValueError(f"Received {sum(depths)} blocks; expected at most {MAX_BLOCKS} in all.")
    hidden = layers.Conv2D(width, patch, strides=patch, padding="same", name="stem")(inputs)
    hidden = layers.LayerNormalization(epsilon=EPSILON, name="stem_normalization")(hidden)
    maps: dict[int, Any] = {}
    for stage, depth in enumerate(depths, 1):
        filters = width * 2 ** (stage - 1)
        if stage > 1:
            name = f"stage{stage}_halving"
            hidden = layers.LayerNormalization(epsilon=EPSILON, name=f"{name}_normalization")(
                hidden
            )
            hidden = layers.Conv2D(filters, 2, strides=2, padding="same", name=name)(hidden)
        for block in range(1, depth + 1):
            hidden = _block(hidden, filters, layer_scale, f"stage{stage}_block{block}")
        maps[patch * 2 ** (stage - 1)] = hidden
    return maps


def _block(hidden: Any, filters: int, layer_scale: float, name: str) -> Any:
    """A 7x7 convolution of each channel and two dense layers, beside the input."""
    inner = layers.DepthwiseConv2D(7, padding="same", name=f"{name}_depthwise")(hidden)
    inner = layers.LayerNormalization(epsilon=EPSILON, name=f"{name}_normalization")(inner)
    inner = layers.Dense(4 * filters, "gelu", name=f"{name}_dense1")(inner)
    inner = layers.Dense(filters, name=f"{name}_dense2")(inner)
    inner = Scale(layer_scale, name=f"{name}_scale")(inner)
    return layers.Add(name=f"{name}_add")([hidden, inner])


class Scale(layers.Layer):
    """A learned factor for each channel."""

    def __init__(self, start: float, **rest: Any):
        """See the class; `start` is the first value of every factor."""
        super().__init__(**rest)
        self.start = start

    def build(self, input_shape: Any) -> None:
        """One factor a channel."""
        initializer = keras.initializers.Constant(self.start)
        self.gamma = self.add_weight((input_shape[-1],), initializer=initializer, name="gamma")

    def call(self, features: Any) -> Any:
        """[..., channels] -> the same."""
        return features * self.gamma

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The same."""
        return input_shape
