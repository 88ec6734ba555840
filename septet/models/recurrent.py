"""Recurrent networks over series: SimpleRNN, LSTM and GRU, and the same one step at a time.

Know nothing of what a series means; they return logits or numbers, without an activation
at the end. Series of several lengths share a batch: each is padded at its end, and its
length says where that is.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import keras
import numpy as np
from keras import layers
from pydantic import ConfigDict, Field, validate_call

from septet.models.dropping import Drop

# Its functions are typed as giving None.
ops: Any = keras.ops

Size = Annotated[int, Field(ge=1, le=100_000, strict=True)]
Width = Annotated[int, Field(ge=1, le=16_384, strict=True)]
Dropout = Annotated[float, Field(ge=0.0, lt=1.0)]
Kind = Literal["simple", "lstm", "gru"]

LAYERS = {"simple": layers.SimpleRNN, "lstm": layers.LSTM, "gru": layers.GRU}

checked = validate_call(config=ConfigDict(allow_inf_nan=False))


@checked
def recurrent(
    *,
    num_features: Size,
    num_outputs: Size,
    kind: Kind = "lstm",
    hidden: Annotated[list[Width], Field(min_length=1, max_length=16)] = [64],  # noqa: B006
    is_bidirectional: bool = False,
    is_each_step: bool = False,
    has_lengths: bool = False,
    dropout: Dropout = 0.0,
) -> keras.Model:
    """Stacked recurrent layers and a dense one.

    Elman (1990), Hochreiter and Schmidhuber (1997), Cho et al. (arXiv:1406.1078).

    Inputs by name: "series", float32 [batch, time, num_features], of any time; with
    `has_lengths` also "lengths", int32 [batch], each from 0 to time: what comes after is
    padding and changes nothing. Outputs [batch, num_outputs], from the last step of each
    series; with `is_each_step` [batch, time, num_outputs], which on padding repeats what the
    last state gives.

    Args:
        num_features: Numbers at each step.
        num_outputs: Logits or numbers.
        kind: Of the cells.
        hidden: Units of each layer, in each direction.
        is_bidirectional: Read each series from its end, too, and join what both give.
        is_each_step: Answer at every step.
        has_lengths: The series of a batch have lengths of their own.
        dropout: Share of units left out before each layer but the first, in training.

    Raises:
        ValueError: An argument is out of range (a pydantic ValidationError).
    """
    series = keras.Input((None, num_features), dtype="float32", name="series")
    inputs, mask = {"series": series}, None
    if has_lengths:
        inputs["lengths"] = keras.Input((), dtype="int32", name="lengths")
        mask = WithinLength(name="within_length")(series, inputs["lengths"])
    features = series
    for place, units in enumerate(hidden):
        if place and dropout:
            features = Drop(dropout, name=f"dropout{place}")(features)
        keeps_time = is_each_step or place < len(hidden) - 1
        layer = LAYERS[kind](units, return_sequences=keeps_time, name=f"{kind}{place + 1}")
        if is_bidirectional:
            layer = layers.Bidirectional(layer, name=f"bidirectional{place + 1}")
        features = layer(features, mask=mask)
    outputs = layers.Dense(num_outputs, name="outputs")(features)
    return keras.Model(inputs, outputs, name="recurrent")


class WithinLength(layers.Layer):
    """(series [batch, time, ...], lengths [batch]) -> bool [batch, time], true before the end."""

    def call(self, series: Any, lengths: Any) -> Any:
        """See the class."""
        return ops.arange(ops.shape(series)[1])[None, :] < lengths[:, None]

    def compute_output_spec(self, series: Any, lengths: Any) -> Any:
        """Bool [batch, time]."""
        del lengths
        return keras.KerasTensor(series.shape[:2], dtype="bool")


def pad(series: Sequence[np.ndarray], *, length: int | None = None) -> dict[str, np.ndarray]:
    """Series [time, features] of several lengths as the inputs of `recurrent`: padded by zeros.

    Args:
        series: At least one.
        length: To which all are padded; that of the longest when absent.

    Raises:
        ValueError: There are none, they differ in features, or one is longer than `length`.
    """
    if not series:
        raise ValueError("Received no series; expected at least one.")
    widths = {one.shape[1:] for one in map(np.asarray, series)}
    if len(widths) > 1 or len(next(iter(widths))) != 1:
        shapes = sorted({np.shape(one) for one in series})[:3]
        raise ValueError(f"Received series of shapes {shapes}; expected (time, features) each.")
    lengths = np.array([len(one) for one in series], np.int32)
    longest = int(lengths.max())
    if length is not None and longest > length:
        raise ValueError(f"Received a series of {longest} steps; expected at most {length}.")
    padded = np.zeros((len(series), length or longest, *widths.pop()), np.float32)
    for row, one in zip(padded, series, strict=True):
        row[: len(one)] = one
    return {"series": padded, "lengths": lengths}


class Stream:
    """A trained `recurrent` network fed one step at a time, its state kept between them.

        stream = Stream(model)
        for row in sensor:
            answer = stream.step(row)

    After any number of steps, the answer is the one that the network gives for the whole
    series so far.
    """

    def __init__(self, model: keras.Model, batch_size: int = 1):
        """Start `batch_size` series that advance together.

        Raises:
            ValueError: The network reads its series from both ends, or is none of `recurrent`.
        """
        if any(isinstance(layer, layers.Bidirectional) for layer in model.layers):
            raise ValueError(
                "A bidirectional network needs the end of a series before its start can be "
                "answered, and cannot be streamed. Train one with is_bidirectional=False."
            )
        self.batch_size = batch_size
        self.num_features = _num_features(model)
        self._network = step_network(model)
        self._run = _compiled(self._network)
        self.reset()

    def reset(self) -> None:
        """Forget all steps so far: the next one begins new series."""
        shapes = [(self.batch_size, *given.shape[1:]) for given in self._network.inputs[1:]]
        self._states = [np.zeros(shape, np.float32) for shape in shapes]

    def step(self, row: Any) -> np.ndarray:
        """The answer [batch, num_outputs] after one more step [batch, num_features].

        With a batch of one, [num_outputs] after [num_features].

        Raises:
            ValueError: The row has another shape.
        """
        row = np.asarray(row, np.float32)
        is_single = row.ndim == 1 and self.batch_size == 1
        rows = row[None] if is_single else row
        expected = (self.batch_size, self.num_features)
        if rows.shape != expected:
            raise ValueError(f"Received a step of shape {row.shape}; expected {expected}.")
        answer, *self._states = self._run(rows, *self._states)
        return np.asarray(keras.ops.convert_to_numpy(answer))[0 if is_single else slice(None)]


def step_network(model: keras.Model) -> keras.Model:
    """One step of a `recurrent` network, with its own weights: (row, states) -> (answer, states).

    Raises:
        ValueError: The network has no recurrent layer.
    """
    cells = [layer for layer in model.layers if isinstance(layer, tuple(LAYERS.values()))]
    if not cells:
        raise ValueError(f"'{model.name}' has no recurrent layer to step through.")
    row = keras.Input((_num_features(model),), dtype="float32", name="row")
    states, given, features = [], [], row
    for layer in cells:
        sizes = layer.cell.state_size
        sizes = [sizes] if isinstance(sizes, int) else list(sizes)
        before = [keras.Input((size,), name=f"{layer.name}_{i}") for i, size in enumerate(sizes)]
        features, *after = OneStep(layer.cell, name=f"{layer.name}_step")(features, *before)
        given += before
        states += after
    outputs = model.get_layer("outputs")(features)
    return keras.Model([row, *given], [outputs, *states], name=f"{model.name}_step")


def _num_features(model: keras.Model) -> int:
    given: Any = model.input
    return given["series"].shape[-1]


class OneStep(layers.Layer):
    """A recurrent cell by itself: (features, *states) -> (output, *states)."""

    def __init__(self, cell: Any, **rest: Any):
        """Share `cell` and its weights."""
        super().__init__(**rest)
        self.cell = cell

    def call(self, features: Any, *states: Any) -> Any:
        """See the class."""
        output, states = self.cell(features, list(states), training=False)
        return (output, *states)

    def compute_output_spec(self, features: Any, *states: Any) -> Any:
        """The output has the first state's shape."""
        del features
        specs = [keras.KerasTensor(state.shape, dtype=state.dtype) for state in states]
        return (keras.KerasTensor(states[0].shape, dtype=states[0].dtype), *specs)


def _compiled(network: keras.Model) -> Any:
    """`network` as a function of its inputs; compiled where the backend is JAX."""
    if keras.backend.backend() != "jax":

        def eager(*inputs: Any) -> Any:
            found = network([ops.convert_to_tensor(each) for each in inputs], training=False)
            # PyTorch would remember every step so far for a gradient that nobody takes.
            return [ops.stop_gradient(each) for each in found]

        return eager
    import jax

    def run(trainable: Any, non_trainable: Any, *inputs: Any) -> Any:
        return network.stateless_call(trainable, non_trainable, list(inputs), training=False)[0]

    compiled = jax.jit(run)
    weights = [
        [variable.value for variable in group]
        for group in (network.trainable_variables, network.non_trainable_variables)
    ]
    return lambda *inputs: compiled(*weights, *inputs)
