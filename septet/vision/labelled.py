"""From pictures with labelled boxes, in any of the known formats, to checked splits of examples.

Formats are read by `annotations/`; here pictures are decoded and brought to one size, boxes
are checked against them, and everything that is wrong is said.
"""

import json
import os
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from septet.data.account import Account, Rejection
from septet.data.dataset import SPLIT_NAMES, Dataset, Split
from septet.data.labels import warn_of_typos
from septet.data.scratch import ArrayList, new_array
from septet.data.splitting import limited, make_splits
from septet.errors import DataError
from septet.vision import geometry, kept_pictures
from septet.vision.annotations import coco, voc, yolo
from septet.vision.annotations.found import MOST_BOXES, Box, Complaints, Item, Labelled
from septet.vision.decoding import Picture
from septet.vision.detection_options import DetectionDataOptions
from septet.vision.inputs import LARGEST_SIDE
from septet.vision.pixels import drop_needless_colour
from septet.vision.sources import shown
from septet.vision.worker import EXTENSIONS

DECODED_AT_ONCE = 32
GRAIN = 32
"""Height and width become a multiple of it: the network's largest stride."""
LARGEST_OWN_SIZE = 256
EXPECTED = (
    "Expected COCO JSON (a file, or a folder with annotations/*.json), Pascal VOC (a folder with "
    "Annotations/*.xml), or YOLO (a folder with data.yaml)."
)


@dataclass
class Examples:
    """Usable pictures, one a row in every list, with their boxes in their own pixels."""

    items: list[Item] = field(default_factory=list)
    pixels: ArrayList = field(default_factory=ArrayList)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    boxes: list[list[tuple[str, float, float, float, float]]] = field(default_factory=list)
    has_colour: bool = False


def read_labelled(source: Path, options: DetectionDataOptions, seed: int) -> Dataset:
    """Read, check and split pictures with boxes.

    Examples are {"pictures": uint8 [n, height, width, channels], "sizes": int32 [n, 2], their
    own height and width}; targets are JSON lists of class, left, top, right and bottom, in the
    pixels of the picture as it was on disk.

    Raises:
        DataError: `source` as a whole cannot be understood.
    """
    account = Account()
    labelled = find_labelled(source, account)
    _reject_twice_listed(labelled, account)
    canvas = _canvas(labelled, options, account)
    examples = _decoded(labelled.items, canvas, options.fit, account)
    if not examples.items:
        raise DataError(_nothing_usable(source, account))
    rows = _split_rows(examples, options, seed)
    rows = limited(rows, options.limit, seed=seed, account=account, noun="pictures")
    _check_pictures(examples, rows, account)
    labels = _known_labels(examples, rows, labelled.classes, account)
    channels = options.channels or (3 if examples.has_colour else 1)
    splits = {name: _split(examples, chosen, canvas, channels) for name, chosen in rows.items()}
    account.classes = _counts(examples, rows, labels)
    account.close({name: len(split) for name, split in splits.items()})
    facts = {
        "labels": labels,
        "height": canvas[0],
        "width": canvas[1],
        "channels": channels,
        "fit": options.fit,
    }
    return Dataset(splits, account, facts)


def find_labelled(source: Path, account: Account) -> Labelled:
    """The pictures and boxes at `source`, its format found out.

    Raises:
        DataError: It is none of the formats.
    """
    name = shown(source.name)
    if source.is_file():
        if source.suffix.lower() == ".json":
            folder = source.parent
            root = folder.parent if folder.name == "annotations" else folder
            return coco.read_coco([source], root, account)
        if source.suffix.lower() in (".yaml", ".yml"):
            return yolo.read_yolo(source, account)
        raise DataError(f"'{name}' is no file of labelled boxes. {EXPECTED}")
    if not source.is_dir():
        raise DataError(f"There is no file or folder '{shown(str(source))}'.")
    if (yaml := yolo.yaml_in(source)) is not None:
        return yolo.read_yolo(yaml, account)
    if files := coco.files_in(source):
        labelled, described = coco.read_coco(files, source, account), set[str]()
    elif files := voc.files_in(source):
        labelled, described = voc.read_voc(files, source, account), {file.stem for file in files}
    else:
        raise DataError(f"'{name}' holds no labelled boxes that are known. {EXPECTED}")
    _say_unlabelled(labelled, described, source, account)
    return labelled


def _say_unlabelled(
    labelled: Labelled, described: Collection[str], root: Path, account: Account
) -> None:
    """Count the pictures beside labelled ones that no file of labels names.

    `described` are names without an ending that have a file of labels, though it be unreadable.
    """
    known: dict[str, set[str]] = defaultdict(set)
    for item in labelled.items:
        folder, name = os.path.split(item.path)
        known[folder].add(name)
    real = os.path.realpath(root)
    for folder, names in sorted(known.items()):
        entries: list[str] = []
        # A folder whose files may be opened and not listed has nothing to say.
        with suppress(OSError):
            entries = sorted(os.listdir(folder))
        others = [
            name
            for name in entries
            if name not in names
            and os.path.splitext(name)[0] not in described
            and not name.startswith(".")
            and os.path.splitext(name)[1].lower() in EXTENSIONS
        ]
        if others:
            message = (
                f"{len(others)} pictures beside the {len(names)} labelled ones are in no file of "
                f"labels; the first is '{shown(others[0])}'. They are not used."
            )
            remedy = "List them without boxes if they show nothing, label them, or remove them."
            place = shown(os.path.relpath(folder, real))
            account.warn("picture-without-labels", place, message, remedy)


def _reject_twice_listed(labelled: Labelled, account: Account) -> None:
    """A picture that is listed twice counts once, as it was listed first."""
    first: dict[str, Item] = {}
    kept = []
    for item in labelled.items:
        other = first.setdefault(item.path, item)
        if other is item:
            kept.append(item)
            continue
        where = f"in '{other.split}'" if other.split != item.split else "already"
        reason = f"The picture is listed {where}, too."
        remedy = "List it once: scores on pictures seen in training mislead."
        account.rejections.append(Rejection("listed-twice", item.place, None, reason, remedy))
    labelled.items = kept


def _canvas(labelled: Labelled, options: DetectionDataOptions, account: Account) -> tuple[int, int]:
    """Height and width that all pictures are brought to."""
    if options.size is not None:
        return options.size, options.size
    declared = {item.size for item in labelled.items}
    (size,) = declared if len(declared) == 1 else (None,)
    if size and 0 < max(size) <= LARGEST_OWN_SIZE:
        height, width = (-(-side // GRAIN) * GRAIN for side in size)
        return height, width
    message = f"Pictures are brought to {LARGEST_OWN_SIZE}x{LARGEST_OWN_SIZE} pixels."
    account.note("resized", "all", message, "Choose another size with --set data.size=320")
    return LARGEST_OWN_SIZE, LARGEST_OWN_SIZE


def _decoded(
    items: Sequence[Item], canvas: tuple[int, int], fit: str, account: Account
) -> Examples:
    """The pictures that can be decoded, on their canvas, with their good boxes."""
    examples, complaints = Examples(), Complaints(account)
    place_on = geometry.PLACEMENTS[fit]
    paths = [item.path for item in items]
    whole = (LARGEST_SIDE, LARGEST_SIDE)
    results = kept_pictures.pictures(paths, whole, exact=False, at_once=DECODED_AT_ONCE)
    for item, result in zip(items, results, strict=True):
        if not isinstance(result, Picture):
            texts = result.reason, result.remedy
            account.rejections.append(Rejection(result.code, item.place, None, *texts))
            continue
        size = (result.pixels.shape[0], result.pixels.shape[1])
        if item.size is not None and item.size != size:
            message = (
                f"The labels say {item.size[1]}x{item.size[0]} pixels; the picture has "
                f"{size[1]}x{size[0]}. The labels' boxes were taken as they are."
            )
            remedy = "Look whether the picture was resized or turned after it was labelled."
            complaints.add("other-size", item.place, message, remedy)
        placement = place_on(size, canvas)
        examples.items.append(item)
        pixels = placement.picture(result.pixels)
        examples.pixels.append(pixels)
        examples.has_colour |= pixels.ndim == 3
        examples.sizes.append(size)
        examples.digests.append(result.digest)
        examples.boxes.append(_good_boxes(item, size, complaints))
    complaints.close()
    return examples


def _good_boxes(
    item: Item, size: tuple[int, int], complaints: Complaints
) -> list[tuple[str, float, float, float, float]]:
    """The boxes that can be learned, in pixels, cut at the picture's edges."""
    good: dict[tuple[str, float, float, float, float], None] = {}
    for box in item.boxes:
        sides = _pixels_of(box, size)
        problem = _problem(sides, size)
        if problem:
            remedy = "It was not used. Mend or remove it."
            complaints.add(problem[0], box.place, problem[1], remedy)
            continue
        height, width = size
        limits = (width, height, width, height)
        cut = tuple(min(max(side, 0.0), limit) for side, limit in zip(sides, limits, strict=True))
        outside = max(abs(a - b) for a, b in zip(sides, cut, strict=True))
        if outside > 1.0:
            message = f"The box reaches {outside:.0f} pixels beyond the picture; that was cut off."
            complaints.add("box-beyond-edge", box.place, message, "Mend it if it was not meant.")
        key = (box.label, cut[0], cut[1], cut[2], cut[3])
        if key in good:
            message = f"The same box of '{box.label}' stands there twice; it counts once."
            complaints.add("duplicate-box", box.place, message, "Remove one.")
        good[key] = None
    boxes = list(good)
    if len(boxes) > MOST_BOXES:
        message = f"It has {len(boxes)} boxes; {MOST_BOXES} of a picture are used."
        complaints.add("many-boxes", item.place, message, "Cut the picture into tiles.")
    return boxes[:MOST_BOXES]


def _pixels_of(box: Box, size: tuple[int, int]) -> tuple[float, ...]:
    if not box.is_share:
        return box.sides
    height, width = size
    return tuple(s * f for s, f in zip(box.sides, (width, height, width, height), strict=True))


def _problem(sides: tuple[float, ...], size: tuple[int, int]) -> tuple[str, str] | None:
    """Code and message of a box that cannot be used."""
    left, top, right, bottom = sides
    told = f"{left:g}, {top:g} to {right:g}, {bottom:g}"
    height, width = size
    if right < left or bottom < top:
        return "inverted-box", f"The box's end lies before its beginning ({told})."
    if right == left or bottom == top:
        return "empty-box", f"The box is empty ({told})."
    if left >= width or top >= height or right <= 0 or bottom <= 0:
        return "box-outside", f"The box ({told}) lies outside the picture of {width}x{height}."
    return None


def _split_rows(
    examples: Examples, options: DetectionDataOptions, seed: int
) -> dict[str, np.ndarray]:
    """Rows of each split: as the set says, what it lacks cut from its training part.

    Raises:
        DataError: No picture is for training.
    """
    homes = np.array([item.split or "train" for item in examples.items], dtype=object)
    rows = {name: np.flatnonzero(homes == name) for name in SPLIT_NAMES}
    train = rows["train"]
    if not len(train):
        raise DataError("No usable picture is for training. Put some into the train split.")
    shares = {}
    if not len(rows["test"]):
        shares["test"] = options.test_fraction
    if not len(rows["validation"]):
        shares["validation"] = options.validation_fraction * (1 - shares.get("test", 0.0))
    fractions = {"train": 1.0 - sum(shares.values()), **shares}
    cut = make_splits(
        [examples.digests[row] for row in train], None, seed=seed, fractions=fractions
    )
    return {name: train[cut[name]] if name in cut else rows[name] for name in SPLIT_NAMES}


def _check_pictures(examples: Examples, rows: dict[str, np.ndarray], account: Account) -> None:
    """Say which pictures are the same, and how many show nothing."""
    homes = {int(row): name for name, chosen in rows.items() for row in chosen}
    complaints = Complaints(account)
    groups: dict[str, list[int]] = defaultdict(list)
    for row in homes:
        groups[examples.digests[row]].append(row)
    for first, *others in groups.values():
        for row in others:
            other = examples.items[first].place
            if homes[first] != homes[row]:
                message = f"In '{homes[row]}', and the same picture {other} in '{homes[first]}'."
                remedy = "Remove one: scores on pictures seen in training mislead."
                complaints.add(
                    "duplicate-across-splits", examples.items[row].place, message, remedy
                )
            else:
                message = f"The same picture as {other}."
                remedy = "Remove one; Septet keeps both in the same split."
                complaints.add("duplicate", examples.items[row].place, message, remedy)
    complaints.close()
    empty = sum(not examples.boxes[row] for row in homes)
    if empty:
        account.note("no-boxes", "all", f"{empty} of {len(homes)} pictures show nothing labelled.")


def _known_labels(
    examples: Examples,
    rows: dict[str, np.ndarray],
    order: list[str] | None,
    account: Account,
) -> list[str]:
    """The classes that training shows; boxes of others are dropped from the other splits."""
    known = {box[0] for row in rows["train"] for box in examples.boxes[row]}
    counts: Counter[str] = Counter()
    places: dict[str, str] = {}
    for item, boxes in zip(examples.items, examples.boxes, strict=True):
        for label, *_ in boxes:
            counts[label] += 1
            places.setdefault(label, item.place)
    warn_of_typos(counts, account, places)
    if not known:
        message = "No training picture has a usable box."
        account.forbid(
            "no-training-boxes", "all", message, "Label some, or see what is wrong above."
        )
    for name in order or []:
        if name not in known:
            message = f"The class '{name}' has no box in the training split; it is not learned."
            account.warn("empty-class", name, message, "Add boxes of it, or remove the class.")
    complaints = Complaints(account)
    for name in ("validation", "test"):
        for row in rows[name]:
            for box in examples.boxes[row]:
                if box[0] not in known:
                    message = f"A box of '{box[0]}', which no training picture has, was not used."
                    remedy = "Add training boxes of that class."
                    complaints.add("label-not-in-train", examples.items[row].place, message, remedy)
            examples.boxes[row] = [box for box in examples.boxes[row] if box[0] in known]
    complaints.close()
    return [name for name in order if name in known] if order else sorted(known)


def _split(examples: Examples, rows: np.ndarray, canvas: tuple[int, int], channels: int) -> Split:
    pictures = new_array((len(rows), *canvas, channels), np.uint8)
    for place, row in enumerate(rows):
        pictures[place] = with_channels(examples.pixels[row], channels)
    sizes = np.array([examples.sizes[row] for row in rows], np.int32).reshape(-1, 2)
    targets = np.empty(len(rows), object)
    for place, row in enumerate(rows):
        rounded = [[box[0], *(round(side, 3) for side in box[1:])] for box in examples.boxes[row]]
        targets[place] = json.dumps(rounded, ensure_ascii=False)
    sources = [examples.items[row].place for row in rows]
    return Split({"pictures": pictures, "sizes": sizes}, targets, sources)


def with_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    """uint8 [height, width] or [height, width, 3] as [height, width, channels]."""
    if channels == 1 and pixels.ndim == 3:
        from PIL import Image

        return np.asarray(drop_needless_colour(Image.fromarray(pixels)).convert("L"))[..., None]
    grey = pixels[..., None] if pixels.ndim == 2 else pixels
    return np.broadcast_to(grey, (*grey.shape[:2], channels))


def _counts(
    examples: Examples, rows: dict[str, np.ndarray], labels: Sequence[str]
) -> dict[str, dict[str, int]]:
    counts = {label: dict.fromkeys(rows, 0) for label in labels}
    for name, chosen in rows.items():
        for row in chosen:
            for box in examples.boxes[row]:
                counts[box[0]][name] += 1
    return counts


def _nothing_usable(source: Path, account: Account) -> str:
    name = shown(source.name)
    if account.rejections:
        return f"'{name}': {account.nothing_left('picture')}"
    return f"'{name}' names no pictures. {EXPECTED}"
