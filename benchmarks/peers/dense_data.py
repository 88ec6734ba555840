"""What every peer of `dense_peers.py` trains: 4,096 rows of 100 numbers, 10 classes; NumPy only."""

import json

import numpy as np

ROWS, FEATURES, WIDTH, CLASSES, BATCH_SIZE = 4096, 100, 64, 10, 32
STEPS_PER_EPOCH = ROWS // BATCH_SIZE


def make():
    """Float32 [rows, features] and int32 [rows], the same for everyone."""
    generator = np.random.default_rng(0)
    features = generator.normal(size=(ROWS, FEATURES)).astype("float32")
    labels = (features @ generator.normal(size=(FEATURES, CLASSES))).argmax(1).astype("int32")
    return features, labels


def finish(name, version, warm_up_s, epoch_s, loss):
    """Print the peer's result as the last line; the warm-up epoch is not in `epoch_s`."""
    result = {
        "peer": name,
        "version": version,
        "warm_up_s": round(warm_up_s, 3),
        "epochs": len(epoch_s),
        "steps_per_s": STEPS_PER_EPOCH * len(epoch_s) / sum(epoch_s),
        "fastest_steps_per_s": STEPS_PER_EPOCH / min(epoch_s),
        "loss": round(float(loss), 4),
    }
    print(json.dumps(result))
