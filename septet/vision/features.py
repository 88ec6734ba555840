"""Features of pictures, found by a small classifier that is trained for a minute's fraction."""

from typing import Any

import numpy as np

FEATURES = 64
MOST_PICTURES = 12_000
EPOCHS = 4
BATCH_SIZE = 64
QUIET: Any = 0
"""Keras' `verbose`, which is typed as a word alone."""


class Features:
    """uint8 pictures [n, height, width, channels] -> features [n, 64].

    They are the last hidden layer of a convolutional network that tells the classes apart;
    where there is but one class, it tells how a picture was turned.

    Args:
        pictures: To train on.
        labels: Their class names.
        seed: Of choice, weights and order.
    """

    def __init__(self, pictures: np.ndarray, labels: np.ndarray, seed: int = 0):
        """See the class."""
        import jax
        import keras
        from keras import layers

        from septet.engine.lowering import lowered

        random = np.random.default_rng(seed)
        rows = np.sort(random.permutation(len(pictures))[:MOST_PICTURES])
        chosen = np.asarray(pictures[rows])
        names = sorted({str(name) for name in labels})
        if len(names) > 1:
            places = {name: place for place, name in enumerate(names)}
            targets = np.array([places[str(name)] for name in labels[rows]], np.int32)
        else:
            chosen, targets = turned(chosen)
        keras.utils.set_random_seed(seed)
        inputs = layers.Input(pictures.shape[1:], dtype="uint8")
        hidden: Any = layers.Rescaling(1 / 127.5, -1.0)(inputs)
        for filters in (32, 64):
            hidden = layers.Conv2D(filters, 3, padding="same", activation="relu")(hidden)
            hidden = layers.MaxPooling2D(padding="same")(hidden)
        hidden = layers.Dense(FEATURES, "relu")(layers.Flatten()(hidden))
        logits = layers.Dense(int(targets.max()) + 1)(hidden)
        network = keras.Model(inputs, logits)
        network.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        self.network = keras.Model(inputs, hidden)
        self.network.compile()
        platform = jax.default_backend() if keras.backend.backend() == "jax" else "none"
        with lowered(platform):
            network.fit(chosen, targets, batch_size=BATCH_SIZE, epochs=EPOCHS, verbose=QUIET)

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        """Features, float32 [n, 64]."""
        return np.asarray(self.network.predict(pictures, batch_size=256, verbose=QUIET))


def turned(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each picture in four orientations (two where it is not square), and which: int32."""
    turns = (0, 1, 2, 3) if pictures.shape[1] == pictures.shape[2] else (0, 2)
    every = [np.rot90(pictures, number, axes=(1, 2)) for number in turns]
    targets = np.repeat(np.arange(len(turns), dtype=np.int32), len(pictures))
    return np.ascontiguousarray(np.concatenate(every)), targets
