"""Networks that say what happens in a video: a 3-D CNN, and a CNN with a GRU over time.

Both take uint8 clips [batch, clips, frames, height, width, channels], normalise them as their
first layer, and give logits [batch, num_classes], the mean over the clips of each video. Neither
looks ahead: what they say of a frame depends on it and on those before it, so they can be run
frame by frame (`septet/models/video_stream.py`). They know no data set, loss or optimizer.
"""

from typing import Annotated, Any, Literal

import keras
from keras import layers
from pydantic import Field

from septet.models.backbones import rescaled
from septet.models.convolutional import (
    MOMENTUM,
    Classes,
    PixelDeviation,
    PixelMean,
    Share,
    Side,
    checked,
)
from septet.models.dropping import Drop

# Its functions are typed as giving None.
ops: Any = keras.ops

Filters = Annotated[int, Field(ge=1, le=1024)]
Units = Annotated[int, Field(ge=0, le=8192)]
Stages = Annotated[list[Filters], Field(min_length=1, max_length=8)]

SIZE = 3
"""Of the kernels, in frames, rows and columns."""


@checked
def video_cnn(
    *,
    height: Side,
    width: Side,
    channels: Literal[1, 3],
    num_classes: Classes,
    mean: PixelMean,
    deviation: PixelDeviation,
    filters: Stages,
    dropout: Share = 0.1,
) -> keras.Model:
    """Stages of causal 3x3x3 convolutions, each halved in space, and the mean over time.

    3-D convolutions after C3D (Tran et al., arXiv:1412.0767). They are causal, and the average
    over space and time is cumulative, as in the streams of MoViNets (Kondratyuk et al.,
    arXiv:2103.11511): the network can be run frame by frame.

    Args:
        height: Of the frames, in pixels.
        width: Of the frames, in pixels.
        channels: 1 for grey, 3 for colour.
        num_classes: Number of logits.
        mean: Of each channel over the training videos, in 0..255.
        deviation: Standard deviation of each channel, in 0..255.
        filters: Of each stage.
        dropout: Share dropped before the last layer.

    Raises:
        pydantic.ValidationError: An argument is out of its range.
        ValueError: Arguments do not fit each other.
    """
    _require_halving(height, width, filters)
    clips, hidden = _normalised(height, width, channels, mean, deviation)
    for stage, number in enumerate(filters, 1):
        # Zeros before the first frame alone: no frame sees a later one.
        edges = ((SIZE - 1, 0), (SIZE // 2, SIZE // 2), (SIZE // 2, SIZE // 2))
        padded = layers.ZeroPadding3D(edges, name=f"stage{stage}_edges")(hidden)
        hidden = layers.Conv3D(
            number, SIZE, use_bias=False, kernel_initializer="he_normal",
            name=f"stage{stage}_convolution",
        )(padded)  # fmt: skip
        hidden = _finished(hidden, stage)
    hidden = OverSpace(name="average_over_space")(hidden)
    hidden = layers.GlobalAveragePooling1D(name="average_over_time")(hidden)
    return _with_logits(clips, hidden, num_classes, dropout, "video_cnn")


@checked
def video_recurrent(
    *,
    height: Side,
    width: Side,
    channels: Literal[1, 3],
    num_classes: Classes,
    mean: PixelMean,
    deviation: PixelDeviation,
    filters: Stages,
    dense_dim: Units = 128,
    units: Annotated[int, Field(ge=1, le=8192)] = 128,
    dropout: Share = 0.1,
) -> keras.Model:
    """A CNN that sees every frame by itself, and a GRU over what it saw (Cho et al. 2014).

    The same design as the long-term recurrent networks of Donahue et al. (arXiv:1411.4389),
    with a GRU in place of the LSTM. The frames' features keep their places, so that the GRU can
    tell where something is and thus where it goes.

    Args:
        height: Of the frames, in pixels.
        width: Of the frames, in pixels.
        channels: 1 for grey, 3 for colour.
        num_classes: Number of logits.
        mean: Of each channel over the training videos, in 0..255.
        deviation: Standard deviation of each channel, in 0..255.
        filters: Of each stage of 3x3 convolutions, each halved by max-pooling.
        dense_dim: Units of the dense layer that joins a frame's features; 0 for none.
        units: Of the GRU.
        dropout: Share dropped before the GRU and before the last layer.

    Raises:
        pydantic.ValidationError: An argument is out of its range.
        ValueError: Arguments do not fit each other.
    """
    _require_halving(height, width, filters)
    clips, hidden = _normalised(height, width, channels, mean, deviation)
    for stage, number in enumerate(filters, 1):
        hidden = layers.Conv3D(
            number, (1, SIZE, SIZE), padding="same", use_bias=False,
            kernel_initializer="he_normal", name=f"stage{stage}_convolution",
        )(hidden)  # fmt: skip
        hidden = _finished(hidden, stage)
    features = hidden.shape[2] * hidden.shape[3] * hidden.shape[4]
    hidden = layers.Reshape((-1, features), name="features")(hidden)
    if dense_dim:
        hidden = layers.Dense(dense_dim, use_bias=False, name="dense")(hidden)
        hidden = layers.BatchNormalization(momentum=MOMENTUM, name="dense_normalization")(hidden)
        hidden = layers.ReLU(name="dense_relu")(hidden)
    hidden = Drop(dropout, name="features_dropout")(hidden)
    hidden = layers.GRU(units, name="gru")(hidden)
    return _with_logits(clips, hidden, num_classes, dropout, "video_recurrent")


def _require_halving(height: int, width: int, filters: list[int]) -> None:
    if min(height, width) < 2 ** len(filters):
        raise ValueError(
            f"Frames of {height}x{width} cannot be halved {len(filters)} times; "
            "use fewer stages or larger frames."
        )


def _normalised(
    height: int, width: int, channels: int, mean: list[float], deviation: list[float]
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """The input "clips", and all clips as floats of about zero mean and unit deviation."""
    clips: Any = layers.Input(
        (None, None, height, width, channels), dtype="uint8", name="clips"
    )  # fmt: skip
    return clips, rescaled(OneByOne(name="one_by_one")(clips), channels, mean, deviation)


def _finished(hidden: keras.KerasTensor, stage: int) -> keras.KerasTensor:
    """A stage after its convolution: halved in space, normalised, ReLU."""
    hidden = layers.MaxPooling3D((1, 2, 2), name=f"stage{stage}_pool")(hidden)
    hidden = layers.BatchNormalization(momentum=MOMENTUM, name=f"stage{stage}_normalization")(
        hidden
    )
    return layers.ReLU(name=f"stage{stage}_relu")(hidden)


def _with_logits(
    clips: keras.KerasTensor, hidden: keras.KerasTensor, num_classes: int, dropout: float, name: str
) -> keras.Model:
    hidden = Drop(dropout, name="dropout")(hidden)
    logits = layers.Dense(num_classes, name="logits")(hidden)
    logits = OverClips(name="average_over_clips")(logits, clips)
    return keras.Model({"clips": clips}, logits, name=name)


class OneByOne(layers.Layer):
    """Clips of videos [batch, clips, ...] as clips by themselves [batch * clips, ...]."""

    def call(self, clips: Any) -> Any:
        """See the class."""
        shape = ops.shape(clips)
        return ops.reshape(clips, (shape[0] * shape[1], *shape[2:]))

    def compute_output_spec(self, clips: Any) -> Any:
        """The same without the axis of clips."""
        return keras.KerasTensor((None, *clips.shape[2:]), dtype=clips.dtype)


class OverSpace(layers.Layer):
    """Mean over rows and columns: [batch, frames, height, width, f] -> [batch, frames, f]."""

    def call(self, hidden: Any) -> Any:
        """See the class."""
        return ops.mean(hidden, axis=(2, 3))

    def compute_output_spec(self, hidden: Any) -> Any:
        """[batch, frames, f]."""
        return keras.KerasTensor((*hidden.shape[:2], hidden.shape[4]), dtype=self.compute_dtype)


class OverClips(layers.Layer):
    """Mean over the clips of each video: (logits [batch * clips, k], clips) -> [batch, k]."""

    def call(self, logits: Any, clips: Any) -> Any:
        """See the class."""
        shape = ops.shape(clips)
        return ops.mean(ops.reshape(logits, (shape[0], shape[1], -1)), axis=1)

    def compute_output_spec(self, logits: Any, clips: Any) -> Any:
        """[batch, k]."""
        return keras.KerasTensor((clips.shape[0], logits.shape[-1]), dtype=self.compute_dtype)
