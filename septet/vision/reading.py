"""From a folder, list or archive of pictures to checked splits of examples."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from septet.data.account import Account, Rejection
from septet.data.dataset import SPLIT_NAMES, Dataset, Split
from septet.data.splitting import limited, make_splits
from septet.errors import DataError
from septet.vision import checks, kept_pictures
from septet.vision.archives import read_archive
from septet.vision.decoding import Picture
from septet.vision.gathering import LARGEST_OWN_SIZE, Gathered, common_size, stack
from septet.vision.options import ImageDataOptions
from septet.vision.sources import FolderReader, Found, read_list, shown

NO_PIXELS = np.empty((0, 0), np.uint8)
DELIMITERS = {".csv": ",", ".tsv": "\t"}


def read_dataset(
    source: Path, options: ImageDataOptions, seed: int, *, labels_optional: bool = False
) -> Dataset:
    """Read, check and split the pictures at `source`.

    With `labels_optional`, a folder of pictures without class folders is one class.

    Examples are {"pictures": uint8 [N, height, width, channels]}; targets are class names.

    Raises:
        DataError: `source` as a whole cannot be understood.
    """
    account = Account()
    gathered = gather(source, options, account, labels_optional=labels_optional)
    if not len(gathered):
        raise DataError(nothing_usable(source, account, "picture"))
    checks.check_pictures(gathered, account, labels_optional=labels_optional)
    rows = split_rows(gathered, options, seed)
    rows = reject_unknown_labels(gathered, rows, account)
    rows = limited(rows, options.limit, seed=seed, account=account, noun="pictures")
    height, width = common_size(gathered, options.size, account, options.fit)
    channels = options.channels or _channels(gathered)
    splits = {
        name: Split(
            {"pictures": stack(gathered.pixels, chosen, height, width, channels, options.fit)},
            np.array([gathered.labels[row] for row in chosen], dtype=object),
            [gathered.places[row] for row in chosen],
        )
        for name, chosen in rows.items()
    }
    account.classes = count_classes(splits)
    account.close({name: len(split) for name, split in splits.items()})
    labels = ordered(set(splits["train"].targets.tolist()), gathered.class_order)
    facts = {"labels": labels, "height": height, "width": width, "channels": channels}
    facts["fit"] = options.fit
    return Dataset(splits, account, facts)


def gather(
    source: Path, options: ImageDataOptions, account: Account, *, labels_optional: bool = False
) -> Gathered:
    """All usable pictures of a folder, `.csv`, `.tsv` or `.npz` file.

    Raises:
        DataError: There is nothing at `source`, or nothing that can be understood.
    """
    if source.is_dir():
        reader = FolderReader(source, account, labels_optional=labels_optional)
        return _decode(reader.read(), options, account)
    if not source.is_file():
        raise DataError(f"There is no file or folder '{shown(str(source))}'.")
    suffix = source.suffix.lower()
    if suffix == ".npz":
        return read_archive(source, account)
    if suffix in DELIMITERS:
        columns: Mapping[str, str | None] = {
            "path": options.path_column,
            "label": options.label_column,
            "split": options.split_column,
        }
        found = read_list(source, account, columns, DELIMITERS[suffix])
        return _decode(found, options, account)
    raise DataError(
        f"'{shown(source.name)}' is no set of pictures. Expected a folder with one folder for "
        "each class, a .csv or .tsv file of paths and labels, or a .npz file of arrays."
    )


def _decode(found: Found, options: ImageDataOptions, account: Account) -> Gathered:
    side = options.size or LARGEST_OWN_SIZE
    exact = options.size is not None or options.fit != "stretch"
    gathered, examples, pictures = Gathered(), [], []
    paths = [example.path for example in found.examples]
    results = kept_pictures.pictures(paths, (side, side), exact=exact, how=options.fit)
    for example, result in zip(found.examples, results, strict=True):
        if not isinstance(result, Picture):
            place = (example.file, example.line, result.reason, result.remedy)
            account.rejections.append(Rejection(result.code, *place))
            continue
        gathered.add(
            result.pixels,
            example.label,
            example.split,
            example.place,
            result.digest,
            result.original,
        )
        gathered.blanks.append(result.blank)
        examples.append(example)
        pictures.append(replace(result, pixels=NO_PIXELS))
    checks.check_files(examples, pictures, account)
    checks.check_folders(found.folders, examples, account)
    return gathered


def nothing_usable(source: Path, account: Account, noun: str) -> str:
    """Why there is nothing to train on, with the likeliest remedy."""
    name = shown(source.name)
    if account.rejections:
        return f"'{name}': {account.nothing_left(noun)}"
    lists = []
    if source.is_dir():
        lists = [path.name for path in source.iterdir() if path.suffix.lower() in DELIMITERS]
    hint = f" Or did you mean '{shown(sorted(lists)[0])}' in it?" if lists else ""
    return (
        f"'{name}' has no {noun}s. Expected a folder with one folder of {noun}s for each "
        f"class.{hint}"
    )


def split_rows(gathered: Gathered, options: ImageDataOptions, seed: int) -> dict[str, np.ndarray]:
    """Rows of each split: as the set says, what it lacks cut from its training part.

    The same picture never lies in two of the parts that are cut.

    Raises:
        DataError: No picture is left for training.
    """
    homes = np.array([split or "train" for split in gathered.splits], dtype=object)
    rows = {name: np.flatnonzero(homes == name) for name in SPLIT_NAMES}
    train = rows["train"]
    if not len(train):
        raise DataError("No usable picture is for training. Put some into the train split.")
    shares = {}
    if not len(rows["test"]):
        shares["test"] = options.test_fraction
    if not len(rows["validation"]):
        # The share is of what is left for training once the test set is set aside.
        shares["validation"] = options.validation_fraction * (1 - shares.get("test", 0.0))
    fractions = {"train": 1.0 - sum(shares.values()), **shares}
    digests = [gathered.digests[row] for row in train]
    labels = [gathered.labels[row] for row in train]
    cut = make_splits(digests, labels, seed=seed, fractions=fractions)
    return {name: train[cut[name]] if name in cut else rows[name] for name in SPLIT_NAMES}


def reject_unknown_labels(
    gathered: Gathered, rows: dict[str, np.ndarray], account: Account
) -> dict[str, np.ndarray]:
    """Without the pictures whose class the training split lacks."""
    known = {gathered.labels[row] for row in rows["train"]}
    kept = {"train": rows["train"]}
    for name in ("validation", "test"):
        is_known = np.array([gathered.labels[row] in known for row in rows[name]], dtype=bool)
        for row in rows[name][~is_known]:
            reason = f"Its label '{gathered.labels[row]}' does not occur in the training split."
            remedy = "Add training pictures of that class, or remove this one."
            file, line = _file_and_line(gathered.places[row])
            account.rejections.append(Rejection("label-not-in-train", file, line, reason, remedy))
        kept[name] = rows[name][is_known]
    return kept


def _file_and_line(place: str) -> tuple[str, int | None]:
    """A place such as "labels.csv:17" as file and line; other places as they are."""
    file, colon, line = place.rpartition(":")
    is_list = colon and line.isdigit() and file.lower().endswith(tuple(DELIMITERS))
    return (file, int(line)) if is_list else (place, None)


def _channels(gathered: Gathered) -> int:
    """1 when every picture is grey, otherwise 3."""
    for pixels in gathered.pixels:
        if pixels.ndim == 3 and not (pixels == pixels[:, :, :1]).all():
            return 3
    return 1


def ordered(labels: set[str], order: list[str] | None) -> list[str]:
    """Classes in the set's own order, otherwise by number or name."""
    if order is not None:
        return [label for label in order if label in labels]
    return sorted(labels, key=_natural)


def _natural(label: str) -> tuple[int, float, str]:
    try:
        return 0, float(int(label)), label
    except (ValueError, OverflowError):
        return 1, 0.0, label


def count_classes(splits: Mapping[str, Split]) -> dict[str, dict[str, int]]:
    """Examples of each class in each split."""
    names = sorted({name for split in splits.values() for name in split.targets}, key=_natural)
    counts = {name: dict.fromkeys(splits, 0) for name in names}
    for home, split in splits.items():
        for name in split.targets:
            counts[name][home] += 1
    return counts
