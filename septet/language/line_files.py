"""Parallel text as two files, a sentence a line: train.en and train.de, and kin."""

import re
from pathlib import Path

from septet.data.account import Account, Rejection
from septet.data.delimited import split_lines, undecodable_bytes
from septet.data.frame import SPLIT_STEMS
from septet.data.table_files import MAGIC, check_regular, read_bytes
from septet.errors import DataError
from septet.language.documents import shown
from septet.language.pairs import Pairs

HOMES = {stem: home for home, stems in SPLIT_STEMS.items() for stem in stems}
LANGUAGE = re.compile(r"[a-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*")
"""A language's tag at the end of a file's name, as in "train.en" or "train.pt-BR.txt"."""

NO_LANGUAGES = frozenset(
    "bak bin bz csv dat doc gz html jpg json log md mo npz old pdf png po pot py tab tar tgz tmp "
    "tmx tsv txt xml xz zip".split()
)
"""Endings of files that look like a language's tag."""

Side = tuple[str, str]
"""Stem and language of a file's name."""


def side_of(path: Path) -> Side | None:
    """The stem and language in a file's name; None where it does not say a language."""
    name = path.name
    if name.casefold().endswith(".txt"):
        name = name[:-4]
    stem, _, language = name.rpartition(".")
    is_language = LANGUAGE.fullmatch(language) and language not in NO_LANGUAGES
    return (stem, language) if is_language else None


def find_line_files(source: Path) -> dict[str, dict[str, Path]]:
    """Files by stem and language: of a folder, or beside a file; {} where there are no pairs."""
    is_folder = source.is_dir()
    folder = source if is_folder else source.parent
    own = None if is_folder else side_of(source)
    if not is_folder and own is None:
        return {}
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.iterdir()):
        side = side_of(path)
        if side is None or path.name.startswith(".") or path.is_dir():
            continue
        if own is None or side[0] == own[0]:
            found.setdefault(side[0], {})[side[1]] = path
    # The file that was named is what is translated from; in a folder, English is, if there is some.
    first = "en" if own is None else own[1]
    return {
        stem: {name: sides[name] for name in sorted(sides, key=lambda name: (name != first, name))}
        for stem, sides in found.items()
        if len(sides) > 1
    }


def read_line_files(
    found: dict[str, dict[str, Path]], wanted: tuple[str | None, str | None], account: Account
) -> Pairs:
    """Pairs of all files; those of train, validation and test go to that split.

    Args:
        found: As `find_line_files` gives them.
        wanted: The languages of source and target; None where they are to be guessed.
        account: Gets what was read and rejected.

    Raises:
        DataError: The languages cannot be told, or a file cannot be read.
    """
    names = languages_of(found, wanted)
    if None in wanted:
        message = f"It is translated from '{names[0]}' into '{names[1]}'."
        account.note("guessed-languages", "all", message, "Set data.reverse=true to exchange them.")
    pairs = Pairs(names)
    several = len(found) > 1
    for stem, sides in found.items():
        if not all(name in sides for name in names):
            there = ", ".join(path.name for path in sides.values())
            account.note("ignored-file", shown(stem), f"Not used, since not in both: {there}.")
            continue
        home = HOMES.get(stem.casefold(), "train" if several and "train" in found else "")
        _read_two(sides[names[0]], sides[names[1]], home, pairs, account)
    return pairs


def languages_of(
    found: dict[str, dict[str, Path]], wanted: tuple[str | None, str | None]
) -> tuple[str, str]:
    """The names of source and target among the languages of files.

    Raises:
        DataError: A wanted one is not there, or there are more than two to choose from.
    """
    every = list(dict.fromkeys(name for sides in found.values() for name in sides))
    return choose_two(every, wanted, "the files")


def choose_two(
    every: list[str], wanted: tuple[str | None, str | None], where: str
) -> tuple[str, str]:
    """Source and target among languages: as the settings say, else the two that there are.

    Raises:
        DataError: See `languages_of`.
    """
    known = ", ".join(every[:20])
    for setting, name in zip(("source", "target"), wanted, strict=True):
        if name is not None and name not in every:
            raise DataError(f"Of data.{setting}={name} there is nothing in {where}: {known}.")
    source, target = wanted
    if source is not None and source == target:
        raise DataError(f"Both data.source and data.target are '{source}'. Choose two languages.")
    left = [name for name in every if name not in wanted]
    need = (source is None) + (target is None)
    if len(left) < need or (need and len(left) > need):
        raise DataError(
            f"Expected two languages in {where}, found {len(every)}: {known or 'none'}. Name two "
            "of them with data.source and data.target."
        )
    if source is None:
        source = left.pop(0)
    if target is None:
        target = left.pop(0)
    return source, target


def _read_two(first: Path, second: Path, home: str, pairs: Pairs, account: Account) -> None:
    """The lines of two files as pairs; what is wrong with a line becomes a rejection."""
    names = shown(first.name), shown(second.name)
    sides = [_lines_of(path, name) for path, name in zip((first, second), names, strict=True)]
    counts = [len(lines) for lines, _ in sides]
    account.read += max(counts)
    for number in range(1, min(counts) + 1):
        problem = None
        for (_, bad), name in zip(sides, names, strict=True):
            if number in bad and problem is None:
                reason = f"Byte {bad[number]} of {name} is not UTF-8."
                problem = Rejection(
                    "undecodable-byte", name, number, reason, "Save the file as UTF-8."
                )
        if problem is not None:
            account.rejections.append(problem)
        else:
            source, target = (lines[number - 1] for lines, _ in sides)
            pairs.add(source, target, names[0], number, home)
    if counts[0] == counts[1]:
        return
    longer = names[0] if counts[0] > counts[1] else names[1]
    message = (
        f"{names[0]} has {counts[0]:,} lines and {names[1]} has {counts[1]:,}, so that somewhere "
        "lines do not belong together."
    )
    remedy = "Give both as many lines; a sentence without a translation needs an empty line."
    account.forbid("different-line-counts", longer, message, remedy)
    for number in range(min(counts) + 1, max(counts) + 1):
        reason = "The other file has no such line."
        account.rejections.append(Rejection("missing-line", longer, number, reason, remedy))


def _lines_of(path: Path, name: str) -> tuple[list[str], dict[int, int]]:
    """Lines of a file, and the byte that is at fault in those that are no UTF-8.

    Raises:
        DataError: The file cannot be read or is no text.
    """
    check_regular(path, name)
    data = read_bytes(path, name)
    for magic, meaning in MAGIC.items():
        if data.startswith(magic):
            raise DataError(f"{name} is no text but {meaning}.")
    text = data.removeprefix(b"\xef\xbb\xbf")
    bad_bytes = undecodable_bytes(text, len(data) - len(text))
    return split_lines(text.decode("utf-8", "surrogateescape")), bad_bytes
