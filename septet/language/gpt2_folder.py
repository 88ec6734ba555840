"""A checkpoint in the layout of GPT-2, as folders of the Hugging Face hub have it.

`config.json`, `*.safetensors` and `tokenizer.json` are read as data: nothing they name is
imported or executed, and every tensor is checked by name, shape and type before it is used.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from septet.errors import DataError
from septet.language.tokenizer_schema import END, MOST_PIECES, NUM_SPECIALS, PreparedTokenizer

MOST_JSON_BYTES = 64 << 20
MOST_WEIGHT_BYTES = 16 << 30
ACTIVATIONS = ("gelu_new", "gelu_pytorch_tanh")
FLOATS = ("float32", "float16", "bfloat16")
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
    if not path.is_dir():
        raise DataError(
            f"data.pretrained: there is no folder '{path}'. Expected one with config.json, "
            "model.safetensors and tokenizer.json."
        )
    config = _json(path / "config.json")
    shape = _shape(config, path)
    files = _weight_files(path)
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    shape["sha256"] = digest.hexdigest()
    size = _whole(config, "vocab_size", path, most=MOST_PIECES + 1)
    tokenizer, rows = _tokenizer(_json(path / "tokenizer.json"), config, size, path)
    return Gpt2Folder(path, shape, tokenizer, rows, size)


def _refuse(path: Path, reason: str) -> DataError:
    return DataError(f"data.pretrained: '{path.name}' {reason}")


def _json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MOST_JSON_BYTES:
            raise _refuse(path, f"has more than {MOST_JSON_BYTES:,} bytes.")
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _refuse(path.parent, f"has no {path.name}.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise _refuse(path, f"cannot be read: {str(error)[:150]}.") from None
    if not isinstance(value, dict):
        raise _refuse(path, "holds no JSON object.")
    return value


def _whole(config: Mapping[str, Any], name: str, path: Path, *, most: int) -> int:
    value = config.get(name)
    if type(value) is not int or not 1 <= value <= most:
        raise _refuse(
            path, f"says {name} is {str(value)[:40]!r}; expected a whole number up to {most:,}."
        )
    return value


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
    for name, values in wanted.items():
        if not any(config.get(name) is value or config.get(name) == value for value in values):
            raise _refuse(
                path,
                f"says {name} is {str(config.get(name))[:40]!r}; only {values[0]!r} is supported.",
            )
    dim = _whole(config, "n_embd", path, most=16_384)
    heads = _whole(config, "n_head", path, most=128)
    if dim % heads:
        raise _refuse(path, f"has {dim} numbers a position for {heads} heads, no multiple.")
    inner = config.get("n_inner")
    epsilon = config.get("layer_norm_epsilon", 1e-5)
    if not isinstance(epsilon, float) or not 0.0 < epsilon <= 0.1:
        raise _refuse(path, f"says layer_norm_epsilon is {str(epsilon)[:40]!r}.")
    return {
        "dim": dim,
        "depth": _whole(config, "n_layer", path, most=128),
        "num_heads": heads,
        "feed_forward_dim": 4 * dim
        if inner is None
        else _whole(config, "n_inner", path, most=16_384),
        "length": _whole(config, "n_positions", path, most=65_536),
        "epsilon": epsilon,
    }


def _tokenizer(
    value: Mapping[str, Any], config: Mapping[str, Any], size: int, path: Path
) -> tuple[PreparedTokenizer, np.ndarray]:
    """Byte pairs as ours, and the row of each of our tokens."""
    model = value.get("model")
    model = model if isinstance(model, dict) else {}
    vocabulary, merges = model.get("vocab"), model.get("merges")
    before = value.get("pre_tokenizer")
    before = before if isinstance(before, dict) else {}
    if (
        model.get("type", "BPE") != "BPE"
        or before.get("type") != "ByteLevel"
        or before.get("add_prefix_space")
        or value.get("normalizer") is not None
        or not isinstance(vocabulary, dict)
        or not isinstance(merges, list)
    ):
        raise _refuse(path, "has a tokenizer.json that is not GPT-2's (byte-level BPE).")
    numbers = list(vocabulary.values())
    if (
        any(type(number) is not int or not 0 <= number < size for number in numbers)
        or len(set(numbers)) < len(numbers)
        or len(numbers) > MOST_PIECES
    ):
        raise _refuse(path, f"has token numbers that are not different ones below {size:,}.")
    special = _specials(value, vocabulary)
    pieces = sorted((p for p in vocabulary if p not in special), key=vocabulary.__getitem__)
    joined = [" ".join(map(str, merge)) if isinstance(merge, list) else merge for merge in merges]
    try:
        prepared = PreparedTokenizer.model_validate(
            {"kind": "bpe", "lowercase": False, "pieces": pieces, "merges": joined}
        )
    except ValidationError as error:
        raise _refuse(path, f"has a tokenizer.json with: {error.errors()[0]['msg']}.") from None
    end = config.get("eos_token_id")
    if type(end) is not int or not 0 <= end < size:
        end = special.get("<|endoftext|>", vocabulary[pieces[0]])
    # The other special tokens are as likely as the end, that is hardly ever.
    rows = [end] * NUM_SPECIALS + [vocabulary[piece] for piece in pieces]
    assert rows[END] == end
    return prepared, np.array(rows, np.int64)


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


def _weight_files(path: Path) -> list[Path]:
    files = sorted(path.glob("*.safetensors"))
    if not files:
        raise _refuse(
            path,
            "has no *.safetensors. Files such as pytorch_model.bin are pickles, which are not "
            "opened; save it again with safe_serialization.",
        )
    if sum(file.stat().st_size for file in files) > MOST_WEIGHT_BYTES:
        raise _refuse(path, f"has more than {MOST_WEIGHT_BYTES:,} bytes of weights.")
    return files


def read_weights(folder: Gpt2Folder) -> dict[str, np.ndarray]:
    """The weights by their names in `models.gpt`, float32.

    Raises:
        DataError: A tensor is missing, left over, or of another shape or type.
    """
    given = {}
    for file in _weight_files(folder.path):
        for name, array in _tensors(file).items():
            plain = name.removeprefix("transformer.")
            if not plain.endswith(BUFFERS) and plain != "lm_head.weight":
                given[plain] = array
    shapes = expected(folder)
    for name in sorted(shapes.keys() ^ given.keys()):
        said = "is missing" if name in shapes else "is none of GPT-2's"
        raise _refuse(folder.path, f"does not fit: the tensor {name[:80]!r} {said}.")
    weights = {}
    for name, (ours, shape) in shapes.items():
        array = given[name]
        if array.shape != shape or str(array.dtype) not in FLOATS:
            raise _refuse(
                folder.path,
                f"does not fit: the tensor {name!r} is {array.dtype} {array.shape} and must be "
                f"float32 {shape}.",
            )
        # What has 64 bits and is too large for 32 becomes infinite.
        with np.errstate(over="ignore"):
            array = array.astype(np.float32)
        if not np.isfinite(array).all():
            raise _refuse(folder.path, f"has numbers in {name!r} that are not finite.")
        weights[ours] = array
    weights["embedding/table"] = weights["embedding/table"][folder.rows]
    return weights


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


def _tensors(file: Path) -> dict[str, np.ndarray]:
    import safetensors
    from safetensors.numpy import load_file

    try:
        return load_file(file)
    except (safetensors.SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise _refuse(
            file, f"is no safetensors file that can be read: {str(error)[:150]}."
        ) from None
