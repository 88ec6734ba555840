"""Attention, blocks of Transformers and positions beside PyTorch's."""

from typing import Any

import keras
from keras import layers

from septet.models.transformer_layers import AddLearned, AddSinusoids, Attention, Block, rotated
from tests.models.parity.comparing import Built, Case

ops: Any = keras.ops

CASES: dict[str, Case] = {}
DIM, HEADS, HIDDEN = 8, 2, 6
ATTENTION = {
    "all": {},
    "padding": {},
    "causal": {"is_causal": True},
    "padding and causal": {"is_causal": True},
    "to a memory": {},
    "to a padded memory": {},
}


def of_keras(is_causal: bool = False) -> Built:
    """`keras.layers.MultiHeadAttention`."""
    layer = layers.MultiHeadAttention(HEADS, DIM // HEADS)

    def forward(features: Any, memory: Any = None, mask: Any = None) -> Any:
        keys = features if memory is None else memory
        allowed = None if mask is None else mask[:, None, :]
        return layer(features, keys, attention_mask=allowed, use_causal_mask=is_causal)

    return [(layer, "layer")], forward


def of_septet(is_causal: bool = False) -> Built:
    """Septet's `Attention`."""
    layer = Attention(DIM, HEADS, is_causal=is_causal)

    def forward(features: Any, memory: Any = None, mask: Any = None) -> Any:
        return layer(features, memory=memory, mask=mask)

    return [(layer, "layer")], forward


for name, settings in ATTENTION.items():
    for of_whom, make in (("MultiHeadAttention", of_keras), ("Attention", of_septet)):
        CASES[f"{of_whom}: {name}"] = Case(
            f"attention: {name}", lambda make=make, settings=settings: make(**settings)
        )


def block(norm: str, activation: str, is_decoder: bool) -> Built:
    """Septet's `Block`."""
    more = {"is_causal": True, "has_memory": True} if is_decoder else {}
    layer = Block(DIM, HEADS, HIDDEN, norm, activation, 0.0, False, **more)

    def forward(features: Any, mask: Any, memory: Any = None) -> Any:
        if is_decoder:
            return layer(features, memory=memory, memory_mask=mask, training=True)
        return layer(features, mask=mask, training=True)

    return [(layer, "layer")], forward


for norm in ("pre", "post"):
    for activation in ("relu", "gelu"):
        for kind in ("encoder", "decoder"):
            CASES[f"Block of {kind}: {norm}-norm, {activation}"] = Case(
                f"{kind} block: {norm}-norm, {activation}",
                lambda a=norm, b=activation, c=kind == "decoder": block(a, b, c),
            )


def learned() -> Built:
    layer = AddLearned(9, DIM)
    return [(layer, "layer")], lambda features: layer(features)


def rotary_attention() -> Built:
    layer = Attention(DIM, HEADS, is_causal=True, is_rotary=True)
    return [(layer, "")], lambda features: layer(features)


CASES["Positions: sinusoidal"] = Case(
    "positions: sinusoidal", lambda: ([], lambda features: AddSinusoids(9, DIM)(features))
)
CASES["Positions: learned"] = Case("positions: learned", learned)
CASES["Positions: rotary"] = Case(
    "positions: rotary", lambda: ([], lambda vectors: rotated(vectors, ops.arange(3, 9)))
)
CASES["Attention: rotary, causal"] = Case("attention: rotary, causal", rotary_attention)
