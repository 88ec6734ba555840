"""Worker processes that may crash, be killed or hang without harm to the process that uses them."""

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from septet.data.messages import HEADER
from septet.errors import RunError

SECONDS_TO_START = 120.0


class WorkerGone(Exception):
    """The worker ended, or (`args[0]`) did not answer in time."""


class Worker:
    """One worker process and its pipes.

    Args:
        command: Starts it; it says when it is ready by a first message.
        purpose: What it is, for the message when it does not start.
        remedy: What to do then.
        files: Open file descriptors that it inherits under the same numbers.
    """

    def __init__(
        self, command: Sequence[str], *, purpose: str, remedy: str, files: Sequence[int] = ()
    ):
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
            pass_fds=files,
        )
        self.buffer = bytearray()
        try:
            self.receive(SECONDS_TO_START)
        except WorkerGone:
            self.close()
            raise RunError(
                f"The {purpose} does not start (exit code {self.process.returncode}). {remedy}"
            ) from None

    def send(self, header: dict[str, Any], payload: bytes = b"") -> None:
        """Send a request.

        Raises:
            WorkerGone: The process ended.
        """
        text = json.dumps(header).encode()
        message = memoryview(HEADER.pack(len(text), len(payload)) + text + payload)
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


def command_of(module: str) -> list[str]:
    """Starts `module` as a program; -P keeps the current folder off its path."""
    return [sys.executable, "-P", "-W", "ignore", "-m", module]


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
