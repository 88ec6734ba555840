"""The same encoder-decoder Transformer in a plain eager PyTorch loop, for so many seconds.

    python translation_torch.py TOKENS.npz SETTINGS_JSON FOUND.json

Batches hold about so many target tokens of sentences of about one length, in a new order each
epoch; AdamW, a cosine over the time with a warm-up, an average of the weights. Prints JSON, and
writes what greedy search with a kept source, but without a cache, finds for the test.
"""

import json
import math
import sys
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional

PAD, START, END = 0, 2, 3


class Translator(nn.Module):
    """`nn.Transformer`, normalised first, with one table for source, target and logits."""

    def __init__(self, how):
        super().__init__()
        self.dim = how["dim"]
        self.table = nn.Embedding(how["vocabulary_size"], self.dim)
        nn.init.normal_(self.table.weight, std=self.dim**-0.5)
        self.network = nn.Transformer(
            self.dim, how["num_heads"], how["depth"], how["depth"], how["feed_forward_dim"],
            how["dropout"], batch_first=True, norm_first=True,
        )  # fmt: skip
        self.dropout = nn.Dropout(how["dropout"])
        half = self.dim // 2
        rates = torch.exp(-math.log(10_000.0) * torch.arange(half) / (half - 1))
        angles = torch.arange(how["length"])[:, None] * rates[None]
        self.register_buffer("positions", torch.cat([angles.sin(), angles.cos()], 1))

    def embed(self, tokens):
        vectors = self.table(tokens) * math.sqrt(self.dim) + self.positions[: tokens.shape[1]]
        return self.dropout(vectors)

    def remember(self, source):
        return self.network.encoder(self.embed(source), src_key_padding_mask=source == PAD)

    def answer(self, memory, source, target):
        later = torch.ones(target.shape[1], target.shape[1], dtype=torch.bool).triu(1)
        features = self.network.decoder(
            self.embed(target), memory, tgt_mask=later, memory_key_padding_mask=source == PAD
        )
        return features @ self.table.weight.T

    def forward(self, source, target):
        return self.answer(self.remember(source), source, target)


def sequences(arrays, name):
    ends = np.cumsum(arrays[f"{name}_lengths"])[:-1]
    return np.split(arrays[name], ends)


def padded(rows, before=(), after=()):
    rows = [[*before, *row, *after] for row in rows]
    width = max(map(len, rows))
    return torch.tensor([row + [PAD] * (width - len(row)) for row in rows])


def batches(sources, targets, tokens, draw, most=256):
    """Rows of each batch: sorted by length with a little noise, cut by tokens, in a new order."""
    sizes = np.array([max(len(s), len(t)) for s, t in zip(sources, targets, strict=True)]) + 1
    order = np.argsort(sizes + draw.uniform(0, 2, len(sizes)), kind="stable")
    found, batch = [], []
    for row in order[sizes[order] <= most]:
        if batch and (len(batch) + 1) * sizes[row] > tokens:
            found.append(batch)
            batch = []
        batch.append(row)
    found.append(batch)
    draw.shuffle(found)
    return found


def rate(share, warmup):
    if share < warmup:
        return share / warmup
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (share - warmup) / (1 - warmup))))


@torch.inference_mode()
def greedy(model, sources, growth, size=64):
    found = [None] * len(sources)
    order = sorted(range(len(sources)), key=lambda row: len(sources[row]))
    for at in range(0, len(order), size):
        rows = order[at : at + size]
        source = padded([sources[row] for row in rows], after=[END])
        memory = model.remember(source)
        target = torch.full((len(rows), 1), START)
        for _ in range(math.ceil(source.shape[1] * growth) + 8):
            logits = model.answer(memory, source, target)[:, -1]
            logits[:, : START + 1] = -1e9
            token = logits.argmax(1)
            over = (target[:, 1:] == END).any(1)
            target = torch.cat([target, torch.where(over, END, token)[:, None]], 1)
            if (target[:, 1:] == END).any(1).all():
                break
        for row, tokens in zip(rows, target[:, 1:].tolist(), strict=True):
            found[row] = tokens[: tokens.index(END)] if END in tokens else tokens
    return found


def main(path, settings, out):
    how = json.loads(settings)
    torch.manual_seed(how["seed"])
    # As XLA has it: numbers too small to be normal may slow it down.
    torch.set_flush_denormal(True)
    draw = np.random.default_rng(how["seed"])
    arrays = dict(np.load(path))
    sources, targets = (sequences(arrays, f"train_{side}") for side in ("source", "target"))
    model = Translator(how)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=how["learning_rate"], weight_decay=how["weight_decay"]
    )
    average = {name: value.detach().clone() for name, value in model.named_parameters()}
    start, steps, seen, epochs = time.monotonic(), 0, 0, 0
    is_over = False
    while not is_over:
        for rows in batches(sources, targets, how["tokens"], draw):
            share = (time.monotonic() - start) / how["seconds"]
            if share >= 1:
                is_over = True
                break
            for group in optimizer.param_groups:
                group["lr"] = how["learning_rate"] * rate(share, how["warmup"])
            source = padded([sources[row] for row in rows], after=[END])
            target = padded([targets[row] for row in rows], before=[START])
            labels = padded([targets[row] for row in rows], after=[END])
            optimizer.zero_grad()
            logits = model(source, target)
            loss = functional.cross_entropy(
                logits.flatten(0, 1), labels.flatten(), ignore_index=PAD,
                label_smoothing=how["smoothing"],
            )  # fmt: skip
            loss.backward()
            if how["clip_norm"]:
                nn.utils.clip_grad_norm_(model.parameters(), how["clip_norm"])
            optimizer.step()
            steps += 1
            seen += int((labels != PAD).sum())
            if how["average_decay"]:
                decay = min(how["average_decay"], (1 + steps) / (10 + steps))
                with torch.no_grad():
                    for name, value in model.named_parameters():
                        average[name].lerp_(value, 1 - decay)
        else:
            epochs += 1
    seconds = time.monotonic() - start
    if how["average_decay"]:
        with torch.no_grad():
            for name, value in model.named_parameters():
                value.copy_(average[name])
    model.eval()
    with open(out, "w", encoding="utf-8") as file:
        json.dump(greedy(model, sequences(arrays, "test_source"), how["growth"]), file)
    count = sum(value.numel() for value in model.parameters())
    print(json.dumps({
        "torch": torch.__version__, "parameters": count, "steps": steps, "epochs": epochs,
        "target_tokens": seen, "seconds": round(seconds, 1), "loss": float(loss),
    }))  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
