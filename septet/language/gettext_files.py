"""Catalogs of gettext, as text (.po) or compiled (.mo): messages and their translations."""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from septet.data.account import Account, Rejection
from septet.data.delimited import split_lines, undecodable_bytes
from septet.data.table_files import check_regular, read_bytes
from septet.errors import DataError
from septet.language.documents import shown
from septet.language.pairs import Pairs

MOST_MESSAGES = 5_000_000
MAGIC = 0x950412DE
QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"\s*')
KEYWORD = re.compile(r"(msgctxt|msgid_plural|msgid|msgstr(?:\[(\d{1,3})\])?)\s+(?=\")")
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}
LANGUAGE = re.compile(r"^Language:[ \t]*([A-Za-z]{2,3}(?:[-_@.][A-Za-z0-9]+)*)", re.MULTILINE)
UTF_8 = "utf-8"
MOST_HEADER = 1 << 16
"""Bytes within which a catalog's header is."""
PLAIN = "".join(map(chr, range(32, 127))) + "\n"
LINES = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+$")
SURROGATES = re.compile("[\udc80-\udcff]")
CHARSET = re.compile(r"charset=([A-Za-z0-9_.:-]+)")

Problem = tuple[str, str, str]
"""Code, reason and remedy of a rejection."""


@dataclass
class Message:
    """One message of a catalog; `problem` says why it is no pair."""

    line: int | None
    parts: dict[str, list[str]] = field(default_factory=dict)
    is_fuzzy: bool = False
    problem: Problem | None = None

    def text(self, part: str) -> str:
        """A part as it reads, from all its lines."""
        return "".join(self.parts.get(part, ()))


def read_catalogs(paths: list[Path], names: tuple[str, str], account: Account) -> Pairs:
    """The pairs of catalogs; untranslated and fuzzy messages are noted and not read.

    Args:
        paths: Files with the ending .po, .pot or .mo.
        names: What the sides are called; a catalog's own language replaces "target".
        account: Gets what was read and rejected.

    Raises:
        DataError: A file is no catalog.
    """
    pairs = Pairs(names)
    left = {"untranslated": 0, "fuzzy": 0}
    for path in paths:
        name = shown(path.name)
        check_regular(path, name)
        data = read_bytes(path, name)
        reader = _compiled if path.suffix.lower() == ".mo" else _text
        messages = list(reader(data, name))
        for message in messages:
            _take(message, name, pairs, left, account)
    for code, count in left.items():
        if count:
            what = "have no translation" if code == "untranslated" else "are marked as fuzzy"
            account.note(code, shown(paths[0].name), f"{count:,} messages {what}; not used.")
    return pairs


def _take(
    message: Message, name: str, pairs: Pairs, left: dict[str, int], account: Account
) -> None:
    """A message as one pair, two with a plural, a rejection, or none."""
    if message.problem is not None:
        account.read += 1
        account.rejections.append(
            Rejection(message.problem[0], name, message.line, *message.problem[1:])
        )
        return
    source = message.text("msgid")
    if not source and "msgid" in message.parts:
        _learn_language(message.text("msgstr"), pairs)
        return
    both = [(source, message.text("msgstr") or message.text("msgstr[0]"))]
    if "msgid_plural" in message.parts:
        both.append((message.text("msgid_plural"), message.text("msgstr[1]")))
    for source, target in both:
        if not target:
            left["untranslated"] += 1
        elif message.is_fuzzy:
            left["fuzzy"] += 1
        else:
            account.read += 1
            pairs.add(source, target, name, message.line, "")


def _learn_language(header: str, pairs: Pairs) -> None:
    found = LANGUAGE.search(header)
    if found and pairs.names[1] == "target":
        pairs.names = (pairs.names[0], found.group(1))


def _text(data: bytes, name: str) -> Iterator[Message]:
    """Messages of a .po file; a line that is none spoils its message alone."""
    if data[:4] in (struct.pack("<I", MAGIC), struct.pack(">I", MAGIC)):
        raise DataError(f"{name} is a compiled catalog; give it the ending .mo.")
    text = data.removeprefix(b"\xef\xbb\xbf")
    charset = _declared_charset(text, name) if text == data else UTF_8
    if charset == UTF_8:
        decoded = text.decode(charset, "surrogateescape")
        bad_bytes = undecodable_bytes(text, len(data) - len(text))
    else:
        decoded, bad_bytes = _decoded(text, charset, name)
    lines = split_lines(decoded)
    if not any(KEYWORD.match(line) for line in lines):
        raise DataError(f"{name} is no catalog of gettext: no line of it begins with msgid.")
    message, part, is_fuzzy = None, None, False
    for number, line in enumerate(lines, 1):
        line = line.strip()
        if line.startswith("#"):
            if line.startswith("#~"):
                is_fuzzy = False
            elif line.startswith("#,") and "fuzzy" in line:
                is_fuzzy = True
            continue
        keyword = KEYWORD.match(line)
        named = "" if keyword is None else keyword.group(1)
        begins = named in ("msgctxt", "msgid")
        if begins and not (message and named == "msgid" and part == "msgctxt"):
            if message is not None:
                yield message
            message, is_fuzzy = Message(number, is_fuzzy=is_fuzzy), False
        if not line:
            part = None
            continue
        if message is None:
            message = Message(number)
        if number in bad_bytes:
            reason = f"Byte {bad_bytes[number]} of the file is not {charset.upper()}."
            remedy = "Save the file in the encoding that its header names, best UTF-8."
            message.problem = ("undecodable-byte", reason, remedy)
            continue
        rest = line
        if keyword is not None:
            part, rest = keyword.group(1), line[keyword.end() :]
            message.parts.setdefault(part, [])
        quoted = QUOTED.fullmatch(rest)
        if part is None or quoted is None:
            reason = f"The line is none of a catalog: {line[:60]!r}."
            remedy = "Write msgid or msgstr and a text in quotes, or continue one with a text."
            message.problem = message.problem or ("not-a-message", reason, remedy)
            continue
        message.parts[part].append(_unescaped(quoted.group(1)))
    if message is not None:
        yield message


def _declared_charset(text: bytes, name: str) -> str:
    """The encoding that a .po file's header names; UTF-8 where it names none.

    Raises:
        DataError: It is not known, or one in which the header itself would read differently.
    """
    found = CHARSET.search(text[:MOST_HEADER].decode("latin-1"))
    declared = found.group(1) if found else UTF_8
    # What a template says before it is filled in.
    if declared.upper() in ("CHARSET", "UTF-8", "UTF8", "ASCII", "US-ASCII"):
        return UTF_8
    charset = _known_charset(declared, name)
    try:
        is_plain = PLAIN.encode(charset) == PLAIN.encode("ascii")
    except UnicodeError:
        is_plain = False
    if not is_plain:
        raise DataError(f"{name} says that it is in {declared[:40]}, and is not. Save it as UTF-8.")
    return charset


def _decoded(data: bytes, charset: str, name: str) -> tuple[str, dict[int, int]]:
    """The text, and the offset of the first wrong byte of each line (from 1) that has one.

    Raises:
        DataError: The encoding cannot say which bytes are none of it.
    """
    try:
        text = data.decode(charset, "surrogateescape")
        found: dict[int, int] = {}
        place = 0
        for number, line in enumerate(LINES.findall(text), 1):
            bad = SURROGATES.search(line)
            if bad is not None:
                before = line[: bad.start()].encode(charset, "surrogateescape")
                found[number] = place + len(before)
            place += len(line.encode(charset, "surrogateescape"))
    except UnicodeError:
        raise DataError(f"{name} is not in {charset[:40]}, as it says. Save it as UTF-8.") from None
    return text, found


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: ESCAPES.get(match.group(1), match.group(0)), text)


def _compiled(data: bytes, name: str) -> Iterator[Message]:
    """Messages of a .mo file, whose every offset is checked before it is followed."""
    if len(data) < 20:
        raise DataError(f"{name} is no compiled catalog: it has {len(data)} bytes.")
    order = next((mark for mark in "<>" if struct.unpack(f"{mark}I", data[:4])[0] == MAGIC), None)
    if order is None:
        raise DataError(f"{name} is no compiled catalog of gettext: its first bytes are others.")
    revision, count, sources, targets = struct.unpack(f"{order}4I", data[4:20])
    if revision >> 16 > 1:
        raise DataError(f"{name} has the unknown format {revision >> 16}.{revision & 0xFFFF}.")
    if count > MOST_MESSAGES or max(sources, targets) + 8 * count > len(data):
        raise DataError(
            f"{name} declares {count:,} messages and has {len(data):,} bytes, which do not hold "
            "them. It was cut off or is damaged."
        )
    charset = "utf-8"
    for number in range(count):
        texts, problem = [], None
        for table in (sources, targets):
            size, start = struct.unpack_from(f"{order}2I", data, table + 8 * number)
            if start + size > len(data):
                reason = f"It declares {size:,} bytes at byte {start:,}, beyond the file's end."
                problem = ("beyond-the-end", reason, "Compile the catalog again.")
                break
            texts.append((start, data[start : start + size]))
        yield _of_entry(number, texts, problem, charset)
        if number == 0 and not problem and not texts[0][1]:
            found = CHARSET.search(texts[1][1].decode("latin-1"))
            charset = _known_charset(found.group(1), name) if found else charset


def _known_charset(name: str, file: str) -> str:
    try:
        "".encode(name)
        b"a".decode(name)
    except (LookupError, ValueError):
        raise DataError(f"{file} is in the unknown encoding '{name[:40]}'.") from None
    return name


def _of_entry(
    number: int, texts: list[tuple[int, bytes]], problem: Problem | None, charset: str
) -> Message:
    message = Message(number + 1, problem=problem)
    decoded = []
    for start, text in texts:
        try:
            decoded.append(text.decode(charset))
        except UnicodeError as error:
            at = start + getattr(error, "start", 0)
            reason = f"Byte {at} of the file is not {charset.upper()}."
            message.problem = message.problem or ("undecodable-byte", reason, "Compile it again.")
    if message.problem is not None or len(decoded) < 2:
        return message
    source, target = decoded
    source = source.rpartition("\x04")[2]
    for part, text in zip(("msgid", "msgid_plural"), source.split("\x00")[:2], strict=False):
        message.parts[part] = [text]
    for place, text in enumerate(target.split("\x00")[:2]):
        message.parts[f"msgstr[{place}]" if "\x00" in source else "msgstr"] = [text]
        if "\x00" not in source:
            break
    return message
