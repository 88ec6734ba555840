"""Translation memories (TMX): units of segments in several languages.

Read by expat, piece by piece. What an XML file may ask of its reader beyond text is refused
unread: entities of its own, other files, deep nesting.
"""

import codecs
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from septet.data.account import Account, Rejection
from septet.data.frame import SPLIT_STEMS
from septet.data.table_files import check_regular, read_bytes
from septet.errors import DataError
from septet.language.documents import shown
from septet.language.line_files import choose_two
from septet.language.pairs import Pairs

MOST_DEPTH = 32
MOST_UNITS = 20_000_000
LONGEST_SEGMENT = 100_000
BLOCK = 1 << 16
HOMES = {stem: home for home, stems in SPLIT_STEMS.items() for stem in stems}
XML_LANGUAGE = "http://www.w3.org/XML/1998/namespace lang"


class _RefusedError(Exception):
    """The file asks for what no translation memory needs: line and reason."""


@dataclass
class Unit:
    """One unit: where it begins, and its segments by language."""

    line: int
    segments: dict[str, str] = field(default_factory=dict)


@dataclass
class Memory:
    """A file's units, the split that its name says, or "", and where it breaks off and why."""

    name: str
    home: str
    units: list[Unit]
    problem: tuple[int, str] | None


def read_memories(
    paths: Sequence[Path], wanted: tuple[str | None, str | None], account: Account
) -> Pairs:
    """The pairs of translation memories; a unit without both languages becomes a rejection.

    Where all files have the names of splits (train.tmx, test.tmx), they are those splits.

    Raises:
        DataError: A file as a whole is no translation memory, or they have other languages.
    """
    homes = [HOMES.get(path.stem.casefold(), "") for path in paths]
    if "train" not in homes or "" in homes:
        homes = [""] * len(paths)
    memories = [_read(path, home) for path, home in zip(paths, homes, strict=True)]
    units = [unit for memory in memories for unit in memory.units]
    every = list(dict.fromkeys(language for unit in units for language in unit.segments))
    shown_name = memories[0].name if len(memories) == 1 else f"{len(memories)} memories"
    pairs = Pairs(choose_two(every, _matching(every, wanted), shown_name))
    for memory in memories:
        _take(memory, pairs, account)
    return pairs


def _take(memory: Memory, pairs: Pairs, account: Account) -> None:
    """A file's units as pairs or rejections."""
    name = memory.name
    account.read += len(memory.units)
    for unit in memory.units:
        missing = [language for language in pairs.names if language not in unit.segments]
        if missing:
            reason = f"The unit has no segment in '{missing[0]}'."
            account.rejections.append(
                Rejection(
                    "missing-language", name, unit.line, reason, "Add it, or remove the unit."
                )
            )
        else:
            source, target = (unit.segments[language] for language in pairs.names)
            pairs.add(source, target, name, unit.line, memory.home)
    if memory.problem is not None:
        line, reason = memory.problem
        account.read += 1
        remedy = "Mend it there; what follows was not read."
        account.rejections.append(Rejection("broken-xml", name, line, reason, remedy))
        account.forbid("broken-xml", f"{name}:{line}", reason, remedy)


def _read(path: Path, home: str) -> Memory:
    """One file.

    Raises:
        DataError: It is no translation memory.
    """
    name = shown(path.name)
    check_regular(path, name)
    data = read_bytes(path, name)
    reader = _Reader()
    problem = None
    try:
        reader.read(data)
    except _RefusedError as error:
        line, reason = error.args
        raise DataError(f"{name}, line {line}: {reason} It was not read.") from None
    except (expat.ExpatError, ValueError, LookupError) as error:
        problem = _problem(reader, error, data)
        if not reader.units:
            raise DataError(
                f"{name}, line {problem[0]}: it is no translation memory (TMX): {problem[1]}"
            ) from None
    if not reader.is_tmx:
        raise DataError(f"{name} is XML, but no translation memory (TMX): it has no <tmx>.")
    return Memory(name, home, reader.units, problem)


def _problem(reader: "_Reader", error: Exception, data: bytes) -> tuple[int, str]:
    """Line and reason; for bytes that are no UTF-8 with their offset."""
    line = reader.parser.CurrentLineNumber
    try:
        if not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            data.decode("utf-8")
    except UnicodeDecodeError as bad:
        if b"encoding" not in data[:100] or b"utf-8" in data[:100].lower():
            line = data.count(b"\n", 0, bad.start) + 1
            return line, f"Byte {bad.start} (0x{data[bad.start]:02x}) is not UTF-8."
    return line, f"The XML is broken here: {str(error)[:120]}."


def _matching(
    every: list[str], wanted: tuple[str | None, str | None]
) -> tuple[str | None, str | None]:
    """Wanted languages in the file's own spelling: "en" also names "EN-US" where that is all."""
    found: list[str | None] = []
    for name in wanted:
        same = [other for other in every if name and other.casefold() == name.casefold()]
        kin = [other for other in every if name and _language(other) == name.casefold()]
        found.append(same[0] if same else kin[0] if len(kin) == 1 else name)
    return found[0], found[1]


def _language(tag: str) -> str:
    return tag.replace("_", "-").split("-")[0].casefold()


class _Reader:
    """Handlers of expat that collect units."""

    def __init__(self) -> None:
        self.units: list[Unit] = []
        self.is_tmx = False
        self._depth = 0
        self._unit: Unit | None = None
        self._language: str | None = None
        self._pieces: list[str] | None = None
        self._size = 0
        self._hidden = 0
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.EntityDeclHandler = self._entity
        parser.ExternalEntityRefHandler = lambda *_: 0
        self.parser = parser

    def read(self, data: bytes) -> None:
        """Read all of it; what was collected stays where it raises."""
        for start in range(0, len(data), BLOCK):
            self.parser.Parse(data[start : start + BLOCK], False)
        self.parser.Parse(b"", True)

    def _refuse(self, reason: str) -> None:
        raise _RefusedError(self.parser.CurrentLineNumber, reason)

    def _entity(self, *_: object) -> None:
        self._refuse("It declares an entity of its own, which could unpack without end.")

    def _start(self, name: str, given: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MOST_DEPTH:
            self._refuse(f"It nests more than {MOST_DEPTH} elements.")
        name = name.rpartition(" ")[2]
        if self._depth == 1:
            self.is_tmx = name == "tmx"
        if name == "tu":
            if len(self.units) >= MOST_UNITS:
                self._refuse(f"It has more than {MOST_UNITS:,} units.")
            self._unit = Unit(self.parser.CurrentLineNumber)
            self.units.append(self._unit)
        elif name == "tuv":
            self._language = given.get(XML_LANGUAGE) or given.get("lang") or None
        elif name == "seg":
            self._pieces, self._size = [], 0
        elif self._pieces is not None and name in ("bpt", "ept", "ph", "it", "ut"):
            # Codes of another format, which are no text.
            self._hidden += 1

    def _end(self, name: str) -> None:
        self._depth -= 1
        name = name.rpartition(" ")[2]
        if name in ("bpt", "ept", "ph", "it", "ut") and self._hidden:
            self._hidden -= 1
        elif name == "seg" and self._pieces is not None:
            if self._unit is not None and self._language is not None:
                self._unit.segments.setdefault(self._language, "".join(self._pieces))
            self._pieces = None
        elif name == "tu":
            self._unit = None

    def _text(self, text: str) -> None:
        if self._pieces is not None and not self._hidden:
            self._size += len(text)
            if self._size <= LONGEST_SEGMENT + 1:
                self._pieces.append(text)
