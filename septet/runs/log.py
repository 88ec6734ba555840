"""The log of a run: one JSON line a row, the same after any number of kills.

Rows hold no times of day: a resumed run must write the very bytes that the uninterrupted
one writes. A checkpoint keeps `length()`, and a resume calls `truncate` with it.
"""

import hashlib
import os
from pathlib import Path
from typing import Any, NamedTuple

from septet.errors import CheckpointError
from septet.runs import disk, storage
from septet.runs.manifest import canonical_json, strict_json


class LogLength(NamedTuple):
    """How far a log goes: bytes, rows, and the SHA-256 (hex) of those bytes."""

    bytes: int
    rows: int
    sha256: str


class RunLog:
    """The log at `path`; a torn last line, left by a kill, is never part of it."""

    def __init__(self, path: Path):
        """Open the log, which need not exist yet."""
        self.path = path
        self.handle: int | None = None
        self.take(complete_lines(path))

    def take(self, content: bytes) -> None:
        """Count `content` as what the log holds."""
        self.size = len(content)
        self.rows = content.count(b"\n")
        self.digest = hashlib.sha256(content)

    def append(self, row: dict[str, Any]) -> None:
        """Add a row; it is safe from kills at once, from power loss after `sync`.

        Raises:
            StorageError: It could not be written; the log is as it was.
            ValueError: A value is not finite or would change in JSON.
        """
        line = canonical_json(row) + b"\n"
        disk.append(self.opened(), self.path, line)
        self.size += len(line)
        self.rows += 1
        self.digest.update(line)

    def opened(self) -> int:
        """The handle to append with; drops a torn last line when it is opened."""
        if self.handle is None:
            storage.make_folder(self.path.parent)
            with disk.storage_errors(self.path, "open"):
                is_new = not self.path.exists()
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | disk.NO_FOLLOW
                self.handle = os.open(self.path, flags, 0o666)
                os.ftruncate(self.handle, self.size)
                if is_new:
                    disk.fsync_folder(self.path.parent)
        return self.handle

    def sync(self) -> None:
        """Have the disk hold every row; call before a checkpoint names `length()`.

        Raises:
            StorageError: The disk failed or is full.
        """
        with disk.storage_errors(self.path, "write"):
            disk.fsync(self.opened(), self.path)

    def length(self) -> LogLength:
        """How far the log goes now, to be kept in a checkpoint."""
        return LogLength(self.size, self.rows, self.digest.hexdigest())

    def truncate(self, size: int, sha256: str) -> None:
        """Go back to the first `size` bytes, which must have the hash `sha256`.

        Raises:
            CheckpointError: The log is shorter, or those bytes changed.
            StorageError: It could not be written; the log is as it was.
        """
        content = read_bytes(self.path)
        prefix = content[:size]
        if len(prefix) < size:
            raise CheckpointError(
                f"'{self.path}' is damaged: it has {len(content):,} bytes, "
                f"and the checkpoint was saved at {size:,}."
            )
        if hashlib.sha256(prefix).hexdigest() != sha256:
            raise CheckpointError(
                f"'{self.path}' is damaged: its first {size:,} bytes are not those "
                "that the checkpoint was saved with."
            )
        self.close()
        if len(content) > size:
            storage.commit_file(self.path, prefix)
        self.take(prefix)

    def read(self) -> list[dict[str, Any]]:
        """All whole rows on disk; a torn last line is left out.

        Raises:
            CheckpointError: A line is damaged; names it.
        """
        rows = []
        for number, line in enumerate(complete_lines(self.path).splitlines(), start=1):
            try:
                rows.append(strict_json(line))
            except ValueError as error:
                raise CheckpointError(
                    f"'{self.path}' is damaged at line {number}: {error}."
                ) from None
        return rows

    def close(self) -> None:
        """Release the file; a later `append` opens it again."""
        if self.handle is not None:
            os.close(self.handle)
            self.handle = None

    def __enter__(self) -> "RunLog":
        """Use the log in a `with` block, which closes it."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the log."""
        self.close()


def read_bytes(path: Path) -> bytes:
    """The content of a file, empty if absent; StorageError if it cannot be read."""
    with disk.storage_errors(path, "read"):
        return path.read_bytes() if path.exists() else b""


def complete_lines(path: Path) -> bytes:
    """The content of a log up to its last line end."""
    content = read_bytes(path)
    return content[: content.rfind(b"\n") + 1]
