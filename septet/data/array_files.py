"""Arrays that lie in files, read by rows and never as a whole."""

import mmap
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from septet.errors import DataError


@dataclass(frozen=True)
class FileArray:
    """Where an array in C order lies in a file.

    Args:
        path: Of the file.
        offset: Bytes before the first row.
        dtype: Of the numbers in it, as NumPy spells it ("<f4").
        shape: The first axis is the row.
    """

    path: str
    offset: int
    dtype: str
    shape: tuple[int, ...]

    @classmethod
    def of(cls, array: np.ndarray) -> "FileArray | None":
        """Where `array` lies if it is a `np.memmap`, or rows of one in order; else None."""
        mapped: Any = array
        while mapped is not None and not isinstance(mapped, np.memmap):
            mapped = getattr(mapped, "base", None)
        if (
            mapped is None
            or array.ndim == 0
            or array.dtype.hasobject
            or not array.flags.c_contiguous
            or mapped.mode == "c"  # changes lie in memory only
            or mapped.filename is None
        ):
            return None
        memory = getattr(mapped, "_mmap", None)
        if memory is None:
            return None
        begin = np.frombuffer(memory, np.uint8).ctypes.data
        begins_at = mapped.offset - mapped.offset % mmap.ALLOCATIONGRANULARITY
        place = begins_at + array.ctypes.data - begin
        return cls(str(mapped.filename), place, array.dtype.str, array.shape)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "FileArray":
        """What `to_json` gave."""
        return cls(values["path"], values["offset"], values["dtype"], tuple(values["shape"]))


class RowReader:
    """Reads rows of a `FileArray`, past the memory map: what was read does not stay resident."""

    def __init__(self, array: FileArray):
        """Open the file.

        Raises:
            DataError: It is not there, or too short.
        """
        self.array = array
        self.dtype = np.dtype(array.dtype)
        self.row_bytes = int(np.prod(array.shape[1:], dtype=np.int64)) * self.dtype.itemsize
        try:
            self.handle = os.open(array.path, os.O_RDONLY)
        except OSError as error:
            raise DataError(f"'{array.path}' cannot be opened: {error.strerror}.") from None
        size = os.fstat(self.handle).st_size
        if size < array.offset + self.row_bytes * array.shape[0]:
            raise self._cut_off()

    def read(self, rows: np.ndarray, out: np.ndarray) -> None:
        """Copy rows to `out`, [len(rows), ...] in C order, cast to its type.

        Raises:
            DataError: The file cannot be read, or is shorter than it was.
        """
        target = out if out.dtype == self.dtype else np.empty(out.shape, self.dtype)
        flat = target.reshape(-1).view(np.uint8).data
        # Neighbours in the file that are neighbours in `out` are read at once, and all
        # in the order of the file.
        breaks = np.flatnonzero(np.diff(rows) != 1) + 1
        begins = np.concatenate([[0], breaks])
        ends = np.concatenate([breaks, [len(rows)]])
        size = self.row_bytes
        for run in np.argsort(rows[begins], kind="stable") if len(rows) else ():
            begin, end = int(begins[run]), int(ends[run])
            at = self.array.offset + int(rows[begin]) * size
            self._read_at(at, flat[begin * size : end * size])
        if target is not out:
            np.copyto(out, target, casting="unsafe")

    def _read_at(self, place: int, part: memoryview) -> None:
        done = 0
        while done < len(part):
            try:
                count = os.preadv(self.handle, [part[done:]], place + done)
            except OSError as error:
                path = self.array.path
                raise DataError(f"'{path}' cannot be read: {error.strerror}.") from None
            if count == 0:
                raise self._cut_off()
            done += count

    def _cut_off(self) -> DataError:
        return DataError(
            f"'{self.array.path}' is shorter than its array of {self.array.shape} "
            f"{self.array.dtype}. Was it cut off or replaced? Make it again."
        )

    def close(self) -> None:
        """Close the file."""
        os.close(self.handle)


PART_BYTES = 16 << 20


def parts(array: np.ndarray) -> Iterator[np.ndarray]:
    """The rows of an array in order, a few megabytes at a time.

    Those of an array in a file are read past its memory map, and so do not stay resident.

    Raises:
        DataError: The file cannot be read.
    """
    array = np.atleast_1d(array)
    rows = max(1, PART_BYTES // max(1, array.nbytes // max(1, len(array))))
    place = FileArray.of(array)
    reader = None if place is None else RowReader(place)
    try:
        for begin in range(0, len(array), rows):
            end = min(begin + rows, len(array))
            if reader is None:
                yield array[begin:end]
                continue
            part = np.empty((end - begin, *array.shape[1:]), array.dtype)
            reader.read(np.arange(begin, end), part)
            yield part
    finally:
        if reader is not None:
            reader.close()
