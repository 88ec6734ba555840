"""Make small encoders of the BERT family with `transformers`, and record what it computes.

    python scripts/make_encoder_reference.py              # with torch and transformers installed
    python scripts/make_encoder_reference.py --minilm FOLDER

Writes tests/language/encoders/KIND/ for bert, roberta and distilbert: config.json,
model.safetensors and tokenizer.json as `transformers` saves them, and reference/ with texts, their
tokens and the vectors of the last block. `--minilm` records the same of the MiniLM encoder that
`septet data fetch minilm` brings, whose weights are not kept in the repository.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
import transformers  # pyright: ignore[reportMissingImports]
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "language" / "encoders"
TEXTS = [
    "It is a truth universally acknowledged.",
    "A warm, funny film",
    "Schöne Grüße aus Zürich! Café naïve",
    "这是一个真理。 the 真 film",
    "film",
]
LENGTH, DIM, DEPTH, HEADS, HIDDEN = 40, 16, 2, 2, 24


def pieces_tokenizer() -> Tokenizer:
    """BERT's pieces of words."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=150, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(TEXTS[:3], trainer)
    tokenizer.post_processor = processors.BertProcessing(
        ("[SEP]", special.index("[SEP]")), ("[CLS]", special.index("[CLS]"))
    )
    return tokenizer


def pairs_tokenizer() -> Tokenizer:
    """RoBERTa's byte pairs."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=special,
        show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    tokenizer.train_from_iterator(TEXTS[:3], trainer)
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", special.index("</s>")),
        ("<s>", special.index("<s>")),
        add_prefix_space=False,
    )
    return tokenizer


def networks() -> dict[str, tuple[Any, Tokenizer]]:
    """A small network of each kind, and its tokenizer."""
    pieces, pairs = pieces_tokenizer(), pairs_tokenizer()
    sizes = {
        "hidden_size": DIM, "num_hidden_layers": DEPTH, "num_attention_heads": HEADS,
        "intermediate_size": HIDDEN,
    }  # fmt: skip
    bert = transformers.BertConfig(
        vocab_size=pieces.get_vocab_size(), max_position_embeddings=LENGTH, **sizes
    )
    roberta = transformers.RobertaConfig(
        vocab_size=pairs.get_vocab_size(), max_position_embeddings=LENGTH + 2,
        type_vocab_size=1, layer_norm_eps=1e-5, **sizes,
    )  # fmt: skip
    distil = transformers.DistilBertConfig(
        vocab_size=pieces.get_vocab_size(), max_position_embeddings=LENGTH, dim=DIM,
        n_layers=DEPTH, n_heads=HEADS, hidden_dim=HIDDEN,
    )  # fmt: skip
    return {
        "bert": (transformers.BertForSequenceClassification(bert), pieces),
        "roberta": (transformers.RobertaForMaskedLM(roberta), pairs),
        "distilbert": (transformers.DistilBertModel(distil), pieces),
    }


def shaken(network: Any) -> None:
    """Weights large enough that every part matters, norms and biases included."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.25 * torch.randn(parameter.shape, generator=generator))


def record(encoder: Any, tokenizer: Tokenizer, padding: int, folder: Path) -> None:
    """Tokens of the texts and the vectors that the encoder gives for them, in float64."""
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokens = [tokenizer.encode(text).ids for text in TEXTS]
    ids = np.full((len(tokens), max(map(len, tokens))), padding, np.int64)
    for row, known in zip(ids, tokens, strict=True):
        row[: len(known)] = known
    attended = torch.tensor([[n < len(known) for n in range(ids.shape[1])] for known in tokens])
    with torch.no_grad():
        double = encoder.double().eval()
        vectors = double(torch.tensor(ids), attention_mask=attended.long()).last_hidden_state
    shares = attended.double()[:, :, None]
    mean = (vectors * shares).sum(1) / shares.sum(1)
    folder.mkdir(parents=True, exist_ok=True)
    found = {"tokens": ids.astype(np.int32), "mean": mean.numpy().astype(np.float32)}
    if ids.shape[1] * vectors.shape[2] < 2000:
        found["vectors"] = vectors.numpy().astype(np.float32)
    save_file(found, folder / "outputs.safetensors")
    (folder / "texts.json").write_text(json.dumps(TEXTS, ensure_ascii=False, indent=2) + "\n")
    print(json.dumps({"folder": folder.parent.name, "tokens": [len(known) for known in tokens]}))


def make() -> None:
    """Make and record the small ones."""
    torch.manual_seed(0)
    for kind, (network, tokenizer) in networks().items():
        folder = FOLDER / kind
        shaken(network)
        network.save_pretrained(folder)
        (folder / "generation_config.json").unlink(missing_ok=True)
        tokenizer.save(str(folder / "tokenizer.json"))
        encoder = getattr(network, kind, network)
        record(encoder, tokenizer, network.config.pad_token_id or 0, folder / "reference")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minilm", type=Path, help="record what this folder's encoder computes")
    folder = parser.parse_args().minilm
    if folder is None:
        make()
    else:
        whole = transformers.BertModel.from_pretrained(folder)
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        record(whole, tokenizer, 0, FOLDER / "minilm" / "reference")
