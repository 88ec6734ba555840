"""Networks of `translation.py` one token at a time, for a search that compiles.

Pure functions of a state: what was read is kept, what the source gives is computed once.
"""

from typing import Any

import keras

from septet.models.translation import PADDING

# Its functions are typed as giving None.
ops: Any = keras.ops

Memory = dict[str, Any]
State = dict[str, Any]


def translating(model: keras.Model) -> "TransformerSteps | RecurrentSteps":
    """The steps of a network of `translation.py`.

    Raises:
        ValueError: It is none of them.
    """
    steps = {"translation_transformer": TransformerSteps, "translation_recurrent": RecurrentSteps}
    if model.name not in steps:
        raise ValueError(f"'{model.name}' does not translate; expected {', '.join(steps)}.")
    return steps[model.name](model)


class TransformerSteps:
    """A translation `transformer` that answers several continuations of each source."""

    def __init__(self, model: keras.Model):
        """See the class."""
        given: Any = model.input
        names = [layer.name for layer in model.layers]
        count = sum(name.startswith("decoder") for name in names)
        self.blocks: list[Any] = [model.get_layer(f"decoder{n + 1}") for n in range(count)]
        self.encoder = keras.Model(given["source"], model.get_layer("memory").output)
        self.embedding: Any = model.get_layer("embedding")
        self.positions: Any = model.get_layer("positions")
        self.norm = model.get_layer("normalization")
        self.logits = model.get_layer("logits")

    def remember(self, source: Any) -> Memory:
        """What all steps need of sources [batch, time], each one sequence with its `END`."""
        memory = self.encoder(source, training=False)
        pairs = [block.cross.keys_and_values(memory) for block in self.blocks]
        return {"pairs": pairs, "allowed": ops.not_equal(source, PADDING)[:, None, None, :]}

    def start(self, size: int, length: int) -> State:
        """Empty keys and values [size, length, heads, head_dim] of each block."""
        attention = self.blocks[0].attention
        shape = (size, length, attention.num_heads, attention.head_dim)
        kind = attention.compute_dtype
        return {name: [ops.zeros(shape, kind) for _ in self.blocks] for name in ("keys", "values")}

    def step(self, memory: Memory, state: State, tokens: Any, place: Any) -> tuple[Any, State, Any]:
        """Read tokens [n] at `place`; n is the batch or a multiple, each source's in a row.

        Returns (logits [n, vocabulary], state, attention to the source [n, time]).
        """
        features = self.embedding(tokens[:, None])
        features = self.positions(features, ops.full_like(tokens[:, None], 1) * place)
        keys, values, looks = [], [], []
        for number, block in enumerate(self.blocks):
            features, new_keys, new_values, look = self._block(
                block, features, state["keys"][number], state["values"][number], place,
                memory["pairs"][number], memory["allowed"],
            )  # fmt: skip
            keys.append(new_keys)
            values.append(new_values)
            looks.append(look)
        logits = self.logits(self.norm(features))[:, 0]
        return logits, {"keys": keys, "values": values}, sum(looks) / len(looks)

    def _block(
        self, block: Any, features: Any, keys: Any, values: Any, place: Any, pair: Any, allowed: Any
    ) -> tuple[Any, Any, Any, Any]:
        """One block of the decoder at one position, features [n, 1, dim]."""
        normed = block.norm(features)
        new_keys, new_values = block.attention.keys_and_values(normed)
        keys = ops.slice_update(keys, (0, place, 0, 0), new_keys)
        values = ops.slice_update(values, (0, place, 0, 0), new_values)
        so_far = (ops.arange(keys.shape[1]) <= place)[None, None, None, :]
        features = features + block.attention.attend(normed, keys, values, so_far, training=False)
        # The continuations of one source are queries of one attention, which needs no copies.
        asked = block.cross_norm(features)
        found, look = asked_memory(block.cross, asked, pair, allowed)
        features = features + found
        dense = block.last(block.hidden(block.dense_norm(features)))
        return features + dense, keys, values, look


class RecurrentSteps:
    """A translation `recurrent` that answers several continuations of each source."""

    def __init__(self, model: keras.Model):
        """See the class."""
        given: Any = model.input
        self.encoder = keras.Model(given["source"], model.get_layer("memory").output)
        self.embedding: Any = model.get_layer("embedding")
        self.asking: Any = model.get_layer("asking")
        self.attention: Any = model.get_layer("attention")
        self.answering: Any = model.get_layer("answering")
        self.last = model.get_layer("normalization")
        self.logits = model.get_layer("logits")

    def remember(self, source: Any) -> Memory:
        """See `TransformerSteps`."""
        pair = self.attention.keys_and_values(self.encoder(source, training=False))
        return {"pair": pair, "allowed": ops.not_equal(source, PADDING)[:, None, None, :]}

    def start(self, size: int, length: int) -> State:
        """Zeros [size, units] of both layers."""
        del length
        zeros = ops.zeros((size, self.asking.units), self.asking.compute_dtype)
        return {"asking": zeros, "answering": zeros}

    def step(self, memory: Memory, state: State, tokens: Any, place: Any) -> tuple[Any, State, Any]:
        """See `TransformerSteps`."""
        del place
        vectors = self.embedding(tokens[:, None])[:, 0]
        asking = self.asking.next_state(self.asking.of_inputs(vectors), state["asking"])
        found, look = asked_memory(
            self.attention, asking[:, None], memory["pair"], memory["allowed"]
        )
        both = ops.concatenate([asking, found[:, 0]], axis=-1)
        answering = self.answering.next_state(self.answering.of_inputs(both), state["answering"])
        logits = self.logits(self.last(answering)[:, None])[:, 0]
        return logits, {"asking": asking, "answering": answering}, look


def asked_memory(attention: Any, asked: Any, pair: Any, allowed: Any) -> tuple[Any, Any]:
    """Attention of [n, 1, dim] to keys and values of a batch that n is a multiple of.

    Returns what was found, [n, 1, dim], and how much each place of the source was looked at,
    [n, time], on average over the heads.
    """
    keys, values = pair
    batch = keys.shape[0]
    shape = ops.shape(asked)
    queries = ops.reshape(asked, (batch, shape[0] // batch, shape[2]))
    found = attention.attend(queries, keys, values, allowed, training=False)
    look = attention.weights_of(queries, keys, allowed)
    mean = ops.reshape(ops.mean(look, axis=1), (shape[0], keys.shape[1]))
    return ops.reshape(found, (shape[0], 1, -1)), mean
