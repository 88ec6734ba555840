"""The losses that tasks name: how Keras trains on them and how a host recomputes them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Loss:
    """One loss by name.

    Args:
        compile_arguments: `loss` and `metrics` for `keras.Model.compile`.
        measure: (outputs [n, k], targets [n]) -> mean loss and metrics, in float64.
    """

    compile_arguments: Callable[[], dict[str, Any]]
    measure: Callable[[np.ndarray, np.ndarray], dict[str, float]]


def _of_each(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """`function` of targets [n] and outputs [n, k], or its mean over members [n, members, k].

    Networks of several members say in training what each of them answers.
    """

    def each(targets: Any, outputs: Any) -> Any:
        import keras

        ops: Any = keras.ops
        targets = ops.reshape(targets, (-1,))
        if len(outputs.shape) < 3:
            return function(targets, outputs)
        targets = ops.broadcast_to(targets[:, None], ops.shape(outputs)[:2])
        return ops.mean(function(targets, outputs), axis=1)

    return each


def _softmax_arguments() -> dict[str, Any]:
    import keras

    def loss(labels: Any, logits: Any) -> Any:
        return keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)

    accuracy = _of_each(keras.metrics.sparse_categorical_accuracy)
    return {
        "loss": _of_each(loss),
        "metrics": [keras.metrics.MeanMetricWrapper(accuracy, name="accuracy")],
    }


def _measure_softmax(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    logits = logits.astype(np.float64)
    top = logits.max(axis=-1, keepdims=True)
    log_total = np.log(np.exp(logits - top).sum(axis=-1)) + top[:, 0]
    chosen = np.take_along_axis(logits, labels[:, None].astype(np.int64), axis=-1)[:, 0]
    accuracy = (logits.argmax(axis=-1) == labels).mean()
    return {"loss": float((log_total - chosen).mean()), "accuracy": float(accuracy)}


def _squared_arguments() -> dict[str, Any]:
    import keras

    def square(targets: Any, outputs: Any) -> Any:
        return keras.losses.mean_squared_error(targets[..., None], outputs)

    def distance(targets: Any, outputs: Any) -> Any:
        return keras.losses.mean_absolute_error(targets[..., None], outputs)

    name = "mean_absolute_error"
    return {
        "loss": _of_each(square),
        "metrics": [keras.metrics.MeanMetricWrapper(_of_each(distance), name=name)],
    }


def _measure_squared(outputs: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    errors = outputs.reshape(len(outputs)).astype(np.float64) - targets
    return {
        "loss": float(np.square(errors).mean()),
        "mean_absolute_error": float(np.abs(errors).mean()),
    }


LOSSES: Mapping[str, Loss] = {
    "softmax": Loss(_softmax_arguments, _measure_softmax),
    "squared": Loss(_squared_arguments, _measure_squared),
}
