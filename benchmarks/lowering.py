"""Is the lowering of convolutions ever slower than XLA's own, and are its gradients the same?

    python benchmarks/lowering.py --repeats 5

Five networks that the seven standard models do not have: a residual network, a U-Net, 1-D,
depthwise and dilated convolutions. Steps of gradient descent, looped on the device as
the engine does, are compiled once with Septet's lowering and once without, and timed in
turns in one process. The last line is JSON: microseconds a step of each, the ratio (median
over the repeats), and the largest difference of a gradient relative to the largest value of
its tensor. The activations are smooth: where rounding decides the side of a ReLU's kink,
gradients differ for a reason that is not the lowering's.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import jax
import keras
import numpy as np
from keras import layers
from processes import machine

from septet.engine.compiling import compile_for, options_for
from septet.engine.lowering import lowered

BATCH_SIZE = 32
MOST_DIFFERENCE = 1e-5
CALL_S, MOST_STEPS = 0.3, 64
"""About how long a timed call takes, by steps within it."""
RATE = 1e-6


def residual() -> keras.Model:
    """28x28x1 pictures through four residual blocks of two 3x3 convolutions."""
    inputs = layers.Input((28, 28, 1))
    hidden = layers.Conv2D(32, 3, padding="same")(inputs)
    for width, strides in ((32, 1), (64, 2), (64, 1), (128, 2)):
        past = hidden
        hidden = layers.Conv2D(width, 3, strides, "same", activation="swish")(hidden)
        hidden = layers.Conv2D(width, 3, padding="same")(hidden)
        if past.shape[-1] != width:
            past = layers.Conv2D(width, 1, strides)(past)
        hidden = layers.Activation("swish")(layers.Add()([hidden, past]))
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(hidden)))


def unet() -> keras.Model:
    """64x64x3 pictures down to 16x16 and up again, with transposed convolutions."""
    inputs = layers.Input((64, 64, 3))
    hidden, passed = inputs, []
    for width in (16, 32):
        hidden = layers.Conv2D(width, 3, padding="same", activation="swish")(hidden)
        passed.append(hidden)
        hidden = layers.MaxPooling2D()(hidden)
    hidden = layers.Conv2D(64, 3, padding="same", activation="swish")(hidden)
    for width in (32, 16):
        hidden = layers.Conv2DTranspose(width, 2, 2, "same")(hidden)
        hidden = layers.Concatenate()([hidden, passed.pop()])
        hidden = layers.Conv2D(width, 3, padding="same", activation="swish")(hidden)
    return keras.Model(inputs, layers.Conv2D(4, 1)(hidden))


def series() -> keras.Model:
    """Series of 256 steps and 8 channels through causal 1-D convolutions."""
    inputs = hidden = layers.Input((256, 8))
    for width in (32, 32, 64):
        hidden = layers.Conv1D(width, 5, padding="causal", activation="swish")(hidden)
        hidden = layers.MaxPooling1D()(hidden)
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling1D()(hidden)))


def depthwise() -> keras.Model:
    """32x32x3 pictures through depthwise separable convolutions."""
    inputs = layers.Input((32, 32, 3))
    hidden = layers.Conv2D(32, 3, 2, "same", activation="swish")(inputs)
    for width in (64, 64, 128):
        hidden = layers.DepthwiseConv2D(3, padding="same", activation="swish")(hidden)
        hidden = layers.Conv2D(width, 1, activation="swish")(hidden)
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(hidden)))


def dilated() -> keras.Model:
    """32x32x3 pictures through 3x3 convolutions whose taps lie 1, 2 and 4 pixels apart."""
    inputs = hidden = layers.Input((32, 32, 3))
    for rate in (1, 2, 4):
        hidden = layers.Conv2D(32, 3, padding="same", dilation_rate=rate, activation="swish")(
            hidden
        )
    return keras.Model(inputs, layers.Conv2D(4, 1)(hidden))


NETWORKS = {each.__name__: each for each in (residual, unet, series, depthwise, dilated)}


def compiled(function: Callable[..., Any], arguments: Any, platform: str) -> Any:
    """`function` compiled for `arguments`, with the lowering where `platform` is "cpu"."""
    with lowered(platform):
        traced = jax.jit(lambda *given: function(*given)).trace(*arguments)
        return compile_for(traced.lower(), options_for(traced.jaxpr.jaxpr, "cpu"))


def measure(build: Callable[[], keras.Model], repeats: int) -> dict[str, Any]:
    """Times and differences of one network."""
    keras.utils.set_random_seed(0)
    model = build()
    random = np.random.default_rng(0)
    inputs = random.normal(size=(BATCH_SIZE, *model.inputs[0].shape[1:])).astype(np.float32)
    targets = random.normal(size=(BATCH_SIZE, *model.outputs[0].shape[1:])).astype(np.float32)
    fixed = [variable.value for variable in model.non_trainable_variables]

    def loss(weights: Any, inputs: Any, targets: Any) -> Any:
        outputs = model.stateless_call(weights, fixed, inputs, training=True)[0]
        return ((outputs - targets) ** 2).mean()

    arguments = ([v.value for v in model.trainable_variables], inputs, targets)

    def descend(weights: Any, inputs: Any, targets: Any, steps: Any) -> Any:
        def step(_: Any, weights: Any) -> Any:
            gradients = jax.grad(loss)(weights, inputs, targets)
            return [w - RATE * g for w, g in zip(weights, gradients, strict=True)]

        return jax.lax.fori_loop(0, steps, step, weights)

    platforms = {"septet": "cpu", "xla": "unlowered"}
    ours, theirs = (
        compiled(jax.grad(loss), arguments, platform)(*arguments) for platform in platforms.values()
    )
    counted = (*arguments, np.int32(1))
    ways = {name: compiled(descend, counted, each) for name, each in platforms.items()}
    steps = {}
    for name, program in ways.items():
        time_of(program, arguments, 1)
        once = time_of(program, arguments, 1)
        steps[name] = max(1, min(MOST_STEPS, round(CALL_S / once)))
    difference = max(
        float(np.max(np.abs(np.asarray(a) - np.asarray(b))) / max(np.max(np.abs(b)), 1e-12))
        for a, b in zip(ours, theirs, strict=True)
    )
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, program in ways.items():
            times[name].append(time_of(program, arguments, steps[name]))
    ratios = [b / a for a, b in zip(times["septet"], times["xla"], strict=True)]
    return {
        "septet_us": round(1e6 * statistics.median(times["septet"]), 1),
        "xla_us": round(1e6 * statistics.median(times["xla"]), 1),
        "septet_is_faster_by": round(statistics.median(ratios), 3),
        "gradient_difference": float(f"{difference:.2g}"),
    }


def time_of(program: Any, arguments: Any, steps: int) -> float:
    """Seconds of a step, of so many in one call."""
    begin = time.perf_counter()
    jax.block_until_ready(program(*arguments, np.int32(steps)))
    return (time.perf_counter() - begin) / steps


def main() -> None:
    """Measure every network; exit 1 where a gradient differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--networks", choices=NETWORKS, nargs="+", default=list(NETWORKS))
    arguments = parser.parse_args()
    before = machine()
    found = {name: measure(NETWORKS[name], arguments.repeats) for name in arguments.networks}
    for name, row in found.items():
        print(f"{name:10} {row}", file=sys.stderr)
    print(json.dumps({"benchmark": "lowering", "machine": before, "networks": found}))
    same = all(row["gradient_difference"] <= MOST_DIFFERENCE for row in found.values())
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
