"""Running text for language models: files become documents, documents lines with their places.

Every line is used or a rejection with file, line and reason. Texts are taken as they are, but
for ends of lines, which become LF. Knows nothing of tokens.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from septet.data.account import Account, Rejection
from septet.data.frame import SPLIT_STEMS
from septet.data.table_files import JSON_LINES, MAGIC, reason_of
from septet.errors import DataError
from septet.language.documents import SUFFIXES, check_file, find_files, shown

HOMES = {stem: home for home, stems in SPLIT_STEMS.items() for stem in stems}
LONGEST_FILE = 2 << 30
LONGEST_LINE = 10_000
"""Characters of a line that are one entry; a longer line becomes several."""
MOST_BROKEN = 0.5
"""From this share of broken lines on it is the file that is broken."""
TEXT_NAMES = ("text", "content", "document", "story", "article", "文本", "内容")
ENDS = re.compile("\r\n?")
END_OF_LINE = re.compile(rb"[\r\n]")


@dataclass
class Corpus:
    """One entry a line in every list; joined, the lines of a document are its text.

    Args:
        lines: With the line feed at their ends, where they have one.
        documents: Number of the document of each.
        places: Where each is, as "emma.txt:17".
        homes: By document, the split that the data put it in; "" where they do not say.
        names: By document, what it is called in messages.
        longer: Place and length of the lines of more than `LONGEST_LINE` characters.
    """

    lines: list[str] = field(default_factory=list)
    documents: list[int] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    homes: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    longer: list[tuple[str, int]] = field(default_factory=list)

    def begin(self, name: str, home: str) -> None:
        """Begin a document."""
        self.names.append(name)
        self.homes.append(home)

    def add(self, line: str, place: str) -> None:
        """One more line of the newest document."""
        size = len(line.removesuffix("\n"))
        if size > LONGEST_LINE:
            self.longer.append((place, size))
        for at in range(0, max(len(line), 1), LONGEST_LINE):
            self.lines.append(line[at : at + LONGEST_LINE])
            self.documents.append(len(self.names) - 1)
            self.places.append(place)


def read_corpus(source: str | Path, account: Account) -> Corpus:
    """The text at a file, a folder (with all in it) or a pattern such as "*.txt".

    JSON lines hold a document on each line, under a name such as "text".

    Raises:
        DataError: There is no such file, or a folder or pattern without any text file.
    """
    corpus = Corpus()
    for path, name in _files(Path(source), account):
        home = _home(name)
        problem = check_file(path, LONGEST_FILE)
        if problem is not None:
            code, line, reason, remedy = problem
            _reject(account, code, name, line, reason, remedy)
            continue
        try:
            data = path.read_bytes()
        except OSError as error:
            _reject(account, "unreadable-file", name, None, f"{reason_of(error)}.", "Remove it.")
            continue
        if path.suffix.lower() in JSON_LINES:
            _read_json_lines(data, name, home, corpus, account)
        else:
            _read_text(data, name, home, corpus, account)
    account.read += len(corpus.lines)
    return corpus


def _files(source: Path, account: Account) -> list[tuple[Path, str]]:
    """Text files, and those of JSON lines in a folder without any."""
    try:
        is_folder = source.is_dir()
        others = sorted(p for p in source.iterdir() if p.suffix.lower() in JSON_LINES)
    except (OSError, ValueError):
        is_folder, others = False, []
    if is_folder and others:
        found = [(path, shown(path.name)) for path in others if not path.name.startswith(".")]
        texts = [path for path in source.rglob("*") if path.suffix.lower() in SUFFIXES]
        if not texts:
            return found
        raise DataError(
            f"The folder {shown(source.name)} has both text files and JSON lines. Keep one kind, "
            "or name the files with a pattern such as '*.txt'."
        )
    return find_files(source, account)


def _home(name: str) -> str:
    """The split that a file's name, or that of the first folder in it, says."""
    parts = Path(name).parts
    first = parts[0] if len(parts) > 1 else Path(name).stem
    return HOMES.get(first.casefold(), "")


def _reject(
    account: Account, code: str, file: str, line: int | None, reason: str, remedy: str
) -> None:
    account.read += 1
    account.rejections.append(Rejection(code, file, line, reason, remedy))


def _read_text(data: bytes, name: str, home: str, corpus: Corpus, account: Account) -> None:
    """One document; lines that are no text become rejections, with the offset of the byte."""
    for magic, meaning in MAGIC.items():
        if data.startswith(magic):
            reason = f"It is no text but {meaning}."
            _reject(account, "not-text", name, None, reason, "Save it as UTF-8 text.")
            return
    mark = len(b"\xef\xbb\xbf") if data.startswith(b"\xef\xbb\xbf") else 0
    kept: list[tuple[int, str]] = []
    broken: list[Rejection] = []
    for number, at, line in _byte_lines(data, mark):
        text = _text_of(line)
        if isinstance(text, str):
            kept.append((number, text))
            continue
        code, offset, reason = text
        reason = reason.format(place=at + offset)
        remedy = "Save the file as UTF-8." if code == "undecodable-byte" else "Remove it."
        broken.append(Rejection(code, name, number, reason, remedy))
    if broken and len(broken) > MOST_BROKEN * (len(broken) + len(kept)):
        first = broken[0]
        reason = f"It is no UTF-8 text: {first.reason}"
        _reject(account, first.code, name, first.line, reason, first.remedy)
        return
    account.read += len(broken)
    account.rejections.extend(broken)
    if not any(text.strip() for _, text in kept):
        account.warn("empty-file", name, "It holds no text.", "Remove it.")
        return
    corpus.begin(name, home)
    for number, text in kept:
        corpus.add(text, f"{name}:{number}")


def _byte_lines(data: bytes, start: int) -> Iterator[tuple[int, int, bytes]]:
    """(number from 1, offset, bytes with their line feed) of each line; ends become LF."""
    number, at = 0, start
    while at < len(data):
        found = END_OF_LINE.search(data, at)
        end = found.start() if found else len(data)
        size = 2 if data[end : end + 2] == b"\r\n" else 1
        number += 1
        yield number, at, data[at:end] + (b"\n" if end < len(data) else b"")
        at = end + size


def _text_of(line: bytes) -> str | tuple[str, int, str]:
    """The text of a line, or (code, offset in it, reason with {place}) where it is none."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        reason = f"Byte {{place}} (0x{line[error.start]:02x}) is not UTF-8."
        return "undecodable-byte", error.start, reason
    at = line.find(b"\x00")
    return text if at < 0 else ("nul-byte", at, "Byte {place} is a NUL byte.")


def _read_json_lines(data: bytes, name: str, home: str, corpus: Corpus, account: Account) -> None:
    """A document on each line, an object with a text under one of `TEXT_NAMES`."""
    for number, at, line in _byte_lines(data, 3 if data.startswith(b"\xef\xbb\xbf") else 0):
        if not line.strip():
            continue
        found = _record(line, at)
        if isinstance(found, Rejection):
            _reject(account, found.code, name, number, found.reason, found.remedy)
            continue
        text, own_home = found
        corpus.begin(f"{name}:{number}", own_home or home)
        inner = ENDS.sub("\n", text).split("\n")
        last = len(inner) - 1
        for place, words in enumerate(inner):
            if place < last or words:
                corpus.add(words + ("\n" if place < last else ""), f"{name}:{number}:{place + 1}")


def _record(line: bytes, at: int) -> tuple[str, str] | Rejection:
    """Text and split of a line of JSON, or why there is none (file and line left empty)."""

    def no(code: str, reason: str, remedy: str) -> Rejection:
        return Rejection(code, "", None, reason, remedy)

    decoded = _text_of(line)
    if not isinstance(decoded, str):
        code, offset, reason = decoded
        return no(code, reason.format(place=at + offset), "Save the file as UTF-8.")
    try:
        record = json.loads(decoded)
    except (ValueError, RecursionError) as error:
        return no("bad-json", f"It is not JSON: {str(error)[:120]}.", "Write one object a line.")
    if not isinstance(record, dict):
        kind = type(record).__name__
        return no("bad-json", f"It holds a {kind}, not an object.", "Write one object a line.")
    key = next((name for name in TEXT_NAMES if name in record), None)
    if key is None:
        names = ", ".join(str(name)[:40] for name in list(record)[:8])
        return no("no-text", f"It has no text, but: {names}.", "Call the text 'text'.")
    text = record[key]
    if not isinstance(text, str) or not text.strip():
        return no("empty-text", "Its text is empty or no text.", "Write it or remove the line.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        reason = "It has half of a surrogate pair, which is no character."
        return no("half-a-character", reason, "Export the text again as UTF-8.")
    if "\x00" in text:
        return no("nul-byte", "It holds a NUL byte.", "Remove it; it is no text.")
    said = record.get("split")
    return text, HOMES.get(said.casefold(), "") if isinstance(said, str) else ""
