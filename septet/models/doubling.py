"""A convolution of a picture at twice its size that never makes the larger picture.

Where every pixel stands four times, a 3x3 window sees at most 2x2 different ones. So each of the
four places that a pixel becomes has a 2x2 kernel of its own, sums of the nine weights: fewer than
half of the multiplications (Shi et al. 2016, arXiv:1609.07009, on where convolutions of
enlarged pictures may be done).
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers

# Its functions are typed as giving None.
ops: Any = keras.ops

SUMS = np.array([[[1, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]], np.float32)
"""Which of three weights fall on each of the two pixels seen, for the first and second place."""


class DoublingConv2D(layers.Conv2D):
    """What `UpSampling2D(2)` and then `Conv2D(filters, 3, padding="same")` give, with its weights.

    From [batch, height, width, channels] to [batch, 2 * height, 2 * width, filters].
    """

    def __init__(self, filters: int, **given: Any):
        """As `keras.layers.Conv2D`, whose size and padding are given."""
        super().__init__(filters, **{**given, "kernel_size": 3, "padding": "same"})

    def call(self, inputs: Any) -> Any:
        """See the class."""
        _, height, width, channels = inputs.shape
        sums = ops.cast(SUMS, self.compute_dtype)
        kernel = ops.cast(self.kernel, self.compute_dtype)
        kernels = ops.einsum("pai,qbj,ijcf->abcpqf", sums, sums, kernel)
        kernels = ops.reshape(kernels, (2, 2, channels, 4 * self.filters))
        framed = ops.pad(inputs, ((0, 0), (1, 1), (1, 1), (0, 0)))
        found = ops.conv(framed, kernels, padding="valid", data_format="channels_last")
        found = ops.reshape(found, (-1, height + 1, width + 1, 2, 2, self.filters))
        rows = [
            ops.stack(
                [found[:, p : p + height, q : q + width, p, q] for q in (0, 1)], axis=3
            )
            for p in (0, 1)
        ]  # fmt: skip
        outputs = ops.reshape(ops.stack(rows, axis=2), (-1, 2 * height, 2 * width, self.filters))
        if self.use_bias:
            outputs = ops.add(outputs, self.bias)
        return outputs if self.activation is None else self.activation(outputs)

    def compute_output_shape(self, input_shape: Sequence[Any]) -> tuple[Any, ...]:
        """Twice the height and width, and `filters`."""
        batch, height, width, _ = input_shape
        return batch, 2 * height, 2 * width, self.filters
