"""Boxes of YOLO: a text file for each picture, and a YAML file with the classes.

Of YAML only what such files use is read: names and lists of plain values. Nothing in a file
is ever made into an object.
"""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from septet.data.account import Account
from septet.errors import DataError
from septet.vision.annotations.found import (
    BAD_BOX,
    UNKNOWN_CLASS,
    Box,
    Complaints,
    Item,
    Labelled,
    number_of,
    read_text,
    reject_picture,
)
from septet.vision.sources import is_inside, shown
from septet.vision.worker import EXTENSIONS

WHAT = "a YAML file with 'names' and paths, as data.yaml of YOLO"
SPLITS = {"train": "train", "val": "validation", "valid": "validation", "test": "test"}
USUAL = ("data", "dataset")
FIELDS = 5
CORNERS = 6
"""A polygon has at least three."""

Value = str | list[str] | dict[str, str]


def yaml_in(folder: Path) -> Path | None:
    """The YAML file of a folder that names classes, if there is one; data.yaml first."""
    found = sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])
    found = [path for path in found if path.stem in USUAL or _names_classes(path)]
    usual = [path for path in found if path.stem in USUAL]
    return (usual or found or [None])[0]


def _names_classes(path: Path) -> bool:
    try:
        return re.search(r"^names\s*:", read_text(path, WHAT), re.MULTILINE) is not None
    except DataError:
        return False


def parse_yaml(text: str, name: str) -> dict[str, Value]:
    """Top-level names with plain values, lists (in either notation) or numbered names.

    Raises:
        DataError: A line is of another kind, or the file has no names.
    """
    found: dict[str, Value] = {}
    key = ""
    for number, line in enumerate(text.splitlines(), 1):
        bare = _without_comment(line)
        if not bare.strip() or bare.strip() in ("---", "..."):
            continue
        is_inner = bare[0] in " \t-"
        words = bare.strip()
        if is_inner and key and words.startswith("- "):
            value = found[key]
            if not isinstance(value, list):
                value = found[key] = []
            value.append(_plain(words[2:]))
        elif is_inner and key and ":" in words and not isinstance(found[key], list):
            inner, _, rest = words.partition(":")
            value = found[key]
            if not isinstance(value, dict):
                value = found[key] = {}
            value[_plain(inner)] = _plain(rest)
        elif not is_inner and ":" in words:
            key, _, rest = words.partition(":")
            key = _plain(key)
            found[key] = _inline(rest.strip())
        elif is_inner and key and isinstance(found[key], str) and words.strip("[], "):
            raise DataError(
                f"'{name}', line {number}: '{words[:60]}' is not understood. Expected {WHAT}."
            )
        elif not is_inner:
            raise DataError(
                f"'{name}', line {number}: '{words[:60]}' is not understood. Expected {WHAT}."
            )
    return found


def _without_comment(line: str) -> str:
    quote = ""
    for place, char in enumerate(line):
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char == "#" and (place == 0 or line[place - 1] in " \t"):
            return line[:place].rstrip()
    return line.rstrip()


def _plain(text: str) -> str:
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text


def _inline(text: str) -> Value:
    if text.startswith("[") and text.endswith("]"):
        return [_plain(part) for part in text[1:-1].split(",") if part.strip()]
    if text.startswith("{") and text.endswith("}"):
        pairs = [part.partition(":") for part in text[1:-1].split(",") if part.strip()]
        return {_plain(key): _plain(value) for key, _, value in pairs}
    return _plain(text)


def class_names(found: dict[str, Value], name: str) -> list[str]:
    """The classes in order of their numbers.

    Raises:
        DataError: There are none, or numbers are missing.
    """
    names = found.get("names")
    if isinstance(names, dict):
        try:
            numbered = {int(key): value for key, value in names.items()}
        except ValueError:
            numbered = {}
        if sorted(numbered) != list(range(len(names))):
            told = ", ".join(list(names)[:8])[:80]
            raise DataError(f"'{name}' numbers its names {told}; expected 0, 1, 2 ...")
        names = [numbered[number] for number in range(len(numbered))]
    if not isinstance(names, list) or not names or not all(names):
        raise DataError(f"'{name}' has no list 'names' of classes. Expected {WHAT}.")
    if len(set(names)) < len(names):
        raise DataError(f"'{name}' names a class twice. Give each number a name of its own.")
    return [label[:1000] for label in names]


def read_yolo(source: Path, account: Account) -> Labelled:
    """Pictures and boxes of a YAML file and the folders or lists of pictures that it names.

    Raises:
        DataError: The YAML is not understood, or nothing that it names is there.
    """
    found = parse_yaml(read_text(source, WHAT), shown(source.name))
    names = class_names(found, shown(source.name))
    reader = YoloReader(source.parent, names, account)
    reader.read_all(found, shown(source.name))
    return reader.labelled


class YoloReader:
    """Reads pictures of folders or lists; labels lie in a folder `labels`, or beside them."""

    def __init__(self, root: Path, names: list[str], account: Account):
        """Nothing is read yet."""
        self.root, self.names, self.account = os.path.realpath(root), names, account
        self.labelled = Labelled(classes=list(names))
        self.complaints = Complaints(account)

    def read_all(self, found: Mapping[str, Value], name: str) -> None:
        """All that a YAML names.

        Raises:
            DataError: Nothing of it is there.
        """
        before = self.account.read + len(self.account.rejections)
        for key, split in SPLITS.items():
            paths = found.get(key, [])
            for path in [paths] if isinstance(paths, str) else paths:
                if path:
                    place = self._inside(found.get("path"), path)
                    self.read_place(Path(place) if place else None, split, path)
        if self.account.read + len(self.account.rejections) == before:
            raise DataError(
                f"'{name}' names no pictures that are there. Its 'train', 'val' and 'test' are "
                "folders, or text files with a picture a line, inside the folder that it lies in."
            )
        self.complaints.close()

    def _inside(self, base: Value | None, path: str) -> str | None:
        """What a YAML names, inside the set's own folder; None where it is not there."""
        tries = [path, path.removeprefix("../")]
        if isinstance(base, str) and base:
            tries.insert(0, os.path.join(base, path))
        return self._first_inside(self.root, tries)

    def _first_inside(self, folder: str, tries: Sequence[str]) -> str | None:
        for each in tries:
            if "\x00" in each:
                continue
            place = os.path.realpath(os.path.join(folder, each))
            if os.path.exists(place) and is_inside(place, self.root):
                return place
        return None

    def read_place(self, place: Path | None, split: str, name: str) -> None:
        """All pictures of a folder, or of a text file that has one a line, with their labels."""
        if place is None:
            message = f"'{shown(name)[:200]}' of {split} is not inside the set's folder."
            remedy = "Mend the path, or put the folder there."
            self.account.warn("missing-folder", split, message, remedy)
            return
        if place.is_file():
            pictures = self._listed(place)
        else:
            pictures = [
                path
                for path in sorted(place.rglob("*"))
                if path.suffix.lower() in EXTENSIONS and not path.name.startswith(".")
            ]
        taken = set()
        for path in pictures:
            taken.add(self._labels(path))
            self._take(path, split)
        if place.is_dir():
            self._orphans(place, taken)

    def _listed(self, file: Path) -> list[Path]:
        """The pictures of a list, by paths relative to it or to the set; others are rejected."""
        found = []
        where = shown(os.path.relpath(file, self.root))
        text = read_text(file, "a text file with the path of a picture a line")
        for number, line in enumerate(text.splitlines(), 1):
            name = line.strip()
            if not name:
                continue
            tries = [os.path.join(folder, name) for folder in (str(file.parent), self.root)]
            place = self._first_inside(self.root, tries)
            if place is None or not os.path.isfile(place):
                is_there = any(os.path.exists(each) for each in tries if "\x00" not in each)
                code = "outside-folder" if is_there else "missing-file"
                reject_picture(self.account, code, (where, number), name)
                continue
            # Not the resolved path: a picture's labels lie beside the name that it is called by.
            found.append(Path(next(t for t in tries if os.path.isfile(t))))
        return found

    def _take(self, path: Path, split: str) -> None:
        real, place = os.path.realpath(path), shown(os.path.relpath(path, self.root))
        if not is_inside(real, self.root):
            reject_picture(self.account, "outside-folder", (place, None), path.name)
            return
        self.account.read += 1
        labels = self._labels(path)
        if not labels.is_file():
            message = "The picture has no file of labels; it counts as showing nothing."
            remedy = "Add an empty file if it shows nothing, or label it."
            self.complaints.add("picture-without-labels", place, message, remedy)
        self._add(place, real, split, labels)

    def _add(self, place: str, path: str, split: str, labels: Path) -> None:
        """Take a picture with what its file of labels says, which need not be there."""
        boxes = self._boxes(labels) if labels.is_file() else []
        self.labelled.items.append(Item(place, path, split, boxes))

    def _labels(self, picture: Path) -> Path:
        """The file of a picture's labels: in `labels` beside `images`, else beside it."""
        parts = list(picture.with_suffix(".txt").parts)
        for place in range(len(parts) - 2, -1, -1):
            if parts[place] == "images":
                parts[place] = "labels"
                return Path(*parts)
        return picture.with_suffix(".txt")

    def _orphans(self, folder: Path, taken: set[Path]) -> None:
        for home in {path.parent for path in taken} or {folder}:
            for path in sorted(home.glob("*.txt")) if home.is_dir() else []:
                if path not in taken and path.name not in ("classes.txt", "README.txt"):
                    message = "The labels have no picture of their name."
                    where = shown(os.path.relpath(path, self.root))
                    remedy = "Put the picture there, or remove the labels."
                    self.complaints.add("labels-without-picture", where, message, remedy)

    def _boxes(self, path: Path) -> list[Box]:
        name = shown(os.path.relpath(path, self.root))
        boxes = []
        try:
            lines = read_text(path, "lines of class, x, y, width and height").splitlines()
        except DataError as error:
            self.complaints.add(BAD_BOX[0], name, str(error), "Write the file again.")
            return []
        for number, line in enumerate(lines, 1):
            words = line.split()
            if words:
                box = self._box(words, f"{name}:{number}")
                boxes += [box] if box else []
        return boxes

    def _box(self, words: list[str], where: str) -> Box | None:
        numbers = [number_of(word) for word in words]
        values = [number for number in numbers if number is not None]
        is_polygon = len(words) > CORNERS and len(words) % 2 == 1
        if len(values) < len(words) or not (len(words) == FIELDS or is_polygon):
            message = f"'{' '.join(words)[:80]}' is not class, x, y, width and height."
            self.complaints.add(BAD_BOX[0], where, message, BAD_BOX[1])
            return None
        label = values[0]
        if label != int(label) or not 0 <= label < len(self.names):
            message = f"The class {words[0][:20]} is none of 0 to {len(self.names) - 1}."
            self.complaints.add(UNKNOWN_CLASS[0], where, message, UNKNOWN_CLASS[1])
            return None
        if is_polygon:
            x, y = values[1::2], values[2::2]
            sides = (min(x), min(y), max(x), max(y))
        else:
            _, x, y, width, height = values
            sides = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        return Box(self.names[int(label)], sides, where, is_share=True)
