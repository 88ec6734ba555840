"""Networks that translate: a Transformer, and recurrent layers with attention.

Know nothing of text. A row holds one sequence or several one after another, so that little of
it is padding: each of the source ends with `END`, each of the target begins with `START`, and
no position sees another sequence than its own. Tokens of both sides are of one vocabulary.
`translating.py` gives the same one token at a time.
"""

from typing import Annotated, Any

import keras
from keras import layers
from pydantic import ConfigDict, Field, validate_call

from septet.models.dropping import Drop
from septet.models.transformer_layers import (
    EPSILON,
    Attention,
    Block,
    TiedLogits,
    TokenEmbedding,
    sinusoids,
)

# Its functions are typed as giving None.
ops: Any = keras.ops

PADDING, START, END = 0, 2, 3
"""The tokens that every tokenizer of `septet.language` has."""

Size = Annotated[int, Field(ge=4, le=10_000_000, strict=True)]
Width = Annotated[int, Field(ge=1, le=4096, strict=True)]
Count = Annotated[int, Field(ge=1, le=128, strict=True)]
Length = Annotated[int, Field(ge=1, le=4096, strict=True)]
Dropout = Annotated[float, Field(ge=0.0, lt=1.0)]

checked = validate_call(config=ConfigDict(allow_inf_nan=False))


@checked
def transformer(
    *,
    vocabulary_size: Size,
    length: Length,
    dim: Width = 256,
    depth: Count = 3,
    num_heads: Count = 4,
    feed_forward_dim: Width = 1024,
    dropout: Dropout = 0.1,
) -> keras.Model:
    """The Transformer of Vaswani et al. (arXiv:1706.03762), normalised before each part.

    Inputs "source" and "target", int32 [batch, time] each, of any time; outputs logits of the
    target's token after each, [batch, time, vocabulary]. One table of vectors serves source,
    target and logits.

    Args:
        vocabulary_size: Tokens of both sides together.
        length: Longest sequence of either, not of a row.
        dim: Of each position's vector.
        depth: Blocks of the encoder, and as many of the decoder.
        num_heads: Of attention; `dim` must be a multiple of it.
        feed_forward_dim: Units of each block's hidden dense layer.
        dropout: Share left out of attention, of each sum's new part, and of the first vectors.

    Raises:
        ValueError: An argument is out of range or they do not fit each other.
    """
    _check_heads(dim, num_heads)
    source, target, sides = _sides()
    embedding = TokenEmbedding(vocabulary_size, dim, name="embedding")
    shared = (dim, num_heads, feed_forward_dim, "pre", "relu", dropout, False)
    positions = AddPlaces(length, dim, name="positions")
    memory = positions(embedding(source), sides["source_places"])
    memory = Drop(dropout, name="source_dropout")(memory)
    for number in range(1, depth + 1):
        memory = Block(*shared, name=f"encoder{number}")(memory, mask=sides["source_mask"])
    memory = layers.LayerNormalization(epsilon=EPSILON, name="memory")(memory)
    features = positions(embedding(target), sides["target_places"])
    features = Drop(dropout, name="dropout")(features)
    for number in range(1, depth + 1):
        block = Block(*shared, is_causal=True, has_memory=True, name=f"decoder{number}")
        features = block(
            features,
            memory=memory,
            mask=sides["target_mask"],
            memory_mask=sides["between_mask"],
        )
    features = layers.LayerNormalization(epsilon=EPSILON, name="normalization")(features)
    logits = Logits(embedding, name="logits")(features)
    return keras.Model({"source": source, "target": target}, logits, name="translation_transformer")


@checked
def recurrent(
    *,
    vocabulary_size: Size,
    dim: Width = 256,
    units: Width = 256,
    depth: Count = 1,
    num_heads: Count = 1,
    dropout: Dropout = 0.1,
) -> keras.Model:
    """GRU layers with attention: Bahdanau et al. (arXiv:1409.0473) as in GNMT (arXiv:1609.08144).

    The encoder reads from both ends; the decoder's first layer asks the encoder's vectors by
    dot-product attention, and its second layer goes on from what it found. Inputs and outputs
    are those of `transformer`.

    Args:
        vocabulary_size: Tokens of both sides together.
        dim: Of each token's vector.
        units: Of each recurrent layer, in each direction.
        depth: Layers of the encoder.
        num_heads: Of attention; `units` must be a multiple of it.
        dropout: Share left out of vectors and of what layers give.

    Raises:
        ValueError: An argument is out of range or they do not fit each other.
    """
    _check_heads(units, num_heads)
    source, target, sides = _sides()
    embedding = TokenEmbedding(vocabulary_size, dim, name="embedding")
    memory = Drop(dropout, name="source_dropout")(embedding(source))
    for number in range(1, depth + 1):
        onwards = PackedGRU(units, name=f"onwards{number}")
        backwards = PackedGRU(units, is_backwards=True, name=f"backwards{number}")
        both = [each(memory, sides["source_segments"]) for each in (onwards, backwards)]
        memory = layers.Concatenate(name=f"both{number}")(both)
        memory = Drop(dropout, name=f"memory_dropout{number}")(memory)
    memory = layers.Dense(units, name="memory")(memory)
    features = Drop(dropout, name="dropout")(embedding(target))
    features = PackedGRU(units, name="asking")(features, sides["target_segments"])
    attention = Attention(units, num_heads, name="attention")
    found = attention(features, memory=memory, mask=sides["between_mask"])
    features = layers.Concatenate(name="asked_and_found")([features, found])
    features = PackedGRU(units, name="answering")(features, sides["target_segments"])
    features = Drop(dropout, name="answer_dropout")(features)
    features = layers.Dense(dim, name="normalization")(features)
    logits = Logits(embedding, name="logits")(features)
    return keras.Model({"source": source, "target": target}, logits, name="translation_recurrent")


def _check_heads(dim: int, num_heads: int) -> None:
    if dim % num_heads:
        raise ValueError(f"Received {dim} numbers and {num_heads} heads; expected a multiple.")


def _sides() -> tuple[Any, Any, dict[str, Any]]:
    """Both inputs, and which sequence each of their tokens is of, in the forms that layers take."""
    source = keras.Input((None,), dtype="int32", name="source")
    target = keras.Input((None,), dtype="int32", name="target")
    of_source = Segments(END, is_last=True, name="source_segments")(source)
    of_target = Segments(START, is_last=False, name="target_segments")(target)
    source_mask = SameSegment(name="source_mask")(of_source, of_source)
    target_mask = SameSegment(name="target_mask")(of_target, of_target)
    sides = {
        "source_segments": of_source,
        "target_segments": of_target,
        "source_mask": source_mask,
        "target_mask": target_mask,
        "between_mask": SameSegment(name="between_mask")(of_target, of_source),
        "source_places": Places(name="source_places")(source_mask),
        "target_places": Places(name="target_places")(target_mask),
    }
    return source, target, sides


class Logits(TiedLogits):
    """Tied logits that carry no mask: which of them count, the loss tells from the labels."""

    def compute_mask(self, *given: Any, **named: Any) -> None:
        """None: masks here say which position sees which, and losses would take them amiss."""


class Segments(layers.Layer):
    """Tokens [batch, time] -> which sequence each is of, int32 from 1; 0 on padding.

    Args:
        mark: The token at one end of each sequence.
        is_last: At its end, else at its begin.
    """

    def __init__(self, mark: int, *, is_last: bool, **rest: Any):
        """See the class."""
        super().__init__(**rest)
        self.mark = mark
        self.is_last = is_last

    def call(self, tokens: Any) -> Any:
        """See the class."""
        marks = ops.cast(ops.equal(tokens, self.mark), "int32")
        number = ops.cumsum(marks, axis=1)
        if self.is_last:
            number = number - marks + 1
        return ops.where(ops.equal(tokens, PADDING), 0, number)

    def compute_output_spec(self, tokens: Any) -> Any:
        """Int32 of the same shape."""
        return keras.KerasTensor(tokens.shape, dtype="int32")


class SameSegment(layers.Layer):
    """Numbers of sequences [batch, m] and [batch, n] -> bool [batch, m, n], where they agree."""

    def call(self, first: Any, second: Any) -> Any:
        """See the class."""
        return ops.equal(first[:, :, None], second[:, None, :])

    def compute_output_spec(self, first: Any, second: Any) -> Any:
        """One more axis."""
        return keras.KerasTensor((*first.shape, second.shape[1]), dtype="bool")


class Places(layers.Layer):
    """Which tokens are of one sequence [batch, time, time] -> each one's place in its own."""

    def call(self, same: Any) -> Any:
        """See the class."""
        rows = ops.arange(ops.shape(same)[1])
        before = ops.logical_and(same, (rows[None, :] < rows[:, None])[None])
        return ops.sum(ops.cast(before, "int32"), axis=2)

    def compute_output_spec(self, same: Any) -> Any:
        """Int32 [batch, time]."""
        return keras.KerasTensor(same.shape[:2], dtype="int32")


class AddPlaces(layers.Layer):
    """Adds sinusoids for the place of each vector in its sequence; beyond the last, the last's."""

    def __init__(self, length: int, dim: int, **rest: Any):
        """See the class."""
        super().__init__(**rest)
        self.supports_masking = True
        self.table = sinusoids(length, dim)

    def call(self, features: Any, places: Any) -> Any:
        """[batch, time, dim] and int [batch, time] -> the first shape."""
        # Padding counts on without end.
        places = ops.minimum(places, self.table.shape[0] - 1)
        table = ops.cast(ops.convert_to_tensor(self.table), features.dtype)
        return features + ops.take(table, places, axis=0)

    def compute_output_shape(self, features_shape: Any, places_shape: Any = None) -> Any:
        """The features' shape."""
        del places_shape
        return features_shape


class PackedGRU(layers.Layer):
    """Gated recurrent units (Cho et al., arXiv:1406.1078) that begin anew with each sequence.

    Args:
        units: Of the state, and numbers that it gives.
        is_backwards: Read each sequence from its end.
    """

    def __init__(self, units: int, *, is_backwards: bool = False, **rest: Any):
        """See the class."""
        super().__init__(**rest)
        self.supports_masking = True
        self.units = units
        self.is_backwards = is_backwards

    def build(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, features_shape: Any, segments_shape: Any = None
    ) -> None:
        """Update, reset and new state, in this order."""
        del segments_shape
        size = 3 * self.units
        self.kernel = self.add_weight((features_shape[-1], size), name="kernel")
        self.recurrent_kernel = self.add_weight(
            (self.units, size), initializer="orthogonal", name="recurrent_kernel"
        )
        self.bias = self.add_weight((size,), initializer="zeros", name="bias")
        self.recurrent_bias = self.add_weight((size,), initializer="zeros", name="recurrent_bias")

    def call(self, features: Any, segments: Any) -> Any:
        """[batch, time, dim] and int [batch, time] -> [batch, time, units]."""
        if self.is_backwards:
            features, segments = ops.flip(features, axis=1), ops.flip(segments, axis=1)
        inputs = ops.swapaxes(self.of_inputs(features), 0, 1)
        goes_on = ops.equal(segments[:, 1:], segments[:, :-1])
        first = ops.zeros_like(segments[:, :1], dtype="bool")
        kept = ops.cast(ops.concatenate([first, goes_on], axis=1), features.dtype)

        def read(state: Any, given: Any) -> tuple[Any, Any]:
            row, keep = given
            state = self.next_state(row, state * keep[:, None])
            return state, state

        start = ops.zeros((ops.shape(features)[0], self.units), features.dtype)
        states = ops.scan(read, start, (inputs, ops.swapaxes(kept, 0, 1)))[1]
        states = ops.swapaxes(states, 0, 1)
        return ops.flip(states, axis=1) if self.is_backwards else states

    def of_inputs(self, features: Any) -> Any:
        """The part of all gates that needs no state: [..., dim] -> [..., 3 * units]."""
        return ops.matmul(features, self.kernel) + self.bias

    def next_state(self, inputs: Any, state: Any) -> Any:
        """`of_inputs` [batch, 3 * units] and state [batch, units] -> the next state."""
        units = self.units
        known = ops.matmul(state, self.recurrent_kernel) + self.recurrent_bias
        gates = ops.sigmoid(inputs[:, : 2 * units] + known[:, : 2 * units])
        update, reset = gates[:, :units], gates[:, units:]
        new = ops.tanh(inputs[:, 2 * units :] + reset * known[:, 2 * units :])
        return update * state + (1.0 - update) * new

    def compute_output_shape(self, features_shape: Any, segments_shape: Any = None) -> Any:
        """As many numbers as units."""
        del segments_shape
        return (*features_shape[:-1], self.units)
