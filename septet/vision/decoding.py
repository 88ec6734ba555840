"""Pictures from files, decoded by restartable worker processes.

A worker that crashes, is killed or takes too long costs one picture. `septet/data/workers.py`
knows how to run a process, `septet/vision/worker.py` how to decode.
"""

import atexit
import functools
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from septet.data.workers import Worker, WorkerGone, command_of

SECONDS_A_PICTURE = 30.0
BATCH = 32
MAX_WORKERS = 8


@dataclass(frozen=True)
class Picture:
    """One decoded picture.

    Args:
        pixels: uint8 [height, width] when all channels are equal, otherwise [height, width, 3].
        original: Height and width before resizing.
        format: What the content is, as "JPEG".
        frames: Pictures in the file; the first was taken.
        digest: Hash of the pixels before resizing.
        blank: All pixels have one colour.
    """

    pixels: np.ndarray
    original: tuple[int, int]
    format: str
    frames: int
    digest: str
    blank: bool


@dataclass(frozen=True)
class Mask:
    """One decoded mask.

    Args:
        places: uint8 [height, width], each pixel's place in the lists below.
        values: Numbers of an indexed or grey picture; None of one in colour.
        colours: What each looks like, as (red, green, blue).
        counts: Pixels of each.
        format: What the content is, as "PNG".
    """

    places: np.ndarray
    values: list[int] | None
    colours: list[tuple[int, ...]]
    counts: list[int]
    format: str


@dataclass(frozen=True)
class Undecodable:
    """A file that gave no picture, and why."""

    code: str
    reason: str
    remedy: str


CRASHED = Undecodable(
    "decoder-crashed", "The decoder crashed on this file.", "Save it again or remove it."
)
TOO_SLOW = Undecodable(
    "decoder-too-slow",
    f"The decoder was not done with this file after {SECONDS_A_PICTURE:.0f} seconds.",
    "Save it again, make it smaller, or remove it.",
)


class DecoderPool:
    """Some workers, started when needed and kept for the next call."""

    def __init__(
        self,
        command: Sequence[str] | None = None,
        *,
        workers: int | None = None,
        seconds: float = SECONDS_A_PICTURE,
    ):
        """Nothing is started yet.

        Args:
            command: Starts a worker.
            workers: How many; by default one a core, at most eight.
            seconds: Most that one picture may take.
        """
        self.command = list(command or command_of("septet.vision.worker"))
        self.size = workers or max(1, min(os.cpu_count() or 1, MAX_WORKERS))
        self.seconds = seconds
        self.idle: list[Worker] = []
        self.lock = threading.Lock()

    def decode(
        self,
        paths: Sequence[str],
        box: tuple[int, int],
        *,
        exact: bool,
        how: str = "stretch",
        progress: Callable[[int], None] | None = None,
    ) -> list[Picture | Undecodable]:
        """One result for each path, in order; see `worker.decode` for `box`, `exact` and `how`.

        Raises:
            RunError: No worker can be started.
        """
        return self._decode(paths, {"box": [box[0], box[1], int(exact)], "how": how}, progress)

    def decode_masks(self, paths: Sequence[str]) -> list[Mask | Undecodable]:
        """One result for each path, in order; see `worker.decode_mask`.

        Raises:
            RunError: No worker can be started.
        """
        return self._decode(paths, {"box": [0, 0, 0], "how": "stretch", "is_mask": True}, None)

    def _decode(
        self,
        paths: Sequence[str],
        request: dict[str, Any],
        progress: Callable[[int], None] | None,
    ) -> list[Any]:
        results: list[Any] = [CRASHED] * len(paths)
        batches = deque(range(0, len(paths), BATCH))

        def work() -> None:
            while True:
                try:
                    start = batches.popleft()
                except IndexError:
                    return
                batch = paths[start : start + BATCH]
                results[start : start + len(batch)] = self._decode_batch(batch, request)
                if progress:
                    progress(len(batch))

        threads = min(self.size, len(batches))
        if threads <= 1:
            work()
            return results
        with ThreadPoolExecutor(threads) as executor:
            for future in [executor.submit(work) for _ in range(threads)]:
                future.result()
        return results

    def _decode_batch(self, paths: Sequence[str], request: dict[str, Any]) -> list[Any]:
        results: list[Any] = []
        while len(results) < len(paths):
            worker = self._take_worker()
            try:
                worker.send({**request, "paths": list(paths[len(results) :])})
                while len(results) < len(paths):
                    results.append(_result(*worker.receive(self.seconds)))
            except WorkerGone as gone:
                results.append(TOO_SLOW if gone.args[0] else CRASHED)
                worker.close()
            except BaseException:
                worker.close()
                raise
            else:
                with self.lock:
                    self.idle.append(worker)
        return results

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
            purpose="picture decoder",
            remedy="Check that Pillow is installed and that there is free memory: "
            "python -c 'from PIL import Image'",
        )

    def close(self) -> None:
        """End all idle workers."""
        with self.lock:
            while self.idle:
                self.idle.pop().close()


def _result(header: dict[str, Any], payload: bytes) -> Picture | Mask | Undecodable:
    if "code" in header:
        return Undecodable(header["code"], header["reason"], header["remedy"])
    if "counts" in header:
        places = np.frombuffer(payload, np.uint8).reshape(header["height"], header["width"])
        colours = [tuple(colour) for colour in header["colours"]]
        return Mask(places, header["values"], colours, header["counts"], header["format"])
    shape = (header["height"], header["width"], header["channels"])
    pixels = np.frombuffer(payload, np.uint8).reshape(shape[:2] if shape[2] == 1 else shape)
    height, width = header["original"]
    return Picture(
        pixels,
        (height, width),
        header["format"],
        header["frames"],
        header["digest"],
        header["blank"],
    )


@functools.cache
def shared_pool() -> DecoderPool:
    """The process's own pool, ended with it."""
    pool = DecoderPool()
    atexit.register(pool.close)
    return pool
