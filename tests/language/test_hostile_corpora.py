"""Forty hostile files and more of each form of running text: refused or counted, never costly."""

import os

import pytest

from septet.errors import DataError
from septet.language.corpus_checks import read_dataset
from septet.language.generation_options import GenerationDataOptions
from tests.language.hostile import (
    LONGEST_MESSAGE,
    MOST_MEMORY_KB,
    hostile_contents,
    hostile_folders,
    memory_kb,
)
from tests.language.made_up_texts import as_json_lines, reviews


def refused_or_counted(path, tmp_path) -> str:
    try:
        dataset = read_dataset(path, GenerationDataOptions(), 0)
    except DataError as error:
        message = str(error)
        assert 20 < len(message) < LONGEST_MESSAGE
        assert str(tmp_path) not in message
        return "refused"
    account = dataset.account
    assert account.read == account.used + len(account.rejections)
    for entry in account.rejections:
        assert 5 < len(entry.reason) < LONGEST_MESSAGE
        assert str(tmp_path) not in entry.reason + entry.file
    account.to_json()
    return "counted"


@pytest.mark.parametrize("suffix", [".txt", ".jsonl"])
def test_hostile_files(tmp_path, suffix):
    rows = reviews(120)
    good = as_json_lines(rows) if suffix == ".jsonl" else "\n".join(map(str, rows))
    before, found = memory_kb(), {}
    for number, (name, content) in enumerate(hostile_contents(good.encode()).items()):
        path = tmp_path / f"{number}{suffix}"
        path.write_bytes(content)
        found[name] = refused_or_counted(path, tmp_path)
    assert len(found) >= 40
    assert memory_kb() - before < MOST_MEMORY_KB
    for name in ("empty", "gzip bomb", "zip bomb", "utf-16", "all nul"):
        assert found[name] == "refused", name


@pytest.mark.slow
def test_hostile_folders(tmp_path):
    folders = hostile_folders(tmp_path, "Ein schöner Film.\nUnd lang.\n".encode() * 20)
    before = memory_kb()
    found = {name: refused_or_counted(path, tmp_path) for name, path in folders.items()}
    assert memory_kb() - before < MOST_MEMORY_KB
    assert len(found) >= 40
    assert found["nothing"] == "refused"


def test_what_is_no_plain_file_is_rejected(tmp_path):
    (tmp_path / "good.txt").write_text("A line of text.\n" * 40)
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nowhere")
    account = read_dataset(tmp_path, GenerationDataOptions(), 0).account
    assert sorted(entry.code for entry in account.rejections) == ["not-a-file", "unreadable-file"]
