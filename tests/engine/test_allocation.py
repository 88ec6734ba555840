"""Blocks that are freed and asked for again are not filled with zeros anew."""

import os
import subprocess
import sys

import pytest

from septet.engine import allocation

FAULTS = """
import ctypes, resource, sys, threading
from septet.engine.allocation import keep_freed_memory
if sys.argv[1] == "kept":
    assert keep_freed_memory()
library = ctypes.CDLL(None)
library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
library.free.argtypes = [ctypes.c_void_p]
size = int(sys.argv[2]) << 20

def work():
    for turn in range(4):
        if turn == 1:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        block = library.malloc(size)
        ctypes.memset(block, 1, size)
        library.free(block)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

if sys.argv[3] == "thread":
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
else:
    work()
"""


def faults(way: str, megabytes: int, where: str) -> int:
    plain = {name: value for name, value in os.environ.items() if name not in allocation.OWN}
    arguments = [way, f"{megabytes}", where]
    done = subprocess.run(
        [sys.executable, "-c", FAULTS, *arguments],
        env=plain,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of the C library of Linux")
@pytest.mark.parametrize("where", ["main", "thread"])
@pytest.mark.parametrize("megabytes", [8, 100])  # the latter is more than a thread's heap holds
def test_freed_memory_is_kept(megabytes, where):
    assert faults("given back", megabytes, where) > 100
    assert faults("kept", megabytes, where) < 100


def test_what_the_user_chose_stays(monkeypatch):
    monkeypatch.setenv("MALLOC_ARENA_MAX", "2")
    assert not allocation.keep_freed_memory()


def test_other_systems_are_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not allocation.keep_freed_memory()
