"""Arrays too large for memory lie in files that are gone with their process."""

import gc
import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from septet.data import scratch
from septet.data.scratch import ArrayList, ScratchFile, new_array
from septet.errors import StorageError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SEPTET_CACHE", str(tmp_path))
    monkeypatch.setattr(scratch, "room_for_data", lambda: 1000)
    return tmp_path / "scratch"


def files(folder) -> list[str]:
    return [path.name for path in folder.glob("*")] if folder.exists() else []


def test_a_large_array_lies_in_a_file_that_goes_with_it(cache):
    assert not isinstance(new_array((10, 10), np.uint8), np.memmap)
    array = new_array((20, 100), np.float32)
    assert isinstance(array, np.memmap)
    array[:] = 3
    part = array[5:7]
    assert len(files(cache)) == 1
    del array
    gc.collect()
    assert len(files(cache)) == 1
    assert part.sum() == 600
    del part
    gc.collect()
    assert files(cache) == []


def test_a_list_of_arrays_moves_into_a_file(cache):
    random = np.random.default_rng(0)
    arrays = [random.integers(0, 256, (7, n, 3), np.uint8) for n in range(1, 40)]
    kept = ArrayList()
    for array in arrays:
        kept.append(array)
    assert len(kept) == len(arrays)
    for found, array in zip(kept, arrays, strict=True):
        np.testing.assert_array_equal(found, array)
    assert len(files(cache)) == 1
    del kept
    gc.collect()
    assert files(cache) == []


def test_a_file_of_a_killed_process_is_removed_by_the_next(cache):
    program = textwrap.dedent("""
        import os, time
        from septet.data.scratch import ScratchFile
        file = ScratchFile()
        print("made", flush=True)
        time.sleep(600)
    """)
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    (first,) = files(cache)
    living = ScratchFile()
    assert first in files(cache)  # its process lives
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    other = ScratchFile()
    assert sorted(files(cache)) == sorted([living.path.name, other.path.name])
    living.close()
    other.close()
    assert files(cache) == []


def test_a_full_disk_is_said_with_the_bytes_needed(cache, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StorageError, match=r"No space left on device\. It needs 8,000 bytes"):
        new_array((1000,), np.float64)
    assert files(cache) == []
    monkeypatch.setattr(os, "pwrite", full)
    kept = ArrayList()
    with pytest.raises(StorageError, match=r"It needs 5,000 bytes"):
        kept.append(np.zeros(5000, np.uint8))


def test_a_cache_that_cannot_be_made_is_said(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SEPTET_CACHE", str(tmp_path / "file"))
    with pytest.raises(StorageError, match="SEPTET_CACHE"):
        new_array((1000,), np.float64)
