"""Labelled texts side by side, and where each came from."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

from septet.data.account import Rejection

Labels = str | tuple[str, ...]
"""The class of a text, "" where none is given; or any number of labels, each once, in order."""


def names_of(labels: Labels) -> tuple[str, ...]:
    """The names that labels have: one of a class, any number of a text with several."""
    return (labels,) if isinstance(labels, str) else labels


@dataclass
class Texts:
    """One entry a text in every list.

    Args:
        texts: The texts.
        labels: Their classes; or, of `several`, tuples of labels, "" where nothing is said.
        files: File of each, for messages.
        lines: Line of each in its file, from 1; None where the file is the text.
        homes: The split that the data puts each in; "" where they do not say.
        several: Whether a text may have any number of labels.
    """

    texts: list[str] = field(default_factory=list)
    labels: list[Labels] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    lines: list[int | None] = field(default_factory=list)
    homes: list[str] = field(default_factory=list)
    several: bool = False

    def __len__(self) -> int:
        """Number of texts."""
        return len(self.texts)

    def add(self, text: str, label: Labels, file: str, line: int | None, home: str) -> None:
        """One more text."""
        self.texts.append(text)
        self.labels.append(label)
        self.files.append(file)
        self.lines.append(line)
        self.homes.append(home)

    def take(self, rows: Sequence[int]) -> "Texts":
        """The texts at `rows`, in that order."""
        return Texts(
            [self.texts[row] for row in rows],
            [self.labels[row] for row in rows],
            [self.files[row] for row in rows],
            [self.lines[row] for row in rows],
            [self.homes[row] for row in rows],
            self.several,
        )

    def place(self, row: int) -> str:
        """Where a text is, as "reviews.csv:17" or "positive/3.txt"."""
        line = self.lines[row]
        return self.files[row] if line is None else f"{self.files[row]}:{line}"

    def rejection(self, row: int, code: str, reason: str, remedy: str) -> Rejection:
        """The text at `row` as a rejection."""
        return Rejection(code, self.files[row], self.lines[row], reason, remedy)


def normalised(text: str) -> str:
    """What two texts have in common that a reader would call the same.

    Compatible characters (NFKC), case and white space do not count.
    """
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
