"""Attention, the blocks of Transformers, and positions."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from recording import Case, Numbers
from torch import nn  # pyright: ignore[reportMissingImports]

CASES: dict[str, Callable[[Numbers], Case]] = {}
DIM, HEADS, HIDDEN, TIME, MEMORY = 8, 2, 6, 4, 5
MASK = np.arange(TIME)[None] < np.array([[4], [2], [3]])
MEMORY_MASK = np.arange(MEMORY)[None] < np.array([[5], [1], [4]])


def causal(time: int) -> Any:
    """True where a place must not look."""
    return torch.triu(torch.ones(time, time, dtype=torch.bool), 1)


def attention(is_causal: bool = False, is_masked: bool = False, is_cross: bool = False) -> Any:
    """One combination."""

    def case(numbers: Numbers) -> Case:
        module = nn.Module()
        module.layer = nn.MultiheadAttention(DIM, HEADS, batch_first=True)
        inputs = {"features": numbers.normal(3, TIME, DIM)}
        if is_cross:
            inputs["memory"] = numbers.normal(3, MEMORY, DIM)
        if is_masked:
            inputs["mask"] = MEMORY_MASK if is_cross else MASK

        def forward(module: Any, features: Any, memory: Any = None, mask: Any = None) -> Any:
            keys = features if memory is None else memory
            return module.layer(
                features,
                keys,
                keys,
                key_padding_mask=None if mask is None else ~mask,
                attn_mask=causal(TIME) if is_causal else None,
                need_weights=False,
            )[0]

        return Case(module, inputs, forward)

    return case


CASES["attention: all"] = attention()
CASES["attention: padding"] = attention(is_masked=True)
CASES["attention: causal"] = attention(is_causal=True)
CASES["attention: padding and causal"] = attention(is_masked=True, is_causal=True)
CASES["attention: to a memory"] = attention(is_cross=True)
CASES["attention: to a padded memory"] = attention(is_cross=True, is_masked=True)


def encoder_layer(norm: str, activation: str) -> Any:
    """Of PyTorch, with padding."""

    def case(numbers: Numbers) -> Case:
        module = nn.Module()
        module.layer = nn.TransformerEncoderLayer(
            DIM, HEADS, HIDDEN, 0.0, activation, batch_first=True, norm_first=norm == "pre"
        )
        return Case(
            module,
            {"features": numbers.normal(3, TIME, DIM), "mask": MASK},
            lambda module, features, mask: module.layer(features, src_key_padding_mask=~mask),
        )

    return case


def decoder_layer(norm: str, activation: str) -> Any:
    """Of PyTorch, causal, with a padded memory."""

    def case(numbers: Numbers) -> Case:
        module = nn.Module()
        module.layer = nn.TransformerDecoderLayer(
            DIM, HEADS, HIDDEN, 0.0, activation, batch_first=True, norm_first=norm == "pre"
        )
        inputs = {
            "features": numbers.normal(3, TIME, DIM),
            "memory": numbers.normal(3, MEMORY, DIM),
            "mask": MEMORY_MASK,
        }
        return Case(
            module,
            inputs,
            lambda module, features, memory, mask: module.layer(
                features, memory, tgt_mask=causal(TIME), memory_key_padding_mask=~mask
            ),
        )

    return case


for norm in ("pre", "post"):
    for activation in ("relu", "gelu"):
        CASES[f"encoder block: {norm}-norm, {activation}"] = encoder_layer(norm, activation)
        CASES[f"decoder block: {norm}-norm, {activation}"] = decoder_layer(norm, activation)


def sines(length: int, dim: int) -> Any:
    """Of the authors' own code: sines of all rates, then cosines (arXiv:1706.03762)."""
    half = dim // 2
    place = torch.arange(length, dtype=torch.float64)[:, None]
    angles = place / 10_000.0 ** (torch.arange(half, dtype=torch.float64) / (half - 1))
    return torch.cat([torch.sin(angles), torch.cos(angles)], 1)


def sinusoidal(numbers: Numbers) -> Case:
    """Added sines."""
    return Case(
        nn.Module(),
        {"features": numbers.normal(2, 6, DIM)},
        lambda module, features: features + sines(6, DIM),
    )


def learned(numbers: Numbers) -> Case:
    """Added rows of an embedding of places."""
    module = nn.Module()
    module.layer = nn.Embedding(9, DIM)
    return Case(
        module,
        {"features": numbers.normal(2, 6, DIM)},
        lambda module, features: features + module.layer(torch.arange(6)),
    )


def turned(vectors: Any, places: Any) -> Any:
    """[batch, time, heads, dim] whose halves are complex numbers, times unit numbers."""
    half = vectors.shape[-1] // 2
    rates = 10_000.0 ** (-torch.arange(half, dtype=torch.float64) / half)
    angles = places[:, None] * rates
    units = torch.polar(torch.ones_like(angles), angles)[None, :, None]
    result = torch.complex(vectors[..., :half], vectors[..., half:]) * units
    return torch.cat([result.real, result.imag], -1)


def rotary(numbers: Numbers) -> Case:
    """Turned by complex numbers, from place 3 on."""
    return Case(
        nn.Module(),
        {"vectors": numbers.normal(2, 6, 2, 8)},
        lambda module, vectors: turned(vectors, torch.arange(3, 9, dtype=torch.float64)),
    )


def rotary_attention(numbers: Numbers) -> Case:
    """Causal attention whose queries and keys are turned."""
    module = nn.Module()
    for name in ("query", "key", "value", "output"):
        module.add_module(name, nn.Linear(DIM, DIM))

    def forward(module: Any, features: Any) -> Any:
        heads = [
            getattr(module, name)(features).unflatten(-1, (HEADS, DIM // HEADS))
            for name in ("query", "key", "value")
        ]
        places = torch.arange(TIME, dtype=torch.float64)
        query, key = (turned(part, places) for part in heads[:2])
        mixed = nn.functional.scaled_dot_product_attention(
            query.transpose(1, 2), key.transpose(1, 2), heads[2].transpose(1, 2), is_causal=True
        )
        return module.output(mixed.transpose(1, 2).flatten(2))

    return Case(module, {"features": numbers.normal(3, TIME, DIM)}, forward)


CASES["positions: sinusoidal"] = sinusoidal
CASES["positions: learned"] = learned
CASES["positions: rotary"] = rotary
CASES["attention: rotary, causal"] = rotary_attention
