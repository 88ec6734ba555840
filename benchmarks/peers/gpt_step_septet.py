"""A GPT's steps in `septet.fit`.

python gpt_step_septet.py SETTINGS_AS_JSON
"""

import itertools
import json
import statistics
import sys
import time

import numpy as np

import septet
from septet.models.gpt import gpt


def main(given):
    import keras

    keras.config.set_dtype_policy("mixed_bfloat16")
    keras.utils.set_random_seed(0)
    size, steps = given["size"], given["steps"]
    model = gpt(**size, positions="learned")
    model.compile(
        keras.optimizers.AdamW(3e-4, weight_decay=0.1),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    shape = (steps * given["batch_size"], size["length"] + 1)
    tokens = np.random.default_rng(0).integers(0, size["vocabulary_size"], shape, np.int32)
    times = []
    clock = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: times.append(time.perf_counter())
    )
    begin = time.perf_counter()
    history = septet.fit(
        model, {"tokens": tokens[:, :-1]}, tokens[:, 1:], batch_size=given["batch_size"],
        epochs=given["epochs"] + 1, verbose=0, callbacks=[clock],
    )  # fmt: skip
    found = {
        "version": septet.__version__,
        "parameters": model.count_params(),
        "position_parameters": model.get_layer("positions").count_params(),
        "first_epoch_s": times[0] - begin,
        "step_s": statistics.median(b - a for a, b in itertools.pairwise(times)) / steps,
        "loss": history.history["loss"][-1],
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
