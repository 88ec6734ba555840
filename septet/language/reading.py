"""From labelled texts on disk to checked splits of examples."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from septet.data.account import Account
from septet.data.dataset import SPLIT_NAMES, Dataset, Split
from septet.data.splitting import limited, make_splits
from septet.errors import DataError
from septet.language import checks, label_sets
from septet.language.options import TextDataOptions
from septet.language.sources import read_texts
from septet.language.texts import Texts, names_of, normalised


def read_dataset(source: Path, options: TextDataOptions, seed: int) -> Dataset:
    """Read, check and split the labelled texts at `source`.

    Examples are {"texts": object array of str}; targets are class names, or tuples of labels
    where the fact "several" is true.

    Raises:
        DataError: `source` as a whole cannot be understood.
    """
    account = Account()
    texts = read_texts(source, options, account)
    if texts.several:
        texts = label_sets.read_label_sets(texts, options.label_separator, account)
    texts = checks.reject_texts(texts, account)
    _require_texts(texts, account, source.name)
    texts = _known_classes(texts, account)
    _require_texts(texts, account, source.name)
    checks.check_texts(texts, account)
    check_labels = label_sets.check_label_sets if texts.several else checks.check_labels
    check_labels(texts, account)
    rows = split_rows(texts, options, seed)
    rows = limited(rows, options.limit, seed=seed, account=account, noun="texts")
    splits = {name: _split(texts, chosen) for name, chosen in rows.items()}
    account.classes = _count_classes(splits)
    account.close({name: len(split) for name, split in splits.items()})
    classes = sorted({n for labels in texts.labels for n in names_of(labels)}, key=class_order)
    if texts.several:
        label_sets.warn_of_untrained(classes, account)
    return Dataset(
        splits, account, {"classes": classes} | ({"several": True} if texts.several else {})
    )


def _split(texts: Texts, rows: np.ndarray) -> Split:
    return Split(
        {"texts": objects([texts.texts[row] for row in rows])},
        objects([texts.labels[row] for row in rows]),
        [texts.place(row) for row in rows],
    )


def objects(values: Sequence[Any]) -> np.ndarray:
    """Texts as an array of objects, which takes no more memory for the longest of them."""
    return np.fromiter(values, dtype=object, count=len(values))


def _require_texts(texts: Texts, account: Account, source: str) -> None:
    if len(texts):
        return
    if not account.rejections:
        raise DataError(f"{source} has no texts to train on.")
    raise DataError(f"{source}: {account.nothing_left('text')}")


def _known_classes(texts: Texts, account: Account) -> Texts:
    """Texts whose classes occur in the training split; the others become rejections."""
    trained = [row for row, home in enumerate(texts.homes) if home in ("", "train")]
    if not trained:
        raise DataError("No usable text is for training. Put some into the train split.")
    known = {name for row in trained for name in names_of(texts.labels[row])}
    noun = "label" if texts.several else "class"
    kept = []
    for row, labels in enumerate(texts.labels):
        unknown = next((name for name in names_of(labels) if name not in known), None)
        if unknown is None:
            kept.append(row)
            continue
        reason = f"The {noun} '{unknown[:80]}' is not in the training split."
        remedy = f"Correct it, or add training texts of that {noun}."
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
    labels = label_sets.strata([texts.labels[row] for row in train])
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
    found = {
        home: Counter(name for labels in split.targets for name in names_of(labels))
        for home, split in splits.items()
    }
    names = sorted({name for own in found.values() for name in own}, key=class_order)
    return {name: {home: own[name] for home, own in found.items()} for name in names}
