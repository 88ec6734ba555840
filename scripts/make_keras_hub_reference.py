"""Make tests/language/keras_hub: small KerasHub presets of texts, and what KerasHub computes.

    pip install --no-deps keras-hub==0.32.0 regex kagglehub kagglesdk==0.1.28 sentencepiece grain
    pip install requests tokenizers
    python scripts/make_keras_hub_reference.py

Networks of two blocks with random weights. `variables.safetensors` has the weights as
KerasHub gives them when it loads the preset, `outputs.safetensors` tokens, and the vectors of the
last block (of GPT-2 the logits) for them; float32 on a CPU.
"""

import os
import shutil
from pathlib import Path

os.environ["KERAS_BACKEND"] = "jax"

import keras
import keras_hub  # pyright: ignore[reportMissingImports]
import numpy as np
from safetensors.numpy import save_file

from septet.language.tokenizer_schema import byte_letters

FOLDER = Path(__file__).resolve().parents[1] / "tests" / "language" / "keras_hub"
LETTERS = "abcdefghijklmnopqrstuvwxyz.,"
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "film", "was", "warm", "fun", "##ny",
         *LETTERS, *("##" + letter for letter in LETTERS)]  # fmt: skip
MERGES = ["t h", "th e", "Ġ the", "i l", "w a"]
PIECES = [*byte_letters(), *(merge.replace(" ", "") for merge in MERGES)]
PAIRS = ["<s>", "<pad>", "</s>", "<unk>", *PIECES, "<mask>"]
SIZES = {"num_heads": 2, "hidden_dim": 16, "intermediate_dim": 24, "max_sequence_length": 20}


def main() -> None:
    models = keras_hub.models
    make(
        "bert",
        models.BertBackbone(vocabulary_size=len(WORDS), num_layers=2, **SIZES),
        models.BertTokenizer(vocabulary=WORDS, lowercase=True),
    )
    make(
        "distilbert",
        models.DistilBertBackbone(vocabulary_size=len(WORDS), num_layers=2, **SIZES),
        models.DistilBertTokenizer(vocabulary=WORDS, lowercase=True, strip_accents=True),
    )
    make(
        "roberta",
        models.RobertaBackbone(vocabulary_size=len(PAIRS), num_layers=2, **SIZES),
        models.RobertaTokenizer(vocabulary=numbers(PAIRS), merges=MERGES),
    )
    ends = [*PIECES, "<|endoftext|>"]
    make(
        "gpt2",
        models.GPT2Backbone(vocabulary_size=len(ends), num_layers=2, **SIZES),
        models.GPT2Tokenizer(vocabulary=numbers(ends), merges=MERGES),
    )


def numbers(pieces: list[str]) -> dict[str, int]:
    return {piece: number for number, piece in enumerate(pieces)}


def make(name: str, network: keras.Model, tokenizer: keras.Layer) -> None:
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    random = np.random.default_rng(3)
    for weight in network.weights:
        # Large enough for a part in the wrong place to show.
        weight.assign(weight + random.normal(0, 0.25, weight.shape))
    network.save_to_preset(str(folder))
    tokenizer.save_to_preset(str(folder))
    loaded = keras_hub.models.Backbone.from_preset(str(folder))
    weights = {weight.path: np.array(weight.value) for weight in loaded.weights}
    save_file(weights, folder / "variables.safetensors")
    size = network.get_config()["vocabulary_size"]
    tokens = random.integers(5, size - 1, (3, 12)).astype(np.int32)
    if name != "gpt2":
        tokens[-1, 8:] = PAIRS.index("<pad>") if name == "roberta" else WORDS.index("[PAD]")
    padding = np.ones_like(tokens)
    padding[-1, 8:] = name == "gpt2"
    inputs = {"token_ids": tokens, "padding_mask": padding}
    if name == "bert":
        inputs["segment_ids"] = np.zeros_like(tokens)
    outputs = loaded(inputs, training=False)
    outputs = outputs["sequence_output"] if name == "bert" else outputs
    if name == "gpt2":
        outputs = loaded.get_layer("token_embedding")(outputs, reverse=True)
    save_file({"tokens": tokens, "outputs": np.array(outputs)}, folder / "outputs.safetensors")


if __name__ == "__main__":
    main()
