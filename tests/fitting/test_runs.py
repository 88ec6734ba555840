"""`septet.fit(..., run=...)`: a training that cannot be lost, continued by the same call."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import septet
from septet.errors import InputError, Interrupted, NonFiniteError
from septet.fitting import keeper, passes
from tests.fitting import kept

# Keras' own variables do not know NumPy's `copy` yet.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
KILLS = [
    ("numpy", 4),
    ("py_dataset", 1),
    ("generator", 1),
    *[pytest.param(form, 20, marks=pytest.mark.slow) for form in kept.FORMS],
]
"""Each form of data and at how many operations its training is killed."""


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEPTET_RUNS", raising=False)


@pytest.mark.parametrize(("form", "count"), KILLS)
def test_killed_at_any_operation_the_same_program_ends_the_same(form, count, tmp_path):
    log = tmp_path / "operations.log"
    code, output = kept.start(form, tmp_path / "whole", 1, SEPTET_FAULT_LOG=str(log))
    assert code == 0, output
    expected = kept.outcome(tmp_path / "whole")
    operations = len(log.read_text().splitlines())
    # Spread evenly over all of them, one in the middle of each part.
    points = [operations * (2 * part + 1) // (2 * count) for part in range(count)]

    def point(number: int) -> tuple[int, str, dict[str, Any]]:
        folder = tmp_path / f"kill-{number}"
        code, _ = kept.start(form, folder, 1, SEPTET_FAULT=f"any:{number}:kill")
        # Continued with other initial weights and another generator, which must not matter.
        has_begun = any((folder / "runs" / "job" / "checkpoints").glob("step-*"))
        _, output = kept.start(form, folder, 2 if has_begun else 1)
        return code, output, kept.outcome(folder)

    with ThreadPoolExecutor(os.cpu_count()) as executor:
        for number, (code, output, found) in zip(points, executor.map(point, points), strict=True):
            assert code == -9, output
            assert found == expected, f"killed at operation {number} of {operations}: {output}"


def example(seed: int = 3) -> tuple[Any, np.ndarray, np.ndarray]:
    keras.utils.set_random_seed(seed)
    x = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1)])
    model.compile("adam", "mse", metrics=["mae"])
    return model, x, x.sum(axis=1)


def test_steps_and_validation_of_a_run_are_to_give_the_same_bits_on_a_gpu(monkeypatch):
    asked = []

    class Asked(passes.Program):
        def __init__(self, *arguments, repeatable, **rest):
            asked.append(repeatable)
            super().__init__(*arguments, repeatable=repeatable, **rest)

    monkeypatch.setattr(passes, "Program", Asked)
    model, x, y = example()
    septet.fit(model, x, y, epochs=1, verbose=0, validation_split=0.25)
    count = len(asked)
    assert count >= 2
    assert not any(asked)
    # The same model again: what it compiled before is not what a run needs.
    septet.fit(model, x, y, epochs=1, verbose=0, validation_split=0.25, run="job")
    assert asked[count:] == [True] * count


def test_the_folder_has_everything():
    model, x, y = example()
    expected = example()[0].fit(x, y, epochs=3, verbose=0, validation_split=0.25).history
    model, x, y = example()
    history = septet.fit(model, x, y, epochs=3, verbose=0, validation_split=0.25, run="job")
    for name, values in expected.items():
        np.testing.assert_allclose(history.history[name], values, rtol=1e-5)
    folder = Path("runs/job")
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert [row["val_mae"] for row in rows] == history.history["val_mae"]
    status = json.loads((folder / "status.json").read_text())
    assert (status["status"], status["epochs"], status["score_name"]) == ("finished", 3, "mae")
    assert status["score"] == history.history["val_mae"][-1]
    loaded: Any = keras.models.load_model(folder / "model.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
    account = json.loads((folder / "account.json").read_text())
    assert account["splits"] == {"train": 48, "validation": 16}
    assert septet.evaluate("job")["scores"]["mae"] == status["score"]
    page = (folder / "report.html").read_text()
    assert "data:image/png" in page
    assert "fit on numpy.ndarray" in page
    receipt = json.loads((folder / "receipt.json").read_text())
    assert receipt["settings"]["data"]["x"]["arrays"] == "float32[48, 4]"


def test_a_finished_run_gives_its_model_back_and_goes_on_with_more_epochs(capsys):
    model, x, y = example()
    whole = septet.fit(model, x, y, epochs=5, verbose=0, run="whole").history
    model, x, y = example()
    septet.fit(model, x, y, epochs=3, verbose=0, run="job")
    other, x, y = example(seed=4)
    again = septet.fit(other, x, y, epochs=3, verbose=0, run="job")
    assert again.history["loss"] == whole["loss"][:3]
    np.testing.assert_array_equal(other.get_weights()[0], model.get_weights()[0])
    assert "finished already" in capsys.readouterr().err
    longer, x, y = example(seed=4)
    assert septet.fit(longer, x, y, epochs=5, verbose=0, run="job").history == whole


def test_another_training_under_the_same_name_is_refused():
    model, x, y = example()
    septet.fit(model, x, y, epochs=1, verbose=0, run="job")
    changes = {
        r"training\.batch_size = None, and now it is 16": lambda m: septet.fit(
            m, x, y, 16, verbose=0, run="job"
        ),
        r"data\.x\.sha256": lambda m: septet.fit(m, x + 1, y, verbose=0, run="job"),
        r"seed = None, and now it is 5": lambda m: septet.fit(
            m, x, y, verbose=0, seed=5, run="job"
        ),
    }
    for message, call in changes.items():
        with pytest.raises(InputError, match=message):
            call(example()[0])
    wider = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1, "relu")])
    wider.compile("adam", "mse", metrics=["mae"])
    with pytest.raises(InputError, match=r"model\.structure"):
        septet.fit(wider, x, y, verbose=0, run="job")
    slower, *_ = example()
    slower.compile(keras.optimizers.Adam(0.1), "mse", metrics=["mae"])
    with pytest.raises(InputError, match=r"compile\.optimizer"):
        septet.fit(slower, x, y, verbose=0, run="job")


def test_layers_called_otherwise_by_the_process_are_the_same_model():
    model, x, y = example()
    septet.fit(model, x, y, epochs=1, verbose=0, run="job")
    keras.layers.Dense(1)  # counts up the names
    keras.Sequential()
    assert septet.fit(example()[0], x, y, epochs=2, verbose=0, run="job").epoch == [0, 1]


def test_ctrl_c_saves_and_the_same_call_continues():
    model, x, y = example()
    whole = septet.fit(model, x, y, epochs=4, verbose=0, run="whole").history

    class PressesCtrlC(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch == 1:
                os.kill(os.getpid(), 2)

    model, x, y = example()
    with pytest.raises(Interrupted, match="Start the same program again"):
        septet.fit(model, x, y, epochs=4, verbose=0, run="job", callbacks=[PressesCtrlC()])
    assert json.loads(Path("runs/job/status.json").read_text())["status"] == "interrupted"
    model, x, y = example(seed=4)
    assert septet.fit(model, x, y, epochs=4, verbose=0, run="job").history == whole


def test_a_loss_that_is_no_number_stops_and_spares_the_last_checkpoint(monkeypatch):
    monkeypatch.setattr(keeper, "CHECKPOINT_EVERY_S", 0.0)
    model, x, y = example()
    y[40] = np.nan
    with pytest.raises(NonFiniteError, match=r"loss .* epoch 1, step 2\D.* that of step 1"):
        septet.fit(model, x, y, batch_size=32, verbose=0, shuffle=False, run="job")
    status = json.loads(Path("runs/job/status.json").read_text())
    assert status["status"] == "failed"
    assert "step 2" in status["error"]
    findings = json.loads(Path("runs/job/account.json").read_text())["findings"]
    assert findings[0]["message"].startswith("1 of 64 rows")


def test_what_only_a_task_can_do_is_said():
    model, x, y = example()
    septet.fit(model, x, y, verbose=0, run="job")
    for call in (septet.resume, septet.load, septet.reproduce):
        with pytest.raises(InputError, match=r"septet\.fit"):
            call("job")
    with pytest.raises(InputError, match=r"model\.keras"):
        septet.predict("job", x)


def test_a_run_of_a_task_is_not_taken_over(tmp_path):
    folder = tmp_path / "runs" / "job"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"task": "image-classification"}')
    model, x, y = example()
    with pytest.raises(InputError, match="one of image-classification"):
        septet.fit(model, x, y, verbose=0, run="job")
