"""Videos decoded by restartable worker processes.

A worker that crashes, is killed or takes too long costs one video. `septet/data/workers.py`
knows how to run a process, `septet/vision/video/worker.py` how to decode.
"""

import atexit
import functools
import importlib.util
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from septet.data.workers import Worker, WorkerGone, command_of
from septet.errors import DataError, MissingPackageError
from septet.vision.cache import Kind
from septet.vision.decoding import Undecodable
from septet.vision.video.clips import Sampling

SECONDS_A_VIDEO = 120.0
MAX_WORKERS = 8
DECODED_AT_ONCE = 64


@dataclass(frozen=True)
class Video:
    """The decoded clips of one video.

    Args:
        clips: uint8 [clips, frames, height, width, 1 or 3].
        known: See `worker.decoded`.
    """

    clips: np.ndarray
    known: dict[str, Any]


@dataclass(frozen=True)
class Request:
    """How videos are to be decoded.

    Args:
        box: Height and width that larger frames are resized to.
        exact: Resize smaller frames as well.
        sampling: Which frames.
        how: As of `pixels.resize`.
    """

    box: tuple[int, int]
    exact: bool
    sampling: Sampling
    how: str = "stretch"

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "box": list(self.box),
            "exact": self.exact,
            "how": self.how,
            "frames": self.sampling.frames,
            "stride": self.sampling.stride,
            "clips": self.sampling.clips,
        }


CRASHED = Undecodable(
    "decoder-crashed", "The decoder crashed on this video.", "Save it again or remove it."
)


def require_reader() -> None:
    """Refuse video files where PyAV is not installed; folders of frames need nothing more.

    Raises:
        MissingPackageError: It is not.
    """
    if importlib.util.find_spec("av") is None:
        raise MissingPackageError("av", "video", "Reading video files")


class VideoPool:
    """Some workers, started when needed and kept for the next call."""

    def __init__(
        self,
        command: Sequence[str] | None = None,
        *,
        workers: int | None = None,
        seconds: float = SECONDS_A_VIDEO,
    ):
        """Nothing is started yet.

        Args:
            command: Starts a worker.
            workers: How many; by default one a core, at most eight.
            seconds: Most that one video may take.
        """
        self.command = list(command or command_of("septet.vision.video.worker"))
        self.size = workers or max(1, min(os.cpu_count() or 1, MAX_WORKERS))
        self.seconds = seconds
        self.idle: list[Worker] = []
        self.lock = threading.Lock()

    def decode(self, paths: Sequence[str], request: Request) -> list[Video | Undecodable]:
        """One result for each path, in order.

        Raises:
            RunError: No worker can be started.
        """
        asked = request.to_json()
        if len(paths) <= 1 or self.size == 1:
            return [self._decode_one(path, asked) for path in paths]
        with ThreadPoolExecutor(min(self.size, len(paths))) as executor:
            return list(executor.map(lambda path: self._decode_one(path, asked), paths))

    def _decode_one(self, path: str, asked: dict[str, Any]) -> Video | Undecodable:
        worker = self._take_worker()
        try:
            worker.send({**asked, "path": path})
            header, payload = worker.receive(self.seconds)
        except WorkerGone as gone:
            worker.close()
            return self._too_slow() if gone.args[0] else CRASHED
        except BaseException:
            worker.close()
            raise
        self._put_back(worker)
        if "code" in header:
            return Undecodable(header["code"], header["reason"], header["remedy"])
        shape = [header[key] for key in ("clips", "frames", "height", "width", "channels")]
        return Video(np.frombuffer(payload, np.uint8).reshape(shape), header)

    def frames(
        self, path: str, box: tuple[int, int], stride: int, how: str = "stretch"
    ) -> Iterator[np.ndarray]:
        """The frames of one video uint8 [height, width, 1 or 3], each when it is decoded.

        Raises:
            DataError: The video cannot be decoded, or not to its end.
            RunError: No worker can be started.
        """
        worker, done = self._take_worker(), False
        try:
            asked = {"path": path, "box": list(box), "stride": stride, "how": how}
            worker.send({**asked, "stream": True})
            while not done:
                header, payload = worker.receive(self.seconds)
                if "code" in header:
                    done = True
                    raise DataError(f"{header['reason']} {header['remedy']}")
                done = "end" in header
                if not done:
                    yield np.frombuffer(payload, np.uint8).reshape(*box, header["channels"])
        except WorkerGone as gone:
            problem = self._too_slow() if gone.args[0] else CRASHED
            raise DataError(f"{problem.reason} {problem.remedy}") from None
        finally:
            if done:
                self._put_back(worker)
            else:
                worker.close()

    def _too_slow(self) -> Undecodable:
        return Undecodable(
            "decoder-too-slow",
            f"The decoder was not done with this video after {self.seconds:g} seconds.",
            "Save it again, make it shorter, or remove it.",
        )

    def _put_back(self, worker: Worker) -> None:
        with self.lock:
            self.idle.append(worker)

    def _take_worker(self) -> Worker:
        """An idle worker that is still alive, or a new one."""
        with self.lock:
            while self.idle:
                worker = self.idle.pop()
                if worker.process.poll() is None:
                    return worker
                worker.close()
        return Worker(
            self.command,
            purpose="video decoder",
            remedy="Check that Pillow is installed and that there is free memory.",
        )

    def close(self) -> None:
        """End all idle workers."""
        with self.lock:
            while self.idle:
                self.idle.pop().close()


def kept(request: Request) -> Kind:
    """How the cache has videos."""
    return Kind(
        folder="videos",
        request=request.to_json(),
        decode=lambda paths: shared_pool().decode(paths, request),
        split=lambda video: (video.clips, video.known),
        join=Video,
        at_once=DECODED_AT_ONCE,
    )


@functools.cache
def shared_pool() -> VideoPool:
    """The process's own pool, ended with it."""
    pool = VideoPool()
    atexit.register(pool.close)
    return pool
