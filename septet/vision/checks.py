"""What a person should know about a set of pictures before training on it.

Knows decoded pictures and their labels; reads no files.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

import numpy as np

from septet.data.account import Account
from septet.data.labels import imbalance, similar_labels
from septet.vision.decoding import Picture
from septet.vision.gathering import Gathered
from septet.vision.sources import Example
from septet.vision.worker import EXTENSIONS

MOST_NAMED = 100
"""So many findings of one kind are spelled out; the others are counted."""

OUTLYING_AREA = 16.0
OUTLYING_ASPECT = 3.0
"""Times larger or smaller than the median, from which a picture's size or shape stands out."""


def warn_each(
    account: Account, code: str, found: Iterable[tuple[str, str]], remedy: str, rest: str
) -> None:
    """A warning for each (place, message), from the 101st on counted in one as `rest`."""
    found = list(found)
    for place, message in found[:MOST_NAMED]:
        account.warn(code, place, message, remedy)
    if len(found) > MOST_NAMED:
        more = len(found) - MOST_NAMED
        account.warn(code, "all", f"{more} more {rest}.", remedy)


def check_files(examples: Sequence[Example], pictures: Sequence[Picture], account: Account) -> None:
    """Say which decoded files have a wrong extension or several pictures."""
    wrong, animated = [], []
    for example, picture in zip(examples, pictures, strict=True):
        suffix = PurePosixPath(example.path).suffix
        if EXTENSIONS.get(suffix.lower()) != picture.format:
            message = f"The content is {picture.format}, the extension is '{suffix}'. It was used."
            wrong.append((example.place, message))
        if picture.frames > 1:
            message = f"The file has {picture.frames} pictures. The first was used."
            animated.append((example.place, message))
    remedy = "Rename it after its content."
    warn_each(account, "wrong-extension", wrong, remedy, "files have a wrong extension")
    remedy = "Keep the picture you mean as a file of its own."
    warn_each(account, "several-pictures", animated, remedy, "files have several pictures")


def check_folders(
    folders: Sequence[tuple[str, str]],
    examples: Sequence[Example],
    account: Account,
    *,
    noun: str = "picture",
) -> None:
    """Say which class folders gave no usable picture, and which name the same class."""
    used = {example.file for example in examples}
    filled = {str(parent) for file in used for parent in PurePosixPath(file).parents}
    names: dict[tuple[str, str], list[str]] = defaultdict(list)
    for place, label in folders:
        names[str(PurePosixPath(place).parent), label].append(place)
        if place not in filled:
            message = f"The folder of class '{label}' has no usable {noun}."
            account.warn("empty-class", place, message, f"Add {noun}s, or remove the folder.")
    for (_, label), places in names.items():
        if len(places) > 1:
            message = f"{len(places)} folders are the same name '{label}' in different bytes."
            account.warn("merged-class", places[0], message, f"Move their {noun}s into one folder.")


def check_pictures(gathered: Gathered, account: Account, *, labels_optional: bool = False) -> None:
    """All checks that need pixels, sizes, given splits and, unless they are optional, labels."""
    check_duplicates(gathered, account, "picture")
    _check_blank(gathered, account)
    _check_sizes(gathered, account)
    if not labels_optional:
        _check_labels(gathered, account)


def check_duplicates(gathered: Gathered, account: Account, noun: str) -> None:
    """Say which examples have the same pixels; in a group each is compared with the first."""
    groups: dict[str, list[int]] = defaultdict(list)
    for row, digest in enumerate(gathered.digests):
        groups[digest].append(row)
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for first, *others in groups.values():
        for row in others:
            code, message = _compare(gathered, first, row, noun)
            found[code].append((gathered.places[row], message))
    remedies = {
        "two-labels": ("Keep it under the right label only.", f"{noun}s have two labels"),
        "duplicate-across-splits": (
            f"Remove one: scores on {noun}s seen in training mislead.",
            f"{noun}s are in two splits",
        ),
        "duplicate": ("Remove one; Septet keeps both in the same split.", "duplicates"),
    }
    for code, (remedy, rest) in remedies.items():
        warn_each(account, code, found[code], remedy, rest)


def _compare(gathered: Gathered, first: int, row: int, noun: str) -> tuple[str, str]:
    """Code and message for two equal examples."""
    other = gathered.places[first]
    labels = gathered.labels[first], gathered.labels[row]
    splits = gathered.splits[first], gathered.splits[row]
    if labels[0] != labels[1]:
        return "two-labels", f"Labelled '{labels[1]}', and the same {noun} {other} '{labels[0]}'."
    if splits[0] != splits[1]:
        message = f"In '{splits[1]}', and the same {noun} {other} in '{splits[0]}'."
        return "duplicate-across-splits", message
    return "duplicate", f"The same {noun} as {other}."


def _check_blank(gathered: Gathered, account: Account) -> None:
    rows = [row for row, is_blank in enumerate(gathered.blanks) if is_blank]
    found = [(gathered.places[row], "The whole picture has one colour.") for row in rows]
    remedy = "Look whether it was saved or cut wrongly."
    warn_each(account, "blank-picture", found, remedy, "pictures have one colour only")


def _check_sizes(gathered: Gathered, account: Account) -> None:
    """Say which pictures differ much from the median in area or in shape."""
    if len(set(gathered.originals)) < 2:
        return
    sizes = np.array(gathered.originals, float)
    area, aspect = sizes.prod(axis=1), sizes[:, 1] / sizes[:, 0]
    of_area, of_aspect = np.median(area), np.median(aspect)
    odd_area = np.abs(np.log(area / of_area)) > np.log(OUTLYING_AREA)
    odd_aspect = np.abs(np.log(aspect / of_aspect)) > np.log(OUTLYING_ASPECT)

    def named(rows: np.ndarray, median: str) -> list[tuple[str, str]]:
        return [(gathered.places[row], _size_message(sizes[row], median)) for row in rows]

    typical = f"{of_area**0.5:.0f}x{of_area**0.5:.0f} pixels in area"
    remedy = "Look whether it belongs here; it is resized like the others."
    found = named(np.flatnonzero(odd_area), typical)
    warn_each(account, "odd-size", found, remedy, "pictures have an unusual size")
    typical = f"{of_aspect:.2g} times as wide as high"
    found = named(np.flatnonzero(odd_aspect & ~odd_area), typical)
    warn_each(account, "odd-shape", found, remedy, "pictures have an unusual shape")


def _size_message(size: np.ndarray, typical: str) -> str:
    return f"It is {size[1]:.0f} wide and {size[0]:.0f} high; the median is {typical}."


def _check_labels(gathered: Gathered, account: Account) -> None:
    counts = Counter(gathered.labels)
    for rare, common in similar_labels(counts):
        message = f"The label '{rare}' ({counts[rare]}) looks like '{common}' ({counts[common]})."
        account.warn("similar-label", rare, message, "Rename it if it is a typing error.")
    for label, count in sorted(counts.items()):
        if count == 1:
            message = f"The class '{label}' has one picture: it cannot be both learned and scored."
            account.warn("single-picture-class", label, message, "Add pictures of it.")
    ratio = imbalance(counts)
    if ratio is not None:
        largest, smallest = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
        message = f"'{largest}' has {ratio:.0f} times as many pictures as '{smallest}'."
        remedy = "Weigh the classes with --set training.class_weights=balanced"
        account.warn("imbalance", "all", message, remedy)
    if len(counts) < 2:
        message = f"There is {len(counts)} class; a classifier needs at least two."
        remedy = "Give one folder for each class, or check the label column."
        account.forbid("too-few-classes", "all", message, remedy)
