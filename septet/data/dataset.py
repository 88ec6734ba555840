"""A data set in memory: three splits of examples and the account of how they came about."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from septet.data.account import Account

SPLIT_NAMES = ("train", "validation", "test")


@dataclass(frozen=True)
class Split:
    """Examples of one split, in a fixed order.

    Args:
        examples: Dictionary of arrays whose first axis is the example.
        targets: Class names (object array of str), tuples of labels or numbers (float64), one an
            example.
        sources: Where each example came from, as "folder/a.png" or "table.csv:17".
    """

    examples: dict[str, np.ndarray]
    targets: np.ndarray
    sources: list[str]

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.targets)

    def take(self, rows: np.ndarray) -> "Split":
        """The examples at `rows`, in that order."""
        return Split(
            {name: array[rows] for name, array in self.examples.items()},
            self.targets[rows],
            [self.sources[row] for row in rows],
        )


@dataclass(frozen=True)
class Dataset:
    """Splits by name ("train", "validation", "test"; the last may be empty) and the account.

    `facts` is what the reader learned and `prepare` needs (a picture's size, a
    table's column kinds): plain JSON values.
    """

    splits: dict[str, Split]
    account: Account
    facts: dict[str, Any]
