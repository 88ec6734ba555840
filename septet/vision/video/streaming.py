"""Answers frame by frame, from a trained network whose state is carried along."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from septet.evaluation.classification import ClassAnswer, class_answers
from septet.vision.inputs import encode_pictures, input_size
from septet.vision.video.inputs import frames_of


class AnswerStream:
    """What a trained network makes of a video while it comes in.

        stream = septet.load("runs/latest/model").stream()
        for frame in camera:
            print(stream.step(frame))

    Every answer is the one that the network gives for all frames since the last `reset` as one
    clip, and takes the work of one frame.
    """

    def __init__(self, stream: Any, prepared: Mapping[str, Any]):
        """Take a `septet.models.video_stream.VideoStream`."""
        self._stream, self._prepared = stream, prepared

    def reset(self) -> None:
        """Forget all frames so far: the next one begins a new video."""
        self._stream.reset()

    def step(self, frame: Any) -> ClassAnswer:
        """The answer after one more frame: an array, a Pillow picture or a picture's path.

        Where the network was trained on every n-th frame (`data.stride`), give it those.

        Raises:
            DataError: The frame cannot be understood.
        """
        return self._answer(encode_pictures([frame], *input_size(self._prepared))[0])

    def follow(self, source: Any) -> Iterator[tuple[int, ClassAnswer]]:
        """(frame number, answer) of each frame of a new video, as soon as it can be given.

        Args:
            source: The path of a video, or anything that gives frames in turn.

        Raises:
            DataError: The video or a frame cannot be understood.
        """
        self.reset()
        stride = self._prepared["stride"]
        for place, frame in enumerate(frames_of(source, self._prepared)):
            yield place * stride, self._answer(frame)

    def _answer(self, frame: np.ndarray) -> ClassAnswer:
        logits = self._stream.step(frame)
        return class_answers(logits[None], self._prepared["labels"])[0]
