"""Translation through the whole tool: trained, answered, scored, drawn, refused."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

import septet
from septet import registry
from septet.config import validate
from septet.errors import ConfigError
from septet.language.searching import batches, most_tokens, rounded, search_of
from septet.language.tokenizer_schema import PAD, byte_letters
from septet.language.translation import score_tokenizer_of
from septet.language.translation_loss import measured, summarized, token_loss
from septet.language.translation_options import (
    SearchOptions,
    TranslationDataOptions,
    TranslationModelOptions,
)
from septet.language.translation_scores import corpus_scores
from tests.language.made_up_pairs import as_table, pairs

pytest.importorskip("sacrebleu")

TINY = {
    "data": {"tokenizer": "characters", "source": "en", "target": "de"},
    "model": {"dim": 48, "depth": 1, "num_heads": 2, "dropout": 0.0},
    "training": {"batch_size": 16, "learning_rate": 5e-3, "average_decay": 0.9},
}


@pytest.fixture(scope="module", autouse=True)
def runs(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEPTET_RUNS", str(tmp_path_factory.mktemp("runs")))
        yield


def settings(**groups):
    return {name: {**TINY[name], **groups.get(name, {})} for name in TINY}


@pytest.fixture(scope="module")
def numbers():
    chosen = settings(data={"target": "zh"})
    return septet.train("translation", "number-words", settings=chosen, epochs=14, name="numbers")


def test_numbers_are_learned_in_chinese_and_the_report_shows_them(numbers):
    assert numbers.scores["bleu"] > 20
    assert 0 < numbers.scores["chrf"] <= 100
    assert numbers.scores["perplexity"] < 3
    low, high = numbers.evaluation["intervals"]["bleu"]
    assert low <= numbers.scores["bleu"] + 5
    assert high >= numbers.scores["bleu"] - 5
    assert "tok:zh" in numbers.evaluation["signatures"]["bleu"]
    assert "version:" in numbers.evaluation["signatures"]["chrf"]
    page = numbers.report.read_text(encoding="utf-8")
    assert "The worst by chrF" in page
    assert "Signatures of sacreBLEU" in page
    assert (numbers.folder / "attention.png").read_bytes().startswith(b"\x89PNG")
    log = [json.loads(line) for line in (numbers.folder / "log.jsonl").read_text().splitlines()]
    assert log[-1]["validation_perplexity"] < log[0]["validation_perplexity"]


def test_a_run_answers_alone_as_among_others(numbers):
    model = numbers.load()
    texts = ["seven hundred and fifty-two", "nine", "forty-five", "three hundred"]
    together = model.predict(texts)
    for text, answer in zip(texts, together, strict=True):
        alone = model.predict(text)
        assert alone.translation == answer.translation == str(answer)
        assert alone.score == pytest.approx(answer.score, abs=1e-4)
        assert alone.score <= 0
    greedy = model.predict(texts, beams=1, length_penalty=0.0)
    assert all(answer.translation for answer in greedy)
    # One beam has one candidate, whatever its length; more beams find what is as likely or more.
    other = model.predict(texts, beams=1, length_penalty=2.0)
    assert [each.translation for each in other] == [each.translation for each in greedy]
    wide = model.predict(texts, beams=4, length_penalty=0.0)
    assert sum(each.score for each in wide) >= sum(each.score for each in greedy) - 1e-4
    with pytest.raises(ConfigError, match=r"Unknown setting 'predict.beam'. Did you mean"):
        model.predict("nine", beam=3)


def test_a_search_is_compiled_once_for_texts_of_about_one_length(numbers):
    model = numbers.load()
    model.predict("nine")
    count = search_of(model.network).num_traces
    model.predict("ten")
    model.predict("eleven")
    assert search_of(model.network).num_traces == count == 1


def test_attention_looks_at_the_source_alone(numbers):
    for entry in numbers.evaluation["attention"]:
        weights = np.array(entry["weights"])
        assert weights.shape == (len(entry["target"]), len(entry["source"]))
        np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=2e-3)


@pytest.mark.slow
def test_the_command_line_translates(numbers, capsys, tmp_path):
    from septet.cli.main import main

    with pytest.raises(SystemExit) as done:
        main(["predict", "numbers", "nine", "--json"])
    assert done.value.code == 0
    (row,) = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(row) == {"translation", "score"}
    path = tmp_path / "more.tsv"
    path.write_text(as_table([("nine", "九"), ("twenty-one", "二十一")], ("en", "zh")))
    with pytest.raises(SystemExit) as done:
        main(["evaluate", "numbers", str(path)])
    assert done.value.code == 0
    assert "bleu" in capsys.readouterr().out
    with pytest.raises(SystemExit) as done:
        main(["predict", "numbers", "one " * 2000])
    assert done.value.code == 2
    assert "Cut it into sentences" in capsys.readouterr().err


@pytest.mark.slow
def test_one_option_exchanges_the_languages_and_gru_learns(tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text(as_table(pairs(200)), encoding="utf-8")
    chosen = settings(
        data={"reverse": True}, model={"architecture": "gru"}, training={"batch_size": 4}
    )
    run = septet.train("translation", path, settings=chosen, epochs=3)
    assert run.load().prepared["names"] == ["de", "en"]
    log = [json.loads(line) for line in (run.folder / "log.jsonl").read_text().splitlines()]
    assert log[-1]["validation_loss"] < log[0]["validation_loss"]


def test_the_vocabulary_is_of_the_training_split_alone(tmp_path):
    rows = [(*row, "train") for row in pairs(60)]
    rows += [("Żółw", "Ω", "test"), ("Give me that", "Ξ", "validation")]
    path = tmp_path / "pairs.tsv"
    path.write_text(as_table(rows, ("en", "de", "split")), encoding="utf-8")
    task = registry.task("translation")
    options = validate(TranslationDataOptions, {"tokenizer": "characters"}, "data")
    dataset = task.read(path, options, 0)
    prepared = task.prepare(dataset, options)
    assert "ö" in prepared["tokenizer"]["pieces"]
    assert not {"Ż", "Ω", "Ξ"} & set(prepared["tokenizer"]["pieces"])
    (note,) = [f for f in dataset.account.findings if f.code == "length"]
    assert "60 pairs lie in" in note.message
    assert task.epoch_examples(dataset, prepared) == prepared["num_rows"] <= 60


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_the_mean_over_tokens_and_padding_counts_for_nothing(smoothing):
    draw = np.random.default_rng(0)
    logits = draw.normal(size=(3, 5, 7)).astype(np.float32)
    labels = np.array([[4, 5, 3, 0, 0], [6, 3, 0, 0, 0], [4, 4, 5, 6, 3]], np.int32)
    total = count = right = 0.0
    for row, line in zip(logits.astype(np.float64), labels, strict=True):
        for scores, label in zip(row, line, strict=True):
            if label == PAD:
                continue
            log_probs = scores - math.log(sum(math.exp(score) for score in scores))
            wanted = np.full(7, smoothing / 7)
            wanted[label] += 1 - smoothing
            total += -float((wanted * log_probs).sum())
            right += scores.argmax() == label
            count += 1
    loss = token_loss(smoothing)
    arguments = loss.compile_arguments()
    assert float(np.mean(arguments["loss"](labels, logits))) == pytest.approx(
        total / count, abs=1e-5
    )
    sums = np.asarray(summarized(logits, labels))
    found = loss.measure(sums, labels)
    assert found["loss"] == pytest.approx(total / count, abs=1e-5)
    assert found["accuracy"] == pytest.approx(right / count)
    assert found["perplexity"] == pytest.approx(math.exp(measured(sums, 0.0)["loss"]))


def test_texts_are_searched_for_with_those_of_their_length():
    found = batches([100, 3, 9, 17, 16, 2, *[5] * 70])
    assert [length for _, length in found] == [32, 32, 32, 128]
    assert sorted(row for rows, _ in found for row in rows) == list(range(76))
    assert (rounded(1), rounded(17), rounded(1000)) == (32, 32, 1024)
    assert (most_tokens(16, 1.5), most_tokens(1024, 2.0)) == (32, 1024)


def test_scores_cut_words_as_the_language_has_them():
    assert score_tokenizer_of(["Sie können das."]) == "13a"
    assert score_tokenizer_of(["您可以打开表格。"]) == "zh"
    assert score_tokenizer_of(["表を開くことができます。"]) == "char"


@pytest.mark.parametrize(
    ("group", "values", "message"),
    [
        ("training", {"loss": "focal"}, "'training.loss' is focal, which is no loss for transl"),
        ("training", {"class_weights": "balanced"}, "translation has no classes"),
        ("model", {"dim": 50, "num_heads": 4}, "4 heads cannot share"),
    ],
)
def test_settings_that_do_not_fit_are_refused(group, values, message):
    with pytest.raises(ConfigError, match=message):
        septet.train("translation", "number-words", settings=settings(**{group: values}), epochs=1)


def test_missing_scores_are_said_before_the_training(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    with pytest.raises(septet.errors.MissingPackageError, match="septet\\[language\\]"):
        septet.train("translation", "number-words", settings=settings(), epochs=1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"names": ["a"]},
        {"source_length": 0},
        {"target_length": 10**9},
        {"growth": 1e9},
        {"score_tokenizer": "ja-mecab"},
        {"num_rows": 0},
        {
            "tokenizer": {
                "kind": "bpe",
                "lowercase": False,
                "pieces": byte_letters()[:9],
                "merges": [],
            }
        },
        {"model": "x.pkl"},
    ],
)
def test_a_model_folder_with_other_values_is_refused(numbers, wrong):
    task = registry.task("translation")
    prepared = numbers.load().prepared
    task.prepared_type.model_validate(prepared)
    with pytest.raises(ValueError, match="validation error"):
        task.prepared_type.model_validate({**prepared, **wrong})


def test_both_networks_are_built_as_asked(numbers):
    task, prepared = registry.task("translation"), numbers.load().prepared
    name, given = task.architecture(prepared, TranslationModelOptions())
    assert (name, given["feed_forward_dim"]) == ("translation-transformer", 1024)
    name, given = task.architecture(prepared, TranslationModelOptions(architecture="gru"))
    assert (name, given["units"]) == ("translation-gru", 256)
    assert SearchOptions().beams == 4
    assert isinstance(numbers.folder, Path)


def test_scores_of_translations_that_are_mostly_empty_have_intervals():
    # In some resamples nothing matches, as where a network was hardly trained.
    found = corpus_scores(["abcdefg"] + [""] * 9, ["abcdefg hi"] * 10, "13a")
    for name in ("bleu", "chrf"):
        low, high = found["intervals"][name]
        assert 0.0 <= low <= found["scores"][name] <= high
