"""The sample `digit-scenes`: handwritten digits on dark canvases, made of what the package holds.

Quick to learn, for a first try and for tests. No digit of the test is in a training scene.
"""

from pathlib import Path

import numpy as np

from septet.data.composing import Cutout, compose_scene
from septet.data.samples import EMBEDDED
from septet.data.scenes import write_legend, write_split

FILE = "digits.npz"
SIDE = 96
COUNTS = {"train": 480, "test": 120}
SEED = 9
TEST_FROM = 1300
"""Digits from this one on are for the test."""
NAMES = tuple("0123456789")
GREYS = 17
"""Brightnesses of the digits as published, 0 to 16."""


def compose(folder: Path) -> None:
    """Write the whole set into a new folder, laid out as `scenes.compose` does."""
    with np.load(EMBEDDED / FILE, allow_pickle=False) as data:
        pictures, labels = data["x"], data["y"]
    for place, (split, count) in enumerate(COUNTS.items()):
        rows = slice(TEST_FROM) if split == "train" else slice(TEST_FROM, None)
        cutouts = digits_of(pictures[rows], labels[rows])
        scenes = (_scene(cutouts, np.random.default_rng((SEED, place, n))) for n in range(count))
        write_split(scenes, folder, split, NAMES)
    write_legend(folder / "masks" / "legend.csv", NAMES)


def digits_of(pictures: np.ndarray, labels: np.ndarray) -> list[list[Cutout]]:
    """The digits of each class as white cut-outs; brightness becomes alpha."""
    from PIL import Image

    cutouts: list[list[Cutout]] = [[] for _ in NAMES]
    for pixels, label in zip(pictures, labels, strict=True):
        alpha = Image.fromarray((pixels.astype(np.float32) * 255 / (GREYS - 1)).astype(np.uint8))
        alpha = alpha.resize((32, 32), Image.Resampling.BICUBIC)
        white = Image.new("RGB", alpha.size, (235, 235, 235))
        white.putalpha(alpha)
        cutouts[label].append(Cutout(white, int(label), turn=8.0, is_mirrored=False))
    return cutouts


def _scene(cutouts: list[list[Cutout]], random: np.random.Generator):
    from PIL import Image

    noise = random.normal(40, 12, (8, 8)).clip(0, 90).astype(np.uint8)
    canvas = Image.fromarray(noise).resize((2 * SIDE, 2 * SIDE), Image.Resampling.BICUBIC)
    return compose_scene(
        cutouts,
        [canvas.convert("RGB")],
        random,
        side=SIDE,
        most=5,
        smallest=0.2,
        largest=0.4,
        visible=0.99,
        margin=0.2,
    )
