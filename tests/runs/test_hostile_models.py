"""Every hostile or damaged model folder is refused, cheaply, and without effect."""

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runs import hostile

REPOSITORY = Path(__file__).resolve().parents[2]
LINKED = {name for name in hostile.CASES if name.startswith("link-")}
NAMES = [*hostile.CASES, "folder-link", "folder-file"]
MAX_SECONDS = 2.0
MAX_GROWTH_MB = 64.0


def snapshot(root: Path) -> dict[str, tuple]:
    """Name, kind, size and time of change of everything under `root`."""
    facts = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        is_file = stat.S_ISREG(status.st_mode)
        facts[os.fsencode(path).hex()] = (
            status.st_mode,
            is_file,
            status.st_size,
            status.st_mtime_ns,
        )
    return facts


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """What a process that loads every case said of each, by name, and what it changed."""
    root = tmp_path_factory.mktemp("hostile")
    (root / "cases").mkdir()
    hostile.make_all(root / "cases")
    before = snapshot(root)
    done = subprocess.run(
        [sys.executable, "-m", "tests.runs.hostile", str(root / "cases")],
        cwd=REPOSITORY,
        env={**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rows = {row["name"]: row for row in map(json.loads, done.stdout.splitlines())}
    return root, rows, before, snapshot(root)


def test_there_are_enough_cases_and_each_was_tried(outcome):
    _, rows, _, _ = outcome
    assert len(rows) >= 60
    assert set(rows) == {*NAMES, hostile.LARGE}


@pytest.mark.parametrize("name", NAMES)
def test_it_is_refused_with_one_clear_message(outcome, name):
    root, rows, _, _ = outcome
    row = rows[name]
    assert row["is_refusal"], f"{row['kind']}: {row['message']}"
    expected = hostile.CASES[name][1] if name in hostile.CASES else "expected a model folder"
    assert any(part in row["message"] for part in expected.split("|")), row["message"]
    assert str(root / "cases" / name) in row["message"]
    assert "; expected " in row["message"]
    assert len(row["message"]) < 1500
    assert "\n" not in row["message"]


@pytest.mark.parametrize("name", NAMES)
def test_it_costs_little(outcome, name):
    row = outcome[1][name]
    # The time of the processor, since the clock also counts what else the machine does.
    assert row["cpu_seconds"] < MAX_SECONDS
    assert row["grown_mb"] < MAX_GROWTH_MB


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_opened_but_the_folder_and_nothing_runs(outcome, name):
    root, rows, _, _ = outcome
    folder = str(root / "cases" / name)
    own = {repr(file) for file in ("model.json", "weights.safetensors", "manifest.json")}
    allowed = own | {repr(folder), repr(Path(folder))}
    for event in rows[name]["events"]:
        kind, _, subject = event.partition(" ")
        harmless = kind == "open" and subject in allowed
        harmless |= kind in ("os.scandir", "os.listdir")
        assert harmless, event


@pytest.mark.parametrize("name", sorted(LINKED))
def test_a_link_is_not_even_opened(outcome, name):
    linked = next(
        path.name for path in (outcome[0] / "cases" / name).iterdir() if path.is_symlink()
    )
    assert not any(event == f"open {linked!r}" for event in outcome[1][name]["events"])


def test_a_sound_model_takes_at_most_twice_its_weights(outcome):
    root, rows, _, _ = outcome
    row = rows[hostile.LARGE]
    assert row["kind"] == "NoneType", row["message"]
    size_mb = (root / hostile.LARGE / "weights.safetensors").stat().st_size / 1e6
    assert size_mb > 30
    assert row["grown_mb"] < 2 * size_mb + 10


def test_nothing_was_written_anywhere(outcome):
    _, _, before, after = outcome
    assert before == after
    assert not (REPOSITORY / "executed").exists()


def test_no_message_shows_what_a_link_points_to(outcome):
    secret = re.compile(r"\bsecret\b|root:x")
    assert not [row["name"] for row in outcome[1].values() if secret.search(row["message"])]
