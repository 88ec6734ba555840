import signal

import pytest

from septet.errors import CheckpointError, StorageError
from septet.runs import faults
from septet.runs.log import RunLog
from tests.runs.processes import run_forked

ROWS = [{"epoch": n, "loss": 1 / (n + 1), "name": "é"} for n in range(5)]


def filled(path, rows=ROWS) -> RunLog:
    log = RunLog(path)
    for row in rows:
        log.append(row)
    log.sync()
    return log


def test_rows_come_back_and_their_bytes_do_not_depend_on_the_order_of_names(tmp_path):
    with filled(tmp_path / "a") as log, filled(tmp_path / "b", []) as other:
        assert log.read() == ROWS
        for row in ROWS:
            other.append(dict(reversed(row.items())))
        assert other.length() == log.length()
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_log_that_does_not_exist_is_empty(tmp_path):
    log = RunLog(tmp_path / "log")
    assert (log.read(), log.length()[:2]) == ([], (0, 0))
    length = log.length()
    log.truncate(length.bytes, length.sha256)
    assert not log.path.exists()


def test_a_resumed_log_equals_the_uninterrupted_one(tmp_path):
    with filled(tmp_path / "whole"), filled(tmp_path / "log", ROWS[:2]) as log:
        kept = log.length()
        log.append({"epoch": 2, "loss": 9.0})
    with (tmp_path / "log").open("ab") as file:
        file.write(b'{"torn')
    with RunLog(tmp_path / "log") as log:
        log.truncate(kept.bytes, kept.sha256)
        assert log.length() == kept
        for row in ROWS[2:]:
            log.append(row)
    assert (tmp_path / "log").read_bytes() == (tmp_path / "whole").read_bytes()
    assert RunLog(tmp_path / "log").length() == RunLog(tmp_path / "whole").length()


def test_a_line_torn_by_a_kill_is_left_out_and_overwritten(tmp_path):
    filled(tmp_path / "log", ROWS[:2]).close()

    def work():
        faults.install("append:1:kill")
        RunLog(tmp_path / "log").append(ROWS[2])

    assert run_forked(work) == -signal.SIGKILL
    assert not (tmp_path / "log").read_bytes().endswith(b"\n")
    with RunLog(tmp_path / "log") as log:
        assert log.read() == ROWS[:2]
        log.append(ROWS[2])
        assert log.read() == ROWS[:3]


def test_a_full_disk_leaves_the_log_as_it_was(tmp_path):
    with filled(tmp_path / "log", ROWS[:2]) as log:
        before = log.length()
        with faults.injected("append:1:ENOSPC"), pytest.raises(StorageError, match=r"log'.*needed"):
            log.append(ROWS[2])
        with faults.injected("fsync:1:EIO"), pytest.raises(StorageError, match="log'"):
            log.sync()
        assert log.length() == before
        log.append(ROWS[2])
        assert log.read() == ROWS[:3]


@pytest.mark.parametrize("harm", [lambda data: data[:-9], lambda data: b"#" + data[1:]])
def test_truncating_a_damaged_log_is_refused(tmp_path, harm):
    with filled(tmp_path / "log") as log:
        kept = log.length()
    (tmp_path / "log").write_bytes(harm((tmp_path / "log").read_bytes()))
    with pytest.raises(CheckpointError, match="log' is damaged"):
        RunLog(tmp_path / "log").truncate(kept.bytes, kept.sha256)


def test_a_damaged_line_is_named(tmp_path):
    (tmp_path / "log").write_bytes(b'{"a":1}\n{"a":}\n')
    with pytest.raises(CheckpointError, match="line 2"):
        RunLog(tmp_path / "log").read()


def test_rows_that_are_not_plain_json_are_refused(tmp_path):
    with filled(tmp_path / "log", []) as log:
        with pytest.raises(ValueError, match="JSON"):
            log.append({"loss": float("nan")})
        assert log.length().rows == 0
