"""What is done to disks: write, fsync, rename, append, remove, each past the fault point.

Raises plain OSErrors, which `storage_errors` turns into messages; `storage` makes commits of
these operations. Knows no file format.
"""

import errno
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeAlias

from septet.errors import StorageError
from septet.runs.faults import fault_point
from septet.runs.manifest import FileRecord

Buffer: TypeAlias = bytes | bytearray | memoryview
Content: TypeAlias = Buffer | Sequence[Buffer]
"""What a file will hold; a sequence is written piece after piece without joining it."""

CHUNK_BYTES = 2**20
NO_FOLLOW = os.O_NOFOLLOW | os.O_CLOEXEC
CAUSES = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EIO: "the device reported an input/output error",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission is denied",
    errno.EPERM: "the operation is not permitted",
}


def pieces(content: Content) -> list[memoryview]:
    """`content` as flat views of bytes."""
    buffers = [content] if isinstance(content, bytes | bytearray | memoryview) else content
    return [memoryview(buffer).cast("B") for buffer in buffers if len(buffer)]


def size_of(content: Content) -> int:
    """Bytes in `content`."""
    return sum(piece.nbytes for piece in pieces(content))


@contextmanager
def storage_errors(path: Path, action: str, needed: int | None = None) -> Iterator[None]:
    """Turn an OSError into a StorageError naming `path`, the cause and the bytes `needed`."""
    try:
        yield
    except OSError as error:
        raise StorageError(explain(error, path, action, needed)) from error


def explain(error: OSError, path: Path, action: str, needed: int | None) -> str:
    """What failed, why and what to do, in words."""
    cause = CAUSES.get(error.errno or 0, (error.strerror or str(error)).lower())
    message = f"Could not {action} '{path}': {cause}."
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return f"{message} What was committed before is kept. Check the disk, then resume."
    if needed is not None:
        message += f" {needed:,} bytes are needed, {free_bytes(path):,} are free."
    return f"{message} What was committed before is kept. Free some space, then resume."


def free_bytes(path: Path) -> int:
    """Bytes that may still be written to the disk of `path`; 0 if it cannot be told."""
    for folder in path.absolute().parents:
        with suppress(OSError):
            facts = os.statvfs(folder)
            return facts.f_bavail * facts.f_frsize
    return 0


def write(path: Path, content: Content) -> tuple[int, FileRecord]:
    """Create `path` (which must not exist) with `content`: its open handle and its record."""
    fault = fault_point().pass_through("write", path)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_FOLLOW, 0o666)
    try:
        if fault is not None:
            whole = b"".join(pieces(content))
            write_pieces(handle, [memoryview(whole)[: len(whole) // 2]])
            fault.happen(path)
        return handle, write_pieces(handle, pieces(content))
    except BaseException:
        os.close(handle)
        raise


def write_pieces(handle: int, buffers: Iterable[memoryview]) -> FileRecord:
    """Write and hash in one pass over the bytes."""
    digest, size = hashlib.sha256(), 0
    for buffer in buffers:
        for start in range(0, buffer.nbytes, CHUNK_BYTES):
            chunk = buffer[start : start + CHUNK_BYTES]
            digest.update(chunk)
            size += chunk.nbytes
            write_all(handle, chunk)
    return FileRecord(size, digest.hexdigest())


def write_all(handle: int, chunk: memoryview) -> None:
    """Write every byte, also where the system takes fewer at a time."""
    while chunk.nbytes:
        chunk = chunk[os.write(handle, chunk) :]


def fsync(handle: int, path: Path) -> None:
    """Have the disk hold what was written; never retried, since a second call may lie."""
    fault = fault_point().pass_through("fsync", path)
    if fault is not None:
        fault.happen(path)
    os.fsync(handle)


def fsync_folder(folder: Path) -> None:
    """Have the disk hold the names in `folder`."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fsync(handle, folder)
    finally:
        os.close(handle)


def rename(source: Path, target: Path) -> None:
    """Give `source` the name `target`, in one step."""
    fault = fault_point().pass_through("rename", target)
    if fault is not None:
        fault.happen(target)
    os.rename(source, target)


def append(handle: int, path: Path, data: bytes) -> None:
    """Add `data` to the end of an open file; on an error nothing is added."""
    fault = fault_point().pass_through("append", path)
    start = os.fstat(handle).st_size
    with storage_errors(path, "add to", len(data)):
        try:
            if fault is not None:
                write_all(handle, memoryview(data)[: len(data) // 2])
                fault.happen(path)
            write_all(handle, memoryview(data))
        except OSError:
            with suppress(OSError):
                os.ftruncate(handle, start)
            raise


def remove(path: Path) -> None:
    """Remove one file, link or empty folder."""
    fault = fault_point().pass_through("remove", path)
    if fault is not None:
        fault.happen(path)
    if path.is_dir() and not path.is_symlink():
        os.rmdir(path)
    else:
        os.unlink(path)
