"""Keras' layers without time, beside PyTorch's."""

from typing import Any

import keras
import numpy as np
from keras import layers

from tests.models.parity.comparing import Built, Case, Forward
from tests.models.parity.recorded import Recorded

ops: Any = keras.ops

CASES: dict[str, Case] = {}


def add(name: str, make: Any, is_training: bool = False, **more: Any) -> None:
    """One layer of the inputs."""

    def build() -> Built:
        layer = make()
        takes_mode = isinstance(layer, layers.BatchNormalization)
        mode = {"training": is_training} if takes_mode else {}

        def forward(inputs: Any) -> Any:
            return layer(inputs, **mode)

        return [(layer, "layer")] if not is_bare(layer) else [], forward

    CASES[name] = Case(name, build, **more)


def is_bare(layer: Any) -> bool:
    """Has no weights."""
    return "Pooling" in type(layer).__name__ or "UpSampling" in type(layer).__name__


same: Any = {"padding": "same"}
add("Dense: rows", lambda: layers.Dense(3))
add("Dense: of a series, no bias", lambda: layers.Dense(3, use_bias=False))
add("Conv1D: valid", lambda: layers.Conv1D(3, 3))
add("Conv1D: same, stride 2", lambda: layers.Conv1D(3, 5, 2, **same))
add("Conv1D: causal, dilated", lambda: layers.Conv1D(3, 3, padding="causal", dilation_rate=2))
add("Conv2D: valid", lambda: layers.Conv2D(3, 3))
add("Conv2D: same", lambda: layers.Conv2D(4, 3, **same))
add("Conv2D: same, one channel", lambda: layers.Conv2D(4, 3, **same))
add("Conv2D: same, even window", lambda: layers.Conv2D(3, 4, use_bias=False, **same))
add("Conv2D: same, stride 2, odd", lambda: layers.Conv2D(3, 3, 2, **same))
add("Conv2D: same, stride 2", lambda: layers.Conv2D(3, 3, 2, **same))
add("Conv2D: valid, stride 3", lambda: layers.Conv2D(3, 2, 3))
add("Conv2D: 1x1, stride 2", lambda: layers.Conv2D(2, 1, 2))
add("Conv2D: same, dilated", lambda: layers.Conv2D(3, 3, dilation_rate=2, **same))
add("Conv2D: two groups", lambda: layers.Conv2D(6, 3, groups=2, **same))
add("Conv3D: valid", lambda: layers.Conv3D(3, 2))
add("Conv3D: same, stride 2", lambda: layers.Conv3D(2, 3, 2, **same))
add("DepthwiseConv1D: valid", lambda: layers.DepthwiseConv1D(3, depth_multiplier=2))
add("DepthwiseConv2D: same", lambda: layers.DepthwiseConv2D(3, **same))
add(
    "DepthwiseConv2D: two each, stride 2",
    lambda: layers.DepthwiseConv2D(3, 2, depth_multiplier=2),
)
add("SeparableConv2D: same", lambda: layers.SeparableConv2D(2, 3, depth_multiplier=2, **same))
add("Conv1DTranspose: valid, stride 2", lambda: layers.Conv1DTranspose(3, 3, 2))
add("Conv2DTranspose: valid, stride 2", lambda: layers.Conv2DTranspose(3, 3, 2))
add("Conv2DTranspose: same, stride 2", lambda: layers.Conv2DTranspose(3, 3, 2, **same))
add(
    "Conv2DTranspose: same, even window, stride 2",
    lambda: layers.Conv2DTranspose(2, 4, 2, **same),
)
add("Conv2DTranspose: same", lambda: layers.Conv2DTranspose(3, 3, **same))
add("Conv3DTranspose: valid, stride 2", lambda: layers.Conv3DTranspose(2, 2, 2))
for kind in ("Max", "Average"):
    pooling = {rank: getattr(layers, f"{kind}Pooling{rank}D") for rank in (1, 2, 3)}
    for rank, pool in pooling.items():
        add(f"{kind}Pooling{rank}D: tiles", lambda pool=pool: pool(2))
    add(f"{kind}Pooling2D: overlapping", lambda pool=pooling[2]: pool(3, 2))
    add(f"{kind}Pooling2D: same", lambda pool=pooling[2]: pool(3, 2, padding="same"))
add("GlobalAveragePooling2D: all", lambda: layers.GlobalAveragePooling2D(keepdims=True))
add("GlobalMaxPooling2D: all", lambda: layers.GlobalMaxPooling2D(keepdims=True))
add("UpSampling2D: nearest", lambda: layers.UpSampling2D())
add("UpSampling2D: bilinear", lambda: layers.UpSampling2D(interpolation="bilinear"))
for of_what in ("rows", "pictures"):
    add(f"BatchNormalization: {of_what}, inference", lambda: layers.BatchNormalization())


def by_number(reference: Recorded) -> Recorded:
    """Keras averages the variance over all n examples, PyTorch over n - 1 of them."""
    shape = reference.inputs["inputs"].shape
    count = np.prod(shape[:-1])
    before = reference.weights["layer.running_var"]
    added = reference.buffers_after["layer.running_var"] - 0.9 * before
    after = {
        **reference.buffers_after,
        "layer.running_var": 0.9 * before + added * (count - 1) / count,
    }
    return Recorded(**{**vars(reference), "buffers_after": after})


for of_what in ("rows", "pictures"):
    add(
        f"BatchNormalization: {of_what}, training",
        lambda: layers.BatchNormalization(momentum=0.9),
        is_training=True,
        expected=by_number,
    )
add("LayerNormalization: last axis", lambda: layers.LayerNormalization(epsilon=1e-5))
add("GroupNormalization: two groups", lambda: layers.GroupNormalization(2, epsilon=1e-5))
add("RMSNormalization: last axis", lambda: layers.RMSNormalization())


def embedding() -> Built:
    layer = layers.Embedding(7, 3)
    return [(layer, "layer")], lambda tokens: layer(tokens)


CASES["Embedding: rows of a table"] = Case("Embedding: rows of a table", embedding)


def activation(name: str) -> Forward:
    if name == "gelu, tanh":
        return lambda x: ops.gelu(x, approximate=True)
    if name == "gelu":
        return lambda x: keras.activations.gelu(x)
    return keras.activations.get(name)


NAMES = (
    *("relu", "gelu", "gelu, tanh", "silu", "elu", "selu", "leaky_relu", "softplus", "softsign"),
    *("sigmoid", "tanh", "mish", "hard_sigmoid", "softmax", "log_softmax"),
)
CASES["Activation: fifteen"] = Case(
    "Activation: " + ", ".join(NAMES),
    lambda: ([], lambda inputs: [activation(name)(inputs) for name in NAMES]),
)
