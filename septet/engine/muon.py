"""Muon for every matrix that a network holds, also where several lie in one array of weights.

Keras' own takes arrays of two sizes alone and gives the rest to AdamW. Here the kernels of
members that are trained side by side, [members, inputs, outputs], are as many matrices, and
those of convolutions, [height, width, channels, filters], one of all inputs by filters
(Jordan et al. 2024; scaled as in Liu et al., arXiv:2502.16982).
"""

from collections.abc import Sequence
from typing import Any

import keras

# Its functions are typed as giving None.
ops: Any = keras.ops


class Muon(keras.optimizers.Muon):
    """Orthogonalised momentum for hidden matrices, AdamW for all else.

    All else is what Keras' own leaves out (embeddings, biases, scales) and the last matrix of
    the network, which is the output layer's.
    """

    def build(self, var_list: Sequence[Any]) -> None:
        """Make the variables of momentum for `var_list`."""
        matrices = [variable.path for variable in var_list if _is_matrix(variable)]
        self.last = matrices[-1] if matrices else None
        super().build(var_list)

    def _should_use_adamw(self, variable: Any) -> bool:
        is_embedding = "embedding" in variable.path.lower()
        return not _is_matrix(variable) or is_embedding or variable.path == self.last

    def _muon_update_step(self, gradient: Any, variable: Any, lr: Any, m: Any) -> None:
        self.assign(m, gradient + self.momentum * m)
        ahead = gradient + self.momentum * m
        matrices = ops.reshape(ahead, _as_matrices(variable.shape))
        update: Any = self.zeropower_via_newtonschulz5(matrices, self.ns_steps)
        scale = self.rms_rate * max(update.shape[-2:]) ** 0.5
        self.assign_sub(variable, lr * scale * ops.reshape(update, variable.shape))


def _is_matrix(variable: Any) -> bool:
    """Whether there are inputs and outputs; biases of members, [members, outputs], are none."""
    return len(variable.shape) > 1 and "bias" not in variable.path.rpartition("/")[2]


def _as_matrices(shape: Sequence[int]) -> tuple[int, ...]:
    """[members, inputs, outputs] as it is, a convolution's kernel as [inputs, filters]."""
    return (-1, shape[-1]) if len(shape) > 3 else tuple(shape)
