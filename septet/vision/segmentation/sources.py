"""Which pictures a set for segmentation has, and where the mask of each is. Opens no picture.

Nothing outside the set's own folder is ever opened.
"""

import os
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from septet.data.account import Account
from septet.errors import DataError
from septet.vision.annotations import voc
from septet.vision.sources import JUNK, SPLIT_NAMES, is_inside, reject, shown
from septet.vision.worker import EXTENSIONS

PICTURE_FOLDERS = frozenset(
    {"images", "image", "pictures", "photos", "jpegimages", "imgs", "img", "leftimg8bit", "x"}
)
MASK_FOLDERS = frozenset(
    {"masks", "mask", "segmentationclass", "labels", "label", "gt", "gtfine", "segmentation", "y"}
)
MASK_ENDING = re.compile(
    r"[_\-. ](mask|masks|label|labels|labelids|gt|seg|segmentation|gtfine_labelids|l|p)$", re.I
)
"""What the name of a mask may have after that of its picture."""
PICTURE_ENDING = re.compile(r"[_\-. ](image|img|leftimg8bit|sat|rgb)$", re.I)
MOST_FILES = 5_000_000
NO_CLASSES = "segmentationobject"
"""VOC's folder of masks whose numbers are things and not classes."""


@dataclass(frozen=True)
class Shape:
    """One labelled area: a class with polygons (x, y, x, y ...) or run lengths.

    Args:
        label: The class' name.
        polygons: Each a flat list of coordinates.
        runs: Run lengths of COCO (columns, zeros first) with height and width, or None.
        is_share: Coordinates are shares of the picture's width and height, and not pixels.
    """

    label: str
    polygons: tuple[tuple[float, ...], ...] = ()
    runs: tuple[tuple[int, ...], int, int] | None = None
    is_share: bool = False


@dataclass(frozen=True)
class Pair:
    """One picture and what says which class its pixels are.

    Args:
        place: The picture within the set, for a person.
        path: What to open; always inside the set's folder.
        split: "train", "validation", "test", or None where the set does not say.
        mask_place: The mask within the set, or the file of its shapes.
        mask: The file to open as a mask; None where there are shapes.
        shapes: From back to front.
        declared: Height and width that the file of shapes gives, or None.
    """

    place: str
    path: str
    split: str | None
    mask_place: str
    mask: str | None = None
    shapes: tuple[Shape, ...] = ()
    declared: tuple[int, int] | None = None


@dataclass
class Found:
    """Pairs in a fixed order; classes where annotations name them; where a legend may be."""

    pairs: list[Pair] = field(default_factory=list)
    classes: list[str] | None = None
    legend_folders: list[Path] = field(default_factory=list)


def is_mask_folder(name: str) -> bool:
    """Whether a folder of that name holds masks."""
    return name.casefold() in MASK_FOLDERS


def find_masks(root: Path, account: Account) -> Found:
    """Pictures of `root` paired with masks by name.

    `images/` and `masks/` (or the names above), each with or without folders of splits within
    or above them; or splits beside `masks/SPLIT`; or masks beside pictures, named `NAME_mask`.
    Where Pascal VOC's `ImageSets/Segmentation` lists names, only these are taken.

    Raises:
        DataError: There are no folders of masks.
    """
    real = os.path.realpath(root)
    pictures: dict[tuple[str | None, str], str] = {}
    masks: dict[tuple[str | None, str], str] = {}
    legend_folders, listed, unlisted = [root], voc.listed(root, "Segmentation"), 0
    for path, folders in files_of(real, account):
        place = PurePosixPath(shown(os.path.relpath(path, real)).replace(os.sep, "/"))
        parts = [part.casefold() for part in place.parts[:-1]]
        mask_at = next((n for n, part in enumerate(parts) if part in MASK_FOLDERS), None)
        if NO_CLASSES in parts:
            continue
        split = next((SPLIT_NAMES[part] for part in parts if part in SPLIT_NAMES), None)
        if listed and place.stem not in listed:
            unlisted += mask_at is None
            continue
        split = listed.get(place.stem, split)
        within = [p for p in parts if p not in SPLIT_NAMES and p not in PICTURE_FOLDERS]
        is_mask = mask_at is not None or MASK_ENDING.search(place.stem) is not None
        if is_mask:
            within = [part for part in within if part not in MASK_FOLDERS]
            stem = place.stem
            # In a folder of its own a mask may have any name; its picture's comes first.
            key = (split, "/".join([*within, stem]))
            masks[key] = path
            folder = Path(path).parent
            for above in (folder, folder.parent):
                if above not in legend_folders and is_inside(str(above), real):
                    legend_folders.append(above)
        else:
            key = (split, "/".join([*within, place.stem]))
            if key in pictures:
                other = shown(os.path.relpath(pictures[key], real))
                reject(
                    account, "two-pictures", (str(place), None),
                    f"It has the same name as '{other}', so one mask would serve both.",
                    "Rename one of them and its mask.",
                )  # fmt: skip
                continue
            pictures[key] = path
        del folders
    if not masks:
        raise DataError(
            f"'{shown(root.name)}' has no masks. Expected a folder 'images' and a folder 'masks' "
            "with a mask of the same name for each picture, COCO JSON in 'annotations', or a "
            "LabelMe JSON file for each picture."
        )
    if unlisted:
        message = f"{unlisted} pictures are in none of the lists in ImageSets/Segmentation."
        account.note("not-listed", "ImageSets/Segmentation", message, "They are not used.")
    lost = sorted(listed.keys() - {PurePosixPath(name).name for _, name in [*pictures, *masks]})
    if lost:
        account.warn(
            "missing-picture", "ImageSets/Segmentation",
            f"{len(lost)} of the names in the lists have neither picture nor mask; the first is "
            f"'{shown(lost[0])[:100]}'.",
            "Put them there, or take the names out.",
        )  # fmt: skip
    found = Found(legend_folders=legend_folders)
    _pair(pictures, masks, real, found, account)
    return found


def _pair(
    pictures: dict[tuple[str | None, str], str],
    masks: dict[tuple[str | None, str], str],
    real: str,
    found: Found,
    account: Account,
) -> None:
    """Pair by split and name; what is left alone on either side is rejected."""

    def place_of(path: str) -> str:
        return shown(os.path.relpath(path, real)).replace(os.sep, "/")

    bare: dict[tuple[str | None, str], list[tuple[str | None, str]]] = defaultdict(list)
    for split, name in masks:
        bare[split, MASK_ENDING.sub("", name)].append((split, name))
    used = set()
    for key, path in pictures.items():
        split, name = key
        short = (split, PICTURE_ENDING.sub("", name))
        candidates = [key] if key in masks else bare.get(key) or bare.get(short) or []
        if len(candidates) != 1:
            several = len(candidates) > 1
            reason = (
                f"{len(candidates)} masks have its name: {place_of(masks[candidates[0]])} and "
                f"{place_of(masks[candidates[1]])}."
                if several
                else "No mask has its name."
            )
            remedy = "Keep one." if several else "Add its mask, or remove the picture."
            code = "two-masks" if several else "missing-mask"
            reject(account, code, (place_of(path), None), reason, remedy)
            used.update(candidates)
            continue
        used.add(candidates[0])
        account.read += 1
        mask = masks[candidates[0]]
        found.pairs.append(Pair(place_of(path), path, split, place_of(mask), mask))
    for key, path in masks.items():
        if key not in used:
            reason = "No picture has the name of this mask."
            place = (place_of(path), None)
            reject(
                account, "missing-picture", place, reason, "Add its picture, or remove the mask."
            )


def files_of(real: str, account: Account) -> Iterator[tuple[str, Sequence[str]]]:
    """Picture files below a resolved folder in a fixed order; links out of it are rejected."""
    number = 0
    for folder, folders, files in os.walk(real):
        folders[:] = sorted(
            name for name in folders
            if not name.startswith(".") and name.casefold() not in JUNK
            and not os.path.islink(os.path.join(folder, name))
        )  # fmt: skip
        for name in sorted(files):
            if os.path.splitext(name)[1].lower() not in EXTENSIONS or name.startswith("."):
                continue
            number += 1
            if number > MOST_FILES:
                raise DataError(f"The folder has more than {MOST_FILES:,} pictures.")
            path = os.path.join(folder, name)
            target = os.path.realpath(path)
            if not is_inside(target, real):
                place = shown(os.path.relpath(path, real)).replace(os.sep, "/")
                reason = "It is a link to a file outside the folder."
                reject(account, "outside-folder", (place, None), reason, "Put the file there.")
                continue
            yield target, folders


def inside(root: str, name: str) -> str | None:
    """The resolved path of a relative `name` below `root`; None where it leaves it."""
    parts = name.replace("\\", "/").split("/")
    if not name or "\x00" in name or os.path.isabs(name) or ".." in parts or ":" in parts[0]:
        return None
    path = os.path.realpath(os.path.join(root, *parts))
    return path if is_inside(path, root) else None
