"""Layers without time: dense, convolutions, pooling, normalisation, embedding, activations."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from recording import Case, Numbers
from torch import nn  # pyright: ignore[reportMissingImports]
from torch.nn import functional  # pyright: ignore[reportMissingImports]

CASES: dict[str, Callable[[Numbers], Case]] = {}


def with_layer(layer: Any) -> Any:
    """A module that holds `layer` under that name."""
    module = nn.Module()
    module.layer = layer
    return module


def first(x: Any) -> Any:
    """Channels first."""
    return x.movedim(-1, 1)


def last(x: Any) -> Any:
    """Channels last."""
    return x.movedim(1, -1)


def edges(pads: Any) -> list[int]:
    """Zeros before and after each axis as `functional.pad` wants them: the last axis first."""
    return [number for pair in reversed(pads) for number in pair]


def same(sizes: Sequence[int], window: int, stride: int = 1, rate: int = 1) -> list[tuple]:
    """Zeros before and after, as TensorFlow's guide has them for "same"."""
    pads = []
    for size in sizes:
        total = max((math.ceil(size / stride) - 1) * stride + (window - 1) * rate + 1 - size, 0)
        pads.append((total // 2, total - total // 2))
    return pads


def add(name: str, layer: Any, shape: Sequence[int], **more: Any) -> None:
    """A layer on channels-last numbers; `pads` go around first, `crops` off afterwards."""
    pads: Any = more.pop("pads", None)
    crops: Any = more.pop("crops", ())
    is_plain: Any = more.pop("is_plain", False)

    def forward(module: Any, inputs: Any) -> Any:
        x = inputs if is_plain else first(inputs)
        if pads:
            x = functional.pad(x, edges(pads))
        x = module.layer(x)
        for axis, (low, high) in enumerate(crops, 2):
            x = x.narrow(axis, low, x.shape[axis] - low - high)
        return x if is_plain else last(x)

    def make(numbers: Numbers) -> Case:
        return Case(with_layer(layer()), {"inputs": numbers.normal(*shape)}, forward, **more)

    CASES[name] = make


add("Dense: rows", lambda: nn.Linear(5, 3), (4, 5), is_plain=True)
add("Dense: of a series, no bias", lambda: nn.Linear(4, 3, bias=False), (2, 3, 4), is_plain=True)

add("Conv1D: valid", lambda: nn.Conv1d(2, 3, 3), (2, 7, 2))
add("Conv1D: same, stride 2", lambda: nn.Conv1d(2, 3, 5, 2), (2, 8, 2), pads=same([8], 5, 2))
add("Conv1D: causal, dilated", lambda: nn.Conv1d(2, 3, 3, dilation=2), (2, 8, 2), pads=[(4, 0)])
add("Conv2D: valid", lambda: nn.Conv2d(2, 3, 3), (2, 6, 5, 2))
add("Conv2D: same", lambda: nn.Conv2d(3, 4, 3, padding=1), (2, 6, 5, 3))
add("Conv2D: same, one channel", lambda: nn.Conv2d(1, 4, 3, padding=1), (2, 6, 5, 1))
add(
    "Conv2D: same, even window",
    lambda: nn.Conv2d(2, 3, 4, bias=False),
    (2, 6, 5, 2),
    pads=same([6, 5], 4),
)
add("Conv2D: same, stride 2, odd", lambda: nn.Conv2d(2, 3, 3, 2, padding=1), (2, 7, 7, 2))
add("Conv2D: same, stride 2", lambda: nn.Conv2d(2, 3, 3, 2), (2, 8, 6, 2), pads=same([8, 6], 3, 2))
add("Conv2D: valid, stride 3", lambda: nn.Conv2d(2, 3, 2, 3), (1, 8, 8, 2))
add("Conv2D: 1x1, stride 2", lambda: nn.Conv2d(3, 2, 1, 2), (2, 6, 6, 3))
add(
    "Conv2D: same, dilated",
    lambda: nn.Conv2d(2, 3, 3, dilation=2, padding=2),
    (1, 7, 7, 2),
)
add("Conv2D: two groups", lambda: nn.Conv2d(4, 6, 3, padding=1, groups=2), (1, 5, 5, 4))
add("Conv3D: valid", lambda: nn.Conv3d(2, 3, 2), (1, 4, 4, 3, 2))
add(
    "Conv3D: same, stride 2",
    lambda: nn.Conv3d(2, 2, 3, 2),
    (1, 4, 5, 4, 2),
    pads=same([4, 5, 4], 3, 2),
)
add("DepthwiseConv1D: valid", lambda: nn.Conv1d(3, 6, 3, groups=3), (2, 7, 3))
add("DepthwiseConv2D: same", lambda: nn.Conv2d(3, 3, 3, padding=1, groups=3), (2, 6, 5, 3))
add("DepthwiseConv2D: two each, stride 2", lambda: nn.Conv2d(2, 4, 3, 2, groups=2), (2, 7, 7, 2))
add(
    "SeparableConv2D: same",
    lambda: nn.Sequential(nn.Conv2d(3, 6, 3, padding=1, groups=3, bias=False), nn.Conv2d(6, 2, 1)),
    (2, 6, 5, 3),
)
add("Conv1DTranspose: valid, stride 2", lambda: nn.ConvTranspose1d(2, 3, 3, 2), (2, 5, 2))
add("Conv2DTranspose: valid, stride 2", lambda: nn.ConvTranspose2d(2, 3, 3, 2), (2, 4, 3, 2))
add(
    "Conv2DTranspose: same, stride 2",
    lambda: nn.ConvTranspose2d(2, 3, 3, 2),
    (2, 4, 3, 2),
    crops=[(0, 1), (0, 1)],
)
add(
    "Conv2DTranspose: same, even window, stride 2",
    lambda: nn.ConvTranspose2d(3, 2, 4, 2, padding=1),
    (2, 4, 3, 3),
)
add("Conv2DTranspose: same", lambda: nn.ConvTranspose2d(2, 3, 3, padding=1), (2, 4, 5, 2))
add("Conv3DTranspose: valid, stride 2", lambda: nn.ConvTranspose3d(2, 2, 2, 2), (1, 3, 2, 3, 2))

add("MaxPooling1D: tiles", lambda: nn.MaxPool1d(2), (2, 7, 3))
add("MaxPooling2D: tiles", lambda: nn.MaxPool2d(2), (2, 6, 7, 3))
add("MaxPooling2D: overlapping", lambda: nn.MaxPool2d(3, 2), (2, 7, 8, 2))
add("MaxPooling2D: same", lambda: nn.MaxPool2d(3, 2, padding=1), (2, 7, 7, 2))
add("MaxPooling3D: tiles", lambda: nn.MaxPool3d(2), (1, 4, 4, 4, 2))
add("AveragePooling1D: tiles", lambda: nn.AvgPool1d(2), (2, 7, 3))
add("AveragePooling2D: tiles", lambda: nn.AvgPool2d(2), (2, 6, 7, 3))
add("AveragePooling2D: overlapping", lambda: nn.AvgPool2d(3, 2), (2, 7, 8, 2))
add(
    "AveragePooling2D: same",
    lambda: nn.AvgPool2d(3, 2, padding=1, count_include_pad=False),
    (2, 7, 7, 2),
)
add("AveragePooling3D: tiles", lambda: nn.AvgPool3d(2), (1, 4, 4, 4, 2))
add(
    "GlobalAveragePooling2D: all",
    lambda: nn.AdaptiveAvgPool2d(1),
    (2, 5, 4, 3),
)
add(
    "GlobalMaxPooling2D: all",
    lambda: nn.AdaptiveMaxPool2d(1),
    (2, 5, 4, 3),
)
add("UpSampling2D: nearest", lambda: nn.Upsample(scale_factor=2), (2, 3, 4, 2))
add(
    "UpSampling2D: bilinear",
    lambda: nn.Upsample(scale_factor=2, mode="bilinear"),
    (2, 3, 4, 2),
)

for mode, is_training in (("training", True), ("inference", False)):
    norm: dict[str, Any] = {"momentum": 0.1, "eps": 1e-3}
    add(
        f"BatchNormalization: rows, {mode}",
        lambda norm=norm: nn.BatchNorm1d(3, **norm),
        (6, 3),
        is_training=is_training,
    )
    add(
        f"BatchNormalization: pictures, {mode}",
        lambda norm=norm: nn.BatchNorm2d(3, **norm),
        (3, 4, 3, 3),
        is_training=is_training,
    )
add("LayerNormalization: last axis", lambda: nn.LayerNorm(5), (2, 3, 5), is_plain=True)
add("GroupNormalization: two groups", lambda: nn.GroupNorm(2, 4), (2, 4, 3, 4))
add("RMSNormalization: last axis", lambda: nn.RMSNorm(5, eps=1e-6), (2, 3, 5), is_plain=True)


def embedding(numbers: Numbers) -> Case:
    """Whole numbers to rows."""
    return Case(
        with_layer(nn.Embedding(7, 3)),
        {"tokens": numbers.whole(7, 2, 5)},
        lambda module, tokens: module.layer(tokens.long()),
    )


CASES["Embedding: rows of a table"] = embedding

ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "relu": functional.relu,
    "gelu": functional.gelu,
    "gelu, tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "silu": functional.silu,
    "elu": functional.elu,
    "selu": functional.selu,
    "leaky_relu": lambda x: functional.leaky_relu(x, 0.2),
    "softplus": functional.softplus,
    "softsign": functional.softsign,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "mish": functional.mish,
    "hard_sigmoid": functional.hardsigmoid,
    "softmax": lambda x: functional.softmax(x, -1),
    "log_softmax": lambda x: functional.log_softmax(x, -1),
}


def activations(numbers: Numbers) -> Case:
    """Each activation, from -6 to 6, and a softmax over far numbers."""
    inputs = numbers.normal(3, 5, scale=2.0)
    inputs[0, 0] = 30.0
    inputs = inputs + np.where(np.abs(inputs) < 1e-2, 0.5, 0.0)  # none at a corner
    return Case(
        nn.Module(),
        {"inputs": inputs},
        lambda module, inputs: [function(inputs) for function in ACTIVATIONS.values()],
    )


CASES["Activation: " + ", ".join(ACTIVATIONS)] = activations
