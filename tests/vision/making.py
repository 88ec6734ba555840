"""Small sets of pictures for the tests, drawn from a seed."""

import zlib
from pathlib import Path

import numpy as np
from PIL import Image


def noise(seed: int, height: int = 12, width: int = 12, channels: int = 3) -> Image.Image:
    """A picture of random pixels."""
    shape = (height, width) if channels == 1 else (height, width, channels)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    return Image.fromarray(pixels)


def make_classes(folder: Path, names: tuple[str, ...] = ("cat", "dog"), count: int = 12) -> Path:
    """A class-per-folder set without any defect."""
    for name in names:
        (folder / name).mkdir(parents=True, exist_ok=True)
        seed = zlib.crc32(f"{folder.name}/{name}".encode())
        for number in range(count):
            noise(seed + number).save(folder / name / f"{number:02d}.png")
    return folder
