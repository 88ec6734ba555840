"""The account of a data set: read = used + rejected, every rejection named."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from septet.errors import DataError


@dataclass(frozen=True)
class Rejection:
    """One example that was read and not used.

    Args:
        code: What kind of defect, as "truncated-picture"; stable, for machines.
        file: Path relative to the source, as text (undecodable bytes escaped).
        line: Line in the file, from 1; None where lines mean nothing.
        reason: What is wrong, with the value that was found.
        remedy: What the user can do about it.
    """

    code: str
    file: str
    line: int | None
    reason: str
    remedy: str

    @property
    def place(self) -> str:
        """File, and line where it has one."""
        return self.file if self.line is None else f"{self.file}, line {self.line}"


@dataclass(frozen=True)
class Finding:
    """Something about the set as a whole that the user should know.

    `severity` is "note" (said, harmless), "warning" (likely a defect) or "error"
    (training on it is refused).
    """

    code: str
    severity: Literal["note", "warning", "error"]
    where: str
    message: str
    remedy: str


@dataclass
class Account:
    """What was read, what became of it, and what a person should know before training.

    Args:
        read: Examples found (rows, pictures).
        used: Examples in the splits; always `read - len(rejections)`.
        splits: Examples in each split.
        classes: For classification, examples of each class in each split.
    """

    read: int = 0
    used: int = 0
    rejections: list[Rejection] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    splits: dict[str, int] = field(default_factory=dict)
    classes: dict[str, dict[str, int]] = field(default_factory=dict)

    def close(self, splits: dict[str, int]) -> None:
        """Record the split sizes and prove that nothing was lost on the way."""
        self.splits = dict(splits)
        self.used = sum(splits.values())
        if self.read != self.used + len(self.rejections):
            raise AssertionError(
                f"The account does not balance: read {self.read}, used {self.used}, "
                f"rejected {len(self.rejections)}."
            )

    def note(self, code: str, where: str, message: str, remedy: str = "") -> None:
        """Add a harmless finding."""
        self.findings.append(Finding(code, "note", where, message, remedy))

    def warn(self, code: str, where: str, message: str, remedy: str) -> None:
        """Add a finding that is likely a defect."""
        self.findings.append(Finding(code, "warning", where, message, remedy))

    def forbid(self, code: str, where: str, message: str, remedy: str) -> None:
        """Add a finding that makes training pointless; `require_trainable` raises."""
        self.findings.append(Finding(code, "error", where, message, remedy))

    def require_trainable(self, max_rejected: float) -> None:
        """Refuse to train on a set with errors or too many rejections.

        Raises:
            DataError: An error finding, nothing left, or too large a rejected share.
        """
        for finding in self.findings:
            if finding.severity == "error":
                raise DataError(f"{finding.where}: {finding.message} {finding.remedy}".strip())
        share = len(self.rejections) / max(self.read, 1)
        if self.rejections and share > max_rejected:
            first, verb = self.rejections[0], "was" if len(self.rejections) == 1 else "were"
            raise DataError(
                f"{len(self.rejections)} of {self.read} examples ({share:.1%}) {verb} rejected, "
                f"more than data.max_rejected={max_rejected:g} allows. First: {first.place}: "
                f"{first.reason} See them all with 'septet check', mend them, or allow them "
                f"with --set data.max_rejected={min(1.0, share + 0.005):.2f}"
            )

    def nothing_left(self, noun: str) -> str:
        """That every example, a `noun`, was rejected, and why the first was."""
        first = self.rejections[0]
        why = f"{first.place}: {first.reason} {first.remedy}"
        if self.read == 1:
            return f"the only {noun} was rejected. {why}"
        return f"all {self.read} {noun}s were rejected. First: {why}"

    def to_json(self) -> dict[str, Any]:
        """The account as plain values."""
        return {
            "read": self.read,
            "used": self.used,
            "rejected": len(self.rejections),
            "splits": self.splits,
            "classes": self.classes,
            "rejections": _plain(self.rejections),
            "findings": _plain(self.findings),
        }


def _plain(items: Iterable[Any]) -> list[dict[str, Any]]:
    return [asdict(item) for item in items]
