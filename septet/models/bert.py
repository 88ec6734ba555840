"""The encoder of BERT and its kin with a dense layer over the mean of its vectors.

Knows nothing of words: as in `septet.models.text`, "tokens" are numbers below a vocabulary's
size, 0 is padding at the end, and answers are logits. It is laid out as BERT (Devlin et al.,
arXiv:1810.04805), whose published weights fit into it.
"""

from typing import Annotated, Any, Literal

import keras
from keras import layers
from pydantic import Field

from septet.models.dropping import Drop
from septet.models.text import AttentionWidth, Count, Dropout, Length, Size, Width, checked
from septet.models.text_layers import NotPadding
from septet.models.transformer_layers import AddLearned, Block, MaskedMean

SPREAD = 0.02
"""Standard deviation of the first vectors of tokens."""


@checked
def bert(
    *,
    vocabulary_size: Size,
    num_outputs: Size,
    length: Length,
    dim: AttentionWidth = 384,
    depth: Count = 6,
    num_heads: Count = 12,
    feed_forward_dim: Width = 1536,
    activation: Literal["gelu", "gelu_new", "relu"] = "gelu",
    epsilon: Annotated[float, Field(gt=0.0, le=0.1)] = 1e-12,
    dropout: Dropout = 0.1,
) -> keras.Model:
    """Transformer encoder with norms last and learned places, a dense layer over its mean.

    Input "tokens", int32 [batch, time], of any time up to `length`; outputs logits. The layer
    "mean" has the mean of the last block's vectors, those of padding left out.

    Args:
        vocabulary_size: Tokens there are.
        num_outputs: Logits.
        length: Longest text.
        dim: Of each position's vector.
        depth: Blocks.
        num_heads: Of attention; `dim` must be a multiple of it.
        feed_forward_dim: Units of each block's hidden dense layer.
        activation: Of the hidden dense layer; "gelu_new" is GELU by the hyperbolic tangent.
        epsilon: Added to the variance in layer normalisation.
        dropout: Share left out everywhere.

    Raises:
        ValueError: An argument is out of range or they do not fit each other.
    """
    if dim % num_heads:
        raise ValueError(f"Received dim {dim} and {num_heads} heads; expected a multiple.")
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    mask = NotPadding(name="not_padding")(tokens)
    spread: Any = keras.initializers.RandomNormal(stddev=SPREAD)
    features = layers.Embedding(
        vocabulary_size, dim, embeddings_initializer=spread, name="embedding"
    )(tokens)
    features = AddLearned(length, dim, name="positions")(features)
    features = layers.LayerNormalization(epsilon=epsilon, name="embedding_normalization")(features)
    features = Drop(dropout, name="vector_dropout")(features)
    shared = (dim, num_heads, feed_forward_dim, "post", activation, dropout, False)
    for number in range(1, depth + 1):
        block = Block(*shared, epsilon=epsilon, name=f"block{number}")
        features = block(features, mask=mask)
    features = MaskedMean(name="mean")(features, mask=mask)
    features = Drop(dropout, name="dropout")(features)
    outputs = layers.Dense(num_outputs, name="outputs")(features)
    return keras.Model({"tokens": tokens}, outputs, name="bert")
