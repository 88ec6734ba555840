"""Train a small network with `septet.fit` from arrays in files: folder, minutes."""

import json
import sys
import time
from pathlib import Path

import septet  # before keras, which then runs on JAX

import keras  # isort: skip
import numpy as np

from septet.data.streams import Stream
from septet.fitting import ordered


class Watched(Stream):
    """A stream that is remembered, with what it said about its workers."""

    last: "Watched"
    notes: list[str]

    def __init__(self, *arguments, note, **options):
        Watched.last, self.notes = self, []
        super().__init__(*arguments, note=self.notes.append, **options)


class Clock(keras.callbacks.Callback):
    """Steps and seconds, and the seconds of waiting for data among them, after the first chunk."""

    began = None
    first_epoch_s = None

    def on_train_begin(self, logs=None):
        self.steps = int(self.model.optimizer.iterations)
        self.began, self.waited_s = time.monotonic(), Watched.last.waited_s

    def on_epoch_end(self, epoch, logs=None):
        self.first_epoch_s = self.first_epoch_s or time.monotonic() - self.began

    def on_train_end(self, logs=None):
        self.steps = int(self.model.optimizer.iterations) - self.steps
        self.seconds = time.monotonic() - self.began
        self.waited_s = Watched.last.waited_s - self.waited_s


folder, minutes = Path(sys.argv[1]), float(sys.argv[2])
ordered.Stream = Watched
x, y = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in "xy")
keras.utils.set_random_seed(0)
model = keras.Sequential(
    [
        keras.layers.Input(x.shape[1:]),
        keras.layers.Rescaling(1 / 255),
        keras.layers.Conv2D(16, 5, strides=4, activation="relu"),
        keras.layers.Conv2D(32, 3, strides=2, activation="relu"),
        keras.layers.Flatten(),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
clock = Clock()
print("training", flush=True)
history = septet.fit(
    model, x, y, batch_size=64, epochs=1000, verbose=0, minutes=minutes, callbacks=[clock]
)
told = {
    "steps": clock.steps,
    "pictures_per_s": round(64 * clock.steps / clock.seconds),
    "mb_per_s": round(64 * clock.steps / clock.seconds * x[0].nbytes / 1e6, 1),
    "waited_share": round(clock.waited_s / clock.seconds, 4),
    "accuracy": history.history["accuracy"][-1],
    "first_epoch_s": clock.first_epoch_s and round(clock.first_epoch_s, 1),
    "notes": Watched.last.notes,
}
print(json.dumps(told))
