"""Movie sentences with their mean rating as a table of texts, classes and splits.

Knows nothing of where they come from.
"""

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from septet.errors import DataError

HEADER = ("text", "label", "split")
ARCHIVE = "vaderSentiment-2.5.tar.gz"
TEST_TENTHS = 1
"""Of ten parts by hash, those that are the test."""

Row = tuple[str, str, str]
"""Text, class, split."""


def read_ratings(content: bytes) -> list[Row]:
    """The sentences of the published file: lines of number, mean rating and text.

    A sentence is positive where its mean rating, -4 to 4, is above 0. Which split it is in
    follows from a hash of its words, so equal sentences are in the same.

    Raises:
        DataError: A line is not of that form.
    """
    rows = []
    for number, line in enumerate(content.decode("utf-8").splitlines(), 1):
        cells = line.split("\t")
        try:
            _, rating, text = cells
            is_positive = float(rating) > 0
        except ValueError:
            raise DataError(f"Line {number} of the movie sentences is not as published.") from None
        label = "positive" if is_positive else "negative"
        rows.append((text, label, "test" if place_of(text) < TEST_TENTHS else "train"))
    return rows


def place_of(text: str) -> int:
    """Which of ten parts a sentence is in: 0 to 9."""
    words = " ".join(text.casefold().split())
    return int.from_bytes(hashlib.blake2b(words.encode(), digest_size=8).digest()) % 10


def pack(contents: Mapping[str, bytes], path: Path) -> None:
    """Write the set as one table at `path`."""
    path.write_bytes(as_table(read_ratings(contents[ARCHIVE])))


def as_table(rows: Sequence[Row]) -> bytes:
    """Rows as tab-separated text with a header."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerows([HEADER, *rows])
    return text.getvalue().encode()
