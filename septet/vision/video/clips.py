"""Which frames of a video make its clips. Pure functions; know no file and no pixel."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Sampling:
    """How clips are cut out of a video.

    Args:
        frames: Of a clip.
        stride: Every so many frames of the video one is taken.
        clips: Of a video, spread evenly over it; fewer where they would be the same.
    """

    frames: int
    stride: int
    clips: int

    @property
    def span(self) -> int:
        """Frames of the video from the first to the last of a clip."""
        return (self.frames - 1) * self.stride + 1


def clip_places(count: int, sampling: Sampling) -> np.ndarray:
    """Frame numbers int64 [clips, frames] of the clips of a video of `count` frames.

    One clip lies in the middle, several reach from the start to the end. Of a video shorter
    than a clip the last frame is held.
    """
    free = max(0, count - sampling.span)
    if sampling.clips == 1:
        starts = np.array([free // 2])
    else:
        starts = np.unique(np.linspace(0, free, sampling.clips).round().astype(np.int64))
    places = starts[:, None] + np.arange(sampling.frames)[None, :] * sampling.stride
    return np.minimum(places, count - 1)


def filled(clips: np.ndarray, number: int) -> np.ndarray:
    """`clips` [k, ...] as [number, ...], those of a short video repeated in turn."""
    return clips[np.arange(number) % len(clips)]
