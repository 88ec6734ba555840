"""Tensors as the bytes of a safetensors file and back, copying none of them.

Our own twenty lines rather than the library's NumPy functions because those (0.8.0) cannot
read bfloat16, write transposed arrays wrongly, and copy everything twice. The format is the
same: https://huggingface.co/docs/safetensors (8 bytes of header size, JSON header, data).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from septet.runs.disk import CHUNK_BYTES, Buffer
from septet.runs.manifest import canonical_json, strict_json

MAX_HEADER_BYTES = 8 * 2**20
MAX_TENSORS = 65_536
MAX_DIMENSIONS = 32
DTYPES = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "U16": "uint16",
    "I16": "int16",
    "F16": "float16",
    "BF16": "bfloat16",
    "U32": "uint32",
    "I32": "int32",
    "F32": "float32",
    "U64": "uint64",
    "I64": "int64",
    "F64": "float64",
    "C64": "complex64",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
}
CODES = {name: code for code, name in DTYPES.items()}
VARIANCES = ("moving_variance", "running_var")
"""How the names of variances end, of which a root is taken: in Keras, in PyTorch."""


def dtype_of(name: str) -> np.dtype:
    """The little-endian dtype of a name in `DTYPES`, also those NumPy itself lacks."""
    if name in ("bfloat16", "float8_e4m3fn", "float8_e5m2"):
        import ml_dtypes

        return np.dtype(getattr(ml_dtypes, name))
    return np.dtype(name).newbyteorder("<")


def complaint(name: str, array: np.ndarray) -> str | None:
    """What numbers a weight has that none may have, and what was expected; None if all is well.

    Looks at a piece at a time.
    """
    if array.dtype.kind in "iub":
        return None
    flat = array.reshape(-1)
    for start in range(0, flat.size, CHUNK_BYTES):
        piece = flat[start : start + CHUNK_BYTES]
        if not np.isfinite(piece).all():
            return "NaN or infinity; expected finite numbers"
        if name.endswith(VARIANCES) and (piece < 0).any():
            return f"the variance {piece.min():g}; expected none below 0"
    return None


def encode_tensors(tensors: Mapping[str, np.ndarray]) -> list[Buffer]:
    """The pieces of a safetensors file of `tensors`; the data are views, not copies.

    Equal tensors give equal bytes: they are ordered by item size, largest first, so that
    each is aligned, then by name.

    Raises:
        ValueError: A tensor's type or a name cannot be kept, or there are too many.
    """
    arrays = {name: little_endian(name, np.asarray(value)) for name, value in tensors.items()}
    order = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    header: dict[str, Any] = {}
    end = 0
    for name in order:
        array = arrays[name]
        start, end = end, end + array.nbytes
        code = CODES[array.dtype.name]
        header[name] = {
            "dtype": code,
            "shape": list(array.shape),
            "data_offsets": [start, end],
        }
    text = canonical_json(header)
    text += b" " * (-len(text) % 8)
    if len(text) > MAX_HEADER_BYTES or len(arrays) > MAX_TENSORS:
        raise ValueError(f"{len(arrays):,} tensors are too many for one file.")
    data = [arrays[name].reshape(-1).view(np.uint8).data for name in order]
    return [len(text).to_bytes(8, "little") + text, *data]


def little_endian(name: str, array: np.ndarray) -> np.ndarray:
    """`array` as contiguous little-endian memory; ValueError if its type cannot be kept."""
    if array.dtype.name not in CODES or name == "__metadata__":
        raise ValueError(
            f"Tensor '{name}' of type {array.dtype} cannot be kept. Types: {', '.join(CODES)}."
        )
    return np.ascontiguousarray(array, dtype=dtype_of(array.dtype.name)).reshape(array.shape)


def decode_tensors(data: bytes) -> dict[str, np.ndarray]:
    """The tensors of a safetensors file, as read-only views of `data`.

    Raises:
        ValueError: The header is not valid or does not describe exactly the data.
    """
    header_size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or header_size > min(MAX_HEADER_BYTES, len(data) - 8):
        raise ValueError(f"its header is said to have {header_size:,} bytes")
    header = strict_json(data[8 : 8 + header_size])
    if not isinstance(header, dict) or len(header) > MAX_TENSORS + 1:
        raise ValueError("its header is not a table of tensors")
    header.pop("__metadata__", None)
    body = memoryview(data)[8 + header_size :]
    tensors, spans = {}, []
    for name, entry in header.items():
        dtype, shape, start, end = read_entry(name, entry)
        spans.append((start, end))
        if end > body.nbytes:
            raise ValueError(f"tensor '{name}' ends at {end:,} of {body.nbytes:,} bytes")
        tensors[name] = np.frombuffer(body[start:end], dtype).reshape(shape)
    check_spans(spans, body.nbytes)
    return tensors


def read_entry(name: str, entry: Any) -> tuple[np.dtype, Sequence[int], int, int]:
    """Type, shape, start and end of one header entry; ValueError if they do not agree."""
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"tensor '{name}' has no dtype, shape and data_offsets")
    code, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(code, str) or code not in DTYPES:
        raise ValueError(f"tensor '{name}' has the unknown type {code!r}")
    for numbers in (shape, offsets):
        if not isinstance(numbers, list) or any(type(n) is not int or n < 0 for n in numbers):
            raise ValueError(f"the shape or data_offsets of tensor '{name}' are not counts")
    if len(shape) > MAX_DIMENSIONS or len(offsets) != 2:
        raise ValueError(f"tensor '{name}' has {len(shape)} axes and {len(offsets)} offsets")
    dtype = dtype_of(DTYPES[code])
    expected = math.prod(shape) * dtype.itemsize
    if offsets[1] - offsets[0] != expected:
        raise ValueError(
            f"tensor '{name}' of shape {tuple(shape)} needs {expected:,} bytes, "
            f"not {offsets[1] - offsets[0]:,}"
        )
    return dtype, shape, offsets[0], offsets[1]


def check_spans(spans: list[tuple[int, int]], size: int) -> None:
    """ValueError unless the spans follow each other from 0 to `size` without gap or overlap."""
    position = 0
    for start, end in sorted(spans):
        if start != position:
            raise ValueError(f"its tensors overlap or leave a gap at byte {position:,}")
        position = end
    if position != size:
        raise ValueError(f"its tensors end at byte {position:,} of {size:,}")
