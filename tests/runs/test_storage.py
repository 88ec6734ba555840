import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from septet.errors import CheckpointError, ConfigError, StorageError
from septet.runs import disk, faults, manifest, storage
from tests.runs.processes import run_forked

FILES = {"a.bin": b"alpha" * 50, "b.bin": [b"be", memoryview(b"ta" * 30)]}


def counted(work) -> int:
    """Operations that `work` does when nothing fails."""
    with faults.injected(None) as point:
        work()
    return point.counts["any"]


def leftovers(root: Path) -> list[str]:
    return [path.name for path in root.rglob(".*~*")]


def test_commit_file_replaces_the_content_and_leaves_nothing_else(tmp_path):
    target = tmp_path / "new" / "file"
    storage.commit_file(target, b"one")
    record = storage.commit_file(target, [b"tw", b"o"])
    assert target.read_bytes() == b"two"
    assert record.size == 3
    assert os.listdir(target.parent) == ["file"]


def test_a_file_is_old_or_new_after_a_kill_at_every_operation(tmp_path):
    target = tmp_path / "file"
    storage.commit_file(target, b"old" * 1000)
    total = counted(lambda: storage.commit_file(tmp_path / "other", b"new" * 1000))
    assert total == 4  # write, fsync, rename, fsync of the folder
    for number in range(1, total + 1):
        storage.commit_file(target, b"old" * 1000)

        def work(number=number):
            faults.install(f"any:{number}:kill")
            storage.commit_file(target, b"new" * 1000)

        assert run_forked(work) == -signal.SIGKILL
        assert target.read_bytes() == (b"old" if number <= 3 else b"new") * 1000
        storage.sweep(tmp_path)
        assert leftovers(tmp_path) == []


def test_a_kill_in_a_write_leaves_a_torn_temporary(tmp_path):
    def work():
        faults.install("write:1:kill")
        storage.commit_file(tmp_path / "file", b"0123456789")

    assert run_forked(work) == -signal.SIGKILL
    (torn,) = tmp_path.iterdir()
    assert torn.name.startswith(storage.TEMPORARY)
    assert torn.read_bytes() == b"01234"


@pytest.mark.parametrize("effect", ["ENOSPC", "EIO", "EDQUOT", "ENOSPC+"])
def test_a_failing_disk_keeps_the_old_folder_and_names_it(tmp_path, effect):
    target = tmp_path / "folder"
    storage.commit_folder(target, FILES, {"n": 1})
    # Two files written and fsynced, their folder fsynced, the old one set aside, the new placed.
    for number in range(1, 8):
        with (
            faults.injected(f"any:{number}:{effect}"),
            pytest.raises(StorageError, match="folder'") as caught,
        ):
            storage.commit_folder(target, {"a.bin": b"new"}, {"n": 2})
        words = {"EIO": "input/output error", "EDQUOT": "disk quota"}.get(effect, "disk is full")
        assert words in str(caught.value)
        assert ("3 bytes are needed" in str(caught.value)) == (effect != "EIO")
        storage.sweep(tmp_path)
        assert storage.verify_folder(target)["n"] == 1
        assert leftovers(tmp_path) == []
    with faults.injected(f"any:8:{effect}"), pytest.raises(StorageError):
        storage.commit_folder(target, {"a.bin": b"new"}, {"n": 2})
    assert storage.verify_folder(target)["n"] == 2


def test_temporaries_are_removed_when_writing_fails(tmp_path):
    with faults.injected("fsync:2:EIO"), pytest.raises(StorageError):
        storage.commit_folder(tmp_path / "folder", FILES, {})
    assert os.listdir(tmp_path) == []


def test_a_failed_fsync_is_not_retried(tmp_path):
    with faults.injected("fsync:1:EIO") as point, pytest.raises(StorageError):
        storage.commit_file(tmp_path / "file", b"x")
    assert point.counts["fsync"] == 1
    assert not (tmp_path / "file").exists()


def test_a_folder_replaced_is_old_or_new_after_a_kill_at_every_operation(tmp_path):
    target = tmp_path / "folder"
    storage.commit_folder(target, FILES, {"n": 1})
    seen, number = set(), 0
    while True:
        number += 1

        def work(number=number):
            faults.install(f"any:{number}:kill")
            storage.commit_folder(target, {"a.bin": b"new"}, {"n": 2})

        outcome = run_forked(work)
        storage.sweep(tmp_path)
        seen.add(storage.verify_folder(target)["n"])
        assert leftovers(tmp_path) == []
        if outcome == 0:
            break
        assert outcome == -signal.SIGKILL
        if storage.verify_folder(target)["n"] == 2:
            storage.commit_folder(target, FILES, {"n": 1})
    assert seen == {1, 2}
    assert number > 10


def test_the_environment_injects_faults_and_logs_operations(tmp_path):
    program = (
        "import sys; from pathlib import Path; from septet.runs import storage\n"
        "for name in ('one', 'two'): storage.commit_file(Path(sys.argv[1]) / name, b'x' * 10)"
    )
    log = tmp_path / "operations"
    folder = tmp_path / "folder"
    folder.mkdir()
    environment = {**os.environ, "SEPTET_FAULT": "rename:2:kill", "SEPTET_FAULT_LOG": str(log)}
    done = subprocess.run([sys.executable, "-c", program, str(folder)], env=environment)
    assert done.returncode == -signal.SIGKILL
    assert (folder / "one").exists()
    assert not (folder / "two").exists()
    operations = [line.split("\t")[0] for line in log.read_text().splitlines()]
    assert operations == ["write", "fsync", "rename", "fsync", "write", "fsync", "rename"]


@pytest.mark.parametrize("text", ["", "write", "write:0:kill", "open:1:kill", "any:1:E", "any:1"])
def test_a_malformed_fault_is_refused(text):
    with pytest.raises(ConfigError, match="operation:n:effect"):
        faults.parse(text)


def test_a_lasting_fault_hits_every_later_operation(tmp_path):
    with faults.injected("write:2:ENOSPC+"):
        storage.commit_file(tmp_path / "one", b"x")
        for name in ("two", "three"):
            with pytest.raises(StorageError):
                storage.commit_file(tmp_path / name, b"x")
    with faults.injected("write:1:ENOSPC"):
        with pytest.raises(StorageError):
            storage.commit_file(tmp_path / "two", b"x")
        storage.commit_file(tmp_path / "two", b"x")


def test_an_equal_complete_folder_is_left_alone_and_another_replaced(tmp_path):
    target = tmp_path / "folder"
    first = storage.commit_folder(target, FILES, {"n": 1})
    inode = target.stat().st_ino
    assert storage.commit_folder(target, FILES, {"n": 1}) == first
    assert target.stat().st_ino == inode
    (target / "a.bin").write_bytes(b"rotten")
    storage.commit_folder(target, FILES, {"n": 1})
    assert storage.verify_folder(target) == first
    assert os.listdir(tmp_path) == ["folder"]


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda file: file.unlink(), "is missing"),
        (lambda file: file.write_bytes(b"x" * 251), "251 bytes, not 250"),
        (lambda file: file.write_bytes(b"x" * 250), "SHA-256"),
        (lambda file: (file.unlink(), file.mkdir()), "cannot be read"),
        (lambda file: (file.unlink(), os.mkfifo(file)), "not a regular file"),
        (lambda file: (file.unlink(), file.symlink_to("/etc/passwd")), "cannot be read"),
    ],
)
def test_verify_names_the_file_and_what_is_wrong(tmp_path, harm, words):
    storage.commit_folder(tmp_path / "folder", FILES, {})
    harm(tmp_path / "folder" / "a.bin")
    with pytest.raises(CheckpointError, match=r"a\.bin") as caught:
        storage.verify_folder(tmp_path / "folder")
    assert words in str(caught.value)


@pytest.mark.parametrize("name", ["../x", "a/b", "..", ".hidden", "", "manifest.json", "é", "a\0"])
def test_unsafe_file_names_are_refused_before_anything_is_written(tmp_path, name):
    with pytest.raises(ValueError, match="file name"):
        storage.commit_folder(tmp_path / "in" / "folder", {name: b"x"}, {})
    assert list((tmp_path / "in").iterdir()) == []
    body = {"version": 1, "files": {name: {"size": 1, "sha256": "0" * 64}}}
    with pytest.raises(ValueError, match="file name"):
        manifest.unseal(manifest.encode(body))


@pytest.mark.parametrize(
    "body",
    [
        {"version": 2, "files": {}},
        {"version": 1, "files": []},
        {"version": 1, "files": {"a": {"size": True, "sha256": "0" * 64}}},
        {"version": 1, "files": {"a": {"size": -1, "sha256": "0" * 64}}},
        {"version": 1, "files": {"a": {"size": 2**60, "sha256": "0" * 64}}},
        {"version": 1, "files": {"a": {"size": 1, "sha256": "0" * 63}}},
        {"version": 1, "files": {"a": {"size": 1}}},
    ],
)
def test_well_sealed_manifests_with_bad_content_are_refused(body):
    with pytest.raises(ValueError, match=r"version|files|size|SHA"):
        manifest.unseal(manifest.encode(body))


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{}", b"\xff", b"[" * 10**6, b'{"body":{},"body":{}}', b'{"body":{"a":NaN}}'],
)
def test_other_json_is_not_a_manifest(data):
    with pytest.raises(ValueError):  # noqa: PT011 - each is refused for another reason
        manifest.unseal(data)


def test_a_manifest_refuses_values_that_json_would_change():
    for value in ({"a": (1, 2)}, {"a": {1: 2}}, {"a": float("nan")}):
        with pytest.raises(ValueError, match="JSON"):
            manifest.seal({}, value)
    with pytest.raises(ValueError, match="files"):
        manifest.seal({}, {"files": 1})


def test_remove_tree_is_never_seen_half_done_and_follows_no_links(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    target = tmp_path / "run" / "folder"
    for number in range(1, 4):
        storage.commit_folder(target, FILES, {})
        (target / "link").symlink_to(outside)

        def work(number=number):
            faults.install(f"remove:{number}:kill")
            storage.remove_tree(target)

        assert run_forked(work) == -signal.SIGKILL
        assert not target.exists()
        assert len(storage.sweep(tmp_path / "run")) == 1
        assert list((tmp_path / "run").iterdir()) == []
    assert (outside / "kept").exists()


def test_append_takes_back_what_a_full_disk_tore(tmp_path):
    path = tmp_path / "log"
    handle = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    disk.append(handle, path, b"first\n")
    with faults.injected("append:1:ENOSPC"), pytest.raises(StorageError, match="7 bytes are need"):
        disk.append(handle, path, b"second\n")
    os.close(handle)
    assert path.read_bytes() == b"first\n"


def test_messages_for_other_errors_use_the_systems_words(tmp_path):
    message = disk.explain(OSError(errno.ENAMETOOLONG, "File name too long"), tmp_path, "write", 3)
    assert "file name too long" in message
    assert str(tmp_path) in message


def test_make_folder_refuses_a_file_in_its_place(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="file of that name"):
        storage.make_folder(tmp_path / "file")
