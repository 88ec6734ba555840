"""Which of PyTorch's arrays a layer's variables are copies of, and how their axes are turned."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers

from septet.models.spectral import SpectralNormalization
from septet.models.transformer_layers import (
    AddLearned,
    Attention,
    Block,
    TiedLogits,
    TokenEmbedding,
)


@dataclass(frozen=True)
class Copy:
    """One variable.

    Args:
        variable: Of Keras.
        names: PyTorch's arrays that `turn` takes.
        turn: From PyTorch's axes; linear, so that it holds for gradients, too.
        added: An array to add to the first: PyTorch's recurrent layers have two biases where
            Keras has their sum, whose gradient is that of either.
    """

    variable: Any
    names: tuple[str, ...]
    turn: Callable[..., np.ndarray] = lambda array: array
    added: str | None = None

    def value(self, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        """Of weights."""
        first, *rest = (arrays[name] for name in self.names)
        return self.turn(first if self.added is None else first + arrays[self.added], *rest)

    def gradient(self, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        """Of their gradients."""
        return self.turn(*(arrays[name] for name in self.names))


def copies(layer: Any, prefix: str) -> Iterable[Copy]:
    """Of all variables of `layer`, from the arrays below `prefix`."""
    for kinds, rule in RULES:
        if isinstance(layer, kinds):
            yield from rule(layer, f"{prefix}." if prefix else "")
            return
    raise TypeError(f"No rule copies a {type(layer).__name__}.")


def conv_axes(array: np.ndarray) -> np.ndarray:
    """[out, in, *window] to [*window, in, out]; the same turns [in, out, *window] about."""
    return np.moveaxis(array, (0, 1), (-1, -2))


def with_bias(layer: Any, prefix: str, turn: Any, weight: str = "weight") -> Iterable[Copy]:
    yield Copy(layer.kernel, (prefix + weight,), turn)
    if layer.bias is not None:
        yield Copy(layer.bias, (prefix + "bias",))


def dense(layer: Any, prefix: str) -> Iterable[Copy]:
    return with_bias(layer, prefix, np.transpose)


def convolution(layer: Any, prefix: str) -> Iterable[Copy]:
    return with_bias(layer, prefix, conv_axes)


def depthwise_axes(channels: int) -> Any:
    """[channels * each, 1, *window] to [*window, channels, each]."""

    def turn(array: np.ndarray) -> np.ndarray:
        return np.moveaxis(array.reshape(channels, -1, *array.shape[2:]), (0, 1), (-2, -1))

    return turn


def depthwise(layer: Any, prefix: str) -> Iterable[Copy]:
    return with_bias(layer, prefix, depthwise_axes(layer.kernel.shape[-2]))


def separable(layer: Any, prefix: str) -> Iterable[Copy]:
    channels = layer.depthwise_kernel.shape[-2]
    yield Copy(layer.depthwise_kernel, (f"{prefix}0.weight",), depthwise_axes(channels))
    yield Copy(layer.pointwise_kernel, (f"{prefix}1.weight",), conv_axes)
    yield Copy(layer.bias, (f"{prefix}1.bias",))


def einsum(layer: Any, prefix: str) -> Iterable[Copy]:
    """Its kernel and bias stand beside modules, as they are."""
    stem = prefix[:-1]
    yield Copy(layer.kernel, (f"{stem}_kernel",))
    yield Copy(layer.bias, (f"{stem}_bias",))


def batch_norm(layer: Any, prefix: str) -> Iterable[Copy]:
    yield Copy(layer.gamma, (f"{prefix}weight",))
    yield Copy(layer.beta, (f"{prefix}bias",))
    yield Copy(layer.moving_mean, (f"{prefix}running_mean",))
    yield Copy(layer.moving_variance, (f"{prefix}running_var",))


def layer_norm(layer: Any, prefix: str) -> Iterable[Copy]:
    yield Copy(layer.gamma, (f"{prefix}weight",))
    yield Copy(layer.beta, (f"{prefix}bias",))


def rms_norm(layer: Any, prefix: str) -> Iterable[Copy]:
    yield Copy(layer.scale, (f"{prefix}weight",))


def embedding(layer: Any, prefix: str) -> Iterable[Copy]:
    yield Copy(layer.embeddings, (f"{prefix}weight",))


def token_embedding(layer: Any, prefix: str) -> Iterable[Copy]:
    yield Copy(layer.table, (f"{prefix}weight",))


def simple_or_lstm(layer: Any, prefix: str, ending: str = "") -> Iterable[Copy]:
    """Both order their gates alike; `prefix` ends with the number of PyTorch's layer."""
    module, end = prefix.removesuffix(".").rsplit(":", 1)
    end = f"{end}{ending}"
    yield Copy(layer.cell.kernel, (f"{module}.weight_ih_{end}",), np.transpose)
    yield Copy(layer.cell.recurrent_kernel, (f"{module}.weight_hh_{end}",), np.transpose)
    yield Copy(layer.cell.bias, (f"{module}.bias_ih_{end}",), added=f"{module}.bias_hh_{end}")


def gru(layer: Any, prefix: str, ending: str = "") -> Iterable[Copy]:
    """Reset and update gate change places."""
    module, end = prefix.removesuffix(".").rsplit(":", 1)
    end = f"{end}{ending}"

    def turned(array: np.ndarray) -> np.ndarray:
        reset, update, new = np.split(array, 3)
        return np.concatenate([update, reset, new]).T

    yield Copy(layer.cell.kernel, (f"{module}.weight_ih_{end}",), turned)
    yield Copy(layer.cell.recurrent_kernel, (f"{module}.weight_hh_{end}",), turned)
    yield Copy(
        layer.cell.bias,
        (f"{module}.bias_ih_{end}", f"{module}.bias_hh_{end}"),
        lambda first, second: np.stack([turned(first), turned(second)]),
    )


def both_directions(layer: Any, prefix: str) -> Iterable[Copy]:
    for part, ending in ((layer.forward_layer, ""), (layer.backward_layer, "_reverse")):
        rule = gru if isinstance(part, layers.GRU) else simple_or_lstm
        yield from rule(part, prefix, ending)


def third(place: int, turn: Any) -> Any:
    """Of the one array that PyTorch keeps queries', keys' and values' weights in."""
    return lambda array: turn(np.split(array, 3)[place])


def projections(parts: Any, prefix: str, turn: Any, turn_bias: Any) -> Iterable[Copy]:
    for place, part in enumerate(parts):
        yield Copy(part.kernel, (f"{prefix}in_proj_weight",), third(place, turn))
        yield Copy(part.bias, (f"{prefix}in_proj_bias",), third(place, turn_bias))


def attention(layer: Any, prefix: str) -> Iterable[Copy]:
    """Septet's, from PyTorch's or from four dense layers."""
    parts = (layer.query, layer.key, layer.value)
    if not prefix:
        for part in (*parts, layer.output_projection):
            yield from dense(part, f"{part.name}.")
        return
    yield from projections(parts, prefix, np.transpose, lambda array: array)
    yield from dense(layer.output_projection, f"{prefix}out_proj.")


def multi_head_attention(layer: Any, prefix: str) -> Iterable[Copy]:
    """Keras' keeps heads apart."""
    heads = (layer.num_heads, layer.key_dim)
    parts = (layer.query_dense, layer.key_dense, layer.value_dense)
    yield from projections(
        parts,
        prefix,
        lambda array: array.T.reshape(-1, *heads),
        lambda array: array.reshape(heads),
    )
    last = layer.output_dense
    yield Copy(
        last.kernel, (f"{prefix}out_proj.weight",), lambda array: array.T.reshape(*heads, -1)
    )
    yield Copy(last.bias, (f"{prefix}out_proj.bias",))


def block(layer: Any, prefix: str) -> Iterable[Copy]:
    yield from attention(layer.attention, f"{prefix}self_attn.")
    yield from layer_norm(layer.norm, f"{prefix}norm1.")
    if layer.cross is not None:
        yield from attention(layer.cross, f"{prefix}multihead_attn.")
        yield from layer_norm(layer.cross_norm, f"{prefix}norm2.")
    yield from dense(layer.hidden, f"{prefix}linear1.")
    yield from dense(layer.last, f"{prefix}linear2.")
    number = 2 if layer.cross is None else 3
    yield from layer_norm(layer.dense_norm, f"{prefix}norm{number}.")


def spectral(layer: Any, prefix: str) -> Iterable[Copy]:
    inner = layer.layer
    is_dense = isinstance(inner, layers.Dense)
    turn = np.transpose if is_dense else conv_axes
    weight = f"{prefix}parametrizations.weight."
    yield from with_bias(inner, prefix, turn, "parametrizations.weight.original")
    window = inner.kernel.shape[:-2]

    def vector_turn(array: np.ndarray) -> np.ndarray:
        return np.moveaxis(array.reshape(-1, *window), 0, -1).ravel()

    yield Copy(layer.vector, (f"{weight}0._v",), (lambda v: v) if is_dense else vector_turn)


RULES: tuple[tuple[Any, Any], ...] = (
    (SpectralNormalization, spectral),
    (layers.Bidirectional, both_directions),
    (layers.GRU, gru),
    ((layers.SimpleRNN, layers.LSTM), simple_or_lstm),
    (layers.MultiHeadAttention, multi_head_attention),
    (Attention, attention),
    (Block, block),
    (AddLearned, token_embedding),
    (TokenEmbedding, token_embedding),
    (layers.Embedding, embedding),
    (layers.EinsumDense, einsum),
    (layers.Dense, dense),
    ((layers.SeparableConv1D, layers.SeparableConv2D), separable),
    ((layers.DepthwiseConv1D, layers.DepthwiseConv2D), depthwise),
    (
        (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose),
        convolution,
    ),
    ((layers.Conv1D, layers.Conv2D, layers.Conv3D), convolution),
    (layers.BatchNormalization, batch_norm),
    ((layers.LayerNormalization, layers.GroupNormalization), layer_norm),
    (layers.RMSNormalization, rms_norm),
)


def of_model(model: keras.Model) -> list[tuple[Any, str]]:
    """(layer, its name) of all layers of a network with weights of their own."""
    own = [layer for layer in model.layers if not isinstance(layer, TiedLogits)]
    return [(layer, layer.name) for layer in own if layer.weights]
