"""The small CNN in Keras `fit` (KERAS_BACKEND as given), for so many seconds of training.

python fashion_keras.py DATA.npz SECONDS SEED
"""

import sys

import fashion_data as setting
import keras


def small_cnn():
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Conv2D(32, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(64, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(10),
        ]
    )


class StopWhenOver(keras.callbacks.Callback):
    """Ends training at the budget, to the step, and counts the steps."""

    def __init__(self, clock):
        super().__init__()
        self.clock, self.steps = clock, 0

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        if self.clock.is_over():
            self.model.stop_training = True


class ScoreEachEpoch(keras.callbacks.Callback):
    """Test accuracy after each epoch, off the clock."""

    def __init__(self, clock, pictures, labels):
        super().__init__()
        self.clock, self.pictures, self.labels, self.curve = clock, pictures, labels, []

    def on_epoch_end(self, epoch, logs=None):
        self.clock.pause()
        logits = self.model.predict(self.pictures, batch_size=500, verbose=0)
        accuracy = float((logits.argmax(1) == self.labels).mean())
        self.curve.append([round(self.clock.spent, 2), round(accuracy, 4)])
        self.clock.go_on()


def main(path, seconds, seed):
    keras.utils.set_random_seed(seed)
    (x, y), (x_test, y_test) = setting.load(path)
    model = small_cnn()
    model.compile(
        optimizer=keras.optimizers.Adam(setting.LEARNING_RATE),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    # The clock starts before `fit`, so that tracing and compiling count.
    clock = setting.Clock(seconds)
    stop, score = StopWhenOver(clock), ScoreEachEpoch(clock, x_test, y_test)
    model.fit(
        x, y, batch_size=setting.BATCH_SIZE, epochs=10_000, verbose=0, callbacks=[stop, score]
    )
    name = f"keras-{keras.backend.backend()}"
    setting.finish(name, keras.__version__, score.curve, stop.steps, clock)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))
