"""The layers of Transformers: token vectors, positions, attention and blocks.

Everything is written in `keras.ops`, so that it runs on each of Keras' backends.
"""

import math
from typing import Any

import keras
import numpy as np
from keras import layers

from septet.engine.native import attention
from septet.models.dropping import Drop

# Its functions are typed as giving None.
ops: Any = keras.ops

NEGATIVE = -1e30
"""The score of what must not be attended to; finite, so that no row becomes NaN."""
EPSILON = 1e-5
"""Of layer normalisation, as in PyTorch."""


def has_fused_attention(dtype: str) -> bool:
    """Whether a GPU is there that mixes values of `dtype` without writing down all scores.

    `keras.ops.dot_product_attention` is then cuDNN's, which takes half precision alone.
    """
    if dtype not in ("bfloat16", "float16") or keras.backend.backend() != "jax":
        return False
    import jax

    return jax.default_backend() == "gpu"


def gelu_new(features: Any) -> Any:
    """GELU by the hyperbolic tangent, as BERT and GPT-2 were first trained with."""
    return ops.gelu(features, approximate=True)


class TokenEmbedding(layers.Layer):
    """A vector for each token, scaled so that tied logits start small."""

    def __init__(self, vocabulary_size: int, dim: int, **rest: Any):
        """See the class."""
        super().__init__(**rest)
        self.supports_masking = True
        self.vocabulary_size = vocabulary_size
        self.dim = dim

    def build(self, input_shape: Any) -> None:
        """One row a token, of standard deviation `dim ** -0.5`."""
        initializer = keras.initializers.RandomNormal(stddev=self.dim**-0.5)
        self.table = self.add_weight(
            (self.vocabulary_size, self.dim), initializer=initializer, name="table"
        )

    def call(self, tokens: Any) -> Any:
        """Int [batch, time] -> float [batch, time, dim] of about unit size."""
        return ops.take(self.table, tokens, axis=0) * math.sqrt(self.dim)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The tokens' shape and the vectors' size."""
        return (*input_shape, self.dim)


class TiedLogits(layers.Layer):
    """How much each position's vector is like each token's."""

    def __init__(self, embedding: TokenEmbedding, **rest: Any):
        """See the class."""
        super().__init__(**rest)
        self.supports_masking = True
        self.embedding = embedding

    def call(self, features: Any) -> Any:
        """[batch, time, dim] -> [batch, time, vocabulary]."""
        return ops.matmul(features, ops.transpose(self.embedding.table))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The last size is the vocabulary's."""
        return (*input_shape[:-1], self.embedding.vocabulary_size)


def sinusoids(length: int, dim: int) -> np.ndarray:
    """Position vectors, float32 [length, dim] (arXiv:1706.03762, 3.5): sines, then cosines."""
    half = (dim + 1) // 2
    rates = np.exp(-math.log(10_000.0) * np.arange(half) / max(half - 1, 1))
    angles = np.arange(length)[:, None] * rates[None, :]
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)[:, :dim].astype(np.float32)


class AddSinusoids(layers.Layer):
    """Adds `sinusoids`; `start` is the place of the first vector."""

    def __init__(self, length: int, dim: int, **rest: Any):
        """See the class."""
        super().__init__(**rest)
        self.supports_masking = True
        self.table = sinusoids(length, dim)

    def call(self, features: Any, start: Any = 0) -> Any:
        """[batch, time, dim] -> the same shape."""
        rows = ops.arange(ops.shape(features)[1]) + start
        return features + ops.take(ops.convert_to_tensor(self.table), rows, axis=0)[None]


class AddLearned(layers.Layer):
    """Adds a learned vector for each place; `start` is the place of the first vector."""

    def __init__(self, length: int, dim: int, **rest: Any):
        """See the class."""
        super().__init__(**rest)
        self.supports_masking = True
        self.size = (length, dim)

    def build(self, input_shape: Any) -> None:
        """One row a place."""
        initializer = keras.initializers.RandomNormal(stddev=0.02)
        self.table = self.add_weight(self.size, initializer=initializer, name="table")

    def call(self, features: Any, start: Any = 0) -> Any:
        """[batch, time, dim] -> the same shape."""
        rows = ops.arange(ops.shape(features)[1]) + start
        return features + ops.take(self.table, rows, axis=0)[None]


class MaskedMean(layers.Layer):
    """The mean over time of what is not masked."""

    def compute_mask(self, *given: Any, **named: Any) -> None:
        """None is left: there is no time."""

    def call(self, features: Any, mask: Any = None) -> Any:
        """[batch, time, dim], bool [batch, time] or None -> [batch, dim]."""
        if mask is None:
            return ops.mean(features, axis=1)
        weights = ops.cast(mask, features.dtype)[:, :, None]
        return ops.sum(features * weights, axis=1) / ops.maximum(ops.sum(weights, axis=1), 1.0)

    def compute_output_shape(self, features_shape: Any, mask_shape: Any = None) -> Any:
        """Without time."""
        del mask_shape
        return (features_shape[0], features_shape[2])


def rotated(vectors: Any, places: Any) -> Any:
    """Queries or keys [batch, time, heads, dim] turned by their places [time] (RoFormer).

    The first half of each vector holds the pairs' first numbers, the second their second.
    """
    half = vectors.shape[-1] // 2
    rates = np.exp(-math.log(10_000.0) * np.arange(half) / half).astype(np.float32)
    angles = ops.cast(places, "float32")[:, None] * rates[None, :]
    sines = ops.cast(ops.sin(angles), vectors.dtype)[None, :, None, :]
    cosines = ops.cast(ops.cos(angles), vectors.dtype)[None, :, None, :]
    first, second = vectors[..., :half], vectors[..., half:]
    return ops.concatenate(
        [first * cosines - second * sines, second * cosines + first * sines], axis=-1
    )


def turns_of(length: int, dim: int) -> np.ndarray:
    """What `rotated` turns places 0 and on by: sines and cosines, float32 [2, length, dim / 2]."""
    half = dim // 2
    rates = np.exp(-math.log(10_000.0) * np.arange(half) / half).astype(np.float32)
    angles = np.arange(length, dtype=np.float32)[:, None] * rates[None, :]
    return np.stack([np.sin(angles), np.cos(angles)])


class Attention(layers.Layer):
    """Scaled dot-product attention with several heads, to itself or to a memory.

    Args:
        dim: Of queries, keys and values, all heads together.
        num_heads: Parts that attend for themselves.
        is_causal: A position sees none after it.
        is_rotary: Places turn queries and keys.
        dropout: Share of the attention left out in training.
        head_dim: Of each head's queries, keys and values; `dim` shared out when absent.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        *,
        is_causal: bool = False,
        is_rotary: bool = False,
        dropout: float = 0.0,
        head_dim: int | None = None,
        **rest: Any,
    ):
        """See the class."""
        super().__init__(**rest)
        self.supports_masking = True
        self.num_heads = num_heads
        self.head_dim = head_dim or dim // num_heads
        self.is_causal = is_causal
        self.is_rotary = is_rotary
        self.query, self.key, self.value = (
            layers.Dense(num_heads * self.head_dim, name=name) for name in ("query", "key", "value")
        )
        self.output_projection = layers.Dense(dim, name="output")
        self.dropout = Drop(dropout, name="dropout")

    def build(self, input_shape: Any) -> None:
        """Queries, keys and values are of the input, the output is of all heads together."""
        for layer in (self.query, self.key, self.value):
            layer.build(input_shape)
        self.output_projection.build((*input_shape[:-1], self.num_heads * self.head_dim))

    def keys_and_values(self, features: Any, start: Any = 0) -> tuple[Any, Any]:
        """[batch, time, heads, head_dim] each, of [batch, time, dim] that begins at `start`."""
        keys = self._heads(self.key(features))
        if self.is_rotary:
            keys = rotated(keys, ops.arange(ops.shape(features)[1]) + start)
        return keys, self._heads(self.value(features))

    def call(
        self, features: Any, memory: Any = None, mask: Any = None, training: bool | None = None
    ) -> Any:
        """[batch, time, dim] -> the same shape.

        The mask says what may be attended to: bool [batch, keys], or [batch, queries, keys].
        """
        read = features if memory is None else memory
        head = (self.num_heads, self.head_dim)
        asking, asked = ((*each.shape[:2], *head) for each in (features, read))
        if keras.backend.backend() == "jax" and attention.fits(asking, asked, features.dtype):
            parts = ((self.query, features), (self.key, read), (self.value, read))
            mixed = attention.mixed(
                tuple(self._heads(layer(of)) for layer, of in parts),
                allowed=mask[:, None] if mask is not None and len(mask.shape) == 2 else mask,
                key=self.dropout.key(training),
                rate=self.dropout.rate,
                is_causal=self.is_causal,
                turns=self._turns(max(features.shape[1], read.shape[1])),
            )
            return self._projected(mixed)
        keys, values = self.keys_and_values(read)
        allowed = None
        if mask is not None:
            allowed = mask[:, None] if len(mask.shape) == 3 else mask[:, None, None, :]
        if self.is_causal:
            rows = ops.arange(ops.shape(features)[1])
            before = (rows[None, :] <= rows[:, None])[None, None]
            allowed = before if allowed is None else ops.logical_and(allowed, before)
        return self.attend(features, keys, values, allowed, training=training)

    def attend(
        self,
        features: Any,
        keys: Any,
        values: Any,
        allowed: Any = None,
        start: Any = 0,
        training: bool | None = None,
    ) -> Any:
        """Attend to keys and values; `allowed` is bool, [batch or 1, 1, queries or 1, keys]."""
        weights = ops.cast(self.weights_of(features, keys, allowed, start), values.dtype)
        weights = self.dropout(weights, training=training)
        return self._projected(ops.einsum("bhqk,bkhd->bqhd", weights, values))

    def weights_of(self, features: Any, keys: Any, allowed: Any = None, start: Any = 0) -> Any:
        """How much each query attends to each key: float32 [batch, heads, queries, keys]."""
        queries = self._queries(features, start)
        scores = ops.einsum("bqhd,bkhd->bhqk", queries, keys) * self.head_dim**-0.5
        scores = ops.cast(scores, "float32")
        if allowed is not None:
            scores = ops.where(allowed, scores, NEGATIVE)
        return ops.softmax(scores, axis=-1)

    def _queries(self, features: Any, start: Any = 0) -> Any:
        """[batch, time, heads, head_dim] of features that begin at `start`."""
        queries = self._heads(self.query(features))
        if self.is_rotary:
            queries = rotated(queries, ops.arange(ops.shape(features)[1]) + start)
        return queries

    def _turns(self, length: int) -> Any:
        """See `turns_of`; None where places turn nothing."""
        return turns_of(length, self.head_dim) if self.is_rotary else None

    def _projected(self, mixed: Any) -> Any:
        """What the heads found, [batch, time, heads, head_dim], as one vector each."""
        shape = ops.shape(mixed)
        return self.output_projection(ops.reshape(mixed, (shape[0], shape[1], -1)))

    def _heads(self, vectors: Any) -> Any:
        shape = ops.shape(vectors)
        return ops.reshape(vectors, (shape[0], shape[1], self.num_heads, self.head_dim))


class Block(layers.Layer):
    """Attention, with a memory also attention to that, and two dense layers; each added.

    Args:
        dim: Of each position's vector.
        num_heads: Of attention.
        feed_forward_dim: Units of the hidden dense layer.
        norm: "pre" or "post".
        activation: Of the hidden dense layer.
        dropout: Share left out.
        is_rotary: Places turn queries and keys of the attention to itself.
        is_causal: A position sees none after it.
        has_memory: There is a memory to attend to.
        head_dim: As in `Attention`.
        epsilon: Of layer normalisation.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        feed_forward_dim: int,
        norm: str,
        activation: str,
        dropout: float,
        is_rotary: bool,
        *,
        is_causal: bool = False,
        has_memory: bool = False,
        head_dim: int | None = None,
        epsilon: float = EPSILON,
        **rest: Any,
    ):
        """See the class."""
        super().__init__(**rest)
        self.supports_masking = True
        self.is_pre = norm == "pre"
        self.attention = Attention(
            dim,
            num_heads,
            is_causal=is_causal,
            is_rotary=is_rotary,
            dropout=dropout,
            head_dim=head_dim,
            name="attention",
        )
        self.norm = layers.LayerNormalization(epsilon=epsilon, name="attention_normalization")
        self.cross = (
            Attention(dim, num_heads, dropout=dropout, head_dim=head_dim, name="cross")
            if has_memory
            else None
        )
        self.cross_norm = (
            layers.LayerNormalization(epsilon=epsilon, name="cross_normalization")
            if has_memory
            else None
        )
        function = gelu_new if activation == "gelu_new" else activation
        self.hidden = layers.Dense(feed_forward_dim, function, name="hidden")
        self.last = layers.Dense(dim, name="last")
        self.dense_norm = layers.LayerNormalization(epsilon=epsilon, name="dense_normalization")
        self.dropout = Drop(dropout, name="dropout")

    def build(self, input_shape: Any) -> None:
        """All parts take the size that they give."""
        parts = [self.attention, self.norm, self.cross, self.cross_norm, self.hidden]
        for layer in [*parts, self.dense_norm]:
            if layer is not None:
                layer.build(input_shape)
        self.last.build((*input_shape[:-1], self.hidden.units))

    def call(
        self,
        features: Any,
        memory: Any = None,
        mask: Any = None,
        memory_mask: Any = None,
        training: bool | None = None,
    ) -> Any:
        """[batch, time, dim] -> the same; masks are as in `Attention`."""
        features = self._added(
            features, self.norm, lambda x: self.attention(x, mask=mask, training=training), training
        )
        return self.after(features, memory, memory_mask, training)

    def after(
        self, features: Any, memory: Any = None, memory_mask: Any = None, training: Any = None
    ) -> Any:
        """What follows the attention to itself."""
        if self.cross is not None:
            cross = self.cross

            def to_memory(x: Any) -> Any:
                return cross(x, memory=memory, mask=memory_mask, training=training)

            features = self._added(features, self.cross_norm, to_memory, training)
        return self._added(features, self.dense_norm, self._dense, training)

    def step(
        self, features: Any, keys: Any, values: Any, place: Any, memory: Any, memory_mask: Any
    ) -> tuple[Any, Any, Any]:
        """One position, [batch, 1, dim], after those in keys and values [batch, length, ...].

        Returns (features, keys, values) with this position's written at `place`.
        """
        kept: list[Any] = []

        def to_itself(x: Any) -> Any:
            new_keys, new_values = self.attention.keys_and_values(x, place)
            start = (0, place, 0, 0)
            kept.append(ops.slice_update(keys, start, new_keys))
            kept.append(ops.slice_update(values, start, new_values))
            allowed = (ops.arange(keys.shape[1]) <= place)[None, None, None, :]
            return self.attention.attend(x, kept[0], kept[1], allowed, place, training=False)

        features = self._added(features, self.norm, to_itself, False)
        return self.after(features, memory, memory_mask, False), kept[0], kept[1]

    def _added(self, features: Any, norm: Any, part: Any, training: Any) -> Any:
        if self.is_pre:
            return features + self.dropout(part(norm(features)), training=training)
        return norm(features + self.dropout(part(features), training=training))

    def _dense(self, features: Any) -> Any:
        return self.last(self.hidden(features))
