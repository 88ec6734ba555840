"""Decoded pictures with what is known of each, and their stacking into one array."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from septet.data.account import Account
from septet.data.scratch import ArrayList, new_array
from septet.vision.pixels import drop_needless_colour, resize

SMALLEST_OWN_SIZE, LARGEST_OWN_SIZE = 4, 64
"""Pictures of one common size in this range keep it; others are resized to the largest."""


@dataclass
class Gathered:
    """Usable examples, one a row in every list.

    Args:
        pixels: uint8 [height, width] or [height, width, 3], sizes as they come.
        labels: Class of each.
        splits: "train", "validation", "test" or None.
        places: Where each came from, for a person.
        digests: Hash of each picture's pixels.
        originals: Height and width before any resizing.
        blanks: Whether it has one colour only.
        class_order: Order of the classes where the set gives one.
    """

    pixels: ArrayList = field(default_factory=ArrayList)
    labels: list[str] = field(default_factory=list)
    splits: list[str | None] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    originals: list[tuple[int, ...]] = field(default_factory=list)
    blanks: list[bool] = field(default_factory=list)
    class_order: list[str] | None = None

    def add(
        self,
        pixels: np.ndarray,
        label: str,
        split: str | None,
        place: str,
        digest: str,
        original: tuple[int, ...],
    ) -> None:
        """Append one example; its blankness is appended by the caller."""
        self.pixels.append(pixels)
        self.labels.append(label)
        self.splits.append(split)
        self.places.append(place)
        self.digests.append(digest)
        self.originals.append(original)

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.labels)


def digest_of(pixels: np.ndarray) -> str:
    """Hash of one picture's shape and pixels."""
    digest = hashlib.blake2b(str(pixels.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def common_size(
    gathered: Gathered, size: int | None, account: Account, how: str = "stretch"
) -> tuple[int, int]:
    """Height and width that all pictures get, said in a note where it was chosen."""
    if size is not None:
        return size, size
    sizes = set(gathered.originals)
    if len(sizes) == 1 and how == "stretch":
        height, width = next(iter(sizes))
        if SMALLEST_OWN_SIZE <= min(height, width) and max(height, width) <= LARGEST_OWN_SIZE:
            return height, width
    account.note(
        "resized",
        "all",
        f"Pictures are resized to {LARGEST_OWN_SIZE}x{LARGEST_OWN_SIZE} pixels.",
        "Choose another size with --set data.size=128",
    )
    return LARGEST_OWN_SIZE, LARGEST_OWN_SIZE


def stack(
    pictures: ArrayList,
    rows: Sequence[int] | np.ndarray,
    height: int,
    width: int,
    channels: int,
    how: str = "stretch",
) -> np.ndarray:
    """Some of the pictures as one array, uint8 [N, height, width, channels].

    In a file of the cache where they do not fit into memory.

    Raises:
        StorageError: They do not fit on the disk either.
    """
    stacked = new_array((len(rows), height, width, channels), np.uint8)
    for place, row in enumerate(rows):
        stacked[place] = fit(pictures[row], height, width, channels, how)
    return stacked


def fit(
    pixels: np.ndarray, height: int, width: int, channels: int, how: str = "stretch"
) -> np.ndarray:
    """One picture, uint8 [h, w] or [h, w, 3], as [height, width, channels].

    The same resizing as in a decoding worker (`how` is that of `pixels.resize`); colour becomes
    grey by the weights of ITU-R 601 as Pillow has them.
    """
    if pixels.shape[:2] != (height, width) or (channels == 1 and pixels.ndim == 3):
        from PIL import Image

        picture = drop_needless_colour(resize(Image.fromarray(pixels), height, width, how))
        pixels = np.asarray(picture if channels == 3 else picture.convert("L"))
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    return np.broadcast_to(pixels, (height, width, channels))
