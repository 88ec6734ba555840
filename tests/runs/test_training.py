"""Whole runs in this process: budget, patience, interruption, non-finite losses, two at once."""

import json
import time

import numpy as np
import pytest

from septet import api
from septet.errors import Interrupted, NonFiniteError, RunBusyError
from septet.runs import checkpoints
from septet.runs.folder import RunFolder
from septet.runs.observer import Observer, Progress
from septet.runs.training import Training

pytestmark = pytest.mark.slow  # trains whole runs

MODEL = {"width": 8, "depth": 1}


@pytest.fixture(autouse=True)
def own_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("SEPTET_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


@pytest.fixture
def table(tmp_path):
    random = np.random.default_rng(0)
    numbers = random.normal(size=(200, 3)).round(4)
    lines = [f"{a},{b},{c},{'yes' if a + b > 0 else 'no'}" for a, b, c in numbers]
    path = tmp_path / "table.csv"
    path.write_text("a,b,c,target\n" + "\n".join(lines) + "\n")
    return path


def train(table, observer=None, name="run", **training) -> api.Run:
    return api.train(
        "tabular-classification",
        table,
        settings={"model": MODEL, "training": training},
        name=name,
        observer=observer,
    )


class StopAt(Observer):
    """Does as a user who presses Ctrl-C when a step is reached."""

    def __init__(self, step: int):
        self.step = step

    def progress(self, progress: Progress) -> None:
        import signal

        if progress.step >= self.step:
            signal.raise_signal(signal.SIGINT)


def test_interrupted_run_says_how_to_resume_and_ends_as_if_uninterrupted(table, own_runs):
    whole = train(table, name="whole", epochs=4)
    with pytest.raises(Interrupted, match="septet resume stopped"):
        train(table, StopAt(13), name="stopped", epochs=4)
    assert RunFolder(own_runs / "stopped").status()["status"] == "interrupted"
    resumed = api.resume("stopped")
    for name in ("log.jsonl", "model/weights.safetensors", "evaluation.json"):
        assert (resumed.folder / name).read_bytes() == (whole.folder / name).read_bytes()


def test_minutes_are_kept_and_leave_a_usable_model(table):
    train(table, name="warm", epochs=1)
    begin = time.monotonic()
    run = train(table, minutes=0.25)
    assert time.monotonic() - begin <= 0.25 * 60 * 1.05
    assert run.load().predict({"a": 1.0, "b": 1.0, "c": 0.0}).label in ("yes", "no")
    rows = [json.loads(line) for line in (run.folder / "log.jsonl").read_text().splitlines()]
    assert rows[-1]["learning_rate"] < rows[0]["learning_rate"] / 5


def test_run_under_a_time_budget_is_reproduced(table):
    train(table, minutes=0.1)
    assert api.reproduce("run").equal


def test_reproduction_names_what_changed(table):
    run = train(table, epochs=2)
    table.write_text(table.read_text().replace("yes", "no", 3))
    again = api.reproduce(str(run.folder / "receipt.json"))
    assert not again.equal
    assert any("data" in line for line in again.differences)


def test_non_finite_loss_stops_with_step_and_remedies_and_keeps_good_checkpoints(
    tmp_path, own_runs
):
    random = np.random.default_rng(0)
    numbers = random.normal(size=(200, 3)).round(4)
    lines = [f"{a},{b},{c},{a + b:.4f}" for a, b, c in numbers]
    numeric = tmp_path / "numeric.csv"
    numeric.write_text("a,b,c,target\n" + "\n".join(lines) + "\n")
    diverging = {
        "epochs": 50,
        "optimizer": "sgd",
        "learning_rate": 1000.0,
        "clip_norm": None,
        "schedule": "constant",
        "average_decay": None,
        "checkpoint_every_steps": 1,
    }
    settings = {"model": MODEL, "training": diverging}
    with pytest.raises(NonFiniteError, match=r"epoch \d+, step \d+.*learning_rate"):
        api.train("tabular-regression", numeric, settings=settings, name="run")
    run = RunFolder(own_runs / "run")
    assert run.status()["status"] == "failed"
    for step in checkpoints.steps(run.checkpoints):
        found = checkpoints.load(run.checkpoints / f"step-{step:012d}")
        for array in found.tensors.values():
            assert not np.issubdtype(array.dtype, np.floating) or np.isfinite(array).all()


def test_patience_stops_early_and_ships_the_best(table):
    constant = {"learning_rate": 0.05, "schedule": "constant"}
    run = train(table, epochs=500, patience=3, restore_best=True, **constant)
    rows = [json.loads(line) for line in (run.folder / "log.jsonl").read_text().splitlines()]
    assert len(rows) < 500
    values = [row["validation_loss"] for row in rows]
    best = values.index(min(values)) + 1
    assert best == len(rows) - 3
    assert f"<b>{best}</b><span>shipped epoch</span>" in (run.folder / "report.html").read_text()

    short = train(table, name="short", epochs=best, restore_best=False, **constant)
    assert f"<b>{best}</b><span>shipped epoch</span>" in (short.folder / "report.html").read_text()
    weights = [each.folder / "model" / "weights.safetensors" for each in (run, short)]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_second_process_on_a_run_is_refused(table, own_runs):
    train(table, epochs=1)
    run = RunFolder(own_runs / "run")
    run.set_status("interrupted")
    with run.lock(), pytest.raises(RunBusyError, match="run"):
        api.resume("run")


def test_two_runs_are_both_listed(table, own_runs):
    from septet.runs import index

    train(table, name="first", epochs=1)
    train(table, name="second", epochs=1)
    assert {row["name"] for row in index.rows(own_runs)} == {"first", "second"}
    (own_runs / "index.db").write_bytes(b"rubbish")
    assert {row["name"] for row in index.rows(own_runs)} == {"first", "second"}


@pytest.mark.parametrize(
    "training",
    [
        {"schedule": "plateau", "plateau_patience": 1},
        {"schedule": "cosine", "optimizer": "sgd"},
        {"class_weights": "balanced"},
        {"precision": "bfloat16"},
        {"precision": "float16"},
        {"optimizer": "lion", "average_decay": 0.9},
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
def test_every_way_of_training_resumes_to_the_same_end(table, training):
    whole = train(table, name="whole", epochs=3, **training)
    with pytest.raises(Interrupted):
        train(table, StopAt(9), name="stopped", epochs=3, **training)
    resumed = api.resume("stopped")
    for name in ("log.jsonl", "model/weights.safetensors"):
        assert (resumed.folder / name).read_bytes() == (whole.folder / name).read_bytes()


@pytest.mark.parametrize("part", ["bookkeeping", "plan", "log"])
def test_checkpoint_without_one_of_its_facts_does_not_resume_to_the_same_end(
    table, part, monkeypatch
):
    options = {"epochs": 6, "patience": 2, "learning_rate": 0.02}
    whole = train(table, name="whole", **options)
    facts_of = Training._facts

    def without(self):
        empty = {
            "bookkeeping": {},
            "plan": [[0, 0.0, 7]],
            "log": {"bytes": 0, "rows": 0, "sha256": EMPTY_SHA256},
        }
        return {**facts_of(self), part: empty[part]}

    with monkeypatch.context() as patch:
        patch.setattr(Training, "_facts", without)
        with pytest.raises(Interrupted):
            train(table, StopAt(17), name="stopped", **options)
    resumed = api.resume("stopped")
    same = [
        (resumed.folder / name).read_bytes() == (whole.folder / name).read_bytes()
        for name in ("log.jsonl", "model/weights.safetensors")
    ]
    assert not all(same)


EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
