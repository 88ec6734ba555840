"""Files of a model folder opened without following anything, and its weights read with care.

Every size that a file declares is compared with what `model.json` lists and with the file's
true size before memory is taken for it. Knows no network and no task.
"""

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from septet.errors import ModelFolderError
from septet.runs.disk import CHUNK_BYTES, NO_FOLLOW
from septet.runs.manifest import strict_json
from septet.runs.model_schema import WeightEntry, WeightsFile
from septet.runs.tensors import MAX_HEADER_BYTES, check_spans, complaint, dtype_of, read_entry

ADVICE = "Copy the whole folder again from where it was saved, or train and save it anew."


def refusal(file: Path, found: str, expected: str, advice: str = ADVICE) -> ModelFolderError:
    """The one form of every refusal: file, what came, what was expected, what to do."""
    return ModelFolderError(f"'{file}' {found}; expected {expected}. {advice}")


@contextmanager
def open_folder(path: Path) -> Iterator[int]:
    """A handle on the folder itself, so that nobody can exchange it while it is read.

    Raises:
        ModelFolderError: `path` is missing, a link, or not a folder.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | NO_FOLLOW)
    except (OSError, ValueError) as error:
        if os.path.islink(path):
            found, advice = "is a symbolic link", "Name the folder that it points to."
        else:
            reason = getattr(error, "strerror", None) or str(error)
            found, advice = f"cannot be opened ({reason})", "Check the path."
        raise refusal(path, found, "a model folder", advice) from None
    try:
        yield handle
    finally:
        os.close(handle)


def check_names(handle: int, path: Path, required: frozenset[str], known: frozenset[str]) -> None:
    """Refuse a folder that lacks a required file or holds a file of another name."""
    seen: set[str] = set()
    with os.scandir(handle) as entries:
        for entry in entries:
            if entry.name not in known:
                raise refusal(
                    path,
                    f"holds {entry.name[:100]!r}",
                    f"only {', '.join(sorted(known))}",
                    "Move everything else out of the folder.",
                )
            seen.add(entry.name)
    missing = sorted(required - seen)
    if missing:
        raise refusal(path, f"lacks {', '.join(missing)}", "a complete model folder")


@contextmanager
def open_file(folder: int, path: Path, name: str) -> Iterator[tuple[int, int]]:
    """A handle on a regular file of the folder, and its size in bytes.

    Looked at before it is opened, since opening a device or a pipe already does something.

    Raises:
        ModelFolderError: It is missing, a link, a folder, a pipe or a device.
    """
    file = path / name
    try:
        check_regular(os.stat(name, dir_fd=folder, follow_symlinks=False), file)
        handle = os.open(name, os.O_RDONLY | os.O_NONBLOCK | NO_FOLLOW, dir_fd=folder)
    except OSError as error:
        raise refusal(file, f"cannot be opened ({error.strerror})", "a readable file") from None
    try:
        facts = os.fstat(handle)
        check_regular(facts, file)
        yield handle, facts.st_size
    except OSError as error:
        raise refusal(file, f"cannot be read ({error.strerror})", "a readable file") from None
    finally:
        os.close(handle)


def check_regular(facts: os.stat_result, file: Path) -> None:
    """ModelFolderError unless the facts are those of a regular file."""
    if not stat.S_ISREG(facts.st_mode):
        kinds = {
            stat.S_IFLNK: "a symbolic link",
            stat.S_IFDIR: "a folder",
            stat.S_IFIFO: "a pipe",
            stat.S_IFSOCK: "a socket",
        }
        kind = kinds.get(stat.S_IFMT(facts.st_mode), "a device")
        raise refusal(file, f"is {kind}", "a regular file")


def read_small(folder: int, path: Path, name: str, limit: int) -> bytes:
    """The bytes of a file of at most `limit` bytes.

    Raises:
        ModelFolderError: It is not a regular file, or larger.
    """
    with open_file(folder, path, name) as (handle, size):
        if size > limit:
            raise refusal(path / name, f"has {size:,} bytes", f"at most {limit:,}")
        data = bytearray(size)
        filled = fill(handle, memoryview(data))
    if filled != size:
        raise refusal(path / name, f"ended after {filled:,} bytes", f"{size:,}")
    return bytes(data)


def fill(handle: int, target: memoryview) -> int:
    """Read into `target` until it is full or the file ends; the bytes read."""
    position = 0
    while position < len(target):
        count = os.readv(handle, [target[position : position + CHUNK_BYTES]])
        if count == 0:
            break
        position += count
    return position


def read_weights(folder: int, path: Path, name: str, expected: WeightsFile) -> dict:
    """The arrays of the weights file by name, each allocated once and read in place.

    Raises:
        ModelFolderError: The file is not of the size, the content or the SHA-256 expected,
            or a weight has numbers that none may have.
    """
    file = path / name
    with open_file(folder, path, name) as (handle, size):
        if size != expected.size:
            raise refusal(file, f"has {size:,} bytes", f"{expected.size:,}, as in model.json")
        head = bytearray(8)
        fill(handle, memoryview(head))
        header = bytearray(header_size(head, size, expected, file))
        fill(handle, memoryview(header))
        offsets = check_header(bytes(header), expected, file)
        digest = hashlib.sha256(head)
        digest.update(header)
        weights = read_arrays(handle, expected.entries, offsets, digest, file)
    if digest.hexdigest() != expected.sha256:
        found = f"has the SHA-256 {digest.hexdigest()[:12]}…"
        raise refusal(file, found, f"{expected.sha256[:12]}…, as in model.json")
    for weight, array in weights.items():
        check_numbers(weight, array, file)
    return weights


def header_size(head: bytearray, size: int, expected: WeightsFile, file: Path) -> int:
    """Bytes of the header: what is left beside the arrays, which the file must also say."""
    said = int.from_bytes(head, "little")
    real = size - 8 - expected.num_bytes()
    # A header that lists no more than model.json cannot be larger, so it costs no more to read.
    most = 1024 + sum(256 + 6 * len(entry.name.encode()) for entry in expected.entries)
    if real != said:
        raise refusal(
            file, f"has a header said to be of {said:,} bytes", f"{max(real, 0):,} beside the data"
        )
    if real > min(most, MAX_HEADER_BYTES):
        raise refusal(file, f"has a header of {real:,} bytes", f"at most {most:,} for its weights")
    return real


def check_header(header: bytes, expected: WeightsFile, file: Path) -> Mapping[str, int]:
    """Where each array starts, once the header lists exactly what model.json does."""
    try:
        table = strict_json(header)
        if not isinstance(table, dict):
            raise ValueError("its header is not a table of tensors")
        found = {name: read_entry(name, entry) for name, entry in table.items()}
        check_spans([(start, end) for _, _, start, end in found.values()], expected.num_bytes())
    except ValueError as error:
        raise refusal(
            file, f"is not a whole safetensors file: {error}", "what model.json lists"
        ) from None
    for entry in expected.entries:
        if entry.name not in found:
            raise refusal(file, "lacks a weight", f"{entry.name[:200]!r}, as in model.json")
        dtype, shape, _, _ = found[entry.name]
        if (dtype, list(shape)) != (dtype_of(entry.dtype), entry.shape):
            raise refusal(
                file,
                f"has {entry.name[:200]!r} as {dtype} {tuple(shape)}",
                f"{entry.dtype} {tuple(entry.shape)}, as in model.json",
            )
    if len(found) != len(expected.entries):
        raise refusal(file, f"has {len(found):,} weights", f"{len(expected.entries):,}")
    return {name: start for name, (_, _, start, _) in found.items()}


def read_arrays(handle: int, entries: list[WeightEntry], offsets, digest, file: Path) -> dict:
    """The arrays in the order of the file, hashed as they are read."""
    weights = {}
    for entry in sorted(entries, key=lambda entry: offsets[entry.name]):
        array = np.empty(entry.shape, dtype_of(entry.dtype))
        target = memoryview(array.reshape(-1).view(np.uint8).data)
        if fill(handle, target) != len(target):
            raise refusal(file, f"ended inside {entry.name!r}", f"{len(target):,} bytes for it")
        digest.update(target)
        weights[entry.name] = array
    return weights


def check_numbers(name: str, array: np.ndarray, file: Path | str) -> None:
    """ModelFolderError if `array` has numbers that no weight may have."""
    if problem := complaint(name, array):
        raise ModelFolderError(
            f"'{file}' has a weight '{name[:200]}' with {problem}. Use an earlier model, or train "
            "again with a lower learning rate."
        )
