"""Make a small checkpoint in GPT-2's layout, and record what GPT-2's equations give for it.

    python scripts/make_gpt2_reference.py
    python scripts/make_gpt2_reference.py --check     # with torch and transformers installed

Writes tests/language/gpt2/: config.json, model.safetensors and tokenizer.json with the names and
shapes that `transformers` saves, and reference/outputs.safetensors with tokens, logits and the
likeliest continuation, by a literal float64 version of GPT-2 (Radford et al. 2019) in NumPy.
`--check` opens the folder with `transformers` itself and compares its logits and text with those.
"""

import argparse
import json
import math
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "language" / "gpt2"
SIZE, LENGTH, DIM, DEPTH, HEADS = 300, 32, 16, 2, 2
EPSILON = 1e-5
TEXTS = [
    "It is a truth universally acknowledged, that a single man in possession of a good fortune, "
    "must be in want of a wife. The truth is that the man is in want of the fortune.",
    "Der Mann ist in der Stadt, und die Stadt ist schön. 这是一个真理。 🙂",
]
PROMPT = "It is a truth that the man"
END = "<|endoftext|>"


def make_tokenizer() -> Tokenizer:
    """Byte pairs as GPT-2 has them, with its special token at the end."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=SIZE - 1,
        show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.add_special_tokens([END])
    return tokenizer


def make_weights(vocabulary_size: int) -> dict[str, np.ndarray]:
    """Random weights, large enough that every part matters, by the names of `transformers`."""
    random = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = {
        "wte.weight": (vocabulary_size, DIM), "wpe.weight": (LENGTH, DIM),
        "ln_f.weight": (DIM,), "ln_f.bias": (DIM,),
    }  # fmt: skip
    for block in range(DEPTH):
        for name, shape in {
            "ln_1.weight": (DIM,), "ln_1.bias": (DIM,), "ln_2.weight": (DIM,), "ln_2.bias": (DIM,),
            "attn.c_attn.weight": (DIM, 3 * DIM), "attn.c_attn.bias": (3 * DIM,),
            "attn.c_proj.weight": (DIM, DIM), "attn.c_proj.bias": (DIM,),
            "mlp.c_fc.weight": (DIM, 4 * DIM), "mlp.c_fc.bias": (4 * DIM,),
            "mlp.c_proj.weight": (4 * DIM, DIM), "mlp.c_proj.bias": (DIM,),
        }.items():  # fmt: skip
            shapes[f"h.{block}.{name}"] = shape
    weights = {}
    for name, shape in shapes.items():
        middle = 1.0 if name.endswith(("ln_1.weight", "ln_2.weight", "ln_f.weight")) else 0.0
        drawn = middle + 0.25 * random.normal(size=shape)
        weights[f"transformer.{name}"] = drawn.astype(np.float32)
    return weights


def gpt2(weights: dict[str, np.ndarray], tokens: list[int]) -> np.ndarray:
    """Logits after each token, float64 [time, vocabulary]: GPT-2's equations, one after another."""
    w = {name.removeprefix("transformer."): value.astype(np.float64) for name, value in
         weights.items()}  # fmt: skip

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        centred = x - x.mean(-1, keepdims=True)
        spread = np.sqrt((centred**2).mean(-1, keepdims=True) + EPSILON)
        return centred / spread * w[f"{name}.weight"] + w[f"{name}.bias"]

    def dense(x: np.ndarray, name: str) -> np.ndarray:
        return x @ w[f"{name}.weight"] + w[f"{name}.bias"]

    def gelu(x: np.ndarray) -> np.ndarray:
        return 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))

    x = w["wte.weight"][tokens] + w["wpe.weight"][: len(tokens)]
    for block in range(DEPTH):
        queries, keys, values = np.split(
            dense(norm(x, f"h.{block}.ln_1"), f"h.{block}.attn.c_attn"), 3, axis=-1
        )
        size, mixed = DIM // HEADS, np.zeros_like(x)
        for head in range(HEADS):
            part = slice(head * size, (head + 1) * size)
            for row in range(len(tokens)):
                scores = keys[: row + 1, part] @ queries[row, part] / math.sqrt(size)
                shares = np.exp(scores - scores.max())
                mixed[row, part] = shares / shares.sum() @ values[: row + 1, part]
        x = x + dense(mixed, f"h.{block}.attn.c_proj")
        hidden = gelu(dense(norm(x, f"h.{block}.ln_2"), f"h.{block}.mlp.c_fc"))
        x = x + dense(hidden, f"h.{block}.mlp.c_proj")
    return norm(x, "ln_f") @ w["wte.weight"].T


def make() -> None:
    """Make and record everything."""
    (FOLDER / "reference").mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer()
    tokenizer.save(str(FOLDER / "tokenizer.json"))
    size, end = tokenizer.get_vocab_size(), tokenizer.token_to_id(END)
    config = {
        "model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "vocab_size": size,
        "n_positions": LENGTH, "n_embd": DIM, "n_layer": DEPTH, "n_head": HEADS, "n_inner": None,
        "activation_function": "gelu_new", "layer_norm_epsilon": EPSILON, "bos_token_id": end,
        "eos_token_id": end,
    }  # fmt: skip
    (FOLDER / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    weights = make_weights(size)
    save_file(weights, FOLDER / "model.safetensors", metadata={"format": "pt"})
    ids = tokenizer.encode(" ".join(TEXTS)).ids[:LENGTH]
    prompt = tokenizer.encode(PROMPT).ids
    known = list(prompt)
    while len(known) < LENGTH:
        known.append(int(gpt2(weights, known)[-1].argmax()))
    recorded = {
        "tokens": np.array(ids, np.int32),
        "logits": gpt2(weights, ids).astype(np.float32),
        "prompt": np.array(prompt, np.int32),
        "continued": np.array(known[len(prompt) :], np.int32),
    }
    save_file(recorded, FOLDER / "reference" / "outputs.safetensors")
    print(json.dumps({"tokens": len(ids), "vocabulary": size, "prompt": len(prompt)}))


def check() -> None:
    """Compare what was recorded with what `transformers` computes."""
    import torch  # pyright: ignore[reportMissingImports]
    from transformers import GPT2LMHeadModel  # pyright: ignore[reportMissingImports]

    model = GPT2LMHeadModel.from_pretrained(FOLDER).eval()
    recorded = load_file(FOLDER / "reference" / "outputs.safetensors")
    known = recorded["prompt"].tolist()
    with torch.no_grad():
        logits = model(torch.tensor(recorded["tokens"].astype(np.int64))[None]).logits[0].numpy()
        while len(known) < LENGTH:
            known.append(int(model(torch.tensor([known])).logits[0, -1].argmax()))
    apart = float(np.abs(logits - recorded["logits"]).max())
    same = known[len(recorded["prompt"]) :] == recorded["continued"].tolist()
    print(json.dumps({"largest_difference": apart, "same_text": same}))
    if apart > 1e-4 or not same:
        raise SystemExit(1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with transformers")
    if parser.parse_args().check:
        check()
    else:
        make()
