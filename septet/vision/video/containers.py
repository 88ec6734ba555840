"""Videos in files, opened by PyAV: what they are, how many frames they have, and the frames.

Runs in a decoding worker alone: the code of ffmpeg reads untrusted bytes. The container is known
by its first bytes, and only its own reader is started; playlists and scripts, which name other
files and addresses, are never read.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from septet.vision.pixels import Unusable, unusable
from septet.vision.video.lengths import cut_off
from septet.vision.worker import open_file

FORMATS = {"mov": "MP4", "matroska": "WebM", "gif": "GIF", "avi": "AVI"}
"""ffmpeg's name of the reader, and ours."""
CODECS = (
    "h264,hevc,av1,libdav1d,vp8,vp9,mpeg4,mjpeg,mpeg1video,mpeg2video,gif,h263,msmpeg4v2,msmpeg4,"
    "theora,prores,png,rawvideo,ffv1,huffyuv,libvpx,libvpx-vp9"
)
"""Decoders that may be started."""
MAX_FILE_BYTES = 8 * 2**30
MAX_FRAMES = 200_000
MAX_FRAME_PIXELS = 36_000_000
"""A little more than 7680 x 4320."""
LEAST_SHARE = 0.9
"""Of the time that a file declares, which its frames fill unless it was cut off."""
OPTIONS = {"protocol_whitelist": "", "codec_whitelist": CODECS, "max_streams": "64"}


@dataclass(frozen=True)
class Facts:
    """What is known of a video before it is decoded.

    Args:
        kind: ffmpeg's name of its reader.
        count: Frames that the file really holds.
        size: Height and width that it declares.
        codec: How it is coded.
        rate: Frames a second, 0 where it does not say.
    """

    kind: str
    count: int
    size: tuple[int, int]
    codec: str
    rate: float


def kind_of(start: bytes) -> str | None:
    """The reader for a file that begins with these bytes, None where it is no video."""
    if start[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return "mov"
    if start[:4] == b"\x1aE\xdf\xa3":
        return "matroska"
    if start[:6] in (b"GIF87a", b"GIF89a"):
        return "gif"
    if start[:4] == b"RIFF" and start[8:12] == b"AVI ":
        return "avi"
    return None


class VideoFile:
    """One video file, examined when opened."""

    def __init__(self, path: str):
        """Open the file and count its frames.

        Raises:
            Unusable: It is no video, damaged, cut off, empty, or larger than is read.
        """
        self.file, size = open_file(path)
        if size > MAX_FILE_BYTES:
            raise _huge(f"The file has {size / 2**30:.1f} GiB; at most 8 are read.")
        kind = kind_of(self.file.read(16))
        if kind is None:
            raise unusable(
                "unreadable-video",
                f"Its content is none of {', '.join(FORMATS.values())}, or its header is damaged.",
                "Save it again as MP4, or remove it.",
            )
        try:
            self.facts = _examined(self.file, kind)
        except Unusable:
            raise
        except MemoryError:
            raise
        except Exception as error:  # PyAV raises nearly everything on bad bytes
            raise explained(error) from None

    def frames(self) -> Iterator[Any]:
        """The frames as Pillow pictures, upright, in order.

        Raises:
            Unusable: One cannot be decoded, or is larger than is read.
        """
        done = 0
        try:
            with _opened(self.file, self.facts.kind) as container:
                for frame in container.decode(container.streams.video[0]):
                    _require_few_pixels(frame.height, frame.width)
                    if frame.is_corrupt:
                        raise _unreadable_frame(done, self.facts.count, "it is damaged")
                    yield _upright(frame)
                    done += 1
        except (Unusable, MemoryError, GeneratorExit):
            raise
        except Exception as error:
            raise _unreadable_frame(done, self.facts.count, brief(error)) from None

    def close(self) -> None:
        """Close the file."""
        self.file.close()


def _opened(file: BinaryIO, kind: str) -> Any:
    import av

    file.seek(0)
    container = av.open(file, "r", format=kind, options=dict(OPTIONS), metadata_errors="ignore")
    if not container.streams.video:
        container.close()
        raise unusable("no-video-stream", "The file has no video.", "Remove it.")
    context = container.streams.video[0].codec_context
    if context.name not in CODECS.split(","):
        container.close()
        raise unusable(
            "unsupported-codec",
            f"It is coded as {context.name}, which is not read.",
            "Save it again as H.264 in MP4.",
        )
    context.thread_count = 1
    context.options = {"err_detect": "explode", "max_pixels": str(MAX_FRAME_PIXELS)}
    return container


def _examined(file: BinaryIO, kind: str) -> Facts:
    if (what := cut_off(file, kind)) is not None:
        raise _damaged(what) if what.startswith("is damaged") else _cut_off(what)
    count, end, damaged = 0, 0.0, False
    with _opened(file, kind) as container:
        stream = container.streams.video[0]
        height, width = stream.codec_context.height, stream.codec_context.width
        _require_few_pixels(height, width)
        declared, time_base = int(stream.frames), float(stream.time_base or 0)
        for packet in container.demux(stream):
            if packet.size == 0:
                continue
            count += 1
            damaged = damaged or packet.is_corrupt
            if packet.pts is not None:
                end = max(end, (packet.pts + (packet.duration or 0)) * time_base)
            if count > MAX_FRAMES:
                raise _huge(f"It has more than {MAX_FRAMES:,} frames.")
        length = _declared_seconds(container, stream)
        rate = float(stream.average_rate or 0)
        codec = str(stream.codec_context.name)
    if count == 0:
        raise unusable("no-frames", "It has no frames.", "Save it again or remove it.")
    if damaged or declared > count:
        said = f"declares {declared} frames" if declared > count else "breaks off in a frame"
        raise _cut_off(f"{said} and holds {count}")
    if length is not None and end < LEAST_SHARE * length - 2 / max(rate, 1.0):
        raise _cut_off(f"declares {length:.2f} s and ends after {end:.2f} s")
    return Facts(kind, count, (height, width), codec, rate)


def _declared_seconds(container: Any, stream: Any) -> float | None:
    """How long the video should be, where sound of another length cannot be what is meant."""
    if stream.duration is not None and stream.time_base:
        return float(stream.duration * stream.time_base)
    if container.duration is not None and len(container.streams) == 1:
        return container.duration / 1e6
    return None


def _require_few_pixels(height: int, width: int) -> None:
    if height * width > MAX_FRAME_PIXELS:
        raise _huge(
            f"Its frames have {width} x {height} pixels; at most "
            f"{MAX_FRAME_PIXELS // 10**6} million are read."
        )
    if height < 1 or width < 1:
        raise unusable("unreadable-video", "Its frames have no pixels.", "Remove it.")


def _upright(frame: Any) -> Any:
    """A frame as Pillow picture, turned as the file says; with alpha where it has some."""
    from PIL import Image

    has_alpha = any(component.is_alpha for component in frame.format.components)
    if has_alpha or frame.format.name == "pal8":
        picture = Image.fromarray(frame.to_ndarray(format="rgba"))
    else:
        picture = frame.to_image()
    turns = round(float(getattr(frame, "rotation", 0) or 0) / 90) % 4
    turned = (None, Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180)
    turn = (*turned, Image.Transpose.ROTATE_270)[turns]
    return picture if turn is None else picture.transpose(turn)


def explained(error: Exception) -> Unusable:
    """What an error of ffmpeg on a whole file means for a person."""
    text = brief(error)
    if isinstance(error, EOFError) or "end of file" in text.lower():
        return _cut_off(f"ends early ({text})")
    return _damaged(f"cannot be decoded ({text})")


def _damaged(what: str) -> Unusable:
    return unusable("unreadable-video", f"The file {what}.", "Save it again or remove it.")


def brief(error: Exception) -> str:
    """The error's own words, in a line."""
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(words).split())[:200]


def _unreadable_frame(number: int, count: int, why: str) -> Unusable:
    reason = f"Frame {number + 1} of {count} cannot be decoded ({why})."
    return unusable("unreadable-frames", reason, "Save it again or remove it.")


def _cut_off(what: str) -> Unusable:
    return unusable("truncated-video", f"The file {what}.", "Copy it again.")


def _huge(what: str) -> Unusable:
    return unusable("huge-video", what, "Make it smaller or remove it.")


def is_folder(path: str) -> bool:
    """Whether the frames are files of a folder, which is no link."""
    return os.path.isdir(path) and not os.path.islink(path)
