"""Dropout whose random numbers cost a few operations a value.

Keras draws them by Threefry, whose twenty rounds are for more than this needs: in a Transformer for
translation they were a seventh of a step on a CPU.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

GOLDEN = 0x9E3779B9
"""Two to the 32nd over the golden ratio: what spreads whole numbers evenly."""


class Drop(layers.Dropout):
    """`keras.layers.Dropout` whose mask on JAX is a hash of each value's place.

    The key is what the layer's seed generator gives, another one each time. On other backends it is
    Keras' own.
    """

    def call(self, inputs: Any, training: bool = False) -> Any:
        """The inputs, in training with a share of them zero and the rest so much larger."""
        key = self.key(training)
        if key is None:
            return super().call(inputs, training=training)
        import jax.numpy as jnp

        shape = tuple(inputs.shape)
        if self.noise_shape is not None:
            pairs = zip(self.noise_shape, shape, strict=True)
            shape = tuple(own if own is not None else other for own, other in pairs)
        bits = hashed(shape, key)
        limit = min(round(self.rate * 2**32), 2**32 - 1)
        scale = 0.0 if self.rate == 1 else 1.0 / (1.0 - self.rate)
        return jnp.where(bits >= jnp.uint32(limit), inputs * scale, jnp.zeros((), inputs.dtype))

    def key(self, training: bool | None) -> Any:
        """uint32 [2], another one each time; None where nothing is dropped, or by Keras."""
        if keras.backend.backend() != "jax" or not training or self.rate == 0:
            return None
        return self.seed_generator.next()


def hashed(shape: Sequence[int], key: Any) -> Any:
    """Random bits by place: uint32 of a shape of at most 2^32 values.

    Each is the place mixed with one half of the key, and the result with the other, by the
    `lowbias32` of C. Wellons' search for integer hashes (2018).

    Args:
        shape: Of the result.
        key: uint32 [2].
    """
    import jax
    import jax.numpy as jnp

    count = 1
    for size in shape:
        count *= size
    first = _mixed(key[0] ^ jnp.uint32(GOLDEN))
    second = _mixed(first ^ key[1])
    third = _mixed(second + jnp.uint32(GOLDEN))
    places = jax.lax.iota(jnp.uint32, count).reshape(tuple(shape))
    return _mixed(_mixed(places ^ second) ^ third)


def _mixed(values: Any) -> Any:
    """A bijection of uint32 that changes half of the bits where one changes."""
    import jax.numpy as jnp

    values = (values ^ (values >> 16)) * jnp.uint32(0x7FEB352D)
    values = (values ^ (values >> 15)) * jnp.uint32(0x846CA68B)
    return values ^ (values >> 16)
