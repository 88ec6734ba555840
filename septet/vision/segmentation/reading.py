"""From a folder of pictures and masks to checked splits of examples."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from septet.data.account import Account, Rejection
from septet.data.dataset import SPLIT_NAMES, Dataset, Split
from septet.data.scratch import ArrayList, new_array
from septet.data.splitting import limited
from septet.errors import DataError
from septet.vision import checks, kept_pictures
from septet.vision.annotations.found import Complaints
from septet.vision.annotations.yolo import yaml_in
from septet.vision.decoding import Mask, Picture, Undecodable
from septet.vision.gathering import Gathered, fit
from septet.vision.geometry import letterbox
from septet.vision.reading import split_rows
from septet.vision.segmentation import tiles
from septet.vision.segmentation.annotations import coco_files, find_coco, find_labelme
from septet.vision.segmentation.legend import BACKGROUND, IGNORED, MOST_CLASSES, Legend, find_legend
from septet.vision.segmentation.options import SegmentationDataOptions
from septet.vision.segmentation.outlines import find_outlines
from septet.vision.segmentation.shapes import ShapeError, drawn, odd
from septet.vision.segmentation.sources import Found, Pair, files_of, find_masks, is_mask_folder
from septet.vision.sources import shown

MULTIPLE = 32
"""Sides that the network sees are multiples of it, the stride of its deepest level."""
OWN_SIZE, USUAL_SIZE = 256, 128
WHOLE = 1 << 20
"""A box larger than any picture: it is decoded in its own size."""
AT_ONCE = 256
LOSSY = ("JPEG",)
BINARY = {0, 255}
FILES = {".json": "coco", ".yaml": "yolo", ".yml": "yolo"}
"""Formats that are a file, by its ending."""


@dataclass
class Read:
    """Usable examples, one a row in every list.

    Args:
        gathered: Pictures with splits, places, digests and sizes.
        masks: uint8 [height, width] of each, numbers of `classes`, 255 for ignored.
        classes: Names by number.
        colours: As the legend has them, or None.
    """

    gathered: Gathered = field(default_factory=Gathered)
    masks: ArrayList = field(default_factory=ArrayList)
    classes: list[str] = field(default_factory=list)
    colours: list[tuple[int, int, int] | None] = field(default_factory=list)


class Unfit(Exception):
    """A mask that cannot be used: code, reason and remedy."""


def read_segments(source: Path, options: SegmentationDataOptions, seed: int) -> Dataset:
    """Read, check and split pictures and masks at `source`.

    Examples are {"pictures": uint8 [N, height, width, channels], "classes": one text a row, the
    names of the numbers of its mask by line}; targets are masks, uint8 [N, height, width].

    Raises:
        DataError: `source` as a whole cannot be understood.
    """
    account = Account()
    found = find(source, options, account)
    legend = find_legend(found.legend_folders, options.legend)
    read = decode(found, legend, options, account)
    if not len(read.gathered):
        raise DataError(_nothing_usable(source, account))
    check(read, account)
    rows = split_rows(read.gathered, options, seed)  # type: ignore[arg-type]
    rows = limited(rows, options.limit, seed=seed, account=account, noun="pictures")
    height, width = network_size(read.gathered, options, account)
    channels = options.channels or _channels(read.gathered)
    splits = {
        name: _split(read, chosen, (height, width, channels), options, account)
        for name, chosen in rows.items()
    }
    account.classes = class_counts(splits, read.classes)
    _check_classes(account)
    account.close({name: len(split) for name, split in splits.items()})
    facts: dict[str, Any] = {
        "labels": read.classes,
        "colours": [None if c is None else list(c) for c in read.colours],
        "height": height,
        "width": width,
        "channels": channels,
        "large": options.large,
        "fit": options.fit,
    }
    return Dataset(splits, account, facts)


def find(source: Path, options: SegmentationDataOptions, account: Account) -> Found:
    """Pictures and what labels them, by the format that is chosen or seen.

    Raises:
        DataError: There is nothing at `source`, or nothing that can be understood.
    """
    if not source.exists():
        raise DataError(f"There is no file or folder '{shown(str(source))}'.")
    if not source.is_dir() and not (source.is_file() and source.suffix.lower() in FILES):
        raise DataError(
            f"'{shown(source.name)}' is no set for segmentation. Expected a folder of pictures and "
            "masks, COCO's JSON file, or YOLO's YAML file."
        )
    kind = options.format if options.format != "auto" else _seen_format(source)
    if kind == "yolo":
        described = source if source.is_file() else yaml_in(source)
        if described is None:
            raise DataError(f"'{shown(source.name)}' has no YAML file with 'names' of classes.")
        return find_outlines(described, account)
    if kind == "coco":
        return find_coco(source, account)
    if source.is_file():
        raise DataError(f"data.format={kind} needs a folder; '{shown(source.name)}' is a file.")
    return find_masks(source, account) if kind == "masks" else find_labelme(source, account)


def _seen_format(source: Path) -> str:
    if source.is_file():
        return FILES[source.suffix.lower()]
    if yaml_in(source) is not None:
        return "yolo"
    folders = [source, *(path for path in source.iterdir() if path.is_dir())]
    inner = [path for folder in folders for path in folder.iterdir() if path.is_dir()]
    if any(is_mask_folder(path.name) for path in [*folders[1:], *inner]):
        return "masks"
    beside = {path.stem for path, _ in ((Path(p), f) for p, f in files_of(str(source), Account()))}
    names = [path.stem for path in source.rglob("*.json")]
    if names and sum(name in beside for name in names) * 2 > len(names):
        return "labelme"
    return "coco" if coco_files(source) else "masks"


def decode(
    found: Found, legend: Legend | None, options: SegmentationDataOptions, account: Account
) -> Read:
    """Pictures and masks of all pairs; those that cannot be used are rejected."""
    read, complaints = Read(), Complaints(account)
    raw: Counter[int] = Counter()
    paths = [pair.path for pair in found.pairs]
    pictures = kept_pictures.pictures(paths, (WHOLE, WHOLE), exact=False, at_once=AT_ONCE)
    masks = kept_pictures.masks(
        [pair.mask for pair in found.pairs if pair.mask is not None], at_once=AT_ONCE
    )
    for pair, picture in zip(found.pairs, pictures, strict=True):
        mask = next(masks) if pair.mask is not None else None
        try:
            classes = _classes_of(pair, picture, mask, found, legend, options)
        except Unfit as problem:
            code, *texts = problem.args
            account.rejections.append(Rejection(code, pair.place, None, *texts))
            continue
        assert isinstance(picture, Picture)
        if found.classes is None and legend is None:
            raw.update(np.unique(classes).tolist())
        pixels, classes = _made_small(picture.pixels, classes, options)
        read.gathered.add(pixels, "", pair.split, pair.place, picture.digest, picture.original)
        read.gathered.blanks.append(picture.blank)
        read.masks.append(classes)
        for code, message in odd(pair.shapes, picture.original):
            complaints.add(code, pair.place, message, f"Mend it in {pair.mask_place}.")
    # So that what was decoded is kept, though nobody asked for what comes after the last.
    next(masks, None)
    complaints.close()
    _name(read, raw, found, legend, options, account)
    return read


def _classes_of(
    pair: Pair,
    picture: Picture | Undecodable,
    mask: Mask | Undecodable | None,
    found: Found,
    legend: Legend | None,
    options: SegmentationDataOptions,
) -> np.ndarray:
    """Number of the class of each pixel; of a set without legend and names, its own numbers."""
    if isinstance(picture, Undecodable):
        raise Unfit(picture.code, picture.reason, picture.remedy)
    if isinstance(mask, Undecodable):
        raise Unfit(f"mask-{mask.code}", f"Its mask {pair.mask_place}: {mask.reason}", mask.remedy)
    height, width = picture.original
    size = (mask.places.shape[0], mask.places.shape[1]) if mask is not None else pair.declared
    if size is not None and size != (height, width):
        raise Unfit(
            "mask-size",
            f"It has {width}x{height} pixels, and {pair.mask_place} is for {size[1]}x{size[0]}.",
            "Save the mask in the picture's size, without smoothing.",
        )
    if mask is not None:
        classes = _table(mask, pair, legend, options.ignored)[mask.places]
    else:
        numbers = {name: number for number, name in enumerate(found.classes or [])}
        try:
            classes = drawn(pair.shapes, numbers, (height, width))
        except ShapeError as error:
            raise Unfit("bad-shape", str(error), f"Mend {pair.mask_place}.") from None
    if (classes == IGNORED).all() and (legend is not None or not BINARY & set(np.unique(classes))):
        reason = "All pixels of its mask are ignored, so there is nothing to learn from it."
        raise Unfit("all-ignored", reason, "Remove it, or see data.ignored.")
    return classes


def _table(mask: Mask, pair: Pair, legend: Legend | None, ignored: int | None) -> np.ndarray:
    """For each of the mask's values the number of its class: uint8.

    Raises:
        Unfit: A value or colour is no class.
    """
    place = pair.mask_place
    if mask.format in LOSSY:
        reason = f"Its mask {place} is a {mask.format}, which changes the values of pixels."
        raise Unfit("lossy-mask", reason, "Save masks as PNG.")
    if legend is None:
        return _own_numbers(mask, place, ignored)
    by_index = mask.values is not None and (legend.has_index or not legend.has_colours)
    if not by_index and not legend.has_colours:
        reason = f"Its mask {place} is in colour, and {legend.file} has numbers only."
        raise Unfit("no-colours", reason, "Add the columns red, green, blue to it.")
    keys: Sequence[Any] = (mask.values or []) if by_index else mask.colours
    known: dict[Any, int] = legend.by_index(ignored) if by_index else dict(legend.by_colour())
    key: Any
    for key, count in zip(keys, mask.counts, strict=True):
        if key not in known:
            what = f"number {key}" if by_index else "colour " + ", ".join(map(str, key))
            raise Unfit(
                "unknown-class" if by_index else "unknown-colour",
                f"{count} pixels of its mask {place} have the {what}, which {legend.file} lacks.",
                f"Mend the mask, or add the class to {legend.file}.",
            )
    return np.array([known[key] for key in keys], np.uint8)


def _own_numbers(mask: Mask, place: str, ignored: int | None) -> np.ndarray:
    if mask.values is None:
        shown_colours = "; ".join(", ".join(map(str, c)) for c in mask.colours[:8])
        raise Unfit(
            "no-legend",
            f"Its mask {place} is in colour and there is no legend.",
            f"Write legend.csv with the columns name,red,green,blue. It has the colours "
            f"{shown_colours}.",
        )
    for value, count in zip(mask.values, mask.counts, strict=True):
        if not 0 <= value <= 255:
            reason = f"{count} pixels of its mask {place} have the number {value}."
            raise Unfit("unknown-class", reason, "Number the classes from 0 to 254.")
    return np.array(mask.values, np.uint8)


def _made_small(
    pixels: np.ndarray, classes: np.ndarray, options: SegmentationDataOptions
) -> tuple[np.ndarray, np.ndarray]:
    """Both at the network's size already where that is known, so that less is kept."""
    if options.large == "tile":
        return pixels, classes
    side = rounded(options.size or USUAL_SIZE)
    if options.size is None and max(pixels.shape[:2]) <= OWN_SIZE:
        return pixels, classes
    return fitted(pixels, classes, (side, side), options.fit)


def fitted(
    pixels: np.ndarray, classes: np.ndarray, size: tuple[int, int], how: str
) -> tuple[np.ndarray, np.ndarray]:
    """Picture and classes at the network's size; where there is no picture, nothing is asked."""
    if how == "letterbox" and pixels.shape[:2] != size:
        placement = letterbox((pixels.shape[0], pixels.shape[1]), size)
        return placement.picture(pixels), placement.mask(classes, fill=IGNORED)
    channels = 1 if pixels.ndim == 2 else 3
    small = fit(pixels, *size, channels)
    return (small[..., 0] if channels == 1 else small), fit_classes(classes, *size)


def fit_classes(classes: np.ndarray, height: int, width: int) -> np.ndarray:
    """Classes, uint8 [h, w], resized to the nearest pixel."""
    if classes.shape == (height, width):
        return classes
    from PIL import Image

    picture = Image.fromarray(classes)
    return np.asarray(picture.resize((width, height), Image.Resampling.NEAREST))


def rounded(side: int) -> int:
    """A side that the network can halve down to its deepest level."""
    return -(-side // MULTIPLE) * MULTIPLE


def _name(
    read: Read,
    raw: Counter[int],
    found: Found,
    legend: Legend | None,
    options: SegmentationDataOptions,
    account: Account,
) -> None:
    """Names and colours of the classes; masks of 0 and 255 alone become 0 and 1."""
    if found.classes is not None:
        read.classes, read.colours = found.classes, [None] * len(found.classes)
        return
    if legend is not None:
        read.classes, read.colours = legend.classes, list(legend.colours())
        return
    if set(raw) == BINARY:
        masks = ArrayList()
        for mask in read.masks:
            masks.append((mask == IGNORED).astype(np.uint8))
        read.masks, read.classes = masks, [BACKGROUND, "foreground"]
        account.note("two-values", "all", "Masks have the values 0 and 255: 255 is foreground.")
    else:
        last = max((value for value in raw if value != options.ignored), default=0)
        if last > MOST_CLASSES - 1:
            account.forbid(
                "too-many-classes", "all", f"Masks have the number {last} and no legend.",
                f"Number the classes from 0 to {MOST_CLASSES - 1}, or write a legend.",
            )  # fmt: skip
            last = MOST_CLASSES - 1
        read.classes = [BACKGROUND, *(f"class {number}" for number in range(1, last + 1))]
        message = f"There is no legend: classes are called by their numbers, 0 to {last}."
        account.note("no-legend", "all", message, "Write classes.txt with a name a line.")
    read.colours = [None] * len(read.classes)


def check(read: Read, account: Account) -> None:
    """Say what a person should know: the same picture twice, one colour, unusual sizes."""
    checks.check_pictures(read.gathered, account, labels_optional=True)
    groups: dict[str, list[int]] = defaultdict(list)
    for row, digest in enumerate(read.gathered.digests):
        groups[digest].append(row)
    differing = [
        (read.gathered.places[row], f"Its mask differs from that of {read.gathered.places[first]}.")
        for first, *others in groups.values()
        for row in others
        if not np.array_equal(read.masks[first], read.masks[row])
    ]
    remedy = "The pictures are the same; keep the right mask."
    checks.warn_each(account, "two-masks", differing, remedy, "pictures have two masks")


def network_size(
    gathered: Gathered, options: SegmentationDataOptions, account: Account
) -> tuple[int, int]:
    """Height and width that the network sees, said in a note where it was chosen."""
    if options.size is not None:
        return rounded(options.size), rounded(options.size)
    sizes = set(gathered.originals)
    if options.large == "resize" and len(sizes) == 1:
        height, width = next(iter(sizes))
        if max(height, width) <= OWN_SIZE and (height, width) == (rounded(height), rounded(width)):
            return height, width
        if max(height, width) <= OWN_SIZE:
            message = f"Pictures are resized to {rounded(width)}x{rounded(height)} pixels."
            account.note("resized", "all", message, "Sides must be multiples of 32.")
            return rounded(height), rounded(width)
    how = "cut into tiles of" if options.large == "tile" else "resized to"
    message = f"Pictures are {how} {USUAL_SIZE}x{USUAL_SIZE} pixels."
    account.note("resized", "all", message, "Choose another size with --set data.size=256")
    return USUAL_SIZE, USUAL_SIZE


def _split(
    read: Read,
    rows: np.ndarray,
    size: tuple[int, int, int],
    options: SegmentationDataOptions,
    account: Account,
) -> Split:
    in_tiles, how = options.large == "tile", options.fit
    height, width, channels = size
    pieces: list[tuple[int, int, int]] = []
    for row in rows.tolist():
        shape = read.masks[row].shape
        corners = tiles.corners(shape, (height, width)) if in_tiles else [(0, 0)]
        pieces += [(row, top, left) for top, left in corners]
    if len(pieces) > len(rows):
        message = f"{len(rows)} pictures are cut into {len(pieces)} tiles; each is an example."
        account.note("tiles", "all", message)
    account.read += len(pieces) - len(rows)
    pictures = new_array((len(pieces), height, width, channels), np.uint8)
    masks = new_array((len(pieces), height, width), np.uint8)
    for place, (row, top, left) in enumerate(pieces):
        pixels, classes = read.gathered.pixels[row], read.masks[row]
        if in_tiles:
            pixels = tiles.cut(pixels, top, left, height, width, 0)
            classes = tiles.cut(classes, top, left, height, width, IGNORED)
        pixels, classes = fitted(pixels, classes, (height, width), how)
        pictures[place] = fit(pixels, height, width, channels)
        masks[place] = classes
    names = np.full(len(pieces), "\n".join(read.classes), dtype=object)
    sources = [
        read.gathered.places[row] + (f" at {left}, {top}" if in_tiles else "")
        for row, top, left in pieces
    ]
    return Split({"pictures": pictures, "classes": names}, masks, sources)


def _channels(gathered: Gathered) -> int:
    """1 when every picture is grey, otherwise 3."""
    return 3 if any(pixels.ndim == 3 for pixels in gathered.pixels) else 1


def class_counts(splits: dict[str, Split], classes: Sequence[str]) -> dict[str, dict[str, int]]:
    """Of each class and split, in how many examples it is to be seen."""
    counts: dict[str, dict[str, int]] = {
        name: dict.fromkeys(map(str, SPLIT_NAMES), 0) for name in classes
    }
    for home, split in splits.items():
        for mask in split.targets:
            for value in np.flatnonzero(np.bincount(mask.ravel(), minlength=256)[: len(classes)]):
                counts[classes[int(value)]][home] += 1
    return counts


def _check_classes(account: Account) -> None:
    for name, counts in account.classes.items():
        if not any(counts.values()):
            message = f"No mask has a pixel of the class '{name}'."
            account.warn("empty-class", name, message, "Label some, or take it out of the legend.")
        elif not counts["train"]:
            message = f"The class '{name}' is in no training mask: it cannot be learned."
            account.warn("class-not-in-train", name, message, "Add training pictures of it.")


def _nothing_usable(source: Path, account: Account) -> str:
    name = shown(source.name)
    if not account.rejections:
        return f"'{name}' has no pictures with masks."
    return f"'{name}': {account.nothing_left('picture')}"
