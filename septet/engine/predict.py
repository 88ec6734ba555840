"""The forward pass for any number of examples, with a handful of compilations in all.

On JAX it is compiled with the CPU lowering; on TensorFlow it is a graph, on PyTorch eager.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from septet import backends
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
        import keras

        # A network of one input takes it as it is, unless it was made with a name for it.
        is_bare = not isinstance(getattr(model, "input", {}), dict)

        def apply(trainable: Any, non_trainable: Any, inputs: Any) -> Any:
            self.num_traces += 1
            if is_bare and len(inputs) == 1:
                (inputs,) = inputs.values()
            with lowered(platform):
                outputs, _ = model.stateless_call(trainable, non_trainable, inputs, training=False)
            return keras.ops.cast(outputs, "float32")

        self.num_traces = 0
        self.batch_size = batch_size
        self._apply = _runner(apply)

    def __call__(
        self, weights: tuple[list[Any], list[Any]], inputs: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        """Outputs [n, ...] float32 for inputs whose first axis is n, which may be 0 or more."""
        num_examples = len(next(iter(inputs.values())))
        weights = _tensors(weights)
        pieces = [
            self._one(
                weights, {name: array[at : at + self.batch_size] for name, array in inputs.items()}
            )
            for at in range(0, max(num_examples, 1), self.batch_size)
        ]
        return np.concatenate(pieces)[:num_examples]

    def _one(self, weights: tuple[Any, Any], inputs: dict[str, np.ndarray]) -> np.ndarray:
        count = len(next(iter(inputs.values())))
        size = min(self.batch_size, 1 << max(count - 1, 0).bit_length())
        padded = {
            name: np.concatenate([array, np.zeros((size - count, *array.shape[1:]), array.dtype)])
            if count < size
            else array
            for name, array in inputs.items()
        }
        return np.asarray(self._apply(*weights, padded))[:count]


def _runner(apply: Apply) -> Apply:
    """`apply` as each backend runs it best; gives what NumPy takes."""
    import keras

    backend = backends.current()
    if backend == "jax":
        import jax

        return jax.jit(apply)
    if backend == "tensorflow":
        import tensorflow as tf  # pyright: ignore[reportMissingModuleSource, reportMissingImports]

        graph = tf.function(apply, reduce_retracing=True)
        return lambda *arguments: keras.ops.convert_to_numpy(graph(*arguments))
    import torch  # pyright: ignore[reportMissingImports]

    def eager(*arguments: Any) -> Any:
        with torch.no_grad():
            return keras.ops.convert_to_numpy(apply(*arguments))

    return eager


def _tensors(weights: tuple[list[Any], list[Any]]) -> tuple[Any, Any]:
    """Weights of the host as the backend takes them; JAX takes any."""
    import keras

    if backends.current() == "jax":
        return weights

    def tensor(value: Any) -> Any:
        # A copy: PyTorch must not be given what cannot be written to, such as a checkpoint's.
        is_host = isinstance(value, np.ndarray)
        return keras.ops.convert_to_tensor(np.array(value) if is_host else value)

    trainable, fixed = ([tensor(value) for value in group] for group in weights)
    return trainable, fixed
