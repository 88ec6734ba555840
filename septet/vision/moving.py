"""Random changes on the device that move pictures, boxes and masks together: pure JAX.

A change of place is two maps, one for rows and one for columns, each a line from a pixel's
place in the new picture to one in the old. Pictures then move by two matrix products, which
every processor does fast; masks by two choices of rows and columns. Boxes [batch, most, 5]
are class, left, top, right and bottom in pixels, with class -1 where there is none.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from septet.vision.augmentation import to_bytes

LEAST_SHARE = 0.3
"""A box stays if at least this share of it stays in the picture..."""
LEAST_SIDE = 4.0
"""...and both its sides have so many pixels."""


@dataclass(frozen=True)
class Map:
    """Places in the old picture of places in the new: `start + step * place`, float32 [batch].

    A negative step mirrors. Places are edges of pixels, in pixels.
    """

    start_y: Any
    step_y: Any
    start_x: Any
    step_x: Any


jax.tree_util.register_dataclass(
    Map, data_fields=["start_y", "step_y", "start_x", "step_x"], meta_fields=[]
)


def random_map(
    key: Any,
    batch: int,
    size: tuple[int, int],
    *,
    flip: bool,
    scale: float,
    shift: float,
    stretch: float = 0.0,
) -> Map:
    """Maps drawn for each picture: mirrored, made larger or smaller, stretched, and moved.

    Args:
        key: Draws everything.
        batch: Pictures.
        size: Their height and width.
        flip: Mirror left and right, half of the time.
        scale: A picture becomes up to `1 + scale` times as large, or as many times smaller.
        shift: Move by up to this share of the height and width, beside what keeps the middle.
        stretch: Height over width becomes up to `1 + stretch` times as large, or as many times
            smaller.
    """
    keys = jax.random.split(key, 4)
    height, width = size
    limit = jnp.log1p(jnp.float32(scale))
    factor = jnp.exp(jax.random.uniform(keys[0], (batch,), minval=-limit, maxval=limit))
    limit = jnp.log1p(jnp.float32(stretch)) / 2
    taller = jnp.exp(
        jax.random.uniform(jax.random.fold_in(key, 4), (batch,), minval=-limit, maxval=limit)
    )
    steps = jnp.stack([1.0 / (factor * taller), taller / factor])
    moved = jax.random.uniform(keys[1], (2, batch), minval=-shift, maxval=shift)
    # What is larger than the canvas may show any part of it.
    free = jnp.abs(1.0 - steps) / 2
    part = jax.random.uniform(keys[2], (2, batch), minval=-1.0, maxval=1.0) * free
    start_y, start_x = jnp.array([[height], [width]]) * ((1.0 - steps) / 2 + moved + part)
    step_y, step_x = steps
    is_flipped = jax.random.bernoulli(keys[3], 0.5, (batch,)) & flip
    end_x = start_x + step_x * width
    return Map(
        start_y,
        step_y,
        jnp.where(is_flipped, end_x, start_x),
        jnp.where(is_flipped, -step_x, step_x),
    )


def moved_pictures(maps: Map, pictures: Any, *, fill: float = 114.0) -> Any:
    """uint8 [batch, height, width, channels], bilinear, antialiased; `fill` beyond the edge."""
    batch, height, width, channels = pictures.shape
    down, shown_y = _weights(maps.start_y, maps.step_y, height)
    along, shown_x = _weights(maps.start_x, maps.step_x, width)
    values = pictures.transpose(0, 1, 3, 2).astype(jnp.float32) - fill
    values = jnp.einsum("bjcl,bkl->bjck", values, along)
    values = jnp.einsum("bij,bjx->bix", down, values.reshape(batch, height, channels * width))
    values = values.reshape(batch, height, channels, width)
    shown = shown_y[:, :, None, None] & shown_x[:, None, None, :]
    return to_bytes(jnp.where(shown, values, 0.0) + fill).transpose(0, 1, 3, 2)


def _weights(start: Any, step: Any, length: int) -> tuple[Any, Any]:
    """How much of each old row a new row has, [batch, length, length], and whether it has any."""
    new = jnp.arange(length, dtype=jnp.float32) + 0.5
    old = start[:, None] + step[:, None] * new[None, :]
    middles = jnp.arange(length, dtype=jnp.float32) + 0.5
    reach = jnp.maximum(jnp.abs(step), 1.0)[:, None, None]
    apart = jnp.clip(old, 0.5, length - 0.5)[..., None] - middles
    weights = jnp.maximum(0.0, 1.0 - jnp.abs(apart) / reach)
    weights /= jnp.maximum(weights.sum(-1, keepdims=True), 1e-6)
    return weights, (old >= 0) & (old < length)


def moved_masks(maps: Map, masks: Any, *, fill: int = 0) -> Any:
    """Class of each pixel, [batch, height, width]; of the nearest old pixel, else `fill`."""
    height, width = masks.shape[1:3]
    rows, shown_y = _nearest(maps.start_y, maps.step_y, height)
    columns, shown_x = _nearest(maps.start_x, maps.step_x, width)

    def one(mask: Any, row: Any, column: Any) -> Any:
        return mask[row][:, column]

    shown = shown_y[:, :, None] & shown_x[:, None, :]
    return jnp.where(shown, jax.vmap(one)(masks, rows, columns), jnp.asarray(fill, masks.dtype))


def _nearest(start: Any, step: Any, length: int) -> tuple[Any, Any]:
    old = start[:, None] + step[:, None] * (jnp.arange(length, dtype=jnp.float32) + 0.5)
    places = jnp.clip(jnp.floor(old).astype(jnp.int32), 0, length - 1)
    return places, (old >= 0) & (old < length)


def moved_boxes(maps: Map, boxes: Any, size: tuple[int, int]) -> Any:
    """Boxes [batch, most, 5] in the new pictures, cut at their edges; those that are gone, -1."""
    sides = [
        (boxes[..., place] - start[:, None]) / step[:, None]
        for place, start, step in (
            (1, maps.start_x, maps.step_x),
            (2, maps.start_y, maps.step_y),
            (3, maps.start_x, maps.step_x),
            (4, maps.start_y, maps.step_y),
        )
    ]
    # A mirrored box has its left where its right was.
    left, right = jnp.minimum(sides[0], sides[2]), jnp.maximum(sides[0], sides[2])
    top, bottom = jnp.minimum(sides[1], sides[3]), jnp.maximum(sides[1], sides[3])
    return cut_boxes(jnp.stack([boxes[..., 0], left, top, right, bottom], -1), size)


def cut_boxes(boxes: Any, size: tuple[int, int]) -> Any:
    """Boxes cut at the picture's edges; those of which too little is left get class -1."""
    height, width = size
    limit = jnp.array([width, height, width, height], boxes.dtype)
    cut = jnp.clip(boxes[..., 1:], 0.0, limit)
    before = jnp.prod(jnp.maximum(boxes[..., 3:] - boxes[..., 1:3], 0.0), axis=-1)
    sides = cut[..., 2:] - cut[..., :2]
    stays = (jnp.prod(sides, axis=-1) >= LEAST_SHARE * before) & (sides.min(-1) >= LEAST_SIDE)
    stays &= boxes[..., 0] >= 0
    label = jnp.where(stays, boxes[..., 0], -1.0)[..., None]
    return jnp.concatenate([label, jnp.where(stays[..., None], cut, 0.0)], axis=-1)


def mosaic(key: Any, pictures: Any, boxes: Any, *, share: float) -> tuple[Any, Any]:
    """Some of the pictures become four of half their size, each of another picture of the batch.

    After YOLOv4 (Bochkovskiy et al. 2020, arXiv:2004.10934). A new picture keeps as many boxes
    as there is room for, the largest first.

    Args:
        key: Draws which.
        pictures: uint8 [batch, height, width, channels], height and width even.
        boxes: float32 [batch, most, 5].
        share: Of the pictures.
    """
    batch, height, width, channels = pictures.shape
    halves = pictures.reshape(batch, height // 2, 2, width // 2, 2, channels)
    small = to_bytes(halves.astype(jnp.float32).mean(axis=(2, 4)))
    half = boxes.at[..., 1:].multiply(0.5)
    parts = [jnp.roll(small, shift, axis=0) for shift in range(4)]
    rows = [jnp.concatenate(parts[at : at + 2], axis=2) for at in (0, 2)]
    corners = ((0, 0), (0, width // 2), (height // 2, 0), (height // 2, width // 2))
    moved = []
    for shift, (top, left) in enumerate(corners):
        offset = jnp.array([0, left, top, left, top], boxes.dtype)
        rolled = jnp.roll(half, shift, axis=0)
        moved.append(jnp.where(rolled[..., :1] >= 0, rolled + offset, rolled))
    every = jnp.concatenate(moved, axis=1)
    chosen = jax.random.bernoulli(key, share, (batch,))
    pictures = jnp.where(chosen[:, None, None, None], jnp.concatenate(rows, axis=1), pictures)
    return pictures, jnp.where(chosen[:, None, None], _largest(every, boxes.shape[1]), boxes)


def mixed(key: Any, pictures: Any, boxes: Any, *, share: float) -> tuple[Any, Any]:
    """Some of the pictures become the mean of two, with the boxes of both.

    After YOLOX (Ge et al. 2021, arXiv:2107.08430). A picture keeps as many boxes as there is room
    for, the largest first.

    Args:
        key: Draws which.
        pictures: uint8 [batch, height, width, channels].
        boxes: float32 [batch, most, 5].
        share: Of the pictures.
    """
    others = jnp.roll(pictures, 1, axis=0).astype(jnp.float32)
    blended = to_bytes(0.5 * (pictures.astype(jnp.float32) + others))
    both = _largest(jnp.concatenate([boxes, jnp.roll(boxes, 1, axis=0)], axis=1), boxes.shape[1])
    chosen = jax.random.bernoulli(key, share, (len(pictures),))
    pictures = jnp.where(chosen[:, None, None, None], blended, pictures)
    return pictures, jnp.where(chosen[:, None, None], both, boxes)


def _largest(boxes: Any, most: int) -> Any:
    """The `most` largest boxes of each picture."""
    areas = jnp.prod(boxes[..., 3:] - boxes[..., 1:3], axis=-1)
    areas = jnp.where(
        (boxes[..., 0] >= 0) & (boxes[..., 3] - boxes[..., 1] >= LEAST_SIDE), areas, -1.0
    )
    best, order = jax.lax.top_k(areas, most)
    kept = jnp.take_along_axis(boxes, order[..., None], axis=1)
    return kept.at[..., 0].set(jnp.where(best > 0, kept[..., 0], -1.0))
