"""Cut-outs pasted on photographs: pictures whose boxes and masks are exactly known.

Pure functions from arrays and a random generator to one scene; `scenes.py` says what is
pasted on what. Knows no files.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

LEAST_VISIBLE = 0.4
"""Of every object this share of its pixels can be seen at least, and `LEAST_PIXELS` of them."""
LEAST_PIXELS = 40
TRIES = 12


@dataclass(frozen=True)
class Cutout:
    """A thing on nothing.

    Args:
        picture: Mode "RGBA".
        category: Its class, from 0.
        turn: It is turned by up to so many degrees either way.
        is_mirrored: It may be mirrored: not where it has writing.
        is_black: It is a black shape, and is given any colour.
    """

    picture: "Image.Image"
    category: int
    turn: float = 20.0
    is_mirrored: bool = True
    is_black: bool = False


@dataclass(frozen=True)
class Variety:
    """By how much scenes differ beyond what cut-outs and photographs are.

    Args:
        hue: Colours of each thing and background are turned by up to so many turns either way.
        colour: Share by which their saturation and contrast are more or less.
        stretch: Share by which a thing is wider or taller.
        blobs: Most shapes of no class behind the things, of colour or of a photograph.
        mixed: Share of the backgrounds that are two photographs, one shining through the other.
        blur: Greatest radius, in pixels, by which a third of the scenes is blurred.
        noise: Greatest deviation of noise added to a third of them, of 255.
    """

    hue: float = 0.05
    colour: float = 0.4
    stretch: float = 0.25
    blobs: int = 4
    mixed: float = 0.3
    blur: float = 1.0
    noise: float = 8.0


@dataclass(frozen=True)
class Thing:
    """One object of a scene.

    Args:
        category: Its class, from 0.
        mask: Where it is to be seen, bool [height, width].
    """

    category: int
    mask: np.ndarray

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, width and height of what is to be seen, in pixels."""
        rows, columns = np.flatnonzero(self.mask.any(1)), np.flatnonzero(self.mask.any(0))
        left, top = int(columns[0]), int(rows[0])
        return left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top


@dataclass(frozen=True)
class Scene:
    """A picture and everything in it.

    Args:
        pixels: uint8 [side, side, 3].
        things: From back to front.
    """

    pixels: np.ndarray
    things: list[Thing]


def compose_scene(
    cutouts: Sequence[Sequence[Cutout]],
    photographs: Sequence["Image.Image"],
    random: np.random.Generator,
    *,
    side: int,
    most: int = 6,
    smallest: float = 0.14,
    largest: float = 0.7,
    visible: float = LEAST_VISIBLE,
    margin: float = 0.03,
    variety: Variety | None = None,
) -> Scene:
    """A scene of up to `most` objects, each of a class drawn evenly.

    Args:
        cutouts: Those of each class.
        photographs: Backgrounds.
        random: Draws everything.
        side: Height and width.
        most: Objects, at most; at least one.
        smallest: Least length of an object's longer side, as a share of `side`.
        largest: Greatest length of it; sizes are even on a logarithmic scale.
        visible: Share of each object's pixels that can be seen at least.
        margin: Share of a side that an object's middle keeps from the edge.
        variety: What more there is of it, for a training.
    """
    pixels = background(photographs[int(random.integers(len(photographs)))], random, side)
    if variety is not None:
        pixels = varied_background(pixels, photographs, random, variety)
    owner = np.zeros((side, side), np.int16)
    placed: list[tuple[int, int]] = []
    for _ in range(int(random.integers(1, most + 1))):
        for _ in range(TRIES):
            group = cutouts[int(random.integers(len(cutouts)))]
            cutout = group[int(random.integers(len(group)))]
            length = side * smallest * (largest / smallest) ** random.random()
            picture = transformed(cutout, random, length, variety)
            layer = placed_at(picture, random, side, margin)
            number = len(placed) + 1
            new = np.where(layer[..., 3] > 127, np.int16(number), owner)
            whole = int((layer[..., 3] > 127).sum())
            if _all_visible(new, [*placed, (cutout.category, whole)], visible):
                share = layer[..., 3:].astype(np.float32) / 255
                pixels = pixels * (1 - share) + layer[..., :3] * share
                owner = new
                placed.append((cutout.category, whole))
                break
    things = [Thing(category, owner == n) for n, (category, _) in enumerate(placed, 1)]
    if variety is not None:
        pixels = as_by_a_poorer_camera(pixels, random, variety)
    return Scene(np.clip(np.rint(pixels), 0, 255).astype(np.uint8), things)


def _all_visible(owner: np.ndarray, placed: Sequence[tuple[int, int]], visible: float) -> bool:
    seen = np.bincount(owner.ravel(), minlength=len(placed) + 1)[1:]
    return all(
        count >= max(LEAST_PIXELS, visible * whole)
        for count, (_, whole) in zip(seen, placed, strict=True)
    )


def background(photograph: "Image.Image", random: np.random.Generator, side: int) -> np.ndarray:
    """A random square of a photograph, brighter or darker: float32 [side, side, 3]."""
    from PIL import Image

    shorter = min(photograph.size)
    length = min(shorter, max(side, int(shorter * random.uniform(0.3, 1.0))))
    left = int(random.integers(photograph.width - length + 1))
    top = int(random.integers(photograph.height - length + 1))
    box = (left, top, left + length, top + length)
    part = photograph.resize((side, side), Image.Resampling.BILINEAR, box=box)
    pixels = np.asarray(part.convert("RGB"), np.float32)
    if random.random() < 0.5:
        pixels = pixels[:, ::-1]
    return np.clip(pixels * random.uniform(0.7, 1.25), 0, 255)


def varied_background(
    pixels: np.ndarray,
    photographs: Sequence["Image.Image"],
    random: np.random.Generator,
    variety: Variety,
) -> np.ndarray:
    """A background in other colours, another photograph shining through, and blobs on it."""
    side = len(pixels)

    def another() -> np.ndarray:
        found = background(photographs[int(random.integers(len(photographs)))], random, side)
        return recoloured(np.rot90(found, int(random.integers(4))), random, variety)

    pixels = recoloured(np.rot90(pixels, int(random.integers(4))), random, variety)
    if random.random() < variety.mixed:
        share = np.float32(random.uniform(0.3, 0.7))
        pixels = share * pixels + (1 - share) * another()
    for _ in range(int(random.integers(variety.blobs + 1))):
        share = blob(random, side)[..., None]
        is_plain = random.random() < 0.4
        filling = random.uniform(0, 255, 3).astype(np.float32) if is_plain else another()
        pixels = pixels * (1 - share) + filling * share
    return pixels


def blob(random: np.random.Generator, side: int) -> np.ndarray:
    """How much of each pixel a shape with a round or rugged edge covers: float32 [side, side]."""
    from PIL import Image, ImageDraw

    corners = int(random.choice([3, 4, 5, 6, 48, 48, 48]))
    angles = (np.arange(corners) + random.uniform()) * 2 * np.pi / corners
    waves = sum(
        random.uniform(0, 0.4 / order) * np.cos(order * angles + random.uniform(0, 2 * np.pi))
        for order in range(1, 6)
    )
    reach = side * 0.07 * 5 ** random.random() * (1 + waves)
    wide = np.exp(random.uniform(-0.7, 0.7) / 2)
    middle = random.uniform(0, side, 2)
    turn = random.uniform(0, 2 * np.pi)
    across, along = reach * np.cos(angles) * wide, reach * np.sin(angles) / wide
    x = middle[0] + across * np.cos(turn) - along * np.sin(turn)
    y = middle[1] + across * np.sin(turn) + along * np.cos(turn)
    shape = Image.new("L", (2 * side, 2 * side))
    points = [(2 * float(a), 2 * float(b)) for a, b in zip(x, y, strict=True)]
    ImageDraw.Draw(shape).polygon(points, fill=255)
    # Drawn twice as large, so that its edge is smooth.
    return np.asarray(shape.resize((side, side), Image.Resampling.BOX), np.float32) / 255


def recoloured(pixels: np.ndarray, random: np.random.Generator, variety: Variety) -> np.ndarray:
    """Other hue, saturation and contrast: float32 [..., 3] of 0 to 255, the same shape."""
    angle = 2 * np.pi * random.uniform(-variety.hue, variety.hue)
    saturation, contrast = random.uniform(1 - variety.colour, 1 + variety.colour, 2)
    # A turn about the axis of greys.
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / np.sqrt(3)
    turn = np.cos(angle) * np.eye(3) + (1 - np.cos(angle)) / 3 + np.sin(angle) * cross
    grey = np.full((3, 3), 1 / 3)
    matrix = (saturation * turn + (1 - saturation) * grey) * contrast
    middle = 128 * (1 - contrast)
    return np.clip(pixels @ matrix.T.astype(np.float32) + np.float32(middle), 0, 255)


def as_by_a_poorer_camera(
    pixels: np.ndarray, random: np.random.Generator, variety: Variety
) -> np.ndarray:
    """A third of the scenes blurred, a third with noise."""
    from PIL import Image, ImageFilter

    if random.random() < 1 / 3:
        whole = Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))
        radius = random.uniform(0.3, variety.blur)
        pixels = np.asarray(whole.filter(ImageFilter.GaussianBlur(radius)), np.float32)
    if random.random() < 1 / 3:
        deviation = random.uniform(0, variety.noise)
        pixels = pixels + random.normal(0, deviation, pixels.shape).astype(np.float32)
    return pixels


def transformed(
    cutout: Cutout, random: np.random.Generator, length: float, variety: Variety | None = None
) -> "Image.Image":
    """A cut-out mirrored, turned, lit anew and resized, its longer side `length`; "RGBA"."""
    from PIL import Image

    picture = cutout.picture
    if random.random() < 0.5 and cutout.is_mirrored:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    angle = random.uniform(-cutout.turn, cutout.turn)
    # Premultiplied, so that what is transparent lends no colour to the edge.
    # Twice as large as it will be: turned at that size, it loses nothing.
    picture = resized(picture.convert("RGBa"), min(1.0, 2 * length / max(picture.size)))
    if variety is not None:
        wide = np.exp(random.uniform(-1, 1) * np.log1p(variety.stretch) / 2)
        size = max(1, round(picture.width * wide)), max(1, round(picture.height / wide))
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    picture = picture.rotate(angle, Image.Resampling.BICUBIC, expand=True)
    picture = picture.crop(picture.getchannel("a").getbbox())
    values = np.array(resized(picture, length / max(picture.size)).convert("RGBA"))
    light = values[..., :3] * np.float32(random.uniform(0.75, 1.2))
    if variety is not None:
        light = recoloured(light, random, variety)
    if cutout.is_black:
        light = light + random.uniform(0, 255, 3).astype(np.float32)
    values[..., :3] = np.clip(light + np.float32(random.uniform(-12, 12)), 0, 255)
    return Image.fromarray(values)


def resized(picture: "Image.Image", scale: float) -> "Image.Image":
    """A premultiplied picture made smaller or larger."""
    from PIL import Image

    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    if size == picture.size:
        return picture
    return picture.resize(size, Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC)


def placed_at(
    picture: "Image.Image", random: np.random.Generator, side: int, margin: float
) -> np.ndarray:
    """A layer with the picture's middle anywhere on it: uint8 [side, side, 4]."""
    from PIL import Image

    layer = Image.new("RGBA", (side, side))
    middle = random.uniform(margin * side, (1 - margin) * side, 2)
    layer.paste(
        picture, (round(middle[0] - picture.width / 2), round(middle[1] - picture.height / 2))
    )
    return np.asarray(layer)


def run_lengths(mask: np.ndarray) -> list[int]:
    """COCO's run lengths of a mask: column by column, zeros first."""
    flat = np.concatenate([[0], mask.T.ravel().astype(np.int8), [0]])
    starts, ends = np.flatnonzero(np.diff(flat) == 1), np.flatnonzero(np.diff(flat) == -1)
    edges = np.stack([starts, ends], 1).ravel()
    counts = np.diff(np.concatenate([[0], edges, [mask.size]]))
    # A mask that reaches the last pixel has no zeros after it.
    return counts.tolist() if counts[-1] else counts[:-1].tolist()
