"""Where the batches of `fit`, `evaluate` and `predict` come from, as blocks for a program.

Arrays lie on the device whole, and an epoch is an order over them; those that do not fit
there are read ahead in that order. Whatever is iterated is gathered into blocks of batches.
All draw exactly what Keras would draw.
"""

from typing import Any

import numpy as np

from septet.engine.feeds import fits_on_device
from septet.errors import InputError
from septet.fitting import keras_inside
from septet.fitting.blocks import is_dense
from septet.fitting.iterated import IterableSource
from septet.fitting.ordered import ArraySource, OrderedSource, StreamedSource

Source = OrderedSource | IterableSource


def open_source(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    batch_size: int | None = None,
    steps: int | None = None,
    shuffle: Any = False,
    class_weight: Any = None,
    seed: int | None = None,
    verbose: Any = 1,
) -> Source:
    """The source for what a user passed as data; raises what Keras raises for bad data."""
    import jax
    import keras

    batches = keras_inside.batches(
        x,
        y,
        sample_weight,
        batch_size=batch_size,
        steps_per_epoch=steps,
        shuffle=shuffle,
        class_weight=class_weight,
    )
    if not keras_inside.is_array_data(batches):
        if seed is not None:
            raise InputError(
                f"seed={seed} orders arrays, and {type(x).__name__} comes in an order of its own. "
                "Leave out the seed, or pass arrays."
            )
        return IterableSource(batches)
    size = batches.data_adapter.batch_size
    num_examples = _num_rows(x)
    if num_examples == 0:
        raise InputError("There are no examples: the arrays are empty. Pass at least one row.")

    def indices() -> Any:
        return keras_inside.batches(
            np.arange(num_examples), batch_size=size, steps_per_epoch=steps, shuffle=shuffle
        )

    inputs = keras_inside.arrays_of(batches)
    leaves = jax.tree.leaves(inputs)
    in_memory_or_files = all(type(leaf) in (np.ndarray, np.memmap) for leaf in leaves)
    if leaves and in_memory_or_files and not fits_on_device(leaves):
        first = keras.utils.unpack_x_y_sample_weight(jax.tree.map(lambda leaf: leaf[:1], inputs))
        _, _, (like, *_) = next(iter(keras_inside.batches(*first, batch_size=1)))
        if is_dense(like):
            kinds = [np.dtype(leaf.dtype) for leaf in jax.tree.leaves(like)]
            return StreamedSource(
                inputs, kinds, indices(), seed=seed, batch_size=size, verbose=verbose
            )
    everything = keras_inside.batches(
        x, y, sample_weight, batch_size=num_examples, class_weight=class_weight
    )
    _, _, (whole, *_) = next(iter(everything))
    if not is_dense(whole):
        return IterableSource(batches)
    if steps is None and isinstance(shuffle, bool):
        # Keras draws one order for all rows: asked for them at once, it draws the same.
        rows = keras_inside.batches(
            np.arange(num_examples), batch_size=num_examples, shuffle=shuffle
        )
        return ArraySource(whole, rows, seed=seed, batch_size=size)
    return ArraySource(whole, indices(), seed=seed)


def _num_rows(x: Any) -> int:
    import keras

    return next(leaf.shape[0] for leaf in keras.tree.flatten(x) if leaf is not None)
