"""Real video files of moving squares, written by PyAV, and folders of frames."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

KINDS = {
    "mp4": ("mp4", "libx264", "yuv420p"),
    "webm": ("webm", "libvpx", "yuv420p"),
    "gif": ("gif", "gif", "rgb8"),
    "avi": ("avi", "mpeg4", "yuv420p"),
}
"""Container, encoder and pixel format, by extension."""


def moving(
    way: str = "right", *, seed: int = 0, frames: int = 16, height: int = 32, width: int = 32
) -> np.ndarray:
    """A clip uint8 [frames, height, width, 3] of a bright square that moves over noise."""
    random = np.random.default_rng(seed)
    clip = np.repeat(random.integers(0, 60, (1, height, width, 3)), frames, axis=0)
    step = {"right": (0, 1), "left": (0, -1), "down": (1, 0), "up": (-1, 0)}[way]
    start = random.integers(0, height, 2)
    colour = random.integers(180, 256, 3)
    for number in range(frames):
        rows = (start[0] + step[0] * number + np.arange(10)) % height
        columns = (start[1] + step[1] * number + np.arange(10)) % width
        clip[number][np.ix_(rows, columns)] = colour
    return clip.astype(np.uint8)


def write_video(path: Path, clip: np.ndarray, *, rate: int = 12, kind: str = "") -> Path:
    """`clip` as a video file of the kind that its extension, or `kind`, names."""
    import av

    container, codec, pixels = KINDS[kind or path.suffix[1:]]
    with av.open(str(path), "w", format=container) as file:
        stream: Any = file.add_stream(codec, rate=rate)
        stream.height, stream.width = clip.shape[1:3]
        stream.pix_fmt = pixels
        stream.codec_context.thread_count = 1
        if codec == "libx264":
            stream.options = {"preset": "ultrafast", "crf": "12"}
        if codec == "mpeg4":
            stream.bit_rate = 2_000_000
        for frame in clip:
            for packet in stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")):
                file.mux(packet)
        for packet in stream.encode():
            file.mux(packet)
    return path


def write_frames(folder: Path, clip: np.ndarray) -> Path:
    """`clip` as a folder of PNG files, numbered without zeros in front."""
    folder.mkdir(parents=True)
    for number, frame in enumerate(clip):
        Image.fromarray(frame).save(folder / f"frame{number}.png")
    return folder


def write_set(
    root: Path, *, each: int = 6, kind: str = "mp4", ways: tuple[str, ...] = ("left", "right")
) -> Path:
    """A folder of class folders with `each` videos a way."""
    for place, way in enumerate(ways):
        (root / way).mkdir(parents=True)
        for number in range(each):
            clip = moving(way, seed=100 * place + number)
            write_video(root / way / f"{number:02d}.{kind}", clip)
    return root
