"""Memory for blocks of rows that several processes share."""

import math
import mmap
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

ALIGNMENT = 64
"""Of each array: what a device needs to take host memory as it is."""


@dataclass(frozen=True)
class Layout:
    """Some slots, each with room for a block of rows of several arrays.

    Args:
        leaves: (type, shape of a row) of each array.
        rows: Rows of a slot.
        slots: How many.
    """

    leaves: tuple[tuple[str, tuple[int, ...]], ...]
    rows: int
    slots: int

    @classmethod
    def of(cls, leaves: Sequence[tuple[np.dtype, tuple[int, ...]]], rows: int, slots: int):
        """For arrays of these types and row shapes."""
        return cls(tuple((kind.str, tuple(shape)) for kind, shape in leaves), rows, slots)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {"leaves": self.leaves, "rows": self.rows, "slots": self.slots}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Layout":
        """What `to_json` gave."""
        leaves = tuple((kind, tuple(shape)) for kind, shape in values["leaves"])
        return cls(leaves, values["rows"], values["slots"])

    @property
    def slot_bytes(self) -> int:
        """Bytes of a slot."""
        return sum(_aligned(size * self.rows) for size in self._row_bytes())

    @property
    def total_bytes(self) -> int:
        """Bytes of all slots."""
        return max(self.slots * self.slot_bytes, 1)

    def _row_bytes(self) -> list[int]:
        return [math.prod(shape) * np.dtype(kind).itemsize for kind, shape in self.leaves]

    def arrays(self, memory: Any, slot: int, rows: int | None = None) -> list[np.ndarray]:
        """The arrays of a slot, or their first `rows`: views of the memory."""
        place = slot * self.slot_bytes
        found = []
        count = self.rows if rows is None else rows
        for (kind, shape), size in zip(self.leaves, self._row_bytes(), strict=True):
            whole = np.ndarray((count, *shape), np.dtype(kind), buffer=memory, offset=place)
            found.append(whole)
            place += _aligned(size * self.rows)
        return found


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def shared_memory(size: int) -> tuple[int, mmap.mmap]:
    """(file descriptor, its memory): freed by the system when no process has it any more."""
    if hasattr(os, "memfd_create"):
        handle = os.memfd_create("septet-slots")
    else:
        with tempfile.TemporaryFile(prefix="septet-slots-") as file:
            handle = os.dup(file.fileno())
    os.ftruncate(handle, size)
    return handle, mmap.mmap(handle, size)
