"""Pictures and labels from a `.npz` file of NumPy arrays.

Declared sizes are checked against the file before anything is allocated; nothing is
unpickled.
"""

import math
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from septet.data.account import Account, Rejection
from septet.data.resources import free_memory
from septet.errors import DataError
from septet.vision.gathering import Gathered, digest_of

PAIRS = (
    ("x_train", "y_train", "train"),
    ("x_valid", "y_valid", "validation"),
    ("x_validation", "y_validation", "validation"),
    ("x_val", "y_val", "validation"),
    ("x_test", "y_test", "test"),
)
# RuntimeError: an encrypted member; NotImplementedError is one, for unknown compression.
UNSOUND = (zipfile.BadZipFile, OSError, ValueError, EOFError, RuntimeError, zlib.error)
MAX_HEADER = 10_000
MAX_DEFLATE_RATIO = 1032
"""Deflate cannot shrink further, so a member that claims to was forged."""


def read_archive(source: Path, account: Account, *, are_videos: bool = False) -> Gathered:
    """Examples of `x_train`, `y_train`, `x_test`, `y_test` (or `x`, `y`), class_names optional.

    Pictures are [N, height, width] or [N, height, width, 1 or 3]: integers in 0..255,
    uint16, or floats in 0..1 or 0..255. Labels are integers, text, or one-hot rows.
    Videos have an axis of frames after the first.

    Raises:
        DataError: The file is damaged, lies about its sizes, or lacks an array.
    """
    arrays = load_arrays(source)
    names = _class_names(arrays, source)
    pairs = [pair for pair in PAIRS if pair[0] in arrays]
    if "train" not in [split for *_, split in pairs]:
        pairs = [("x", "y", None)]
    gathered = Gathered(class_order=names)
    for x, y, split in pairs:
        for name in (x, y):
            if name not in arrays:
                raise DataError(
                    f"'{source.name}' has no array '{name}'; it has: {', '.join(arrays)}. "
                    "Expected x_train, y_train, x_test, y_test, or x, y."
                )
        pictures, labels = arrays.pop(x), arrays.pop(y)
        if len(pictures.shape) == 0 or len(labels.shape) == 0 or len(pictures) != len(labels):
            raise DataError(
                f"'{source.name}': {x} has shape {list(pictures.shape)} and {y} "
                f"{list(labels.shape)}; expected as many pictures as labels."
            )
        as_bytes = video_bytes if are_videos else to_bytes
        place = f"{source.name}:{x}"
        _gather(gathered, account, place, as_bytes(pictures, place), labels, split, are_videos)
    return gathered


def load_arrays(source: Path) -> dict[str, np.ndarray]:
    """All arrays of an `.npz` file.

    Raises:
        DataError: See `read_archive`.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
            _require_plausible(source, members)
            return {info.filename[:-4]: _load(archive, info) for info in members}
    except UNSOUND as error:
        raise DataError(f"'{source.name}' is not a sound .npz file: {error}") from None


def _require_plausible(source: Path, members: list[zipfile.ZipInfo]) -> None:
    size = source.stat().st_size
    total = sum(info.file_size for info in members)
    if sum(info.compress_size for info in members) > size:
        raise ValueError("its members overlap.")
    for info in members:
        if info.file_size > (info.compress_size + 64) * MAX_DEFLATE_RATIO:
            raise ValueError(f"'{info.filename}' declares more than it can hold.")
    if len({info.filename for info in members}) < len(members):
        raise ValueError("two members have the same name.")
    free = free_memory()
    if free is not None and total > free:
        raise ValueError(
            f"its arrays take {total / 2**20:.0f} MiB and {free / 2**20:.0f} MiB are free."
        )


def _load(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    """One array, after its header was checked against the member's size."""
    with archive.open(info) as file:
        version = np.lib.format.read_magic(file)
        readers = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }
        if version not in readers:
            raise ValueError(f"'{info.filename}' has the unknown format version {version}.")
        shape, _, dtype = readers[version](file, max_header_size=MAX_HEADER)
        if dtype.hasobject:
            raise ValueError(f"'{info.filename}' holds Python objects, which are never loaded.")
        declared = math.prod(shape) * dtype.itemsize
        if min(shape, default=0) < 0 or declared != info.file_size - file.tell():
            raise ValueError(
                f"'{info.filename}' declares {declared} bytes of values and has "
                f"{info.file_size - file.tell()}."
            )
    with archive.open(info) as file:
        return np.lib.format.read_array(file, allow_pickle=False, max_header_size=MAX_HEADER)


def _class_names(arrays: dict[str, np.ndarray], source: Path) -> list[str] | None:
    if "class_names" not in arrays:
        return None
    names = arrays["class_names"]
    if names.ndim != 1 or names.dtype.kind not in "US":
        raise DataError(
            f"'{source.name}': class_names has shape {list(names.shape)} and type {names.dtype}; "
            "expected one text for each class."
        )
    texts = [_text(name) for name in names.tolist()]
    if len(set(texts)) < len(texts):
        raise DataError(f"'{source.name}': class_names has the same name twice.")
    return texts


def _text(value: Any) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def _gather(
    gathered: Gathered,
    account: Account,
    place: str,
    examples: tuple[np.ndarray, np.ndarray],
    labels: np.ndarray,
    split: str | None,
    is_video: bool,
) -> None:
    """Append the usable examples of one pair of arrays; reject the others.

    `examples` are pictures or videos as bytes, and which are usable.
    """
    pictures, usable = examples
    names, problems = _label_texts(labels, gathered.class_order, place)
    account.read += len(pictures)
    for row, picture in enumerate(pictures):
        here = f"{place}:{row}"
        if not usable[row]:
            reason, remedy = "It has values that are not finite.", "Mend or remove it."
            account.rejections.append(Rejection("non-finite-pixels", here, None, reason, remedy))
            continue
        if row in problems:
            remedy = "Mend the label or remove the example."
            rejection = Rejection("bad-label", here, None, problems[row], remedy)
            account.rejections.append(rejection)
            continue
        frame = picture[0] if is_video else picture
        gathered.add(picture, names[row], split, here, digest_of(picture), frame.shape[:2])
        corner = picture[..., :1, :1, :] if frame.ndim == 3 else picture[..., :1, :1]
        gathered.blanks.append(bool((picture == corner).all()))


def to_bytes(pictures: np.ndarray, place: str) -> tuple[np.ndarray, np.ndarray]:
    """Pictures as uint8 [N, height, width] or [N, height, width, 3], and which are finite, [N].

    Raises:
        DataError: The shape or the range of values is none that pictures have.
    """
    if pictures.ndim == 4 and pictures.shape[3] == 1:
        pictures = pictures[..., 0]
    is_picture = pictures.ndim == 3 or (pictures.ndim == 4 and pictures.shape[3] == 3)
    if not is_picture or 0 in pictures.shape[1:]:
        raise DataError(
            f"'{place}' has shape {list(pictures.shape)}; expected [N, height, width] or "
            "[N, height, width, 1 or 3]. Transpose channels that come first."
        )
    usable = np.ones(len(pictures), bool)
    kind = pictures.dtype.kind
    if pictures.dtype == np.uint8 or len(pictures) == 0:
        return pictures.astype(np.uint8, copy=False), usable
    if kind == "b":
        return pictures.astype(np.uint8) * np.uint8(255), usable
    if kind not in "iuf":
        raise DataError(f"'{place}' has type {pictures.dtype}; expected numbers.")
    if kind == "f":
        usable = np.logical_and.reduce(np.isfinite(pictures).reshape(len(pictures), -1), axis=1)
        pictures = np.where(usable.reshape(-1, *[1] * (pictures.ndim - 1)), pictures, 0)
    low, high = pictures.min(), pictures.max()
    if low < 0 or high > (65535 if pictures.dtype == np.uint16 else 255):
        raise DataError(
            f"'{place}' has values from {low} to {high}; expected 0 to 255, or floats 0 to 1."
        )
    if pictures.dtype == np.uint16 and high > 255:
        return ((pictures.astype(np.uint32) + 128) // 257).astype(np.uint8), usable
    factor = 255.0 if kind == "f" and high <= 1 else 1.0
    return np.rint(pictures * factor).astype(np.uint8), usable


def video_bytes(videos: np.ndarray, place: str) -> tuple[np.ndarray, np.ndarray]:
    """Videos as uint8 [N, frames, height, width] or [N, frames, height, width, 3]; see `to_bytes`.

    Raises:
        DataError: The shape or the range of values is none that videos have.
    """
    shape = videos.shape
    if videos.ndim not in (4, 5) or 0 in shape[1:] or (videos.ndim == 5 and shape[4] not in (1, 3)):
        raise DataError(
            f"'{place}' has shape {list(shape)}; expected [N, frames, height, width] or "
            "[N, frames, height, width, 1 or 3]. Transpose channels that come first."
        )
    frames, usable = to_bytes(videos.reshape(-1, *shape[2:]), place)
    return (
        frames.reshape(*shape[:2], *frames.shape[1:]),
        usable.reshape(shape[:2]).all(axis=1),
    )


def _label_texts(
    labels: np.ndarray, names: list[str] | None, place: str
) -> tuple[list[str], dict[int, str]]:
    """Class of each row, and what is wrong with those rows that have none."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2 and _is_one_hot(labels):
        labels = labels.argmax(axis=1)
    if labels.ndim == 1 and labels.dtype.kind in "US":
        texts = [_text(value).strip() for value in labels.tolist()]
        return texts, {row: "The label is empty." for row, text in enumerate(texts) if not text}
    whole = labels.dtype.kind in "iub" or (
        labels.dtype.kind == "f" and bool((labels == np.floor(labels)).all())
    )
    if labels.ndim != 1 or not whole:
        raise DataError(
            f"The labels of '{place}' have shape {list(labels.shape)} and type {labels.dtype}; "
            "expected one whole number or text for each picture."
        )
    numbers = [int(value) for value in labels.tolist()]
    if names is None:
        return [str(number) for number in numbers], {}
    problems = {
        row: f"The label is {number}; class_names has {len(names)} names."
        for row, number in enumerate(numbers)
        if not 0 <= number < len(names)
    }
    return [names[n] if 0 <= n < len(names) else "" for n in numbers], problems


def _is_one_hot(labels: np.ndarray) -> bool:
    if labels.dtype.kind not in "iubf":
        return False
    return bool(((labels == 0) | (labels == 1)).all() and (labels.sum(axis=1) == 1).all())
