"""The pool survives workers that die or hang, and loses one picture each time."""

import os
import sys
import time

import numpy as np
import pytest

from septet.errors import RunError
from septet.vision.decoding import DecoderPool, Picture, Undecodable, shared_pool
from tests.vision.making import noise

FRAGILE = """
import os, signal, sys, time
from septet.vision import worker
honest = worker.read_file
def read_file(path):
    name = os.path.basename(path)
    if "kill" in name: os.kill(os.getpid(), signal.SIGKILL)
    if "segfault" in name:
        signal.signal(signal.SIGSEGV, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGSEGV)
    if "hang" in name: time.sleep(1000)
    return honest(path)
worker.read_file = read_file
worker.main()
"""


@pytest.fixture
def fragile():
    command = [sys.executable, "-P", "-W", "ignore", "-c", FRAGILE]
    pool = DecoderPool(command, workers=2)
    yield pool
    pool.close()


def test_a_worker_killed_mid_picture_costs_that_picture_only(tmp_path, fragile):
    names = [f"{number}.png" for number in range(40)]
    names[3], names[20], names[21] = "kill.png", "segfault.png", "kill2.png"
    for number, name in enumerate(names):
        noise(number).save(tmp_path / name)
    results = fragile.decode([str(tmp_path / name) for name in names], (64, 64), exact=False)
    lost = [name for name, result in zip(names, results, strict=True) if not _is_used(result)]
    assert lost == ["kill.png", "segfault.png", "kill2.png"]
    assert {results[place].code for place in (3, 20, 21)} == {"decoder-crashed"}
    for number in (0, 4, 22, 39):
        np.testing.assert_array_equal(results[number].pixels, np.asarray(noise(number)))


def test_a_picture_that_takes_too_long_is_given_up(tmp_path, fragile):
    for name in ("a.png", "hang.png", "b.png"):
        noise(1).save(tmp_path / name)
    paths = [str(tmp_path / name) for name in ("a.png", "hang.png", "b.png")]
    fragile.seconds = 5.0
    start = time.monotonic()
    results = fragile.decode(paths, (64, 64), exact=False)
    assert time.monotonic() - start >= 5.0
    assert [_is_used(result) for result in results] == [True, False, True]
    assert results[1].code == "decoder-too-slow"


def _is_used(result) -> bool:
    return isinstance(result, Picture)


def test_a_worker_that_cannot_start_is_an_error_and_no_rejection(tmp_path):
    pool = DecoderPool([sys.executable, "-c", "raise SystemExit(3)"], workers=1)
    with pytest.raises(RunError, match="exit code 3"):
        pool.decode([str(tmp_path / "a.png")], (64, 64), exact=False)


def test_what_is_no_readable_file_is_named_and_never_waited_for(tmp_path):
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "link.png").symlink_to(tmp_path / "empty.png")
    names = ["folder.png", "pipe.png", "empty.png", "link.png", "missing.png", "a\x00b.png"]
    results = shared_pool().decode([f"{tmp_path}/{name}" for name in names], (8, 8), exact=True)
    codes = [result.code for result in results if isinstance(result, Undecodable)]
    assert codes == [
        "not-a-file",
        "not-a-file",
        "empty-file",
        "not-a-file",
        "missing-file",
        "unreadable-file",
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_forbidden_file_is_named(tmp_path):
    noise(1).save(tmp_path / "a.png")
    (tmp_path / "a.png").chmod(0)
    result = shared_pool().decode([str(tmp_path / "a.png")], (8, 8), exact=True)[0]
    assert isinstance(result, Undecodable)
    assert result.code == "permission-denied"


def test_a_worker_killed_while_idle_is_replaced(tmp_path):
    noise(1).save(tmp_path / "a.png")
    pool = DecoderPool(workers=1)
    pool.decode([str(tmp_path / "a.png")], (8, 8), exact=True)
    pool.idle[0].process.kill()
    pool.idle[0].process.wait()
    assert _is_used(pool.decode([str(tmp_path / "a.png")], (8, 8), exact=True)[0])
    pool.close()
