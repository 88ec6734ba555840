"""Feed a recurrent network one measurement at a time, as a sensor gives them.

    python examples/stream_a_sensor.py

Takes about twenty seconds. Each answer takes one step of the network, however long the series
is by then, and is the one that the network gives for the whole series so far.
"""

import csv
import time

import septet  # before keras, which then runs on JAX

import keras  # isort: skip
import numpy as np

from septet import registry
from septet.models.recurrent import Stream, recurrent

LENGTH = 48


def main() -> None:
    with registry.sample("nyc-temperature").path().open(encoding="utf-8") as file:
        rows = np.array([row["temperature_f"] for row in csv.DictReader(file)], "float32")
    scaled = (rows - rows.mean()) / rows.std()

    # At every hour the network says the next one. The few missing hours are passed over.
    count = (len(scaled) - 1) // LENGTH
    now = scaled[: count * LENGTH].reshape(count, LENGTH, 1)
    following = scaled[1 : count * LENGTH + 1].reshape(count, LENGTH, 1)
    keras.utils.set_random_seed(0)
    model = recurrent(num_features=1, num_outputs=1, kind="lstm", hidden=[32], is_each_step=True)
    model.compile(keras.optimizers.Adam(0.01), "mse")
    septet.fit(model, {"series": now}, following, batch_size=16, epochs=10, verbose=2)

    sensor = scaled[:500, None]
    stream = Stream(model)
    stream.step(sensor[0])  # the first step compiles
    stream.reset()
    begin = time.perf_counter()
    answers = np.array([stream.step(row) for row in sensor])
    step_us = (time.perf_counter() - begin) / len(sensor) * 1e6

    whole = np.asarray(septet.predict(model, {"series": sensor[None]}, verbose=0))[0]
    difference = np.abs(answers - whole).max()
    print(f"{len(sensor)} steps of {step_us:.0f} microseconds each")
    print(f"largest difference from the whole series at once: {difference:.1e}")
    print("the same answers" if difference < 1e-5 else "other answers")


if __name__ == "__main__":
    main()
