"""Runs of the four tasks on this backend, and their model folders on every other."""

import json
import sys

import numpy as np
import pytest

import septet
from septet.errors import InputError, Interrupted
from septet.runs import checkpoints
from septet.runs.folder import RunFolder
from septet.runs.observer import Observer, Progress
from tests.backends import tasks
from tests.backends.conftest import BACKEND, OTHERS, python_with
from tests.backends.peer import run_peer

LEARNS = {
    "tabular-classification": "accuracy",
    "tabular-regression": "r2",
    "image-classification": "accuracy",
}


def assert_same_answers(found, expected) -> None:
    assert set(found) == set(tasks.SETTINGS)
    for task, outputs in expected.items():
        assert np.ptp(outputs) > 1e-3, task
        np.testing.assert_allclose(found[task], outputs, atol=1e-4, err_msg=task)


@pytest.mark.parametrize("task", tasks.SETTINGS)
def test_a_run_is_whole_and_says_where_it_was_trained(runs, task):
    run = RunFolder(runs.path / task)
    assert run.status()["status"] == "finished"
    assert run.config()["backend"] == BACKEND
    receipt = json.loads(run.receipt_path.read_text())
    assert receipt["settings"]["backend"] == receipt["machine"]["framework"] == BACKEND
    assert any(name.startswith(BACKEND) for name in receipt["versions"])
    assert run.report_path.exists()
    rows = [json.loads(line) for line in run.log_path.read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2]
    if task in LEARNS:
        assert rows[-1]["loss"] < rows[0]["loss"]


def test_what_may_be_expected_is_said_once_a_run(runs):
    said = [text for text in runs.said if "through Keras' own fit" in text]
    assert len(said) == len(tasks.SETTINGS)


def test_evaluate_and_predict_work(runs):
    run = runs.path / "image-generation"
    assert len(septet.load(run).predict([3])) == 3
    table = runs.path.parent / "tabular-classification.csv"
    found = septet.evaluate(str(runs.path / "tabular-classification"), str(table))
    assert found["examples"] == 90


@pytest.mark.parametrize("other", ["jax", OTHERS.get(BACKEND, "torch")])
def test_model_folders_answer_the_same_elsewhere(runs, other, tmp_path):
    run_peer(python_with(other), other, "answer", runs.path, tmp_path / "answers.npz")
    with np.load(tmp_path / "answers.npz") as found:
        assert_same_answers(dict(found), tasks.answers(runs.path))


def test_model_folders_of_jax_answer_the_same_here(tmp_path):
    run_peer(sys.executable, "jax", "train", tmp_path, tmp_path / "runs")
    run_peer(sys.executable, "jax", "answer", tmp_path / "runs", tmp_path / "answers.npz")
    with np.load(tmp_path / "answers.npz") as expected:
        assert_same_answers(tasks.answers(tmp_path / "runs"), dict(expected))
    with pytest.raises(InputError, match=r"cannot change to JAX.*KERAS_BACKEND=jax"):
        septet.reproduce(str(tmp_path / "runs" / "tabular-regression"))


class StopAt(Observer):
    """Does as a user who presses Ctrl-C when a step is reached."""

    def __init__(self, step: int):
        self.step = step

    def progress(self, progress: Progress) -> None:
        import signal

        if progress.step >= self.step:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize(
    "training",
    [
        {"checkpoint_every_steps": 2},
        {"average_decay": 0.9, "class_weights": "balanced", "schedule": "cosine"},
        {"precision": "float16", "optimizer": "sgd"},
        {"precision": "bfloat16", "optimizer": "lion"},
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
def test_a_stopped_run_goes_on_from_its_checkpoint(training, tmp_path, monkeypatch):
    monkeypatch.setenv("SEPTET_RUNS", str(tmp_path / "runs"))
    data = tasks.make_data(tmp_path)["tabular-classification"]
    settings = {"model": {"width": 8, "depth": 1}, "training": {"batch_size": 16, **training}}
    with pytest.raises(Interrupted, match="septet resume stopped"):
        septet.train(
            "tabular-classification", data, settings=settings, epochs=4, name="stopped",
            observer=StopAt(5),
        )  # fmt: skip
    folder = RunFolder(tmp_path / "runs" / "stopped")
    step = checkpoints.steps(folder.checkpoints)[0]
    assert 0 < step < folder.config()["training"]["epochs"] * 5
    resumed = septet.resume("stopped")
    rows = [json.loads(line) for line in (resumed.folder / "log.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert rows[-1]["loss"] < rows[0]["loss"]
