"""What a user gives to predict on, as clips of the network's size."""

import glob
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from septet.errors import DataError
from septet.vision.decoding import Undecodable
from septet.vision.gathering import fit
from septet.vision.inputs import encode_pictures, input_size
from septet.vision.sources import shown
from septet.vision.video.clips import Sampling, clip_places, filled
from septet.vision.video.decoding import Request, require_reader, shared_pool
from septet.vision.video.reading import fitted
from septet.vision.video.sources import EXTENSIONS
from septet.vision.video.worker import is_frame


def encode_videos(inputs: Sequence[Any] | Any, prepared: Mapping[str, Any]) -> np.ndarray:
    """Videos as uint8 [N, clips, frames, height, width, channels].

    Args:
        inputs: Paths of files or of folders of frames, and arrays of frames ([frames, h, w] or
            [frames, h, w, 1 or 3]; uint8, uint16, booleans, or floats in 0..1), in any mixture.
        prepared: Of the task.

    Raises:
        DataError: An input is no video; names which.
    """
    if isinstance(inputs, str | os.PathLike):
        inputs = [inputs]
    inputs = list(inputs)
    sampling = Sampling(prepared["frames"], prepared["stride"], prepared["clips"])
    height, width, channels, how = input_size(prepared)
    size = (height, width, channels)
    stacked = np.empty((len(inputs), sampling.clips, sampling.frames, *size), np.uint8)
    files = [place for place, item in enumerate(inputs) if isinstance(item, str | os.PathLike)]
    paths = [os.path.realpath(os.fspath(inputs[place])) for place in files]
    _require_reader_for(paths)
    request = Request((height, width), True, sampling, how)
    for place, result in zip(files, shared_pool().decode(paths, request), strict=True):
        if isinstance(result, Undecodable):
            name = shown(str(inputs[place]))
            raise DataError(f"Input {place} ('{name}'): {result.reason} {result.remedy}")
        clips = result.clips[..., 0] if result.clips.shape[-1] == 1 else result.clips
        stacked[place] = filled(fitted(clips, *size, how), sampling.clips)
    for place in sorted(set(range(len(inputs))) - set(files)):
        frames = _frames(inputs[place], f"Input {place}", (*size, how))
        stacked[place] = filled(frames[clip_places(len(frames), sampling)], sampling.clips)
    return stacked


def _require_reader_for(paths: Sequence[str]) -> None:
    if any(os.path.isfile(path) for path in paths):
        require_reader()


def _frames(value: Any, name: str, size: tuple[int, int, int, str]) -> np.ndarray:
    """One video given as an array, uint8 [frames, height, width, channels]."""
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        array = np.asarray(None)
    is_video = array.ndim == 3 or (array.ndim == 4 and array.shape[3] in (1, 3))
    if array.dtype.kind not in "buif" or not is_video or array.size == 0:
        received = f"shape {list(array.shape)} and type {array.dtype}"
        if array.dtype.kind not in "buif":
            received = f"type {type(value).__name__}"
        raise DataError(
            f"{name} has {received}; expected a path, or an array [frames, height, width] or "
            "[frames, height, width, 1 or 3]."
        )
    return encode_pictures(list(array), *size)


def frames_of(source: Any, prepared: Mapping[str, Any]) -> Iterator[np.ndarray]:
    """The frames of a video one by one, each when it is there: uint8 [height, width, channels].

    Args:
        source: A path, or anything that gives frames in turn (arrays, Pillow pictures).
        prepared: Of the task; every `stride`th frame is taken.

    Raises:
        DataError: The video or a frame cannot be understood.
    """
    size = input_size(prepared)
    if isinstance(source, str | os.PathLike):
        path = os.path.realpath(os.fspath(source))
        _require_reader_for([path])
        try:
            for frame in shared_pool().frames(path, size[:2], prepared["stride"], size[3]):
                yield fit(frame[..., 0] if frame.shape[-1] == 1 else frame, *size)
        except DataError as error:
            raise DataError(f"'{shown(str(source))}': {error}") from None
        return
    for number, frame in enumerate(source):
        if number % prepared["stride"] == 0:
            yield encode_pictures([frame], *size)[0]


def inputs_from_arguments(arguments: Sequence[str]) -> list[str]:
    """Paths of the videos that paths, folders and glob patterns name, in a fixed order.

    A folder that has pictures is one video, another stands for the videos in it.

    Raises:
        DataError: An argument names no video.
    """
    found: list[str] = []
    for argument in arguments:
        found.extend(_named_by(argument))
    if not found:
        raise DataError("No video was given. Name files, folders or patterns such as '*.mp4'.")
    return found


def _named_by(argument: str) -> list[str]:
    if os.path.isdir(argument):
        inside = list(_videos_in(argument))
        if not inside:
            raise DataError(f"The folder '{shown(argument)}' has neither videos nor frames.")
        return inside
    if os.path.lexists(argument):
        return [argument]
    matches = sorted(glob.glob(argument, recursive=True))
    videos = [match for match in matches if os.path.isfile(match) or os.path.isdir(match)]
    if not videos:
        raise DataError(f"'{shown(argument)}' is no file, folder or pattern that matches a file.")
    return videos


def _videos_in(folder: str) -> Iterator[str]:
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        shown_files = sorted(name for name in files if not name.startswith("."))
        if any(is_frame(name) for name in shown_files):
            yield place
        for name in shown_files:
            if Path(name).suffix.lower() in EXTENSIONS:
                yield os.path.join(place, name)
