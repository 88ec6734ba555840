"""An encoder of the BERT family (BERT, RoBERTa, DistilBERT) in a folder of pretrained weights.

Devlin et al. (arXiv:1810.04805), Liu et al. (arXiv:1907.11692), Sanh et al.
(arXiv:1910.01108). Heads are not read: a classifier brings its own.
"""

import re
from collections.abc import Callable, Mapping
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
from septet.language.gpt2_folder import byte_pairs, prepared_pairs
from septet.language.hub_folder import refuse, require, small, vocabulary_of, whole
from septet.language.tokenizer_schema import MOST_PIECES, NUM_SPECIALS, PreparedTokenizer

PIECE_SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
PAIR_SPECIALS = ("<pad>", "<unk>", "<s>", "</s>")
"""What stands for our special tokens, in their order."""
HEADS = re.compile(
    r"(pooler|cls|classifier|pre_classifier|lm_head|qa_outputs|vocab_\w+)\.|.*\.position_ids$"
)
"""Of other tasks than ours, and the numbers of places that some checkpoints carry along."""
BERT_PARTS = {
    "attention.self.query": "attention/query",
    "attention.self.key": "attention/key",
    "attention.self.value": "attention/value",
    "attention.output.dense": "attention/output",
    "attention.output.LayerNorm": "attention_normalization",
    "intermediate.dense": "hidden",
    "output.dense": "last",
    "output.LayerNorm": "dense_normalization",
}
DISTIL_PARTS = {
    "attention.q_lin": "attention/query",
    "attention.k_lin": "attention/key",
    "attention.v_lin": "attention/value",
    "attention.out_lin": "attention/output",
    "sa_layer_norm": "attention_normalization",
    "ffn.lin1": "hidden",
    "ffn.lin2": "last",
    "output_layer_norm": "dense_normalization",
}
"""Layers of a block: there and in `models.bert`."""


@dataclass(frozen=True)
class Family:
    """How one kind of encoder names its sizes and tensors.

    Args:
        sizes: Names in `config.json` of dim, depth, num_heads, feed_forward_dim, activation.
        blocks: What the names of a block's tensors begin with, before its number.
        parts: A block's layers.
        has_segments: There are vectors of segments, of which a single text has the first.
        skipped: First places that no text has.
    """

    sizes: tuple[str, str, str, str, str]
    blocks: str
    parts: Mapping[str, str]
    has_segments: bool = True
    skipped: int = 0


BERT_SIZES = (
    "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act",
)  # fmt: skip
FAMILIES = {
    "bert": Family(BERT_SIZES, "encoder.layer", BERT_PARTS),
    # Places are counted from the padding's number, 1, on.
    "roberta": Family(BERT_SIZES, "encoder.layer", BERT_PARTS, skipped=2),
    "distilbert": Family(
        ("dim", "n_layers", "n_heads", "hidden_dim", "activation"),
        "transformer.layer",
        DISTIL_PARTS,
        has_segments=False,
    ),
}


@dataclass(frozen=True)
class EncoderFolder:
    """What a folder says, its weights not read yet.

    Args:
        path: The folder.
        kind: Of `FAMILIES`.
        shape: Sizes of the network, and the SHA-256 of its weights.
        tokenizer: Its tokens as ours.
        rows: For each of our tokens, the row of its vector there.
        vocabulary_size: Rows there.
        segments: Vectors of segments there.
    """

    path: Path
    kind: str
    shape: dict[str, Any]
    tokenizer: PreparedTokenizer
    rows: np.ndarray
    vocabulary_size: int
    segments: int


def open_encoder(path: Path) -> EncoderFolder:
    """Read what a folder says of its network and tokens.

    Raises:
        DataError: It is no such folder, or of a network that ours is not.
    """
    config = read_config(path)
    kind = config.get("model_type")
    if not isinstance(kind, str) or kind not in FAMILIES:
        known = ", ".join(FAMILIES)
        raise refuse(path, f"says model_type is {str(kind)[:40]!r}; supported are: {known}.")
    family = FAMILIES[kind]
    shape = _shape(config, family, path)
    size = whole(config, "vocab_size", path, most=MOST_PIECES + NUM_SPECIALS)
    segments = whole(config, "type_vocab_size", path, most=16) if family.has_segments else 0
    value = read_tokenizer(path)
    read = _byte_pairs if kind == "roberta" else _word_pieces
    tokenizer, rows = read(value, size, path)
    shape["sha256"] = digest(path)
    folder = EncoderFolder(path, kind, shape, tokenizer, rows, size, segments)
    require_room(path, expected(folder).values())
    return folder


def _shape(config: Mapping[str, Any], family: Family, path: Path) -> dict[str, Any]:
    """The arguments of `models.bert` that suit a configuration."""
    dim, depth, heads, hidden, activation = family.sizes
    wanted: dict[str, tuple[Any, ...]] = {
        activation: ("gelu", "gelu_new", "relu"),
        "position_embedding_type": ("absolute", None),
        "is_decoder": (False, None),
        "add_cross_attention": (False, None),
    }
    if family.skipped:
        wanted["pad_token_id"] = (family.skipped - 1,)
    require(config, wanted, path)
    found = {
        "dim": whole(config, dim, path, most=4096),
        "depth": whole(config, depth, path, most=128),
        "num_heads": whole(config, heads, path, most=128),
        "feed_forward_dim": whole(config, hidden, path, most=16_384),
        "length": whole(config, "max_position_embeddings", path, most=4096) - family.skipped,
        "activation": config[activation],
        "epsilon": small(config, "layer_norm_eps", path, 1e-12),
    }
    if found["dim"] % found["num_heads"]:
        raise refuse(
            path,
            f"has {found['dim']} numbers a position for {found['num_heads']} heads, no multiple.",
        )
    if found["length"] < 4:
        raise refuse(path, f"has {found['length']} places; at least 4 are needed.")
    return found


def _word_pieces(
    value: Mapping[str, Any], size: int, path: Path
) -> tuple[PreparedTokenizer, np.ndarray]:
    """BERT's pieces of words as ours, and the row of each of our tokens."""
    model, normalizer, before = (
        part if isinstance(part := value.get(name), dict) else {}
        for name in ("model", "normalizer", "pre_tokenizer")
    )
    lowercase, accents = normalizer.get("lowercase"), normalizer.get("strip_accents")
    if (
        model.get("type", "WordPiece") != "WordPiece"
        or model.get("continuing_subword_prefix", "##") != "##"
        or model.get("unk_token", "[UNK]") != "[UNK]"
        or normalizer.get("type") != "BertNormalizer"
        or not isinstance(lowercase, bool)
        or not isinstance(accents, bool | None)
        or normalizer.get("clean_text", True) is not True
        or normalizer.get("handle_chinese_chars", True) is not True
        or before.get("type") != "BertPreTokenizer"
    ):
        raise refuse(path, "has a tokenizer.json that is not BERT's (WordPiece).")
    vocabulary, ordered = vocabulary_of(
        model.get("vocab"), size, path, most=MOST_PIECES + NUM_SPECIALS
    )
    rows = _rows_of_specials(PIECE_SPECIALS, vocabulary, path)
    pieces = [piece for piece in ordered if piece not in PIECE_SPECIALS]
    try:
        prepared = PreparedTokenizer.model_validate(
            {
                "kind": "pieces",
                "lowercase": lowercase,
                "pieces": pieces,
                "merges": [],
                "strips_accents": lowercase if accents is None else accents,
            }
        )
    except ValidationError as error:
        raise refuse(path, f"has a tokenizer.json with: {error.errors()[0]['msg']}.") from None
    return prepared, np.array([*rows, *(vocabulary[piece] for piece in pieces)], np.int64)


def _byte_pairs(
    value: Mapping[str, Any], size: int, path: Path
) -> tuple[PreparedTokenizer, np.ndarray]:
    """RoBERTa's byte pairs as ours, and the row of each of our tokens."""
    vocabulary, merges = byte_pairs(value, size, path)
    rows = _rows_of_specials(PAIR_SPECIALS, vocabulary, path)
    beside = {*PAIR_SPECIALS, "<mask>"}
    pieces = sorted((p for p in vocabulary if p not in beside), key=vocabulary.__getitem__)
    prepared = prepared_pairs(pieces, merges, path)
    return prepared, np.array([*rows, *(vocabulary[piece] for piece in pieces)], np.int64)


def _rows_of_specials(
    names: tuple[str, ...], vocabulary: Mapping[str, int], path: Path
) -> list[int]:
    missing = [name for name in names if name not in vocabulary]
    if missing:
        raise refuse(path, f"has a tokenizer.json without {missing[0]}.")
    return [vocabulary[name] for name in names]


def read_encoder(folder: EncoderFolder) -> dict[str, np.ndarray]:
    """The weights by their names in `models.bert`, float32, but for those of the head.

    Raises:
        DataError: A tensor is missing, left over, or of another shape or type.
    """
    family, shapes = FAMILIES[folder.kind], expected(folder)
    given = read_tensors(folder.path, _plain(folder.kind), shapes)
    places = given["embeddings.position_embeddings.weight"][family.skipped :]
    if family.has_segments:
        # A single text is all of the first segment.
        places = places + given["embeddings.token_type_embeddings.weight"][0]
    weights = {
        "embedding/embeddings": given["embeddings.word_embeddings.weight"][folder.rows],
        "positions/table": places,
        "embedding_normalization/gamma": given["embeddings.LayerNorm.weight"],
        "embedding_normalization/beta": given["embeddings.LayerNorm.bias"],
    }
    for number in range(folder.shape["depth"]):
        for theirs, ours in family.parts.items():
            name = f"{family.blocks}.{number}.{theirs}"
            is_norm = ours.endswith("normalization")
            own = f"block{number + 1}/{ours}"
            weight, bias = given[f"{name}.weight"], given[f"{name}.bias"]
            weights[f"{own}/{'gamma' if is_norm else 'kernel'}"] = weight if is_norm else weight.T
            weights[f"{own}/{'beta' if is_norm else 'bias'}"] = bias
    return weights


def _plain(kind: str) -> Callable[[str], str | None]:
    def plain(name: str) -> str | None:
        name = name.removeprefix(f"{kind}.")
        if HEADS.match(name):
            return None
        # The first checkpoints were converted from TensorFlow, with its names.
        return re.sub(r"\.beta$", ".bias", re.sub(r"\.gamma$", ".weight", name))

    return plain


def expected(folder: EncoderFolder) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor that must be there."""
    family, shape = FAMILIES[folder.kind], folder.shape
    dim, hidden = shape["dim"], shape["feed_forward_dim"]
    found: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (folder.vocabulary_size, dim),
        "embeddings.position_embeddings.weight": (shape["length"] + family.skipped, dim),
        "embeddings.LayerNorm.weight": (dim,),
        "embeddings.LayerNorm.bias": (dim,),
    }
    if family.has_segments:
        found["embeddings.token_type_embeddings.weight"] = (folder.segments, dim)
    for number in range(shape["depth"]):
        for theirs, ours in family.parts.items():
            name = f"{family.blocks}.{number}.{theirs}"
            size = hidden if ours == "hidden" else dim
            inputs = hidden if ours == "last" else dim
            is_norm = ours.endswith("normalization")
            found[f"{name}.weight"] = (dim,) if is_norm else (size, inputs)
            found[f"{name}.bias"] = (size,)
    return found
