"""Words of a command line: texts, files of texts, and what only looks like one of them."""

from pathlib import Path

import pytest

from septet import registry
from septet.errors import DataError
from septet.language.inputs import inputs_from_arguments


def test_words_are_files_where_there_are_such_and_texts_otherwise(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text("x")
    Path("good").mkdir()
    words = ["a.txt", "good", "see b.txt", "nothing.png", "what is this?", "A good film.", "b.txt "]
    assert inputs_from_arguments(words) == [Path("a.txt"), *words[1:]]


def test_what_only_looks_like_a_file_of_texts_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.png").write_bytes(b"x")
    Path("folder").mkdir()
    for word in ("a.png", "./folder", str(tmp_path), "/dev/null"):
        with pytest.raises(DataError, match=r"is no file that can be read\. Expected a text, or"):
            inputs_from_arguments([word])
    for word in ("b.txt", "nowhere/b.csv"):
        with pytest.raises(DataError, match="is not there"):
            inputs_from_arguments([word])


def test_a_prompt_that_only_looks_like_a_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text("x")
    task = registry.task("text-generation")
    words = ["a.txt", "Once upon a time", "", "nowhere.csv"]
    assert task.inputs_from_arguments(words) == [Path("a.txt"), *words[1:]]
    with pytest.raises(DataError, match=r"'nowhere.txt' is not there.* in \.md, \.text, \.txt\."):
        task.inputs_from_arguments(["nowhere.txt"])
