"""Every optimizer and every loss trains a table task, and goes on exactly where it stopped."""

from typing import get_args

import numpy as np
import pytest

from septet import api
from septet.config import Optimizer
from septet.engine.loop import Loop
from septet.engine.schedules import Plan
from septet.engine.state import from_tensors, to_tensors
from septet.errors import ConfigError
from septet.runs.session import open_session, read

MODEL = {"width": 8, "depth": 1, "members": 2}
RATES = {"adadelta": 3.0, "adafactor": 0.1, "adagrad": 0.1, "sgd": 0.1, "momentum": 0.1}
CLASSES, NUMBERS = "tabular-classification", "tabular-regression"
SAMPLES = {CLASSES: "breast-cancer", NUMBERS: "diabetes"}
CHOICES = [
    *[(CLASSES, {"optimizer": name}) for name in get_args(Optimizer)],
    (CLASSES, {"loss": "focal"}),
    (CLASSES, {"label_smoothing": 0.1, "class_weights": "balanced"}),
    (NUMBERS, {"loss": "absolute"}),
    (NUMBERS, {"loss": "huber"}),
]


def make_loop(task: str, training: dict) -> Loop:
    rate = RATES.get(training.get("optimizer", ""), 0.01)
    settings = {"learning_rate": rate, "schedule": "constant", "epochs": 2, **training}
    config = api.resolve_config(task, SAMPLES[task], {"model": MODEL, "training": settings})
    session = open_session(read(config), note=lambda text: None)
    loop = session.loop_from(session.state)
    assert isinstance(loop, Loop)
    return loop


def advance(loop: Loop, plan: Plan, step: int, end: int) -> list[float]:
    """The running loss of the epoch after each step."""
    losses = []
    while step < end:
        chunk = loop.advance(0, step, 1, plan.control(1.0))
        assert chunk.bad_step is None
        step += chunk.count
        losses.append(chunk.logs["loss"])
    return losses


# Compiling a step takes longer than all else: the fast tests take one of each kind.
FAST = ("muon", "huber")


@pytest.mark.parametrize(
    ("task", "training"),
    [
        pytest.param(
            task,
            training,
            id="-".join(map(str, training.values())),
            marks=[] if set(training.values()) & set(FAST) else [pytest.mark.slow],
        )
        for task, training in CHOICES
    ],
)
def test_choice_lowers_the_loss_and_resumes_bit_for_bit(task, training):
    loop, plan = make_loop(task, training), Plan()
    plan.revise(0, 32)
    loop.compile(plan.control(1.0))
    losses = advance(loop, plan, 0, 6)
    saved = {name: value.copy() for name, value in to_tensors(loop.state).items()}
    losses += advance(loop, plan, 6, 12)
    whole = to_tensors(loop.state)
    assert losses[-1] < losses[0]

    loop.state = from_tensors(saved, loop.state)
    advance(loop, plan, 6, 12)
    for name, value in to_tensors(loop.state).items():
        np.testing.assert_array_equal(value, whole[name], err_msg=name)


@pytest.mark.parametrize(
    ("task", "training", "message"),
    [
        (CLASSES, {"loss": "absolute"}, "is absolute, which is no loss for tabular-classification"),
        (NUMBERS, {"loss": "focal"}, "is focal, which is no loss for tabular-regression"),
        (NUMBERS, {"label_smoothing": 0.1}, "is 0.1, which needs cross-entropy"),
    ],
)
def test_a_loss_that_does_not_suit_is_refused_before_there_is_a_run(
    task, training, message, tmp_path, monkeypatch
):
    monkeypatch.setenv("SEPTET_RUNS", str(tmp_path / "runs"))
    with pytest.raises(ConfigError, match=message):
        api.train(task, SAMPLES[task], settings={"training": training})
    assert not list(tmp_path.glob("runs/*/config.json"))
