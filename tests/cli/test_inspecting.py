"""`septet inspect` as a new user types it, with mistakes."""

import json
from pathlib import Path

import pytest

from septet.cli.main import main
from septet.runs.folder import RunFolder

TINY = ["--set", "hidden=[4]", "--set", "kind=gru", "--batch-size", "2"]


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


def train(capfd, folder: Path) -> None:
    rows = [f"{n % 7},{n % 3},{'yes' if n % 7 > 3 else 'no'}" for n in range(90)]
    table = folder / "table.csv"
    table.write_text("size,kind,target\n" + "\n".join(rows) + "\n")
    fast = ["training.epochs=1", "model.width=8", "model.depth=1", "model.members=1"]
    options = [word for setting in fast for word in ("--set", setting)]
    code, _, err = run(
        capfd, "train", "tabular-classification", str(table), "--name", "mine", *options
    )
    assert code == 0, err


def test_an_architecture_is_shown_with_its_picture_in_the_current_folder(capfd, tmp_path):
    code, out, err = run(capfd, "inspect", "recurrent", *TINY, "--plot")
    assert code == 0, err
    assert "MADE UP" in out
    assert "gru1" in out
    assert "as in prediction" in out
    path = out.splitlines()[-1].split()[-1]
    assert path == "inspect-recurrent.png"
    assert (tmp_path / path).read_bytes().startswith(b"\x89PNG")


def test_a_run_is_shown_with_its_own_weights_and_its_picture_in_its_folder(
    capfd, tmp_path, own_runs
):
    train(capfd, tmp_path)
    code, out, err = run(capfd, "inspect", "mine", "--backward", "--plot", "--json")
    assert code == 0, err
    found = json.loads(out.splitlines()[-1])
    assert found["title"] == "Run 'mine': tabular-classification, network 'tabular'"
    assert "MADE UP" not in str(found["notes"])
    assert found["batch_size"] == 32
    assert found["parts"][0]["loss"] > 0
    assert all(row["forward_s"] > 0 for row in found["parts"][0]["layers"])
    assert (own_runs / "mine" / "inspect.png").samefile(found["picture"])
    import numpy as np

    import septet

    network = septet.load("mine").network
    norms = [w["norm"] for w in found["parts"][0]["total"]["weights"]]
    expected = [float(np.linalg.norm(np.asarray(v.value).ravel())) for v in network.weights]
    np.testing.assert_allclose(norms, expected, rtol=1e-5)
    code, out, err = run(capfd, "inspect", "mine", "--split", "test", "--depth", "1", "--json")
    assert code == 0, err
    assert "test examples" in json.loads(out)["notes"][0]
    code, out, err = run(capfd, "inspect", "mine", "--set", "width=3")
    assert (code, out) == (2, "")
    assert "only an architecture takes arguments" in err


def test_an_unfinished_run_is_refused_with_the_command_that_finishes_it(capfd, own_runs):
    RunFolder.create(own_runs, "half", "tabular-classification", {})
    code, out, err = run(capfd, "inspect", "half")
    assert (code, out) == (2, "")
    assert "septet resume half" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["cn"], "Did you mean 'cnn'?"),
        (["somewhere"], "Known architectures: adversarial, bert, cnn"),
        ([], "no runs"),
        (["cnn", "--set", "filters"], "Write it as name=value"),
        (["cnn", "--set", "filtres=[8]"], "Did you mean 'filters'?"),
        (["cnn", "--set", "filters=8"], "refuses filters=8"),
        (["cnn", "--set", "height=2"], "cannot be halved"),
        (["recurrent", "--set", "kind=lstn"], "kind='lstn'"),
        (["transformer-encoder", "--set", "dim=30", "--set", "num_heads=4"], "expected a multiple"),
        (["cnn", "--out", "x.jpg"], "ends in .png"),
        (["cnn", "--out", "nowhere/x.png"], "no folder 'nowhere'"),
        (["cnn", "--split", "tets"], "tets"),
        (["cnn", "--batch-size", "0"], "batch-size"),
    ],
)
def test_mistakes_are_refused_with_one_clear_message(capfd, arguments, expected):
    code, out, err = run(capfd, "inspect", *arguments)
    assert code == 2
    assert expected in err
    assert out == ""
    assert "Traceback" not in err
