"""What a user gives to predict on, as pictures of the network's size."""

import glob
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from septet.errors import DataError
from septet.vision.decoding import Undecodable, shared_pool
from septet.vision.gathering import fit
from septet.vision.pixels import MAX_PIXELS, Unusable, to_eight_bits
from septet.vision.sources import shown
from septet.vision.worker import EXTENSIONS

MOST_DIMENSIONS = 3
LARGEST_SIDE = 1 << 20
"""More than any picture has: it keeps its own size."""


def encode_pictures(
    inputs: Sequence[Any] | Any, height: int, width: int, channels: int, how: str = "stretch"
) -> np.ndarray:
    """Pictures as uint8 [N, height, width, channels].

    Args:
        inputs: Paths, Pillow pictures and arrays ([h, w] or [h, w, 1, 3 or 4]; uint8, uint16,
            booleans, or floats in 0..1), in any mixture; or one array [N, h, w] or [N, h, w, c].
        height: Of the result.
        width: Of the result.
        channels: 1 or 3.
        how: As of `pixels.resize`.

    Raises:
        DataError: An input is not a picture; names which.
    """
    if isinstance(inputs, str | os.PathLike) or _is_picture(inputs):
        inputs = [inputs]
    inputs = list(inputs)
    stacked = np.empty((len(inputs), height, width, channels), np.uint8)
    files = [place for place, item in enumerate(inputs) if isinstance(item, str | os.PathLike)]
    paths = [os.path.realpath(os.fspath(inputs[place])) for place in files]
    decoded = shared_pool().decode(paths, (height, width), exact=True, how=how) if paths else []
    for place, picture in zip(files, decoded, strict=True):
        if isinstance(picture, Undecodable):
            name = shown(str(inputs[place]))
            raise DataError(f"Input {place} ('{name}'): {picture.reason} {picture.remedy}")
        stacked[place] = fit(picture.pixels, height, width, channels, how)
    for place in sorted(set(range(len(inputs))) - set(files)):
        pixels = _pixels(inputs[place], f"Input {place}")
        stacked[place] = fit(pixels, height, width, channels, how)
    return stacked


def input_size(prepared: Mapping[str, Any]) -> tuple[int, int, int, str]:
    """Height, width and channels that a network sees, and how pictures are brought there."""
    names = ("height", "width", "channels")
    height, width, channels = (prepared[name] for name in names)
    # Models that were saved before there was a choice were trained on stretched pictures.
    return height, width, channels, prepared.get("fit", "stretch")


def whole_pictures(inputs: Sequence[Any] | Any) -> Iterator[np.ndarray]:
    """Pictures in their own size, one after the other: uint8 [h, w] or [h, w, 3].

    Args:
        inputs: As for `encode_pictures`.

    Raises:
        DataError: An input is not a picture; names which.
    """
    if isinstance(inputs, str | os.PathLike) or _is_picture(inputs):
        inputs = [inputs]
    for place, item in enumerate(inputs):
        if not isinstance(item, str | os.PathLike):
            yield _pixels(item, f"Input {place}")
            continue
        path = os.path.realpath(os.fspath(item))
        (picture,) = shared_pool().decode([path], (LARGEST_SIDE, LARGEST_SIDE), exact=False)
        if isinstance(picture, Undecodable):
            raise DataError(
                f"Input {place} ('{shown(str(item))}'): {picture.reason} {picture.remedy}"
            )
        yield picture.pixels


def _is_picture(value: Any) -> bool:
    """Whether it is a Pillow picture; without importing Pillow for other inputs."""
    return hasattr(value, "getbands") and hasattr(value, "convert")


def _pixels(value: Any, name: str) -> np.ndarray:
    """One picture as uint8 [h, w] or [h, w, 3]."""
    if _is_picture(value):
        from PIL import ImageOps

        if value.width * value.height > MAX_PIXELS:
            raise DataError(
                f"{name} has {value.width} x {value.height} pixels; at most "
                f"{MAX_PIXELS // 10**6} million are read. Make it smaller."
            )
        try:
            return np.asarray(to_eight_bits(ImageOps.exif_transpose(value)))
        except Unusable as problem:
            raise DataError(f"{name}: {problem.args[1]} {problem.args[2]}") from None
        except (OSError, ValueError, SyntaxError) as error:
            raise DataError(f"{name} cannot be decoded: {error}. Save it again.") from None
    return _array_pixels(value, name)


def _array_pixels(value: Any, name: str) -> np.ndarray:
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        array = np.asarray(None)
    is_picture = array.ndim == 2 or (array.ndim == MOST_DIMENSIONS and array.shape[2] in (1, 3, 4))
    if array.dtype.kind not in "buif" or not is_picture or array.size == 0:
        received = f"shape {list(array.shape)} and type {array.dtype}"
        if array.dtype.kind not in "buif":
            received = f"type {type(value).__name__}"
        raise DataError(
            f"{name} has {received}; expected a path, a Pillow picture, or an array "
            "[height, width] or [height, width, 1, 3 or 4]."
        )
    pixels = _array_bytes(array, name)
    if pixels.ndim == MOST_DIMENSIONS and pixels.shape[2] == 4:
        from PIL import Image

        return np.asarray(to_eight_bits(Image.fromarray(pixels)))
    return pixels[:, :, 0] if pixels.ndim == MOST_DIMENSIONS and pixels.shape[2] == 1 else pixels


def _array_bytes(array: np.ndarray, name: str) -> np.ndarray:
    """Values of one picture as uint8, by the type's usual range."""
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if array.dtype.kind == "b":
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype == np.uint16:
        return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    highest = 1 if array.dtype.kind == "f" else 255
    low, high = array.min(), array.max()
    if not (low >= 0 and high <= highest):  # also when one is NaN
        raise DataError(
            f"{name} has {array.dtype} values from {low} to {high}; expected 0 to {highest}."
        )
    return np.rint(array * (255.0 if highest == 1 else 1.0)).astype(np.uint8)


def inputs_from_arguments(arguments: Sequence[str]) -> list[str]:
    """Paths of the pictures that paths, folders and glob patterns name, in a fixed order.

    Raises:
        DataError: An argument names no picture.
    """
    found: list[str] = []
    for argument in arguments:
        found.extend(_named_by(argument))
    if not found:
        raise DataError("No picture was given. Name files, folders or patterns such as '*.png'.")
    return found


def _named_by(argument: str) -> list[str]:
    if not argument:
        raise DataError("An input is empty, as of a variable that is not set. Name a picture.")
    path = Path(argument)
    if os.path.isdir(path):
        inside = _pictures_in(path)
        if not inside:
            raise DataError(f"The folder '{shown(argument)}' has no pictures.")
        return inside
    if os.path.lexists(path):
        return [argument]
    matches = sorted(glob.glob(argument, recursive=True))
    files = [match for match in matches if os.path.isfile(match)]
    if not files:
        raise DataError(f"'{shown(argument)}' is no file, folder or pattern that matches a file.")
    return files


def _pictures_in(folder: Path) -> list[str]:
    """Picture files in a folder and its visible subfolders."""
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if Path(name).suffix.lower() in EXTENSIONS and not name.startswith("."):
                found.append(os.path.join(place, name))
    return found
