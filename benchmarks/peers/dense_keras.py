"""The dense net in Keras `fit` (KERAS_BACKEND as given): one epoch to warm up, then timed ones.

python dense_keras.py EPOCHS
"""

import itertools
import sys
import time

import dense_data as setting
import keras


def dense_net():
    return keras.Sequential(
        [
            keras.Input((setting.FEATURES,)),
            keras.layers.Dense(setting.WIDTH, activation="relu"),
            keras.layers.Dense(setting.WIDTH, activation="relu"),
            keras.layers.Dense(setting.CLASSES),
        ]
    )


def main(epochs):
    keras.utils.set_random_seed(0)
    features, labels = setting.make()
    model = dense_net()
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )

    def fit(count):
        times = [time.perf_counter()]
        clock = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: times.append(time.perf_counter())
        )
        history = model.fit(
            features, labels, batch_size=setting.BATCH_SIZE, epochs=count, verbose=0,
            callbacks=[clock],
        )  # fmt: skip
        epoch_s = [after - before for before, after in itertools.pairwise(times)]
        return epoch_s, history.history["loss"][-1]

    (warm_up_s,), _ = fit(1)
    epoch_s, loss = fit(epochs)
    name = f"keras-{keras.backend.backend()}"
    setting.finish(name, keras.__version__, warm_up_s, epoch_s, loss)


if __name__ == "__main__":
    main(int(sys.argv[1]))
