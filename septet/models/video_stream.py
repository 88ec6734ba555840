"""A network for videos fed one frame at a time, its state carried from frame to frame.

Knows the networks of `septet/models/video.py`; knows no file and no label.
"""

from typing import Any

import keras
import numpy as np
from keras import layers

from septet.engine.lowering import lowered
from septet.models.recurrent import OneStep
from septet.models.video import SIZE

# Its functions are typed as giving None.
ops: Any = keras.ops


class VideoStream:
    """A trained network fed one frame at a time.

        stream = VideoStream(network)
        for frame in camera:
            logits = stream.step(frame)

    After any number of frames the logits are those that the network gives for all frames so
    far as one clip. The work of a step does not grow.
    """

    def __init__(self, model: keras.Model, *, platform: str = "cpu"):
        """Nothing has been seen yet; `platform` is where the network runs.

        Raises:
            ValueError: The network is none of `septet.models.video`.
        """
        self.shape = tuple(_clips_of(model).shape[3:])
        self._network = step_network(model)
        self._run = _compiled(self._network, platform)
        self.reset()

    def reset(self) -> None:
        """Forget all frames so far: the next one begins a new clip."""
        self.num_frames = 0
        self._states = [
            np.zeros((1, *given.shape[1:]), keras.backend.standardize_dtype(given.dtype))
            for given in self._network.inputs[1:]
        ]

    def step(self, frame: Any) -> np.ndarray:
        """Logits float32 [num_classes] after one more frame, uint8 [height, width, channels].

        Raises:
            ValueError: The frame has another shape or type.
        """
        frame = np.asarray(frame)
        if frame.shape != self.shape or frame.dtype != np.uint8:
            raise ValueError(
                f"Received a frame of shape {frame.shape} and type {frame.dtype}; expected "
                f"{self.shape} and uint8."
            )
        logits, *self._states = self._run(frame[None], *self._states)
        self.num_frames += 1
        return np.asarray(ops.convert_to_numpy(logits), np.float32)[0]


def step_network(model: keras.Model) -> keras.Model:
    """One frame of a network for videos, with its own weights: (frame, states) -> (logits, states).

    Raises:
        ValueError: The network is none of `septet.models.video`.
    """
    named = {layer.name: layer for layer in model.layers}
    is_recurrent = "gru" in named
    stages = sum(name.endswith("_convolution") for name in named)
    if not stages or not (is_recurrent or "average_over_time" in named):
        raise ValueError(f"'{model.name}' is no network for videos, which alone can be streamed.")
    shape = _clips_of(model).shape[3:]
    frame: Any = keras.Input(shape, dtype="uint8", name="frame")
    given, states = [], []
    hidden = named["normalise"](layers.Reshape((1, *shape), name="as_a_clip")(frame))
    for stage in range(1, stages + 1):
        if not is_recurrent:
            edges = ((0, 0), (SIZE // 2, SIZE // 2), (SIZE // 2, SIZE // 2))
            padded = layers.ZeroPadding3D(edges, name=f"stage{stage}_now")(hidden)
            earlier = keras.Input(
                (SIZE - 1, *padded.shape[2:]), dtype=padded.dtype, name=f"stage{stage}_earlier"
            )
            hidden = layers.Concatenate(axis=1, name=f"stage{stage}_seen")([earlier, padded])
            given.append(earlier)
            states.append(Latest(name=f"stage{stage}_kept")(hidden))
        for part in ("convolution", "pool", "normalization", "relu"):
            hidden = named[f"stage{stage}_{part}"](hidden)
    finish = _with_gru if is_recurrent else _with_average
    hidden, before, after = finish(named, hidden)
    logits = named["logits"](hidden)
    return keras.Model([frame, *given, *before], [logits, *states, *after], name="video_step")


def _with_gru(named: dict[str, Any], hidden: Any) -> tuple[Any, list[Any], list[Any]]:
    """What comes before the logits, the states it takes, and those it gives."""
    hidden = named["features"](hidden)
    for name in ("dense", "dense_normalization", "dense_relu"):
        hidden = named[name](hidden) if name in named else hidden
    cell = named["gru"].cell
    row = layers.Reshape((hidden.shape[-1],), name="features_now")(hidden)
    before = keras.Input((cell.state_size,), dtype=hidden.dtype, name="gru_state")
    output, after = OneStep(cell, name="gru_step")(row, before)
    return output, [before], [after]


def _with_average(named: dict[str, Any], hidden: Any) -> tuple[Any, list[Any], list[Any]]:
    """As `_with_gru`, of a network that averages over time."""
    hidden = named["average_over_space"](hidden)
    row = layers.Reshape((hidden.shape[-1],), name="average_now")(hidden)
    total = keras.Input((hidden.shape[-1],), dtype="float32", name="total")
    count = keras.Input((1,), dtype="float32", name="count")
    mean, new_total, new_count = RunningMean(name="running_mean")(row, total, count)
    return mean, [total, count], [new_total, new_count]


def _clips_of(model: keras.Model) -> Any:
    given: Any = getattr(model, "input", None)
    if not isinstance(given, dict) or "clips" not in given:
        raise ValueError(f"'{model.name}' is no network for videos, which alone can be streamed.")
    return given["clips"]


class Latest(layers.Layer):
    """All frames [batch, frames, ...] but the first."""

    def call(self, frames: Any) -> Any:
        """See the class."""
        return frames[:, 1:]

    def compute_output_spec(self, frames: Any) -> Any:
        """One frame fewer."""
        shape = (frames.shape[0], frames.shape[1] - 1, *frames.shape[2:])
        return keras.KerasTensor(shape, dtype=frames.dtype)


class RunningMean(layers.Layer):
    """(row, total, count) before -> (mean, total, count) with the row, in float32."""

    def call(self, row: Any, total: Any, count: Any) -> Any:
        """See the class."""
        total, count = ops.cast(total, "float32"), ops.cast(count, "float32")
        total, count = total + ops.cast(row, "float32"), count + 1.0
        return ops.cast(total / count, self.compute_dtype), total, count

    def compute_output_spec(self, row: Any, total: Any, count: Any) -> Any:
        """The shapes that came."""
        return (
            keras.KerasTensor(row.shape, dtype=self.compute_dtype),
            keras.KerasTensor(total.shape, dtype="float32"),
            keras.KerasTensor(count.shape, dtype="float32"),
        )


def _compiled(network: keras.Model, platform: str) -> Any:
    """`network` as a function of its inputs; compiled where the backend is JAX."""
    if keras.backend.backend() != "jax":

        def eager(*inputs: Any) -> Any:
            found = network([ops.convert_to_tensor(each) for each in inputs], training=False)
            # PyTorch would remember every step so far for a gradient that nobody takes.
            return [ops.stop_gradient(each) for each in found]

        return eager
    import jax

    def run(trainable: Any, non_trainable: Any, *inputs: Any) -> Any:
        with lowered(platform):
            return network.stateless_call(trainable, non_trainable, list(inputs), training=False)[0]

    compiled = jax.jit(run)
    weights = [
        [variable.value for variable in group]
        for group in (network.trainable_variables, network.non_trainable_variables)
    ]
    return lambda *inputs: compiled(*weights, *inputs)
