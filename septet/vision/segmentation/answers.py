"""What a network says of a picture of any size: its classes, as indexed PNG and as overlay."""

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from septet.vision.gathering import fit
from septet.vision.geometry import letterbox
from septet.vision.segmentation import tiles
from septet.vision.segmentation.colours import palette_of

OPACITY = 0.5
"""Of the classes' colours in an overlay; the background lets the picture through."""

Logits = Callable[[np.ndarray], np.ndarray]
"""Of pictures as the network sees them, uint8 [n, h, w, c]: logits [n, h, w, classes]."""


@dataclass(frozen=True)
class SegmentationAnswer:
    """The class of each pixel of one picture.

    Args:
        classes: uint8 [height, width], places in `labels`.
        labels: Names of the classes.
        colours: Of each, (red, green, blue).
        picture: uint8 [height, width] or [height, width, 3], what was asked about.
        clear: Number of the class that an overlay leaves clear, or None.
    """

    classes: np.ndarray
    labels: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]
    picture: np.ndarray
    clear: int | None

    @cached_property
    def shares(self) -> dict[str, float]:
        """Share of the pixels that each class in the picture has, largest first."""
        counts = np.bincount(self.classes.ravel(), minlength=len(self.labels))
        order = np.argsort(-counts, kind="stable")
        return {self.labels[k]: float(counts[k] / counts.sum()) for k in order if counts[k]}

    def to_image(self) -> Any:
        """The classes as an indexed picture: a pixel's number is its class."""
        from PIL import Image

        picture = Image.fromarray(self.classes)
        picture.putpalette(bytes(value for colour in self.colours for value in colour))
        return picture

    def to_overlay(self) -> Any:
        """The picture with each class' colour over it."""
        from PIL import Image

        return Image.fromarray(overlaid(self.picture, self.classes, self.colours, self.clear))

    def to_images(self) -> dict[str, Any]:
        """Pictures to save, by the end of their names."""
        return {"": self.to_image(), "-overlay": self.to_overlay()}

    def to_json(self) -> dict[str, Any]:
        """Plain values; the mask is an indexed PNG in base 64."""
        file = io.BytesIO()
        self.to_image().save(file, "PNG")
        height, width = self.classes.shape
        return {
            "height": height,
            "width": width,
            "shares": self.shares,
            "labels": list(self.labels),
            "mask_png": base64.b64encode(file.getvalue()).decode("ascii"),
        }

    def __str__(self) -> str:
        """The classes with their shares."""
        return ", ".join(f"{label} {share:.1%}" for label, share in self.shares.items())


def overlaid(
    picture: np.ndarray,
    classes: np.ndarray,
    colours: Sequence[tuple[int, int, int]],
    clear: int | None,
) -> np.ndarray:
    """A picture, uint8 [h, w] or [h, w, 1 or 3], under the colours of classes: uint8 [h, w, 3]."""
    grey = picture.ndim == 2 or picture.shape[2] == 1
    base = np.repeat(picture.reshape(*picture.shape[:2], 1), 3, axis=2) if grey else picture
    table = np.zeros((256, 3), np.float32)
    table[: len(colours)] = colours
    result = np.empty((*classes.shape, 3), np.uint8)
    for start in range(0, len(classes), 256):
        rows = slice(start, start + 256)
        mixed = (1 - OPACITY) * base[rows] + OPACITY * table[classes[rows]]
        is_clear = np.zeros(classes[rows].shape, bool) if clear is None else classes[rows] == clear
        result[rows] = np.where(is_clear[..., None], base[rows], np.rint(mixed))
    return result


def classes_of(pixels: np.ndarray, prepared: dict[str, Any], logits: Logits) -> np.ndarray:
    """The class of each pixel of a picture of any size: uint8 [height, width].

    A larger or smaller picture is resized for the network and its logits are resized back, unless
    the network was trained on tiles: then it is given tiles that overlap. Of a letterbox only
    what shows the picture is resized back.
    """
    size = prepared["height"], prepared["width"]
    channels = prepared["channels"]
    if prepared["large"] == "tile":
        fitted = fit(pixels, pixels.shape[0], pixels.shape[1], channels)
        overlap = min(size) // 2
        bands = tiles.blended(fitted, size, logits, overlap=overlap, margin=overlap // 8)
        classes = np.empty(pixels.shape[:2], np.uint8)
        for first, scores in bands:
            classes[first : first + len(scores)] = scores.argmax(axis=-1)
        return classes
    if prepared.get("fit") == "letterbox" and pixels.shape[:2] != size:
        placement = letterbox((pixels.shape[0], pixels.shape[1]), size)
        scores = logits(fit(placement.picture(pixels), *size, channels)[None])[0]
        (top, left), (down, across) = (placement.top, placement.left), placement.placed
        inner = scores[top : top + down, left : left + across]
        return resized_best(inner, pixels.shape[:2])
    scores = logits(fit(pixels, *size, channels)[None])[0]
    if pixels.shape[:2] == size:
        return scores.argmax(axis=-1).astype(np.uint8)
    return resized_best(scores, pixels.shape[:2])


def resized_best(scores: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """The best class of each pixel once scores [h, w, k] are resized, class by class."""
    from PIL import Image

    height, width = size[:2]
    best = classes = None
    for number in range(scores.shape[-1]):
        plane = Image.fromarray(np.ascontiguousarray(scores[..., number]))
        larger = np.asarray(plane.resize((width, height), Image.Resampling.BILINEAR))
        if best is None or classes is None:
            best, classes = larger.copy(), np.zeros((height, width), np.uint8)
            continue
        better = larger > best
        best[better] = larger[better]
        classes[better] = number
    assert classes is not None
    return classes


def answer_of(
    classes: np.ndarray, pixels: np.ndarray, prepared: dict[str, Any]
) -> SegmentationAnswer:
    """The typed answer for one picture."""
    return SegmentationAnswer(
        classes,
        tuple(prepared["labels"]),
        tuple(palette_of(prepared["labels"], prepared["colours"])),
        pixels,
        clear_class(prepared["labels"]),
    )


def clear_class(labels: Sequence[str]) -> int | None:
    """The background's number, or None."""
    from septet.vision.segmentation.legend import BACKGROUND

    return next((n for n, name in enumerate(labels) if name.casefold() == BACKGROUND), None)
