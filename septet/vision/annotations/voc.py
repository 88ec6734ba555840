"""Boxes of Pascal VOC: an XML file for each picture.

XML with a document type is refused: that is where expanding entities and files from
elsewhere come in, and no annotation has one.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers import expat

from septet.data.account import Account, Rejection
from septet.errors import DataError
from septet.vision.annotations.found import (
    BAD_BOX,
    Box,
    Complaints,
    Item,
    Labelled,
    number_of,
    picture_path,
    read_text,
    reject_picture,
)
from septet.vision.sources import shown

WHAT = "a Pascal VOC annotation in XML"
MOST_BYTES = 16 << 20
MOST_DEPTH = 32
LONGEST_LABEL = 1000
SETS = {"train": "train", "val": "validation", "test": "test"}
TAGS = ("xmin", "ymin", "xmax", "ymax")


class VocError(Exception):
    """A file that is no annotation; says why."""


@dataclass
class Parsed:
    """What one file says: text of the tags that count."""

    filename: str = ""
    size: dict[str, str] = field(default_factory=dict)
    things: list[dict[str, str]] = field(default_factory=list)


def parse(text: str) -> Parsed:
    """The content of one annotation.

    Raises:
        VocError: It is no XML, has a document type, or is nested too deeply.
    """
    parsed, path = Parsed(), list[str]()
    words: list[str] = []

    def start(tag: str, _: Any) -> None:
        path.append(tag)
        words.clear()
        if len(path) > MOST_DEPTH:
            raise VocError(f"it is nested more than {MOST_DEPTH} levels deep")
        if path == ["annotation", "object"]:
            parsed.things.append({})

    def end(tag: str) -> None:
        value = "".join(words).strip()
        words.clear()
        if path == ["annotation", "filename"]:
            parsed.filename = value
        elif path[:-1] == ["annotation", "size"]:
            parsed.size[tag] = value
        elif path[:-1] in (["annotation", "object"], ["annotation", "object", "bndbox"]):
            parsed.things[-1].setdefault(tag, value)
        path.pop()

    def refuse(*_: Any) -> None:
        raise VocError("it has a document type (DOCTYPE), which no annotation needs")

    reader = expat.ParserCreate()
    reader.StartElementHandler, reader.EndElementHandler = start, end
    reader.CharacterDataHandler = words.append
    reader.StartDoctypeDeclHandler = refuse
    reader.EntityDeclHandler = refuse
    try:
        reader.Parse(text.encode(), True)
    except expat.ExpatError as error:
        raise VocError(f"it is no XML ({error})") from None
    return parsed


def files_in(folder: Path) -> list[Path]:
    """The XML files of a folder: in `Annotations`, in folders of splits, or loose."""
    for pattern in ("Annotations/*.xml", "annotations/*.xml", "*/*.xml", "*.xml"):
        found = sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))
        if found:
            return found
    return []


def read_voc(files: list[Path], root: Path, account: Account) -> Labelled:
    """Pictures and boxes of some files; splits as `ImageSets/Main` or the folders' names say."""
    complaints, labelled = Complaints(account), Labelled()
    real, sets = os.path.realpath(root), listed(root, "Main")
    for file in files:
        name = shown(os.path.relpath(file, root))
        try:
            text = read_text(file, WHAT)
            if len(text) > MOST_BYTES:
                raise VocError(f"it has over {MOST_BYTES >> 20} million characters")
            parsed = parse(text)
        except (VocError, DataError) as error:
            account.read += 1
            reason = f"The annotation cannot be read: {error}."
            account.rejections.append(
                Rejection("bad-annotation", name, None, reason, "Write it again or remove it.")
            )
            continue
        folders = [str(file.parent), str(root / "JPEGImages"), str(root / "images"), str(root)]
        path, problem = picture_path(parsed.filename, folders, real)
        if problem == "missing-file":
            path, problem = _beside(file, folders, real)
        if problem:
            reject_picture(account, problem, (name, None), parsed.filename)
            continue
        account.read += 1
        split = sets.get(file.stem) if sets else SETS.get(_folder_word(file, root))
        boxes = _boxes(parsed, name, complaints)
        height, width = (number_of(parsed.size.get(tag, "")) for tag in ("height", "width"))
        size = (int(height), int(width)) if height and width else None
        labelled.items.append(Item(shown(os.path.relpath(path, real)), path, split, boxes, size))
    complaints.close()
    return labelled


def _beside(file: Path, folders: list[str], root: str) -> tuple[str, str | None]:
    """The picture of the annotation's own name."""
    for suffix in (".jpg", ".jpeg", ".png", ".JPG", ".bmp", ".webp"):
        path, problem = picture_path(file.stem + suffix, folders, root)
        if not problem:
            return path, None
    return "", "missing-file"


def _folder_word(file: Path, root: Path) -> str:
    word = os.path.relpath(file, root).split(os.sep)[0].casefold()
    return {"valid": "val", "validation": "val"}.get(word, word)


def listed(root: Path, kind: str) -> dict[str, str]:
    """Split of each picture's name, as the lists in `ImageSets` say; empty where there are none.

    Args:
        root: Of the set.
        kind: Of the lists: "Main" for boxes, "Segmentation" for masks.
    """
    found: dict[str, str] = {}
    for word, split in SETS.items():
        path = root / "ImageSets" / kind / f"{word}.txt"
        if path.is_file():
            for line in read_text(path, "a list of names").splitlines():
                if line.split():
                    found[line.split()[0]] = split
    return found


def _boxes(parsed: Parsed, name: str, complaints: Complaints) -> list[Box]:
    boxes = []
    for place, thing in enumerate(parsed.things, 1):
        where = f"{name}: object {place}"
        label = thing.get("name", "")
        sides = [number_of(thing.get(tag, "")) for tag in TAGS]
        left, top, right, bottom = sides
        if not label:
            complaints.add("unknown-class", where, "It has no name.", "Name its class.")
        elif len(label) > LONGEST_LABEL:
            message = f"Its name has {len(label)} characters, and begins '{label[:40]}'."
            complaints.add("unknown-class", where, message, "Name its class in a few words.")
        elif left is None or top is None or right is None or bottom is None:
            told = ", ".join(f"{tag}={thing.get(tag, 'absent')[:20]}" for tag in TAGS)
            complaints.add(BAD_BOX[0], where, f"Its box ({told}) is no box.", BAD_BOX[1])
        else:
            # Counted from 1, with the last pixel inside.
            boxes.append(Box(label, (left - 1, top - 1, right, bottom), where))
    return boxes
