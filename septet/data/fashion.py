"""Fashion-MNIST's own files as arrays and as one `.npz`. Knows nothing of where they come from."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from septet.errors import DataError

CLASS_NAMES = (
    "t-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
IDX_UNSIGNED_BYTE = 0x08


def read_idx(content: bytes, name: str) -> np.ndarray:
    """The uint8 array in an idx file (LeCun's MNIST format: magic, sizes, bytes).

    Raises:
        DataError: The magic or the declared sizes do not fit the content.
    """
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != IDX_UNSIGNED_BYTE:
        raise DataError(f"'{name}' is not an idx file of bytes: it starts with {content[:4]!r}.")
    rank = content[3]
    start = 4 + 4 * rank
    shape = tuple(int.from_bytes(content[at : at + 4], "big") for at in range(4, start, 4))
    expected = start + int(np.prod(shape, dtype=object))
    if len(content) != expected:
        raise DataError(f"'{name}' declares {shape}, {expected} bytes, but has {len(content)}.")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def arrays(contents: Mapping[str, bytes]) -> dict[str, np.ndarray]:
    """The four files' contents (by file name) as `x_train`, `y_train`, `x_test`, `y_test`.

    Pictures are uint8 `(n, 28, 28)`, labels uint8 `(n,)` in 0..9; `class_names` says what
    each number means.
    """
    names = {
        "x_train": "train-images-idx3-ubyte.gz",
        "y_train": "train-labels-idx1-ubyte.gz",
        "x_test": "t10k-images-idx3-ubyte.gz",
        "y_test": "t10k-labels-idx1-ubyte.gz",
    }
    found = {key: read_idx(contents[name], name) for key, name in names.items()}
    return {**found, "class_names": np.array(CLASS_NAMES)}


def pack(contents: Mapping[str, bytes], path: Path) -> None:
    """Write the set as one `.npz` at `path`."""
    write_npz(path, arrays(contents), level=6)


def write_npz(path: Path, named: Mapping[str, np.ndarray], level: int) -> None:
    """Write `named` as a deflated `.npz` without pickle; equal arrays give equal bytes.

    NumPy's own `savez_compressed` stamps the hour into the archive and has no level.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as archive:
        for name, array in named.items():
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(2020, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=False) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
