"""An LSTM over tokens, to compare with `gpt`, and the same with its state kept.

Knows nothing of text: tokens are numbers below a vocabulary's size, and answers are logits.
"""

from typing import Annotated, Any

import keras
from keras import layers
from pydantic import ConfigDict, Field, validate_call

from septet.models.dropping import Drop

# Its functions are typed as giving None.
ops: Any = keras.ops

Size = Annotated[int, Field(ge=1, le=1_000_000, strict=True)]
Width = Annotated[int, Field(ge=1, le=16_384, strict=True)]
Count = Annotated[int, Field(ge=1, le=16, strict=True)]
Dropout = Annotated[float, Field(ge=0.0, lt=1.0)]

checked = validate_call(config=ConfigDict(allow_inf_nan=False))


@checked
def language_lstm(
    *,
    vocabulary_size: Size,
    dim: Width = 128,
    units: Width = 512,
    depth: Count = 2,
    dropout: Dropout = 0.0,
) -> keras.Model:
    """Stacked LSTMs (Hochreiter and Schmidhuber 1997): logits of the token after each.

    Input "tokens", int32 [batch, time], of any time; outputs logits
    [batch, time, vocabulary_size], each from the tokens up to its own place.

    Args:
        vocabulary_size: Tokens there are.
        dim: Of each token's vector.
        units: Of each layer.
        depth: Layers.
        dropout: Share left out before each layer and before the logits.

    Raises:
        ValueError: An argument is out of range (a pydantic ValidationError).
    """
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    features = layers.Embedding(vocabulary_size, dim, name="embedding")(tokens)
    for number in range(1, depth + 1):
        features = Drop(dropout, name=f"dropout{number}")(features)
        features = layers.LSTM(units, return_sequences=True, name=f"lstm{number}")(features)
    features = Drop(dropout, name="dropout")(features)
    logits = layers.Dense(vocabulary_size, name="logits")(features)
    return keras.Model({"tokens": tokens}, logits, name="language_lstm")


class LstmReading:
    """A `language_lstm` that keeps its state, so that each token is looked at once.

    Args:
        model: Of `language_lstm`.
    """

    length = None
    """It can read without end."""

    def __init__(self, model: keras.Model):
        """See the class."""
        self.embedding, self.logits = model.get_layer("embedding"), model.get_layer("logits")
        self.cells = [layer.cell for layer in model.layers if isinstance(layer, layers.LSTM)]
        self.dtype = model.compute_dtype

    def start(self, batch_size: int) -> list[Any]:
        """Nothing read: zeros [batch, units] for output and memory of each layer."""
        return [
            ops.zeros((batch_size, cell.units), self.dtype) for cell in self.cells for _ in range(2)
        ]

    def read(self, state: list[Any], tokens: Any, place: Any, count: Any) -> tuple[Any, list[Any]]:
        """Read the first `count` of tokens [batch, time]; see `gpt.GptReading.read`."""
        del place
        features = self.embedding(tokens)

        def step(number: Any, state: Any) -> Any:
            return self._step(ops.take(features, number, axis=1), state)

        state = ops.fori_loop(0, count, step, state)
        # The last layer's output is the first of its two parts.
        return ops.cast(self.logits(state[-2]), "float32"), state

    def _step(self, features: Any, state: list[Any]) -> list[Any]:
        after = []
        for number, cell in enumerate(self.cells):
            features, new = cell(features, state[2 * number : 2 * number + 2], training=False)
            after += new
        return after
