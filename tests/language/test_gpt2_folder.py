"""A checkpoint in GPT-2's layout: as the reference implementation computes, trained on, refused.

scripts/make_gpt2_reference.py made tests/language/gpt2.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import septet
from septet import registry
from septet.api import resolve_config
from septet.errors import ConfigError, DataError
from septet.language.gpt2_folder import open_folder, read_weights
from septet.language.tokenizing import tokenizer_of
from septet.models.gpt import gpt
from septet.models.writing import Choice, Writer
from septet.runs.networks import begin_with
from tests.language.hostile_checkpoints import changed, spoilt_files

FOLDER = Path(__file__).parent / "gpt2"


@pytest.fixture(scope="module")
def reference():
    return load_file(FOLDER / "reference" / "outputs.safetensors")


@pytest.fixture(scope="module")
def folder():
    return open_folder(FOLDER)


@pytest.fixture(scope="module")
def network(folder):
    shape = {name: value for name, value in folder.shape.items() if name != "sha256"}
    model = gpt(vocabulary_size=folder.tokenizer.size, positions="learned", **shape)
    begin_with(model, read_weights(folder))
    return model


def ours(folder, theirs):
    """Their token numbers as ours."""
    places = {int(row): place for place, row in reversed(list(enumerate(folder.rows)))}
    return np.array([places[int(each)] for each in theirs], np.int32)


def test_outputs_are_those_of_the_reference_implementation(folder, network, reference):
    found = np.array(network({"tokens": ours(folder, reference["tokens"])[None]}))[0]
    assert np.abs(found - reference["logits"][:, folder.rows]).max() < 1e-4


def test_the_likeliest_text_is_that_of_the_reference_implementation(folder, network, reference):
    weights = (
        [each.value for each in network.trainable_variables],
        [each.value for each in network.non_trainable_variables],
    )
    prompt, expected = ours(folder, reference["prompt"]), ours(folder, reference["continued"])
    writer = Writer(network, end=3, banned=(0, 1, 2))
    choice = Choice(temperature=0.0)
    pieces = list(writer.write(weights, prompt[None], len(expected), choice))
    assert np.concatenate(pieces, axis=1)[0].tolist() == expected.tolist()


def test_tokens_are_those_of_its_tokenizer(folder):
    from tokenizers import Tokenizer

    theirs, mine = Tokenizer.from_file(str(FOLDER / "tokenizer.json")), tokenizer_of(
        folder.tokenizer
    )  # fmt: skip
    for text in ("It is a truth.", "schöne 这是 🙂\n\n  x", "<|endoftext|>x"[13:]):
        ids = mine.encode([text])[0]
        assert folder.rows[ids].tolist() == theirs.encode(text).ids
        assert mine.decode(ids) == text


def test_small_steps_and_few_passes_are_the_defaults_beside_a_checkpoint(tmp_path):
    (tmp_path / "a.txt").write_text("A line of text.\n" * 200)
    model = {"pretrained": str(FOLDER)}
    config = resolve_config("text-generation", tmp_path / "a.txt", {"model": model})
    plain = resolve_config("text-generation", tmp_path / "a.txt")
    assert (config.training.learning_rate, plain.training.learning_rate) == (1e-4, 2e-3)
    assert config.training.batch_size == plain.training.batch_size
    task = registry.task("text-generation")
    assert task.passes({"pretrained": {"dim": 8}})[0] == 3
    assert task.passes({"pretrained": None})[0] == 14


@pytest.mark.slow
def test_a_checkpoint_is_trained_on(tmp_path, monkeypatch):
    monkeypatch.setenv("SEPTET_RUNS", str(tmp_path / "runs"))
    text = "It is a truth that the man is in want of a good fortune.\n" * 60
    (tmp_path / "a.txt").write_text(text)
    run = septet.train(
        "text-generation",
        tmp_path / "a.txt",
        settings={
            "data": {"length": 16},
            "model": {"pretrained": str(FOLDER)},
            "training": {"epochs": 4, "batch_size": 8, "learning_rate": 1e-2},
        },
        name="tuned",
    )
    answer = run.predict("It is a truth", temperature=0.0, tokens=30)
    assert answer.text
    rows = [json.loads(line) for line in (run.folder / "log.jsonl").read_text().splitlines()]
    assert rows[-1]["loss"] < rows[0]["loss"]
    again = septet.reproduce("tuned")
    assert again.equal, again.differences


def test_sizes_beside_a_checkpoint_are_refused(tmp_path):
    (tmp_path / "a.txt").write_text("It is a truth that the man is in want.\n" * 20)
    for model, message in (({"dim": 64}, "own network"), ({"architecture": "lstm"}, "is a gpt")):
        with pytest.raises(ConfigError, match=message):
            septet.train(
                "text-generation",
                tmp_path / "a.txt",
                settings={"model": {"pretrained": str(FOLDER), **model}},
            )


WEIGHT = "transformer.h.0.mlp.c_fc.weight"
WHOLE = (FOLDER / "model.safetensors").read_bytes() if FOLDER.exists() else b""
HOSTILE = {
    **spoilt_files(WHOLE, WEIGHT, (16, 64), "transformer.h.0.extra"),
    "other model": changed("config.json", model_type="llama"),
    "other activation": changed("config.json", activation_function="relu"),
    "scaled by layer": changed("config.json", scale_attn_by_inverse_layer_idx=True),
    "cross attention": changed("config.json", add_cross_attention=True),
    "untied": changed("config.json", tie_word_embeddings=False),
    "no heads": changed("config.json", n_head=0),
    "odd heads": changed("config.json", n_head=3),
    "many layers": changed("config.json", n_layer=10**9),
    "layers as text": changed("config.json", n_layer="2"),
    "one layer more": changed("config.json", n_layer=3),
    "one layer less": changed("config.json", n_layer=1),
    "layers true": changed("config.json", n_layer=True),
    "wide": changed("config.json", n_embd=10**12),
    "other width": changed("config.json", n_embd=32),
    "other length": changed("config.json", n_positions=64),
    "other inner": changed("config.json", n_inner=48),
    "vocabulary huge": changed("config.json", vocab_size=10**9),
    "vocabulary small": changed("config.json", vocab_size=20),
    "epsilon zero": changed("config.json", layer_norm_epsilon=0.0),
    "epsilon text": changed("config.json", layer_norm_epsilon="x"),
    "tokenizer of words": changed("tokenizer.json", model={"type": "WordPiece", "vocab": {}}),
    "tokenizer of one piece": changed(
        "tokenizer.json", model={"type": "BPE", "vocab": {"a": 0}, "merges": []}
    ),
    "tokenizer repeats": changed(
        "tokenizer.json", model={"type": "BPE", "vocab": {"a": 0, "b": 0}, "merges": []}
    ),
    "tokenizer without bytes": changed("tokenizer.json", pre_tokenizer=None),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_folders_are_refused_with_one_clear_message(tmp_path, name):
    assert len(HOSTILE) >= 40
    path = tmp_path / "gpt2"
    shutil.copytree(FOLDER, path)
    HOSTILE[name](path)
    with pytest.raises(DataError, match=r"model\.pretrained") as refused:
        read_weights(open_folder(path))
    assert 30 < len(str(refused.value)) < 600


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("It is a truth that the man is in want.\n" * 20)
    with pytest.raises(DataError, match=r"model\.pretrained: there is no folder 'nowhere'"):
        septet.train(
            "text-generation",
            tmp_path / "a.txt",
            settings={"model": {"pretrained": "nowhere"}},
        )
