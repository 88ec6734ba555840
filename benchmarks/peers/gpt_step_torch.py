"""A GPT's steps in a PyTorch loop written for speed.

python gpt_step_torch.py SETTINGS_AS_JSON
"""

import json
import math
import statistics
import sys
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


class Block(nn.Module):
    def __init__(self, dim, heads, depth):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.mixed = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.hidden, self.last = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)
        for layer in (self.qkv, self.mixed, self.hidden, self.last):
            is_added = layer in (self.mixed, self.last)
            nn.init.normal_(layer.weight, std=0.02 / (math.sqrt(2 * depth) if is_added else 1))
            nn.init.zeros_(layer.bias)

    def forward(self, x):
        batch, length, dim = x.shape
        parts = self.qkv(self.norm1(x)).view(batch, length, 3, self.heads, -1).unbind(2)
        q, k, v = (each.transpose(1, 2) for each in parts)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.mixed(y.transpose(1, 2).reshape(batch, length, dim))
        return x + self.last(F.gelu(self.hidden(self.norm2(x)), approximate="tanh"))


class Gpt(nn.Module):
    def __init__(self, vocabulary_size, length, dim, depth, num_heads):
        super().__init__()
        self.embedding, self.positions = (
            nn.Embedding(vocabulary_size, dim),
            nn.Embedding(length, dim),
        )
        for table in (self.embedding, self.positions):
            nn.init.normal_(table.weight, std=0.02)
        self.blocks = nn.ModuleList(Block(dim, num_heads, depth) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)

    def forward(self, tokens, wanted):
        x = self.embedding(tokens) + self.positions.weight[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x)
        logits = F.linear(self.norm(x), self.embedding.weight)
        return F.cross_entropy(logits.flatten(0, 1).float(), wanted.flatten())


def main(given):
    torch.manual_seed(0)
    torch.set_float32_matmul_precision("high")
    size, steps, batch = given["size"], given["steps"], given["batch_size"]
    model = Gpt(**size).to(DEVICE)
    compiled = torch.compile(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, weight_decay=0.1, fused=True)
    shape = (steps * batch, size["length"] + 1)
    tokens = np.random.default_rng(0).integers(0, size["vocabulary_size"], shape)
    tokens = torch.from_numpy(tokens).to(DEVICE)
    seconds, begin = [], time.perf_counter()
    for _ in range(given["epochs"] + 1):
        total = 0.0
        for rows in torch.randperm(len(tokens), device=DEVICE).split(batch):
            chosen = tokens[rows]
            with torch.autocast(DEVICE, torch.bfloat16):
                loss = compiled(chosen[:, :-1], chosen[:, 1:])
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            total += loss.detach()
        loss = float(total) / steps
        seconds.append(time.perf_counter() - begin)
        begin = time.perf_counter()
    found = {
        "version": torch.__version__,
        "parameters": sum(each.numel() for each in model.parameters()),
        "position_parameters": model.positions.weight.numel(),
        "first_epoch_s": seconds[0],
        "step_s": statistics.median(seconds[1:]) / steps,
        "loss": loss,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
