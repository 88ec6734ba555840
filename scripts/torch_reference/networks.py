"""Whole networks, written in PyTorch's own layers under the names that Septet's have."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from attention import causal, sines
from layers import edges, first, last, same
from recording import Case, Numbers
from torch import nn  # pyright: ignore[reportMissingImports]
from torch.nn import functional  # pyright: ignore[reportMissingImports]
from torch.nn.utils.rnn import (  # pyright: ignore[reportMissingImports]
    pack_padded_sequence,
    pad_packed_sequence,
)

CASES: dict[str, Callable[[Numbers], Case]] = {}
MODES = (("training", True), ("inference", False))


class Mlp(nn.Module):
    """5 -> 6 -> 4 -> 3, normalised by the batch."""

    def __init__(self):
        super().__init__()
        for place, (before, after) in enumerate(((5, 6), (6, 4)), 1):
            self.add_module(f"hidden{place}", nn.Linear(before, after, bias=False))
            self.add_module(f"normalization{place}", nn.BatchNorm1d(after, eps=1e-3))
        self.outputs = nn.Linear(4, 3)

    def forward(self, features: Any) -> Any:
        for place in (1, 2):
            features = getattr(self, f"hidden{place}")(features)
            features = functional.gelu(getattr(self, f"normalization{place}")(features))
        return self.outputs(features)


class Tabular(nn.Module):
    """Two residual networks side by side over 3 numbers and 2 categories, of width 4."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(5, 2)
        self.dense = nn.Linear(7, 8)
        self.block_normalization = nn.BatchNorm1d(8, eps=1e-3)
        self.normalization = nn.BatchNorm1d(8, eps=1e-3)
        for name, units in (("block_dense1", 4), ("block_dense2", 4), ("outputs", 3)):
            self.register_parameter(f"{name}_kernel", nn.Parameter(torch.zeros(2, 4, units)))
            self.register_parameter(f"{name}_bias", nn.Parameter(torch.zeros(2, units)))

    def members(self, name: str, features: Any) -> Any:
        apart = features.unflatten(1, (2, 4))
        kernel, bias = getattr(self, f"{name}_kernel"), getattr(self, f"{name}_bias")
        return torch.einsum("bmi,mio->bmo", apart, kernel) + bias

    def forward(self, numbers: Any, categories: Any) -> Any:
        rows = self.embedding(categories.long() + torch.tensor([0, 2])).flatten(1)
        features = self.dense(torch.cat([numbers, rows], 1))
        hidden = self.members("block_dense1", self.block_normalization(features)).flatten(1)
        hidden = self.members("block_dense2", functional.silu(hidden)).flatten(1)
        features = functional.silu(self.normalization(features + hidden))
        outputs = self.members("outputs", features)
        return outputs if self.training else outputs.softmax(-1).mean(1).log()


def convolution(before: int, after: int, size: int = 3, stride: int = 1) -> Any:
    """Without bias; "same" where the stride is 1."""
    return nn.Conv2d(before, after, size, stride, size // 2 if stride == 1 else 0, bias=False)


class Pictures(nn.Module):
    """What `cnn` and `resnet` share."""

    def add(self, name: str, before: int, after: int, size: int = 3, stride: int = 1) -> None:
        self.add_module(name, convolution(before, after, size, stride))
        norm = nn.BatchNorm2d(after, momentum=0.05, eps=1e-3)
        self.add_module(f"{name}_normalization", norm)

    def convolved(self, x: Any, name: str, *, pool: bool = False) -> Any:
        layer = getattr(self, name)
        if layer.stride == (2, 2):
            x = functional.pad(x, edges(same(x.shape[2:], layer.kernel_size[0], 2)))
        x = layer(x)
        x = functional.max_pool2d(x, 2) if pool else x
        return getattr(self, f"{name}_normalization")(x)

    @staticmethod
    def normalised(pictures: Any) -> Any:
        mean, deviation = torch.tensor([100.0, 120.0, 140.0]), torch.tensor([50.0, 60.0, 70.0])
        return first((pictures.double() - mean) / deviation)


class Cnn(Pictures):
    """Stages of 3 and 4 filters with 1 and 2 convolutions on 8x8 pixels, 5 hidden units."""

    def __init__(self):
        super().__init__()
        self.add("stage1_convolution1", 3, 3)
        self.add("stage2_convolution1", 3, 4)
        self.add("stage2_convolution2", 4, 4)
        self.dense = nn.Linear(16, 5, bias=False)
        self.dense_normalization = nn.BatchNorm1d(5, momentum=0.05, eps=1e-3)
        self.logits = nn.Linear(5, 3)

    def forward(self, pictures: Any) -> Any:
        x = self.normalised(pictures)
        x = functional.relu(self.convolved(x, "stage1_convolution1", pool=True))
        x = functional.relu(self.convolved(x, "stage2_convolution1"))
        x = functional.relu(self.convolved(x, "stage2_convolution2", pool=True))
        x = self.dense(last(x).flatten(1))
        return self.logits(functional.relu(self.dense_normalization(x)))


class Resnet(Pictures):
    """Two stages of 3 and 4 filters, a block each."""

    def __init__(self):
        super().__init__()
        self.add("stem", 3, 3)
        for stage, before, after in ((1, 3, 3), (2, 3, 4)):
            self.add(f"stage{stage}_block1_convolution1", before, after, 3, stage)
            self.add(f"stage{stage}_block1_convolution2", after, after)
        self.add("stage2_block1_shortcut", 3, 4, 1, 2)
        self.logits = nn.Linear(4, 3)

    def forward(self, pictures: Any) -> Any:
        x = functional.relu(self.convolved(self.normalised(pictures), "stem"))
        for stage in (1, 2):
            short = x if stage == 1 else self.convolved(x, "stage2_block1_shortcut")
            inner = functional.relu(self.convolved(x, f"stage{stage}_block1_convolution1"))
            x = functional.relu(short + self.convolved(inner, f"stage{stage}_block1_convolution2"))
        return self.logits(x.mean((2, 3)))


def add(name: str, make: Callable[[], Any], inputs: Callable[[Numbers], dict], modes=MODES) -> None:
    """A network, in training and in inference."""
    for mode, is_training in modes:
        CASES[f"{name}: {mode}"] = lambda numbers, is_training=is_training: Case(
            make(),
            inputs(numbers),
            lambda module, **given: module(**given),
            is_training=is_training,
        )


def pictures_of(numbers: Numbers) -> dict[str, np.ndarray]:
    """Bytes."""
    return {"pictures": numbers.random.integers(0, 256, (5, 8, 8, 3)).astype(np.uint8)}


add("mlp", Mlp, lambda numbers: {"features": numbers.normal(6, 5)})
add(
    "tabular",
    Tabular,
    lambda numbers: {
        "numbers": numbers.normal(6, 3),
        "categories": np.stack([numbers.whole(2, 6), numbers.whole(3, 6)], 1),
    },
)
add("cnn", Cnn, pictures_of)
add("resnet", Resnet, pictures_of)


class Recurrent(nn.Module):
    """Two layers of 4 and 3 units, each in its own module."""

    def __init__(self, kind: str, is_bidirectional: bool, is_each_step: bool):
        super().__init__()
        self.kind, self.is_each_step = kind, is_each_step
        times = 2 if is_bidirectional else 1
        layer = {"simple": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[kind]
        settings = {"batch_first": True, "bidirectional": is_bidirectional}
        self.add_module(f"{kind}1", layer(2, 4, **settings))
        self.add_module(f"{kind}2", layer(4 * times, 3, **settings))
        self.outputs = nn.Linear(3 * times, 2)

    def forward(self, series: Any, lengths: Any) -> Any:
        x = pack_padded_sequence(series, lengths, batch_first=True, enforce_sorted=False)
        for place in (1, 2):
            x, after = getattr(self, f"{self.kind}{place}")(x)
        if self.is_each_step:
            sequence, _ = pad_packed_sequence(x, batch_first=True, total_length=series.shape[1])
            within = torch.arange(series.shape[1])[None] < lengths[:, None]
            return self.outputs(sequence) * within[..., None]
        hidden = after[0] if isinstance(after, tuple) else after
        return self.outputs(torch.cat(list(hidden), -1))


LENGTHS = np.array([2, 5, 4], np.int32)
for kind in ("simple", "lstm", "gru"):
    for is_bidirectional in (False, True):
        for is_each_step in (False, True):
            add(
                f"recurrent {kind}: "
                + ("both directions" if is_bidirectional else "one direction")
                + (", each step" if is_each_step else ""),
                lambda a=kind, b=is_bidirectional, c=is_each_step: Recurrent(a, b, c),
                lambda numbers: {"series": numbers.normal(3, 5, 2), "lengths": LENGTHS},
                modes=MODES[:1],
            )

DIM, HEADS, HIDDEN, TIME = 8, 2, 6, 5
MASK = np.arange(TIME)[None] < np.array([[5], [2], [3]])


def blocks(layer: Any, norm: str, activation: str) -> Any:
    """One block of PyTorch's."""
    return layer(DIM, HEADS, HIDDEN, 0.0, activation, batch_first=True, norm_first=norm == "pre")


class Encoder(nn.Module):
    """Two blocks, places learned, the mean of what is not padding."""

    def __init__(self, norm: str):
        super().__init__()
        self.embedding = nn.Embedding(7, DIM)
        self.positions = nn.Embedding(TIME, DIM)
        self.block1 = blocks(nn.TransformerEncoderLayer, norm, "gelu")
        self.block2 = blocks(nn.TransformerEncoderLayer, norm, "gelu")
        self.normalization = nn.LayerNorm(DIM) if norm == "pre" else nn.Identity()
        self.outputs = nn.Linear(DIM, 3)

    def forward(self, tokens: Any, mask: Any) -> Any:
        x = self.embedding(tokens.long()) + self.positions.weight[None]
        for block in (self.block1, self.block2):
            x = block(x, src_key_padding_mask=~mask)
        x = self.normalization(x) * mask[..., None]
        return self.outputs(x.sum(1) / mask.sum(1, keepdim=True))


class Decoder(nn.Module):
    """Two causal blocks, sines, the embedding's own vectors as weights of the logits."""

    def __init__(self, norm: str):
        super().__init__()
        self.embedding = nn.Embedding(7, DIM)
        self.block1 = blocks(nn.TransformerEncoderLayer, norm, "gelu")
        self.block2 = blocks(nn.TransformerEncoderLayer, norm, "gelu")
        self.normalization = nn.LayerNorm(DIM) if norm == "pre" else nn.Identity()

    def forward(self, tokens: Any) -> Any:
        x = self.embedding(tokens.long()) * DIM**0.5 + sines(TIME, DIM)
        for block in (self.block1, self.block2):
            x = block(x, src_mask=causal(TIME))
        return functional.linear(self.normalization(x), self.embedding.weight)


class EncoderDecoder(nn.Module):
    """A block each, sines, logits of their own."""

    def __init__(self, norm: str):
        super().__init__()
        self.source_embedding, self.target_embedding = nn.Embedding(7, DIM), nn.Embedding(6, DIM)
        self.encoder1 = blocks(nn.TransformerEncoderLayer, norm, "relu")
        self.decoder1 = blocks(nn.TransformerDecoderLayer, norm, "relu")
        self.memory = nn.LayerNorm(DIM) if norm == "pre" else nn.Identity()
        self.normalization = nn.LayerNorm(DIM) if norm == "pre" else nn.Identity()
        self.logits = nn.Linear(DIM, 6, bias=False)

    def forward(self, source: Any, source_mask: Any, target: Any) -> Any:
        memory = self.source_embedding(source.long()) * DIM**0.5 + sines(TIME, DIM)
        memory = self.memory(self.encoder1(memory, src_key_padding_mask=~source_mask))
        x = self.target_embedding(target.long()) * DIM**0.5 + sines(4, DIM)
        x = self.decoder1(x, memory, tgt_mask=causal(4), memory_key_padding_mask=~source_mask)
        return self.logits(self.normalization(x))


for norm in ("pre", "post"):
    mode = ((f"{norm}-norm", True),)
    add(
        "transformer-encoder",
        lambda norm=norm: Encoder(norm),
        lambda numbers: {"tokens": numbers.whole(7, 3, TIME), "mask": MASK},
        mode,
    )
    add(
        "transformer-decoder",
        lambda norm=norm: Decoder(norm),
        lambda numbers: {"tokens": numbers.whole(7, 3, TIME)},
        mode,
    )
    add(
        "transformer",
        lambda norm=norm: EncoderDecoder(norm),
        lambda numbers: {
            "source": numbers.whole(7, 3, TIME),
            "source_mask": MASK,
            "target": numbers.whole(6, 3, 4),
        },
        mode,
    )
