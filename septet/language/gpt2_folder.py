"""A checkpoint of GPT-2 in a folder of pretrained weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from septet.language.checkpoint_folder import (
    digest,
    read_config,
    read_tensors,
    read_tokenizer,
    require_room,
)
from septet.language.hub_folder import refuse, require, small, vocabulary_of, whole
from septet.language.tokenizer_schema import END, MOST_PIECES, NUM_SPECIALS, PreparedTokenizer

ACTIVATIONS = ("gelu_new", "gelu_pytorch_tanh")
BUFFERS = (".attn.bias", ".attn.masked_bias")
"""Masks that older checkpoints carry along."""
PARTS = {
    "ln_1.weight": "attention_normalization/gamma",
    "ln_1.bias": "attention_normalization/beta",
    "attn.c_attn.weight": "qkv/kernel",
    "attn.c_attn.bias": "qkv/bias",
    "attn.c_proj.weight": "mixed/kernel",
    "attn.c_proj.bias": "mixed/bias",
    "ln_2.weight": "dense_normalization/gamma",
    "ln_2.bias": "dense_normalization/beta",
    "mlp.c_fc.weight": "hidden/kernel",
    "mlp.c_fc.bias": "hidden/bias",
    "mlp.c_proj.weight": "last/kernel",
    "mlp.c_proj.bias": "last/bias",
}
"""Names within a block: there and in `models.gpt`."""


@dataclass(frozen=True)
class Gpt2Folder:
    """What a folder says, its weights not read yet.

    Args:
        path: The folder.
        shape: Sizes of the network, and the SHA-256 of its weights.
        tokenizer: Its tokens as ours.
        rows: For each of our tokens, the row of its vector there.
        vocabulary_size: Rows there.
    """

    path: Path
    shape: dict[str, Any]
    tokenizer: PreparedTokenizer
    rows: np.ndarray
    vocabulary_size: int


def open_folder(path: Path) -> Gpt2Folder:
    """Read what a folder says of its network and tokens.

    Raises:
        DataError: It is no such folder, or of a network that ours is not.
    """
    config = read_config(path)
    shape = _shape(config, path)
    shape["sha256"] = digest(path)
    size = whole(config, "vocab_size", path, most=MOST_PIECES + 1)
    tokenizer, rows = _tokenizer(read_tokenizer(path), config, size, path)
    folder = Gpt2Folder(path, shape, tokenizer, rows, size)
    require_room(path, (shape for _, shape in expected(folder).values()))
    return folder


def _shape(config: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The arguments of `models.gpt` that suit a configuration."""
    wanted: dict[str, tuple[Any, ...]] = {
        "model_type": ("gpt2",),
        "activation_function": (*ACTIVATIONS, None),
        "scale_attn_weights": (True, None),
        "scale_attn_by_inverse_layer_idx": (False, None),
        "add_cross_attention": (False, None),
        "tie_word_embeddings": (True, None),
    }
    require(config, wanted, path)
    dim = whole(config, "n_embd", path, most=16_384)
    heads = whole(config, "n_head", path, most=128)
    if dim % heads:
        raise refuse(path, f"has {dim} numbers a position for {heads} heads, no multiple.")
    inner = config.get("n_inner")
    return {
        "dim": dim,
        "depth": whole(config, "n_layer", path, most=128),
        "num_heads": heads,
        "feed_forward_dim": 4 * dim
        if inner is None
        else whole(config, "n_inner", path, most=16_384),
        "length": whole(config, "n_positions", path, most=65_536),
        "epsilon": small(config, "layer_norm_epsilon", path, 1e-5),
    }


def _tokenizer(
    value: Mapping[str, Any], config: Mapping[str, Any], size: int, path: Path
) -> tuple[PreparedTokenizer, np.ndarray]:
    """Byte pairs as ours, and the row of each of our tokens."""
    vocabulary, merges = byte_pairs(value, size, path)
    special = _specials(value, vocabulary)
    pieces = sorted((p for p in vocabulary if p not in special), key=vocabulary.__getitem__)
    prepared = prepared_pairs(pieces, merges, path)
    end = config.get("eos_token_id")
    if type(end) is not int or not 0 <= end < size:
        end = special.get("<|endoftext|>", vocabulary[pieces[0]])
    # The other special tokens are as likely as the end, that is hardly ever.
    rows = [end] * NUM_SPECIALS + [vocabulary[piece] for piece in pieces]
    assert rows[END] == end
    return prepared, np.array(rows, np.int64)


def byte_pairs(value: Mapping[str, Any], size: int, path: Path) -> tuple[dict[str, int], list[str]]:
    """Pieces with their numbers and merges of a `tokenizer.json` of byte-level BPE.

    Raises:
        DataError: It is of another kind.
    """
    model = value.get("model")
    model = model if isinstance(model, dict) else {}
    merges = model.get("merges")
    before = value.get("pre_tokenizer")
    before = before if isinstance(before, dict) else {}
    if (
        model.get("type", "BPE") != "BPE"
        or before.get("type") != "ByteLevel"
        or before.get("add_prefix_space")
        or value.get("normalizer") is not None
        or not isinstance(model.get("vocab"), dict)
        or not isinstance(merges, list)
    ):
        raise refuse(path, "has a tokenizer.json that is not GPT-2's (byte-level BPE).")
    vocabulary, _ = vocabulary_of(model["vocab"], size, path, most=MOST_PIECES)
    return vocabulary, [
        " ".join(map(str, merge)) if isinstance(merge, list) else merge for merge in merges
    ]


def prepared_pairs(pieces: list[str], merges: list[str], path: Path) -> PreparedTokenizer:
    """Byte pairs as ours; DataError where they do not fit together."""
    try:
        return PreparedTokenizer.model_validate(
            {"kind": "bpe", "lowercase": False, "pieces": pieces, "merges": merges}
        )
    except ValidationError as error:
        raise refuse(path, f"has a tokenizer.json with: {error.errors()[0]['msg']}.") from None


def _specials(value: Mapping[str, Any], vocabulary: Mapping[str, int]) -> dict[str, int]:
    """Tokens beside the text, such as <|endoftext|>."""
    added = value.get("added_tokens")
    found = {}
    for token in added if isinstance(added, list) else []:
        content = token.get("content") if isinstance(token, dict) else None
        if isinstance(content, str) and type(token.get("id")) is int:
            found[content] = token["id"]
    if "<|endoftext|>" in vocabulary:
        found["<|endoftext|>"] = vocabulary["<|endoftext|>"]
    return found


def read_weights(folder: Gpt2Folder) -> dict[str, np.ndarray]:
    """The weights by their names in `models.gpt`, float32.

    Raises:
        DataError: A tensor is missing, left over, or of another shape or type.
    """
    known = expected(folder)
    shapes = {name: shape for name, (_, shape) in known.items()}
    found = read_tensors(folder.path, _plain, shapes)
    weights = {known[name][0]: array for name, array in found.items()}
    weights["embedding/table"] = weights["embedding/table"][folder.rows]
    return weights


def _plain(name: str) -> str | None:
    name = name.removeprefix("transformer.")
    return None if name.endswith(BUFFERS) or name == "lm_head.weight" else name


def expected(folder: Gpt2Folder) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Our name and the shape of each tensor that must be there."""
    shape = folder.shape
    dim, hidden = shape["dim"], shape["feed_forward_dim"]
    sizes = {
        "qkv/kernel": (dim, 3 * dim), "qkv/bias": (3 * dim,), "mixed/kernel": (dim, dim),
        "hidden/kernel": (dim, hidden), "hidden/bias": (hidden,), "last/kernel": (hidden, dim),
    }  # fmt: skip
    found = {
        "wte.weight": ("embedding/table", (folder.vocabulary_size, dim)),
        "wpe.weight": ("positions/table", (shape["length"], dim)),
        "ln_f.weight": ("normalization/gamma", (dim,)),
        "ln_f.bias": ("normalization/beta", (dim,)),
    }
    for number in range(shape["depth"]):
        for theirs, ours in PARTS.items():
            found[f"h.{number}.{theirs}"] = (f"block{number + 1}/{ours}", sizes.get(ours, (dim,)))
    return found
