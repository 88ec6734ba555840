"""Encoders of the BERT family: as the reference implementation computes, trained on, refused.

scripts/make_encoder_reference.py made tests/language/encoders.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import septet
from septet import registry
from septet.api import resolve_config
from septet.config import validate
from septet.errors import ConfigError, DataError
from septet.language import encoder_start
from septet.language.encoder_folder import open_encoder, read_encoder
from septet.language.encoding import framed, pad
from septet.language.options import TextDataOptions, TextModelOptions
from septet.language.tokenizing import tokenizer_of
from septet.models.bert import bert
from septet.runs.networks import begin_with
from tests.language.hostile_checkpoints import changed, nested, spoilt_files
from tests.language.made_up_texts import as_csv, reviews
from tests.language.odd_strings import STRINGS

pytest.importorskip("tokenizers")

FOLDERS = Path(__file__).parent / "encoders"
KINDS = ("bert", "roberta", "distilbert")
TINY = {"epochs": 4, "batch_size": 16, "learning_rate": 3e-3}


@pytest.fixture(autouse=True)
def runs(tmp_path, monkeypatch):
    monkeypatch.setenv("SEPTET_RUNS", str(tmp_path / "runs"))


def network_of(folder):
    import keras

    shape = {name: value for name, value in folder.shape.items() if name != "sha256"}
    model = bert(vocabulary_size=folder.tokenizer.size, num_outputs=2, **shape)
    begin_with(model, read_encoder(folder), encoder_start.NEW)
    depth = folder.shape["depth"]
    outputs = [model.get_layer(name).output for name in (f"block{depth}", "mean")]
    return keras.Model(model.input, outputs)


def compared(path, reference):
    """Largest differences of vectors and means from what was recorded."""
    recorded = load_file(reference / "outputs.safetensors")
    texts = json.loads((reference / "texts.json").read_text(encoding="utf-8"))
    folder = open_encoder(path)
    ids = tokenizer_of(folder.tokenizer).encode(texts)
    length = recorded["tokens"].shape[1]
    tokens = pad(framed(ids, length), length)
    assert (folder.rows[tokens] == recorded["tokens"]).all()
    vectors, means = (np.asarray(array) for array in network_of(folder)({"tokens": tokens}))
    apart = [np.abs(means - recorded["mean"]).max()]
    if "vectors" in recorded:
        apart.append(np.abs((vectors - recorded["vectors"])[tokens != 0]).max())
    return apart


@pytest.mark.parametrize("kind", KINDS)
def test_outputs_are_those_of_the_reference_implementation(kind):
    mean, vectors = compared(FOLDERS / kind, FOLDERS / kind / "reference")
    assert mean < 1e-4
    assert vectors < 1e-4


@pytest.mark.slow
def test_minilm_computes_what_the_reference_implementation_computes():
    folder = registry.sample("minilm").folder() / "minilm"
    if not folder.is_dir():
        pytest.skip("the weights are not here; bring them with: septet data fetch minilm")
    (mean,) = compared(folder, FOLDERS / "minilm" / "reference")
    assert mean < 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_are_those_of_its_tokenizer(kind):
    from tokenizers import Tokenizer

    folder = open_encoder(FOLDERS / kind)
    theirs = Tokenizer.from_file(str(FOLDERS / kind / "tokenizer.json"))
    mine = tokenizer_of(folder.tokenizer)
    for text in STRINGS:
        (ids,) = mine.encode([text])
        # They take the names of special tokens for these; here a text is only a text.
        if not any(special in text for special in ("[", "<")):
            assert folder.rows[ids].tolist() == theirs.encode(text, add_special_tokens=False).ids
    (ids,) = mine.encode(["A warm, funny film"])
    assert mine.decode(ids).replace(" ,", ",").casefold() == "a warm, funny film"


def test_names_of_special_tokens_in_a_text_are_only_text():
    mine = tokenizer_of(open_encoder(FOLDERS / "bert").tokenizer)
    assert min(mine.encode(["[SEP] [PAD] [CLS]"])[0]) >= 1
    assert not {0, 2, 3} & set(mine.encode(["[SEP] [PAD] [CLS]"])[0].tolist())


def test_accents_are_kept_where_a_checkpoint_keeps_them(tmp_path):
    path = copy(tmp_path)
    tokenizer = json.loads((path / "tokenizer.json").read_text())
    tokenizer["normalizer"]["strip_accents"] = False
    (path / "tokenizer.json").write_text(json.dumps(tokenizer))
    folder = open_encoder(path)
    assert folder.tokenizer.lowercase
    assert not folder.tokenizer.strips_accents
    kept, stripped = (
        tokenizer_of(each.tokenizer).encode(["Schöne"])[0].tolist()
        for each in (folder, open_encoder(FOLDERS / "bert"))
    )
    assert kept != stripped


def copy(tmp_path, kind="bert"):
    path = tmp_path / "encoder"
    shutil.copytree(FOLDERS / kind, path)
    return path


def test_old_names_of_norms_are_understood(tmp_path):
    path = copy(tmp_path)
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): array
        for name, array in load_file(path / "model.safetensors").items()
    }
    old["bert.pooler.dense.weight"] = np.zeros((16, 16), np.float32)
    old["bert.embeddings.position_ids"] = np.arange(40)[None]
    save_file(old, path / "model.safetensors")
    found, expected = read_encoder(open_encoder(path)), read_encoder(open_encoder(FOLDERS / "bert"))
    assert found.keys() == expected.keys()
    assert all((found[name] == expected[name]).all() for name in found)


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "reviews.csv"
    path.write_text(as_csv(reviews(200)), encoding="utf-8")
    return path


def chosen(kind="bert", training=None, **model):
    return {
        "model": {"pretrained": str(FOLDERS / kind), **model},
        "training": {**TINY, **(training or {})},
    }


def test_an_encoder_is_trained_on_and_explained(table, tmp_path):
    run = septet.train("sentiment-analysis", table, settings=chosen(layer_decay=1.0), name="tuned")
    rows = [json.loads(line) for line in (run.folder / "log.jsonl").read_text().splitlines()]
    losses = [row["loss"] for row in rows if "loss" in row]
    assert losses[-1] < 0.9 * losses[0]
    model = run.load()
    text = "The film is wonderful."
    assert 0.0 < model.predict(text).probability <= 1.0
    (explanation,) = model.explain(text)
    assert "".join(part for part, _ in explanation.parts) == text
    added = sum(value for _, value in explanation.parts)
    said = explanation.score - explanation.baseline
    assert added == pytest.approx(said, abs=0.05 * max(1.0, abs(said)))
    receipt = json.loads((run.folder / "receipt.json").read_text())
    assert receipt["pretrained"] == registry.task("sentiment-analysis").pretrained(
        TextModelOptions(pretrained=str(FOLDERS / "bert"))
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_trained_on_and_reproduced(table, kind):
    settings = chosen(kind, {"epochs": 24}, frozen=0.1, thawing=0.1)
    run = septet.train("text-classification", table, settings=settings, name=kind)
    rows = [json.loads(line) for line in (run.folder / "log.jsonl").read_text().splitlines()]
    losses = [row["loss"] for row in rows if "loss" in row]
    # Of two classes, who knows nothing loses 0.69.
    assert losses[-1] < 0.6
    again = septet.reproduce(kind)
    assert again.equal, again.differences


def test_small_steps_and_few_passes_are_the_defaults_beside_an_encoder(table):
    model = {"pretrained": str(FOLDERS / "bert")}
    config = resolve_config("sentiment-analysis", table, {"model": model})
    assert config.training.learning_rate == 1e-4
    plain = resolve_config("sentiment-analysis", table)
    assert plain.training.learning_rate == 3e-3
    own = {"model": model, "training": {"learning_rate": 0.5}}
    asked = resolve_config("sentiment-analysis", table, own)
    assert asked.training.learning_rate == 0.5
    assert Path(config.model["pretrained"]).is_absolute()


def test_blocks_are_groups_and_what_is_new_is_the_last():
    paths = ["embedding/embeddings", "block1/hidden/kernel", "block2/attention/query/bias"]
    assert encoder_start.groups_of([*paths, "outputs/kernel", "outputs/bias"]) == (0, 1, 2, 3, 3)


@pytest.mark.slow
def test_what_the_last_layer_alone_learns_leaves_the_encoder_as_it_was(table):
    run = septet.train("sentiment-analysis", table, settings=chosen(frozen=1.0))
    weights = load_file(run.folder / "model" / "weights.safetensors")
    given = read_encoder(open_encoder(FOLDERS / "bert"))
    for name, array in given.items():
        assert (weights[name] == array).all(), name


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"architecture": "cnn"}, "own network"),
        ({"dim": 8}, "own network"),
    ],
)
def test_another_network_beside_an_encoder_is_refused(table, model, message):
    with pytest.raises(ConfigError, match=message):
        septet.train("sentiment-analysis", table, settings=chosen(**model))


@pytest.mark.parametrize("name", ["frozen", "thawing", "layer_decay"])
def test_settings_for_given_weights_without_any_are_refused(table, name):
    with pytest.raises(ConfigError, match=rf"'model.{name}' is for networks that start from"):
        septet.train("sentiment-analysis", table, settings={"model": {name: 0.5}})


def test_longer_texts_than_the_encoder_reads_are_refused():
    task = registry.task("sentiment-analysis")
    dataset = task.read(registry.sample("movie-sample").path(), TextDataOptions(limit=50), 0)
    options = validate(TextModelOptions, {"pretrained": str(FOLDERS / "bert")}, "model")
    with pytest.raises(DataError, match="reads at most 40 tokens"):
        task.learn(dataset, TextDataOptions(length=41), options)
    assert task.learn(dataset, TextDataOptions(), options)["length"] == 40


def test_weights_as_data_and_data_as_weights_are_refused(table):
    with pytest.raises(DataError, match=r"holds weights and no data.*model\.pretrained=minilm"):
        septet.train("sentiment-analysis", "minilm")
    with pytest.raises(DataError, match="septet train sentiment-analysis DATA"):
        septet.train("tabular-classification", "minilm")
    with pytest.raises(DataError, match=r"no folder 'austen'.*fetch: minilm"):
        septet.train("sentiment-analysis", table, settings={"model": {"pretrained": "austen"}})


@pytest.mark.slow
def test_a_run_whose_encoder_changed_does_not_go_on(table, tmp_path):
    path = copy(tmp_path)
    settings = chosen()
    settings["model"]["pretrained"] = str(path)
    settings["training"] = {"epochs": 1, "batch_size": 16}
    run = septet.train("sentiment-analysis", table, settings=settings, name="changed")
    weights = load_file(path / "model.safetensors")
    weights["bert.embeddings.LayerNorm.bias"][0] += 1.0
    save_file(weights, path / "model.safetensors")
    again = septet.reproduce(run.name)
    assert not again.equal
    assert any("started from" in line for line in again.differences)


WEIGHT = "bert.encoder.layer.1.output.dense.weight"
WHOLE = (FOLDERS / "bert" / "model.safetensors").read_bytes()
HOSTILE = {
    **spoilt_files(WHOLE, WEIGHT, (16, 24), "bert.encoder.extra"),
    "other model": changed("config.json", model_type="gpt2"),
    "model a number": changed("config.json", model_type=7),
    "model a list": changed("config.json", model_type=["bert"]),
    "other activation": changed("config.json", hidden_act="tanh"),
    "activation missing": changed("config.json", hidden_act=None),
    "relative places": changed("config.json", position_embedding_type="relative_key"),
    "a decoder": changed("config.json", is_decoder=True),
    "decoder as a number": changed("config.json", is_decoder=0),
    "cross attention": changed("config.json", add_cross_attention=True),
    "no heads": changed("config.json", num_attention_heads=0),
    "odd heads": changed("config.json", num_attention_heads=3),
    "many layers": changed("config.json", num_hidden_layers=10**9),
    "layers as text": changed("config.json", num_hidden_layers="2"),
    "layers true": changed("config.json", num_hidden_layers=True),
    "one layer more": changed("config.json", num_hidden_layers=3),
    "one layer less": changed("config.json", num_hidden_layers=1),
    "wide": changed("config.json", hidden_size=10**12),
    "other width": changed("config.json", hidden_size=32),
    "other hidden": changed("config.json", intermediate_size=25),
    "no places": changed("config.json", max_position_embeddings=1),
    "other places": changed("config.json", max_position_embeddings=64),
    "other segments": changed("config.json", type_vocab_size=3),
    "no segments": changed("config.json", type_vocab_size=0),
    "vocabulary huge": changed("config.json", vocab_size=10**9),
    "vocabulary small": changed("config.json", vocab_size=20),
    "epsilon zero": changed("config.json", layer_norm_eps=0.0),
    "epsilon text": changed("config.json", layer_norm_eps="x"),
    "tokenizer of pairs": nested("model", type="BPE"),
    "tokenizer of other prefixes": nested("model", continuing_subword_prefix="@@"),
    "tokenizer without specials": nested("model", vocab={"a": 0, "[UNK]": 1}),
    "tokenizer repeats": nested("model", vocab={"a": 0, "b": 0}),
    "tokenizer of other numbers": nested("model", vocab={"[PAD]": "0"}),
    "tokenizer of negative numbers": nested("model", vocab={"[PAD]": -1}),
    "tokenizer of long pieces": nested(
        "model", vocab={"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "x" * 1000: 4}
    ),
    "tokenizer case unknown": nested("normalizer", lowercase="yes"),
    "tokenizer accents unknown": nested("normalizer", strip_accents=1),
    "tokenizer keeps controls": nested("normalizer", clean_text=False),
    "tokenizer splits elsewhere": changed("tokenizer.json", pre_tokenizer=None),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_folders_are_refused_with_one_clear_message(tmp_path, name):
    assert len(HOSTILE) >= 40
    path = copy(tmp_path)
    HOSTILE[name](path)
    with pytest.raises(DataError, match=r"model\.pretrained") as refused:
        read_encoder(open_encoder(path))
    assert 30 < len(str(refused.value)) < 600
