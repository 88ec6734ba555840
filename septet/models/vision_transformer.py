"""Vision Transformer (Dosovitskiy et al., arXiv:2010.11929) in the layout of timm and torchvision.

Patches become tokens, a class token comes first, learned positions are added, and blocks that
normalise before each part follow. Feature maps of several strides are made of the last tokens
as in ViTDet (Li et al., arXiv:2203.16527): enlarged by transposed convolutions, halved by a
maximum.
"""

import math
from typing import Annotated, Any

import keras
from keras import layers
from pydantic import ConfigDict, Field, validate_call

from septet.models.transformer_layers import Block

ops: Any = keras.ops

EPSILON = 1e-6
MAX_TOKENS = 4096

Dim = Annotated[int, Field(ge=8, le=2048)]
Depth = Annotated[int, Field(ge=1, le=48)]
Heads = Annotated[int, Field(ge=1, le=32)]
Patch = Annotated[int, Field(ge=1, le=64)]
Share = Annotated[float, Field(ge=0.0, lt=1.0)]


@validate_call(config=ConfigDict(arbitrary_types_allowed=True))
def vit_tokens(
    inputs: Any,
    *,
    dim: Dim,
    depth: Depth,
    num_heads: Heads,
    patch: Patch = 16,
    mlp_ratio: Annotated[int, Field(ge=1, le=8)] = 4,
    dropout: Share = 0.0,
) -> Any:
    """Tokens [batch, 1 + rows * columns, dim] of normalised pictures, the class token first.

    Args:
        inputs: The pictures, a `KerasTensor` of a height and width that `patch` divides.
        dim: Of each token's vector.
        depth: Blocks.
        num_heads: Of attention; divides `dim`.
        patch: Pixels a side of a patch.
        mlp_ratio: Units of a block's hidden dense layer for each of `dim`.
        dropout: Share left out in the blocks.
    """
    height, width = inputs.shape[1:3]
    if height % patch or width % patch:
        raise ValueError(
            f"Pictures of {height}x{width} cannot be cut into patches of {patch}x{patch}; "
            "choose another size or patch."
        )
    if dim % num_heads:
        raise ValueError(f"Received dim={dim} and num_heads={num_heads}, which does not divide it.")
    count = (height // patch) * (width // patch)
    if count > MAX_TOKENS:
        raise ValueError(
            f"Pictures of {height}x{width} have {count} patches of {patch}x{patch}; expected at "
            f"most {MAX_TOKENS}. Choose a larger patch."
        )
    hidden = layers.Conv2D(dim, patch, strides=patch, name="patches")(inputs)
    hidden = layers.Reshape((count, dim), name="flat_patches")(hidden)
    hidden = Tokens(name="tokens")(hidden)
    for place in range(1, depth + 1):
        hidden = Block(
            dim, num_heads, mlp_ratio * dim, "pre", "gelu", dropout, False, epsilon=EPSILON,
            name=f"block{place}",
        )(hidden)  # fmt: skip
    return layers.LayerNormalization(epsilon=EPSILON, name="normalization")(hidden)


def vit_maps(inputs: Any, **settings: Any) -> dict[int, Any]:
    """Feature maps of a quarter, half, once and twice the patch as stride, see `vit_tokens`.

    Strides below 1 are left out.
    """
    tokens = vit_tokens(inputs, **settings)
    patch, dim = settings.get("patch", 16), tokens.shape[-1]
    rows, columns = (side // patch for side in inputs.shape[1:3])
    own = layers.Reshape((rows, columns, dim), name="map")(tokens[:, 1:])
    maps: dict[int, Any] = {patch: own}
    larger = own
    for halving in (2, 4):
        if patch % halving == 0:
            larger = layers.Conv2DTranspose(
                max(dim // halving, 8), 2, strides=2, name=f"enlarged{halving}"
            )(larger)
            larger = layers.LayerNormalization(
                epsilon=EPSILON, name=f"enlarged{halving}_normalization"
            )(larger)
            larger = layers.Activation("gelu", name=f"enlarged{halving}_gelu")(larger)
            maps[patch // halving] = larger
    maps[patch * 2] = layers.MaxPooling2D(2, padding="same", name="halved")(own)
    return dict(sorted(maps.items()))


class Tokens(layers.Layer):
    """Puts the class token before the patches and adds learned positions."""

    def build(self, input_shape: Any) -> None:
        """One vector for the class token and one for each place."""
        count, dim = input_shape[1:]
        initializer = keras.initializers.TruncatedNormal(stddev=0.02)
        self.class_token = self.add_weight((1, 1, dim), initializer="zeros", name="class_token")
        self.positions = self.add_weight(
            (1, count + 1, dim), initializer=initializer, name="positions"
        )

    def call(self, patches: Any) -> Any:
        """[batch, patches, dim] -> [batch, 1 + patches, dim]."""
        shape = ops.shape(patches)
        first = ops.broadcast_to(
            ops.cast(self.class_token, patches.dtype), (shape[0], 1, patches.shape[-1])
        )
        return ops.concatenate([first, patches], axis=1) + self.positions

    def compute_output_shape(self, input_shape: Any) -> Any:
        """One more token."""
        return (input_shape[0], input_shape[1] + 1, input_shape[2])


def resized_positions(positions: Any, rows: int, columns: int) -> Any:
    """Learned positions [1, 1 + n, dim] of a square of patches for another number of them.

    The class token's stays; the others are resampled bicubically as a picture would be.
    """
    import numpy as np

    side = math.isqrt(positions.shape[1] - 1)
    if side * side != positions.shape[1] - 1:
        raise ValueError(
            f"{positions.shape[1]} positions are not a class token and a square of patches"
        )
    if (rows, columns) == (side, side):
        return positions
    grid = np.asarray(positions[:, 1:], np.float32).reshape(1, side, side, -1)
    grid = ops.image.resize(
        ops.convert_to_tensor(grid), (rows, columns), interpolation="bicubic",
        data_format="channels_last", antialias=False,
    )  # fmt: skip
    grid = np.asarray(ops.convert_to_numpy(grid)).reshape(1, rows * columns, -1)
    return np.concatenate([positions[:, :1], grid], axis=1)
