"""Answers are printed and saved as they come, and large ones are not kept."""

import json
import weakref
from types import SimpleNamespace

import pytest
from PIL import Image

from septet.cli.answering import answer_all, parse_how
from septet.errors import ConfigError, DataError


class Masked:
    """An answer as that of segmentation: large, with pictures to save."""

    def to_images(self):
        return {"": Image.new("L", (4, 4)), "-overlay": Image.new("RGB", (4, 4))}

    def to_json(self):
        return {"shares": {"cat": 1.0}}

    def __str__(self):
        return "cat 100.0%"


class Counting:
    """A model that looks, at each call, at what is there of the answers before."""

    def __init__(self, folder, at_once, broken=()):
        self.task = SimpleNamespace(answered_at_once=at_once, decoding_options=None)
        self.folder, self.broken = folder, broken
        self.given, self.alive, self.files, self.asked = [], [], [], []

    def answers(self, items, how):
        if set(items) & set(self.broken):
            raise DataError(f"{items[0]} is broken.")
        self.asked.append(len(items))
        self.alive.append(sum(reference() is not None for reference in self.given))
        self.files.append(len(list(self.folder.glob("*.png"))))
        found = [Masked() for _ in items]
        self.given += [weakref.ref(answer) for answer in found]
        return found


def ask(model, count, folder, *, as_json=False):
    items = [f"{number}.png" for number in range(count)]
    answer_all(model, items, {}, out=str(folder), explain=False, as_json=as_json)


@pytest.mark.parametrize("as_json", [False, True])
def test_each_answer_is_saved_and_let_go_before_the_next_but_one(tmp_path, capsys, as_json):
    model = Counting(tmp_path, at_once=1)
    ask(model, 5, tmp_path, as_json=as_json)
    assert model.asked == [1] * 5
    assert max(model.alive) <= 1
    assert model.files == [0, 2, 4, 6, 8]
    out = capsys.readouterr().out
    if as_json:
        rows = json.loads(out)
        assert [row["files"][0] for row in rows] == [str(tmp_path / f"{n}.png") for n in range(5)]
    else:
        assert out.splitlines()[3].startswith("3.png\tcat 100.0%\t")


def test_what_was_answered_before_a_broken_input_is_kept(tmp_path, capsys):
    model = Counting(tmp_path, at_once=1, broken=["3.png"])
    with pytest.raises(DataError, match=r"3\.png is broken"):
        ask(model, 5, tmp_path)
    assert len(list(tmp_path.glob("*-overlay.png"))) == 3
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_small_answers_are_made_together(tmp_path):
    model = Counting(tmp_path, at_once=None)
    ask(model, 5, tmp_path)
    assert model.asked == [5]


class Word:
    """An answer that is words alone."""

    def to_json(self):
        return {"word": "yes"}

    def __str__(self):
        return "yes"


class Boxed(Word):
    """An answer as that of detection: something to draw, where the picture is known."""

    def __init__(self, content):
        self.content = content

    def overlay(self):
        return self.content


def answering(*answers):
    task = SimpleNamespace(name="a-task", answered_at_once=None, decoding_options=None)
    return SimpleNamespace(task=task, answers=lambda items, how: list(answers))


@pytest.mark.parametrize("as_json", [False, True])
def test_a_folder_for_answers_without_files_is_said_to_be_of_no_use(tmp_path, capsys, as_json):
    folder = tmp_path / "found"
    answer_all(
        answering(Word()), ["x"], {}, out=str(folder), explain=False, as_json=as_json
    )  # fmt: skip
    out, err = capsys.readouterr()
    assert "yes" in out
    assert "--out" in err
    assert "a-task" in err
    assert not folder.exists()
    answer_all(answering(Word()), ["x"], {}, out=None, explain=False, as_json=as_json)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("as_json", [False, True])
def test_what_was_found_is_drawn_in_the_folder(tmp_path, capsys, as_json):
    model = answering(Boxed(b"first"), Boxed(None))
    answer_all(
        model, ["a/x.jpg", "a/y.jpg"], {}, out=str(tmp_path), explain=False, as_json=as_json
    )  # fmt: skip
    path = tmp_path / "x-found.png"
    assert path.read_bytes() == b"first"
    assert [each.name for each in tmp_path.iterdir()] == ["x-found.png"]
    out, err = capsys.readouterr()
    assert err == ""
    if as_json:
        assert [row.get("files") for row in json.loads(out)] == [[str(path)], None]
    else:
        assert out.splitlines()[-1] == str(path)


def test_settings_of_an_answer_are_plain_values():
    assert parse_how(["a=1", "predict.b=x y", "c=[1, 2]"]) == {"a": 1, "b": "x y", "c": [1, 2]}
    with pytest.raises(ConfigError, match="Write it as NAME=VALUE"):
        parse_how(["nonsense"])
