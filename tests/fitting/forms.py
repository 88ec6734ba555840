"""The forms in which `fit` takes data: each makes fresh keyword arguments from arrays.

Every form has 40 examples in batches of 16, so a whole batch, another and one of 8.
"""

# What Keras annotates is narrower than what it takes.
# pyright: reportArgumentType=false, reportOptionalMemberAccess=false
# pyright: reportOptionalSubscript=false, reportAssignmentType=false
# pyright: reportGeneralTypeIssues=false, reportReturnType=false

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

BATCH_SIZE = 16
FORMS: dict[str, Callable[[Any, Any], dict[str, Any]]] = {}


def form(make: Callable[[Any, Any], dict[str, Any]]) -> Callable[[Any, Any], dict[str, Any]]:
    """Add a form."""
    FORMS[make.__name__] = make
    return make


def batches(x: Any, y: Any) -> Iterator[Any]:
    """Batches in order, once."""
    total = len(keras.tree.flatten(x)[0])
    for at in range(0, total, BATCH_SIZE):
        yield cut(x, y, slice(at, at + BATCH_SIZE))


def cut(x: Any, y: Any, rows: Any) -> tuple[Any, ...]:
    """Some rows as (x,) or (x, y)."""
    parts = (x,) if y is None else (x, y)
    return keras.tree.map_structure(lambda array: array[rows], parts)


@form
def numpy(x: Any, y: Any) -> dict[str, Any]:
    return {"x": x, "y": y, "batch_size": BATCH_SIZE}


@form
def numpy_in_order(x: Any, y: Any) -> dict[str, Any]:
    return {"x": x, "y": y, "batch_size": BATCH_SIZE, "shuffle": False}


@form
def numpy_shuffled_within_batches(x: Any, y: Any) -> dict[str, Any]:
    return {"x": x, "y": y, "batch_size": BATCH_SIZE, "shuffle": "batch"}


@form
def jax(x: Any, y: Any) -> dict[str, Any]:
    import jax.numpy as jnp

    x, y = keras.tree.map_structure(jnp.asarray, (x, y)) if y is not None else (jnp.asarray(x), y)
    return {"x": x, "y": y, "batch_size": BATCH_SIZE}


@form
def pandas(x: Any, y: Any) -> dict[str, Any]:
    import pandas as pd

    def framed(array: np.ndarray) -> Any:
        if array.ndim == 1:
            return pd.Series(array)
        return pd.DataFrame(array) if array.ndim == 2 else array

    parts = keras.tree.map_structure(framed, (x,) if y is None else (x, y))
    return {"x": parts[0], "y": None if y is None else parts[1], "batch_size": BATCH_SIZE}


@form
def weighted_samples(x: Any, y: Any) -> dict[str, Any]:
    weights = np.linspace(0.5, 1.5, len(keras.tree.flatten(x)[0])).astype(np.float32)
    return {"x": x, "y": y, "sample_weight": weights, "batch_size": BATCH_SIZE}


@form
def split_for_validation(x: Any, y: Any) -> dict[str, Any]:
    return {"x": x, "y": y, "validation_split": 0.3, "batch_size": BATCH_SIZE}


@form
def validated_apart(x: Any, y: Any) -> dict[str, Any]:
    data = (x, y) if y is not None else (x,)
    return {"x": x, "y": y, "validation_data": data, "batch_size": BATCH_SIZE}


@form
def generator(x: Any, y: Any) -> dict[str, Any]:
    def endless() -> Iterator[Any]:
        while True:
            yield from batches(x, y)

    return {"x": endless(), "steps_per_epoch": 4, "shuffle": False}


@form
def py_dataset(x: Any, y: Any) -> dict[str, Any]:
    class Batches(keras.utils.PyDataset):
        def __init__(self):
            super().__init__()
            self.all_of_them = list(batches(x, y))

        def __len__(self) -> int:
            return len(self.all_of_them)

        def __getitem__(self, index: int) -> Any:
            return self.all_of_them[index]

    return {"x": Batches(), "shuffle": False}


@form
def grain(x: Any, y: Any) -> dict[str, Any]:
    import grain

    total = len(keras.tree.flatten(x)[0])
    rows = grain.MapDataset.range(total).map(lambda row: cut(x, y, row))
    return {"x": rows.batch(BATCH_SIZE), "shuffle": False}


@form
def torch_loader(x: Any, y: Any) -> dict[str, Any]:
    import pytest

    torch = pytest.importorskip("torch")
    data = [cut(x, y, row) for row in range(len(keras.tree.flatten(x)[0]))]
    return {"x": torch.utils.data.DataLoader(data, batch_size=BATCH_SIZE), "shuffle": False}


@form
def tf_data(x: Any, y: Any) -> dict[str, Any]:
    import pytest

    tensorflow = pytest.importorskip("tensorflow")
    whole = cut(x, y, slice(None))
    data = tensorflow.data.Dataset.from_tensor_slices(whole).batch(BATCH_SIZE)
    return {"x": data, "shuffle": False}
