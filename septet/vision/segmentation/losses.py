"""Losses of every pixel's class: cross-entropy, focal, Dice and sums of them.

One number for each picture; pixels of 255 count nothing. The same functions train and validate.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from septet.errors import ConfigError
from septet.vision.segmentation.legend import IGNORED

FOCUS = 2.0
"""How much less of a focal loss what is known already counts for (arXiv:1708.02002, gamma)."""
CHOICES: Mapping[str, tuple[str, ...]] = {
    "auto": ("cross-entropy", "dice"),
    "cross-entropy": ("cross-entropy",),
    "focal": ("focal",),
    "dice": ("dice",),
    "cross-entropy+dice": ("cross-entropy", "dice"),
    "focal+dice": ("focal", "dice"),
}
"""What `training.loss` may be, as terms that are added."""


def terms_of(choice: str, task: str) -> tuple[str, ...]:
    """The terms of `training.loss`; ConfigError where it is no loss for pixels."""
    if choice not in CHOICES:
        raise ConfigError(
            f"Setting 'training.loss' is {choice}, which is no loss for {task}. "
            f"Expected one of: {', '.join(CHOICES)}."
        )
    return CHOICES[choice]


def of_each_picture(
    masks: Any,
    logits: Any,
    *,
    terms: Sequence[str],
    smoothing: float = 0.0,
    weights: Sequence[float] | None = None,
) -> Any:
    """Loss of each picture, float32 [batch].

    Args:
        masks: Numbers [batch, height, width].
        logits: [batch, height, width, classes].
        terms: Added with equal weight: "cross-entropy", "focal", "dice".
        smoothing: Share of each label that is spread over all classes, for cross-entropy.
        weights: Of each class, for cross-entropy and focal.
    """
    import keras

    ops: Any = keras.ops
    # One class after the other: processors add rows of pixels, not nine neighbours.
    logits = ops.transpose(ops.cast(logits, "float32"), (0, 3, 1, 2))
    chosen, is_known = chosen_of(masks, logits.shape[1])
    log_shares = ops.log_softmax(logits, axis=1)
    total = 0.0
    for term in terms:
        if term == "dice":
            total += _dice(chosen, ops.exp(log_shares) * is_known[:, None], ops)
            continue
        lost = -ops.sum(chosen * log_shares, axis=1)
        if term == "focal":
            lost *= (1.0 - ops.exp(-lost)) ** FOCUS
        elif smoothing:
            spread = -ops.mean(log_shares, axis=1) * is_known
            lost = (1.0 - smoothing) * lost + smoothing * spread
        counted = is_known
        if weights is not None:
            each = ops.reshape(ops.convert_to_tensor(list(weights), "float32"), (-1, 1, 1))
            counted = ops.sum(chosen * each, axis=1)
            lost *= counted
        # By the picture's own known pixels; one without any loses nothing.
        total += ops.sum(lost, axis=(1, 2)) / ops.maximum(ops.sum(counted, axis=(1, 2)), 1e-6)
    return total


def accuracy_of_each_picture(masks: Any, logits: Any) -> Any:
    """Share of each picture's known pixels whose class has the largest logit: float32 [batch]."""
    import keras

    ops: Any = keras.ops
    logits = ops.transpose(ops.cast(logits, "float32"), (0, 3, 1, 2))
    chosen, is_known = chosen_of(masks, logits.shape[1])
    is_right = ops.sum(chosen * logits, axis=1) >= ops.max(logits, axis=1)
    right = ops.cast(is_right, "float32") * is_known
    return ops.sum(right, axis=(1, 2)) / ops.maximum(ops.sum(is_known, axis=(1, 2)), 1.0)


def chosen_of(masks: Any, num_classes: int) -> tuple[Any, Any]:
    """One where a class is: float32 [batch, classes, height, width]; and where any is known."""
    import keras

    ops: Any = keras.ops
    masks = ops.cast(masks, "int32")
    classes = ops.reshape(ops.arange(num_classes, dtype="int32"), (-1, 1, 1))
    chosen = ops.cast(masks[:, None] == classes, "float32")
    return chosen, ops.cast(masks != IGNORED, "float32")


def _dice(chosen: Any, shares: Any, ops: Any) -> Any:
    """1 less the mean Dice coefficient of a picture's classes (arXiv:1606.04797)."""
    both = 2.0 * ops.sum(chosen * shares, axis=(2, 3))
    actual = ops.sum(chosen, axis=(2, 3))
    either = actual + ops.sum(shares, axis=(2, 3))
    is_there = ops.cast(actual > 0, "float32")
    coefficients = (both + 1.0) / (either + 1.0) * is_there
    count = ops.sum(is_there, axis=-1)
    mean = ops.sum(coefficients, axis=-1) / ops.maximum(count, 1.0)
    return ops.where(count > 0, 1.0 - mean, 0.0)


def balanced(shares: Sequence[float]) -> list[float]:
    """A weight for each class by the inverse root of its share of pixels; their mean is 1.

    The root: in pictures the background can have a thousand times a class' pixels.
    """
    inverse = [share**-0.5 if share > 0 else 0.0 for share in shares]
    scale = sum(value > 0 for value in inverse) / max(sum(inverse), 1e-12)
    return [value * scale for value in inverse]
