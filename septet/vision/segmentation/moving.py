"""Random changes of pictures and masks together: pure JAX, run inside the compiled program.

All take a key, uint8 pictures [batch, height, width, channels] and uint8 masks [batch, height,
width]. Enlarging and shrinking are two small matrix products for each picture: on a CPU that is
much faster than gathering pixels, and products with zeros and ones keep a mask's numbers exact.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from septet.task import Augment
from septet.vision import augmentation
from septet.vision.segmentation.legend import IGNORED

Both = tuple[jax.Array, jax.Array]
Move = Callable[[jax.Array, jax.Array, jax.Array], Both]


def of_both(moves: Sequence[Move]) -> Augment:
    """All `moves` in order, each with its own key, of {"pictures": ...} and masks as targets."""

    def apply(key: Any, inputs: dict[str, Any], targets: Any) -> tuple[dict[str, Any], Any]:
        pictures, masks = inputs["pictures"], targets
        for place, move in enumerate(moves):
            pictures, masks = move(jax.random.fold_in(key, place), pictures, masks)
        return {**inputs, "pictures": pictures}, masks

    return apply


def of_pictures(change: augmentation.Change) -> Move:
    """A change that leaves masks as they are."""
    return lambda key, pictures, masks: (change(key, pictures), masks)


def flip(key: jax.Array, pictures: jax.Array, masks: jax.Array) -> Both:
    """Mirror left and right with probability one half."""
    chosen = jax.random.bernoulli(key, 0.5, (len(pictures), 1, 1))
    flipped = jnp.where(chosen, masks[:, :, ::-1], masks)
    return jnp.where(chosen[..., None], pictures[:, :, ::-1], pictures), flipped


def scale_and_crop(strength: float) -> Move:
    """Enlarge or shrink, and cut out or fill up at a random place.

    The factor is drawn evenly on a logarithmic scale from `1 - strength` to its inverse. What lies
    outside repeats the picture's edge and is ignored in the mask.
    """

    def apply(key: jax.Array, pictures: jax.Array, masks: jax.Array) -> Both:
        batch, height, width, channels = pictures.shape
        for_scale, for_rows, for_columns = jax.random.split(key, 3)
        low = jnp.log(jnp.float32(1.0 - strength))
        factor = jnp.exp(jax.random.uniform(for_scale, (batch,), minval=low, maxval=-low))
        rows = _sources(for_rows, height, factor)
        columns = _sources(for_columns, width, factor)
        # One channel after the other within a row, as both products want their neighbours.
        moved = pictures.transpose(0, 1, 3, 2).astype(jnp.float32)
        moved = jnp.einsum("bhcw,bjw->bhcj", moved, _bilinear(columns, width))
        moved = moved.reshape(batch, height, channels * width)
        moved = jnp.einsum("bih,bhx->bix", _bilinear(rows, height), moved)
        moved = augmentation.to_bytes(moved.reshape(batch, height, channels, width))
        # One more than the number, so that nothing, from outside, is zero.
        labelled = masks.astype(jnp.float32) + 1.0
        labelled = jnp.einsum("bih,bhw->biw", _nearest(rows, height), labelled)
        labelled = jnp.einsum("bjw,biw->bij", _nearest(columns, width), labelled)
        classes = jnp.where(labelled < 0.5, jnp.float32(IGNORED), labelled - 1.0)
        return moved.transpose(0, 1, 3, 2), augmentation.to_bytes(classes)

    return apply


def _sources(key: jax.Array, length: int, factor: jax.Array) -> jax.Array:
    """Where in the original, along one side, each new pixel's centre lies: float32 [batch, n]."""
    # Enlarged, there is more than fits; shrunk, less: either way by this, half on each side at 0.
    free = length - length / factor
    offset = jax.random.uniform(key, factor.shape, minval=0.0, maxval=1.0) * free
    centres = jnp.arange(length, dtype=jnp.float32) + 0.5
    return centres[None] / factor[:, None] + offset[:, None] - 0.5


def _bilinear(sources: jax.Array, length: int) -> jax.Array:
    """Weights [batch, new, old] of linear interpolation; the edge is repeated."""
    places = jnp.clip(sources, 0, length - 1)[..., None]
    return jnp.maximum(0.0, 1.0 - jnp.abs(places - jnp.arange(length, dtype=jnp.float32)))


def _nearest(sources: jax.Array, length: int) -> jax.Array:
    """One at the nearest pixel, nothing where that lies outside: [batch, new, old]."""
    nearest = jnp.floor(sources + 0.5)[..., None]
    return (nearest == jnp.arange(length, dtype=jnp.float32)).astype(jnp.float32)


def cutout(pixels: int) -> Move:
    """Cover a square of `pixels` a side, centred anywhere, with the picture's mean.

    There the mask is ignored.
    """

    def apply(key: jax.Array, pictures: jax.Array, masks: jax.Array) -> Both:
        batch, height, width, _ = pictures.shape
        for_row, for_column = jax.random.split(key)
        top = jax.random.randint(for_row, (batch, 1), 0, height) - pixels // 2
        left = jax.random.randint(for_column, (batch, 1), 0, width) - pixels // 2
        rows, columns = jnp.arange(height)[None], jnp.arange(width)[None]
        in_rows = (rows >= top) & (rows < top + pixels)
        in_columns = (columns >= left) & (columns < left + pixels)
        covered = in_rows[:, :, None] & in_columns[:, None, :]
        middle = augmentation.to_bytes(
            pictures.astype(jnp.float32).mean(axis=(1, 2), keepdims=True)
        )
        kept = jnp.where(covered, jnp.uint8(IGNORED), masks)
        return jnp.where(covered[..., None], middle, pictures), kept

    return apply
