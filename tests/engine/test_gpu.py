"""On a GPU: training learns, does what the CPU does, and ends in the same bits again.

Left out of `make test`; `python -m pytest -m gpu` on a machine that has one.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.gpu

TRAINING = """
import hashlib, sys
import numpy as np
import septet
import keras
from keras import layers

assert __import__("jax").default_backend() == sys.argv[2], "another platform"
keras.utils.set_random_seed(0)
random = np.random.default_rng(0)
targets = random.integers(0, 4, 256).astype("int32")
if sys.argv[1] == "convolutional":
    inputs = random.normal(size=(256, 16, 16, 3)).astype("float32")
    inputs[np.arange(256), targets] += 2.0
    model = keras.Sequential([
        layers.Input((16, 16, 3)), layers.Conv2D(16, 3, activation="relu"),
        layers.BatchNormalization(), layers.MaxPooling2D(), layers.Conv2D(32, 3, strides=2),
        layers.MaxPooling2D(3, 1), layers.GlobalAveragePooling2D(), layers.Dense(4),
    ])
elif sys.argv[1] == "recurrent":
    inputs = random.normal(size=(256, 12, 4)).astype("float32")
    inputs[np.arange(256), :, targets] += 1.0
    model = keras.Sequential([layers.Input((12, 4)), layers.LSTM(32), layers.Dense(4)])
else:
    inputs = random.integers(0, 50, (256, 12)).astype("int32")
    inputs[:, 3] = targets
    tokens = layers.Input((12,), dtype="int32")
    x = layers.Embedding(50, 32)(tokens)
    x = x + layers.MultiHeadAttention(2, 16)(x, x)
    model = keras.Model(tokens, layers.Dense(4)(layers.Flatten()(x)))
model.compile(keras.optimizers.Adam(3e-3), keras.losses.SparseCategoricalCrossentropy(True))
history = septet.fit(model, inputs, targets, batch_size=32, epochs=8, verbose=0, run="one")
digest = hashlib.sha256(b"".join(np.asarray(w).tobytes() for w in model.get_weights()))
print(digest.hexdigest(), *history.history["loss"])
"""


def trained(kind, cache, platform="gpu"):
    """(SHA-256 of the weights, loss of each epoch) of a training in its own process."""
    cache.mkdir()
    root = Path(__file__).parents[2]
    settings = {"PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])}
    settings |= {"SEPTET_RUNS": str(cache / "runs")}
    settings |= {"SEPTET_CACHE": str(cache), "JAX_COMPILATION_CACHE_DIR": str(cache / "xla")}
    settings |= {"JAX_PLATFORMS": "cpu"} if platform == "cpu" else {}
    settings |= {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    done = subprocess.run(
        [sys.executable, "-c", TRAINING, kind, platform],
        env={**os.environ, **settings}, cwd=cache, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    digest, *losses = done.stdout.split()
    return digest, np.array(losses, float)


@pytest.mark.parametrize("kind", ["convolutional", "recurrent", "attention"])
def test_training_learns_as_on_a_cpu_and_ends_in_the_same_bits_again(kind, tmp_path):
    digest, losses = trained(kind, tmp_path / "first")
    again, _ = trained(kind, tmp_path / "second")
    _, expected = trained(kind, tmp_path / "cpu", "cpu")
    assert losses[-1] < 0.7 * losses[0]
    # Products are rounded to TF32 there.
    np.testing.assert_allclose(losses, expected, rtol=0.05)
    assert again == digest


def test_fused_attention_of_a_gpt_is_the_written_one(monkeypatch):
    import keras

    from septet.models import gpt as gpt_module

    keras.utils.set_random_seed(1)
    sizes: Any = {"vocabulary_size": 64, "length": 128, "dim": 128, "depth": 2, "num_heads": 2}
    model = gpt_module.gpt(**sizes)
    tokens = np.random.default_rng(0).integers(0, 64, (4, 128)).astype(np.int32)
    expected = np.asarray(model({"tokens": tokens}))
    half = {}
    for fused in (True, False):
        monkeypatch.setattr(gpt_module, "has_fused_attention", lambda dtype, fused=fused: fused)
        keras.config.set_dtype_policy("mixed_bfloat16")
        try:
            other = gpt_module.gpt(**sizes)
        finally:
            keras.config.set_dtype_policy("float32")
        for weight, value in zip(other.weights, model.weights, strict=True):
            weight.assign(value.value)
        half[fused] = np.asarray(other({"tokens": tokens}), np.float32)
    error = {fused: np.abs(each - expected).max() for fused, each in half.items()}
    # Both are rounded to 8 bits; the fused one no worse than twice the other's error.
    assert error[True] <= 2 * error[False], error
