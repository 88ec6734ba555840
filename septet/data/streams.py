"""Blocks of rows of arrays that do not fit into memory, prepared ahead of their use.

Arrays in files are read by worker processes into shared memory; where some are in memory,
threads gather them. A worker that dies is named and replaced, and its block read again.
"""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from septet.data.array_files import FileArray, RowReader
from septet.data.slots import Layout, shared_memory
from septet.data.workers import Worker, WorkerGone, command_of
from septet.errors import DataError

SECONDS_A_BLOCK = 300.0
"""After which a worker that does not answer is taken for dead."""
MOST_DEATHS = 3
"""Workers that may die on the same block."""
Note = Callable[[str], None]


class Filler(Protocol):
    """Puts rows into a slot; used by one thread at a time."""

    def fill(self, slot: int, rows: np.ndarray) -> None:
        """Fill the slot's first rows with `rows` of all arrays."""

    def stop(self) -> None:
        """Have a `fill` that is under way end soon; called by another thread."""

    def close(self) -> None:
        """Free what it holds, once no `fill` is under way."""


class ThreadFiller:
    """Gathers rows of arrays in memory, and reads those of arrays in files."""

    def __init__(
        self,
        arrays: Sequence[np.ndarray],
        files: Sequence[FileArray | None],
        layout: Layout,
        memory: Any,
    ):
        """The arrays are not copied."""
        self.arrays, self.files, self.layout, self.memory = arrays, files, layout, memory
        self._readers: list[RowReader | None] = []

    def fill(self, slot: int, rows: np.ndarray) -> None:
        """See `Filler`."""
        if len(self._readers) < len(self.files):
            self._readers = [file and RowReader(file) for file in self.files]
        outs = self.layout.arrays(self.memory, slot, len(rows))
        for array, reader, out in zip(self.arrays, self._readers, outs, strict=True):
            if reader is not None:
                # A memory map of a file that was cut off would end the process.
                reader.read(rows, out)
            elif array.dtype == out.dtype:
                np.take(array, rows, axis=0, out=out, mode="clip")
            else:
                np.copyto(out, array[rows], casting="unsafe")

    def stop(self) -> None:
        """It is quick."""

    def close(self) -> None:
        """Close the files."""
        for reader in self._readers:
            if reader is not None:
                reader.close()


class ProcessFiller:
    """Has a worker process read rows of arrays in files."""

    def __init__(
        self, number: int, arrays: Sequence[FileArray], layout: Layout, handle: int, note: Note
    ):
        """Nothing is started yet."""
        self.number, self.arrays, self.layout = number, arrays, layout
        self.handle, self.note = handle, note
        self.worker: Worker | None = None
        self._is_stopped = False

    def fill(self, slot: int, rows: np.ndarray) -> None:
        """See `Filler`; starts the worker when there is none.

        Raises:
            DataError: A file cannot be read, or worker after worker died.
            RunError: No worker can be started.
        """
        for _ in range(MOST_DEATHS):
            try:
                if self._is_stopped:
                    return
                worker = self._living()
                worker.send({"slot": slot}, np.asarray(rows, np.int64).tobytes())
                answer, _ = worker.receive(SECONDS_A_BLOCK)
            except WorkerGone as gone:
                self._bury(gone.args[0])
                continue
            if "error" in answer:
                raise DataError(answer["error"])
            return
        raise DataError(
            f"{MOST_DEATHS} reading workers died one after another on the same "
            f"{len(rows)} rows, the first of them row {int(rows[0])} of "
            f"'{self.arrays[0].path}'. Check the disk and the free memory."
        )

    def _living(self) -> Worker:
        if self.worker is None:
            self.worker = Worker(
                command_of("septet.data.stream_worker"),
                purpose="reading worker",
                remedy="Check that there is free memory.",
                files=[self.handle],
            )
            arrays = [array.to_json() for array in self.arrays]
            described = {"memory": self.handle, "layout": self.layout.to_json(), "arrays": arrays}
            self.worker.send(described)
        return self.worker

    def _bury(self, was_silent: bool) -> None:
        worker, self.worker = self.worker, None
        if worker is None:
            return
        worker.close()
        if self._is_stopped:
            return
        reason = f"did not answer for {SECONDS_A_BLOCK:.0f} s" if was_silent else "died"
        self.note(
            f"Reading worker {self.number} (process {worker.process.pid}) {reason} (exit code "
            f"{worker.process.returncode}); another takes its place, and no row is lost."
        )

    def stop(self) -> None:
        """See `Filler`."""
        self._is_stopped = True
        if (worker := self.worker) is not None:
            worker.process.kill()

    def close(self) -> None:
        """End the process."""
        if self.worker is not None:
            self.worker.close()


class Stream:
    """Blocks of rows in the order of a plan, read ahead.

    Args:
        arrays: [n, ...] each; all in files (`np.memmap`), or else in memory.
        kinds: Types to cast them to.
        block_rows: Most rows of a block.
        workers: Processes that read; for arrays in memory, threads.
        note: Told when a worker dies.

    Attributes:
        waited_s: Time that `next` waited for a block.
    """

    def __init__(
        self,
        arrays: Sequence[np.ndarray],
        kinds: Sequence[np.dtype],
        *,
        block_rows: int,
        workers: int | None = None,
        note: Note = lambda text: None,
    ):
        """See the class; workers start when the first plan comes."""
        files = [FileArray.of(array) for array in arrays]
        workers = workers or max(1, min(4, (os.cpu_count() or 1) // 2))
        leaves = [(kind, array.shape[1:]) for array, kind in zip(arrays, kinds, strict=True)]
        # One in use, one on its way to the device, one ready, and one a worker.
        self.layout = Layout.of(leaves, block_rows, workers + 3)
        self.handle, self.memory = shared_memory(self.layout.total_bytes)
        self.waited_s = 0.0
        self._fillers: list[Filler] = []
        for number in range(1, workers + 1):
            if all(file is not None for file in files):
                known = [file for file in files if file is not None]
                filler = ProcessFiller(number, known, self.layout, self.handle, note)
            else:
                filler = ThreadFiller(arrays, files, self.layout, self.memory)
            self._fillers.append(filler)
        self._changed = threading.Condition()
        self._free = list(range(self.layout.slots))
        self._plan: Iterator[np.ndarray] = iter(())
        self._generation = 0
        self._asked = self._given = 0
        self._ready: dict[int, tuple[int, int]] = {}
        self._end: int | None = 0
        self._failure: BaseException | None = None
        self._is_closed = False
        self._threads: list[threading.Thread] = []

    def plan(self, blocks: Iterable[np.ndarray]) -> None:
        """Prepare these blocks, each an array of row numbers, in place of all earlier ones.

        What `next` gave before must have been released.
        """
        with self._changed:
            self._plan = iter(blocks)
            self._generation += 1
            self._asked = self._given = 0
            self._end, self._failure = None, None
            self._free += [slot for slot, _ in self._ready.values()]
            self._ready = {}
            self._changed.notify_all()
        if not self._threads:
            for filler in self._fillers:
                thread = threading.Thread(
                    target=self._work, args=(filler,), name="septet-stream", daemon=True
                )
                self._threads.append(thread)
                thread.start()

    def _work(self, filler: Filler) -> None:
        while (task := self._task()) is not None:
            generation, number, slot, rows = task
            failure: BaseException | None = None
            try:
                filler.fill(slot, rows)
            except BaseException as error:
                failure = error
            with self._changed:
                if generation != self._generation:
                    self._free.append(slot)
                else:
                    self._ready[number] = (slot, len(rows))
                    self._failure = self._failure or failure
                self._changed.notify_all()

    def _task(self) -> tuple[int, int, int, np.ndarray] | None:
        """(plan, place in it, slot, rows) of the next block to prepare; None at the end."""
        with self._changed:
            while not self._is_closed:
                if self._free and self._end is None and self._failure is None:
                    try:
                        rows = next(self._plan, None)
                    except BaseException as error:
                        self._failure, rows = error, None
                    if rows is not None:
                        self._asked += 1
                        return self._generation, self._asked - 1, self._free.pop(), rows
                    self._end = self._asked
                    self._changed.notify_all()
                self._changed.wait()
        return None

    def next(self, *, wait: bool = True) -> tuple[int, list[np.ndarray]] | None:
        """(slot, arrays of it) of the next block; views that hold until `release`.

        The rows beyond the block's own, if it is a smaller one, hold anything. None when
        the plan is at its end or, without `wait`, when the block is not ready.

        Raises:
            DataError: A file cannot be read.
        """
        began = time.monotonic()
        with self._changed:
            while self._given not in self._ready and self._failure is None:
                if not wait or self._given == self._end or self._is_closed:
                    return None
                self._changed.wait()
            if self._failure is not None:
                raise self._failure
            slot, _ = self._ready.pop(self._given)
            self._given += 1
        self.waited_s += time.monotonic() - began
        return slot, self.layout.arrays(self.memory, slot)

    def release(self, slot: int) -> None:
        """The block in this slot is not needed any more."""
        with self._changed:
            self._free.append(slot)
            self._changed.notify_all()

    def close(self) -> None:
        """End workers and threads. What `next` gave stays readable."""
        with self._changed:
            if self._is_closed:
                return
            self._is_closed = True
            self._changed.notify_all()
        for filler in self._fillers:
            filler.stop()
        for thread in self._threads:
            thread.join()
        for filler in self._fillers:
            filler.close()
        os.close(self.handle)
