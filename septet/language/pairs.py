"""Texts and their translations side by side, and where each pair came from."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from septet.data.account import Rejection


@dataclass
class Pairs:
    """One entry a pair in every list.

    Args:
        names: What the two sides are called: languages, columns or endings of files.
        sources: Texts to translate.
        targets: Their translations.
        files: File of each, for messages.
        lines: Line of each in its file, from 1; None where lines mean nothing.
        homes: The split that the data puts each in; "" where they do not say.
    """

    names: tuple[str, str] = ("source", "target")
    sources: list[str] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    lines: list[int | None] = field(default_factory=list)
    homes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.sources)

    def add(self, source: str, target: str, file: str, line: int | None, home: str) -> None:
        """One more pair."""
        self.sources.append(source)
        self.targets.append(target)
        self.files.append(file)
        self.lines.append(line)
        self.homes.append(home)

    def take(self, rows: Sequence[int]) -> "Pairs":
        """The pairs at `rows`, in that order."""
        return Pairs(
            self.names,
            [self.sources[row] for row in rows],
            [self.targets[row] for row in rows],
            [self.files[row] for row in rows],
            [self.lines[row] for row in rows],
            [self.homes[row] for row in rows],
        )

    def reversed(self) -> "Pairs":
        """The same with the sides exchanged."""
        return Pairs(
            (self.names[1], self.names[0]),
            self.targets,
            self.sources,
            self.files,
            self.lines,
            self.homes,
        )

    def place(self, row: int) -> str:
        """Where a pair is, as "train.tsv:17"."""
        line = self.lines[row]
        return self.files[row] if line is None else f"{self.files[row]}:{line}"

    def rejection(self, row: int, code: str, reason: str, remedy: str) -> Rejection:
        """The pair at `row` as a rejection."""
        return Rejection(code, self.files[row], self.lines[row], reason, remedy)
