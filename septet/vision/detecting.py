"""What a detector is trained on and how its boxes become answers: assignment, loss, suppression.

Boxes are left, top, right and bottom in pixels of the network's picture; targets
[batch, most, 5] are class and box, with class -1 where there is none. The loss is written in
Keras' operations, so that every backend has it; suppression is JAX, compiled on the device.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

CENTRE = 1.5
"""Places within so many strides of a box's middle learn it (FCOS' centre sampling)."""
REACH = (2.0, 8.0)
"""A level learns boxes whose longer side is within these many strides; the first level also
smaller, the last also larger ones. Levels overlap, so that most boxes are learned by two."""
FOCUS = 2.0
BOX_WEIGHT = 2.0
CANDIDATES = 512
KEPT = 100
"""Most boxes of a picture, as COCO counts them."""
LEAST_SCORE = 0.02
OVERLAP = 0.5
"""Of two boxes of a class that overlap by more (intersection over union) the better is kept."""


class DetectionLoss:
    """Quality focal loss of the classes and generalised IoU of the boxes.

    A place's logit of the right class is trained towards the overlap of its own box with the
    true one, all others towards 0, weighed by the square of how far off they are (Lin et al.
    2017, arXiv:1708.02002; Li et al. 2020, arXiv:2006.04388). Boxes: Rezatofighi et al. 2019,
    arXiv:1902.09630. Both are sums over places divided by the number of places that learn a
    box, averaged over the batch.

    Args:
        middles: x and y of each place, float32 [places, 2].
        strides: Stride of each place, float32 [places].
        ops: What computes: Keras' operations by default, or `jax_operations()`.
    """

    def __init__(self, middles: np.ndarray, strides: np.ndarray, ops: Any = None):
        """See the class."""
        if ops is None:
            import keras

            ops = keras.ops
        self.ops: Any = ops
        self.middles = middles
        self.strides = strides
        self.is_first = strides == strides.min()
        self.is_last = strides == strides.max()

    def __call__(self, targets: Any, outputs: Any) -> Any:
        """The loss of each picture, [batch]; their mean is that of the batch."""
        ops = self.ops
        focal, apart, count = self.parts(targets, outputs)
        mean_count = ops.maximum(ops.mean(count), 1.0)
        return (focal + BOX_WEIGHT * apart) / mean_count

    def parts(self, targets: Any, outputs: Any) -> tuple[Any, Any, Any]:
        """Focal sum, box sum, and places that learn a box, of each picture: [batch] each."""
        ops = self.ops
        outputs = ops.cast(outputs, "float32")
        targets = ops.cast(targets, "float32")
        logits, boxes = outputs[..., :-4], outputs[..., -4:]
        chosen, learns = self.assign(targets)
        wanted = ops.take_along_axis(targets, chosen[..., None], axis=1)
        truths = wanted[..., 1:]
        learns = ops.cast(learns, "float32")
        generalised, overlap = overlaps_of(boxes, truths, ops)
        quality = ops.stop_gradient(ops.clip(overlap, 0.0, 1.0)) * learns
        labels = ops.cast(wanted[..., 0], "int32")
        aims = ops.one_hot(labels, logits.shape[-1], dtype="float32") * quality[..., None]
        probabilities = ops.sigmoid(logits)
        entropy = ops.relu(logits) - logits * aims + ops.softplus(-ops.abs(logits))
        focal = ops.sum(ops.square(ops.abs(aims - probabilities)) * entropy, axis=(1, 2))
        apart = ops.sum((1.0 - generalised) * learns, axis=1)
        return focal, apart, ops.sum(learns, axis=1)

    def assign(self, targets: Any) -> tuple[Any, Any]:
        """Which target each place learns, int32 [batch, places], and whether it learns any.

        Of several, the smallest.
        """
        ops = self.ops
        x = ops.convert_to_tensor(self.middles[:, :1])
        y = ops.convert_to_tensor(self.middles[:, 1:])
        strides = ops.convert_to_tensor(self.strides[:, None])
        sides = [targets[:, None, :, place] for place in range(1, 5)]
        left, top, right, bottom = sides
        width, height = right - left, bottom - top
        is_inside = (x > left) & (x < right) & (y > top) & (y < bottom)
        near_x = ops.abs(x - (left + right) / 2) < CENTRE * strides
        near_y = ops.abs(y - (top + bottom) / 2) < CENTRE * strides
        longer = ops.maximum(width, height)
        low = np.where(self.is_first, 0.0, REACH[0] * self.strides).astype(np.float32)
        high = np.where(self.is_last, 1e9, REACH[1] * self.strides).astype(np.float32)
        fits = longer >= ops.convert_to_tensor(low[:, None])
        fits = fits & (longer <= ops.convert_to_tensor(high[:, None]))
        fits = fits & (targets[:, None, :, 0] >= 0)
        allowed = is_inside & near_x & near_y & fits
        cost = ops.where(allowed, width * height, 1e12)
        chosen = ops.cast(ops.argmin(cost, axis=-1), "int32")
        return chosen, ops.any(allowed, axis=-1)


def overlaps_of(boxes: Any, truths: Any, ops: Any) -> tuple[Any, Any]:
    """Generalised IoU, -1 to 1, and IoU, 0 to 1, of boxes [..., 4], one by one."""

    def area(low: Any, high: Any) -> Any:
        sides = ops.maximum(high - low, 0.0)
        return sides[..., 0] * sides[..., 1]

    starts, ends = (boxes[..., :2], truths[..., :2]), (boxes[..., 2:], truths[..., 2:])
    shared = area(ops.maximum(*starts), ops.minimum(*ends))
    union = area(starts[0], ends[0]) + area(starts[1], ends[1]) - shared
    hull = area(ops.minimum(*starts), ops.maximum(*ends))
    overlap = shared / ops.maximum(union, 1e-6)
    return overlap - (hull - union) / ops.maximum(hull, 1e-6), overlap


def jax_operations() -> Any:
    """Those of Keras' operations that the loss needs, on JAX whatever backend Keras has."""
    import jax
    import jax.numpy as jnp

    names = ("abs", "any", "argmin", "clip", "maximum", "mean", "minimum", "square", "sum")
    same = {name: getattr(jnp, name) for name in (*names, "take_along_axis", "where")}
    return SimpleNamespace(
        **same,
        cast=lambda values, kind: jnp.asarray(values).astype(kind),
        convert_to_tensor=jnp.asarray,
        one_hot=jax.nn.one_hot,
        relu=jax.nn.relu,
        sigmoid=jax.nn.sigmoid,
        softplus=jax.nn.softplus,
        stop_gradient=jax.lax.stop_gradient,
    )


def suppressed(outputs: Any, size: tuple[int, int]) -> Any:
    """The boxes of each picture, best first: float32 [batch, KEPT, 6], pure JAX.

    Each row is score, class, left, top, right and bottom, cut at the picture; where there are
    no more, the score is 0. Boxes of different classes do not suppress each other.

    Args:
        outputs: The network's, [batch, places, classes + 4].
        size: Height and width of its pictures.
    """
    import jax

    return jax.vmap(lambda one: _suppressed_one(one, size))(outputs)


def _suppressed_one(outputs: Any, size: tuple[int, int]) -> Any:
    import jax
    import jax.numpy as jnp

    logits, boxes = outputs[:, :-4], outputs[:, -4:]
    num_classes = logits.shape[1]
    count = min(CANDIDATES, logits.size)
    scores, order = jax.lax.top_k(jax.nn.sigmoid(logits).reshape(-1), count)
    classes = order % num_classes
    limit = jnp.array([size[1], size[0], size[1], size[0]], boxes.dtype)
    boxes = jnp.clip(boxes[order // num_classes], 0, limit)
    kept = min(KEPT, count)

    def step(left: Any, _: Any) -> tuple[Any, Any]:
        """The best that is left, and what is left without it and its rivals."""
        best = jnp.argmax(left)
        row = jnp.concatenate(
            [jnp.stack([left[best], classes[best].astype(left.dtype)]), boxes[best]]
        )
        is_rival = (classes == classes[best]) & (_overlaps(boxes[best], boxes) > OVERLAP)
        return jnp.where(is_rival, 0.0, left).at[best].set(0.0), row

    alive = jnp.where(scores >= LEAST_SCORE, scores, 0.0)
    _, rows = jax.lax.scan(step, alive, length=kept)
    rows = jnp.where(rows[:, :1] > 0, rows, 0.0)
    return jnp.pad(rows, ((0, KEPT - kept), (0, 0)))


def _overlaps(box: Any, others: Any) -> Any:
    """Intersection over union of one with each: [n]."""
    import jax.numpy as jnp

    sides = jnp.minimum(box[2:], others[:, 2:]) - jnp.maximum(box[:2], others[:, :2])
    shared = jnp.maximum(sides, 0).prod(axis=1)
    areas = (others[:, 2] - others[:, 0]) * (others[:, 3] - others[:, 1])
    own = (box[2] - box[0]) * (box[3] - box[1])
    return shared / jnp.maximum(own + areas - shared, 1e-6)


def summarizer(loss: DetectionLoss, size: tuple[int, int]) -> Callable[[Any, Any], Any]:
    """What scores need of outputs and targets: float32 [batch, KEPT + 1, 6], pure JAX.

    The first row has focal sum, box sum and places of the loss; the others are `suppressed`.
    """

    def summarize(outputs: Any, targets: Any) -> Any:
        import jax.numpy as jnp

        on_jax = DetectionLoss(loss.middles, loss.strides, jax_operations())
        parts = jnp.stack(on_jax.parts(targets, outputs), axis=-1)
        head = jnp.pad(parts, ((0, 0), (0, 3)))[:, None]
        return jnp.concatenate([head, suppressed(outputs, size)], axis=1)

    return summarize
