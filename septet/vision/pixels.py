"""Pixels of one Pillow picture: brought to 8 bits, resized, hashed; and what is too much.

Knows Pillow pictures; knows no file, no process and no data set.
"""

import hashlib
from typing import Any

MAX_PIXELS = 64_000_000
GREY = 114
"""What the bars of a letterbox show, as is usual since YOLO."""


class Unusable(Exception):
    """A picture that cannot be used: code, reason and remedy."""


def unusable(code: str, reason: str, remedy: str) -> Unusable:
    """An `Unusable` with its three texts in `args`."""
    return Unusable(code, reason, remedy)


def require_few_pixels(width: int, height: int) -> None:
    """Raise `Unusable` for a picture without pixels or with more than `MAX_PIXELS`."""
    if width * height > MAX_PIXELS:
        raise unusable(
            "huge-picture",
            f"It has {width} x {height} pixels; at most {MAX_PIXELS // 10**6} million are read.",
            "Make it smaller or remove it.",
        )
    if width < 1 or height < 1:
        raise unusable("unreadable-picture", "It has no pixels.", "Remove it.")


def to_eight_bits(picture: Any) -> Any:
    """A Pillow picture of any mode as mode "L" or "RGB", transparent parts on white.

    16-bit values are divided by 257. Float values are taken as 0..1, or as 0..255 when
    any is above 1.

    Raises:
        Unusable: Values of a 32-bit picture are outside those ranges.
    """
    from PIL import Image

    if picture.mode in ("L", "RGB"):
        # A colour key (tRNS) makes some pixels transparent; compose those as well.
        if "transparency" not in picture.info:
            return picture
    if picture.mode.startswith("I") or picture.mode == "F":
        return Image.fromarray(_scaled(picture))
    if picture.has_transparency_data or picture.mode in ("La", "RGBa"):
        layer = picture.convert("RGBA")
        white = Image.new("RGB", layer.size, (255, 255, 255))
        white.paste(layer, mask=layer.getchannel("A"))
        return white
    return picture.convert("L" if picture.mode == "1" else "RGB")


def _scaled(picture: Any) -> Any:
    """Values of a 16-bit or 32-bit picture as uint8 [height, width]."""
    import numpy as np

    values = np.asarray(picture)
    if picture.mode.startswith("I;16"):
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    low, high = float(values.min()), float(values.max())
    if picture.mode == "I" and 0 <= low and high <= 65535:
        return ((values + 128) // 257).astype(np.uint8)
    if picture.mode == "F" and 0 <= low and high <= 255:
        return np.rint(values * (255.0 if high <= 1 else 1.0)).astype(np.uint8)
    expected = "0 to 65535" if picture.mode == "I" else "0 to 1, or 0 to 255"
    raise unusable(
        "unsupported-picture",
        f"Its 32-bit values reach from {low:g} to {high:g}; expected {expected}.",
        "Save it with 8 or 16 bits a channel.",
    )


def resize(picture: Any, height: int, width: int, how: str = "stretch") -> Any:
    """The picture brought to height and width, bilinear with antialiasing.

    Args:
        picture: Of Pillow.
        height: Of the result.
        width: Of the result.
        how: "stretch": its shape is lost; "crop": its middle, as large as fits; "letterbox": the
            whole of it with grey bars.
    """
    from PIL import Image

    size = (width, height)
    if picture.size == size:
        return picture
    if how == "letterbox":
        scale = min(width / picture.width, height / picture.height)
        inner = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        canvas = Image.new(picture.mode, size, (GREY,) * len(picture.getbands()))
        smaller = picture.resize(inner, Image.Resampling.BILINEAR)
        canvas.paste(smaller, ((width - inner[0]) // 2, (height - inner[1]) // 2))
        return canvas
    box = None
    if how == "crop":
        scale = min(picture.width / width, picture.height / height)
        across, down = width * scale, height * scale
        left, top = (picture.width - across) / 2, (picture.height - down) / 2
        box = (left, top, left + across, top + down)
    return picture.resize(size, Image.Resampling.BILINEAR, box=box)


def drop_needless_colour(picture: Any) -> Any:
    """An "RGB" picture whose channels are all equal as "L"."""
    if picture.mode != "RGB":
        return picture
    from PIL import ImageChops

    red, green, blue = picture.split()
    same = all(ImageChops.difference(red, other).getbbox() is None for other in (green, blue))
    return red if same else picture


def digest_of(picture: Any) -> str:
    """Hash of the size and the pixels; of small pictures the same in grey and colour."""
    small = drop_needless_colour(picture) if picture.width * picture.height <= 2**16 else picture
    digest = hashlib.blake2b(f"{small.size}{small.mode}".encode(), digest_size=16)
    digest.update(small.tobytes())
    return digest.hexdigest()


def extremes(picture: Any) -> list[tuple[int, int]]:
    """Lowest and highest value of each channel."""
    found = picture.getextrema()
    return list(found) if isinstance(found[0], tuple) else [found]


MOST_VALUES = 256


def values_of(picture: Any) -> tuple[list[int] | None, list[list[int]], list[int], Any]:
    """Values of a mask (None where it is in colour), their colours and counts, and their places.

    The places are uint8 [height, width]. What is transparent has its colour all the same.

    Raises:
        Unusable: There are more than 256 values, as where a mask was saved as JPEG.
    """
    import numpy as np

    mode = picture.mode
    if mode in ("P", "PA"):
        palette = (picture.getpalette("RGB") or [])[:768]
        numbers = np.asarray(picture.getchannel("P") if mode == "PA" else picture)
    elif mode in ("1", "L", "LA") or mode.startswith("I"):
        palette = None
        numbers = np.asarray(picture.getchannel("L") if mode == "LA" else picture)
    elif mode in ("RGB", "RGBA", "CMYK", "YCbCr", "RGBX"):
        channels = np.asarray(picture if mode == "RGB" else picture.convert("RGB")).astype(
            np.uint32
        )
        numbers = channels[..., 0] << 16 | channels[..., 1] << 8 | channels[..., 2]
        found, counts, places = _distinct(numbers)
        colours = [[value >> 16, value >> 8 & 255, value & 255] for value in found]
        return None, colours, counts, places
    else:
        raise unusable(
            "unsupported-mask", f"It has pixels of the kind {mode}, which no mask has.",
            "Save it as an indexed or grey PNG of 8 bits, or as RGB with a legend.",
        )  # fmt: skip
    found, counts, places = _distinct(numbers.astype(np.int64))
    colours = []
    for value in found:
        known = None if palette is None else palette[3 * value : 3 * value + 3]
        colours.append(list(known) if known else [min(max(value, 0), 255)] * 3)
    return found, colours, counts, places


def _distinct(numbers: Any) -> tuple[list[int], list[int], Any]:
    """Values in order, how many pixels have each, and each pixel's place among them."""
    import numpy as np

    # Rows are compared one after the other, so that a photograph is refused soon and in little
    # memory.
    known: set[int] = set()
    for row in numbers:
        known.update(np.unique(row).tolist())
        if len(known) > MOST_VALUES:
            raise unusable(
                "too-many-values", f"It has more than {MOST_VALUES} values, so it is no mask.",
                "Save masks as PNG: JPEG and resizing change their values.",
            )  # fmt: skip
    values = np.array(sorted(known), numbers.dtype)
    places = np.searchsorted(values, numbers).astype(np.uint8)
    counts = np.bincount(places.ravel(), minlength=len(values))
    return values.tolist(), counts.tolist(), places
