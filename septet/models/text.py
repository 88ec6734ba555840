"""Networks that put a text into a class: bag of vectors, convolutions, recurrent, attention.

Know nothing of words: "tokens" are numbers below a vocabulary's size, 0 is padding at the
end, which changes nothing, and answers are logits. The vectors of tokens come from a layer
called "embedding", so that an answer can be traced back to them.
"""

from typing import Annotated, Any, Literal

import keras
from keras import layers
from pydantic import ConfigDict, Field, validate_call

from septet.models.dropping import Drop
from septet.models.text_layers import HashedRuns, Hidden, MaskedMaximum, NotPadding, Windows
from septet.models.transformer_layers import EPSILON, AddSinusoids, Block, MaskedMean

Size = Annotated[int, Field(ge=1, le=10_000_000, strict=True)]
Width = Annotated[int, Field(ge=1, le=16_384, strict=True)]
Count = Annotated[int, Field(ge=1, le=128, strict=True)]
Dropout = Annotated[float, Field(ge=0.0, lt=1.0)]
# The table of positions is computed when the network is built, which a model folder asks for.
Length = Annotated[int, Field(ge=1, le=4096, strict=True)]
AttentionWidth = Annotated[int, Field(ge=1, le=4096, strict=True)]

checked = validate_call(config=ConfigDict(allow_inf_nan=False))


@checked
def bag(
    *,
    vocabulary_size: Size,
    num_outputs: Size,
    dim: Width = 64,
    ngrams: Annotated[int, Field(ge=1, le=8, strict=True)] = 2,
    buckets: Size = 100_000,
    dropout: Dropout = 0.5,
) -> keras.Model:
    """The mean of the vectors of tokens and of runs of tokens, and a dense layer.

    Joulin et al. (arXiv:1607.01759). Input "tokens", int32 [batch, time]; outputs logits.

    Args:
        vocabulary_size: Tokens there are.
        num_outputs: Logits.
        dim: Of each vector.
        ngrams: Longest run of tokens that has a vector.
        buckets: Vectors that all runs share, by their hash.
        dropout: Share left out before the dense layer.

    Raises:
        ValueError: An argument is out of range (a pydantic ValidationError).
    """
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    mask = NotPadding(name="not_padding")(tokens)
    vectors = embedding(vocabulary_size, dim, "embedding")(tokens)
    if ngrams > 1:
        runs = HashedRuns(ngrams, buckets, name="hashed_runs")(tokens)
        of_runs = embedding(buckets + 1, dim, "run_embedding")(runs)
        vectors = layers.Concatenate(axis=1, name="vectors")([vectors, of_runs])
        of_runs_mask = NotPadding(name="no_padding_within")(runs)
        mask = layers.Concatenate(axis=1, name="is_there")([mask, of_runs_mask])
    features = MaskedMean(name="mean")(vectors, mask=mask)
    features = Drop(dropout, name="dropout")(features)
    outputs = layers.Dense(num_outputs, name="outputs")(features)
    return keras.Model({"tokens": tokens}, outputs, name="text_bag")


def embedding(size: int, dim: int, name: str) -> Any:
    """Vectors that begin small, so that rare tokens do not drown out frequent ones."""
    return layers.Embedding(size, dim, embeddings_initializer=uniform(0.05), name=name)


def uniform(limit: float) -> Any:
    """Numbers drawn evenly from -limit to limit."""
    return keras.initializers.RandomUniform(-limit, limit)


@checked
def cnn(
    *,
    vocabulary_size: Size,
    num_outputs: Size,
    dim: Width = 128,
    filters: Width = 128,
    sizes: Annotated[list[Count], Field(min_length=1, max_length=8)] = [3, 4, 5],  # noqa: B006
    dropout: Dropout = 0.5,
) -> keras.Model:
    """Convolutions of several sizes over token vectors, the largest of each, a dense layer.

    Kim (arXiv:1408.5882), with vectors learned from the start. Input "tokens", int32 [batch,
    time]; outputs logits.

    Args:
        vocabulary_size: Tokens there are.
        num_outputs: Logits.
        dim: Of each token's vector.
        filters: Of each size.
        sizes: Tokens that a convolution sees at once.
        dropout: Share left out of token vectors (half of it) and before the dense layer.

    Raises:
        ValueError: An argument is out of range (a pydantic ValidationError).
    """
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    mask = NotPadding(name="not_padding")(tokens)
    vectors = embedding(vocabulary_size, dim, "embedding")(tokens)
    vectors = Hidden(name="hidden")(vectors, mask=mask)
    vectors = Drop(dropout / 2, name="vector_dropout")(vectors)
    parts = []
    for place, size in enumerate(sizes, 1):
        windows = Windows(size, name=f"windows{place}")(vectors)
        found = layers.Dense(filters, activation="relu", name=f"convolution{place}")(windows)
        parts.append(MaskedMaximum(name=f"maximum{place}")(found, mask=mask))
    features = layers.Concatenate(name="features")(parts) if len(parts) > 1 else parts[0]
    features = Drop(dropout, name="dropout")(features)
    outputs = layers.Dense(num_outputs, name="outputs")(features)
    return keras.Model({"tokens": tokens}, outputs, name="text_cnn")


@checked
def recurrent(
    *,
    vocabulary_size: Size,
    num_outputs: Size,
    kind: Literal["lstm", "gru"] = "lstm",
    dim: Width = 128,
    units: Width = 128,
    depth: Count = 1,
    dropout: Dropout = 0.5,
) -> keras.Model:
    """Recurrent layers that read from both ends, the largest of what they say, a dense layer.

    Graves and Schmidhuber (2005); the maximum over time as in Conneau et al.
    (arXiv:1705.02364). Input "tokens", int32 [batch, time]; outputs logits.

    Args:
        vocabulary_size: Tokens there are.
        num_outputs: Logits.
        kind: Of the cells.
        dim: Of each token's vector.
        units: Of each direction.
        depth: Layers.
        dropout: Share left out of token vectors (half of it) and before the dense layer.

    Raises:
        ValueError: An argument is out of range (a pydantic ValidationError).
    """
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    mask = NotPadding(name="not_padding")(tokens)
    features = embedding(vocabulary_size, dim, "embedding")(tokens)
    features = Drop(dropout / 2, name="vector_dropout")(features)
    cell = {"lstm": layers.LSTM, "gru": layers.GRU}[kind]
    for number in range(1, depth + 1):
        layer = cell(units, return_sequences=True, name=f"{kind}{number}")
        features = layers.Bidirectional(layer, name=f"bidirectional{number}")(features, mask=mask)
    features = MaskedMaximum(name="maximum")(features, mask=mask)
    features = Drop(dropout, name="dropout")(features)
    outputs = layers.Dense(num_outputs, name="outputs")(features)
    return keras.Model({"tokens": tokens}, outputs, name="text_recurrent")


@checked
def encoder(
    *,
    vocabulary_size: Size,
    num_outputs: Size,
    length: Length,
    dim: AttentionWidth = 128,
    depth: Count = 2,
    num_heads: Count = 4,
    feed_forward_dim: Width = 512,
    dropout: Dropout = 0.1,
) -> keras.Model:
    """Transformer encoder (Vaswani et al., arXiv:1706.03762) and a dense layer over its mean.

    Input "tokens", int32 [batch, time], of any time up to `length`; outputs logits.

    Args:
        vocabulary_size: Tokens there are.
        num_outputs: Logits.
        length: Longest text.
        dim: Of each position's vector.
        depth: Blocks.
        num_heads: Of attention; `dim` must be a multiple of it.
        feed_forward_dim: Units of each block's hidden dense layer.
        dropout: Share left out: half of it within blocks, all of it before the dense layer.

    Raises:
        ValueError: An argument is out of range or they do not fit each other.
    """
    if dim % num_heads:
        raise ValueError(f"Received dim {dim} and {num_heads} heads; expected a multiple.")
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    mask = NotPadding(name="not_padding")(tokens)
    features = embedding(vocabulary_size, dim, "embedding")(tokens)
    features = AddSinusoids(length, dim, name="positions")(features)
    features = Drop(dropout / 2, name="vector_dropout")(features)
    shared = (dim, num_heads, feed_forward_dim, "pre", "gelu", dropout / 2, False)
    for number in range(1, depth + 1):
        features = Block(*shared, name=f"block{number}")(features, mask=mask)
    features = layers.LayerNormalization(epsilon=EPSILON, name="normalization")(features)
    features = MaskedMean(name="mean")(features, mask=mask)
    features = Drop(dropout, name="dropout")(features)
    outputs = layers.Dense(num_outputs, name="outputs")(features)
    return keras.Model({"tokens": tokens}, outputs, name="text_encoder")
