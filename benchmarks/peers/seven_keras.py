"""Some of the seven models in Keras (KERAS_BACKEND as given), or in `septet.fit`.

    python seven_keras.py MODELS WAY EPOCHS BATCH_SIZE

MODELS: names with commas between. WAY: fit, fit-32 (steps_per_execution=32), septet, or
septet-builders (the same networks made by `septet.models`).
"""

import itertools
import time

import seven_models as setting


def measure(name, way, epochs, batch_size):
    if way.startswith("septet"):
        import septet
    import keras

    keras.utils.set_random_seed(0)
    if keras.backend.backend() == "torch":
        import torch

        # What XLA and TensorFlow do on a GPU anyway.
        torch.set_float32_matmul_precision("high")
    inputs, targets = setting.make(name, batch_size)
    if way == "septet-builders":
        import seven_builders

        inputs, model = seven_builders.shaped(name, inputs), seven_builders.build(name)
    else:
        model = setting.build(name)
    if way == "fit-32":
        model.steps_per_execution = 32
    times = []
    clock = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: times.append(time.perf_counter())
    )
    fit = septet.fit if way.startswith("septet") else type(model).fit
    begin = time.perf_counter()
    history = fit(
        model, inputs, targets, batch_size=batch_size, epochs=epochs + 1, verbose=0,
        callbacks=[clock],
    )  # fmt: skip
    epoch_s = [after - before for before, after in itertools.pairwise(times)]
    backend = keras.backend.backend()
    peer = way if way.startswith("septet") else f"keras-{backend}-{way}"
    version = septet.__version__ if way.startswith("septet") else keras.__version__
    loss = history.history["loss"][-1]
    return setting.result(peer, version, name, times[0] - begin, epoch_s, loss)


if __name__ == "__main__":
    setting.run(measure)
