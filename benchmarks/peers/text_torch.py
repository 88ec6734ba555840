"""The same GPT in a plain PyTorch loop, for so many minutes of training, and writing.

    python text_torch.py SETTINGS_AS_JSON

As one would write it by hand: fused projections, `scaled_dot_product_attention`, fused AdamW
where there is one, windows gathered from one tensor, a cache of keys and values written in place.
"""

import json
import math
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

TEMPERATURES = (0.0, 0.8)


class Block(nn.Module):
    def __init__(self, dim, heads, hidden, epsilon, depth):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim, epsilon), nn.LayerNorm(dim, epsilon)
        self.qkv, self.mixed = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.hidden, self.last = nn.Linear(dim, hidden), nn.Linear(hidden, dim)
        for layer in (self.qkv, self.mixed, self.hidden, self.last):
            is_added = layer in (self.mixed, self.last)
            nn.init.normal_(layer.weight, std=0.02 / (math.sqrt(2 * depth) if is_added else 1))
            nn.init.zeros_(layer.bias)

    def forward(self, x, cosines, sines, cache=None, place=0):
        batch, time_, dim = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(batch, time_, 3, self.heads, -1).unbind(2)
        q, k, v = (each.transpose(1, 2) for each in (q, k, v))
        q, k = turned(q, cosines, sines), turned(k, cosines, sines)
        if cache is not None:
            cache[0][:, :, place : place + time_] = k
            cache[1][:, :, place : place + time_] = v
            k, v = cache[0][:, :, : place + time_], cache[1][:, :, : place + time_]
        y = F.scaled_dot_product_attention(q, k, v, is_causal=time_ > 1)
        x = x + self.mixed(y.transpose(1, 2).reshape(batch, time_, dim))
        return x + self.last(F.gelu(self.hidden(self.norm2(x)), approximate="tanh"))


def turned(x, cosines, sines):
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cosines - second * sines, second * cosines + first * sines], -1)


class Gpt(nn.Module):
    def __init__(self, given):
        super().__init__()
        dim, depth, heads = given["dim"], given["depth"], given["num_heads"]
        epsilon = given.get("epsilon", 1e-5)
        hidden = given.get("feed_forward_dim") or 4 * dim
        self.embedding = nn.Embedding(given["vocabulary_size"], dim)
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.blocks = nn.ModuleList(Block(dim, heads, hidden, epsilon, depth) for _ in range(depth))
        self.norm = nn.LayerNorm(dim, epsilon)
        half = dim // heads // 2
        rates = torch.exp(-math.log(10_000.0) * torch.arange(half) / half)
        angles = torch.arange(given["length"])[:, None] * rates[None]
        self.register_buffer("cosines", angles.cos())
        self.register_buffer("sines", angles.sin())

    def forward(self, tokens, caches=None, place=0):
        rows = slice(place, place + tokens.shape[1])
        x = self.embedding(tokens)
        for number, block in enumerate(self.blocks):
            cache = None if caches is None else caches[number]
            x = block(x, self.cosines[rows], self.sines[rows], cache, place)
        if caches is not None:
            x = x[:, -1:]
        return self.norm(x) @ self.embedding.weight.T


def one_cycle(progress, warmup):
    """Septet's schedule of that name."""
    if progress < warmup:
        return 0.04 + 0.96 * 0.5 * (1 - math.cos(math.pi * progress / warmup))
    fall = (progress - warmup) / (1 - warmup)
    return 1e-3 + (1 - 1e-3) * 0.5 * (1 + math.cos(math.pi * fall))


def train(model, data, shared, seconds, seed):
    """Tokens a second, median over steps."""
    settings, length = shared["training"], shared["length"]
    batch = settings["batch_size"]
    tokens = torch.from_numpy(data["train"]).long()
    random = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings["learning_rate"], weight_decay=settings["weight_decay"],
        fused=True,
    )  # fmt: skip
    count = (len(tokens) - 1) // length
    span, order, taken = torch.arange(length + 1), None, 0
    begin, speeds = time.perf_counter(), []
    while (spent := time.perf_counter() - begin) < seconds:
        if order is None or taken + batch > count:
            shift = int(torch.randint(len(tokens) - count * length, (1,), generator=random))
            order, taken = torch.randperm(count, generator=random) * length + shift, 0
        rows = tokens[order[taken : taken + batch, None] + span]
        taken += batch
        for group in optimizer.param_groups:
            scale = one_cycle(spent / seconds, settings["warmup"])
            group["lr"] = settings["learning_rate"] * scale
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        logits = model(rows[:, :-1])
        F.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), settings["clip_norm"])
        optimizer.step()
        speeds.append(batch * length / (time.perf_counter() - start))
    return statistics.median(speeds[len(speeds) // 5 :])


@torch.inference_mode()
def bits_per_character(model, data):
    inputs, targets = (torch.from_numpy(data[f"test_{n}"]).long() for n in ("inputs", "targets"))
    nats = 0.0
    for at in range(0, len(inputs), 16):
        logits, wanted = model(inputs[at : at + 16]), targets[at : at + 16]
        lost = F.cross_entropy(logits.flatten(0, 1), wanted.flatten(), reduction="none")
        nats += float(lost[wanted.flatten() != 0].double().sum())
    return nats / math.log(2) / int(data["characters"][data["test_targets"]].sum())


def copy_weights(model, arrays):
    """Septet's weights into the same network here."""
    names = {"embedding.weight": "embedding/table", "norm.weight": "normalization/gamma"}
    names["norm.bias"] = "normalization/beta"
    for number in range(len(model.blocks)):
        ours, theirs = f"blocks.{number}.", f"block{number + 1}/"
        for mine, part in (("norm1", "attention_normalization"), ("norm2", "dense_normalization")):
            names[f"{ours}{mine}.weight"] = f"{theirs}{part}/gamma"
            names[f"{ours}{mine}.bias"] = f"{theirs}{part}/beta"
        for part in ("qkv", "mixed", "hidden", "last"):
            names[f"{ours}{part}.weight"] = f"{theirs}{part}/kernel"
            names[f"{ours}{part}.bias"] = f"{theirs}{part}/bias"
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            array = torch.from_numpy(arrays[names[name]])
            parameter.copy_(array.T if names[name].endswith("kernel") else array)


@torch.inference_mode()
def write(model, prompt, count, length, temperature):
    """Tokens one after another, the likeliest at temperature 0, otherwise drawn.

    What does not fit is gone on from its last half.
    """
    weight = model.blocks[0].qkv.weight
    heads = model.blocks[0].heads
    shape = (1, heads, length, weight.shape[1] // heads)
    banned = torch.arange(4)
    known, caches, place = list(prompt), None, length
    written = []
    while len(written) < count:
        if place >= length:
            context = known if caches is None else known[-(length // 2) :]
            caches = [(torch.zeros(shape), torch.zeros(shape)) for _ in model.blocks]
            logits = model(torch.tensor([context]), caches, 0)[0, -1]
            place = len(context)
        logits[banned] = -math.inf
        if temperature:
            token = int(torch.multinomial(torch.softmax(logits / temperature, -1), 1))
        else:
            token = int(logits.argmax())
        written.append(token)
        known.append(token)
        logits = model(torch.tensor([[token]]), caches, place)[0, -1]
        place += 1
    return written


def main(given):
    folder = Path(given["folder"])
    shared = json.loads((folder / "shared.json").read_text())
    data = np.load(folder / "tokens.npz")
    torch.manual_seed(given["seed"])
    # As XLA has it: numbers too small to be normal would slow it down by a third within minutes.
    torch.set_flush_denormal(True)
    model = Gpt(shared["arguments"])
    found = {}
    if given["trains"]:
        speed = train(model, data, shared, 60 * given["minutes"], given["seed"])
        model.eval()
        found = {
            "bits_per_character": bits_per_character(model, data),
            "parameters": sum(p.numel() for p in model.parameters()),
            "train_tokens_per_s": speed,
        }
    model.eval()
    copy_weights(model, np.load(folder / "weights.npz"))
    told = shared["prompt"], given["tokens"], shared["length"]
    for temperature in TEMPERATURES:
        write(model, *told, temperature)
    for temperature in TEMPERATURES:
        seconds = []
        for _ in range(given["repeats"]):
            begin = time.perf_counter()
            written = write(model, *told, temperature)
            seconds.append(time.perf_counter() - begin)
        found[f"write_tokens_per_s at {temperature}"] = given["tokens"] / statistics.median(seconds)
        if not temperature:
            found["written"] = written
    print(json.dumps(found))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
