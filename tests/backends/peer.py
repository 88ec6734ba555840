"""What another backend computes, in a process of its own: `python -m tests.backends.peer ...`.

record FILE          weights and outputs of every case, and the losses of its training
train DATA RUNS      a run of each task
answer RUNS FILE     what the model folders of such runs answer
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def run_peer(python: str, backend: str, *arguments: Any) -> None:
    """Run one of the commands above on `backend`; its output is shown where it fails."""
    environment = {
        **os.environ,
        "KERAS_BACKEND": backend,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONPATH": str(ROOT),
    }
    command = [python, "-m", "tests.backends.peer", *map(str, arguments)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1800
    )
    assert done.returncode == 0, done.stderr[-3000:]


def record(file: Path) -> None:
    """Every case as this backend has it."""
    import numpy as np

    from tests.backends import cases

    found: dict[str, Any] = {}
    for name in cases.CASES:
        network = cases.build(name)
        found[f"{name}/outputs"] = cases.outputs(network, cases.inputs(name))
        found[f"{name}/losses"] = np.array(cases.trained_losses(name))
    np.savez(file, **found)


def train(data: Path, runs: Path) -> None:
    """A run of each task under `runs`, on the data that lie in `data`."""
    from tests.backends import tasks

    os.environ["SEPTET_RUNS"] = str(runs)
    tasks.train_all(tasks.make_data(data))


def answer(runs: Path, file: Path) -> None:
    """The answers of the models under `runs`."""
    import numpy as np

    from tests.backends import tasks

    found: dict[str, Any] = tasks.answers(runs)
    np.savez(file, **found)


if __name__ == "__main__":
    import septet  # noqa: F401  # names Keras' backend before anything imports Keras

    command, *paths = sys.argv[1:]
    {"record": record, "train": train, "answer": answer}[command](*map(Path, paths))
