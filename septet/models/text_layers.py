"""Layers of networks that put a text into a class: what is padding, runs of tokens, the maximum."""

from typing import Any

import keras
from keras import layers

# Its functions are typed as giving None.
ops: Any = keras.ops

PADDING = 0
"""The token that is none."""
MULTIPLIER = 0x9E3779B1 - 2**32
"""2^32 over the golden ratio, odd, as int32: products that wrap around spread well (Knuth)."""
SHIFT = 15


class NotPadding(layers.Layer):
    """Tokens [batch, time] -> bool [batch, time], true where there is one."""

    def call(self, tokens: Any) -> Any:
        """See the class."""
        return ops.not_equal(tokens, PADDING)

    def compute_output_spec(self, tokens: Any) -> Any:
        """Bool of the same shape."""
        return keras.KerasTensor(tokens.shape, dtype="bool")


class HashedRuns(layers.Layer):
    """Runs of 2 to `longest` tokens as numbers from 1 to `buckets`; 0 where padding is in one.

    Int [batch, time] -> int [batch, (longest - 1) * time]: first the pair that begins at each
    token, then the runs of three, and so on. Different runs may share a number, as the words of
    fastText do (Joulin et al., arXiv:1607.01759).
    """

    def __init__(self, longest: int, buckets: int, **rest: Any):
        """See the class."""
        super().__init__(**rest)
        self.longest = longest
        self.buckets = buckets

    def call(self, tokens: Any) -> Any:
        """See the class."""
        tokens = ops.cast(tokens, "int32")
        runs, current, alive = [], tokens, ops.not_equal(tokens, PADDING)
        for count in range(1, self.longest):
            following = later(tokens, count)
            alive = ops.logical_and(alive, ops.not_equal(following, PADDING))
            current = current * MULTIPLIER + following
            current = ops.bitwise_xor(current, ops.right_shift(current, SHIFT))
            numbers = ops.mod(current, self.buckets) + 1
            runs.append(ops.where(alive, numbers, PADDING))
        return ops.concatenate(runs, axis=1)

    def compute_output_spec(self, tokens: Any) -> Any:
        """Int32, as long as all runs."""
        batch, time = tokens.shape
        time = None if time is None else time * (self.longest - 1)
        return keras.KerasTensor((batch, time), dtype="int32")


def later(tokens: Any, count: int) -> Any:
    """Tokens [batch, time] moved `count` places to the front, with padding after them."""
    time = ops.shape(tokens)[1]
    padded = ops.pad(tokens, ((0, 0), (0, count)), constant_values=PADDING)
    return ops.slice(padded, (0, count), (ops.shape(tokens)[0], time))


class Windows(layers.Layer):
    """The vectors of `size` positions around each, one after another; beyond the ends zeros.

    [batch, time, dim] -> [batch, time, size * dim]. A dense layer over it is a convolution.
    """

    def __init__(self, size: int, **rest: Any):
        """See the class."""
        super().__init__(**rest)
        self.supports_masking = True
        self.size = size

    def call(self, features: Any) -> Any:
        """See the class."""
        before = (self.size - 1) // 2
        batch, time, dim = ops.shape(features)
        padded = ops.pad(features, ((0, 0), (before, self.size - 1 - before), (0, 0)))
        parts = [ops.slice(padded, (0, at, 0), (batch, time, dim)) for at in range(self.size)]
        return ops.concatenate(parts, axis=2)

    def compute_output_spec(self, features: Any) -> Any:
        """Wider."""
        *front, dim = features.shape
        return keras.KerasTensor((*front, dim * self.size), dtype=features.dtype)


class Hidden(layers.Layer):
    """Vectors where there is a token, zeros where there is padding."""

    def __init__(self, **rest: Any):
        """See the class."""
        super().__init__(**rest)
        self.supports_masking = True

    def call(self, features: Any, mask: Any = None) -> Any:
        """[batch, time, dim], bool [batch, time] -> [batch, time, dim]."""
        return features * ops.cast(mask, features.dtype)[:, :, None]

    def compute_output_shape(self, features_shape: Any, mask_shape: Any = None) -> Any:
        """The same."""
        del mask_shape
        return features_shape


class MaskedMaximum(layers.Layer):
    """The largest over time of what is not masked; 0 where all is."""

    LOWEST = -1e9

    def compute_mask(self, *given: Any, **named: Any) -> None:
        """None is left: there is no time."""

    def call(self, features: Any, mask: Any = None) -> Any:
        """[batch, time, dim], bool [batch, time] -> [batch, dim]."""
        lowest = ops.cast(self.LOWEST, features.dtype)
        largest = ops.max(ops.where(mask[:, :, None], features, lowest), axis=1)
        return ops.where(ops.any(mask, axis=1)[:, None], largest, ops.zeros_like(largest))

    def compute_output_shape(self, features_shape: Any, mask_shape: Any = None) -> Any:
        """Without time."""
        del mask_shape
        return (features_shape[0], features_shape[2])
