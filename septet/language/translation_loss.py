"""The loss of networks that say the next token: cross-entropy over what is no padding."""

from functools import partial
from typing import Any

import numpy as np

from septet.engine.losses import Loss
from septet.language.tokenizer_schema import PAD

PARTS = ("lost", "spread", "right", "count")
"""What is summed over the tokens of a row: -log p of the right token, of all on average, ..."""


def token_loss(smoothing: float) -> Loss:
    """Cross-entropy of logits [rows, time, vocabulary] and token numbers [rows, time].

    The mean is over tokens; `measure` takes the sums that `summarized` gives.

    Args:
        smoothing: Share of each label that is spread over all tokens.
    """
    return Loss(
        partial(_compile_arguments, smoothing),
        lambda sums, _: measured(sums, smoothing),
    )


def _compile_arguments(smoothing: float) -> dict[str, Any]:
    import keras

    def loss(labels: Any, logits: Any) -> Any:
        lost, spread, _, is_token = _parts(labels, logits)
        each = (1.0 - smoothing) * lost + smoothing * spread if smoothing else lost
        return _of_rows(each, is_token)

    def accuracy(labels: Any, logits: Any) -> Any:
        _, _, right, is_token = _parts(labels, logits)
        return _of_rows(right, is_token)

    return {
        "loss": loss,
        "metrics": [keras.metrics.MeanMetricWrapper(accuracy, name="accuracy")],
    }


def _parts(labels: Any, logits: Any) -> tuple[Any, Any, Any, Any]:
    """Of each token: -log p of the right one, of all on average, whether right, whether one."""
    import keras

    ops: Any = keras.ops
    logits = ops.cast(logits, "float32")
    labels = ops.cast(labels, "int32")
    size = logits.shape[-1]
    total = ops.logsumexp(logits, axis=-1)
    # A comparison in place of a gather, whose gradient would be written one by one.
    is_label = ops.equal(ops.arange(size)[None, None, :], labels[:, :, None])
    chosen = ops.sum(ops.where(is_label, logits, 0.0), axis=-1)
    right = ops.cast(chosen >= ops.max(logits, axis=-1), "float32")
    is_token = ops.cast(ops.not_equal(labels, PAD), "float32")
    return total - chosen, total - ops.mean(logits, axis=-1), right, is_token


def _of_rows(values: Any, is_token: Any) -> Any:
    """A number for each row, whose mean over the rows is the mean over all tokens."""
    import keras

    ops: Any = keras.ops
    count = ops.maximum(ops.sum(is_token), 1.0)
    rows = ops.cast(ops.shape(values)[0], "float32")
    return ops.sum(values * is_token, axis=1) * rows / count


def summarized(logits: Any, labels: Any) -> Any:
    """The sums that `PARTS` names over the tokens of each row: float32 [rows, 4]."""
    import keras

    ops: Any = keras.ops
    *values, is_token = _parts(labels, logits)
    sums = [ops.sum(value * is_token, axis=1) for value in values]
    return ops.stack([*sums, ops.sum(is_token, axis=1)], axis=1)


def measured(sums: np.ndarray, smoothing: float) -> dict[str, float]:
    """Loss, accuracy and perplexity of the sums of rows, in float64."""
    lost, spread, right, count = sums.astype(np.float64).sum(axis=0).tolist()
    count = max(count, 1.0)
    return {
        "loss": ((1.0 - smoothing) * lost + smoothing * spread) / count,
        "accuracy": right / count,
        "perplexity": float(np.exp(min(lost / count, 700.0))),
    }
