"""The forward pass for any number of examples, with a handful of compilations in all."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from septet.engine.lowering import lowered

Apply = Callable[[Any, Any, Any], Any]


class Predictor:
    """Compiled outputs of a model for batches of any size.

    Sizes are rounded up to a power of two, up to `batch_size`, so that a server that sees
    every size compiles a few programs and not one for each.

    Args:
        model: A built `keras.Model`; its own variables are not read.
        platform: "cpu" or another; decides the lowering.
        batch_size: Most examples computed at once.
    """

    def __init__(self, model: Any, *, platform: str, batch_size: int = 256):
        """See the class."""
        import jax

        # A network of one input takes it as it is, unless it was made with a name for it.
        is_bare = not isinstance(getattr(model, "input", {}), dict)

        def apply(trainable: Any, non_trainable: Any, inputs: Any) -> Any:
            self.num_traces += 1
            if is_bare and len(inputs) == 1:
                (inputs,) = inputs.values()
            with lowered(platform):
                outputs, _ = model.stateless_call(trainable, non_trainable, inputs, training=False)
            return outputs.astype("float32")

        self.num_traces = 0
        self.batch_size = batch_size
        self._apply = jax.jit(apply)

    def __call__(
        self, weights: tuple[list[Any], list[Any]], inputs: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        """Outputs [n, ...] float32 for inputs whose first axis is n, which may be 0 or more."""
        num_examples = len(next(iter(inputs.values())))
        pieces = [
            self._one(
                weights, {name: array[at : at + self.batch_size] for name, array in inputs.items()}
            )
            for at in range(0, max(num_examples, 1), self.batch_size)
        ]
        return np.concatenate(pieces)[:num_examples]

    def _one(
        self, weights: tuple[list[Any], list[Any]], inputs: dict[str, np.ndarray]
    ) -> np.ndarray:
        count = len(next(iter(inputs.values())))
        size = min(self.batch_size, 1 << max(count - 1, 0).bit_length())
        padded = {
            name: np.concatenate([array, np.zeros((size - count, *array.shape[1:]), array.dtype)])
            if count < size
            else array
            for name, array in inputs.items()
        }
        return np.asarray(self._apply(*weights, padded))[:count]
