"""A local KerasHub preset of BERT, RoBERTa, DistilBERT or GPT-2 as the folder of the hub it is.

Description and tokens are read as data and said as `config.json` and `tokenizer.json` of the
Hugging Face hub would say them. The weights are KerasHub's to load; they are given by the
names that they have there, so that everything is checked in one place.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from septet.language.hub_folder import MOST_JSON_BYTES, read_json, refuse
from septet.models.keras_hub_preset import FILE, is_preset, load_backbone

__all__ = ["FILE", "config_of", "is_preset", "tensors_of", "tokenizer_of"]

TOKENS = Path("assets") / "tokenizer"
BERT_SIZES = {
    "hidden_dim": "hidden_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "intermediate_dim": "intermediate_size",
    "max_sequence_length": "max_position_embeddings",
}
KINDS: Mapping[str, tuple[Mapping[str, str], Mapping[str, Any]]] = {
    "BertBackbone": (
        {**BERT_SIZES, "num_segments": "type_vocab_size"},
        {"model_type": "bert", "hidden_act": "gelu_new", "layer_norm_eps": 1e-12},
    ),
    "RobertaBackbone": (
        BERT_SIZES,
        {
            "model_type": "roberta", "hidden_act": "gelu", "layer_norm_eps": 1e-5,
            "pad_token_id": 1, "type_vocab_size": 1,
        },
    ),
    "DistilBertBackbone": (
        {
            "hidden_dim": "dim", "num_layers": "n_layers", "num_heads": "n_heads",
            "intermediate_dim": "hidden_dim", "max_sequence_length": "max_position_embeddings",
        },
        {"model_type": "distilbert", "activation": "gelu", "layer_norm_eps": 1e-12},
    ),
    "GPT2Backbone": (
        {
            "hidden_dim": "n_embd", "num_layers": "n_layer", "num_heads": "n_head",
            "intermediate_dim": "n_inner", "max_sequence_length": "n_positions",
        },
        {"model_type": "gpt2", "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5},
    ),
}  # fmt: skip
"""Of each network: its sizes, there and on the hub, and what is always so."""
SKIPPED = 2
"""Places of RoBERTa that no text has; a preset leaves them out."""
BERT_PARTS = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "attention_output": "attention.output.dense",
    "self_attention_layer_norm": "attention.output.LayerNorm",
    "feedforward_intermediate_dense": "intermediate.dense",
    "feedforward_output_dense": "output.dense",
    "feedforward_layer_norm": "output.LayerNorm",
}
DISTIL_PARTS = {
    "query": "attention.q_lin",
    "key": "attention.k_lin",
    "value": "attention.v_lin",
    "attention_output": "attention.out_lin",
    "self_attention_layer_norm": "sa_layer_norm",
    "feedforward_intermediate_dense": "ffn.lin1",
    "feedforward_output_dense": "ffn.lin2",
    "feedforward_layer_norm": "output_layer_norm",
}
GPT2_PARTS = {
    "attention_output": "attn.c_proj",
    "self_attention_layer_norm": "ln_1",
    "feedforward_intermediate_dense": "mlp.c_fc",
    "feedforward_output_dense": "mlp.c_proj",
    "feedforward_layer_norm": "ln_2",
}
"""Parts of a block, there and on the hub; GPT-2 has queries, keys and values in one."""
BLOCK = "transformer_layer_"
LAST = {
    "kernel": "weight", "embeddings": "weight", "gamma": "weight", "bias": "bias", "beta": "bias",
}  # fmt: skip
"""A variable's own name, there and on the hub."""


def config_of(path: Path) -> dict[str, Any]:
    """What `config.json` of the hub would say of a preset.

    Raises:
        DataError: It is of no network that is supported.
    """
    kind, values = _described(path, "config.json")
    if kind not in KINDS:
        known = ", ".join(KINDS)
        raise refuse(path, f"is a KerasHub preset of {kind[:60]!r}; supported are: {known}.")
    names, always = KINDS[kind]
    config = {theirs: values.get(own) for own, theirs in names.items()}
    config |= {**always, "vocab_size": values.get("vocabulary_size")}
    places = values.get("max_sequence_length")
    if kind == "RobertaBackbone" and type(places) is int:
        config["max_position_embeddings"] = places + SKIPPED
    return config


def tokenizer_of(path: Path) -> dict[str, Any]:
    """What `tokenizer.json` of the hub would say of a preset's tokens.

    Raises:
        DataError: They are not there, or of another kind.
    """
    kind, values = _described(path, "tokenizer.json")
    if kind in ("BertTokenizer", "DistilBertTokenizer"):
        return _word_pieces(path, values)
    if kind in ("RobertaTokenizer", "GPT2Tokenizer"):
        merges = [line for line in _lines(path, "merges.txt") if not line.startswith("#version")]
        return {
            "model": {"type": "BPE", "vocab": read_json(path / TOKENS / "vocabulary.json"),
                      "merges": [merge for merge in merges if merge]},
            "pre_tokenizer": {
                "type": "ByteLevel",
                "add_prefix_space": values.get("add_prefix_space", False),
            },
        }  # fmt: skip
    raise refuse(path, f"has the tokenizer {kind[:60]!r}; expected that of its network.")


def _word_pieces(path: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    pieces = _lines(path, "vocabulary.txt")
    while pieces and not pieces[-1]:
        pieces.pop()
    if len(set(pieces)) < len(pieces):
        raise refuse(path / TOKENS / "vocabulary.txt", "has a piece twice.")
    if values.get("split", True) is not True:
        raise refuse(path / "tokenizer.json", "does not split texts into words.")
    return {
        "model": {
            "type": "WordPiece",
            "vocab": {piece: number for number, piece in enumerate(pieces)},
            "continuing_subword_prefix": values.get("suffix_indicator"),
            "unk_token": values.get("oov_token"),
        },
        "normalizer": {
            "type": "BertNormalizer",
            "lowercase": values.get("lowercase"),
            "strip_accents": values.get("strip_accents", False),
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
    }


def tensors_of(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Each tensor with its name on the hub, loaded by KerasHub.

    Raises:
        DataError: KerasHub cannot load it.
        MissingPackageError: It is not installed.
    """
    kind, _ = _described(path, "config.json")
    import keras

    try:
        network = load_backbone(path)
    except OSError as error:
        raise refuse(path, f"{error}.") from None
    # Typed as anything at all.
    to_numpy: Any = keras.ops.convert_to_numpy
    arrays = {variable.path: to_numpy(variable.value) for variable in network.weights}
    try:
        found = _of_gpt2(arrays) if kind == "GPT2Backbone" else _of_encoder(arrays, kind)
    except (ValueError, KeyError, IndexError) as error:
        raise refuse(path, f"holds other weights than a {kind} has: {str(error)[:100]}.") from None
    return iter(found.items())


def _of_encoder(arrays: Mapping[str, np.ndarray], kind: str) -> dict[str, np.ndarray]:
    """By the names of BERT and its kin, whose kernels are [outputs, inputs]."""
    parts, blocks = BERT_PARTS, "encoder.layer"
    if kind == "DistilBertBackbone":
        parts, blocks = DISTIL_PARTS, "transformer.layer"
    tables = {
        "token_embedding": "word_embeddings",
        "position_embedding": "position_embeddings",
        "segment_embedding": "token_type_embeddings",
        "embeddings_layer_norm": "LayerNorm",
    }
    found: dict[str, np.ndarray] = {}
    for path, array in arrays.items():
        number, layer, variable = _place(path)
        last = LAST[variable]
        if number is not None:
            name, array = f"{blocks}.{number}.{parts[layer]}", _flat(array, layer, variable)
            array = array.T if variable == "kernel" else array
        elif layer == "pooled_dense":
            name = "pooler.dense"
        else:
            name = f"embeddings.{tables[layer]}"
        found[f"{name}.{last}"] = array
    if kind == "RobertaBackbone":
        places = found["embeddings.position_embeddings.weight"]
        empty = np.zeros((SKIPPED, places.shape[1]), places.dtype)
        found["embeddings.position_embeddings.weight"] = np.concatenate([empty, places])
        found["embeddings.token_type_embeddings.weight"] = np.zeros_like(empty[:1])
    return found


def _of_gpt2(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """By the names of GPT-2, whose kernels are [inputs, outputs]."""
    tables = {"token_embedding": "wte", "position_embedding": "wpe", "layer_norm": "ln_f"}
    found: dict[str, np.ndarray] = {}
    joined: dict[str, dict[str, np.ndarray]] = {}
    for path, array in arrays.items():
        number, layer, variable = _place(path)
        last = LAST[variable]
        if number is None:
            found[f"{tables[layer]}.{last}"] = array
            continue
        array = _flat(array, layer, variable)
        if layer in GPT2_PARTS:
            found[f"h.{number}.{GPT2_PARTS[layer]}.{last}"] = array
        else:
            joined.setdefault(f"h.{number}.attn.c_attn.{last}", {})[layer] = array
    for name, three in joined.items():
        ordered = [three[part] for part in ("query", "key", "value")]
        found[name] = np.concatenate(ordered, axis=-1)
    return found


def _place(path: str) -> tuple[str | None, str, str]:
    """Of a variable its block's number, if it has one, its layer and its own name."""
    first, *_, layer, variable = path.split("/") if path.count("/") > 1 else ("", *path.split("/"))
    number = first.removeprefix(BLOCK) if first.startswith(BLOCK) else None
    return number, layer, variable


def _flat(array: np.ndarray, layer: str, variable: str) -> np.ndarray:
    """Kernels and biases whose heads are an axis of their own, without it."""
    if layer in ("query", "key", "value"):
        return array.reshape(-1) if variable == "bias" else array.reshape(len(array), -1)
    if layer == "attention_output" and variable == "kernel":
        return array.reshape(-1, array.shape[-1])
    return array


def _described(path: Path, name: str) -> tuple[str, dict[str, Any]]:
    """Class and settings of a part of a preset."""
    value = read_json(path / name)
    kind, values = value.get("class_name"), value.get("config")
    if not isinstance(kind, str) or not isinstance(values, dict):
        raise refuse(path / name, "names no class with its config; expected a KerasHub preset.")
    # KerasHub makes what is registered by this name, whatever the class is called.
    registered = value.get("registered_name")
    if registered not in (f"keras_hub>{kind}", f"keras_nlp>{kind}"):
        raise refuse(
            path / name, f"is registered as {str(registered)[:60]!r} and not as {kind[:60]!r}."
        )
    return kind, values


def _lines(path: Path, name: str) -> list[str]:
    """The lines of a file of tokens."""
    file = path / TOKENS / name
    try:
        if file.stat().st_size > MOST_JSON_BYTES:
            raise refuse(file, f"has more than {MOST_JSON_BYTES:,} bytes.")
        return [line.rstrip() for line in file.read_text(encoding="utf-8").split("\n")]
    except FileNotFoundError:
        raise refuse(path, f"has no {TOKENS / name}.") from None
    except (OSError, ValueError) as error:
        raise refuse(file, f"cannot be read: {str(error)[:150]}.") from None
