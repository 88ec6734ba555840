"""From labelled texts on disk to checked splits of examples."""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from septet.data.account import Account
from septet.data.dataset import SPLIT_NAMES, Dataset, Split
from septet.data.splitting import limited, make_splits
from septet.errors import DataError
from septet.language import checks
from septet.language.options import TextDataOptions
from septet.language.sources import read_texts
from septet.language.texts import Texts, normalised


def read_dataset(source: Path, options: TextDataOptions, seed: int) -> Dataset:
    """Read, check and split the labelled texts at `source`.

    Examples are {"texts": object array of str}; targets are class names.

    Raises:
        DataError: `source` as a whole cannot be understood.
    """
    account = Account()
    texts = checks.reject_texts(read_texts(source, options, account), account)
    _require_texts(texts, account, source.name)
    texts = _known_classes(texts, account)
    _require_texts(texts, account, source.name)
    checks.check_texts(texts, account)
    rows = split_rows(texts, options, seed)
    rows = limited(rows, options.limit, seed=seed, account=account, noun="texts")
    splits = {name: _split(texts, chosen) for name, chosen in rows.items()}
    account.classes = _count_classes(splits)
    account.close({name: len(split) for name, split in splits.items()})
    classes = sorted(set(texts.labels), key=class_order)
    return Dataset(splits, account, {"classes": classes})


def _split(texts: Texts, rows: np.ndarray) -> Split:
    return Split(
        {"texts": objects([texts.texts[row] for row in rows])},
        objects([texts.labels[row] for row in rows]),
        [texts.place(row) for row in rows],
    )


def objects(values: list[str]) -> np.ndarray:
    """Texts as an array of objects, which takes no more memory for the longest of them."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _require_texts(texts: Texts, account: Account, source: str) -> None:
    if len(texts):
        return
    if not account.rejections:
        raise DataError(f"{source} has no texts to train on.")
    raise DataError(f"{source}: {account.nothing_left('text')}")


def _known_classes(texts: Texts, account: Account) -> Texts:
    """Texts whose class occurs in the training split; the others become rejections."""
    pairs = list(zip(texts.labels, texts.homes, strict=True))
    known = {label for label, home in pairs if home in ("", "train")}
    if not known:
        raise DataError("No usable text is for training. Put some into the train split.")
    kept = []
    for row, (label, _) in enumerate(pairs):
        if label in known:
            kept.append(row)
            continue
        reason = f"The class '{label[:80]}' is not in the training split."
        remedy = "Correct it, or add training texts of that class."
        account.rejections.append(texts.rejection(row, "unknown-class", reason, remedy))
    return texts if len(kept) == len(texts) else texts.take(kept)


def split_rows(texts: Texts, options: TextDataOptions, seed: int) -> dict[str, np.ndarray]:
    """Rows of each split: as the data give them, and cut from the training rows otherwise.

    Texts that are the same never lie in two of the parts that are cut.
    """
    homes = np.array([home or "train" for home in texts.homes], dtype=object)
    given = {name: np.flatnonzero(homes == name) for name in SPLIT_NAMES}
    train = given["train"]
    shares = {}
    if not len(given["test"]):
        shares["test"] = options.test_fraction
    if not len(given["validation"]):
        # The share is of what is left for training once the test set is set aside.
        shares["validation"] = options.validation_fraction * (1 - shares.get("test", 0.0))
    fractions = {"train": 1.0 - sum(shares.values()), **shares}
    keys = [normalised(texts.texts[row]) for row in train]
    labels = [texts.labels[row] for row in train]
    cut = make_splits(keys, labels, seed=seed, fractions=fractions)
    return {name: train[cut[name]] if name in cut else given[name] for name in SPLIT_NAMES}


def class_order(name: str) -> tuple[int, float, str]:
    """Classes that are numbers by size, the others by name."""
    try:
        number = float(name)
    except ValueError:
        number = math.nan
    return (0, number, name) if math.isfinite(number) else (1, 0.0, name)


def _count_classes(splits: Mapping[str, Split]) -> dict[str, dict[str, int]]:
    names = sorted({name for split in splits.values() for name in split.targets}, key=class_order)
    counts = {name: dict.fromkeys(splits, 0) for name in names}
    for home, split in splits.items():
        for name in split.targets:
            counts[name][home] += 1
    return counts
