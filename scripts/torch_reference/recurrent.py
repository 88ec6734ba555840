"""Recurrent layers: one or two, in one direction or both, whole or packed, from given states."""

from collections.abc import Callable
from typing import Any

import numpy as np
from recording import Case, Numbers
from torch import nn  # pyright: ignore[reportMissingImports]
from torch.nn.utils.rnn import (  # pyright: ignore[reportMissingImports]
    pack_padded_sequence,
    pad_packed_sequence,
)

CASES: dict[str, Callable[[Numbers], Case]] = {}
KINDS = {"SimpleRNN": nn.RNN, "LSTM": nn.LSTM, "GRU": nn.GRU}
TIME, LENGTHS = 5, np.array([5, 2, 3], np.int32)


def sequence_and_states(rnn: Any, series: Any, lengths: Any = None, states: Any = None) -> list:
    """What each step gives and the last layer's states, direction by direction."""
    if lengths is None:
        sequence, after = rnn(series, states)
    else:
        packed = pack_padded_sequence(series, lengths, batch_first=True, enforce_sorted=False)
        sequence, after = rnn(packed, states)
        sequence, _ = pad_packed_sequence(sequence, batch_first=True, total_length=series.shape[1])
    after = after if isinstance(after, tuple) else (after,)
    directions = 2 if rnn.bidirectional else 1
    found = [sequence]
    for direction in range(directions):
        found += [state[direction - directions] for state in after]
    return found


def make(kind: str, depth: int, is_bidirectional: bool, is_packed: bool) -> Any:
    """One combination."""

    def case(numbers: Numbers) -> Case:
        module = nn.Module()
        module.rnn = KINDS[kind](
            3, 4, num_layers=depth, bidirectional=is_bidirectional, batch_first=True
        )
        inputs = {"series": numbers.normal(3, TIME, 3)}
        if is_packed:
            inputs["lengths"] = LENGTHS
        return Case(
            module,
            inputs,
            lambda module, series, lengths=None: sequence_and_states(module.rnn, series, lengths),
        )

    return case


for kind in KINDS:
    for depth in (1, 2):
        for is_bidirectional in (False, True):
            for is_packed in (False, True):
                parts = [
                    "both directions" if is_bidirectional else "one direction",
                    *(["stacked"] if depth > 1 else []),
                    *(["packed lengths"] if is_packed else []),
                ]
                CASES[f"{kind}: {', '.join(parts)}"] = make(
                    kind, depth, is_bidirectional, is_packed
                )


def given(kind: str) -> Any:
    """From states that are inputs."""

    def case(numbers: Numbers) -> Case:
        module = nn.Module()
        module.rnn = KINDS[kind](3, 4, batch_first=True)
        names = ("hidden", "cell") if kind == "LSTM" else ("hidden",)

        def forward(module: Any, series: Any, **states: Any) -> Any:
            before: Any = tuple(state[None] for state in states.values())
            return sequence_and_states(
                module.rnn, series, None, before if len(before) > 1 else before[0]
            )

        states = {name: numbers.normal(3, 4) for name in names}
        return Case(module, {"series": numbers.normal(3, TIME, 3), **states}, forward)

    return case


for kind in KINDS:
    CASES[f"{kind}: given states"] = given(kind)
