"""Durable commits: what a run keeps is complete or absent, whatever instant it is killed at.

Files are written under a temporary name beside their target, fsynced and renamed; a folder
has a manifest with the size and SHA-256 of each of its files. Knows no file's content.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from septet.errors import CheckpointError
from septet.runs.disk import (
    CHUNK_BYTES,
    NO_FOLLOW,
    Content,
    fsync,
    fsync_folder,
    pieces,
    remove,
    rename,
    size_of,
    storage_errors,
    write,
)
from septet.runs.manifest import (
    MANIFEST,
    MAX_BYTES,
    FileRecord,
    canonical_json,
    check_file_name,
    seal,
    unseal,
)

TEMPORARY = ".tmp~"
REPLACED = ".old~"


def temporary(target: Path, prefix: str = TEMPORARY) -> Path:
    """A name beside `target` that no other process uses and `sweep` recognises."""
    return target.with_name(f"{prefix}{target.name}~{os.urandom(6).hex()}")


def write_durably(path: Path, content: Content) -> FileRecord:
    """Create `path`, write it and fsync it; its size and hash."""
    handle, record = write(path, content)
    try:
        fsync(handle, path)
    finally:
        os.close(handle)
    return record


def make_folder(folder: Path) -> None:
    """Create `folder` and its parents where absent, durably.

    Raises:
        StorageError: It cannot be created.
    """
    with storage_errors(folder, "create"):
        missing = [path for path in (folder, *folder.parents) if not path.exists()]
        for path in reversed(missing):
            path.mkdir(exist_ok=True)
            fsync_folder(path.parent)
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "there is a file of that name", str(folder))


def commit_file(path: Path, data: Content) -> FileRecord:
    """Have `path` hold `data`, durably; at every instant it is whole, old or new.

    Raises:
        StorageError: It could not be written; unless the last fsync failed, `path` is as it was.
    """
    make_folder(path.parent)
    staged = temporary(path)
    with storage_errors(path, "write", size_of(data)):
        try:
            record = write_durably(staged, data)
            rename(staged, path)
        except BaseException:
            discard(staged)
            raise
        fsync_folder(path.parent)
    return record


def commit_folder(
    target: Path, files: Mapping[str, Content], manifest: Mapping[str, Any]
) -> dict[str, Any]:
    """Have `target` be a folder of exactly `files` and a manifest; complete or as before.

    A complete `target` with the same content is left alone; another is replaced.

    Args:
        target: The folder to commit.
        files: Content by file name; no sub-folders.
        manifest: Plain JSON facts kept in the manifest, beside `version` and `files`.

    Raises:
        StorageError: It could not be written; unless the last fsync failed, `target` is as
            it was.
        ValueError: A file name or a fact is not allowed.
    """
    existing = complete_manifest(target)
    if existing is not None and existing == manifest_of(files, manifest):
        return existing
    make_folder(target.parent)
    needed = sum(size_of(content) for content in files.values())
    staged = temporary(target)
    with storage_errors(target, "write", needed):
        try:
            records = stage_files(staged, files)
            sealed = seal(records, manifest)
            write_durably(staged / MANIFEST, sealed)
            fsync_folder(staged)
            place(staged, target)
        except BaseException:
            discard(staged)
            raise
        fsync_folder(target.parent)
    return unseal(sealed)


def create_folder(target: Path, files: Mapping[str, Content]) -> None:
    """Make a new folder of `files`, all at once; FileExistsError if `target` exists.

    Raises:
        StorageError: It could not be written; nothing is there.
    """
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    make_folder(target.parent)
    staged = temporary(target)
    with storage_errors(target, "create", sum(size_of(content) for content in files.values())):
        try:
            stage_files(staged, files)
            fsync_folder(staged)
            rename(staged, target)
        except BaseException:
            discard(staged)
            raise
        fsync_folder(target.parent)


def stage_files(staged: Path, files: Mapping[str, Content]) -> dict[str, FileRecord]:
    """Create the folder `staged` with `files`, each fsynced."""
    for name in files:
        check_file_name(name)
    staged.mkdir()
    return {name: write_durably(staged / name, content) for name, content in files.items()}


def manifest_of(files: Mapping[str, Content], facts: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest that a folder of `files` would have."""
    records = {}
    for name, content in files.items():
        digest = hashlib.sha256()
        for piece in pieces(content):
            digest.update(piece)
        records[name] = FileRecord(size_of(content), digest.hexdigest())
    return unseal(seal(records, facts))


def complete_manifest(target: Path) -> dict[str, Any] | None:
    """The manifest of `target` if it is a complete folder, else None."""
    if not target.is_dir():
        return None
    try:
        return verify_folder(target)
    except CheckpointError:
        return None


def place(staged: Path, target: Path) -> None:
    """Rename `staged` to `target`, setting an older folder there aside until it is done.

    Two folders cannot be exchanged in one portable step: a kill between the two renames
    leaves the old one aside, and `sweep` puts it back.
    """
    if not os.path.lexists(target):
        rename(staged, target)
        return
    aside = temporary(target, REPLACED)
    rename(target, aside)
    try:
        rename(staged, target)
    except BaseException:
        with suppress(OSError):
            rename(aside, target)
        raise
    fsync_folder(target.parent)
    discard(aside)


def verify_folder(path: Path, *, hashes: bool = True) -> dict[str, Any]:
    """The manifest of a complete committed folder: `version`, `files` and its facts.

    Args:
        path: A folder written by `commit_folder`.
        hashes: Whether to read every byte; otherwise only the manifest and the sizes.

    Raises:
        CheckpointError: Something is missing or changed; names the file and what.
    """
    manifest = read_manifest(path)
    for name, record in manifest["files"].items():
        with open_checked(path / name, record["size"]) as stream:
            if not hashes:
                continue
            digest = hashlib.sha256()
            while chunk := stream.read(CHUNK_BYTES):
                digest.update(chunk)
            check_digest(path / name, digest.hexdigest(), record["sha256"])
    return manifest


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of the folder `path`; CheckpointError if it was changed in any way."""
    file = path / MANIFEST
    with open_checked(file, None) as stream:
        data = stream.read(MAX_BYTES + 1)
    try:
        return unseal(data)
    except ValueError as error:
        raise CheckpointError(f"'{file}' is damaged: {error}.") from None


def read_file(path: Path, manifest: Mapping[str, Any], name: str) -> bytes:
    """The bytes of the file `name` of the folder `path`, checked against its manifest.

    Raises:
        CheckpointError: The file is not in the manifest, missing or changed.
    """
    record = manifest["files"].get(name)
    if record is None:
        raise CheckpointError(f"'{path / name}' is not part of the folder, by its manifest.")
    with open_checked(path / name, record["size"]) as stream:
        data = stream.read(record["size"] + 1)
    check_digest(path / name, hashlib.sha256(data).hexdigest(), record["sha256"])
    return data


@contextmanager
def open_checked(file: Path, size: int | None) -> Iterator[IO[bytes]]:
    """Open a regular file (no link, no device) of `size` bytes for reading.

    Raises:
        CheckpointError: It is missing, of another size or unreadable.
    """
    try:
        # O_NONBLOCK so that a pipe in the place of the file is refused rather than waited for.
        handle = os.open(file, os.O_RDONLY | os.O_NONBLOCK | NO_FOLLOW)
        with open(handle, "rb") as stream:
            facts = os.fstat(handle)
            if not stat.S_ISREG(facts.st_mode):
                raise CheckpointError(f"'{file}' is not a regular file.")
            if size is not None and facts.st_size != size:
                raise CheckpointError(
                    f"'{file}' is damaged: it has {facts.st_size:,} bytes, not {size:,}."
                )
            yield stream
    except FileNotFoundError:
        raise CheckpointError(f"'{file}' is missing.") from None
    except OSError as error:
        raise CheckpointError(f"'{file}' cannot be read: {error.strerror}.") from error


def check_digest(file: Path, found: str, expected: str) -> None:
    """CheckpointError unless the SHA-256 found is the one expected."""
    if found != expected:
        raise CheckpointError(
            f"'{file}' is damaged: its SHA-256 is {found[:12]}…, not {expected[:12]}…."
        )


def remove_tree(path: Path) -> None:
    """Remove a file or folder; it is renamed first, so never seen half-removed.

    Raises:
        StorageError: It could not be removed; `sweep` removes what is left of it.
    """
    with storage_errors(path, "remove"):
        aside = temporary(path)
        rename(path, aside)
        remove_all(aside)


def remove_all(path: Path) -> None:
    """Remove `path` and everything in it, following no links."""
    if path.is_dir() and not path.is_symlink():
        for entry in sorted(path.iterdir()):
            remove_all(entry)
    remove(path)


def discard(path: Path) -> None:
    """Remove a temporary as far as possible; what stays is left to `sweep`."""
    with suppress(OSError):
        if os.path.lexists(path):
            remove_all(path)


def sweep(root: Path, *, recursive: bool = True) -> list[Path]:
    """Clear what killed processes left under `root`; returns what was removed or put back.

    Only for who holds the lock on `root`, since another process's commits look the same.

    Raises:
        StorageError: A leftover could not be removed.
    """
    swept = []
    with storage_errors(root, "clear"):
        for entry in sorted(root.iterdir()) if root.is_dir() else []:
            if entry.name.startswith((TEMPORARY, REPLACED)):
                settle(entry)
                swept.append(entry)
            elif recursive and entry.is_dir() and not entry.is_symlink():
                swept.extend(sweep(entry))
    return swept


def settle(leftover: Path) -> None:
    """Put a folder back that was set aside for one that never came; remove other leftovers."""
    name = leftover.name.removeprefix(REPLACED).rpartition("~")[0]
    target = leftover.with_name(name) if name else leftover
    if leftover.name.startswith(REPLACED) and not os.path.lexists(target):
        rename(leftover, target)
        fsync_folder(target.parent)
    else:
        remove_all(leftover)


def json_bytes(value: Any) -> bytes:
    """`value` as readable canonical JSON, ending in a newline."""
    return canonical_json(value, indent=1) + b"\n"
