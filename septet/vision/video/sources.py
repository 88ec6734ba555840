"""Which videos a data set has, with label and split: folders of files and of folders of frames.

Opens nothing but lists and, to recognise files by content, first bytes. Nothing outside the data
set's own folder is ever opened. Decoding is `septet/vision/video/decoding.py`.
"""

import os
import unicodedata
from itertools import pairwise
from pathlib import Path

from septet.data.account import Account
from septet.errors import DataError
from septet.vision.sources import (
    JUNK,
    SPLIT_NAMES,
    Example,
    Found,
    problem_of,
    reject,
    shown,
)
from septet.vision.video.containers import FORMATS, kind_of
from septet.vision.video.worker import is_frame

EXTENSIONS = {
    ".mp4": "mov",
    ".m4v": "mov",
    ".mov": "mov",
    ".qt": "mov",
    ".webm": "matroska",
    ".mkv": "matroska",
    ".gif": "gif",
    ".avi": "avi",
}
OTHER_VIDEOS = frozenset(
    ".wmv .asf .flv .mpg .mpeg .mpe .m2v .vob .m2ts .mts .ts .3gp .3g2 .ogv .ogm .rm .rmvb .f4v "
    ".divx .mxf .dv .m3u8 .mpd .swf".split()
)


class VideoFolderReader:
    """Reads a folder of class folders into `found`, saying into `account` what it left out.

    A class folder has video files, and folders of pictures, each of which is one video.
    """

    def __init__(self, root: Path, account: Account):
        """Nothing is read yet; `root` itself may be a link."""
        self.root = os.path.realpath(root)
        self.account = account
        self.found = Found()

    def read(self) -> Found:
        """Find all videos.

        Raises:
            DataError: The folder cannot be listed.
        """
        folders, files = self._list(self.root)
        splits = {name: SPLIT_NAMES.get(name.casefold()) for name in folders}
        has_splits = "train" in splits.values()
        for name, split in splits.items():
            path = os.path.join(self.root, name)
            if has_splits and split is None:
                self.account.warn(
                    "extra-folder",
                    shown(name),
                    f"The folder '{shown(name)}' beside the train folder was not read.",
                    "Move its videos into train, validation or test, or remove it.",
                )
            elif has_splits:
                classes, loose = self._list(path)
                for each in classes:
                    self._read_class(os.path.join(path, each), split)
                self._refuse_loose(path, loose)
            else:
                self._read_class(path, None)
        self._refuse_loose(self.root, files)
        return self.found

    def _refuse_loose(self, folder: str, files: list[str]) -> None:
        for name in files:
            if os.path.splitext(name)[1].lower() in EXTENSIONS:
                place = (self._place(os.path.join(folder, name)), None)
                reason = "The video lies beside the class folders, so it has no label."
                remedy = "Move it into the folder of its class."
                reject(self.account, "no-class-folder", place, reason, remedy)

    def _read_class(self, folder: str, split: str | None) -> None:
        label = unicodedata.normalize("NFC", shown(os.path.basename(folder)))
        self.found.folders.append((self._place(folder), label))
        self._read_videos(folder, label, split)

    def _read_videos(self, folder: str, label: str, split: str | None) -> None:
        nested, files = self._list(folder)
        loose = [name for name in files if is_frame(name)]
        if loose:
            self.account.warn(
                "loose-frames",
                self._place(folder),
                f"{len(loose)} pictures lie beside the videos of class '{label}'; not read.",
                "Put the frames of each video into a folder of their own.",
            )
        for name in files:
            if not is_frame(name):
                self._consider(os.path.join(folder, name), label, split)
        for name in nested:
            path = os.path.join(folder, name)
            place = self._place(path)
            inside, pictures = self._list(path)
            if any(is_frame(each) for each in pictures):
                self._take(place, path, label, split)
                self._check_numbers(place, pictures)
            elif not inside and not pictures:
                texts = "The folder has no frames.", "Add its frames or remove it."
                reject(self.account, "no-frames", (place, None), *texts)
            else:
                self.account.warn(
                    "nested-folder",
                    place,
                    f"Videos in this folder inside a class folder count as class '{label}'.",
                    "Move them up, or move the folder beside the class folders if it is a class.",
                )
                self._read_videos(path, label, split)

    def _take(self, place: str, path: str, label: str, split: str | None) -> None:
        self.account.read += 1
        self.found.examples.append(Example(place, None, os.path.realpath(path), label, split))

    def _check_numbers(self, place: str, names: list[str]) -> None:
        """Say where numbered frames have gaps."""
        stems = [os.path.splitext(name)[0] for name in names if is_frame(name)]
        tails = [stem[len(stem.rstrip("0123456789")) :] for stem in stems]
        if not all(tails) or len(tails) < 2 or any(len(tail) > 12 for tail in tails):
            return
        numbers = sorted({int(tail) for tail in tails})
        missing = numbers[-1] - numbers[0] + 1 - len(numbers)
        steps = {later - one for one, later in pairwise(numbers)}
        if missing and len(numbers) == len(tails) and 1 in steps:
            gap = next(n for n, m in pairwise(numbers) if m > n + 1) + 1
            self.account.warn(
                "missing-frames",
                place,
                f"{missing} numbers are missing between its frames, first {gap}. It was used.",
                "Add the frames, or number them without gaps.",
            )

    def _consider(self, path: str, label: str, split: str | None) -> None:
        """Take a file of a class folder as an example, reject it, or say what it is."""
        place = self._place(path)
        suffix = os.path.splitext(path)[1].lower()
        problem = problem_of(path, self.root)
        if problem and (suffix in EXTENSIONS or problem[0] != "not-a-file"):
            reject(self.account, problem[0], (place, None), *problem[1:])
        elif suffix in EXTENSIONS or (not problem and first_kind(path) is not None):
            self._take(place, path, label, split)
        elif suffix in OTHER_VIDEOS:
            reason = f"The format {suffix} is not read; only {', '.join(FORMATS.values())} are."
            remedy = "Save it as MP4, as with: ffmpeg -i OLD new.mp4"
            reject(self.account, "unsupported-format", (place, None), reason, remedy)
        else:
            message = "This file in a class folder is no video and was not read."
            self.account.warn("not-a-video", place, message, "Move it elsewhere.")

    def _list(self, folder: str) -> tuple[list[str], list[str]]:
        """Names of folders and of everything else, sorted, without hidden ones and links."""
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
            if entry.name.startswith(".") or entry.name.casefold() in JUNK:
                self._say_hidden(entry, is_folder)
            elif entry.is_symlink() and entry.is_dir():
                message = "Links to folders are not followed; its files were not read."
                remedy = "Put the folder itself there."
                self.account.warn("linked-folder", self._place(entry.path), message, remedy)
            else:
                (folders if is_folder else files).append(entry.name)
        return folders, files

    def _say_hidden(self, entry: os.DirEntry[str], is_folder: bool) -> None:
        what = "folder is no class; its files were" if is_folder else "file is no video and was"
        code = "hidden-folder" if is_folder else "hidden-file"
        message = f"A hidden or system {what} not read."
        self.account.warn(code, self._place(entry.path), message, "")

    def _place(self, path: str) -> str:
        return shown(os.path.relpath(path, self.root)).replace(os.sep, "/")


def first_kind(path: str) -> str | None:
    """The container that the first bytes of a file are of; for unknown extensions."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        handle = os.open(os.path.realpath(path), flags | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return None
    with os.fdopen(handle, "rb") as file:
        return kind_of(file.read(16))
