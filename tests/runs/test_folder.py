import json
import os
import shutil
import signal

import pytest

from septet.errors import InputError, RunBusyError, RunNotFoundError, StorageError
from septet.runs import faults, folder
from septet.runs.folder import RunFolder
from tests.runs.processes import run_forked


def create(root, name=None, task="tabular-classification") -> RunFolder:
    return RunFolder.create(root, name, task, {"task": task, "seed": 3})


def test_a_new_run_has_its_settings_and_the_next_free_name(tmp_path):
    assert [create(tmp_path / "runs").name for _ in range(2)] == [
        "tabular-classification-1",
        "tabular-classification-2",
    ]
    run = create(tmp_path / "runs", "My_run.1")
    assert run.config() == {"task": "tabular-classification", "seed": 3}
    assert run.identity()["sequence"] == 3
    assert run.recorded_status() == {"status": "running"}


@pytest.mark.parametrize("name", ["", "a/b", "..", ".x", "é", "a b", "x" * 101, "latest", "-x"])
def test_names_that_could_mislead_are_refused(tmp_path, name):
    with pytest.raises(InputError, match="run's name"):
        create(tmp_path, name)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_run_is_not_overwritten(tmp_path):
    create(tmp_path, "one")
    with pytest.raises(InputError, match="septet resume one, or choose another name"):
        create(tmp_path, "one")


def test_a_kill_at_any_operation_leaves_a_whole_run_or_none(tmp_path):
    number, outcome = 0, -signal.SIGKILL
    while outcome != 0:
        number += 1

        def work(number=number):
            faults.install(f"any:{number}:kill")
            create(tmp_path / "runs", "one")

        outcome = run_forked(work)
        assert outcome in (0, -signal.SIGKILL)
        for run in folder.runs(tmp_path / "runs"):
            assert (run.config()["seed"], run.identity()["sequence"]) == (3, 1)
            shutil.rmtree(run.path)
    assert number > 8
    create(tmp_path / "runs", "two")
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == [".lock", "two"]


def test_a_full_disk_leaves_no_half_run(tmp_path):
    create(tmp_path, "one")
    with faults.injected("write:2:ENOSPC+"), pytest.raises(StorageError, match="two"):
        create(tmp_path, "two")
    assert [run.name for run in folder.runs(tmp_path)] == ["one"]


def test_processes_that_create_at_once_get_different_runs(tmp_path):
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                for _ in range(5):
                    create(tmp_path)
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    assert all(os.waitpid(child, 0)[1] == 0 for child in children)
    runs = folder.runs(tmp_path)
    assert len(runs) == 20
    assert sorted(run.identity()["sequence"] for run in runs) == list(range(1, 21))


def test_runs_are_found_by_name_by_folder_and_as_the_latest(tmp_path):
    first, second = create(tmp_path, "zebra"), create(tmp_path, "ant")
    os.utime(first.path)
    assert RunFolder.find(tmp_path, "zebra").path == first.path
    assert RunFolder.find(tmp_path, str(second.path)).path == second.path
    assert RunFolder.find(tmp_path, "latest").path == second.path
    with pytest.raises(RunNotFoundError, match="Did you mean 'zebra'"):
        RunFolder.find(tmp_path, "zebr")
    with pytest.raises(RunNotFoundError, match="no runs"):
        RunFolder.find(tmp_path / "empty", "latest")


def test_a_copied_and_a_renamed_run_are_runs(tmp_path):
    run = create(tmp_path, "one")
    shutil.copytree(run.path, tmp_path / "copy")
    run.path.rename(tmp_path / "other")
    assert [found.name for found in folder.runs(tmp_path)] == ["copy", "other"]
    assert RunFolder.find(tmp_path, "copy").config()["seed"] == 3


def test_a_run_without_its_settings_says_so(tmp_path):
    run = create(tmp_path, "one")
    run.config_path.write_text("{")
    with pytest.raises(RunNotFoundError, match=r"config\.json"):
        run.config()


def test_a_run_with_a_damaged_identity_is_still_listed(tmp_path):
    run = create(tmp_path, "one")
    run.identity_path.write_bytes(b"\xff")
    assert run.identity() == {"task": "tabular-classification", "sequence": 0, "created": ""}
    assert RunFolder.find(tmp_path, "latest").name == "one"


def test_facts_of_the_status_add_up(tmp_path):
    run = create(tmp_path)
    run.set_status("running", epochs=2, error="x")
    run.set_status("finished", score=0.5, error=None)
    assert run.status() == {"status": "finished", "epochs": 2, "score": 0.5}
    with pytest.raises(ValueError, match="running, finished"):
        run.set_status("done")  # pyright: ignore[reportArgumentType] - that is the test
    assert json.loads(run.status_path.read_bytes())["status"] == "finished"


def test_a_second_process_is_refused_and_told_who_holds_the_run(tmp_path):
    run = create(tmp_path, "one")

    def second():
        with pytest.raises(RunBusyError, match=f"'one' is being worked on by process {parent}"):
            run.lock().__enter__()

    parent = os.getpid()
    with run.lock():
        assert run_forked(second) == 0
        assert run.status()["status"] == "running"
    assert run.status()["status"] == "crashed"
    with run.lock():
        pass


def test_the_lock_of_a_killed_process_is_free_even_while_its_children_live(tmp_path):
    run = create(tmp_path)
    read_end, write_end = os.pipe()

    def work():
        with run.lock():
            child = os.fork()
            if child == 0:
                os.close(write_end)
                os.read(read_end, 1)  # lives until the test ends
                os._exit(0)
            os.kill(os.getpid(), signal.SIGKILL)

    assert run_forked(work) == -signal.SIGKILL
    with run.lock():
        assert run.is_locked()
    os.close(write_end)
    os.close(read_end)


def test_locking_clears_what_a_killed_process_left(tmp_path):
    run = create(tmp_path)
    torn = run.checkpoints / ".tmp~step-000000000001~0"
    torn.mkdir(parents=True)
    (torn / "tensors.safetensors").write_bytes(b"torn")
    with run.lock():
        assert list(run.checkpoints.iterdir()) == []


def test_looking_at_a_run_does_not_disturb_its_owner(tmp_path):
    run = create(tmp_path)
    run.lock_path.touch()
    for _ in range(50):
        assert not run.is_locked()
        with run.lock():
            assert run.is_locked()


def test_runs_lie_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("SEPTET_RUNS", str(tmp_path))
    assert folder.runs_root() == tmp_path
    monkeypatch.delenv("SEPTET_RUNS")
    assert str(folder.runs_root()) == "runs"
