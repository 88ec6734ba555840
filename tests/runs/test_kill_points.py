"""Runs that cannot be lost: killed or starved at any operation, they end where they should."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.runs.killing import Driver, make_jobs

KILLS = {
    "tabular-classification": 8,
    "tabular-regression": 8,
    "image-classification": 6,
    "fine-tuning": 2,
    "image-generation": 4,
    "semantic-segmentation": 2,
    "sentiment-analysis": 4,
    "several-labels": 2,
    "pretrained-encoder": 1,
    "translation": 2,
    "object-detection": 2,
    "text-generation": 2,
    "video-classification": 2,
}

SLOW = {"pretrained-encoder"}
"""Compiling its many programs takes over a minute."""


@pytest.fixture(scope="module")
def drivers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kills")
    jobs = make_jobs(folder)
    return {name: Driver(job, folder / name) for name, job in jobs.items()}


@pytest.mark.parametrize(
    "task",
    [pytest.param(task, marks=[pytest.mark.slow] * (task in SLOW)) for task in KILLS],
)
def test_run_killed_at_any_operation_resumes_to_the_same_end(drivers, task):
    if task == "translation":
        pytest.importorskip("sacrebleu")
    if task not in drivers:
        pytest.skip("its package is not installed")
    driver = drivers[task]
    expected, operations, _ = driver.whole
    points = np.unique(np.linspace(1, operations, KILLS[task]).round().astype(int))
    assert len(points) == KILLS[task]
    names = [f"kill-{number}" for number in points]
    faults = [f"any:{number}:kill" for number in points]
    with ThreadPoolExecutor(os.cpu_count()) as executor:
        results = list(executor.map(driver.point, names, faults))
    for number, (code, output, found) in zip(points, results, strict=True):
        assert code == -9, output
        assert found == expected, f"killed at operation {number} of {operations}"


@pytest.mark.parametrize(
    "fault", ["write:12:ENOSPC", "fsync:25:EIO", "append:3:EDQUOT", "write:30:ENOSPC+"]
)
def test_full_or_failing_disk_loses_nothing(drivers, fault):
    driver = drivers["tabular-classification"]
    expected, *_ = driver.whole
    code, output, found = driver.point(fault, fault)
    assert code == 1, output
    assert str(driver.folder) in output
    assert "Traceback" not in output
    # A disk that fails has room; one without says how much of it is needed.
    assert ("bytes are needed" in output) == ("EIO" not in fault), output
    assert found == expected
