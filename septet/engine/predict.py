"""The forward pass for any number of examples, with a handful of compilations in all.

On JAX it is compiled with the CPU lowering; on TensorFlow it is a graph, on PyTorch eager.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from septet import backends
from septet.engine.lowering import lowered
from septet.task import Summarize

Apply = Callable[[Any, Any, Any], Any]


class Predictor:
    """Compiled outputs of a model for batches of any size.

    Sizes are rounded up to a power of two, up to `batch_size`, so that a server that sees
    every size compiles a few programs and not one for each.

    Args:
        model: A built `keras.Model`; its own variables are not read.
        platform: "cpu" or another; decides the lowering.
        batch_size: Most examples computed at once.
        summarize: What `summaries` keeps of outputs and targets; pure JAX.
    """

    def __init__(
        self,
        model: Any,
        *,
        platform: str,
        batch_size: int = 256,
        summarize: Summarize | None = None,
    ):
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
        self._summarize = None if summarize is None else _jitted(summarize)

    def __call__(
        self, weights: tuple[list[Any], list[Any]], inputs: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        """Outputs [n, ...] float32 for inputs whose first axis is n, which may be 0 or more."""
        return self._pieces(weights, inputs, None)

    def summaries(
        self,
        weights: tuple[list[Any], list[Any]],
        inputs: Mapping[str, np.ndarray],
        targets: np.ndarray,
    ) -> np.ndarray:
        """What `summarize` makes of outputs and targets [n, ...]: float32 [n, ...]."""
        assert self._summarize is not None
        return self._pieces(weights, inputs, targets)

    def _pieces(
        self,
        weights: tuple[list[Any], list[Any]],
        inputs: Mapping[str, np.ndarray],
        targets: np.ndarray | None,
    ) -> np.ndarray:
        num_examples = len(next(iter(inputs.values())))
        weights = _tensors(weights)
        pieces = []
        for at in range(0, max(num_examples, 1), self.batch_size):
            rows = slice(at, at + self.batch_size)
            piece = {name: array[rows] for name, array in inputs.items()}
            wanted = None if targets is None else targets[rows]
            pieces.append(self._one(weights, piece, wanted))
        return np.concatenate(pieces)[:num_examples]

    def _one(
        self,
        weights: tuple[Any, Any],
        inputs: dict[str, np.ndarray],
        targets: np.ndarray | None,
    ) -> np.ndarray:
        count = len(next(iter(inputs.values())))
        size = min(self.batch_size, 1 << max(count - 1, 0).bit_length())
        padded = {name: _padded(array, size) for name, array in inputs.items()}
        outputs = self._apply(*weights, padded)
        if targets is not None and self._summarize is not None:
            outputs = self._summarize(outputs, _padded(targets, size))
        return np.asarray(outputs)[:count]


def _padded(array: np.ndarray, size: int) -> np.ndarray:
    """`array` with rows of zeros up to `size` rows."""
    if len(array) == size:
        return np.asarray(array)
    return np.concatenate([array, np.zeros((size - len(array), *array.shape[1:]), array.dtype)])


def _jitted(summarize: Summarize) -> Summarize:
    """`summarize`, compiled; it stays on the device until its result is asked for."""
    import jax

    return jax.jit(lambda outputs, targets: summarize(outputs, targets).astype("float32"))


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
