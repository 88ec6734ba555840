"""Which framework computes: chosen in time, named when it is missing, refused when too late."""

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

from septet import backends
from septet.errors import InputError, MissingPackageError
from septet.registry import ARCHITECTURES
from tests.backends.cases import BATCH, CASES, inputs


@pytest.fixture(autouse=True)
def own_environment(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")


def septet_command(*arguments: str, folder, **environment: str) -> subprocess.CompletedProcess:
    settings = {**os.environ, "SEPTET_RUNS": str(folder / "runs"), **environment}
    command = [sys.executable, "-m", "septet", *arguments]
    return subprocess.run(command, env=settings, capture_output=True, text=True, timeout=300)


def test_every_backend_is_one_that_a_run_may_have():
    from septet.config import RunConfig

    for name in backends.BACKENDS:
        values = {"septet": "0", "task": "t", "source": "s", "data": {}, "model": {}}
        assert RunConfig(**values, backend=name, training={}).backend == name  # pyright: ignore


def test_runs_from_before_there_was_a_choice_are_of_jax():
    from septet.config import RunConfig

    assert RunConfig.model_fields["backend"].default == "jax"


@pytest.mark.parametrize("name", ["tensorflow", "torch"])
def test_a_missing_framework_is_named_with_its_install_line(name, monkeypatch):
    monkeypatch.setattr(backends, "find_spec", lambda module: None)
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    install = {"tensorflow": "pip install tensorflow-cpu", "torch": "pip install torch"}[name]
    with pytest.raises(MissingPackageError, match=f"is not installed. Install it with: {install}"):
        backends.choose(name)
    assert os.environ["KERAS_BACKEND"] == "jax"


@pytest.mark.skipif(find_spec("torch") is not None, reason="PyTorch is installed here")
@pytest.mark.parametrize("way", ["option", "variable"])
def test_the_command_line_refuses_a_missing_framework_in_one_message(way, tmp_path):
    option = ["--backend", "torch"] if way == "option" else []
    variable = {"KERAS_BACKEND": "torch"} if way == "variable" else {}
    done = septet_command(
        "train", "tabular-classification", "breast-cancer", *option, folder=tmp_path, **variable
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "Error: Computing on PyTorch needs the package 'torch', which is not installed. "
        "Install it with: pip install torch"
    )
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_backend_of_keras_that_is_none_of_ours_is_refused(monkeypatch):
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    monkeypatch.setenv("KERAS_BACKEND", "openvino")
    with pytest.raises(InputError, match="'openvino'; expected one of jax, tensorflow, torch"):
        backends.choose()


def test_another_backend_than_the_one_that_runs_is_refused_with_a_way_out():
    import keras

    assert keras.backend.backend() == backends.current() == "jax"
    with pytest.raises(InputError, match=r"cannot change to PyTorch.*KERAS_BACKEND=torch"):
        backends.choose("torch")


def test_a_choice_before_keras_is_imported_holds(monkeypatch):
    monkeypatch.setattr(backends, "find_spec", lambda module: module)
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    assert backends.current() == "jax"
    assert backends.choose("tensorflow") == backends.current() == "tensorflow"
    assert backends.title() == "TensorFlow"


def test_every_architecture_has_a_case_in_the_suite_of_backends():
    assert {architecture for architecture, _ in CASES.values()} == set(ARCHITECTURES)


@pytest.mark.parametrize("name", CASES)
def test_every_case_of_the_suite_of_backends_has_inputs(name):
    given = inputs(name)
    arrays = given.values() if isinstance(given, dict) else [given]
    assert all(len(array) == BATCH for array in arrays)
