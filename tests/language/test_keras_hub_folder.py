"""Local KerasHub presets as pretrained weights: they answer as in KerasHub, or are refused.

scripts/make_keras_hub_reference.py made tests/language/keras_hub. Where KerasHub is not installed,
what it gave is put in its place.
"""

import json
import shutil
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import septet
from septet.errors import DataError, MissingPackageError
from septet.language import encoder_start
from septet.language.encoder_folder import open_encoder, read_encoder
from septet.language.gpt2_folder import open_folder, read_weights
from septet.language.tokenizing import tokenizer_of
from septet.models.bert import bert
from septet.models.gpt import gpt
from septet.runs.networks import begin_with
from tests.language.made_up_texts import as_csv, reviews

pytest.importorskip("tokenizers")

FOLDERS = Path(__file__).parent / "keras_hub"
ENCODERS = ("bert", "distilbert", "roberta")


class Given:
    """A network as far as its weights are asked for."""

    def __init__(self, folder):
        arrays = load_file(Path(folder) / "variables.safetensors")
        self.weights = [types.SimpleNamespace(path=path, value=v) for path, v in arrays.items()]


@pytest.fixture
def keras_hub(monkeypatch):
    """KerasHub, or what it gave."""
    try:
        import keras_hub  # pyright: ignore[reportMissingImports]
    except ImportError:
        keras_hub: Any = types.ModuleType("keras_hub")
        backbone = types.SimpleNamespace(from_preset=Given)
        keras_hub.models = types.SimpleNamespace(Backbone=backbone)
        monkeypatch.setitem(sys.modules, "keras_hub", keras_hub)
    return keras_hub


def recorded(kind):
    found = load_file(FOLDERS / kind / "outputs.safetensors")
    return found["tokens"], found["outputs"]


def ours(rows, theirs):
    """Their token numbers as ours."""
    places = {int(row): place for place, row in reversed(list(enumerate(rows)))}
    return np.vectorize(places.__getitem__, otypes=[np.int32])(theirs)


@pytest.mark.parametrize("kind", ENCODERS)
def test_an_encoder_answers_as_in_keras_hub(kind, keras_hub):
    import keras

    folder = open_encoder(FOLDERS / kind)
    shape = {name: value for name, value in folder.shape.items() if name != "sha256"}
    model = bert(vocabulary_size=folder.tokenizer.size, num_outputs=2, **shape)
    begin_with(model, read_encoder(folder), encoder_start.NEW)
    last = keras.Model(model.input, model.get_layer(f"block{folder.shape['depth']}").output)
    theirs, expected = recorded(kind)
    tokens = ours(folder.rows, theirs)
    found = np.asarray(last({"tokens": tokens}))
    # What stands at the padding, which is left out afterwards, is nobody's concern.
    assert (tokens[-1] == 0).any()
    assert np.abs(found - expected)[tokens != 0].max() < 1e-4


def test_gpt2_answers_as_in_keras_hub(keras_hub):
    folder = open_folder(FOLDERS / "gpt2")
    shape = {name: value for name, value in folder.shape.items() if name != "sha256"}
    model = gpt(vocabulary_size=folder.tokenizer.size, positions="learned", **shape)
    begin_with(model, read_weights(folder))
    theirs, expected = recorded("gpt2")
    found = np.asarray(model({"tokens": ours(folder.rows, theirs)}))
    assert np.abs(found - expected[:, :, folder.rows]).max() < 1e-4


def test_tokens_are_those_of_the_preset():
    word = open_encoder(FOLDERS / "bert")
    assert word.tokenizer.lowercase
    assert not word.tokenizer.strips_accents
    assert open_encoder(FOLDERS / "distilbert").tokenizer.strips_accents
    vocabulary = (FOLDERS / "bert/assets/tokenizer/vocabulary.txt").read_text().split("\n")
    (ids,) = tokenizer_of(word.tokenizer).encode(["The film was funny, warm."])
    said = [vocabulary[row] for row in word.rows[ids]]
    assert said == ["the", "film", "was", "fun", "##ny", ",", "warm", "."]
    pairs = json.loads((FOLDERS / "gpt2/assets/tokenizer/vocabulary.json").read_text())
    names = {number: piece for piece, number in pairs.items()}
    folder = open_folder(FOLDERS / "gpt2")
    (ids,) = tokenizer_of(folder.tokenizer).encode(["in the was"])
    assert [names[row] for row in folder.rows[ids].tolist()] == ["i", "n", "Ġthe", "Ġ", "wa", "s"]


@pytest.fixture
def table(tmp_path, monkeypatch):
    monkeypatch.setenv("SEPTET_RUNS", str(tmp_path / "runs"))
    path = tmp_path / "reviews.csv"
    path.write_text(as_csv(reviews(100)), encoding="utf-8")
    return path


def test_a_preset_is_trained_on_and_needs_keras_hub_no_more(table, keras_hub, monkeypatch):
    settings = {
        "model": {"pretrained": str(FOLDERS / "bert")},
        "training": {"epochs": 3, "batch_size": 16, "learning_rate": 3e-3},
        "data": {"length": 16},
    }
    run = septet.train("sentiment-analysis", table, settings=settings, name="preset")
    rows = [json.loads(line) for line in (run.folder / "log.jsonl").read_text().splitlines()]
    losses = [row["loss"] for row in rows if "loss" in row]
    assert losses[-1] < losses[0]
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    assert 0.0 < run.load().predict("the film was warm").probability <= 1.0


def test_without_keras_hub_the_way_to_it_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(MissingPackageError, match="pip install --no-deps keras-hub"):
        read_encoder(open_encoder(FOLDERS / "bert"))


def changed(name, **values):
    """Other values in the config of a part."""

    def change(folder):
        path = folder / name
        known = json.loads(path.read_text())
        known["config"] |= values
        path.write_text(json.dumps(known))

    return change


def of_class(name, kind):
    def change(folder):
        path = folder / name
        known = json.loads(path.read_text())
        known |= {"class_name": kind, "registered_name": f"keras_hub>{kind}"}
        path.write_text(json.dumps(known))

    return change


def registered(name, kind):
    def change(folder):
        path = folder / name
        path.write_text(json.dumps({**json.loads(path.read_text()), "registered_name": kind}))

    return change


def content(name, data):
    return lambda folder: (folder / name).write_bytes(data)


WORDS = "assets/tokenizer/vocabulary.txt"
HOSTILE = {
    "another network": of_class("config.json", "GemmaBackbone"),
    "class a number": of_class("config.json", 7),
    "class of a module": of_class("config.json", "os.system"),
    "gpt2 for a classifier": of_class("config.json", "GPT2Backbone"),
    "registered as another": registered("config.json", "keras_hub>DebertaV3Backbone"),
    "registered as nothing": registered("config.json", None),
    "tokenizer registered as another": registered("tokenizer.json", "keras_hub>GemmaTokenizer"),
    "more numbers than bytes": changed(
        "config.json", hidden_dim=4096, num_layers=128, intermediate_dim=16_384
    ),
    "config no object": content("config.json", b"[]"),
    "config empty": content("config.json", b""),
    "config deep": content("config.json", b"[" * 100_000),
    "config without sizes": content("config.json", b'{"class_name": "BertBackbone"}'),
    "no heads": changed("config.json", num_heads=0),
    "odd heads": changed("config.json", num_heads=3),
    "many layers": changed("config.json", num_layers=10**9),
    "layers as text": changed("config.json", num_layers="2"),
    "wide": changed("config.json", hidden_dim=10**12),
    "no places": changed("config.json", max_sequence_length=None),
    "vocabulary small": changed("config.json", vocabulary_size=9),
    "vocabulary huge": changed("config.json", vocabulary_size=10**9),
    "segments huge": changed("config.json", num_segments=10**6),
    "another tokenizer": of_class("tokenizer.json", "GemmaTokenizer"),
    "tokenizer of pairs": of_class("tokenizer.json", "GPT2Tokenizer"),
    "tokenizer broken": content("tokenizer.json", b"{"),
    "no tokenizer": lambda folder: (folder / "tokenizer.json").unlink(),
    "no words": lambda folder: (folder / WORDS).unlink(),
    "words empty": content(WORDS, b""),
    "words twice": content(WORDS, b"[PAD]\n[UNK]\n[CLS]\n[SEP]\na\na\n"),
    "words without specials": content(WORDS, b"a\nb\n"),
    "words not text": content(WORDS, b"\xff\xfe\xfd"),
    "other prefixes": changed("tokenizer.json", suffix_indicator="@@"),
    "other unknown": changed("tokenizer.json", oov_token="?"),
    "does not split": changed("tokenizer.json", split=False),
    "case unknown": changed("tokenizer.json", lowercase="yes"),
    "accents unknown": changed("tokenizer.json", strip_accents=1),
    "class missing": content("config.json", b'{"config": {}, "registered_name": "keras_hub>"}'),
    "layers true": changed("config.json", num_layers=True),
    "heads a fraction": changed("config.json", num_heads=2.0),
    "words of one line": content(WORDS, b"x" * 300),
    "other width": changed("config.json", hidden_dim=32),
    "one layer more": changed("config.json", num_layers=3),
    "other places": changed("config.json", max_sequence_length=64),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_presets_are_refused_with_one_clear_message(tmp_path, name, keras_hub):
    assert len(HOSTILE) >= 40
    path = tmp_path / "preset"
    shutil.copytree(FOLDERS / "bert", path)
    HOSTILE[name](path)
    with pytest.raises(DataError, match=r"model\.pretrained") as refused:
        read_encoder(open_encoder(path))
    assert 30 < len(str(refused.value)) < 600


def test_weights_of_another_network_are_refused(monkeypatch, keras_hub):
    def other(folder):
        given = Given(folder)
        given.weights[0].path = "segments/kernel_scale"
        return given

    backbone = types.SimpleNamespace(from_preset=other)
    monkeypatch.setattr(keras_hub, "models", types.SimpleNamespace(Backbone=backbone))
    with pytest.raises(DataError, match="holds other weights than a BertBackbone has"):
        read_encoder(open_encoder(FOLDERS / "bert"))


def test_weights_that_keras_hub_cannot_load_are_refused(tmp_path, monkeypatch, keras_hub):
    def fails(folder):
        raise OSError("Unable to synchronously open file (truncated file: eof = 96)")

    backbone = types.SimpleNamespace(from_preset=fails)
    monkeypatch.setattr(keras_hub, "models", types.SimpleNamespace(Backbone=backbone))
    with pytest.raises(DataError, match=r"could not be loaded by KerasHub: .*truncated"):
        read_encoder(open_encoder(FOLDERS / "bert"))
