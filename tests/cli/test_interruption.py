"""Ctrl-C as a person meets it: the real command, the real signal, and the way back."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

TRAIN = (
    *("train", "tabular-classification", "breast-cancer", "--name", "stopped", "--epochs", "5000"),
    *("--set", "training.patience=null"),
)


def septet(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "septet", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
    )


def wait_for_log(folder: Path, process: subprocess.Popen[str], longer_than: int = 0) -> None:
    """Until more epochs are in the log."""
    log = folder / "runs" / "stopped" / "log.jsonl"
    deadline = time.monotonic() + 90
    while not (log.is_file() and log.stat().st_size > longer_than):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "no epoch within 90 s"
        time.sleep(0.05)


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_stops_and_says_how_to_go_on(tmp_path, presses):
    training = septet(tmp_path, *TRAIN)
    wait_for_log(tmp_path, training)
    for _ in range(presses):
        training.send_signal(signal.SIGINT)
        time.sleep(0.01)
    _, errors = training.communicate(timeout=60)
    assert training.returncode == 130
    assert "Stopped on request. Continue with: septet resume stopped" in errors
    assert "Traceback" not in errors
    log = tmp_path / "runs" / "stopped" / "log.jsonl"
    before = log.stat().st_size
    again = septet(tmp_path, "resume", "stopped")
    wait_for_log(tmp_path, again, longer_than=before)
    again.send_signal(signal.SIGTERM)
    output, errors = again.communicate(timeout=60)
    assert again.returncode == 130, errors
    assert "Resuming from checkpoint" in output + errors
