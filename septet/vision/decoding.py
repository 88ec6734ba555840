"""Pictures from files, decoded by restartable worker processes.

A worker that crashes, is killed or takes too long costs one picture. Knows how to run
workers; `septet/vision/worker.py` knows how to decode.
"""

import atexit
import functools
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from septet.errors import RunError
from septet.vision.worker import HEADER

SECONDS_A_PICTURE = 30.0
SECONDS_TO_START = 120.0
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


class WorkerGone(Exception):
    """The worker ended, or (`args[0]`) did not answer in time."""


class Worker:
    """One worker process and its pipes."""

    def __init__(self, command: Sequence[str]):
        """Start the process and wait until it is ready.

        Raises:
            RunError: It does not start.
        """
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
            bufsize=0,
        )
        self.buffer = bytearray()
        try:
            self.receive(SECONDS_TO_START)
        except WorkerGone:
            self.close()
            raise RunError(
                "The picture decoder does not start (exit code "
                f"{self.process.returncode}). Check that Pillow is installed and that there "
                "is free memory: python -c 'from PIL import Image'"
            ) from None

    def send(self, header: dict[str, Any]) -> None:
        """Send a request."""
        text = json.dumps(header).encode()
        message = memoryview(HEADER.pack(len(text), 0) + text)
        assert self.process.stdin is not None
        try:
            while message:
                message = message[self.process.stdin.write(message) or 0 :]
        except OSError:
            raise WorkerGone(False) from None

    def receive(self, seconds: float) -> tuple[dict[str, Any], bytes]:
        """The next answer, within `seconds`.

        Raises:
            WorkerGone: The process ended or did not answer in time.
        """
        deadline = time.monotonic() + seconds
        text_size, payload_size = HEADER.unpack(self._take(HEADER.size, deadline))
        header = json.loads(self._take(text_size, deadline))
        return header, self._take(payload_size, deadline)

    def _take(self, size: int, deadline: float) -> bytes:
        assert self.process.stdout is not None
        pipe = self.process.stdout.fileno()
        while len(self.buffer) < size:
            left = deadline - time.monotonic()
            if left <= 0 or not _is_readable(pipe, left):
                raise WorkerGone(True)
            part = os.read(pipe, 1 << 20)
            if not part:
                raise WorkerGone(False)
            self.buffer += part
        taken = bytes(self.buffer[:size])
        del self.buffer[:size]
        return taken

    def close(self) -> None:
        """End the process at once."""
        self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        self.process.wait()


def _is_readable(pipe: int, seconds: float) -> bool:
    if hasattr(select, "poll"):
        poll = select.poll()  # select.select fails for descriptors above 1,023
        poll.register(pipe, select.POLLIN)
        return bool(poll.poll(max(1, int(seconds * 1000))))
    return bool(select.select([pipe], [], [], seconds)[0])


def _environment() -> dict[str, str]:
    """The worker finds this very package and starts few threads."""
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


def worker_command() -> list[str]:
    """Starts a worker; -P keeps the current folder off its path."""
    return [sys.executable, "-P", "-W", "ignore", "-m", "septet.vision.worker"]


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
        self.command = list(command or worker_command())
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
        progress: Callable[[int], None] | None = None,
    ) -> list[Picture | Undecodable]:
        """One result for each path, in order; see `worker.decode` for `box` and `exact`.

        Raises:
            RunError: No worker can be started.
        """
        results: list[Picture | Undecodable] = [CRASHED] * len(paths)
        batches = deque(range(0, len(paths), BATCH))
        request = [box[0], box[1], int(exact)]

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

    def _decode_batch(self, paths: Sequence[str], box: list[int]) -> list[Picture | Undecodable]:
        results: list[Picture | Undecodable] = []
        while len(results) < len(paths):
            worker = self._take_worker()
            try:
                worker.send({"paths": list(paths[len(results) :]), "box": box})
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
        return Worker(self.command)

    def close(self) -> None:
        """End all idle workers."""
        with self.lock:
            while self.idle:
                self.idle.pop().close()


def _result(header: dict[str, Any], payload: bytes) -> Picture | Undecodable:
    if "code" in header:
        return Undecodable(header["code"], header["reason"], header["remedy"])
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
