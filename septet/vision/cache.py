"""What was decoded, kept in the user's cache: one array file a data set, read without decoding.

An entry appears whole or not at all, and is taken only where it is what was written. It belongs
to files of the same path, size, times and inode, and to the same request.
"""

import contextlib
import hashlib
import json
import os
import shutil
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from septet.data.resources import cache_root, owner_only
from septet.vision.decoding import Undecodable

VERSION = 2
"""Rises when the same file is decoded to other pixels."""
MOST_BYTES = 32 << 30
LEFTOVER_AGE_S = 24 * 3600.0
"""An entry that has been written for so long is of a process that was killed."""
PIXELS, KNOWN = "pixels.bin", "known.json"

Facts = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """How some kind of file is decoded, and what is kept of it.

    Args:
        folder: In the cache.
        request: What is asked of the decoder, plain JSON values.
        decode: One result for each path: an `Undecodable`, or one that has pixels.
        split: A result's pixels, uint8, and all else that is known of it, plain JSON values.
        join: A result of both.
        at_once: Files that are decoded together.
    """

    folder: str
    request: Mapping[str, Any]
    decode: Callable[[Sequence[str]], Sequence[Any]]
    split: Callable[[Any], tuple[np.ndarray, Facts]]
    join: Callable[[np.ndarray, Facts], Any]
    at_once: int


def decoded(paths: Sequence[str], kind: Kind) -> Iterator[Any]:
    """The result for each path, in order: from the cache, or decoded and put there.

    Where the cache cannot be written, all are decoded every time.

    Raises:
        RunError: No worker can be started.
    """
    place = entry_of(paths, kind)
    if place is not None and (kept := read_entry(place, kind)) is not None:
        yield from kept
        return
    writer = None if place is None else EntryWriter(place, kind)
    try:
        for begin in range(0, len(paths), kind.at_once):
            for result in kind.decode(paths[begin : begin + kind.at_once]):
                if writer is not None:
                    writer.add(result)
                yield result
    except BaseException:
        if writer is not None:
            writer.give_up()
        raise
    if writer is not None:
        writer.finish()


def entry_of(paths: Sequence[str], kind: Kind) -> Path | None:
    """The folder of these files' entry; None where there can be no cache."""
    root = owner_only(cache_root() / kind.folder)
    if root is None or not paths:
        return None
    digest = hashlib.blake2b(digest_size=16)
    digest.update(json.dumps([VERSION, kind.request], sort_keys=True).encode())
    for path in paths:
        for file in _files_of(path):
            try:
                status = os.stat(file)
            except OSError:
                return None
            facts = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
            digest.update(f"{facts}{file}\0".encode("utf-8", "surrogateescape"))
    return root / digest.hexdigest()


def _files_of(path: str) -> list[str]:
    if not os.path.isdir(path):
        return [path]
    try:
        return [path, *(os.path.join(path, name) for name in sorted(os.listdir(path)))]
    except OSError:
        return [path]


def read_entry(place: Path, kind: Kind) -> list[Any] | None:
    """All results of an entry, pixels in its file; None where it is absent or damaged."""
    try:
        known = json.loads((place / KNOWN).read_text(encoding="utf-8"))
        size = (place / PIXELS).stat().st_size
        if known["size"] != size or _checksum(place / PIXELS) != known["checksum"]:
            return None
        pixels = np.memmap(place / PIXELS, np.uint8, "r") if size else np.zeros(0, np.uint8)
        results: list[Any] = []
        at = 0
        for fact in known["results"]:
            if "code" in fact:
                results.append(Undecodable(fact["code"], fact["reason"], fact["remedy"]))
                continue
            shape = fact["shape"]
            length = int(np.prod(shape))
            results.append(kind.join(pixels[at : at + length].reshape(shape), fact["facts"]))
            at += length
        os.utime(place)
        if at != size:
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return results


def _checksum(path: Path) -> int:
    value = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            value = zlib.crc32(block, value)
    return value


class EntryWriter:
    """Writes an entry beside its place and moves it there when it is whole."""

    def __init__(self, place: Path, kind: Kind):
        """Make the folder; a cache that cannot be written is done without."""
        self.place, self.kind = place, kind
        self.folder = place.with_name(f".new-{os.getpid()}-{os.urandom(4).hex()}")
        self.facts: list[dict[str, Any]] = []
        self.size = self.checksum = 0
        self.file: Any = None
        with contextlib.suppress(OSError):
            self.folder.mkdir(mode=0o700)
            self.file = (self.folder / PIXELS).open("wb")

    def add(self, result: Any) -> None:
        """Write one result."""
        if self.file is None:
            return
        if isinstance(result, Undecodable):
            # A worker that died or was slow may do better next time.
            if result.code.startswith("decoder-"):
                self.give_up()
                return
            self.facts.append(asdict(result))
            return
        pixels, facts = self.kind.split(result)
        content = np.ascontiguousarray(pixels).reshape(-1).data
        try:
            self.file.write(content)
        except OSError:
            self.give_up()
            return
        self.size += len(content)
        self.checksum = zlib.crc32(content, self.checksum)
        self.facts.append({"shape": list(pixels.shape), "facts": facts})
        if self.size > MOST_BYTES:
            self.give_up()

    def finish(self) -> None:
        """Make the entry appear."""
        if self.file is None:
            return
        known = {"size": self.size, "checksum": self.checksum, "results": self.facts}
        try:
            self.file.flush()
            os.fsync(self.file.fileno())
            self.file.close()
            (self.folder / KNOWN).write_text(json.dumps(known), encoding="utf-8")
            remove_oldest(self.place.parent, MOST_BYTES - self.size)
            if self.place.exists():
                shutil.rmtree(self.place, ignore_errors=True)
            os.rename(self.folder, self.place)
        except OSError:
            self.give_up()

    def give_up(self) -> None:
        """Leave nothing behind."""
        if self.file is not None:
            with contextlib.suppress(OSError):
                self.file.close()
            self.file = None
        shutil.rmtree(self.folder, ignore_errors=True)


def remove_oldest(root: Path, most_bytes: int) -> None:
    """Remove entries, those not used for longest first, until at most `most_bytes` are left."""
    entries = []
    for folder in root.iterdir():
        with contextlib.suppress(OSError):
            is_young = time.time() - folder.stat().st_mtime < LEFTOVER_AGE_S
            if folder.name.startswith(".") and is_young:
                continue  # another process may be writing it
            size = sum(file.stat().st_size for file in folder.iterdir())
            entries.append((folder.stat().st_mtime, size, folder))
    total = sum(size for _, size, _ in entries)
    for _, size, folder in sorted(entries):
        if total <= most_bytes:
            return
        shutil.rmtree(folder, ignore_errors=True)
        total -= size
