import json
import os
import stat
import subprocess
import time

import numpy as np
import pytest

from septet.data.account import Account
from septet.data.dataset import Dataset, Split
from septet.runs import receipt
from septet.runs.receipt import (
    compare_receipts,
    git_commit,
    hash_dataset,
    hash_tensors,
    is_reproduced,
    make_receipt,
)


def dataset(**changes):
    parts = {
        "pixels": np.arange(12, dtype=np.uint8).reshape(2, 2, 3),
        "names": np.array(["a", None], object),
        "targets": np.array(["cat", "dog"], object),
        "sources": ["x/1.png", "x/2\udcff.png"],
        "facts": {"size": [2, 3]},
        **changes,
    }
    examples = {"pixels": parts["pixels"], "names": parts["names"]}
    split = Split(examples, parts["targets"], parts["sources"])
    return Dataset({"train": split}, Account(), parts["facts"])


@pytest.mark.parametrize(
    "changes",
    [
        {"pixels": np.arange(12, dtype=np.uint8).reshape(2, 3, 2)},
        {"pixels": np.arange(12, dtype=np.int8).reshape(2, 2, 3)},
        {"pixels": np.arange(12, dtype=np.uint8).reshape(2, 2, 3)[::-1]},
        {"names": np.array(["a", "None"], object)},
        {"names": np.array(["a", float("nan")], object)},
        {"targets": np.array(["dog", "cat"], object)},
        {"sources": ["x/1.png", "x/2.png"]},
        {"facts": {"size": [3, 2]}},
    ],
)
def test_any_change_of_the_data_changes_its_hash(changes):
    assert hash_dataset(dataset(**changes)) != hash_dataset(dataset())


def test_the_same_data_in_another_memory_layout_have_the_same_hash():
    pixels = np.asfortranarray(np.arange(12, dtype=np.uint8).reshape(2, 2, 3))
    assert hash_dataset(dataset(pixels=pixels)) == hash_dataset(dataset())
    assert hash_dataset(dataset(targets=np.array(["cat", "dog"]))) == hash_dataset(dataset())


def test_tensors_hash_by_name_type_shape_and_value():
    tensor = np.arange(6, dtype=np.float32)
    base = hash_tensors({"a": tensor, "b": tensor})
    assert base == hash_tensors({"b": tensor, "a": tensor.astype(">f4")})
    others = [
        {"a": tensor, "c": tensor},
        {"a": tensor, "b": tensor.reshape(2, 3)},
        {"a": tensor, "b": tensor.astype(np.float64)},
        {"a": tensor, "b": -tensor},
        {"a": tensor},
    ]
    assert len({base, *(hash_tensors(other) for other in others)}) == 6
    scalars = [hash_tensors({"scalar": np.array(value, np.float32)}) for value in (1, 2)]
    assert scalars[0] != scalars[1]


def made(**changes):
    parts = {"config": {"seed": 0}, "data": "d" * 64, "weights": "w" * 64, "log": b"{}\n"}
    return make_receipt(**{**parts, **changes})


def test_a_receipt_is_plain_json_and_names_versions_and_machine():
    made_receipt = made(plan=[{"event": "epochs", "epochs": 7}])
    assert json.loads(json.dumps(made_receipt)) == made_receipt
    assert set(made_receipt["versions"]) == {"septet", "python", "keras", "jax", "jaxlib", "numpy"}
    assert made_receipt["machine"]["cpu_count"] >= 1
    assert made_receipt["plan"] == [{"event": "epochs", "epochs": 7}]


def test_equal_receipts_have_no_differences():
    assert compare_receipts(made(), made()) == []


def test_differences_name_inputs_first_and_then_the_outcome():
    old, new = made(), made(config={"seed": 1}, data="e" * 64, log=b"other", weights="v" * 64)
    new["versions"]["numpy"] = "0.1"
    lines = compare_receipts(old, new)
    assert [line.split(" (")[0].split(" was")[0] for line in lines] == [
        "input: the data changed",
        "input: the settings changed",
        "input: numpy",
        "outcome: the weights came out differently",
        "outcome: the log came out differently",
    ]
    assert "now 0.1" in lines[2]
    assert not is_reproduced(lines)
    assert is_reproduced(lines[:3])


def test_a_damaged_receipt_is_compared_without_failing():
    lines = compare_receipts({"versions": 3, "machine": None}, made())
    assert not is_reproduced(lines)


def test_the_commit_of_a_folder_and_whether_it_was_changed(tmp_path):
    def git(*arguments):
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *identity, "-C", str(tmp_path), *arguments], check=True)

    assert git_commit(tmp_path) is None
    git("init", "-q")
    (tmp_path / "a.py").write_text("1")
    git("add", "a.py")
    git("commit", "-qm", "a")
    clean = git_commit(tmp_path)
    assert clean is not None
    assert (len(clean["commit"]), clean["is_dirty"]) == (40, False)
    (tmp_path / "a.py").write_text("2")
    assert git_commit(tmp_path) == {**clean, "is_dirty": True}


def test_a_git_that_hangs_is_given_up_on(tmp_path, monkeypatch):
    fake = tmp_path / "git"
    fake.write_text("#!/bin/sh\nsleep 30 &\nwait\n")
    fake.chmod(fake.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(receipt, "GIT_TIMEOUT_S", 0.3)
    started = time.monotonic()
    assert git_commit(tmp_path) is None
    assert time.monotonic() - started < 20
