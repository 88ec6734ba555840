"""What every reader of boxes gives, and what all of them check.

Knows no format. Boxes are in pixels of the picture as it is on disk, or, where the format
has them so, in shares of its sides.
"""

import json
import math
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from septet.data.account import Account
from septet.errors import DataError
from septet.vision.sources import is_inside, reject, shown

MOST_BYTES = 1 << 30
"""Of one file of labels; COCO's own largest has 448 MiB."""
LONGEST_NUMBER = 400
MOST_BOXES = 1000
"""Of one picture."""


@dataclass(frozen=True)
class Box:
    """One labelled box.

    Args:
        label: Its class.
        sides: Left, top, right and bottom, finite.
        place: Where it stands, for a person: "labels/a.txt:3".
        is_share: Sides are shares of the picture's width and height, and not pixels.
    """

    label: str
    sides: tuple[float, float, float, float]
    place: str
    is_share: bool = False


@dataclass
class Item:
    """One picture and its boxes.

    Args:
        place: Which picture, for a person.
        path: What to open; inside the set's folder.
        split: "train", "validation", "test", or None where the set does not say.
        boxes: May be none.
        size: Height and width that the labels declare, or None.
    """

    place: str
    path: str
    split: str | None
    boxes: list[Box] = field(default_factory=list)
    size: tuple[int, int] | None = None


@dataclass
class Labelled:
    """Pictures in a fixed order, and the classes in the set's own order where it has one."""

    items: list[Item] = field(default_factory=list)
    classes: list[str] | None = None


def read_text(path: Path, what: str) -> str:
    """A file of labels as text.

    Raises:
        DataError: It is missing, no plain file, too large or no UTF-8.
    """
    name = shown(path.name)
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(handle, "rb") as file:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise DataError(f"'{name}' is no plain file. Expected {what}.")
            if status.st_size > MOST_BYTES:
                raise DataError(
                    f"'{name}' has {status.st_size >> 20} MiB; at most {MOST_BYTES >> 20} MiB of "
                    "labels are read from one file. Split it."
                )
            return file.read(MOST_BYTES + 1).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"'{name}' is not UTF-8 text. Expected {what}.") from None
    except (OSError, ValueError) as error:
        text = getattr(error, "strerror", None) or error
        raise DataError(f"'{name}' cannot be read ({text}). Expected {what}.") from None


def read_json(path: Path, what: str) -> Any:
    """A file of labels as JSON, all its numbers finite and all its texts of whole characters.

    Raises:
        DataError: As `read_text`, or it is no JSON.
    """
    text = read_text(path, what)
    try:
        value = json.loads(text, parse_constant=_no_number, parse_int=_whole)
        if "\\ud" in text or "\\uD" in text:
            _require_whole_characters(value)
        return value
    except RecursionError:
        raise DataError(f"'{shown(path.name)}' is nested too deeply. Expected {what}.") from None
    except ValueError as error:
        raise DataError(f"'{shown(path.name)}' is no JSON ({error}). Expected {what}.") from None


def _no_number(constant: str) -> Any:
    raise ValueError(f"'{constant}' is no number of JSON")


def _whole(digits: str) -> int:
    if len(digits) > LONGEST_NUMBER:
        raise ValueError(f"it has a number of {len(digits):,} digits")
    return int(digits)


def _require_whole_characters(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("it has half of a surrogate pair, which is no character") from None


def picture_path(name: str, folders: list[str], root: str) -> tuple[str, str | None]:
    """The real path of a picture named by a label file, looked for in some folders.

    Returns:
        The path, and None; or why it cannot be had: "outside-folder" or "missing-file".
    """
    parts = name.replace("\\", "/").split("/")
    if not name or "\x00" in name or os.path.isabs(name) or ".." in parts or parts[0].endswith(":"):
        return "", "outside-folder"
    for folder in folders:
        path = os.path.realpath(os.path.join(folder, *parts))
        if os.path.lexists(path):
            return (path, None) if is_inside(path, root) else ("", "outside-folder")
    return "", "missing-file"


def reject_picture(account: Account, code: str, place: tuple[str, int | None], name: str) -> None:
    """Count a picture that the labels name and that cannot be had."""
    if code == "outside-folder":
        reason = f"The picture's path '{shown(name)[:200]}' leaves the set's folder."
        remedy = "Put the picture beside the labels, with a relative path."
    else:
        reason = f"There is no picture '{shown(name)[:200]}' where the labels say."
        remedy = "Put it there, or remove its labels."
    reject(account, code, place, reason, remedy)


def finite(values: Any, count: int) -> tuple[float, ...] | None:
    """`count` finite numbers of a moderate size, or None."""
    if not isinstance(values, list | tuple) or len(values) != count:
        return None
    if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        return None
    try:
        numbers = tuple(float(value) for value in values)
    except OverflowError:
        return None
    return numbers if all(math.isfinite(v) and abs(v) < 1e7 for v in numbers) else None


def number_of(text: str) -> float | None:
    """A finite number of a moderate size in text, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and abs(value) < 1e7 else None


class Complaints:
    """Warnings of one kind after another, the first hundred of each spelled out."""

    def __init__(self, account: Account):
        """Nothing is said yet."""
        self.account = account
        self.counts: dict[str, int] = {}
        self.remedies: dict[str, str] = {}

    def add(self, code: str, place: str, message: str, remedy: str) -> None:
        """One more."""
        self.counts[code] = self.counts.get(code, 0) + 1
        self.remedies[code] = remedy
        if self.counts[code] <= 100:
            self.account.warn(code, place, message, remedy)

    def close(self) -> None:
        """Count those that were not spelled out."""
        for code, count in self.counts.items():
            if count > 100:
                message = f"{count - 100} more of the kind '{code}'."
                self.account.warn(code, "all", message, self.remedies[code])


BAD_BOX = "bad-box", "Mend or remove it."
UNKNOWN_CLASS = "unknown-class", "Add the class to the list, or mend the number."
