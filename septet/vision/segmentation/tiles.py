"""Large pictures in tiles: where they lie, how they are cut, and how their answers are blended.

A band of rows at a time is kept, so that memory grows with a picture's width and not its area.
"""

from collections.abc import Callable, Iterator

import numpy as np

STEP = 32
"""Tiles begin at multiples of it, so that every level halves as it does in the whole picture."""


def corners(size: tuple[int, ...], tile: tuple[int, int]) -> list[tuple[int, int]]:
    """Top and left of tiles that cover a picture; the last of a row or column may hang over."""
    tops = range(0, max(size[0], 1), tile[0])
    lefts = range(0, max(size[1], 1), tile[1])
    return [(top, left) for top in tops for left in lefts]


def cut(array: np.ndarray, top: int, left: int, height: int, width: int, fill: int) -> np.ndarray:
    """A tile of [h, w, ...]; what hangs over is `fill`."""
    part = array[top : top + height, left : left + width]
    if part.shape[:2] == (height, width):
        return part
    whole = np.full((height, width, *array.shape[2:]), fill, array.dtype)
    whole[: part.shape[0], : part.shape[1]] = part
    return whole


def starts(length: int, tile: int, overlap: int) -> list[int]:
    """Where tiles begin along a side so that neighbours share at least `overlap` pixels."""
    if length <= tile:
        return [0]
    # Tiles too small for that begin where they overlap enough.
    unit = STEP if tile - overlap >= STEP else 1
    step = (tile - overlap) // unit * unit
    last = -(-(length - tile) // unit) * unit
    return [*range(0, last, step), last]


def weights(tile: int, margin: int, ramp: int, *, is_first: bool, is_last: bool) -> np.ndarray:
    """What a tile's pixels along one side count: 0 in the margin, rising over the ramp to 1.

    A tile at the picture's edge counts fully up to it.
    """
    places = np.arange(tile)
    rise = np.clip((places - margin + 1) / (ramp + 1), 0, 1) if not is_first else np.ones(tile)
    back = tile - 1 - places
    fall = np.clip((back - margin + 1) / (ramp + 1), 0, 1) if not is_last else np.ones(tile)
    return np.minimum(rise, fall).astype(np.float32)


def blended(
    pixels: np.ndarray,
    tile: tuple[int, int],
    scores_of: Callable[[np.ndarray], np.ndarray],
    *,
    overlap: int,
    margin: int,
) -> Iterator[tuple[int, np.ndarray]]:
    """Bands of scores of a picture, from top to bottom: (first row, float32 [rows, width, k]).

    Where two tiles see a pixel, their scores are averaged with weights that fall towards the edge
    of each. Beyond `margin` pixels from a tile's edge, where its network looks no further than
    that, they are those of the whole picture.

    Args:
        pixels: uint8 [height, width, channels].
        tile: Height and width that the network sees.
        scores_of: Of tiles, uint8 [n, height, width, channels]: float32 [n, height, width, k].
        overlap: Pixels that neighbours share at least; at most half a tile.
        margin: Pixels at a tile's inner edges that count nothing; less than half of `overlap`.
    """
    height, width = pixels.shape[:2]
    tops, lefts = starts(height, tile[0], overlap), starts(width, tile[1], overlap)
    full = lefts[-1] + tile[1]
    pending, counted, first = None, None, 0
    for place, top in enumerate(tops):
        row = np.stack([cut(pixels, top, left, *tile, 0) for left in lefts])
        scores = scores_of(row)
        if pending is None or counted is None:
            pending = np.zeros((tile[0], full, scores.shape[-1]), np.float32)
            counted = np.zeros((tile[0], full, 1), np.float32)
        ramp = max(0, overlap - 2 * margin)
        down = weights(tile[0], margin, ramp, is_first=place == 0, is_last=place == len(tops) - 1)
        for number, left in enumerate(lefts):
            along = weights(
                tile[1], margin, ramp, is_first=number == 0, is_last=number == len(lefts) - 1
            )
            weight = (down[:, None] * along[None])[..., None]
            pending[:, left : left + tile[1]] += scores[number] * weight
            counted[:, left : left + tile[1]] += weight
        following = tops[place + 1] if place + 1 < len(tops) else top + tile[0]
        done = following - top
        end = min(done, height - first)
        yield first, pending[:end, :width] / np.maximum(counted[:end, :width], 1e-12)
        first += done
        rest_scores, rest_counted = pending[done:].copy(), counted[done:].copy()
        pending[: len(rest_scores)], counted[: len(rest_counted)] = rest_scores, rest_counted
        pending[len(rest_scores) :] = 0
        counted[len(rest_counted) :] = 0
