"""Plain text as it lies on disk: a file, a folder or a pattern becomes documents.

Every file is a document or a rejection with the offset of the byte that is at fault. Knows
nothing of classes or tokens.
"""

import glob
import itertools
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from septet.data.account import Account, Rejection
from septet.data.table_files import MAGIC, reason_of
from septet.errors import DataError

SUFFIXES = frozenset({".txt", ".text", ".md"})
MOST_FILES = 5_000_000
MOST_DEPTH = 16
"""Folders within folders."""

Problem = tuple[str, int | None, str, str]
"""Code, line, reason and remedy of a rejection."""


@dataclass(frozen=True)
class Document:
    """The text of one file; `file` is its name for messages, relative to the source."""

    file: str
    text: str


def find_files(source: str | Path, account: Account) -> list[tuple[Path, str]]:
    """Text files and their names relative to `source`, in a fixed order.

    Raises:
        DataError: There is no such file, or a folder or pattern without any text file.
    """
    path = Path(source)
    try:
        if path.is_dir():
            found = [(file, str(file.relative_to(path))) for file in walk(path, account)]
            if not found:
                raise DataError(
                    f"The folder {shown(path.name)} has no text file. Expected files with the "
                    f"ending {', '.join(sorted(SUFFIXES))}."
                )
            return [(file, shown(name)) for file, name in found]
        if os.path.lexists(path):
            return [(path, shown(path.name))]
    except (OSError, ValueError) as error:
        raise DataError(f"{shown(path.name)} cannot be read: {reason_of(error)}.") from None
    matches = sorted(glob.glob(str(source), recursive=True))
    files = [Path(match) for match in matches if os.path.isfile(match)]
    if not files:
        raise DataError(
            f"'{shown(str(source))}' is no file, folder or pattern that matches a file."
        )
    root = fixed_part(str(source))
    return [(file, shown(os.path.relpath(file, root))) for file in files]


def fixed_part(pattern: str) -> str:
    """The folder of a pattern up to its first part that has a wildcard."""
    parts = Path(pattern).parts
    fixed = list(itertools.takewhile(lambda part: not glob.has_magic(part), parts))
    return os.path.join(*fixed) if fixed else "."


def walk(folder: Path, account: Account) -> list[Path]:
    """Text files in a folder and below, hidden ones left out; what else there is, is noted."""
    found: list[Path] = []
    others: list[str] = []
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if len(Path(place).relative_to(folder).parts) >= MOST_DEPTH:
            folders.clear()
        for name in sorted(files):
            path = Path(place, name)
            if name.startswith("."):
                continue
            if path.suffix.lower() in SUFFIXES:
                found.append(path)
            else:
                others.append(str(path.relative_to(folder)))
        if len(found) > MOST_FILES:
            raise DataError(f"{shown(folder.name)} has more than {MOST_FILES:,} text files.")
    if others:
        account.note(
            "ignored-file",
            shown(others[0]),
            f"{len(others)} files are not used: they have no ending of a text file "
            f"({', '.join(sorted(SUFFIXES))}).",
        )
    return found


def read_document(path: Path, name: str, longest: int) -> Document | Rejection:
    """The text of a file, or why it is none."""
    problem = check_file(path, longest)
    if problem is None:
        try:
            data = path.read_bytes()
        except OSError as error:
            reason = f"It cannot be read: {reason_of(error)}."
            problem = ("unreadable-file", None, reason, "Look at its permissions, or remove it.")
        else:
            decoded = decode(data)
            if isinstance(decoded, str):
                return Document(name, decoded)
            problem = decoded
    code, line, reason, remedy = problem
    return Rejection(code, name, line, reason, remedy)


def check_file(path: Path, longest: int) -> Problem | None:
    """Why a file should not be opened, if it should not."""
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        return "unreadable-file", None, f"It cannot be read: {reason_of(error)}.", "Remove it."
    if not stat.S_ISREG(status.st_mode):
        return "not-a-file", None, "It is not a plain file.", "Remove it."
    if status.st_size > longest:
        reason = f"It has {status.st_size:,} bytes; at most {longest:,} are read."
        return "over-long", None, reason, "Cut it into several files."
    return None


def decode(data: bytes) -> str | Problem:
    """UTF-8 text (a byte-order mark is taken off), or what is wrong with it."""
    for magic, meaning in MAGIC.items():
        if data.startswith(magic):
            return "not-text", None, f"It is no text but {meaning}.", "Save it as UTF-8 text."
    content = data.removeprefix(b"\xef\xbb\xbf")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        place = len(data) - len(content) + error.start
        reason = f"Byte {place} (0x{data[place]:02x}) is not UTF-8."
        return "undecodable-byte", line, reason, "Save the file as UTF-8."
    at = text.find("\x00")
    if at >= 0:
        line = text.count("\n", 0, at) + 1
        return "nul-byte", line, "It holds a NUL byte.", "Remove it; it is no text."
    return text


def shown(name: str) -> str:
    """A file name as text that every output can take, and not too long."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return text if len(text) <= 200 else text[:100] + "..." + text[-97:]
