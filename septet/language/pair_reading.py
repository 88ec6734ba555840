"""From parallel text on disk to checked splits of examples."""

from pathlib import Path

import numpy as np

from septet.data.account import Account
from septet.data.dataset import SPLIT_NAMES, Dataset, Split
from septet.data.splitting import limited, make_splits
from septet.errors import DataError
from septet.language import pair_checks
from septet.language.pair_sources import read_pairs
from septet.language.pairs import Pairs
from septet.language.reading import objects
from septet.language.texts import normalised
from septet.language.translation_options import TranslationDataOptions


def read_dataset(source: Path, options: TranslationDataOptions, seed: int) -> Dataset:
    """Read, check and split the parallel text at `source`.

    Examples are {"texts": object array of str}, what to translate; targets are translations.

    Raises:
        DataError: `source` as a whole cannot be understood.
    """
    account = Account()
    pairs = pair_checks.reject_pairs(read_pairs(source, options, account), account)
    _require_pairs(pairs, account, source.name)
    pair_checks.check_pairs(pairs, account)
    rows = split_rows(pairs, options, seed)
    rows = limited(rows, options.limit, seed=seed, account=account, noun="pairs")
    splits = {name: _split(pairs, chosen) for name, chosen in rows.items()}
    account.close({name: len(split) for name, split in splits.items()})
    return Dataset(splits, account, {"names": list(pairs.names)})


def _split(pairs: Pairs, rows: np.ndarray) -> Split:
    return Split(
        {"texts": objects([pairs.sources[row] for row in rows])},
        objects([pairs.targets[row] for row in rows]),
        [pairs.place(row) for row in rows],
    )


def _require_pairs(pairs: Pairs, account: Account, source: str) -> None:
    if len(pairs):
        return
    if not account.rejections:
        raise DataError(f"{source} has no pairs to train on.")
    raise DataError(f"{source}: {account.nothing_left('pair')}")


def split_rows(pairs: Pairs, options: TranslationDataOptions, seed: int) -> dict[str, np.ndarray]:
    """Rows of each split: as the data give them, and cut from the training rows otherwise.

    Pairs that share a side never lie in two of the parts that are cut.
    """
    homes = np.array([home or "train" for home in pairs.homes], dtype=object)
    given = {name: np.flatnonzero(homes == name) for name in SPLIT_NAMES}
    train = given["train"]
    shares = {}
    if not len(given["test"]):
        shares["test"] = options.test_fraction
    if not len(given["validation"]):
        # The share is of what is left for training once the test set is set aside.
        shares["validation"] = options.validation_fraction * (1 - shares.get("test", 0.0))
    fractions = {"train": 1.0 - sum(shares.values()), **shares}
    cut = make_splits(kin_of(pairs, train.tolist()), None, seed=seed, fractions=fractions)
    return {name: train[cut[name]] if name in cut else given[name] for name in SPLIT_NAMES}


def kin_of(pairs: Pairs, rows: list[int]) -> list[str]:
    """A key for each row, the same for rows that share a side, or do so by way of others."""
    parents: dict[str, str] = {}

    def root(key: str) -> str:
        while (parent := parents.setdefault(key, key)) != key:
            parents[key] = parents[parent]
            key = parents[key]
        return key

    # The sides have names of their own, so that a word that is in both joins nothing.
    keys = [
        ("s" + normalised(pairs.sources[row]), "t" + normalised(pairs.targets[row])) for row in rows
    ]
    for first, second in keys:
        a, b = sorted((root(first), root(second)))
        parents[b] = a
    return [root(first) for first, _ in keys]
