"""Spectral normalisation of a layer's weight (Miyato et al., arXiv:1802.05957).

Keras' own layer divides the weight in training alone, and on some backends for good; this one
keeps the weight as it is and divides what it uses, in inference too, on every backend.
"""

from typing import Any

import keras
from keras import layers

# Its functions are typed as giving None.
ops: Any = keras.ops

SMALLEST = 1e-12
"""Lengths below count as this, so that a weight of zeros gives zeros."""


class SpectralNormalization(layers.Wrapper):
    """A layer with a kernel, which is divided by its largest singular value.

    The value is found by one step of the power iteration at each training step, whose vector
    is kept; neither the vector nor its partner has a gradient.
    """

    def build(self, input_shape: Any = None) -> None:
        """The layer's weights, and a vector of all but the kernel's last axis."""
        super().build(input_shape)
        kernel: Any = self.layer.kernel
        size = 1
        for length in kernel.shape[:-1]:
            size *= length
        self.vector = self.add_weight(
            (size,), initializer="random_normal", trainable=False, name="vector", dtype="float32"
        )

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """What the layer gives with the divided kernel."""
        kernel: Any = self.layer.kernel
        matrix = ops.cast(ops.reshape(kernel, (-1, kernel.shape[-1])), "float32")
        fixed = ops.stop_gradient(matrix)
        vector = _unit(ops.cast(ops.convert_to_tensor(self.vector), "float32"))
        partner = _unit(ops.matmul(vector, fixed))
        if training:
            vector = _unit(ops.matmul(fixed, partner))
            self.vector.assign(vector)
        largest = ops.sum(ops.matmul(vector, matrix) * partner)
        scale = ops.cast(1.0 / ops.maximum(largest, SMALLEST), kernel.dtype)
        values = [v * scale if v is kernel else v.value for v in self.layer.trainable_variables]
        fixed_values = [v.value for v in self.layer.non_trainable_variables]
        return self.layer.stateless_call(values, fixed_values, inputs)[0]

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The layer's."""
        return self.layer.compute_output_shape(input_shape)


def _unit(vector: Any) -> Any:
    return vector / ops.maximum(ops.norm(vector), SMALLEST)
