"""A training that is kept in a run folder, as a process of its own that can be killed."""

import contextlib
import hashlib
import json
import multiprocessing
import os
import sys
from pathlib import Path
from typing import Any

EPOCHS = 4
FORMS = ("numpy", "py_dataset", "generator")
PRELOADED = ["septet", "septet.fitting.fit", "septet.evaluation.figures", "keras"]
Outcome = dict[str, Any]


class Rows:
    """24 batches of 4 examples, in the order of their numbers."""

    def __init__(self, x: Any, y: Any):
        """Batches of these arrays."""
        self.x, self.y = x, y

    def batch(self, number: int) -> tuple[Any, Any]:
        rows = slice(4 * number, 4 * number + 4)
        return self.x[rows], self.y[rows]


def train(form: str) -> None:
    """Train a small model with what changes state: dropout, normalisation, callbacks."""
    import septet  # isort: skip  # names Keras' backend
    import keras
    import numpy as np

    from septet.fitting import keeper

    keeper.CHECKPOINT_EVERY_S = 0.0
    keras.utils.set_random_seed(int(os.environ["SEED"]))
    random = np.random.default_rng(0)
    x = random.normal(size=(96, 5)).astype(np.float32)
    y = (x.sum(axis=1) > 0).astype(np.int32)
    model = keras.Sequential(
        [
            keras.layers.Dense(8, use_bias=False),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(2),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    callbacks = [
        keras.callbacks.ReduceLROnPlateau("loss", 0.5, patience=0, min_delta=0.2),
        keras.callbacks.EarlyStopping("val_loss", patience=3, restore_best_weights=True),
        keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.9),
    ]
    history = septet.fit(
        model, **data(form, x, y), epochs=EPOCHS, verbose=0, run="job",
        callbacks=callbacks, validation_data=(x[:20], y[:20]),
    )  # fmt: skip
    kept = {"history": history.history, "epochs": history.epoch}
    weights = b"".join(np.asarray(value).tobytes() for value in model.get_weights())
    kept["returned"] = hashlib.sha256(weights).hexdigest()
    Path("returned.json").write_text(json.dumps(kept))


def data(form: str, x: Any, y: Any) -> dict[str, Any]:
    """The arrays in a form that `fit` takes."""
    import keras

    rows = Rows(x, y)
    if form == "numpy":
        return {"x": x, "y": y, "batch_size": 8}
    if form == "generator":
        endless = (rows.batch(number % 24) for number in range(10**6))
        return {"x": endless, "steps_per_epoch": 10}

    class Batches(keras.utils.PyDataset):
        def __len__(self) -> int:
            return 24

        def __getitem__(self, index: int) -> Any:
            return rows.batch(index)

    return {"x": Batches()}


def work(form: str, folder: str, environment: dict[str, str]) -> None:
    """`train` in this process, in `folder`, output to a file there."""
    os.chdir(folder)
    os.environ.update(environment)
    handle = os.open("output.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    sys.stderr = os.fdopen(2, "w", buffering=1)
    with contextlib.redirect_stdout(sys.stderr):
        train(form)


def start(form: str, folder: Path, seed: int, **environment: str) -> tuple[int, str]:
    """(exit code, output) of one process."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    folder.mkdir(exist_ok=True)
    values = {"SEED": str(seed), **environment}
    process = context.Process(target=work, args=(form, str(folder), values))
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode, (folder / "output.txt").read_text()


def outcome(folder: Path) -> Outcome:
    """What a training ends with: history, weights, whole state and log, hashed."""
    run = folder / "runs" / "job"
    last = sorted((run / "checkpoints").glob("step-*"))[-1]
    receipt = json.loads((run / "receipt.json").read_text())
    state = (last / "tensors.safetensors").read_bytes()
    return {
        **json.loads((folder / "returned.json").read_text()),
        "weights": receipt["weights"],
        "log": (run / "log.jsonl").read_text(),
        "state": hashlib.sha256(state).hexdigest(),
        "step": last.name,
    }
