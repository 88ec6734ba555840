"""Fashion-MNIST as every peer of `fashion_peers.py` gets it; NumPy only."""

import json
import sys
import time

import numpy as np

BATCH_SIZE = 32
LEARNING_RATE = 1e-3


def load(path):
    """(x_train, y_train), (x_test, y_test): float32 [n, 28, 28, 1] in 0..1 and int32 [n]."""
    with np.load(path, allow_pickle=False) as data:
        pictures = [data[f"x_{split}"][..., None].astype("float32") / 255 for split in SPLITS]
        labels = [data[f"y_{split}"].astype("int32") for split in SPLITS]
    return zip(pictures, labels, strict=True)


SPLITS = ("train", "test")


class Clock:
    """Wall-clock training time; scoring in between does not count."""

    def __init__(self, seconds):
        self.limit, self.spent, self.begin = seconds, 0.0, time.perf_counter()

    def elapsed(self):
        return self.spent + (time.perf_counter() - self.begin)

    def is_over(self):
        return self.elapsed() >= self.limit

    def pause(self):
        self.spent += time.perf_counter() - self.begin

    def go_on(self):
        self.begin = time.perf_counter()


def finish(name, version, curve, steps, clock):
    """Print the peer's result as the last line; `curve` is [[seconds, test accuracy], ...]."""
    result = {
        "peer": name,
        "version": version,
        "python": sys.version.split()[0],
        "seconds": round(clock.elapsed(), 2),
        "steps": steps,
        "steps_per_s": round(steps / clock.elapsed(), 1),
        "accuracy": curve[-1][1],
        "curve": curve,
    }
    print(json.dumps(result))
