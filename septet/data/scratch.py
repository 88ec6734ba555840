"""Arrays too large for memory, in files of the user's cache that are gone with their process."""

import atexit
import contextlib
import fcntl
import math
import os
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from septet.data.array_files import FileArray
from septet.data.resources import cache_root, room_for_data
from septet.errors import StorageError

FOLDER = "scratch"


def new_array(shape: tuple[int, ...], dtype: np.dtype | type) -> np.ndarray:
    """An array to fill, in memory, or as a `np.memmap` where it would not fit there.

    Raises:
        StorageError: There is no room for it on the disk either.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size <= room_for_data():
        return np.empty(shape, dtype)
    file = ScratchFile()
    file.reserve(size)
    array = np.memmap(file.path, dtype, "r+", shape=shape)
    # Views of the array keep it alive, and it the file.
    weakref.finalize(array, file.close)
    return array


class ScratchFile:
    """A file of this process; it is removed when closed, and if the process is killed, later."""

    def __init__(self) -> None:
        """Make it, and remove those of processes that are gone.

        Raises:
            StorageError: The cache cannot be written.
        """
        folder = cache_root() / FOLDER
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _sweep(folder)
            self.path, self.handle = _locked_file(folder)
        except OSError as error:
            raise _unwritable(folder, error, None) from None
        self.size = 0
        self._is_closed = False
        atexit.register(self.close)

    def reserve(self, size: int) -> None:
        """Have room for so many bytes: a mapped file on a full disk would end the process.

        Raises:
            StorageError: There is not.
        """
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(self.handle, 0, size)
            else:
                for begin in range(0, size, 1 << 20):
                    os.pwrite(self.handle, bytes(min(1 << 20, size - begin)), begin)
        except OSError as error:
            self.close()
            raise _unwritable(self.path, error, size) from None

    def append(self, array: np.ndarray) -> FileArray:
        """Where in the file a copy of `array` lies now.

        Raises:
            StorageError: The disk is full or failing.
        """
        place, content = self.size, np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
        try:
            while content:
                written = os.pwrite(self.handle, content, self.size)
                self.size += written
                content = content[written:]
        except OSError as error:
            raise _unwritable(self.path, error, len(content)) from None
        return FileArray(str(self.path), place, array.dtype.str, array.shape)

    def close(self) -> None:
        """Remove it."""
        if not self._is_closed:
            self._is_closed = True
            atexit.unregister(self.close)
            with contextlib.suppress(OSError):
                self.path.unlink()
            os.close(self.handle)


def _locked_file(folder: Path) -> tuple[Path, int]:
    """A new file and its descriptor, locked as long as that is open."""
    while True:
        path = folder / f"{os.getpid()}-{os.urandom(4).hex()}.bin"
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists():  # nobody swept it between making and locking
                return path, handle
        os.close(handle)


def _sweep(folder: Path) -> None:
    """Remove the files whose process is gone, and its lock with it."""
    for path in folder.glob("*.bin"):
        with contextlib.suppress(OSError):
            handle = os.open(path, os.O_RDWR)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            finally:
                os.close(handle)


def _unwritable(path: Path, error: OSError, size: int | None) -> StorageError:
    needed = "" if size is None else f" It needs {size:,} bytes."
    return StorageError(
        f"Data that do not fit into memory cannot be put into '{path}': {error.strerror}.{needed} "
        "Free some space, or choose another folder with the environment variable SEPTET_CACHE."
    )


class ArrayList:
    """A list of arrays that moves into a file when it grows too large for memory."""

    def __init__(self) -> None:
        """Empty."""
        self._items: list[np.ndarray | FileArray] = []
        self._bytes_left = room_for_data()
        self._file: ScratchFile | None = None

    def append(self, array: np.ndarray) -> None:
        """Add one.

        Raises:
            StorageError: The disk is full or failing.
        """
        self._bytes_left -= array.nbytes
        if self._bytes_left < 0 and self._file is None:
            self._file = ScratchFile()
            weakref.finalize(self, self._file.close)
        self._items.append(array if self._file is None else self._file.append(array))

    def __getitem__(self, place: int) -> np.ndarray:
        """The array at a place."""
        item = self._items[place]
        if isinstance(item, np.ndarray):
            return item
        assert self._file is not None
        whole = np.empty(item.shape, item.dtype)
        flat = whole.reshape(-1).view(np.uint8).data
        read = os.preadv(self._file.handle, [flat], item.offset)
        if read != len(flat):
            raise StorageError(f"'{item.path}' was cut off. Run again.")
        return whole

    def __iter__(self) -> Iterator[np.ndarray]:
        """The arrays in order."""
        return (self[place] for place in range(len(self)))

    def __len__(self) -> int:
        """How many there are."""
        return len(self._items)
