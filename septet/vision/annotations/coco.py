"""Boxes of COCO JSON files: instances, keypoints' persons and all that is written alike."""

import os
from pathlib import Path
from typing import Any

from septet.data.account import Account
from septet.errors import DataError
from septet.vision.annotations.found import (
    BAD_BOX,
    UNKNOWN_CLASS,
    Box,
    Complaints,
    Item,
    Labelled,
    finite,
    picture_path,
    read_json,
    reject_picture,
)
from septet.vision.sources import shown

WHAT = "COCO JSON: an object with 'images', 'annotations' and 'categories'"
WORDS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
}


def split_of(path: Path) -> str | None:
    """The split that a file's name, or else its folder's, says."""
    for text in (path.stem, path.parent.name):
        for word in "".join(c if c.isalpha() else " " for c in text.casefold()).split():
            if word in WORDS:
                return WORDS[word]
    return None


def files_in(folder: Path) -> list[Path]:
    """The files of COCO JSON that a folder has: in `annotations`, beside pictures, or loose."""
    found: list[Path] = []
    for pattern in ("annotations/*.json", "*/_annotations.coco.json", "*.json"):
        found = sorted(
            p for p in folder.glob(pattern) if not p.name.startswith(".") and p.is_file()
        )
        if found:
            return found
    return found


def read_coco(files: list[Path], root: Path, account: Account) -> Labelled:
    """Pictures and boxes of some files, one a split or one in all.

    Raises:
        DataError: A file is no COCO JSON, or two files name their classes differently.
    """
    labelled = Labelled()
    for file in files:
        split = split_of(file) if len(files) > 1 else None
        CocoReader(file, root, split, account).read(labelled)
    return labelled


class CocoReader:
    """Reads one file."""

    def __init__(self, file: Path, root: Path, split: str | None, account: Account):
        """Nothing is read yet."""
        self.file, self.split, self.account = file, split, account
        self.root = os.path.realpath(root)
        self.name = shown(os.path.relpath(file, root))
        self.complaints = Complaints(account)

    def read(self, labelled: Labelled) -> None:
        """Add what the file has."""
        content = read_json(self.file, WHAT)
        if not isinstance(content, dict):
            raise DataError(f"'{self.name}' is a JSON {type(content).__name__}. Expected {WHAT}.")
        lists = {}
        for key in ("images", "annotations", "categories"):
            lists[key] = content.get(key, [] if key == "annotations" else None)
            if not isinstance(lists[key], list):
                raise DataError(f"'{self.name}' has no list '{key}'. Expected {WHAT}.")
        names = self._categories(lists["categories"])
        order = list(dict.fromkeys(names.values()))
        if labelled.classes is None:
            labelled.classes = order
        else:
            labelled.classes += [name for name in order if name not in labelled.classes]
        boxes = self._boxes(lists["annotations"], names)
        self._items(lists["images"], boxes, labelled)
        self._orphans(boxes)
        self.complaints.close()

    def _categories(self, entries: list[Any]) -> dict[int, str]:
        names: dict[int, str] = {}
        for entry in entries:
            number: Any = entry.get("id") if isinstance(entry, dict) else None
            name = entry.get("name") if isinstance(entry, dict) else None
            if not _is_whole(number) or not isinstance(name, str) or not name.strip():
                raise DataError(
                    f"'{self.name}' has a category without id and name. Expected {WHAT}."
                )
            if number in names and names[number] != name.strip():
                raise DataError(
                    f"'{self.name}' has two categories of the id {number}: '{names[number]}' and "
                    f"'{name}'. Give each its own."
                )
            names[number] = name.strip()[:1000]
        return names

    def _boxes(self, entries: list[Any], names: dict[int, str]) -> dict[Any, list[Box]]:
        """Boxes by the id of their picture."""
        boxes: dict[Any, list[Box]] = {}
        for place, entry in enumerate(entries):
            where = f"{self.name}: annotations[{place}]"
            if not isinstance(entry, dict) or not _is_whole(entry.get("image_id")):
                self.complaints.add(
                    BAD_BOX[0], where, "It names no picture (image_id).", BAD_BOX[1]
                )
                continue
            mine = boxes.setdefault(entry["image_id"], [])
            number, sides = entry.get("category_id"), finite(entry.get("bbox"), 4)
            if entry.get("iscrowd"):
                message = "A box around a crowd (iscrowd) is not learned."
                self.complaints.add("crowd", where, message, "Remove it if it is one thing.")
            elif not _is_whole(number) or number not in names:
                message = f"Its category_id {str(number)[:40]} is none of the categories."
                self.complaints.add(UNKNOWN_CLASS[0], where, message, UNKNOWN_CLASS[1])
            elif sides is None:
                message = f"Its bbox {str(entry.get('bbox'))[:80]} is not four finite numbers."
                self.complaints.add(BAD_BOX[0], where, message, BAD_BOX[1])
            else:
                left, top, width, height = sides
                box = (left, top, left + width, top + height)
                mine.append(Box(names[number], box, where))
        return boxes

    def _items(self, entries: list[Any], boxes: dict[Any, list[Box]], labelled: Labelled) -> None:
        folders = self._folders()
        seen: set[int] = set()
        for place, entry in enumerate(entries):
            where = (f"{self.name}: images[{place}]", None)
            name = entry.get("file_name") if isinstance(entry, dict) else None
            number: Any = entry.get("id") if isinstance(entry, dict) else None
            if not isinstance(name, str) or not _is_whole(number) or number in seen:
                is_twice = _is_whole(number) and number in seen
                known = "has an id that another has" if is_twice else "lacks id or file_name"
                self.account.read += 1
                self._reject("bad-picture-entry", where, f"The entry {known}.", "Mend it.")
                continue
            assert isinstance(entry, dict)
            seen.add(number)
            mine = boxes.pop(number, [])
            path, problem = picture_path(name, folders, self.root)
            if problem:
                reject_picture(self.account, problem, where, name)
                continue
            self.account.read += 1
            size = finite([entry.get("height"), entry.get("width")], 2)
            declared = (int(size[0]), int(size[1])) if size else None
            shown_path = shown(os.path.relpath(path, self.root))
            labelled.items.append(Item(shown_path, path, self.split, mine, declared))

    def _reject(self, code: str, where: tuple[str, int | None], reason: str, remedy: str) -> None:
        from septet.data.account import Rejection

        self.account.rejections.append(Rejection(code, *where, reason, remedy))

    def _folders(self) -> list[str]:
        """Where the pictures may be: beside the file, or in a folder of the split's name."""
        here, root = self.file.parent, Path(self.root)
        words = [w for w, split in WORDS.items() if split == (self.split or split_of(self.file))]
        year = "".join(c for c in self.file.stem if c.isdigit())
        names = [*words, *(f"{word}{year}" for word in words if year), "images", ""]
        folders = [base / name for base in (here, root, root / "images") for name in names]
        return [str(folder) for folder in dict.fromkeys(folders) if folder.is_dir()]

    def _orphans(self, boxes: dict[Any, list[Box]]) -> None:
        for number, mine in boxes.items():
            message = f"{len(mine)} boxes name the picture {str(number)[:40]}, which is not listed."
            remedy = "List the picture under 'images', or remove the boxes."
            self.complaints.add("labels-without-picture", self.name, message, remedy)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
