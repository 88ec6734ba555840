"""The losses by name: how Keras trains on them and how a host recomputes them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from septet.errors import ConfigError

FOCUS = 2.0
"""How much less of a focal loss what is known already counts for (arXiv:1708.02002, gamma)."""


@dataclass(frozen=True)
class Loss:
    """One loss by name; "sigmoid" has targets [n, k], 1 for every label that an example has.

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


def _is_soft(targets: Any, outputs: Any) -> bool:
    """Whether targets are shares of all classes, [n, k], as mixed examples have them."""
    return len(targets.shape) == 2 and targets.shape[-1] == outputs.shape[-1] > 1


def _of_classes(
    hard: Callable[[Any, Any], Any], soft: Callable[[Any, Any], Any]
) -> Callable[[Any, Any], Any]:
    """`hard` of labels [n], or `soft` of shares of classes [n, k] and logits [n, k]."""
    each = _of_each(hard)

    def chosen(targets: Any, outputs: Any) -> Any:
        return (soft if _is_soft(targets, outputs) else each)(targets, outputs)

    return chosen


def _soft_cross_entropy(shares: Any, logits: Any) -> Any:
    import keras

    ops: Any = keras.ops
    return -ops.sum(shares * ops.log_softmax(logits, axis=-1), axis=-1)


def _soft_focal(shares: Any, logits: Any) -> Any:
    import keras

    ops: Any = keras.ops
    known = ops.log_softmax(logits, axis=-1)
    return -ops.sum(shares * (1.0 - ops.exp(known)) ** FOCUS * known, axis=-1)


def _soft_accuracy(shares: Any, logits: Any) -> Any:
    """Whether the class of the largest share is answered."""
    import keras

    ops: Any = keras.ops
    right = ops.equal(ops.argmax(shares, axis=-1), ops.argmax(logits, axis=-1))
    return ops.cast(right, "float32")


def _soft_smoothed(shares: Any, logits: Any, smoothing: float) -> Any:
    import keras

    ops: Any = keras.ops
    spread = -ops.mean(ops.log_softmax(logits, axis=-1), axis=-1)
    return (1.0 - smoothing) * _soft_cross_entropy(shares, logits) + smoothing * spread


def _class_arguments(
    loss: Callable[[Any, Any], Any], soft: Callable[[Any, Any], Any] = _soft_cross_entropy
) -> dict[str, Any]:
    import keras

    accuracy = _of_classes(keras.metrics.sparse_categorical_accuracy, _soft_accuracy)
    return {
        "loss": _of_classes(loss, soft),
        "metrics": [keras.metrics.MeanMetricWrapper(accuracy, name="accuracy")],
    }


def _cross_entropy(labels: Any, logits: Any) -> Any:
    import keras

    return keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)


def _focal(labels: Any, logits: Any) -> Any:
    import keras

    ops: Any = keras.ops
    loss = _cross_entropy(labels, logits)
    # What is lost is -log p of the right class.
    return (1.0 - ops.exp(-loss)) ** FOCUS * loss


def _smoothed(labels: Any, logits: Any, smoothing: float) -> Any:
    import keras

    ops: Any = keras.ops
    spread = -ops.mean(ops.log_softmax(logits, axis=-1), axis=-1)
    return (1.0 - smoothing) * _cross_entropy(labels, logits) + smoothing * spread


Parts = tuple[np.ndarray, np.ndarray]
"""-log p of the right class and of all classes on average, float64 [n] each."""


def _measure_classes(
    logits: np.ndarray, labels: np.ndarray, loss: Callable[[Parts], np.ndarray]
) -> dict[str, float]:
    logits = logits.astype(np.float64)
    top = logits.max(axis=-1, keepdims=True)
    log_total = np.log(np.exp(logits - top).sum(axis=-1)) + top[:, 0]
    chosen = np.take_along_axis(logits, labels[:, None].astype(np.int64), axis=-1)[:, 0]
    lost = loss((log_total - chosen, log_total - logits.mean(axis=-1)))
    accuracy = (logits.argmax(axis=-1) == labels).mean()
    return {"loss": float(lost.mean()), "accuracy": float(accuracy)}


def _smoothed_cross_entropy(smoothing: float) -> Loss:
    return Loss(
        lambda: _class_arguments(
            partial(_smoothed, smoothing=smoothing), partial(_soft_smoothed, smoothing=smoothing)
        ),
        partial(
            _measure_classes,
            loss=lambda parts: (1.0 - smoothing) * parts[0] + smoothing * parts[1],
        ),
    )


def _number_arguments(name: str) -> dict[str, Any]:
    import keras

    kinds = keras.losses
    function: Any = {
        "squared": kinds.mean_squared_error,
        "absolute": kinds.mean_absolute_error,
        "huber": kinds.huber,
    }[name]

    def loss(targets: Any, outputs: Any) -> Any:
        return function(targets[..., None], outputs)

    def distance(targets: Any, outputs: Any) -> Any:
        return kinds.mean_absolute_error(targets[..., None], outputs)

    metric = keras.metrics.MeanMetricWrapper(_of_each(distance), name="mean_absolute_error")
    return {"loss": _of_each(loss), "metrics": [metric]}


def _measure_numbers(
    outputs: np.ndarray, targets: np.ndarray, loss: Callable[[np.ndarray], np.ndarray]
) -> dict[str, float]:
    errors = outputs.reshape(len(outputs)).astype(np.float64) - targets
    return {
        "loss": float(loss(errors).mean()),
        "mean_absolute_error": float(np.abs(errors).mean()),
    }


def _huber(errors: np.ndarray) -> np.ndarray:
    """Half the square up to 1, and beyond it a line that goes on from there."""
    return np.where(np.abs(errors) <= 1.0, 0.5 * np.square(errors), np.abs(errors) - 0.5)


def _label_arguments() -> dict[str, Any]:
    import keras

    class MicroF1(keras.metrics.F1Score):
        """F1 of all labels together, each given from a probability of one half on."""

        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
            given: Any = keras.ops.cast(y_pred >= 0, "float32")
            return super().update_state(y_true, given, sample_weight)

    def cross_entropy(truths: Any, logits: Any) -> Any:
        return keras.losses.binary_crossentropy(truths, logits, from_logits=True)

    metric = MicroF1(average="micro", threshold=0.5, name="micro_f1", dtype="float32")
    return {"loss": cross_entropy, "metrics": [metric]}


def _measure_labels(logits: np.ndarray, truths: np.ndarray) -> dict[str, float]:
    logits = logits.astype(np.float64)
    is_true, given = truths > 0, logits >= 0
    lost = np.logaddexp(0.0, np.where(is_true, -logits, logits))
    total = is_true.sum() + given.sum()
    f1 = 2 * (is_true & given).sum() / total if total else 0.0
    return {"loss": float(lost.mean()), "micro_f1": float(f1)}


LOSSES: Mapping[str, Loss] = {
    "softmax": Loss(
        partial(_class_arguments, _cross_entropy),
        partial(_measure_classes, loss=lambda parts: parts[0]),
    ),
    "focal": Loss(
        partial(_class_arguments, _focal, _soft_focal),
        partial(_measure_classes, loss=lambda parts: (1.0 - np.exp(-parts[0])) ** FOCUS * parts[0]),
    ),
    "sigmoid": Loss(_label_arguments, _measure_labels),
    "squared": Loss(
        partial(_number_arguments, "squared"), partial(_measure_numbers, loss=np.square)
    ),
    "absolute": Loss(
        partial(_number_arguments, "absolute"), partial(_measure_numbers, loss=np.abs)
    ),
    "huber": Loss(partial(_number_arguments, "huber"), partial(_measure_numbers, loss=_huber)),
}

CHOICES: Mapping[str, Mapping[str, str]] = {
    "softmax": {"cross-entropy": "softmax", "focal": "focal"},
    "squared": {"squared": "squared", "absolute": "absolute", "huber": "huber"},
}
"""What `training.loss` may be for a task's own loss, and what that is in `LOSSES`."""


def loss_name(task: str, own: str, choice: str, smoothing: float) -> str:
    """The key in `LOSSES` of what `training.loss` chooses for a task; `own` where it is "auto".

    Args:
        task: Its name, for messages.
        own: The task's own loss.
        choice: "auto" or a key of `CHOICES[own]`.
        smoothing: Share of each label that is spread over all classes.

    Raises:
        ConfigError: The task has no such loss.
    """
    choices = CHOICES.get(own, {})
    if choice not in ("auto", *choices):
        raise ConfigError(
            f"Setting 'training.loss' is {choice}, which is no loss for {task}. "
            f"Expected one of: {', '.join(('auto', *choices))}."
        )
    name = own if choice == "auto" else choices[choice]
    if smoothing and name != "softmax":
        where = (
            "choose training.loss=cross-entropy" if "cross-entropy" in choices else "set it to 0"
        )
        raise ConfigError(
            f"Setting 'training.label_smoothing' is {smoothing:g}, which needs cross-entropy; "
            f"{where}."
        )
    return name


def chosen_loss(task: str, own: str, choice: str, smoothing: float) -> Loss:
    """The loss that `loss_name` names, with labels smoothed."""
    name = loss_name(task, own, choice, smoothing)
    return _smoothed_cross_entropy(smoothing) if smoothing else LOSSES[name]
