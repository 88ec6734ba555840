"""The command line as a new user types it, with mistakes."""

import json
from pathlib import Path

import pytest

from septet.cli.main import main

FAST = ["--set", "training.epochs=2", "--set", "model.width=8", "--set", "model.depth=1"]


@pytest.fixture(autouse=True)
def own_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("SEPTET_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs"


def run(capfd, *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of one command."""
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    streams = capfd.readouterr()
    return int(end.value.code or 0), streams.out, streams.err


def make_table(folder: Path) -> Path:
    rows = [f"{n % 7},{n % 3},{'yes' if n % 7 > 3 else 'no'}" for n in range(90)]
    path = folder / "table.csv"
    path.write_text("size,kind,target\n" + "\n".join(rows) + "\n")
    return path


def test_one_run_end_to_end(capfd, tmp_path):
    table = make_table(tmp_path)
    code, out, err = run(capfd, "train", "tabular-classification", str(table), "--name", "a", *FAST)
    assert code == 0, err
    assert "accuracy" in out
    assert "epoch 1" in err
    assert "epoch 2" in err
    code, out, _ = run(capfd, "runs", "--json")
    assert [row["name"] for row in json.loads(out)] == ["a"]
    code, out, _ = run(capfd, "show", "a", "--json")
    assert json.loads(out)["status"] == "finished"
    code, out, _ = run(capfd, "evaluate", "latest", "--json")
    own = json.loads(out)
    assert own["split"] == "test"
    code, out, _ = run(capfd, "evaluate", "a", str(table), "--json")
    assert json.loads(out)["examples"] == 90
    code, out, _ = run(capfd, "predict", "a", str(table), "--json")
    answers = json.loads(out)
    assert len(answers) == 90
    assert {answer["label"] for answer in answers} <= {"yes", "no"}
    code, out, err = run(capfd, "resume", "a")
    assert code == 0
    assert "finished already" in err
    code, out, err = run(capfd, "reproduce", "a")
    assert (code, out.startswith("Equal")) == (0, True), out + err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["train", "tabular-clasification", "x.csv"], "Did you mean 'tabular-classification'?"),
        (["train", "tabular-classification", "nowhere.csv"], "no file or folder 'nowhere.csv'"),
        (["train", "image-classification", "breast-cancer"], "is for tabular-classification"),
        (
            ["train", "tabular-classification", "breast-cancer", "--set", "training.epoch=3"],
            "Did you mean 'training.epochs'?",
        ),
        (
            ["train", "tabular-classification", "breast-cancer", "--set", "trainig.epochs=3"],
            "Did you mean 'training.epochs'?",
        ),
        (["train", "tabular-classification", "breast-cancer", "--set", "epochs"], "not a setting"),
        (
            ["train", "tabular-classification", "breast-cancer", "--set", "training.epochs=x"],
            "training.epochs",
        ),
        (["train", "tabular-classification", "breast-cancer", "--name", "../x"], "../x"),
        (["train", "tabular-classification"], "DATA"),
        (["resume", "nothing"], "nothing"),
        (["predict", "nothing", "x"], "nothing"),
        (["evaluate"], "no runs"),
        (["data", "fetch", "fashion-samle"], "Did you mean 'fashion-sample'?"),
        (["trian"], "trian"),
        (["train", "object-detection", "digit-scenez"], "Did you mean 'digit-scenes'?"),
        (["check", "semantic-segmentation", "/dev/null"], "no set for segmentation"),
        (["check", "translation", "a" * 300], "no file or folder 'aaa"),
        (["check", "video-classification", "a" * 5000], "no file or folder 'aaa"),
        (["predict", "a" * 300, "x"], "There is no run 'aaa"),
        (["check", "image-classification", ""], "There is no file or folder ''"),
        (["show", "a" * 300], "There is no run 'aaa"),
        (["predict", "nothing", "x", "--out", "/dev/null"], "'/dev/null' (--out) is no folder"),
        (["predict", "nothing", "x", "--stream", "--explain"], "Choose one of --stream"),
        (
            ["train", "translation", "number-words", "--set", "training.epochs=" + "[" * 10**5],
            "Setting 'training.epochs' is \"[[[[",
        ),
        (
            ["train", "translation", "number-words", "--set", "training.epochs=" + "9" * 400],
            "training.epochs",
        ),
        (
            ["train", "image-classification", "x", "--set", "model.pretrained=" + "a" * 300],
            "no file, folder or run",
        ),
    ],
)
def test_mistakes_are_refused_with_one_clear_message(capfd, own_runs, arguments, expected):
    code, out, err = run(capfd, *arguments)
    assert code == 2
    assert expected in err
    assert len(err) < 1000
    assert out == ""
    assert "Traceback" not in err
    assert not list(own_runs.glob("*/config.json"))


def test_tasks_and_settings_are_listed(capfd):
    code, out, _ = run(capfd, "tasks")
    assert code == 0
    assert out.startswith("image-classification")
    code, out, _ = run(capfd, "settings", "image-classification", "--json")
    rows = {row["name"]: row for row in json.loads(out)}
    assert rows["training.learning_rate"]["description"]
    assert all(row["description"] for row in rows.values())


def test_samples_are_listed(capfd):
    code, out, _ = run(capfd, "data", "list", "--json")
    assert code == 0
    assert "fashion-mnist" in json.loads(out)


def test_check_prints_a_balanced_account(capfd, tmp_path):
    table = make_table(tmp_path)
    code, out, _ = run(capfd, "check", "tabular-classification", str(table), "--json")
    account = json.loads(out)
    assert code == 0
    assert account["read"] == account["used"] + account["rejected"] == 90
    code, out, _ = run(capfd, "check", "tabular-classification", str(table))
    assert "Read 90 = used 90 + rejected 0" in out


def test_check_refuses_what_training_would_once_all_is_printed(capfd, tmp_path):
    table = make_table(tmp_path)
    with table.open("a") as file:
        file.write("1\n" * 3)
    code, out, err = run(capfd, "check", "tabular-classification", str(table))
    assert code == 2
    assert "Read 93 = used 90 + rejected 3" in out
    assert "3 of 93 examples (3.2%) were rejected" in err
    allowed = ["--set", "data.max_rejected=0.05"]
    assert run(capfd, "check", "tabular-classification", str(table), *allowed)[0] == 0
    table.write_text("a,b,y\n1,2,x\n1,2,z\n")
    code, _, err = run(capfd, "check", "tabular-classification", str(table))
    assert code == 2
    assert "No column is left to learn from (left out: 'a', 'b'). Add columns." in err
