"""Hostile and damaged safetensors files, made when needed."""

import json
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from septet.runs.tensors import encode_tensors

GOOD = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.zeros(4, np.float16)}


def good_bytes() -> bytes:
    return b"".join(bytes(piece) for piece in encode_tensors(GOOD))


def with_header(header: Any, data: bytes = b"", said: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if said is None else said) + text + data


def entry(dtype: Any = "F32", shape: Any = (2,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


EIGHT = bytes(8)
HUGE = 2**62

BYTES: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "nine-bytes": lambda: bytes(9),
    "cut-in-size": lambda: good_bytes()[:5],
    "cut-in-header": lambda: good_bytes()[:40],
    "cut-in-data": lambda: good_bytes()[:-3],
    "data-too-long": lambda: good_bytes() + b"x",
    "header-size-lies-large": lambda: with_header({}, said=HUGE),
    "header-size-lies-all-bits": lambda: b"\xff" * 8 + b"{}",
    "header-size-lies-small": lambda: with_header({"a": entry()}, EIGHT, said=10),
    "header-of-nine-megabytes": lambda: with_header(b" " * (9 * 2**20) + b"{}"),
    "header-is-a-list": lambda: with_header([1, 2, 3]),
    "header-is-a-number": lambda: with_header(b"12345678"),
    "header-is-text": lambda: with_header(b'"abcdefgh"'),
    "header-is-noise": lambda: with_header(bytes(range(64))),
    "header-is-not-unicode": lambda: with_header(b'{"\xff\xfe": 1}'),
    "header-nested-deep": lambda: with_header(b"[" * 100_000 + b"]" * 100_000),
    "header-repeats-a-name": lambda: with_header(
        b'{"a":%s,"a":%s}' % ((json.dumps(entry()).encode(),) * 2), EIGHT
    ),
    "header-with-nan": lambda: with_header(
        b'{"a":{"dtype":"F32","shape":[NaN],"data_offsets":[0,8]}}', EIGHT
    ),
    "no-dtype": lambda: with_header({"a": {"shape": [2], "data_offsets": [0, 8]}}, EIGHT),
    "more-keys": lambda: with_header({"a": {**entry(), "path": "/etc/passwd"}}, EIGHT),
    "entry-is-a-list": lambda: with_header({"a": [1, 2]}, EIGHT),
    "unknown-dtype": lambda: with_header({"a": entry(dtype="F33")}, EIGHT),
    "dtype-is-a-number": lambda: with_header({"a": entry(dtype=7)}, EIGHT),
    "dtype-is-object": lambda: with_header({"a": entry(dtype="O")}, EIGHT),
    "shape-negative": lambda: with_header({"a": entry(shape=[-2])}, EIGHT),
    "shape-is-text": lambda: with_header({"a": entry(shape="22")}, EIGHT),
    "shape-of-floats": lambda: with_header({"a": entry(shape=[2.0])}, EIGHT),
    "shape-of-truth": lambda: with_header({"a": entry(shape=[True, 2])}, EIGHT),
    "shape-overflows": lambda: with_header({"a": entry(shape=[2**40, 2**40])}, EIGHT),
    "shape-of-a-bomb": lambda: with_header(
        {"a": entry(shape=[HUGE], offsets=[0, 4 * HUGE])}, EIGHT
    ),
    "shape-of-forty-axes": lambda: with_header({"a": entry(shape=[1] * 40, offsets=[0, 4])}, EIGHT),
    "offsets-backwards": lambda: with_header({"a": entry(offsets=[8, 0])}, EIGHT),
    "offsets-negative": lambda: with_header({"a": entry(offsets=[-8, 0])}, EIGHT),
    "offsets-past-the-end": lambda: with_header({"a": entry(offsets=[8, 16])}, EIGHT),
    "offsets-of-one": lambda: with_header({"a": entry(offsets=[8])}, EIGHT),
    "offsets-of-another-size": lambda: with_header({"a": entry(offsets=[0, 4])}, EIGHT),
    "tensors-overlap": lambda: with_header({"a": entry(), "b": entry()}, EIGHT),
    "tensors-leave-a-gap": lambda: with_header(
        {"a": entry(), "b": entry(offsets=[16, 24])}, bytes(24)
    ),
    "many-tensors": lambda: with_header(
        {str(place): entry(shape=[0], offsets=[0, 0]) for place in range(70_000)}
    ),
    "pickle": lambda: pickle.dumps({"a": [1.0] * 20}, protocol=2),
    "torch-zip": lambda: b"PK\x03\x04" + bytes(100),
    "hdf5": lambda: b"\x89HDF\r\n\x1a\n" + bytes(100),
    "git-lfs": lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
    "html": lambda: b"<!DOCTYPE html><html><body>Not found</body></html>",
}


def special(folder: Path) -> dict[str, Path]:
    """What is no regular file, or is none at all."""
    found = {name: folder / f"{name}.safetensors" for name in ("folder", "pipe", "missing", "loop")}
    found["folder"].mkdir()
    os.mkfifo(found["pipe"])
    found["loop"].symlink_to(found["loop"])
    return found | {"device": Path("/dev/zero"), "nul": Path("weights\0.safetensors")}
