"""The program of a worker that decodes videos and answers over its own pipes.

Runs as `python -m septet.vision.video.worker`, so that a crash or a bomb in ffmpeg's code ends
this process and not the training. Knows files and folders of frames; knows no data set.
"""

import hashlib
import os
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from septet.data.messages import receive, send
from septet.vision.pixels import Unusable, drop_needless_colour, resize, to_eight_bits, unusable
from septet.vision.video.clips import Sampling, clip_places
from septet.vision.video.containers import FORMATS, VideoFile, explained, is_folder
from septet.vision.worker import EXTENSIONS, decode, limit_resources, read_file

MAX_CLIP_BYTES = 1 << 30
MAX_LISTED = 200_000
STILL = 8
"""Of 255: no pixel of a video in which nothing moves differs by more."""


def main() -> None:
    """Answer requests until the parent closes the pipe."""
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    limit_resources()
    from PIL import Image

    Image.init()
    send(answers, {"ready": True})
    while (message := receive(requests)) is not None:
        request, _ = message
        for header, pixels in _answers(request):
            send(answers, header, pixels)


def _answers(request: dict[str, Any]) -> Iterator[tuple[dict[str, Any], bytes]]:
    box = (request["box"][0], request["box"][1])
    try:
        if request.get("stream"):
            yield from _frame_by_frame(request["path"], box, request["stride"], request["how"])
            return
        sampling = Sampling(request["frames"], request["stride"], request["clips"])
        how = request["how"]
        yield decoded(request["path"], box, sampling, exact=request["exact"], how=how)
        return
    except Unusable as problem:
        code, reason, remedy = problem.args
    except MemoryError:
        code, reason = "huge-video", "Decoding it needs more than 4 GiB of memory."
        remedy = "Make it smaller or remove it."
    except Exception as error:  # decoders raise nearly everything on bad bytes
        code, reason, remedy = explained(error).args
    yield {"code": code, "reason": reason, "remedy": remedy}, b""


class FrameFolder:
    """A video whose frames are pictures in a folder, in the order of the numbers in their names."""

    def __init__(self, path: str):
        """List the folder.

        Raises:
            Unusable: It cannot be listed, or has no pictures.
        """
        try:
            names = sorted(os.listdir(path), key=in_order)
        except OSError as error:
            reason = f"The folder cannot be listed ({error.strerror})."
            raise unusable("unreadable-file", reason, "Allow reading it.") from None
        shown = [name for name in names if not name.startswith(".")]
        self.paths = [os.path.join(path, name) for name in shown if is_frame(name)]
        if not self.paths:
            raise unusable("no-frames", "The folder has no pictures.", "Add frames or remove it.")
        if len(self.paths) > MAX_LISTED:
            reason = f"The folder has more than {MAX_LISTED:,} pictures."
            raise unusable("huge-video", reason, "Make it smaller or remove it.")

    def frame(self, number: int) -> Any:
        """One frame as a Pillow picture.

        Raises:
            Unusable: It cannot be decoded.
        """
        from PIL import Image

        name = os.path.basename(self.paths[number]).encode("utf-8", "backslashreplace").decode()
        try:
            content = read_file(self.paths[number])
            known, pixels = decode(content, (1 << 16, 1 << 16), exact=False)
        except Unusable as problem:
            reason = f"The frame '{name}' cannot be used: {problem.args[1]}"
        except MemoryError:
            raise
        except Exception as error:
            text = " ".join(str(error).split())[:200]
            reason = f"The frame '{name}' cannot be decoded ({text or type(error).__name__})."
        else:
            shape = (known["height"], known["width"], known["channels"])
            array = np.frombuffer(pixels, np.uint8).reshape(shape)
            return Image.fromarray(array[..., 0] if shape[2] == 1 else array)
        raise unusable("unreadable-frames", reason, "Save the frame again or remove the video.")


def is_frame(name: str) -> bool:
    """Whether a file is a frame by its name; an animation is a video by itself."""
    suffix = os.path.splitext(name)[1].lower()
    return suffix in EXTENSIONS and EXTENSIONS[suffix] != "GIF"


def in_order(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """A key that sorts numbers in names by their value."""
    pieces: list[tuple[int, int, str]] = []
    digits, text = "", ""
    for letter in (*name, ""):
        if letter.isdecimal() and letter.isascii():
            if text:
                pieces.append((1, 0, text))
                text = ""
            digits += letter
            continue
        if digits:
            pieces.append((0, int(digits[:4000]), ""))
            digits = ""
        text += letter
    if text:
        pieces.append((1, 0, text))
    return pieces, name


def decoded(
    path: str, box: tuple[int, int], sampling: Sampling, *, exact: bool, how: str = "stretch"
) -> tuple[dict[str, Any], bytes]:
    """The clips of one video, 8-bit grey or colour, transparent parts on white.

    Args:
        path: A video file, or a folder of frames.
        box: Height and width. Larger frames are resized to it (bilinear, both sides).
        sampling: Which frames.
        exact: Resize smaller frames as well.
        how: As of `pixels.resize`.

    Returns:
        What is known of it ("clips", "frames", "height", "width" and "channels" of the pixels;
        "count" of all frames, "original" height and width, "format", "codec", "rate", "digest",
        "blank", "still"), and uint8 pixels in that shape.

    Raises:
        Unusable: It cannot be used; says why.
    """
    if sampling.clips * sampling.frames * box[0] * box[1] * 3 > MAX_CLIP_BYTES:
        reason = "The clips of a video would take more than 1 GiB."
        raise unusable("huge-video", reason, "Lower data.frames, data.clips or data.size.")
    if is_folder(path):
        folder = FrameFolder(path)
        places = clip_places(len(folder.paths), sampling)
        numbers = np.unique(places).tolist()
        pictures = {number: _taken(folder.frame(number), box, exact, how) for number in numbers}
        known = {"count": len(folder.paths), "format": "frames", "codec": "", "rate": 0.0}
        return _put_together(pictures, places, known)
    video = VideoFile(path)
    try:
        facts = video.facts
        count = facts.count
        places = clip_places(count, sampling)
        pictures = _chosen(video, places, box, exact, how)
        if max(pictures, default=-1) < places.max():
            # Some frames are coded and never shown; those that are shown decide.
            count = _shown(video)
            if count == 0:
                raise unusable("no-frames", "No frame can be decoded.", "Save it again.")
            places = clip_places(count, sampling)
            pictures = _chosen(video, places, box, exact, how)
    finally:
        video.close()
    known = {
        "count": count,
        "format": FORMATS[facts.kind],
        "codec": facts.codec,
        "rate": facts.rate,
    }
    return _put_together(pictures, places, known)


Taken = tuple[tuple[int, int], Any]
"""Height and width of a frame as it came, and the frame made as small as the box."""


def _chosen(
    video: VideoFile, places: np.ndarray, box: tuple[int, int], exact: bool, how: str
) -> dict[int, Taken]:
    """The frames at `places` by their number."""
    wanted, found = set(places.ravel().tolist()), {}
    for number, picture in enumerate(video.frames()):
        if number in wanted:
            found[number] = _taken(picture, box, exact, how)
        if number >= max(wanted):
            break
    return found


def _shown(video: VideoFile) -> int:
    return sum(1 for _ in video.frames())


def _taken(picture: Any, box: tuple[int, int], exact: bool, how: str) -> Taken:
    size = (picture.height, picture.width)
    picture = to_eight_bits(picture)
    if exact or size[0] > box[0] or size[1] > box[1]:
        picture = resize(picture, box[0], box[1], how)
    return size, picture


def _put_together(
    pictures: dict[int, Taken], places: np.ndarray, known: dict[str, Any]
) -> tuple[dict[str, Any], bytes]:
    """The answer of `decoded`; all frames get the size of the first."""
    original, first = pictures[min(pictures)]
    size = (first.height, first.width)
    arrays = {
        number: np.asarray(drop_needless_colour(resize(picture, *size)))
        for number, (_, picture) in pictures.items()
    }
    channels = 3 if any(array.ndim == 3 for array in arrays.values()) else 1
    shape = (*size, channels)
    arrays = {
        number: np.broadcast_to(array if array.ndim == 3 else array[..., None], shape)
        for number, array in arrays.items()
    }
    clips = np.stack([np.stack([arrays[int(place)] for place in clip]) for clip in places])
    frames = list(arrays.values())
    digest = hashlib.blake2b(f"{clips.shape}".encode(), digest_size=16)
    digest.update(clips.data)
    header = {
        **known,
        "clips": len(clips),
        "frames": clips.shape[1],
        "height": size[0],
        "width": size[1],
        "channels": channels,
        "original": original,
        "digest": digest.hexdigest(),
        "blank": all(bool((frame == frame[:1, :1]).all()) for frame in frames),
        "still": len(frames) > 1 and all(is_same(frame, frames[0]) for frame in frames),
    }
    return header, clips.tobytes()


def is_same(frame: np.ndarray, other: np.ndarray) -> bool:
    """Whether two frames differ by no more than what a codec loses."""
    return bool(np.abs(frame.astype(np.int16) - other).max() <= STILL)


def _frame_by_frame(
    path: str, box: tuple[int, int], stride: int, how: str
) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Every `stride`th frame of a video, resized to the box, as soon as it is decoded."""
    video = None
    if is_folder(path):
        folder = FrameFolder(path)
        pictures = (folder.frame(number) for number in range(len(folder.paths)))
    else:
        video = VideoFile(path)
        pictures = video.frames()
    try:
        for number, picture in enumerate(pictures):
            if number % stride == 0:
                frame = resize(to_eight_bits(picture), *box, how)
                array = np.asarray(frame)
                channels = 3 if array.ndim == 3 else 1
                yield {"number": number, "channels": channels}, array.tobytes()
    finally:
        if video is not None:
            video.close()
    yield {"end": True}, b""


if __name__ == "__main__":
    main()
