"""What scores need of a picture's logits, small enough to keep: its loss and its classes.

Classes are packed three to a float32, which holds whole numbers below 2**24 exactly.
"""

from typing import Any

import numpy as np

IN_ONE = 3


def packed(classes: Any) -> Any:
    """Numbers below 256, [batch, height, width] of JAX, as float32 [batch, about a third]."""
    import jax.numpy as jnp

    flat = classes.reshape(classes.shape[0], -1).astype(jnp.float32)
    flat = jnp.pad(flat, ((0, 0), (0, -flat.shape[1] % IN_ONE)))
    parts = flat.reshape(flat.shape[0], -1, IN_ONE)
    return parts[..., 0] + 256.0 * parts[..., 1] + 65536.0 * parts[..., 2]


def unpacked(numbers: np.ndarray, height: int, width: int) -> np.ndarray:
    """The classes again: uint8 [n, height, width]."""
    whole = numbers.astype(np.uint32)
    parts = np.stack([whole & 255, whole >> 8 & 255, whole >> 16], axis=-1).astype(np.uint8)
    return parts.reshape(len(numbers), -1)[:, : height * width].reshape(-1, height, width)
