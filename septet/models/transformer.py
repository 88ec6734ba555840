"""Transformers: encoder, decoder, and both together.

Know nothing of text: tokens are numbers below a vocabulary's size, and answers are logits.
`decoding.py` gives the same one token at a time.
"""

from typing import Annotated, Any, Literal

import keras
from keras import layers
from pydantic import ConfigDict, Field, validate_call

from septet.models.dropping import Drop
from septet.models.transformer_layers import (
    EPSILON,
    AddLearned,
    AddSinusoids,
    Block,
    MaskedMean,
    TiedLogits,
    TokenEmbedding,
)

Size = Annotated[int, Field(ge=1, le=10_000_000, strict=True)]
Width = Annotated[int, Field(ge=1, le=16_384, strict=True)]
Count = Annotated[int, Field(ge=1, le=128, strict=True)]
Dropout = Annotated[float, Field(ge=0.0, lt=1.0)]
Positions = Literal["sinusoidal", "learned", "rotary", "none"]
Norm = Literal["pre", "post"]
Activation = Literal["relu", "gelu", "silu"]
Epsilon = Annotated[float, Field(gt=0.0, le=0.1)]

MOST_POSITIONS = 1 << 26
"""Most numbers in a table of positions: 256 MiB."""

checked = validate_call(config=ConfigDict(allow_inf_nan=False))


@checked
def encoder(
    *,
    num_outputs: Size,
    vocabulary_size: Size | None = None,
    num_features: Size | None = None,
    length: Size,
    dim: Width = 128,
    depth: Count = 2,
    num_heads: Count = 4,
    feed_forward_dim: Width = 512,
    positions: Positions = "sinusoidal",
    norm: Norm = "pre",
    activation: Activation = "gelu",
    dropout: Dropout = 0.1,
    has_mask: bool = False,
    is_each_step: bool = False,
    head_dim: Width | None = None,
    input_dropout: Dropout | None = None,
    has_projection: bool = True,
    epsilon: Epsilon = EPSILON,
) -> keras.Model:
    """Encoder of Vaswani et al. (arXiv:1706.03762) with a dense layer over its mean.

    Inputs by name: "tokens", int32 [batch, time], or with `num_features` "series", float32
    [batch, time, num_features], of any time up to `length`; with `has_mask` also "mask",
    bool [batch, time], false on padding. Outputs logits or numbers [batch, num_outputs], or
    [batch, time, num_outputs] with `is_each_step`.

    Args:
        num_outputs: Logits or numbers.
        vocabulary_size: Tokens there are; this or `num_features`.
        num_features: Numbers at each step; this or `vocabulary_size`.
        length: Longest sequence.
        dim: Of each position's vector.
        depth: Blocks.
        num_heads: Of attention; `dim` must be a multiple of it, unless there is a `head_dim`.
        feed_forward_dim: Units of each block's hidden dense layer.
        positions: How a position is told: added sinusoids, added learned vectors, rotation of
            queries and keys (Su et al., arXiv:2104.09864), or not at all.
        norm: "pre": before attention and dense layers, with one more at the end (Xiong et al.,
            arXiv:2002.04745); "post": after each sum, as in the original.
        activation: Of the hidden dense layer.
        dropout: Share left out of attention, of each sum's new part, and of the first vectors.
        has_mask: Sequences have padding that must change nothing.
        is_each_step: Answer at every position.
        head_dim: Of each head's queries, keys and values; `dim` shared out when absent.
        input_dropout: Share left out of the first vectors; `dropout` when absent.
        has_projection: A dense layer makes the first vectors of a series; else they are the
            series itself, of `dim` numbers at each step.
        epsilon: Added to the variance in layer normalisation.

    Raises:
        ValueError: An argument is out of range or they do not fit each other.
    """
    _check_heads(dim, num_heads, positions, head_dim)
    if (vocabulary_size is None) == (num_features is None):
        raise ValueError("Give either vocabulary_size or num_features.")
    if not has_projection and num_features != dim:
        raise ValueError(
            f"Received num_features {num_features} and dim {dim}; without a projection expected "
            "the same number of both."
        )
    inputs: dict[str, Any] = {}
    if vocabulary_size is not None:
        inputs["tokens"] = keras.Input((None,), dtype="int32", name="tokens")
        features = layers.Embedding(vocabulary_size, dim, name="embedding")(inputs["tokens"])
    else:
        inputs["series"] = keras.Input((None, num_features), dtype="float32", name="series")
        features = inputs["series"]
        if has_projection:
            features = layers.Dense(dim, name="projection")(features)
    if has_mask:
        inputs["mask"] = keras.Input((None,), dtype="bool", name="mask")
    mask = inputs.get("mask")
    features = _with_positions(positions, length, dim, "positions")(features)
    first = dropout if input_dropout is None else input_dropout
    features = Drop(first, name="dropout")(features)
    shared = (dim, num_heads, feed_forward_dim, norm, activation, dropout, positions == "rotary")
    for number in range(1, depth + 1):
        block = Block(*shared, head_dim=head_dim, epsilon=epsilon, name=f"block{number}")
        features = block(features, mask=mask)
    if norm == "pre":
        features = layers.LayerNormalization(epsilon=epsilon, name="normalization")(features)
    if not is_each_step:
        features = MaskedMean(name="mean")(features, mask=mask)
    outputs = layers.Dense(num_outputs, name="outputs")(features)
    return keras.Model(inputs, outputs, name="encoder")


@checked
def decoder(
    *,
    vocabulary_size: Size,
    length: Size,
    dim: Width = 256,
    depth: Count = 4,
    num_heads: Count = 4,
    feed_forward_dim: Width = 1024,
    positions: Positions = "rotary",
    norm: Norm = "pre",
    activation: Activation = "gelu",
    dropout: Dropout = 0.1,
    is_tied: bool = True,
) -> keras.Model:
    """Decoder alone, as in GPT (Radford et al. 2019): logits of the token after each.

    Input "tokens", int32 [batch, time], of any time up to `length`; outputs logits
    [batch, time, vocabulary_size], each from the tokens up to its own place. `Decoding` gives
    the same one token at a time.

    Args:
        vocabulary_size: Tokens there are.
        length: Longest sequence.
        dim: Of each position's vector.
        depth: Blocks.
        num_heads: Of attention; `dim` must be a multiple of it.
        feed_forward_dim: Units of each block's hidden dense layer.
        positions: As in `encoder`.
        norm: As in `encoder`.
        activation: Of the hidden dense layer.
        dropout: As in `encoder`.
        is_tied: Take the embedding's vectors as the weights of the logits, too.

    Raises:
        ValueError: An argument is out of range or they do not fit each other.
    """
    _check_heads(dim, num_heads, positions)
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    embedding = TokenEmbedding(vocabulary_size, dim, name="embedding")
    features = _with_positions(positions, length, dim, "positions")(embedding(tokens))
    features = Drop(dropout, name="dropout")(features)
    shared = (dim, num_heads, feed_forward_dim, norm, activation, dropout, positions == "rotary")
    for number in range(1, depth + 1):
        features = Block(*shared, is_causal=True, name=f"block{number}")(features)
    if norm == "pre":
        features = layers.LayerNormalization(epsilon=EPSILON, name="normalization")(features)
    return keras.Model({"tokens": tokens}, _logits(embedding, features, is_tied), name="decoder")


@checked
def encoder_decoder(
    *,
    source_vocabulary_size: Size,
    target_vocabulary_size: Size,
    length: Size,
    dim: Width = 256,
    depth: Count = 3,
    num_heads: Count = 4,
    feed_forward_dim: Width = 1024,
    positions: Positions = "sinusoidal",
    norm: Norm = "pre",
    activation: Activation = "relu",
    dropout: Dropout = 0.1,
    is_shared: bool = False,
    is_tied: bool = True,
) -> keras.Model:
    """The Transformer of Vaswani et al. (arXiv:1706.03762).

    Inputs "source" and "target", int32 [batch, time] each, and "source_mask", bool, false on
    padding; outputs logits of the target's token after each [batch, time, target vocabulary].

    Args:
        source_vocabulary_size: Tokens of the source.
        target_vocabulary_size: Tokens of the target.
        length: Longest sequence of either.
        dim: Of each position's vector.
        depth: Blocks of the encoder, and as many of the decoder.
        num_heads: Of attention; `dim` must be a multiple of it.
        feed_forward_dim: Units of each block's hidden dense layer.
        positions: As in `encoder`.
        norm: As in `encoder`.
        activation: Of the hidden dense layer.
        dropout: As in `encoder`.
        is_shared: One embedding for both; the vocabularies must be of one size.
        is_tied: Take the target's embedding as the weights of the logits, too.

    Raises:
        ValueError: An argument is out of range or they do not fit each other.
    """
    _check_heads(dim, num_heads, positions)
    if is_shared and source_vocabulary_size != target_vocabulary_size:
        raise ValueError(
            f"Received vocabularies of {source_vocabulary_size} and {target_vocabulary_size} "
            "tokens; a shared embedding needs one size."
        )
    source = keras.Input((None,), dtype="int32", name="source")
    mask = keras.Input((None,), dtype="bool", name="source_mask")
    target = keras.Input((None,), dtype="int32", name="target")
    embedding = TokenEmbedding(target_vocabulary_size, dim, name="target_embedding")
    source_embedding = (
        embedding
        if is_shared
        else TokenEmbedding(source_vocabulary_size, dim, name="source_embedding")
    )
    shared = (dim, num_heads, feed_forward_dim, norm, activation, dropout, positions == "rotary")
    memory = _with_positions(positions, length, dim, "source_positions")(source_embedding(source))
    memory = Drop(dropout, name="source_dropout")(memory)
    for number in range(1, depth + 1):
        memory = Block(*shared, name=f"encoder{number}")(memory, mask=mask)
    features = _with_positions(positions, length, dim, "positions")(embedding(target))
    features = Drop(dropout, name="dropout")(features)
    if norm == "pre":
        memory = layers.LayerNormalization(epsilon=EPSILON, name="memory")(memory)
    for number in range(1, depth + 1):
        block = Block(*shared, is_causal=True, has_memory=True, name=f"decoder{number}")
        features = block(features, memory=memory, memory_mask=mask)
    if norm == "pre":
        features = layers.LayerNormalization(epsilon=EPSILON, name="normalization")(features)
    inputs = {"source": source, "source_mask": mask, "target": target}
    return keras.Model(inputs, _logits(embedding, features, is_tied), name="encoder_decoder")


def _check_heads(dim: int, num_heads: int, positions: str, head_dim: int | None = None) -> None:
    if head_dim is None and dim % num_heads:
        raise ValueError(f"Received dim {dim} and {num_heads} heads; expected a multiple.")
    size = head_dim or dim // num_heads
    if positions == "rotary" and size % 2:
        raise ValueError(
            f"Rotary positions turn pairs of numbers, and {size} a head are odd; "
            "choose another dim or num_heads."
        )


def _with_positions(positions: str, length: int, dim: int, name: str) -> Any:
    """The layer that adds positions to vectors, or gives them as they are.

    Raises:
        ValueError: Its table would take more memory than any such network needs: a model folder
            may declare what it likes.
    """
    if positions in ("sinusoidal", "learned") and length * dim > MOST_POSITIONS:
        raise ValueError(
            f"Received length {length} and dim {dim}: a table of {length * dim:,} numbers for the "
            f"positions, and at most {MOST_POSITIONS:,} are allowed. Choose rotary positions or a "
            "smaller length."
        )
    if positions == "sinusoidal":
        return AddSinusoids(length, dim, name=name)
    if positions == "learned":
        return AddLearned(length, dim, name=name)
    return lambda features: features


def _logits(embedding: "TokenEmbedding", features: Any, is_tied: bool) -> Any:
    if is_tied:
        return TiedLogits(embedding, name="logits")(features)
    return layers.Dense(embedding.vocabulary_size, use_bias=False, name="logits")(features)
