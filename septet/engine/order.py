"""The order of examples: a pure function of (seed, epoch), the same on every machine."""

import numpy as np


def epoch_order(num_examples: int, seed: int, epoch: int) -> np.ndarray:
    """A permutation of the examples for one epoch: int32 [num_examples].

    Sorts raw Philox output (Salmon et al., 2011), whose bit stream NumPy guarantees
    across versions, which it does not for `Generator.permutation`.
    """
    bits = np.random.Philox(key=[seed, epoch]).random_raw(num_examples)
    return np.argsort(bits, kind="stable").astype(np.int32)
