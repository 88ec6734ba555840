import os
import shutil
import sqlite3
from contextlib import closing, contextmanager

import pytest

from septet.runs import index
from septet.runs.folder import RunFolder


def create(root, name) -> RunFolder:
    return RunFolder.create(root, name, "image-classification", {"seed": 0})


@pytest.fixture
def root(tmp_path):
    for number, name in enumerate(("zebra", "ant")):
        run = create(tmp_path, name)
        run.set_status("finished", epochs=number, score=0.5 + number, score_name="accuracy")
    return tmp_path


def stored(root) -> list[str]:
    with closing(sqlite3.connect(root / index.FILE)) as database:
        return sorted(name for (name,) in database.execute("SELECT name FROM runs"))


def test_rows_say_how_each_run_stands_in_order_of_creation(root):
    first, second = index.rows(root)
    assert (first["name"], second["name"]) == ("zebra", "ant")
    assert {**second, "created": "?"} == {
        "name": "ant",
        "sequence": 2,
        "task": "image-classification",
        "status": "finished",
        "created": "?",
        "epochs": 1,
        "score_name": "accuracy",
        "score": 1.5,
    }
    assert stored(root) == ["ant", "zebra"]


def test_changed_new_and_removed_runs_are_noticed(root):
    index.refresh(root)
    RunFolder(root / "ant").set_status("failed", error="x")
    shutil.rmtree(root / "zebra")
    create(root, "bee")
    assert [(row["name"], row["status"]) for row in index.rows(root)] == [
        ("ant", "failed"),
        ("bee", "crashed"),
    ]
    assert stored(root) == ["ant", "bee"]


def test_only_a_run_that_is_worked_on_is_said_to_be_running(root):
    run = create(root, "bee")
    with run.lock():
        assert index.rows(root)[-1]["status"] == "running"
    assert index.rows(root)[-1]["status"] == "crashed"


@pytest.mark.parametrize(
    "harm",
    [
        lambda file: file.unlink(),
        lambda file: file.write_bytes(b"not a database" * 100),
        lambda file: file.write_bytes(file.read_bytes()[:5000]),
        lambda file: file.write_bytes(file.read_bytes()[:100] + os.urandom(8000)),
    ],
)
def test_a_missing_or_damaged_index_is_rebuilt(root, harm):
    expected = index.rows(root)
    harm(root / index.FILE)
    assert index.rows(root) == expected
    assert stored(root) == ["ant", "zebra"]


def test_an_index_of_another_version_is_rebuilt(root):
    with closing(sqlite3.connect(root / index.FILE)) as database:
        database.execute("CREATE TABLE runs (id INTEGER)")
        database.execute("PRAGMA user_version = 99")
    assert len(index.rows(root)) == 2
    assert stored(root) == ["ant", "zebra"]


def test_an_index_that_cannot_be_used_is_never_fatal(root, monkeypatch):
    expected = index.rows(root)
    (root / index.FILE).unlink()
    (root / index.FILE).mkdir()
    index.refresh(root)
    assert index.rows(root) == expected


def test_a_locked_index_is_read_around(root, monkeypatch):
    expected = index.rows(root)
    monkeypatch.setattr(index, "BUSY_TIMEOUT_S", 0.01)
    create(root, "bee")
    with closing(sqlite3.connect(root / index.FILE, isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        found = index.rows(root)
        database.execute("ROLLBACK")
    assert found[:2] == expected
    assert found[2]["name"] == "bee"
    assert stored(root) == ["ant", "zebra"]


def test_a_process_that_listed_the_folders_earlier_takes_no_run_from_another(root, monkeypatch):
    index.refresh(root)
    earlier = index.runs(root)
    create(root, "bee")
    write = index.writing

    @contextmanager
    def after_another(database):
        with write(database):
            yield
        monkeypatch.setattr(index, "writing", write)
        assert len(index.synchronise(root, earlier)) == 2  # drops the row of "bee"

    monkeypatch.setattr(index, "writing", after_another)
    assert [row["name"] for row in index.rows(root)] == ["zebra", "ant", "bee"]
    assert [row["name"] for row in index.rows(root)] == ["zebra", "ant", "bee"]
    assert stored(root) == ["ant", "bee", "zebra"]


def test_processes_that_refresh_at_once_all_end_up_listed(root):
    children = []
    for number in range(4):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                for turn in range(3):
                    create(root, f"run-{number}-{turn}")
                    assert f"run-{number}-{turn}" in [row["name"] for row in index.rows(root)]
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    assert all(os.waitpid(child, 0)[1] == 0 for child in children)
    assert len(index.rows(root)) == 14
    assert len(stored(root)) == 14


def test_a_folder_without_runs_has_no_rows_and_gets_no_index(tmp_path):
    assert index.rows(tmp_path / "absent") == []
    assert index.rows(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
