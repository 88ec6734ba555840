"""The program of a reading worker: fills slots of shared memory with rows of arrays in files.

Runs as `python -m septet.data.stream_worker`. The first request describes the arrays and
the slots; each further one names a slot and the rows to put there.
"""

import mmap
import sys
from typing import Any

import numpy as np

from septet.data.array_files import FileArray, RowReader
from septet.data.messages import receive, send
from septet.data.slots import Layout
from septet.errors import SeptetError


def main() -> None:
    """Answer requests until the parent closes the pipe."""
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    send(answers, {"ready": True})
    message = receive(requests)
    if message is None:
        return
    described, _ = message
    layout = Layout.from_json(described["layout"])
    memory = mmap.mmap(described["memory"], layout.total_bytes)
    readers: list[RowReader] | None = None
    while (message := receive(requests)) is not None:
        request, payload = message
        try:
            if readers is None:
                readers = [RowReader(FileArray.from_json(each)) for each in described["arrays"]]
            _fill(layout, memory, readers, request["slot"], np.frombuffer(payload, np.int64))
        except SeptetError as error:
            send(answers, {"error": str(error)})
        else:
            send(answers, {"done": True})


def _fill(
    layout: Layout, memory: Any, readers: list[RowReader], slot: int, rows: np.ndarray
) -> None:
    for reader, out in zip(readers, layout.arrays(memory, slot, len(rows)), strict=True):
        reader.read(rows, out)


if __name__ == "__main__":
    main()
