"""Texts through the whole tool: trained, answered, explained, reported, refused."""

import json
from pathlib import Path

import numpy as np
import pytest

import septet
from septet import registry
from septet.config import validate
from septet.errors import DataError, InputError
from septet.language.classification import MANY_TEXTS
from septet.language.inputs import inputs_from_arguments, read_inputs
from septet.language.options import TextDataOptions, TextModelOptions
from septet.language.tokenizer_schema import UNKNOWN
from tests.language.made_up_texts import (
    as_csv,
    chinese_reviews,
    german_reviews,
    reviews,
    write_folders,
)

TINY = {
    "model": {"dim": 16, "width": 8, "buckets": 500},
    "training": {"epochs": 8, "batch_size": 16, "learning_rate": 1e-2},
}


@pytest.fixture(scope="module", autouse=True)
def runs(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEPTET_RUNS", str(tmp_path_factory.mktemp("runs")))
        yield


def write(folder: Path, rows) -> Path:
    path = folder / "reviews.csv"
    path.write_text(as_csv(rows), encoding="utf-8")
    return path


def settings(**groups):
    return {
        name: {**TINY.get(name, {}), **groups.get(name, {})}
        for name in ("data", "model", "training")
    }


@pytest.fixture(scope="module")
def english(tmp_path_factory):
    path = write(tmp_path_factory.mktemp("english"), reviews())
    return septet.train("sentiment-analysis", path, settings=settings(), name="english")


@pytest.mark.parametrize(
    ("architecture", "tokenizer"),
    [
        ("cnn", "words"),
        pytest.param("lstm", "words", marks=pytest.mark.slow),
        pytest.param("transformer", "bpe", marks=pytest.mark.slow),
        pytest.param("gru", "characters", marks=pytest.mark.slow),
    ],
)
def test_every_network_learns_what_is_easy(tmp_path, architecture, tokenizer):
    if tokenizer == "bpe":
        pytest.importorskip("tokenizers")
    chosen = settings(
        model={"architecture": architecture, "dropout": 0.1},
        data={"tokenizer": tokenizer, "vocabulary": 400},
        training={"epochs": 20},
    )
    folder = write_folders(tmp_path / "set", reviews(160))
    run = septet.train("text-classification", folder, settings=chosen)
    assert run.scores["accuracy"] > 0.85


@pytest.mark.parametrize("tokenizer", ["words", pytest.param("bytes", marks=pytest.mark.slow)])
def test_chinese_is_learned_and_explained(tmp_path, tokenizer):
    path = write(tmp_path, chinese_reviews())
    architecture = "cnn" if tokenizer == "bytes" else "auto"
    chosen = settings(data={"tokenizer": tokenizer}, model={"architecture": architecture})
    run = septet.train("sentiment-analysis", path, settings=chosen)
    assert run.scores["accuracy"] > 0.9
    model = run.load()
    answer = model.predict("这部片子的电影很精彩。")
    assert answer.label == "positive"
    (explanation,) = model.explain("这部片子的电影很精彩。")
    words = dict(explanation.parts)
    assert max(words, key=lambda word: words[word]) in "很精彩"


def test_german_is_learned_and_explained(tmp_path):
    path = write(tmp_path, german_reviews())
    run = septet.train("sentiment-analysis", path, settings=settings())
    assert run.scores["accuracy"] > 0.9
    model = run.load()
    assert model.predict("Ich fand, der Film ist öde.").label == "negative"
    (explanation,) = model.explain("Ich fand, der Film ist überzeugend.")
    assert max(explanation.parts, key=lambda part: part[1])[0] == "überzeugend"


def test_a_run_answers_and_explains(english):
    model = english.load()
    assert english.scores["accuracy"] > 0.9
    good, bad = model.predict(["The film is wonderful and moving.", "The cast seems dreadful."])
    assert (good.label, bad.label) == ("positive", "negative")
    (explanation,) = model.explain("The film is wonderful.")
    strongest = max(explanation.parts, key=lambda part: part[1])
    assert strongest[0] == "wonderful"
    added = sum(value for _, value in explanation.parts)
    assert added == pytest.approx(explanation.score - explanation.baseline, abs=1e-4)


def test_the_report_shows_words_as_text_never_as_markup(tmp_path):
    rows = [
        (f"<script>alert({i})</script> The {text} <img src=x onerror=y>", label)
        for i, (text, label) in enumerate(reviews(60))
    ]
    chosen = settings(training={"epochs": 1})
    run = septet.train("sentiment-analysis", write(tmp_path, rows), settings=chosen)
    page = run.report.read_text(encoding="utf-8")
    assert "Which words decided" in page
    assert 'class="for4"' in page or 'class="against4"' in page
    assert "<script" not in page
    assert "<img src=x" not in page
    assert "script" in page
    assert len(run.evaluation["explanations"]) >= 6


def test_the_command_line_explains(english, capsys):
    from septet.cli.main import main

    words = ["The film is wonderful.", "The\x1b[2J cast is boring."]
    with pytest.raises(SystemExit) as done:
        main(["predict", "english", *words, "--explain"])
    assert done.value.code == 0
    output = capsys.readouterr().out
    assert "positive because of: wonderful +" in output
    with pytest.raises(SystemExit):
        main(["predict", "english", *words, "--explain", "--json"])
    rows = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert "".join(part for part, _ in rows[1]["explanation"]["parts"]) == words[1]


def test_terminals_are_given_no_codes_of_texts():
    from septet.cli.describing import visible

    assert visible("a\x1b[2Jb\u202ec\nd 日本 é") == "a\\u{1b}[2Jb\\u{202e}c d 日本 é"


def test_a_task_that_does_not_explain_says_so(tmp_path, english):
    model = english.load()
    model.task = registry.task("tabular-classification")
    with pytest.raises(InputError, match="does not explain its answers"):
        model.explain("a")


def test_scores_of_other_data(english, tmp_path):
    model = english.load()
    found = model.evaluate(write(tmp_path, reviews(40, seed=5)))
    assert found["scores"]["accuracy"] > 0.9
    with pytest.raises(DataError, match="does not know the class 'mixed'"):
        model.evaluate(write(tmp_path, [*reviews(20), ("so so", "mixed"), ("all right", "mixed")]))


def test_inputs_may_be_texts_files_tables_and_dictionaries(tmp_path):
    (tmp_path / "one.txt").write_text("A fine film\n")
    table = write(tmp_path, reviews(3))
    inputs = ["a text", tmp_path / "one.txt", {"review": "from a row"}, table]
    assert read_inputs(inputs) == [
        "a text", "A fine film\n", "from a row", *(text for text, _ in reviews(3)),
    ]  # fmt: skip
    words = inputs_from_arguments([str(table), "plain words", "as in absent.txt"])
    assert words == [table, "plain words", "as in absent.txt"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("", "Input 1 is empty"),
        (["a", 7], "Input 2 is a int"),
        ([], "No texts were given"),
        ({"number": 7}, "Input 1 is a NoneType"),
        ("a\udc80", "half of a surrogate pair"),
        ("a" * 100_001, "100,001 characters"),
    ],
)
def test_inputs_that_are_no_texts_are_refused(given, message):
    with pytest.raises(DataError, match=message):
        read_inputs(given)


def test_the_network_suits_the_number_of_texts(english):
    task, prepared = registry.task("sentiment-analysis"), english.load().prepared
    few = task.architecture(prepared, TextModelOptions())
    many = task.architecture({**prepared, "num_examples": MANY_TEXTS}, TextModelOptions())
    assert (few[0], many[0]) == ("text-bag", "text-recurrent")
    said = []
    task.start(None, prepared, TextModelOptions(), said.append)
    task.start(None, prepared, TextModelOptions(architecture="cnn"), said.append)
    (note,) = said
    assert note.startswith("The network is 'text-bag', as it is for fewer than 50,000 texts")


def test_the_length_is_chosen_from_the_data_and_padding_is_said(english):
    account = json.loads((english.folder / "account.json").read_text())
    (note,) = [f for f in account["findings"] if f["code"] == "length"]
    assert "Texts are read up to 16 tokens" in note["message"]
    assert "of all places are padding" in note["message"]


def test_lost_tokens_become_unknown_and_padding_stays(english):
    import jax

    task, prepared = registry.task("sentiment-analysis"), english.load().prepared
    change = task.augment(prepared, TextModelOptions(token_dropout=0.5))
    tokens = np.tile(np.array([5, 6, 7, 8, 0, 0], np.int32), (200, 1))
    inputs, targets = change(jax.random.key(0), {"tokens": tokens}, np.arange(200))
    assert targets.tolist() == list(range(200))
    changed = np.asarray(inputs["tokens"])
    lost = changed != tokens
    assert 0.4 < lost[:, :4].mean() < 0.6
    assert not lost[:, 4:].any()
    assert set(changed[lost].tolist()) == {UNKNOWN}
    assert task.augment(prepared, TextModelOptions(token_dropout=0.0)) is None


def test_the_vocabulary_is_of_the_training_split_alone(tmp_path):
    rows = reviews()
    (tmp_path / "train.csv").write_text(as_csv(rows[:200]))
    (tmp_path / "test.csv").write_text(as_csv([("Zanzibar " * 5, "positive"), *rows[200:]]))
    task = registry.task("sentiment-analysis")
    options = validate(TextDataOptions, {}, "data")
    prepared = task.prepare(task.read(tmp_path, options, 0), options)
    assert "film" in prepared["tokenizer"]["pieces"]
    assert "zanzibar" not in prepared["tokenizer"]["pieces"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"classes": ["a"]},
        {"classes": ["a", "a"]},
        {"length": 0},
        {"length": 10**9},
        {"tokenizer": {"kind": "bpe", "lowercase": False, "pieces": [], "merges": []}},
        {"model": "x.pkl"},
    ],
)
def test_a_model_folder_with_other_values_is_refused(english, wrong):
    task = registry.task("sentiment-analysis")
    prepared = english.load().prepared
    task.prepared_type.model_validate(prepared)
    with pytest.raises(ValueError, match="validation error"):
        task.prepared_type.model_validate({**prepared, **wrong})
