"""Small sets of pictures with masks for the tests, drawn from a seed."""

from pathlib import Path

import numpy as np
from PIL import Image

NAMES = ("background", "disc", "square")
COLOURS = ((0, 0, 0), (200, 30, 30), (20, 60, 220))


def scene(seed: int, side: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """A reddish disc and a bluish square on grey noise, uint8 [side, side, 3], and their mask."""
    random = np.random.default_rng(seed)
    pixels = random.integers(90, 160, (side, side, 3))
    mask = np.zeros((side, side), np.uint8)
    y, x = np.mgrid[:side, :side]
    row, column = random.integers(side // 4, 3 * side // 4, 2)
    mask[(y - row) ** 2 + (x - column) ** 2 <= (side // 5) ** 2] = 1
    top, left = random.integers(0, 2 * side // 3, 2)
    mask[top : top + side // 3, left : left + side // 3] = 2
    for number in (1, 2):
        pixels[mask == number] = (pixels[mask == number] + 2 * np.array(COLOURS[number])) // 3
    return pixels.astype(np.uint8), mask


def indexed(mask: np.ndarray, colours: tuple[tuple[int, int, int], ...] = COLOURS) -> Image.Image:
    """A mask as a picture with a palette; of 256 colours, so that any number is kept."""
    picture = Image.fromarray(mask)
    values = bytes(value for colour in colours for value in colour)
    picture.putpalette(values.ljust(768, b"\x00"))
    return picture


def make_pairs(folder: Path, count: int = 12, *, side: int = 32, legend: bool = True) -> Path:
    """`images/` and `masks/` of one name each, without any defect."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        pixels, mask = scene(number, side)
        Image.fromarray(pixels).save(folder / "images" / f"{number:03d}.png")
        indexed(mask).save(folder / "masks" / f"{number:03d}.png")
    if legend:
        write_legend(folder)
    return folder


def write_legend(folder: Path) -> None:
    """`legend.csv` with numbers and colours."""
    rows = [
        f"{n},{name},{','.join(map(str, colour))}"
        for n, (name, colour) in enumerate(zip(NAMES, COLOURS, strict=True))
    ]
    (folder / "legend.csv").write_text("\n".join(["index,name,red,green,blue", *rows]) + "\n")
