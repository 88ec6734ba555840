"""Where a picture's pixels lie in the network's picture; pictures, masks and boxes move together.

On the host, before training and after prediction; `moving.py` has the random changes on the
device. Boxes are [n, 4] of left, top, right and bottom, in pixels whose edges are whole
numbers: a box around the first pixel alone is 0, 0, 1, 1.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from septet.vision.pixels import GREY


@dataclass(frozen=True)
class Placement:
    """A picture enlarged and laid on a canvas; what hangs over is cut off.

    Args:
        original: Height and width of the picture.
        canvas: Height and width of the canvas.
        placed: Height and width that the picture is resized to, in whole pixels.
        top: Rows of the canvas above the picture; negative where the picture hangs over.
        left: Columns before it.
    """

    original: tuple[int, int]
    canvas: tuple[int, int]
    placed: tuple[int, int]
    top: int
    left: int

    @property
    def scales(self) -> tuple[float, float]:
        """How much higher and wider the picture becomes."""
        return self.placed[0] / self.original[0], self.placed[1] / self.original[1]

    def picture(self, pixels: np.ndarray, *, fill: int = GREY) -> np.ndarray:
        """uint8 [height, width, ...] as the canvas shows it, bilinear with antialiasing."""
        from PIL import Image

        return self._laid(pixels, Image.Resampling.BILINEAR, fill)

    def mask(self, classes: np.ndarray, *, fill: int = 0) -> np.ndarray:
        """Class of each pixel, uint8 [height, width], as the canvas shows it; nearest pixel."""
        from PIL import Image

        return self._laid(classes, Image.Resampling.NEAREST, fill)

    def boxes(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes on the canvas, float32; not cut at its edges."""
        scale_y, scale_x = self.scales
        scale = np.array([scale_x, scale_y, scale_x, scale_y], np.float32)
        return np.asarray(boxes, np.float32) * scale + self._offset

    def boxes_back(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes on the canvas as boxes in the picture, cut at its edges: float32 [n, 4]."""
        scale_y, scale_x = self.scales
        scale = np.array([scale_x, scale_y, scale_x, scale_y], np.float32)
        height, width = self.original
        limit = np.array([width, height, width, height], np.float32)
        moved = (np.asarray(boxes, np.float32) - self._offset) / scale
        return np.clip(moved, 0, limit)

    def mask_back(self, classes: np.ndarray, *, fill: int = 0) -> np.ndarray:
        """A canvas' classes as the picture's: uint8 [original height, original width]."""
        from PIL import Image

        whole = np.full(self.placed, fill, classes.dtype)
        shown, there = self._overlap()
        whole[there] = classes[shown]
        height, width = self.original
        resized = Image.fromarray(whole).resize((width, height), Image.Resampling.NEAREST)
        return np.asarray(resized)

    @property
    def _offset(self) -> np.ndarray:
        return np.array([self.left, self.top, self.left, self.top], np.float32)

    def _overlap(self) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """What of the canvas shows the picture, and what of the resized picture is shown."""
        shown, there = [], []
        starts = (self.top, self.left)
        for start, length, limit in zip(starts, self.placed, self.canvas, strict=True):
            first, last = max(0, start), min(limit, start + length)
            shown.append(slice(first, max(first, last)))
            there.append(slice(first - start, max(first, last) - start))
        return (shown[0], shown[1]), (there[0], there[1])

    def _laid(self, pixels: np.ndarray, how: int, fill: int) -> np.ndarray:
        from PIL import Image

        if pixels.shape[:2] != self.original:
            raise ValueError(f"Received shape {pixels.shape}; expected {self.original} first.")
        height, width = self.placed
        resized = pixels
        if self.placed != self.original:
            flat = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
            picture = Image.fromarray(np.ascontiguousarray(flat))
            resized = np.asarray(picture.resize((width, height), Image.Resampling(how)))
            resized = resized.reshape(height, width, *pixels.shape[2:])
        canvas = np.full((*self.canvas, *pixels.shape[2:]), fill, pixels.dtype)
        shown, there = self._overlap()
        canvas[shown] = resized[there]
        return canvas


def letterbox(original: tuple[int, int], canvas: tuple[int, int]) -> Placement:
    """The whole picture in the middle of the canvas, its shape kept."""
    return _centred(original, canvas, min)


def crop(original: tuple[int, int], canvas: tuple[int, int]) -> Placement:
    """The middle of the picture filling the whole canvas, its shape kept."""
    return _centred(original, canvas, max)


def stretch(original: tuple[int, int], canvas: tuple[int, int]) -> Placement:
    """The whole picture filling the whole canvas, its shape lost."""
    return Placement(original, canvas, canvas, 0, 0)


PLACEMENTS: Mapping[str, Callable[[tuple[int, int], tuple[int, int]], Placement]] = {
    "letterbox": letterbox,
    "crop": crop,
    "stretch": stretch,
}
"""Ways to bring pictures to one size, by the name that settings have for them."""


def _centred(
    original: tuple[int, int], canvas: tuple[int, int], choose: Callable[..., float]
) -> Placement:
    scale = choose(canvas[0] / original[0], canvas[1] / original[1])
    height = max(1, round(original[0] * scale))
    width = max(1, round(original[1] * scale))
    top, left = (canvas[0] - height) // 2, (canvas[1] - width) // 2
    return Placement(original, canvas, (height, width), top, left)


def clipped(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Boxes cut at the edges of a picture of height and width `size`."""
    height, width = size
    return np.clip(boxes, 0, np.array([width, height, width, height], boxes.dtype))


def areas(boxes: np.ndarray) -> np.ndarray:
    """Area of each box; 0 for an empty or inverted one."""
    sides = np.maximum(boxes[..., 2:] - boxes[..., :2], 0)
    return sides[..., 0] * sides[..., 1]


def overlaps(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union of each of [n, 4] with each of [m, 4]: [n, m]."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = areas(np.concatenate([low, high], -1))
    union = areas(first)[:, None] + areas(second)[None] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
