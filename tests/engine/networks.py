"""Small compiled networks and feeds for the engine's tests."""

from typing import Any

import keras
import numpy as np

from septet.engine import devices
from septet.engine.feeds import ResidentFeed
from septet.engine.keras_loop import KerasLoop
from septet.engine.loop import Loop
from septet.engine.program import keras_step
from septet.engine.schedules import Plan
from septet.engine.state import create_metrics, initial_state

NUM_EXAMPLES, NUM_CLASSES, BATCH_SIZE = 70, 3, 16


def make_arrays(shape: tuple[int, ...], seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Inputs whose class is written into them, so that a loss can fall, and labels."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, NUM_CLASSES, NUM_EXAMPLES).astype(np.int32)
    inputs = random.normal(size=(NUM_EXAMPLES, *shape)).astype(np.float32)
    inputs += labels.reshape(-1, *[1] * len(shape))
    return {"inputs": inputs}, labels


def dense() -> keras.Model:
    """Dense, batch normalisation, dropout: every kind of variable."""
    layers = keras.layers
    inputs = layers.Input((5,), name="inputs")
    hidden = layers.Dense(8, activation="relu")(inputs)
    hidden = layers.Dropout(0.2, seed=1)(layers.BatchNormalization()(hidden))
    return keras.Model({"inputs": inputs}, layers.Dense(NUM_CLASSES)(hidden))


def convolutional() -> keras.Model:
    """Convolution and pooling, which the CPU lowering rewrites."""
    layers = keras.layers
    inputs = layers.Input((8, 8, 2), name="inputs")
    hidden = layers.MaxPooling2D()(layers.Conv2D(4, 3, activation="relu")(inputs))
    return keras.Model({"inputs": inputs}, layers.Dense(NUM_CLASSES)(layers.Flatten()(hidden)))


def compiled(model: keras.Model, inputs: dict[str, np.ndarray], labels: np.ndarray) -> keras.Model:
    """`model` with Adam and softmax cross-entropy, its metrics' variables made."""
    model.compile(
        optimizer=keras.optimizers.Adam(1e-2),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
    )
    create_metrics(model, (inputs, labels))
    return model


def make_loop(
    build: Any = dense,
    *,
    average_decay: float | None = 0.9,
    feed: Any = None,
    **step: Any,
) -> Loop:
    """A loop over a small network, compiled, its plan ten epochs of one-cycle."""
    devices.start()
    keras.utils.set_random_seed(0)
    model = build()
    inputs, labels = make_arrays(model.inputs[0].shape[1:])
    compiled(model, inputs, labels)
    feed = (feed or ResidentFeed.of)((inputs, labels), batch_size=BATCH_SIZE, seed=3)
    pure = keras_step(
        model,
        learning_rate=1e-2,
        schedule="one-cycle",
        warmup=0.2,
        average_decay=average_decay,
        **step,
    )
    state = initial_state(model, with_average=average_decay is not None)
    loop = Loop(pure, feed, state, platform="cpu")
    loop.compile(make_plan(loop).control(1.0))
    return loop


def make_plan(loop: Loop | KerasLoop, epochs: int = 10) -> Plan:
    """A plan of so many epochs."""
    plan = Plan()
    plan.revise(0, epochs * loop.feed.steps_per_epoch)
    return plan


def run_steps(loop: Loop | KerasLoop, first: int, last: int, limit: int) -> list[dict[str, float]]:
    """Run steps `first` to `last` in chunks of at most `limit`; the logs of each chunk."""
    plan, step, logs = make_plan(loop), first, []
    while step < last:
        if isinstance(loop, Loop):
            loop.pace.count = limit
        epoch, index = divmod(step, loop.feed.steps_per_epoch)
        chunk = loop.advance(epoch, index, min(limit, last - step), plan.control(1.0))
        step += chunk.count
        logs.append(chunk.logs)
    return logs
