"""A safetensors file that someone else wrote, read with care and without being copied.

Nothing in it is believed: sizes are compared with the file's before memory is taken. Which
names and shapes a network needs is known elsewhere.
"""

import hashlib
import mmap
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import numpy as np

from septet.errors import WeightsError
from septet.runs.disk import CHUNK_BYTES
from septet.runs.tensors import decode_tensors

SMALLEST = 10
"""Bytes of the smallest file there can be: a header's size and "{}"."""
ADVICE = "Download or copy it again, or use another file."


@contextmanager
def open_tensors(path: Path) -> Iterator[Mapping[str, np.ndarray]]:
    """The tensors of a safetensors file by name: views of the file, gone when this ends.

    Raises:
        WeightsError: It is not a whole safetensors file.
    """
    handle = _opened(path)
    try:
        size = os.fstat(handle).st_size
        if size < SMALLEST:
            refuse(path, f"has {size} bytes", "a safetensors file")
        try:
            mapped = mmap.mmap(handle, size, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            refuse(path, f"cannot be read ({error})", "a readable file")
        try:
            tensors = decode_tensors(mapped)  # type: ignore[arg-type]
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            refuse(path, f"is not a whole safetensors file: {error}", "one", _hint(mapped[:8]))
        yield tensors
    finally:
        os.close(handle)


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes; WeightsError if it cannot be read."""
    digest, handle = hashlib.sha256(), _opened(path)
    try:
        while piece := os.read(handle, CHUNK_BYTES):
            digest.update(piece)
    except OSError as error:
        refuse(path, f"cannot be read ({error.strerror})", "a readable file")
    finally:
        os.close(handle)
    return digest.hexdigest()


def _opened(path: Path) -> int:
    """A handle on a regular file, looked at before it is opened: opening a pipe would wait."""
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "no regular file"
            refuse(path, f"is {kind}", "a safetensors file")
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        refuse(path, f"cannot be opened ({reason})", "a readable safetensors file")


def _hint(head: bytes) -> str:
    """What to do about a file that begins with another format's marks."""
    converts = (
        "Septet reads no pickled weights, since reading them can run code. Save it with: "
        "safetensors.torch.save_file(torch.load(FILE, weights_only=True), 'NAME.safetensors')"
    )
    marks = {b"PK\x03\x04": converts, b"\x80\x02": converts, b"\x80\x04": converts}
    marks[b"\x89HDF"] = "It is an HDF5 file; Septet reads safetensors."
    marks[b"version "] = "It is a pointer of Git LFS: fetch the file itself with 'git lfs pull'."
    return next((hint for mark, hint in marks.items() if head.startswith(mark)), ADVICE)


def refuse(path: Path | str, found: str, expected: str, advice: str = ADVICE) -> NoReturn:
    """The one form of every refusal: file, what came, what was expected, what to do."""
    raise WeightsError(f"'{path}' {found}; expected {expected}. {advice}")
