"""Values out of R's binary files: the parts of the RDS format that data sets of text have.

Written from R's manual (R Internals, "Serialization Formats"). Nothing is executed: what is
no plain value (a function, an environment) is refused.
"""

import struct
from typing import Any

MOST_VALUES = 5_000_000
MOST_DEPTH = 100

NULL, SYMBOL, PAIRS, CHARACTERS, LOGICALS, INTEGERS, NUMBERS, TEXTS, LIST = (
    254, 1, 2, 9, 10, 13, 14, 16, 19,
)  # fmt: skip
SEEN, GLOBAL = 255, 253
HAS_ATTRIBUTES, HAS_TAG = 1 << 9, 1 << 10


class RdsError(ValueError):
    """The bytes are no RDS, or hold more than plain values."""


def read_rds(data: bytes) -> Any:
    """The value in uncompressed RDS data: None, a list of plain values, or a dict by names.

    Raises:
        RdsError: See the class.
    """
    reader = _Reader(data)
    if reader.take(2) != b"X\n":
        raise RdsError("it does not begin as binary RDS does")
    version = reader.integer()
    reader.take(8)
    if version == 3:
        reader.take(reader.length())
    elif version != 2:
        raise RdsError(f"its version is {version}; 2 and 3 are read")
    return reader.value(0)


class _Reader:
    """A place in the data, and the symbols seen so far."""

    def __init__(self, data: bytes):
        self.data, self.at, self.count = data, 0, 0
        self.symbols: list[str] = []

    def take(self, size: int) -> bytes:
        """The next bytes."""
        if self.at + size > len(self.data):
            raise RdsError("it ends too soon")
        self.at += size
        return self.data[self.at - size : self.at]

    def integer(self) -> int:
        """The next whole number of four bytes."""
        return struct.unpack(">i", self.take(4))[0]

    def length(self) -> int:
        """The next number as one of things that follow, each of a byte at least."""
        size = self.integer()
        if not 0 <= size <= len(self.data) - self.at:
            raise RdsError(f"it says that {size} values follow, which is not so")
        return size

    def value(self, depth: int) -> Any:
        """The next value, attributes other than names left out."""
        self.count += 1
        if depth > MOST_DEPTH or self.count > MOST_VALUES:
            raise RdsError("it has too many values, or too many within each other")
        flags = self.integer()
        kind = flags & 0xFF
        if kind in (NULL, GLOBAL):
            return None
        if kind == SEEN:
            place = (flags >> 8) or self.integer()
            if not 1 <= place <= len(self.symbols):
                raise RdsError("it refers to a symbol that it does not have")
            return self.symbols[place - 1]
        if kind == SYMBOL:
            self.symbols.append(str(self.value(depth + 1)))
            return self.symbols[-1]
        if kind == CHARACTERS:
            size = self.integer()
            return None if size == -1 else self._text(size, flags)
        if kind == PAIRS:
            return self._pairs(flags, depth)
        found = self._vector(kind, depth)
        names = self.value(depth + 1) if flags & HAS_ATTRIBUTES else None
        names = names.get("names") if isinstance(names, dict) else None
        if isinstance(names, list) and len(names) == len(found):
            return dict(zip(map(str, names), found, strict=True))
        return found

    def _text(self, size: int, flags: int) -> str:
        if size < 0:
            raise RdsError("a text has a negative length")
        data = self.take(size)
        # Bit 2 of a text's own flags says Latin-1; else it is UTF-8 or ASCII.
        encoding = "latin-1" if (flags >> 12) & 4 else "utf-8"
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            raise RdsError("a text is not UTF-8") from None

    def _pairs(self, flags: int, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while True:
            if flags & HAS_ATTRIBUTES:
                self.value(depth + 1)
            tag = str(self.value(depth + 1)) if flags & HAS_TAG else str(len(found))
            found[tag] = self.value(depth + 1)
            flags = self.integer()
            if flags & 0xFF == NULL:
                return found
            if flags & 0xFF != PAIRS:
                raise RdsError("a list of pairs does not end as it should")

    def _vector(self, kind: int, depth: int) -> list[Any]:
        if kind not in (LOGICALS, INTEGERS, NUMBERS, TEXTS, LIST):
            raise RdsError(f"it holds something of R's type {kind}, which is no plain value")
        size = self.length()
        if kind in (TEXTS, LIST):
            return [self.value(depth + 1) for _ in range(size)]
        letter, width = ("d", 8) if kind == NUMBERS else ("i", 4)
        return list(struct.unpack(f">{size}{letter}", self.take(width * size)))
