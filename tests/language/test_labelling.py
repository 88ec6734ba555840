"""Texts with any number of labels through the whole tool: trained, answered, explained, refused."""

import json

import numpy as np
import pytest

import septet
from septet import registry
from septet.config import TrainingOptions
from septet.errors import ConfigError, DataError
from septet.language.labelling import given_labels, targets_of
from tests.language.made_up_texts import as_csv, chinese_tagged, reviews, tagged, tagged_json_lines

TINY = {
    "model": {"dim": 16, "width": 8, "buckets": 500},
    "training": {"epochs": 20, "batch_size": 16, "learning_rate": 1e-2},
    "data": {"validation_fraction": 0.2},
}


@pytest.fixture(scope="module", autouse=True)
def runs(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEPTET_RUNS", str(tmp_path_factory.mktemp("runs")))
        yield


def write(folder, rows):
    path = folder / "tags.jsonl"
    path.write_text(tagged_json_lines(rows), encoding="utf-8")
    return path


def settings(**groups):
    return {name: {**TINY[name], **groups.get(name, {})} for name in TINY}


@pytest.fixture(scope="module")
def english(tmp_path_factory):
    path = write(tmp_path_factory.mktemp("english"), tagged())
    return septet.train("text-classification", path, settings=settings(), name="labelled")


def test_a_run_gives_labels_and_its_scores(english):
    names = ["micro_f1", "macro_f1", "exact_match", "hamming_loss", "mean_average_precision"]
    assert list(english.scores) == [*names, "loss"]
    assert english.scores["micro_f1"] > 0.9
    assert english.scores["hamming_loss"] < 0.1
    low, high = english.evaluation["intervals"]["micro_f1"]
    assert low <= english.scores["micro_f1"] <= high
    model = english.load()
    both, none = model.predict(
        ["The cast is wonderful, and the music seems tender.", "The film is stale and boring."]
    )
    assert set(both.labels) == {"cast", "music", "praise"}
    assert none.labels == ()
    assert all(both.probabilities[name] >= both.thresholds[name] for name in both.labels)
    probabilities = [both.probabilities[name] for name in both.labels]
    assert probabilities == sorted(probabilities, reverse=True)


def test_the_log_has_loss_and_f1_of_both_splits(english):
    lines = (english.folder / "log.jsonl").read_text().splitlines()
    first, last = json.loads(lines[0]), json.loads(lines[-1])
    assert {"loss", "micro_f1", "validation_loss", "validation_micro_f1"} <= first.keys()
    assert last["validation_loss"] < first["validation_loss"]
    assert last["validation_micro_f1"] > first["validation_micro_f1"]


def test_the_same_again_is_the_same_bit_for_bit(english):
    again = septet.reproduce("labelled")
    assert again.equal, again.differences
    assert again.run.load().prepared == english.load().prepared


@pytest.mark.parametrize(
    ("architecture", "more"),
    [
        ("cnn", {}),
        pytest.param("lstm", {}, marks=pytest.mark.slow),
        pytest.param("gru", {}, marks=pytest.mark.slow),
        pytest.param("transformer", {"epochs": 30}, marks=pytest.mark.slow),
    ],
)
def test_every_network_learns_labels(tmp_path, architecture, more):
    chosen = settings(
        model={"architecture": architecture, "dropout": 0.1}, training={"epochs": 20, **more}
    )
    run = septet.train("text-classification", write(tmp_path, tagged(200)), settings=chosen)
    assert run.scores["micro_f1"] > 0.85


@pytest.mark.slow
def test_an_encoder_learns_labels(tmp_path):
    pytest.importorskip("tokenizers")
    from tests.language.test_encoder_folder import FOLDERS

    chosen = {
        "model": {"pretrained": str(FOLDERS / "bert")},
        "training": {"epochs": 20, "learning_rate": 3e-3},
    }
    run = septet.train("text-classification", write(tmp_path, tagged(160)), settings=chosen)
    first, *_, last = map(json.loads, (run.folder / "log.jsonl").read_text().splitlines())
    assert last["loss"] < 0.85 * first["loss"]
    assert len(run.load().explain("The cast is fine.")) == 1


def test_chinese_is_labelled_and_explained(tmp_path):
    run = septet.train("sentiment-analysis", write(tmp_path, chinese_tagged()), settings=settings())
    assert run.scores["micro_f1"] > 0.85
    model = run.load()
    text = "这部片子的演员很精彩，音乐也十分感人。"
    answer = model.predict(text)
    assert set(answer.labels) == {"演员", "音乐", "赞扬"}
    (explanation,) = model.explain(text)
    for each in (explanation, *explanation.others):
        words = dict(each.parts)
        strongest = max(words, key=lambda word: words[word])
        expected = {"演员": "演员", "音乐": "音乐", "赞扬": "精彩感人"}[each.answer]
        assert strongest in expected
    assert "演员" in run.report.read_text(encoding="utf-8")


def test_every_label_that_is_given_is_explained(english):
    model = english.load()
    texts = ["The cast is wonderful, and the music seems tender.", "The film is stale and boring."]
    answers, explanations = model.predict(texts), model.explain(texts)
    each = [explanations[0], *explanations[0].others]
    assert tuple(one.answer for one in each) == answers[0].labels
    for one in each:
        added = sum(value for _, value in one.parts)
        assert added == pytest.approx(one.score - one.baseline, abs=1e-4)
        probability = 1 / (1 + np.exp(-one.score))
        assert probability == pytest.approx(answers[0].probabilities[one.answer], abs=1e-5)
        strongest = max(one.parts, key=lambda part: part[1])[0]
        assert strongest in {"praise": ("wonderful", "tender")}.get(one.answer, (one.answer,))
    nothing = explanations[1]
    assert (nothing.is_given, nothing.others) == (False, ())
    assert nothing.answer == max(answers[1].probabilities, key=answers[1].probabilities.__getitem__)
    assert nothing.to_json()["is_given"] is False
    assert [other["answer"] for other in explanations[0].to_json()["others"]] == [
        one.answer for one in each[1:]
    ]


def test_the_command_line_answers_and_explains(english, capsys):
    from septet.cli.main import main

    words = ["The cast is wonderful, and the music seems tender.", "The\x1b[2J film is stale."]
    with pytest.raises(SystemExit) as done:
        main(["predict", "labelled", *words, "--explain"])
    assert done.value.code == 0
    output = capsys.readouterr().out
    assert "cast because of: cast +" in output
    assert "music because of: music +" in output
    assert "\tno label (" in output
    assert "no label; for the likeliest, " in output
    with pytest.raises(SystemExit):
        main(["predict", "labelled", *words, "--explain", "--json"])
    first, second = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(first["labels"]) == {"cast", "music", "praise"}
    assert list(first["probabilities"])[:3] == first["labels"]
    assert set(first["thresholds"]) == set(first["probabilities"])
    assert second["labels"] == []


def test_thresholds_are_tuned_on_the_validation_texts_and_kept(english):
    prepared = english.load().prepared
    assert len(prepared["thresholds"]) == len(prepared["classes"]) == 4
    assert prepared["thresholds"] != [0.5] * 4
    of_report = [entry["threshold"] for entry in english.evaluation["per_class"]]
    assert of_report == prepared["thresholds"]
    page = english.report.read_text(encoding="utf-8")
    assert ">threshold<" in page
    assert ">average precision<" in page


def test_one_threshold_may_be_set_for_all(tmp_path):
    chosen = settings(model={"threshold": 0.8}, training={"epochs": 1})
    run = septet.train("text-classification", write(tmp_path, tagged(120)), settings=chosen)
    assert run.load().prepared["thresholds"] == [0.8] * 4
    without = settings(data={"validation_fraction": 0.0}, training={"epochs": 1})
    run = septet.train("text-classification", write(tmp_path, tagged(120)), settings=without)
    assert run.load().prepared["thresholds"] == [0.5] * 4


@pytest.mark.parametrize(
    ("group", "name", "value", "message"),
    [
        ("training", "loss", "focal", r"'training.loss' is focal; where texts have any number"),
        ("training", "label_smoothing", 0.1, r"'training.label_smoothing' is 0.1; .* Set it to 0"),
        ("training", "class_weights", "balanced", r"'training.class_weights' is balanced"),
        ("model", "threshold", 1.0, r"'model.threshold' is 1.0: it should be less than 1"),
    ],
)
def test_settings_that_labels_do_not_have_are_refused(tmp_path, group, name, value, message):
    path = write(tmp_path, tagged(60))
    with pytest.raises(ConfigError, match=message):
        septet.train("text-classification", path, settings={group: {name: value}}, name="refused")


def test_a_threshold_for_texts_of_one_class_is_refused(tmp_path):
    path = tmp_path / "reviews.csv"
    path.write_text(as_csv(reviews(60)))
    with pytest.raises(ConfigError, match=r"'model\.threshold' is 0\.7, and each text has one"):
        septet.train("sentiment-analysis", path, settings={"model": {"threshold": 0.7}})


def test_scores_of_other_data_and_data_of_another_kind(english, tmp_path):
    model = english.load()
    found = model.evaluate(write(tmp_path, tagged(60, seed=5)))
    assert found["scores"]["micro_f1"] > 0.9
    odd = [*tagged(40, seed=5), *[(f"So so, number {i}.", ["odd"]) for i in range(6)]]
    with pytest.raises(
        DataError, match=r"tags\.jsonl:\d+: the model does not know the label 'odd'"
    ):
        model.evaluate(write(tmp_path, odd))
    (tmp_path / "reviews.csv").write_text(as_csv(reviews(60)))
    with pytest.raises(DataError, match="each of these texts has one class"):
        model.evaluate(tmp_path / "reviews.csv")
    single = septet.train(
        "text-classification",
        tmp_path / "reviews.csv",
        settings=settings(training={"epochs": 1}),
    )
    with pytest.raises(DataError, match="gives each text one class, and these texts have any"):
        single.load().evaluate(write(tmp_path, tagged(60)))


def test_rows_of_a_table_with_lists_are_answered(english, tmp_path):
    rows = tagged(3)
    answers = english.load().predict(write(tmp_path, rows))
    assert len(answers) == 3
    (tmp_path / "bad.jsonl").write_text('{"text": ["a"]}\n')
    with pytest.raises(DataError, match=r"bad\.jsonl, line 1: a list is there\. Expected a text"):
        english.load().predict(tmp_path / "bad.jsonl")


@pytest.mark.parametrize(
    "wrong",
    [
        {"thresholds": [0.5] * 3},
        {"thresholds": [0.5] * 3 + [1.0]},
        {"thresholds": [0.0] + [0.5] * 3},
        {"thresholds": ["0.5"] * 4},
        {"thresholds": None},
        {"shares": None},
        {"shares": [0.5] * 5},
        {"shares": [2.0] * 4},
    ],
)
def test_a_model_folder_with_other_values_is_refused(english, tmp_path, wrong):
    task = registry.task("text-classification")
    prepared = english.load().prepared
    task.prepared_type.model_validate(prepared)
    with pytest.raises(ValueError, match="validation error"):
        task.prepared_type.model_validate({**prepared, **wrong})


def test_targets_are_one_for_every_label_that_a_text_has(english):
    prepared, task = english.load().prepared, registry.task("text-classification")
    from septet.data.dataset import Split
    from septet.language.reading import objects

    texts = objects(["a film", "b", "c"])
    split = Split({"texts": texts}, objects([("cast", "praise"), (), ("music",)]), ["1", "2", "3"])
    assert prepared["classes"] == ["cast", "ending", "music", "praise"]
    targets = targets_of(split, prepared)
    assert targets.dtype == np.uint8
    assert targets.tolist() == [[1, 0, 0, 1], [0, 0, 0, 0], [0, 0, 1, 0]]
    assert task.truth(split, 0) == ["cast", "praise"]
    assert task.objective(TrainingOptions(), prepared) is not None
    assert task.objective(TrainingOptions(), {**prepared, "thresholds": None}) is None


def test_the_likeliest_stands_in_where_no_label_is_given():
    logits = np.array([[2.0, 3.0, -1.0], [-2.0, -1.0, -3.0]])
    assert given_labels(logits, [0.5, 0.5, 0.2], 2) == [([1, 0], True), ([1], False)]
    assert given_labels(logits, [0.5, 0.99, 0.2], 9) == [([0, 2], True), ([1], False)]


def test_a_network_begins_with_the_shares_of_its_labels(english):
    prepared, task = english.load().prepared, registry.task("text-classification")
    options = task.model_options(dim=4, buckets=10)
    name, arguments = task.architecture(prepared, options)
    network = registry.architecture(name)(**arguments)
    task.start(network, prepared, options, lambda text: None)
    bias = np.asarray(network.get_layer("outputs").bias.value)
    assert 1 / (1 + np.exp(-bias)) == pytest.approx(prepared["shares"], rel=1e-5)
    assert 0.2 < min(prepared["shares"]) < max(prepared["shares"]) < 0.6
