"""The parity suite: it runs where Keras is on TensorFlow or PyTorch, as `make backends` has it.

JAX's side is computed in a process of its own, since a process has one backend.
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from septet import backends
from tests.backends.peer import run_peer

HERE = Path(__file__).parent
OTHERS = {"tensorflow": "torch", "torch": "tensorflow"}
BACKEND = os.environ.get("KERAS_BACKEND", "jax")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip where Keras is on JAX, and take the warnings of the frameworks as they come."""
    for item in items:
        if HERE not in item.path.parents:
            continue
        if BACKEND not in OTHERS:
            reason = "needs Keras on TensorFlow or PyTorch: make backends"
            item.add_marker(pytest.mark.skip(reason=reason))
        for kind in ("DeprecationWarning", "UserWarning", "FutureWarning", "RuntimeWarning"):
            item.add_marker(pytest.mark.filterwarnings(f"ignore::{kind}"))


def python_with(backend: str) -> str:
    """The Python of an environment with `backend`: this one, or one beside it; else skip."""
    if find_spec(backends.BACKENDS[backend].module) is not None:
        return sys.executable
    folder = os.environ.get("SEPTET_ENVIRONMENTS")
    python = Path(folder or "nowhere") / backend / "bin" / "python"
    if not python.exists():
        pytest.skip(f"no environment with {backend} in $SEPTET_ENVIRONMENTS")
    return str(python.absolute())


@pytest.fixture(scope="session")
def recorded(tmp_path_factory):
    """Outputs and losses of every case on JAX."""
    file = tmp_path_factory.mktemp("jax") / "recorded.npz"
    run_peer(sys.executable, "jax", "record", file)
    with np.load(file) as arrays:
        return dict(arrays)


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """A folder with a run of each task trained on this backend."""
    from tests.backends import tasks

    folder = tmp_path_factory.mktemp("own")
    patch = pytest.MonkeyPatch()
    patch.setenv("SEPTET_RUNS", str(folder / "runs"))
    notes = Notes()
    tasks.train_all(tasks.make_data(folder), observer=notes)
    patch.undo()
    notes.path = folder / "runs"
    return notes


class Notes:
    """Keeps what runs say."""

    def __init__(self):
        self.said: list[str] = []
        self.path = Path()

    def note(self, text: str) -> None:
        self.said.append(text)

    def __getattr__(self, name):
        return lambda *arguments, **settings: None
