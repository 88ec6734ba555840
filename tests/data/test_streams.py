"""Blocks of rows read ahead: from files by workers that may die, from memory by threads."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from septet.data.array_files import FileArray, RowReader
from septet.data.streams import ProcessFiller, Stream
from septet.errors import DataError

ROWS = 1000
ARRAY = np.arange(ROWS * 6, dtype=np.float32).reshape(ROWS, 2, 3)
LABELS = np.arange(ROWS, dtype=np.int64)


def mapped(folder: Path, array: np.ndarray, name: str = "x") -> np.ndarray:
    np.save(folder / f"{name}.npy", array)
    return np.load(folder / f"{name}.npy", mmap_mode="r")


def streamed(stream: Stream, plan: list[np.ndarray]) -> list[list[np.ndarray]]:
    stream.plan(plan)
    blocks = []
    for rows in plan:
        found = stream.next()
        assert found is not None
        slot, arrays = found
        blocks.append([array[: len(rows)].copy() for array in arrays])
        stream.release(slot)
    assert stream.next() is None
    return blocks


def orders(count: int, size: int) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.permutation(ROWS)[:size] for _ in range(count)]


@pytest.mark.parametrize("view", [np.s_[:], np.s_[17:900], np.s_[999:]])
def test_an_array_in_a_file_is_found_with_its_views(view, tmp_path):
    part = mapped(tmp_path, ARRAY)[view]
    for array in (part, np.asarray(part)):
        found = FileArray.of(array)
        assert found is not None
        reader = RowReader(found)
        rows = np.array([len(part) - 1, 0, len(part) // 2, len(part) // 2 + 1]) % len(part)
        out = np.empty((4, 2, 3), np.float32)
        reader.read(rows, out)
        np.testing.assert_array_equal(out, part[rows])
        reader.close()


def test_what_does_not_lie_in_a_file_in_order_is_not_taken_for_it(tmp_path):
    array = mapped(tmp_path, ARRAY)
    copy_on_write = np.load(tmp_path / "x.npy", mmap_mode="c")
    others = (ARRAY, array[::2], array[:, :1], array.transpose(), array[0, 0, 0], copy_on_write)
    for other in others:
        assert FileArray.of(other) is None


def test_rows_come_in_the_order_of_the_plan_from_files(tmp_path):
    arrays = [mapped(tmp_path, ARRAY), mapped(tmp_path, LABELS, "y")]
    stream = Stream(arrays, [np.dtype(np.float64), np.dtype(np.int64)], block_rows=64, workers=2)
    for plan in (orders(30, 64), [np.arange(64), np.arange(5, 20)], []):
        for rows, (x, y) in zip(plan, streamed(stream, plan), strict=True):
            assert x.dtype == np.float64
            np.testing.assert_array_equal(x, ARRAY[rows])
            np.testing.assert_array_equal(y, LABELS[rows])
    stream.close()


def test_rows_come_in_the_order_of_the_plan_from_memory():
    stream = Stream([ARRAY], [np.dtype(np.float32)], block_rows=64, workers=2)
    plan = orders(30, 64)
    for rows, (x,) in zip(plan, streamed(stream, plan), strict=True):
        np.testing.assert_array_equal(x, ARRAY[rows])
    stream.close()


def test_a_new_plan_replaces_one_that_is_under_way(tmp_path):
    stream = Stream([mapped(tmp_path, ARRAY)], [np.dtype(np.float32)], block_rows=64, workers=2)
    for _ in range(20):
        stream.plan(orders(10, 64))
        found = stream.next()
        assert found is not None
        stream.release(found[0])
    (rows,) = plan = orders(1, 64)
    np.testing.assert_array_equal(streamed(stream, plan)[0][0], ARRAY[rows])
    stream.close()  # waits for blocks of older plans
    assert sorted(stream._free) == list(range(stream.layout.slots))


def test_a_worker_that_dies_is_named_and_replaced_and_no_row_is_lost(tmp_path):
    notes: list[str] = []
    stream = Stream(
        [mapped(tmp_path, ARRAY)],
        [np.dtype(np.float32)],
        block_rows=8,
        workers=2,
        note=notes.append,
    )
    plan = orders(60, 8)
    stream.plan(plan)
    killed = []
    for number, rows in enumerate(plan):
        found = stream.next()
        assert found is not None
        slot, (x,) = found
        np.testing.assert_array_equal(x, ARRAY[rows])
        if number in (3, 30):
            worker = next(
                filler.worker
                for filler in stream._fillers
                if isinstance(filler, ProcessFiller)
                and filler.worker is not None
                and filler.worker.process.poll() is None
            )
            killed.append(worker.process.pid)
            os.kill(worker.process.pid, signal.SIGKILL)
            worker.process.wait()
        stream.release(slot)
    stream.close()
    assert len(notes) == len(killed) == 2
    for pid, text in zip(killed, notes, strict=True):
        assert f"process {pid}) died (exit code -9)" in text


def test_workers_that_keep_dying_end_it_with_a_message(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "septet.data.streams.command_of",
        lambda module: ["python3", "-c", _DYING],
    )
    stream = Stream([mapped(tmp_path, ARRAY)], [np.dtype(np.float32)], block_rows=8, workers=1)
    stream.plan([np.array([5, 6])])
    with pytest.raises(DataError, match=r"3 reading workers died .* row 5 of .*x\.npy"):
        stream.next()
    stream.close()


_DYING = (
    "import sys, struct; out = sys.stdout.buffer; "
    "out.write(struct.pack('>II', 2, 0) + b'{}'); out.flush(); sys.stdin.buffer.read(3)"
)


def test_a_file_that_was_cut_off_or_removed_is_named(tmp_path):
    array = mapped(tmp_path, ARRAY)
    kinds = [np.dtype(np.float32)]
    os.truncate(tmp_path / "x.npy", 4000)
    stream = Stream([array], kinds, block_rows=8, workers=1)
    stream.plan([np.arange(8)])
    with pytest.raises(DataError, match=r"x\.npy' is shorter than its array"):
        stream.next()
    stream.close()
    os.remove(tmp_path / "x.npy")
    stream = Stream([array], kinds, block_rows=8, workers=1)
    stream.plan([np.arange(8)])
    with pytest.raises(DataError, match=r"x\.npy' cannot be opened: No such file"):
        stream.next()
    stream.close()


def test_closing_ends_the_workers(tmp_path):
    stream = Stream([mapped(tmp_path, ARRAY)], [np.dtype(np.float32)], block_rows=8, workers=2)
    stream.plan(orders(50, 8))
    found = stream.next()
    assert found is not None
    workers = [filler.worker for filler in stream._fillers if isinstance(filler, ProcessFiller)]
    stream.close()
    assert all(worker is None or worker.process.poll() is not None for worker in workers)
    stream.close()
