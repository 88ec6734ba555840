"""Recurrent layers beside PyTorch's, packed lengths as masks."""

from typing import Any

import keras
from keras import layers

from tests.models.parity.comparing import Built, Case

ops: Any = keras.ops

CASES: dict[str, Case] = {}
KINDS = {"SimpleRNN": layers.SimpleRNN, "LSTM": layers.LSTM, "GRU": layers.GRU}


def stack(kind: str, depth: int, is_bidirectional: bool) -> Built:
    """Layers one after another; what each step gives and the last one's states."""

    def one(place: int) -> Any:
        layer = KINDS[kind](4, return_sequences=True, return_state=place == depth - 1)
        return layers.Bidirectional(layer) if is_bidirectional else layer

    made = [one(place) for place in range(depth)]

    def forward(series: Any, lengths: Any = None) -> Any:
        mask = None
        if lengths is not None:
            mask = ops.arange(series.shape[1])[None] < lengths[:, None]
        features, states = series, []
        for layer in made:
            features = layer(features, mask=mask)
            features, *states = features if isinstance(features, list | tuple) else [features]
        if mask is not None:
            # PyTorch gives zeros on padding.
            features = features * ops.cast(mask, "float32")[..., None]
        return [features, *states]

    return [(layer, f"rnn:l{place}") for place, layer in enumerate(made)], forward


for kind in KINDS:
    for depth in (1, 2):
        for is_bidirectional in (False, True):
            for is_packed in (False, True):
                parts = [
                    "both directions" if is_bidirectional else "one direction",
                    *(["stacked"] if depth > 1 else []),
                    *(["packed lengths"] if is_packed else []),
                ]
                name = f"{kind}: {', '.join(parts)}"
                CASES[name] = Case(name, lambda a=kind, b=depth, c=is_bidirectional: stack(a, b, c))


def given_states(kind: str) -> Built:
    """From states that are inputs."""
    layer = KINDS[kind](4, return_sequences=True, return_state=True)

    def forward(series: Any, **states: Any) -> Any:
        return list(layer(series, initial_state=list(states.values())))

    return [(layer, "rnn:l0")], forward


for kind in KINDS:
    CASES[f"{kind}: given states"] = Case(f"{kind}: given states", lambda a=kind: given_states(a))
