"""Which picture files a data set has, with label and split: folders and lists of paths.

Opens nothing but lists and, to recognise files by content, first bytes. Nothing outside
the data set's own folder is ever opened. Decoding is `septet/vision/decoding.py`.
"""

import csv
import os
import stat
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from septet.data.account import Account, Rejection
from septet.errors import DataError
from septet.vision.worker import EXTENSIONS, FORMATS

SPLIT_NAMES: Mapping[str, str] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
MOST_TOLD = 20
"""Columns in a message, and half the characters of each."""
JUNK = frozenset({"thumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin", "icon\r"})
OTHER_PICTURES = frozenset(
    ".avif .heic .heif .svg .svgz .eps .ps .pdf .fits .fit .fts .psd .jp2 .j2k .jxl .ico .tga "
    ".ppm .pgm .pbm .exr .hdr .dcm .cr2 .nef .arw .dng .raw .xcf .ai".split()
)
SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"II*\x00", b"MM\x00*")
PATH_COLUMNS = ("path", "file", "filename", "file_name", "filepath", "file_path", "image")
PATH_COLUMNS += ("image_path", "image_id", "picture", "img", "name", "video", "video_path", "clip")
LABEL_COLUMNS = ("label", "class", "target", "category", "class_name", "y")
SPLIT_COLUMNS = ("split", "subset", "set", "partition")


@dataclass(frozen=True)
class Example:
    """One picture file that belongs to the set.

    Args:
        file: Its path within the set, or the list it stands in, as text.
        line: Line of the list, from 1; None for folders.
        path: What to open; never a link, always inside the set's folder.
        label: Its class.
        split: "train", "validation", "test", or None where the set does not say.
    """

    file: str
    line: int | None
    path: str
    label: str
    split: str | None

    @property
    def place(self) -> str:
        """Where it is, for a person: "cats/a.png" or "labels.csv:17"."""
        return self.file if self.line is None else f"{self.file}:{self.line}"


@dataclass
class Found:
    """Examples in a fixed order, and the class folders as (place, label)."""

    examples: list[Example] = field(default_factory=list)
    folders: list[tuple[str, str]] = field(default_factory=list)


def shown(path: str) -> str:
    """`path` as clean text: undecodable bytes escaped."""
    return path.encode("utf-8", "backslashreplace").decode()


def is_inside(path: str, root: str) -> bool:
    """Whether the resolved `path` lies in the resolved folder `root`."""
    return path.startswith(root.rstrip(os.sep) + os.sep)


def reject(account: Account, code: str, example: tuple[str, int | None], *texts: str) -> None:
    """Count one example as read and rejected; `texts` are reason and remedy."""
    account.read += 1
    account.rejections.append(Rejection(code, *example, *texts))


class FolderReader:
    """Reads one folder of class folders into `found`, saying into `account` what it left out."""

    def __init__(self, root: Path, account: Account, *, labels_optional: bool = False):
        """Nothing is read yet; `root` itself may be a link.

        With `labels_optional`, a folder that has pictures of its own is one class with all
        that lies below it.
        """
        self.labels_optional = labels_optional
        self.root = os.path.realpath(root)
        self.account = account
        self.found = Found()

    def read(self) -> Found:
        """Find all pictures.

        Raises:
            DataError: The folder cannot be listed.
        """
        folders, files = self._list(self.root)
        has_pictures = any(os.path.splitext(name)[1].lower() in EXTENSIONS for name in files)
        if self.labels_optional and has_pictures:
            self._read_class(self.root, None)
            return self.found
        splits = {name: SPLIT_NAMES.get(name.casefold()) for name in folders}
        has_splits = "train" in splits.values()
        for name, split in splits.items():
            if has_splits and split is None:
                self.account.warn(
                    "extra-folder",
                    shown(name),
                    f"The folder '{shown(name)}' beside the train folder was not read.",
                    "Move its pictures into train, validation or test, or remove it.",
                )
            elif has_splits:
                self._read_split(os.path.join(self.root, name), split)
            else:
                self._read_class(os.path.join(self.root, name), None)
        self._refuse_loose(self.root, files)
        return self.found

    def _read_split(self, folder: str, split: str | None) -> None:
        classes, files = self._list(folder)
        for name in classes:
            self._read_class(os.path.join(folder, name), split)
        self._refuse_loose(folder, files)

    def _refuse_loose(self, folder: str, files: list[str]) -> None:
        for name in files:
            if os.path.splitext(name)[1].lower() in EXTENSIONS:
                reject(
                    self.account,
                    "no-class-folder",
                    (self._place(os.path.join(folder, name)), None),
                    "The picture lies beside the class folders, so it has no label.",
                    "Move it into the folder of its class.",
                )

    def _read_class(self, folder: str, split: str | None) -> None:
        label = unicodedata.normalize("NFC", shown(os.path.basename(folder)))
        self.found.folders.append((self._place(folder), label))
        self._read_pictures(folder, label, split)

    def _read_pictures(self, folder: str, label: str, split: str | None) -> None:
        nested, files = self._list(folder)
        for name in files:
            self._consider(os.path.join(folder, name), label, split)
        for name in nested:
            path = os.path.join(folder, name)
            if os.path.splitext(name)[1].lower() in EXTENSIONS:
                place = (self._place(path), None)
                texts = "It is a folder named like a picture.", "Rename or remove it."
                reject(self.account, "not-a-file", place, *texts)
                continue
            self.account.warn(
                "nested-folder",
                self._place(path),
                f"Pictures in this folder inside a class folder count as class '{label}'.",
                "Move them up, or move the folder beside the class folders if it is a class.",
            )
            self._read_pictures(path, label, split)

    def _list(self, folder: str) -> tuple[list[str], list[str]]:
        """Names of folders and of everything else, sorted, without hidden ones."""
        try:
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda entry: os.fsencode(entry.name))
        except OSError as error:
            message = f"The folder cannot be listed ({error.strerror})."
            if folder == self.root:
                raise DataError(f"'{shown(folder)}': {message}") from None
            remedy = "Allow reading it, as with chmod +rx."
            self.account.warn("unreadable-folder", self._place(folder), message, remedy)
            return [], []
        folders, files = [], []
        for entry in found:
            is_folder = entry.is_dir(follow_symlinks=False)
            if self._is_hidden(entry, is_folder) or self._is_linked_folder(entry):
                continue
            (folders if is_folder else files).append(entry.name)
        return folders, files

    def _is_hidden(self, entry: os.DirEntry[str], is_folder: bool) -> bool:
        if not (entry.name.startswith(".") or entry.name.casefold() in JUNK):
            return False
        place = self._place(entry.path)
        if is_folder:
            message = "A hidden or system folder is no class; its files were not read."
            self.account.warn("hidden-folder", place, message, "Remove it, or rename it if it is.")
        else:
            self.account.warn("hidden-file", place, "A hidden or system file is no picture.", "")
        return True

    def _is_linked_folder(self, entry: os.DirEntry[str]) -> bool:
        if not (entry.is_symlink() and entry.is_dir()):
            return False
        message = "Links to folders are not followed; its files were not read."
        remedy = "Put the folder itself there."
        self.account.warn("linked-folder", self._place(entry.path), message, remedy)
        return True

    def _place(self, path: str) -> str:
        return shown(os.path.relpath(path, self.root)).replace(os.sep, "/")

    def _consider(self, path: str, label: str, split: str | None) -> None:
        """Take a file of a class folder as an example, reject it, or say what it is."""
        place = self._place(path)
        suffix = os.path.splitext(path)[1].lower()
        problem = problem_of(path, self.root)
        if problem and (suffix in EXTENSIONS or problem[0] != "not-a-file"):
            reject(self.account, problem[0], (place, None), *problem[1:])
        elif suffix in EXTENSIONS or (not problem and _looks_like_picture(path)):
            self.account.read += 1
            self.found.examples.append(Example(place, None, os.path.realpath(path), label, split))
        elif suffix in OTHER_PICTURES:
            reason = f"The format {suffix} is not read; only {', '.join(FORMATS)} are."
            remedy = "Save it as PNG or JPEG."
            reject(self.account, "unsupported-format", (place, None), reason, remedy)
        else:
            message = "This file in a class folder is no picture and was not read."
            self.account.warn("not-a-picture", place, message, "Move it elsewhere.")


def problem_of(path: str, root: str) -> tuple[str, str, str] | None:
    """Code, reason and remedy when `path` is not a regular file inside `root`."""
    real = os.path.realpath(path)
    if not is_inside(real, root):
        reason = "It is a link to something outside the data folder."
        return "outside-folder", reason, "Copy the file itself into the data folder."
    try:
        mode = os.stat(real).st_mode
    except OSError as error:
        return "missing-file", f"It cannot be found ({error.strerror}).", "Mend or remove the link."
    if not stat.S_ISREG(mode):
        return "not-a-file", "It is a pipe, socket or device and no file.", "Remove it."
    return None


def _looks_like_picture(path: str) -> bool:
    """Whether the first bytes are those of an allowed format; for unknown extensions."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        handle = os.open(os.path.realpath(path), flags | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return False
    with os.fdopen(handle, "rb") as file:
        start = file.read(16)
    is_webp = start.startswith(b"RIFF") and start[8:12] == b"WEBP"
    is_text = start[:2] == b"BM" and all(32 <= byte < 127 for byte in start)
    return is_webp or (start.startswith(SIGNATURES) and not is_text)


@dataclass(frozen=True)
class Columns:
    """Numbers of the columns of a list, from 0; `split` may be None."""

    path: int
    label: int
    split: int | None


def read_list(
    source: Path, account: Account, names: Mapping[str, str | None], delimiter: str
) -> Found:
    """Examples listed in a CSV or TSV file with a header line; paths are relative to it.

    Args:
        source: The list.
        account: Gets what is rejected.
        names: Columns the user named: "path", "label", "split"; None to guess.
        delimiter: Between fields.

    Raises:
        DataError: It cannot be read as text, or a column is not found.
    """
    found = Found()
    root = os.path.realpath(source.resolve().parent)
    rows = _rows(source, delimiter)
    _, header = next(rows, (0, []))
    columns = _find_columns(source, header, names, account)
    for line, row in rows:
        if not row:
            continue
        place = (shown(source.name), line)
        if len(row) != len(header):
            reason = f"The line has {len(row)} fields; the header has {len(header)}."
            reject(account, "bad-row", place, reason, "Mend the line; quote fields with commas.")
            continue
        label = unicodedata.normalize("NFC", row[columns.label].strip())
        split = "" if columns.split is None else row[columns.split].strip()
        problem = _row_problem(row[columns.path], label, split, columns.split is not None, root)
        if problem:
            reject(account, problem[0], place, *problem[1:])
            continue
        account.read += 1
        path = os.path.realpath(os.path.join(root, row[columns.path].strip()))
        kind = None if columns.split is None else SPLIT_NAMES[split.casefold()]
        found.examples.append(Example(*place, path, label, kind))
    return found


def _rows(source: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Line number and fields of each row."""
    line = 0
    try:
        with source.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            for row in reader:
                line = reader.line_num
                yield line, row
    except UnicodeDecodeError:
        raise DataError(f"'{source.name}' is not UTF-8 text. Save it as UTF-8.") from None
    except (csv.Error, OSError) as error:
        raise DataError(f"'{source.name}' cannot be read after line {line}: {error}.") from None


def _find_columns(
    source: Path, header: Sequence[str], names: Mapping[str, str | None], account: Account
) -> Columns:
    fields = [name.strip() for name in header]
    path = _column(source, fields, names["path"], PATH_COLUMNS, "path")
    label = _column(source, fields, names["label"], LABEL_COLUMNS, "label")
    split = _column(source, fields, names["split"], SPLIT_COLUMNS, "split")
    if len(fields) == 2 and path is None and label != 0:
        path = 0
    if len(fields) == 2 and label is None and path is not None:
        label = 1 - path
    for kind, place in (("path", path), ("label", label)):
        if place is None:
            raise DataError(
                f"'{source.name}' has the columns {_told(fields)}; which has the {kind}? Say it "
                f"with --set data.{kind}_column=NAME."
            )
    assert path is not None
    assert label is not None
    if path == label:
        raise DataError(f"'{source.name}': path and label cannot both be '{fields[path]}'.")
    if names["path"] is None or names["label"] is None:
        message = f"Paths are taken from column '{fields[path]}', labels from '{fields[label]}'."
        account.note("columns", source.name, message, "")
    return Columns(path, label, split)


def _told(fields: Sequence[str]) -> str:
    """The first few names of columns, without control characters."""
    names = [repr(name[: 2 * MOST_TOLD])[1:-1] for name in fields[:MOST_TOLD]]
    return ", ".join(names)[:300] + (" ..." if len(fields) > MOST_TOLD else "") or "none"


def _column(
    source: Path, fields: Sequence[str], name: str | None, usual: Sequence[str], kind: str
) -> int | None:
    if name is not None:
        if name not in fields:
            raise DataError(
                f"'{source.name}' has no column '{name}' (data.{kind}_column); it has: "
                f"{', '.join(fields)}."
            )
        return fields.index(name)
    lowered = [field.casefold() for field in fields]
    return next((lowered.index(word) for word in usual if word in lowered), None)


def _row_problem(
    path: str, label: str, split: str, has_split: bool, root: str
) -> tuple[str, str, str] | None:
    """Code, reason and remedy when a row of a list cannot be used."""
    path = path.strip()
    if not path or "\x00" in path:
        return "missing-path", "The path is empty.", "Fill it in or remove the row."
    if not label:
        return "missing-label", "The label is empty.", "Fill it in or remove the row."
    if has_split and split.casefold() not in SPLIT_NAMES:
        reason = f"The split is '{split}'; expected train, validation or test."
        return "unknown-split", reason, "Mend it or remove the row."
    parts = path.replace("\\", "/").split("/")
    is_absolute = os.path.isabs(path) or path.startswith("\\") or parts[0].endswith(":")
    if is_absolute or ".." in parts or not is_inside(os.path.realpath(f"{root}/{path}"), root):
        reason = f"The path '{shown(path)[:200]}' leaves the folder of the list."
        return "outside-folder", reason, "Put the picture beside the list, with a relative path."
    return None
