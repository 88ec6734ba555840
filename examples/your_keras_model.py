"""Train a Keras model of your own with `septet.fit`, in a run that cannot be lost.

    python examples/your_keras_model.py

Takes about half a minute on two cores. Stop it with Ctrl-C and start it again: it goes on
where it stopped, and ends with the weights that it would have had. Start it once more: it
gives them back at once.
"""

import septet  # before keras, which then runs on JAX

import keras  # isort: skip
import numpy as np

from septet import registry


def main() -> None:
    with np.load(registry.sample("fashion-sample").path(), allow_pickle=False) as data:
        x, y = data["x_train"] / np.float32(255), data["y_train"]
        x_test, y_test = data["x_test"] / np.float32(255), data["y_test"]

    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.layers.Input((28, 28)),
            keras.layers.Flatten(),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    patient = keras.callbacks.EarlyStopping("val_loss", patience=3, restore_best_weights=True)
    history = septet.fit(
        model, x, y, epochs=20, validation_split=0.1, callbacks=[patient], verbose=2, run="clothes"
    )
    print(f"{len(history.epoch)} epochs, best val_loss {min(history.history['val_loss']):.3f}")

    scores = septet.evaluate(model, x_test, y_test, verbose=0, return_dict=True)
    print(f"accuracy on the test examples: {scores['accuracy']:.3f}")


if __name__ == "__main__":
    main()
