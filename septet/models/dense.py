"""Feed-forward networks: a plain stack, and a residual one for tables.

Knows nothing of what the columns mean; both return logits or numbers, without an
activation at the end.
"""

import math
from typing import Annotated, Any, Literal

import keras
import numpy as np
from pydantic import ConfigDict, Field, validate_call

from septet.models.dropping import Drop

# Its functions are typed as giving None.
ops: Any = keras.ops

Count = Annotated[int, Field(ge=0, le=100_000, strict=True)]
Size = Annotated[int, Field(ge=1, le=100_000, strict=True)]
Width = Annotated[int, Field(ge=1, le=16_384, strict=True)]
Cardinality = Annotated[int, Field(ge=1, le=1_000_000, strict=True)]
Dropout = Annotated[float, Field(ge=0.0, lt=1.0)]
Activation = Literal["relu", "gelu", "silu", "selu", "tanh", "mish"]

MOMENTUM = 0.9
"""Of the moving statistics; Keras' 0.99 lags behind the weights for the first hundreds of steps."""

CHECKED = ConfigDict(allow_inf_nan=False)


@validate_call(config=CHECKED)
def mlp(
    *,
    num_features: Size,
    num_outputs: Size,
    hidden: Annotated[list[Width], Field(max_length=64)] = [128, 128],  # noqa: B006
    activation: Activation = "relu",
    is_normalised: bool = False,
    dropout: Dropout = 0.0,
) -> keras.Model:
    """Feed-forward network: dense layers one after another (Rumelhart et al. 1986).

    Input "features", float32 [batch, num_features]; outputs logits or numbers
    [batch, num_outputs].

    Args:
        num_features: Numbers of each example.
        num_outputs: Logits or numbers.
        hidden: Units of each hidden layer; none for a linear model.
        activation: Of the hidden layers.
        is_normalised: By the batch, before each activation (Ioffe and Szegedy 2015).
        dropout: Share of hidden units left out in training.

    Raises:
        ValueError: An argument is out of range (a pydantic ValidationError).
    """
    given = keras.Input((num_features,), dtype="float32", name="features")
    features = given
    # Keeps the size of numbers from layer to layer (He et al. 2015), which tanh does not need.
    initializer = "glorot_uniform" if activation == "tanh" else "he_normal"
    for place, units in enumerate(hidden, 1):
        features = keras.layers.Dense(
            units,
            use_bias=not is_normalised,
            kernel_initializer=initializer,
            name=f"hidden{place}",
        )(features)
        if is_normalised:
            features = keras.layers.BatchNormalization(
                momentum=MOMENTUM, name=f"normalization{place}"
            )(features)
        features = keras.layers.Activation(activation, name=f"{activation}{place}")(features)
        if dropout:
            features = Drop(dropout, name=f"dropout{place}")(features)
    outputs = keras.layers.Dense(num_outputs, name="outputs")(features)
    return keras.Model({"features": given}, outputs, name="mlp")


@validate_call(config=CHECKED)
def tabular(
    num_numbers: Count,
    cardinalities: Annotated[list[Cardinality], Field(max_length=20_000)],
    num_outputs: Size,
    width: Width = 128,
    depth: Annotated[int, Field(ge=0, le=16, strict=True)] = 2,
    dropout: Dropout = 0.1,
    embedding_dim: Annotated[int, Field(ge=1, le=1024, strict=True)] = 8,
    activation: Activation = "silu",
    members: Annotated[int, Field(ge=1, le=64, strict=True)] = 1,
    is_classifier: bool = False,
) -> keras.Model:
    """Residual networks over the columns of a table (Gorishniy et al., arXiv:2106.11959, 3.2).

    Inputs by name, of which only those with columns exist: "numbers", float32
    [batch, num_numbers], and "categories", int32 [batch, len(cardinalities)], each value
    in [0, cardinality). Outputs logits or numbers [batch, num_outputs].

    Several members share the embedding and nothing else, and each learns from a loss of its own:
    in training the outputs are [batch, members, num_outputs]. What they answer is averaged, of
    a classifier in probabilities. One network of all is faster than one after another, and
    better than one alone (Gorishniy et al., arXiv:2410.24210).

    Args:
        num_numbers: Columns of numbers.
        cardinalities: Values that each category column can have.
        num_outputs: Classes, or 1 for a number.
        width: Units of each layer.
        depth: Residual blocks.
        dropout: Share of units left out in training.
        embedding_dim: Numbers that stand for one category.
        activation: Non-linearity of the blocks.
        members: Networks that are trained side by side.
        is_classifier: The outputs are logits.

    Raises:
        ValueError: An argument is out of range (a pydantic ValidationError), or no columns.
    """
    if num_numbers + len(cardinalities) == 0:
        raise ValueError("A table network needs at least one column of numbers or categories.")
    inputs, parts = {}, []
    if num_numbers:
        inputs["numbers"] = keras.Input((num_numbers,), dtype="float32", name="numbers")
        parts.append(inputs["numbers"])
    if cardinalities:
        categories = keras.Input((len(cardinalities),), dtype="int32", name="categories")
        inputs["categories"] = categories
        parts.append(_embed(categories, cardinalities, embedding_dim))
    features = keras.layers.Concatenate()(parts) if len(parts) > 1 else parts[0]
    features = keras.layers.Dense(members * width)(features)
    for _ in range(depth):
        features = _residual_block(features, members, width, dropout, activation)
    features = keras.layers.BatchNormalization(momentum=MOMENTUM)(features)
    features = keras.layers.Activation(activation)(features)
    outputs = _dense(features, members, width, num_outputs)
    if members > 1:
        outputs = keras.layers.Reshape((members, num_outputs))(outputs)
        outputs = MeanOfMembers(is_classifier, name="mean_of_members")(outputs)
    return keras.Model(inputs, outputs, name="tabular")


class MeanOfMembers(keras.layers.Layer):
    """What each member says in training; what all say together otherwise.

    Args:
        is_classifier: Of logits, average the probabilities.
    """

    def __init__(self, is_classifier: bool, **rest: Any):
        """See the class."""
        super().__init__(**rest)
        self.is_classifier = is_classifier

    def call(self, outputs: Any, training: bool | None = None) -> Any:
        """[batch, members, outputs] -> the same in training, else [batch, outputs]."""
        if training:
            return outputs
        if not self.is_classifier:
            return ops.mean(outputs, axis=1)
        return ops.logsumexp(ops.log_softmax(outputs, axis=-1), axis=1) - math.log(outputs.shape[1])

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Of the answer."""
        return (input_shape[0], input_shape[2])


def _embed(categories, cardinalities: list[int], embedding_dim: int):
    """One table for all columns, each with its own rows: [batch, columns * embedding_dim]."""
    offsets = np.cumsum([0, *cardinalities[:-1]]).astype("int32")
    table = keras.layers.Embedding(sum(cardinalities), embedding_dim, name="embedding")
    return keras.layers.Flatten()(table(keras.ops.add(categories, offsets)))


def _residual_block(features, members: int, width: int, dropout: float, activation: str):
    hidden = keras.layers.BatchNormalization(momentum=MOMENTUM)(features)
    hidden = _dense(hidden, members, width, width)
    hidden = keras.layers.Activation(activation)(hidden)
    hidden = Drop(dropout)(hidden)
    hidden = _dense(hidden, members, width, width)
    hidden = Drop(dropout)(hidden)
    return keras.layers.Add()([features, hidden])


def _dense(features, members: int, width: int, units: int):
    """A dense layer of each member: [batch, members * width] -> [batch, members * units]."""
    if members == 1:
        return keras.layers.Dense(units)(features)
    apart = keras.layers.Reshape((members, width))(features)
    # The middle sizes of such a kernel would count as inputs, too.
    limit = math.sqrt(6 / (width + units))
    initializer: Any = keras.initializers.RandomUniform(-limit, limit)
    hidden = keras.layers.EinsumDense(
        "bmi,mio->bmo", (members, units), bias_axes="mo", kernel_initializer=initializer
    )(apart)
    return keras.layers.Reshape((members * units,))(hidden)
