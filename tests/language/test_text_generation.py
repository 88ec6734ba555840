"""Text generation through the whole tool: trained, measured, asked, streamed, refused."""

import json
import math

import numpy as np
import pytest

import septet
from septet import registry
from septet.errors import ConfigError, DataError
from septet.language import perplexity
from septet.language.continuing import held_back, read_pieces
from septet.language.generation import PreparedGeneration, end_of_word, read_prompts
from septet.language.generation_options import DecodingOptions
from septet.language.packing import characters_of_each, packed, side_by_side
from septet.language.tokenizer_schema import END, PAD
from septet.language.tokenizing import learn_tokenizer, tokenizer_of
from tests.language.odd_strings import STRINGS

TINY = {
    "data": {"length": 32, "test_fraction": 0.1, "validation_fraction": 0.1},
    "model": {"dim": 32, "depth": 1, "heads": 2},
    "training": {"epochs": 6, "batch_size": 8, "learning_rate": 1e-2},
}
STORY = "".join(
    f"On day {number} the 猫 sat on the mat, and the dog—Émile—slept.\n" for number in range(300)
)


@pytest.fixture(scope="module", autouse=True)
def runs(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEPTET_RUNS", str(tmp_path_factory.mktemp("runs")))
        yield


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    path = tmp_path_factory.mktemp("story") / "story.txt"
    path.write_text(STORY, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def run(story):
    return septet.train("text-generation", story, settings=TINY, name="story")


@pytest.fixture(scope="module")
def model(run):
    return run.load()


def test_a_network_learns_to_write_what_it_read(run, model):
    assert run.scores["bits_per_character"] < 1.0
    answer = model.predict("On day 7 the ", temperature=0.0, tokens=44)
    assert answer.text.startswith("猫 sat on the mat, and the dog—Émile—slept.")
    assert answer.ended == "length"
    assert str(answer) == answer.prompt + answer.text


def test_scores_are_those_of_the_definition(run, model):
    found = json.loads((run.folder / "evaluation.json").read_text())
    scores = found["scores"]
    assert math.isclose(scores["perplexity"], math.exp(scores["loss"]), rel_tol=1e-9)
    low, high = found["intervals"]["bits_per_character"]
    assert low <= scores["bits_per_character"] <= high
    # One token a character here, but for the ends of documents.
    ratio = scores["loss"] / math.log(2) / scores["bits_per_character"]
    assert math.isclose(ratio, found["characters"] / found["tokens"], rel_tol=1e-9)


def test_measured_losses_are_minus_the_logarithm_of_the_probability():
    random = np.random.default_rng(0)
    logits = random.normal(size=(3, 5, 7)).astype(np.float32)
    targets = random.integers(1, 7, (3, 5)).astype(np.int32)
    targets[2, 3:] = PAD
    shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    expected = -np.log(np.take_along_axis(shares, targets[..., None], -1))[..., 0]
    expected[targets == PAD] = 0.0
    assert np.allclose(perplexity.token_losses(logits, targets), expected, atol=1e-5)
    rows = expected.sum(1) / (targets != PAD).sum(1)
    assert np.allclose(perplexity.next_token_loss(targets, logits), rows, atol=1e-5)
    smooth = -np.log(shares).mean(-1) * (targets != PAD)
    rows = (0.9 * expected + 0.1 * smooth).sum(1) / (targets != PAD).sum(1)
    assert np.allclose(perplexity.next_token_loss(targets, logits, 0.1), rows, atol=1e-5)


@pytest.mark.parametrize("kind", ["characters", "bytes", "bpe"])
def test_every_character_counts_once_and_comes_back(kind):
    texts = [text for text in STRINGS if text]
    tokenizer = tokenizer_of(learn_tokenizer(kind, texts[::2], size=600))
    tokens = packed(texts, tokenizer)
    assert characters_of_each(tokenizer)[tokens].sum() == sum(map(len, texts))
    inner = np.split(tokens[1:-1], np.flatnonzero(tokens[1:-1] == END))
    back = [tokenizer.spell(part.tolist()).decode() for part in inner]
    assert back == texts


def test_quick_encoding_is_the_slow_one():
    for kind, learned in (("characters", STORY), ("characters", "abc"), ("bytes", "")):
        tokenizer = tokenizer_of(learn_tokenizer(kind, [learned], size=400))  # pyright: ignore
        for text in [*STRINGS, "", STORY[:500]]:
            slow = tokenizer.encode_with_spans([text])[0][0]
            assert tokenizer.encode([text])[0].tolist() == slow.tolist()


def test_rows_hold_every_token_once_as_a_target():
    tokens = np.arange(3, 40)
    inputs, targets = side_by_side(tokens, 8)
    assert targets[targets != PAD].tolist() == tokens[1:].tolist()
    assert inputs[inputs != PAD].tolist() == tokens[:-1].tolist()


@pytest.mark.slow
def test_an_lstm_and_byte_pairs_serve_too(story):
    settings = {
        "data": {**TINY["data"], "tokenizer": "bpe", "vocabulary": 300},
        "model": {"architecture": "lstm", "dim": 32, "depth": 1},
        "training": {**TINY["training"], "epochs": 2},
    }
    run = septet.train("text-generation", story, settings=settings, name="lstm")
    answer = run.predict("On day 7", tokens=60, temperature=0.5)
    assert 0 < len(answer.text)


def test_command_line_streams_what_it_answers_at_once(run, capfd):
    from septet.cli.main import main

    options = ["--set", "tokens=50", "--set", "seed=3", "--set", "stop=slept"]
    texts = []
    for more in (["--stream"], [], ["--json"]):
        with pytest.raises(SystemExit) as ended:
            main(["predict", "story", "On day 9 the 猫", *options, *more])
        assert ended.value.code == 0
        texts.append(capfd.readouterr().out)
    streamed, printed, as_json = texts
    (answer,) = json.loads(as_json)
    assert streamed == answer["text"] + "\n"
    assert printed == answer["prompt"] + answer["text"] + "\n"
    assert "slept" not in streamed


@pytest.mark.parametrize("tokenizer", ["bytes", pytest.param("characters", marks=pytest.mark.slow)])
def test_chinese_is_learned_written_streamed_and_reported(tmp_path, capfd, tokenizer):
    from septet.cli.main import main

    path = tmp_path / "故事.txt"
    lines = (f"第{number}天，猫坐在垫子上，狗睡着了。\n" for number in range(300))
    path.write_text("".join(lines), encoding="utf-8")
    settings = {**TINY, "data": {**TINY["data"], "tokenizer": tokenizer, "length": 48}}
    run = septet.train("text-generation", path, settings=settings, name=f"chinese-{tokenizer}")
    answer = run.predict("第7天，", temperature=0.0, tokens=90 if tokenizer == "bytes" else 30)
    assert answer.text.startswith("猫坐在垫子上，狗睡着了。")
    assert "猫坐在垫子上" in run.report.read_text(encoding="utf-8")
    with pytest.raises(SystemExit):
        main(
            [
                "predict",
                run.name,
                "第8天，",
                "--stream",
                "--set",
                "temperature=0",
                "--set",
                "stop=，",
            ]
        )
    assert capfd.readouterr().out == "猫坐在垫子上\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "temperatur=1"], "Did you mean 'predict.temperature'?"),
        (["--set", "temperature=-1"], "predict.temperature' is -1"),
        (["--set", "top_p=0"], "predict.top_p' is 0"),
        (["--set", 'stop=[""]'], "predict.stop'"),
        (["--set", "tokens"], "is not a setting"),
    ],
)
def test_mistakes_on_the_command_line_are_one_clear_message(run, capfd, arguments, message):
    from septet.cli.main import main

    with pytest.raises(SystemExit) as ended:
        main(["predict", "story", "On day", *arguments])
    assert ended.value.code == 2
    error = capfd.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_tasks_that_answer_at_once_have_nothing_to_stream():
    from septet.runs.shipped import Model

    model = Model.__new__(Model)
    model.task = registry.task("sentiment-analysis")
    model.description = type("D", (), {"task": "sentiment-analysis"})()  # pyright: ignore
    with pytest.raises(ConfigError, match="at once"):
        model.answers(["x"], {"temperature": 1.0})


def test_report_shows_what_was_written(run):
    page = run.report.read_text(encoding="utf-8")
    for words in ("What it wrote", "temperature 0.8", "bits per character"):
        assert words in page
    assert (run.folder / "places.png").exists()


def test_what_is_written_on_the_way_is_kept_and_shown(model, run):
    from septet.runs.report import _written

    task = registry.task("text-generation")
    text = task.glimpse(model.network, model._weights, model.prepared)
    assert "[temperature 0.8] On day 0 the 猫" in text
    assert "On the way there (1)" in _written({"glimpses": [{"at": "epoch 1", "text": text}]})


def test_evaluation_on_other_text(run, tmp_path):
    (tmp_path / "same.txt").write_text(STORY[:4000], encoding="utf-8")
    (tmp_path / "other.txt").write_text("Zwölf Boxkämpfer jagen Viktor quer. " * 50)
    same, other = (
        septet.evaluate("story", tmp_path / name)["scores"]["bits_per_character"]
        for name in ("same.txt", "other.txt")
    )
    assert same < 1.0 < 3.0 < other


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"training": {"loss": "focal"}}, ConfigError, "no loss for text-generation"),
        ({"training": {"class_weights": "balanced"}}, ConfigError, "has no classes"),
        ({"model": {"dim": 30, "heads": 4}}, ConfigError, "cannot share out"),
        ({"model": {"dim": 12, "heads": 4}}, ConfigError, "in pairs"),
        ({"model": {"architecture": "lstm", "depth": 20}}, ConfigError, "at most 16"),
        ({"model": {"pretrained": "nowhere"}}, DataError, "there is no folder"),
        ({"data": {"length": 4}}, ConfigError, "data.length"),
    ],
)
def test_settings_that_do_not_fit_are_refused(story, settings, error, message):
    with pytest.raises(error, match=message):
        septet.train("text-generation", story, settings=settings, name="refused")


def test_a_pattern_of_files_is_read(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text(STORY[:2000], encoding="utf-8")
    account = septet.check("text-generation", str(tmp_path / "*.txt"))
    assert account.read == 2 * len(STORY[:2000].splitlines())
    with pytest.raises(DataError, match="There is no file or folder"):
        septet.check("text-generation", str(tmp_path / "*.md"))


def test_too_little_text_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("ab\nc\n")
    with pytest.raises(DataError, match="at least 17 are needed"):
        septet.train("text-generation", tmp_path / "a.txt")


def test_prompts_are_texts_or_files(tmp_path):
    (tmp_path / "a.txt").write_text("Once\r\n", newline="")
    assert read_prompts(["x", tmp_path / "a.txt", ""]) == ["x", "Once\n", ""]
    for bad, message in (
        ([3], "is a int"),
        (["a" * 100_001], "at most"),
        (["\ud800"], "surrogate"),
        ([tmp_path / "b.txt"], "cannot be read"),
        ([], "No prompts"),
    ):
        with pytest.raises(DataError, match=message):
            read_prompts(bad)


def test_a_long_prompt_and_none_at_all_are_continued(model):
    assert model.predict("", tokens=20, temperature=0.0).text
    assert model.predict(STORY, tokens=80, temperature=0.0).text.startswith("On day")


def pieces_of(text, tokenizer, size):
    ids = tokenizer.encode([text])[0]
    return (ids[at : at + size] for at in range(0, len(ids), size))


@pytest.mark.parametrize("size", [1, 2, 7])
def test_pieces_join_to_the_text_and_stop_before_a_stop_text(size):
    tokenizer = tokenizer_of(learn_tokenizer("bytes", [], size=300))
    heard = []
    text = "汉字 and 🙂 STO STOP here"
    found, _, ended = read_pieces(pieces_of(text, tokenizer, size), tokenizer, [], heard.append)
    assert (found, ended, "".join(heard)) == (text, "length", text)
    heard.clear()
    found, _, ended = read_pieces(
        pieces_of(text, tokenizer, size), tokenizer, ["STOP", "nowhere"], heard.append
    )
    assert (found, ended, "".join(heard)) == ("汉字 and 🙂 STO ", "stop", "汉字 and 🙂 STO ")
    assert held_back("ab ST", ["STOP", "b"]) == 2


def test_cut_bytes_become_replacement_characters():
    tokenizer = tokenizer_of(learn_tokenizer("bytes", [], size=300))
    ids = tokenizer.encode(["a汉"])[0][:-1]
    assert read_pieces(iter([ids]), tokenizer, [], None)[0] == "a\ufffd"


def test_words_are_not_cut_where_there_are_spaces():
    assert "It is a truth"[: end_of_word("It is a truth", 9)] == "It is a"
    assert end_of_word("汉" * 100, 60) == 60
    assert end_of_word("short", 60) == 5


@pytest.mark.parametrize(
    "change", [{"length": 0}, {"length": 9000}, {"prompt": "x" * 1001}, {"other": 1}]
)
def test_a_model_folder_says_no_more_than_it_may(model, change):
    with pytest.raises(ValueError, match="validation error"):
        PreparedGeneration.model_validate({**model.prepared, **change})
    assert DecodingOptions().temperature == 0.8
