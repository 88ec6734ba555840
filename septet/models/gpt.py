"""GPT: a decoder alone, made to be fast, and the same with what it has read kept.

Knows nothing of text: tokens are numbers below a vocabulary's size, and answers are logits.
Unlike `transformer.decoder`, whose parts are those of the whole family, it is laid out as
GPT-2 (Radford et al. 2019), whose published weights fit into it.
"""

import math
from typing import Annotated, Any, Literal

import keras
import numpy as np
from keras import layers
from pydantic import ConfigDict, Field, validate_call

from septet.engine.native import attention
from septet.engine.native.decoder import Sizes
from septet.models.dropping import Drop
from septet.models.transformer_layers import (
    NEGATIVE,
    AddLearned,
    has_fused_attention,
    rotated,
    turns_of,
)

# Its functions are typed as giving None.
ops: Any = keras.ops

Size = Annotated[int, Field(ge=1, le=1_000_000, strict=True)]
Width = Annotated[int, Field(ge=1, le=16_384, strict=True)]
Count = Annotated[int, Field(ge=1, le=128, strict=True)]
Dropout = Annotated[float, Field(ge=0.0, lt=1.0)]
Length = Annotated[int, Field(ge=1, le=65_536, strict=True)]

MOST_POSITIONS = 1 << 26
"""Most numbers in a table of positions: 256 MiB."""
SPREAD = 0.02
"""Standard deviation of first weights, as in GPT-2."""

checked = validate_call(config=ConfigDict(allow_inf_nan=False))


@checked
def gpt(
    *,
    vocabulary_size: Size,
    length: Length,
    dim: Width = 384,
    depth: Count = 6,
    num_heads: Count = 6,
    feed_forward_dim: Width | None = None,
    positions: Literal["rotary", "learned"] = "rotary",
    dropout: Dropout = 0.0,
    epsilon: Annotated[float, Field(gt=0.0, le=0.1)] = 1e-5,
) -> keras.Model:
    """Decoder with tied embeddings and norms first: logits of the token after each.

    Input "tokens", int32 [batch, time], of any time up to `length`; outputs logits
    [batch, time, vocabulary_size], each from the tokens up to its own place.

    Args:
        vocabulary_size: Tokens there are.
        length: Longest sequence.
        dim: Of each position's vector.
        depth: Blocks.
        num_heads: Of attention; `dim` must be a multiple of it.
        feed_forward_dim: Units of each block's hidden dense layer; four times `dim` when absent.
        positions: How a position is told: rotation of queries and keys (Su et al.,
            arXiv:2104.09864), or added learned vectors, as in GPT-2.
        dropout: Share left out of the first vectors, the attention and each sum's new part.
        epsilon: Added to the variance in layer normalisation.

    Raises:
        ValueError: An argument is out of range or they do not fit each other.
    """
    if dim % num_heads:
        raise ValueError(f"Received dim {dim} and {num_heads} heads; expected a multiple.")
    if positions == "rotary" and (dim // num_heads) % 2:
        raise ValueError(
            f"Rotary positions turn pairs of numbers, and {dim // num_heads} a head are odd; "
            "choose another dim or num_heads."
        )
    if positions == "learned" and length * dim > MOST_POSITIONS:
        raise ValueError(
            f"Received length {length} and dim {dim}: a table of {length * dim:,} numbers for the "
            f"positions, and at most {MOST_POSITIONS:,} are allowed. Choose rotary positions or a "
            "smaller length."
        )
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    embedding = Embed(vocabulary_size, dim, name="embedding")
    features = embedding(tokens)
    if positions == "learned":
        features = AddLearned(length, dim, name="positions")(features)
    features = Drop(dropout, name="dropout")(features)
    hidden = feed_forward_dim or 4 * dim
    for number in range(1, depth + 1):
        features = GptBlock(
            dim, num_heads, hidden, depth, positions == "rotary", dropout, epsilon,
            name=f"block{number}",
        )(features)  # fmt: skip
    features = layers.LayerNormalization(epsilon=epsilon, name="normalization")(features)
    logits = Logits(embedding, name="logits")(features)
    model = keras.Model({"tokens": tokens}, logits, name="gpt")
    model.longest = length
    return model


class Embed(layers.Layer):
    """A vector for each token, int [batch, time] -> [batch, time, dim]."""

    def __init__(self, vocabulary_size: int, dim: int, **rest: Any):
        """See the class."""
        super().__init__(**rest)
        self.size = (vocabulary_size, dim)

    def build(self, input_shape: Any) -> None:
        """One row a token."""
        spread = keras.initializers.RandomNormal(stddev=SPREAD)
        self.table = self.add_weight(self.size, initializer=spread, name="table")

    def call(self, tokens: Any) -> Any:
        """See the class."""
        return ops.take(self.table, tokens, axis=0)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The tokens' shape and the vectors' size."""
        return (*input_shape, self.size[1])


class Logits(layers.Layer):
    """How much each position's vector is like each token's, of an `Embed`."""

    def __init__(self, embedding: Embed, **rest: Any):
        """See the class."""
        super().__init__(**rest)
        self.embedding = embedding

    def call(self, features: Any) -> Any:
        """[batch, time, dim] -> [batch, time, vocabulary]."""
        return ops.matmul(features, ops.transpose(ops.cast(self.embedding.table, features.dtype)))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The last size is the vocabulary's."""
        return (*input_shape[:-1], self.embedding.size[0])


class GptBlock(layers.Layer):
    """Attention to what came before, and two dense layers; each of a normalised input, added.

    Queries, keys and values come out of one product.

    Args:
        dim: Of each position's vector.
        num_heads: Of attention.
        hidden_dim: Units of the hidden dense layer.
        depth: Blocks of the network, by which the first weights of what is added are shrunk.
        is_rotary: Places turn queries and keys.
        dropout: Share left out.
        epsilon: Of layer normalisation.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        hidden_dim: int,
        depth: int,
        is_rotary: bool,
        dropout: float,
        epsilon: float,
        **rest: Any,
    ):
        """See the class."""
        super().__init__(**rest)
        self.num_heads = num_heads
        self.head_dim = dim // num_heads
        self.is_rotary = is_rotary
        wide: Any
        narrow: Any
        wide, narrow = (
            keras.initializers.RandomNormal(stddev=spread)
            for spread in (SPREAD, SPREAD / math.sqrt(2 * depth))
        )
        self.norm = layers.LayerNormalization(epsilon=epsilon, name="attention_normalization")
        self.qkv = layers.Dense(3 * dim, kernel_initializer=wide, name="qkv")
        self.mixed = layers.Dense(dim, kernel_initializer=narrow, name="mixed")
        self.dense_norm = layers.LayerNormalization(epsilon=epsilon, name="dense_normalization")
        self.hidden = layers.Dense(hidden_dim, kernel_initializer=wide, name="hidden")
        self.last = layers.Dense(dim, kernel_initializer=narrow, name="last")
        self.dropout = Drop(dropout, name="dropout")

    def build(self, input_shape: Any) -> None:
        """All parts take vectors of one size but the last."""
        for layer in (self.norm, self.qkv, self.mixed, self.dense_norm, self.hidden):
            layer.build(input_shape)
        self.last.build((*input_shape[:-1], self.hidden.units))

    def call(self, features: Any, training: bool | None = None) -> Any:
        """[batch, time, dim] -> the same."""
        joined = self._joined(self.norm(features))
        if keras.backend.backend() == "jax" and attention.fits(
            joined.shape, joined.shape, joined.dtype
        ):
            mixed = attention.mixed(
                (joined,),
                key=self.dropout.key(training),
                rate=self.dropout.rate,
                is_causal=True,
                turns=turns_of(joined.shape[1], self.head_dim) if self.is_rotary else None,
            )
            mixed = ops.reshape(mixed, ops.shape(features))
            return self.after(features, self.mixed(mixed), training)
        queries, keys, values = self._split(joined, 0)
        if not (training and self.dropout.rate) and has_fused_attention(self.compute_dtype):
            mixed = ops.dot_product_attention(queries, keys, values, is_causal=True)
            mixed = ops.reshape(mixed, ops.shape(features))
        else:
            rows = ops.arange(ops.shape(features)[1])
            queries, keys, values = (
                ops.transpose(each, (0, 2, 1, 3)) for each in (queries, keys, values)
            )
            mixed = self.attend(queries, keys, values, rows[None, :] <= rows[:, None], training)
        return self.after(features, self.mixed(mixed), training)

    def after(self, features: Any, mixed: Any, training: Any = None) -> Any:
        """`features` with the attention's part and that of the dense layers added."""
        features = features + self.dropout(mixed, training=training)
        hidden = ops.gelu(self.hidden(self.dense_norm(features)), approximate=True)
        return features + self.dropout(self.last(hidden), training=training)

    def parts(self, features: Any, start: Any) -> tuple[Any, Any, Any]:
        """Queries, keys and values, [batch, heads, time, head_dim] each, from `start` on."""
        queries, keys, values = (
            ops.transpose(each, (0, 2, 1, 3)) for each in self._split(self._joined(features), start)
        )
        return queries, keys, values

    def _joined(self, features: Any) -> Any:
        """Queries, keys and values of features, [batch, time, 3, heads, head_dim]."""
        shape = ops.shape(features)
        return ops.reshape(
            self.qkv(features), (shape[0], shape[1], 3, self.num_heads, self.head_dim)
        )

    def _split(self, joined: Any, start: Any) -> tuple[Any, Any, Any]:
        """Queries, keys and values, [batch, time, heads, head_dim] each, from `start` on."""
        queries, keys, values = joined[:, :, 0], joined[:, :, 1], joined[:, :, 2]
        if self.is_rotary:
            places = ops.arange(ops.shape(joined)[1]) + start
            queries, keys = rotated(queries, places), rotated(keys, places)
        return queries, keys, values

    def attend(
        self, queries: Any, keys: Any, values: Any, allowed: Any, training: Any = None
    ) -> Any:
        """Values mixed by how keys suit queries: [batch, time, dim]."""
        scores = ops.matmul(queries * self.head_dim**-0.5, ops.transpose(keys, (0, 1, 3, 2)))
        scores = ops.where(allowed, ops.cast(scores, "float32"), NEGATIVE)
        shares = ops.cast(ops.softmax(scores, axis=-1), values.dtype)
        mixed = ops.matmul(self.dropout(shares, training=training), values)
        shape = ops.shape(mixed)
        return ops.reshape(ops.transpose(mixed, (0, 2, 1, 3)), (shape[0], shape[2], -1))

    def read(self, features: Any, keys: Any, values: Any, place: Any) -> tuple[Any, Any, Any]:
        """Some positions, [batch, time, dim] from `place` on, after those in keys and values.

        Returns (features, keys, values), [batch, heads, length, head_dim] with these written.
        """
        queries, new_keys, new_values = self.parts(self.norm(features), place)
        keys = ops.slice_update(keys, (0, 0, place, 0), new_keys)
        values = ops.slice_update(values, (0, 0, place, 0), new_values)
        rows = ops.arange(ops.shape(features)[1]) + place
        allowed = ops.arange(keys.shape[2])[None, :] <= rows[:, None]
        mixed = self.mixed(self.attend(queries, keys, values, allowed))
        return self.after(features, mixed, False), keys, values


class GptReading:
    """A `gpt` that keeps what it has read, so that each token is looked at once.

    Args:
        model: Of `gpt`.
        length: Tokens that it can keep.
        ahead: Guessed tokens that may be read with the last of them.
    """

    def __init__(self, model: keras.Model, length: int, ahead: int = 0):
        """See the class."""
        self.length, self.ahead = length, ahead
        self.embedding = model.get_layer("embedding")
        names = [layer.name for layer in model.layers]
        self.positions = model.get_layer("positions") if "positions" in names else None
        self.blocks = [layer for layer in model.layers if isinstance(layer, GptBlock)]
        self.norm, self.logits = model.get_layer("normalization"), model.get_layer("logits")
        self.dtype = model.compute_dtype

    def start(self, batch_size: int) -> list[Any]:
        """Nothing read: keys and values of each block, zeros [batch, heads, room, head_dim]."""
        block = self.blocks[0]
        shape = (batch_size, block.num_heads, self.length + self.ahead, block.head_dim)
        return [ops.zeros(shape, self.dtype) for _ in range(2 * len(self.blocks))]

    def read(self, state: list[Any], tokens: Any, place: Any, count: Any) -> tuple[Any, list[Any]]:
        """Read the first `count` of tokens [batch, time], at `place` and after.

        Returns (logits of what follows them, float32 [batch, vocabulary], state). What comes
        after `count` is overwritten by what is read next.
        """
        features, after = self._read(state, tokens, place)
        last = ops.take(features, ops.reshape(count - 1, (1,)), axis=1)
        return self._logits(last)[:, 0], after

    def read_each(self, state: list[Any], tokens: Any, place: Any) -> tuple[Any, list[Any]]:
        """As `read`, with the logits after each token, float32 [batch, time, vocabulary].

        Tokens that were no right guess are overwritten by what is read next at their place.
        """
        features, after = self._read(state, tokens, place)
        return self._logits(features), after

    def variables(self) -> list[tuple[Any, bool]]:
        """Its weights as `native.decoder` has them, and whether each is held turned there."""
        found = [(self.embedding.table, False)]
        if self.positions is not None:
            found.append((self.positions.table, False))
        for block in self.blocks:
            for norm, layers_ in (
                (block.norm, (block.qkv, block.mixed)),
                (block.dense_norm, (block.hidden, block.last)),
            ):
                found += [(norm.gamma, False), (norm.beta, False)]
                for layer in layers_:
                    found += [(layer.kernel, True), (layer.bias, False)]
        return [*found, (self.norm.gamma, False), (self.norm.beta, False)]

    def sizes(self) -> Sizes:
        """As `native.decoder` takes them."""
        block = self.blocks[0]
        vocabulary, dim = self.embedding.size
        return Sizes(
            vocabulary, dim, block.hidden.units, len(self.blocks), block.num_heads, self.length,
            self.norm.epsilon,
        )  # fmt: skip

    def turns(self) -> np.ndarray | None:
        """Sines and cosines by which places turn queries and keys, unless they are learned."""
        block = self.blocks[0]
        return turns_of(self.length, block.head_dim) if block.is_rotary else None

    def _read(self, state: list[Any], tokens: Any, place: Any) -> tuple[Any, list[Any]]:
        features = self.embedding(tokens)
        if self.positions is not None:
            # What is guessed beyond the longest text is never kept, but has to be a number.
            rows = ops.minimum(ops.arange(ops.shape(tokens)[1]) + place, self.length - 1)
            table = ops.cast(self.positions.table, features.dtype)
            features = features + ops.take(table, rows, axis=0)[None]
        after = []
        for number, block in enumerate(self.blocks):
            keys, values = state[2 * number : 2 * number + 2]
            features, keys, values = block.read(features, keys, values, place)
            after += [keys, values]
        return features, after

    def _logits(self, features: Any) -> Any:
        return ops.cast(self.logits(self.norm(features)), "float32")
