"""Decoders one token at a time: pure steps that keep what was read, for a loop that compiles."""

from typing import Any

import keras

# Its functions are typed as giving None.
ops: Any = keras.ops


class Decoding:
    """A `decoder` or `encoder_decoder` one token at a time, what it has read kept.

    Pure functions of the state, so that a loop over them compiles: `start` gives a state,
    `step` takes one and gives the next. The logits are those of the whole network.
    """

    def __init__(self, model: keras.Model, length: int):
        """Decode up to `length` tokens.

        Raises:
            ValueError: The network is neither of the two.
        """
        if model.name not in ("decoder", "encoder_decoder"):
            raise ValueError(f"'{model.name}' does not decode; expected a decoder.")
        self.model = model
        self.length = length
        has_memory = model.name == "encoder_decoder"
        names = [layer.name for layer in model.layers]
        prefix = "decoder" if has_memory else "block"
        count = sum(name.startswith(prefix) and name != "decoder" for name in names)
        self.blocks = [model.get_layer(f"{prefix}{number + 1}") for number in range(count)]
        self.embedding = model.get_layer("target_embedding" if has_memory else "embedding")
        self.positions = model.get_layer("positions") if "positions" in names else None
        self.norm = model.get_layer("normalization") if "normalization" in names else None
        self.logits = model.get_layer("logits")

    def start(self, batch_size: int) -> list[Any]:
        """Empty keys and values of each block, zeros [batch, length, heads, head_dim]."""
        attention = self.blocks[0].attention
        shape = (batch_size, self.length, attention.num_heads, attention.head_dim)
        return [ops.zeros(shape, self.model.compute_dtype) for _ in range(2 * len(self.blocks))]

    def step(
        self, state: list[Any], tokens: Any, place: Any, memory: Any = None, mask: Any = None
    ) -> tuple[Any, list[Any]]:
        """Read tokens [batch], at `place` (the first is 0): (logits [batch, vocabulary], state)."""
        features = self.embedding(tokens[:, None])
        if self.positions is not None:
            features = self.positions(features, start=place)
        after = []
        for number, block in enumerate(self.blocks):
            keys, values = state[2 * number : 2 * number + 2]
            features, keys, values = block.step(features, keys, values, place, memory, mask)
            after += [keys, values]
        if self.norm is not None:
            features = self.norm(features)
        return self.logits(features)[:, 0], after


def memory_of(model: keras.Model) -> keras.Model:
    """The encoder of an `encoder_decoder`: {"source", "source_mask"} -> [batch, time, dim]."""
    names = [layer.name for layer in model.layers]
    if "memory" in names:
        last = "memory"
    else:
        last = max((n for n in names if n.startswith("encoder")), key=lambda n: int(n[7:] or 0))
    given: Any = model.input
    inputs = {name: given[name] for name in ("source", "source_mask")}
    return keras.Model(inputs, model.get_layer(last).output, name="memory")
