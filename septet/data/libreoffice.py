"""The help pages and dialogs of LibreOffice as sentence pairs of English and German.

Paragraphs of a help page have the same id in every language, and catalogs of dialogs give
each English text with its German one. Knows nothing of where the packages come from.
"""

import gettext
import hashlib
import html
import io
import lzma
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from septet.errors import DataError

VERSION = "7.4.7-1+deb12u14"
ENGLISH = f"libreoffice-help-en-us_{VERSION}_all.deb"
GERMAN = f"libreoffice-help-de_{VERSION}_all.deb"
CATALOGS = f"libreoffice-l10n-de_{VERSION}_all.deb"

HEADER = ("en", "de", "split")
HELD_OUT = 2000
"""Sentences of the test, and as many for validation."""
LEAST_WORDS = 4
"""Of the English side of a sentence in the test or for validation."""
MOST_WORDS = 80
"""Longer paragraphs that could not be cut into sentences are left out."""

PARAGRAPH = re.compile(
    r'<(p|h[1-6])\b[^>]*?\bid="((?:par_|hd_|tit)[^"]{0,80})"[^>]*>(.*?)</\1>', re.DOTALL
)
TAG = re.compile(r"<[^>]*>")
OF_MACS = re.compile(r'<span [^>]*class="MAC"[^>]*>(?:<span[^>]*>[^<]*</span>|[^<])*</span>')
"""What a page shows on a Mac alone, beside what it shows elsewhere."""
LETTER = re.compile(r"[^\W\d_]")
SENTENCE_END = re.compile(r"(?<=[.!?])[\"”“)]?\s+(?=[A-ZÄÖÜ„“\"(])")
ABBREVIATED = re.compile(
    r"(?:^|[\s(])(?:z\. ?B|d\. ?h|u\. ?a|bzw|usw|ca|Nr|Abb|evtl|ggf|inkl|max|min|Std|e\.g|i\.e|"
    r"etc|vs|approx|Mr|Mrs|Dr|No|[A-Za-z])\.[\"”“)]?\s*$"
)
ACCELERATOR = re.compile(r"[~_](?=\w)")
PLACEHOLDER = re.compile(r"<|\$\(|%[a-zA-Z(]|\{|\[")

Pair = tuple[str, str]
"""English and German."""


@dataclass(frozen=True)
class Sentence:
    """A pair and the help page it is from; "" for a text of a dialog."""

    english: str
    german: str
    page: str


def pack(contents: Mapping[str, bytes], path: Path) -> None:
    """Write the set as one table at `path`."""
    path.write_bytes(as_table(split(read_sentences(contents))))


def as_table(rows: Iterable[tuple[str, str, str]]) -> bytes:
    """Rows as tab-separated text with a header; quotes are doubled within quotes."""
    lines = ["\t".join(cell_of(cell) for cell in row) for row in (HEADER, *rows)]
    return ("\n".join(lines) + "\n").encode()


def cell_of(text: str) -> str:
    """A cell of the table: quoted where it holds a quote."""
    return '"' + text.replace('"', '""') + '"' if '"' in text else text


def read_sentences(contents: Mapping[str, bytes]) -> list[Sentence]:
    """Every pair of the packages, first of the help pages in order, then of the dialogs.

    Args:
        contents: The three Debian packages by the names above.

    Raises:
        DataError: A package is none, or holds no pages.
    """
    english = dict(pages(contents[ENGLISH], "en-US"))
    german = dict(pages(contents[GERMAN], "de"))
    found = []
    for page in sorted(english.keys() & german.keys()):
        others = dict(paragraphs(german[page]))
        for key, text in paragraphs(english[page]):
            if key in others:
                found += [
                    Sentence(*pair, page)
                    for pair in aligned(text, others[key])
                    if is_translation(*pair)
                ]
    if not found:
        raise DataError("The packages of LibreOffice hold no help pages in both languages.")
    return found + [Sentence(*pair, "") for pair in dialogs(contents[CATALOGS])]


def pages(package: bytes, language: str) -> Iterator[tuple[str, str]]:
    """(name within the language's folder, HTML) of every help page of a package."""
    prefix = f"usr/share/libreoffice/help/{language}/text/"
    for name, content in files_of(package):
        if name.startswith(prefix) and name.endswith(".html"):
            yield name.removeprefix(prefix), content.decode("utf-8", "replace")


def files_of(package: bytes) -> Iterator[tuple[str, bytes]]:
    """(path, content) of the plain files of a Debian package.

    Raises:
        DataError: It is no such package.
    """
    try:
        data = lzma.decompress(member_of_ar(package, "data.tar.xz"))
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for member in archive:
                file = archive.extractfile(member) if member.isfile() else None
                if file is not None:
                    yield member.name.removeprefix("./"), file.read()
    except (lzma.LZMAError, tarfile.TarError, EOFError) as error:
        raise DataError(f"A Debian package is damaged ({error}).") from None


def member_of_ar(package: bytes, wanted: str) -> bytes:
    """A member of an `ar` archive, which is what a Debian package is.

    Raises:
        DataError: It is none, or lacks the member.
    """
    if not package.startswith(b"!<arch>\n"):
        raise DataError("A Debian package begins with '!<arch>', and this file does not.")
    place = 8
    while place + 60 <= len(package):
        header = package[place : place + 60]
        name, size = header[:16].decode("latin-1").strip().rstrip("/"), header[48:58].strip()
        if not size.isdigit():
            break
        start, length = place + 60, int(size)
        if name == wanted:
            return package[start : start + length]
        place = start + length + length % 2
    raise DataError(f"The Debian package does not hold '{wanted}'.")


def paragraphs(page: str) -> Iterator[tuple[str, str]]:
    """(id, text) of every paragraph and heading of a help page."""
    for match in PARAGRAPH.finditer(page):
        text = plain(html.unescape(TAG.sub("", OF_MACS.sub("", match.group(3)))))
        if text:
            yield match.group(2), text


def plain(text: str) -> str:
    """Without line ends, doubled spaces and characters that only say how to break lines."""
    return " ".join(re.sub("[\u00ad\u200b\u2060\ufeff]", "", text).split())


def aligned(english: str, german: str) -> list[Pair]:
    """A paragraph's sentences where both sides have as many, else the paragraph as it is."""
    first, second = sentences(english), sentences(german)
    if len(first) == len(second) and all(map(are_of_like_length, first, second)):
        return list(zip(first, second, strict=True))
    return [(english, german)]


def are_of_like_length(english: str, german: str) -> bool:
    """Whether one may be the translation of the other by their lengths."""
    shorter, longer = sorted((len(english) + 15, len(german) + 15))
    return longer < 2.5 * shorter


def sentences(text: str) -> list[str]:
    """Cut after full stops, question and exclamation marks that end a sentence."""
    found, start = [], 0
    for match in SENTENCE_END.finditer(text):
        before = text[start : match.start()]
        if not ABBREVIATED.search(before):
            end = match.start() + len(match.group().rstrip())
            found.append(text[start:end].strip())
            start = match.end()
    return [each for each in [*found, text[start:].strip()] if each]


def is_translation(english: str, german: str) -> bool:
    """Whether a pair is text that was translated: no code, no names that stay as they are."""
    if english == german or not (LETTER.search(english) and LETTER.search(german)):
        return False
    if max(len(english.split()), len(german.split())) > MOST_WORDS:
        return False
    return are_of_like_length(english, german)


def dialogs(package: bytes) -> Iterator[Pair]:
    """Pairs of the catalogs in a package, without the marks of keyboard shortcuts."""
    for name, content in sorted(files_of(package)):
        if not name.endswith(".mo"):
            continue
        catalog = gettext.GNUTranslations(io.BytesIO(content))
        # The table of a catalog has no public way to be listed.
        texts: Mapping[object, object] = catalog._catalog  # pyright: ignore[reportAttributeAccessIssue]
        for key, value in texts.items():
            if not (isinstance(key, str) and isinstance(value, str) and key):
                continue
            english = unmarked(key.rpartition("\x04")[2])
            german = unmarked(value)
            if PLACEHOLDER.search(english) or PLACEHOLDER.search(german):
                continue
            if is_translation(english, german):
                yield english, german


def unmarked(text: str) -> str:
    """A dialog's text without the one mark before the letter that is its shortcut."""
    text = plain(text)
    return ACCELERATOR.sub("", text) if len(ACCELERATOR.findall(text)) == 1 else text


def split(found: Iterable[Sentence]) -> list[tuple[str, str, str]]:
    """(English, German, split), each pair once, in the order of the packages.

    Whole help pages, chosen by a hash of their names, are the test and the validation; no
    English or German side of either is in the training split, nor one of the test in
    validation.
    """
    unique = {(each.english, each.german): each for each in reversed(list(found))}
    kept = list(reversed(unique.values()))
    by_page: dict[str, list[Sentence]] = {}
    for each in kept:
        if each.page:
            by_page.setdefault(each.page, []).append(each)
    rows: list[tuple[str, str, str]] = []
    seen: set[str] = set()
    reserved: set[str] = set()
    order = iter(sorted(by_page, key=place_of))
    for home in ("test", "validation"):
        chosen: list[Sentence] = []
        sides = set(seen)
        while len(chosen) < HELD_OUT and (page := next(order, None)) is not None:
            reserved.add(page)
            for each in by_page[page]:
                both = {normal(each.english), normal(each.german)}
                if len(each.english.split()) >= LEAST_WORDS and not both & sides:
                    chosen.append(each)
                    sides |= both
        chosen = chosen[:HELD_OUT]
        rows += [(each.english, each.german, home) for each in chosen]
        seen |= {normal(side) for each in chosen for side in (each.english, each.german)}
    train = [
        (each.english, each.german, "train")
        for each in kept
        if each.page not in reserved and not {normal(each.english), normal(each.german)} & seen
    ]
    return train + rows[HELD_OUT:] + rows[:HELD_OUT]


def place_of(page: str) -> bytes:
    """Where a page comes among the others, by a hash of its name."""
    return hashlib.blake2b(page.encode(), digest_size=8).digest()


def normal(text: str) -> str:
    """What two sentences have in common that a reader would call the same."""
    return " ".join(text.casefold().split())
