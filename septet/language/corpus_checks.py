"""Running text from disk to checked splits of lines.

What is likely wrong with a text is reported into an account; nothing is repaired.
"""

import hashlib
import itertools
from collections import defaultdict
from pathlib import Path

import numpy as np

from septet.data.account import Account
from septet.data.dataset import SPLIT_NAMES, Dataset, Split
from septet.errors import DataError
from septet.language.checks import CONTENT_CHECKS, letters_of, warn_each
from septet.language.corpus import LONGEST_LINE, Corpus, read_corpus
from septet.language.generation_options import GenerationDataOptions
from septet.language.texts import normalised

MANY_DOCUMENTS = 100
"""From so many documents on whole ones are held out, else the end of each."""
TELLING = 80
"""Letters from which a line does not repeat by coincidence."""


def read_dataset(source: Path, options: GenerationDataOptions, seed: int) -> Dataset:
    """Read, check and split the text at `source`.

    Examples are lines: {"lines": object array of str, "documents": int32}; targets say nothing.

    Raises:
        DataError: `source` as a whole cannot be understood.
    """
    account = Account()
    corpus = read_corpus(source, account)
    if not corpus.lines:
        raise DataError(_nothing(account, source.name))
    check_content(corpus, account)
    check_documents(corpus, account)
    homes = split_lines(corpus, options, seed)
    rows = {name: np.flatnonzero(homes == name) for name in SPLIT_NAMES}
    rows["train"] = _limited(corpus, rows["train"], options.limit, account)
    check_leaks(corpus, rows, account)
    splits = {name: _split(corpus, chosen) for name, chosen in rows.items()}
    account.close({name: len(split) for name, split in splits.items()})
    return Dataset(splits, account, {"documents": len(corpus.names)})


def _nothing(account: Account, source: str) -> str:
    if not account.rejections:
        return f"{source} holds no text to train on."
    first = account.rejections[0]
    place = first.file if first.line is None else f"{first.file}, line {first.line}"
    return (
        f"{source}: nothing of it can be used ({len(account.rejections)} rejections). First: "
        f"{place}: {first.reason} {first.remedy}"
    )


def _split(corpus: Corpus, rows: np.ndarray) -> Split:
    lines = np.empty(len(rows), dtype=object)
    lines[:] = [corpus.lines[row] for row in rows]
    documents = np.array([corpus.documents[row] for row in rows], np.int32)
    examples = {"lines": lines, "documents": documents}
    return Split(examples, np.zeros(len(rows), np.int32), [corpus.places[row] for row in rows])


def texts_of(split: Split) -> list[str]:
    """The text of each document, or of the part of it that is in a split."""
    lines, documents = split.examples["lines"], split.examples["documents"]
    if not len(lines):
        return []
    borders = np.flatnonzero(np.diff(documents)) + 1
    return ["".join(part.tolist()) for part in np.split(lines, borders)]


def split_lines(corpus: Corpus, options: GenerationDataOptions, seed: int) -> np.ndarray:
    """The split of each line: as the data give it, else documents or their ends held out."""
    given = {home for home in corpus.homes if home}
    shares = {
        "validation": 0.0 if "validation" in given else options.validation_fraction,
        "test": 0.0 if "test" in given else options.test_fraction,
    }
    if shares["validation"] + shares["test"] >= 1.0:
        raise DataError(
            "data.validation_fraction and data.test_fraction leave nothing to train on; together "
            "they must be less than 1."
        )
    homes = np.array([corpus.homes[number] or "train" for number in corpus.documents], object)
    free = np.flatnonzero(homes == "train")
    documents = np.asarray(corpus.documents)[free]
    starts = np.concatenate([[0], np.flatnonzero(np.diff(documents)) + 1, [len(free)]])
    parts = [free[a:b] for a, b in itertools.pairwise(starts) if b > a]
    if options.holdout == "documents" or (
        options.holdout == "auto" and len(parts) >= MANY_DOCUMENTS
    ):
        _hold_out_documents(corpus, parts, homes, shares, seed)
    else:
        for part in parts:
            _hold_out_end(corpus, part, homes, shares)
    if not (homes == "train").any():
        raise DataError("No line is left to train on. Put text into the train split.")
    return homes


def _hold_out_end(
    corpus: Corpus, rows: np.ndarray, homes: np.ndarray, shares: dict[str, float]
) -> None:
    """The last lines of a document are the test, those before them the validation."""
    sizes = np.cumsum([len(corpus.lines[row]) for row in rows])
    total = sizes[-1]
    after = total - sizes + np.diff(sizes, prepend=0)  # from a line's start to the end
    homes[rows[after <= (shares["test"] + shares["validation"]) * total]] = "validation"
    homes[rows[after <= shares["test"] * total]] = "test"


def _hold_out_documents(
    corpus: Corpus, parts: list[np.ndarray], homes: np.ndarray, shares: dict[str, float], seed: int
) -> None:
    """Documents by a hash of their text and the seed, so that equal ones are together."""
    for rows in parts:
        digest = hashlib.blake2b(f"{seed}:".encode(), digest_size=8)
        digest.update(normalised("".join(corpus.lines[row] for row in rows)).encode())
        place = int.from_bytes(digest.digest()) / 2**64
        if place < shares["test"]:
            homes[rows] = "test"
        elif place < shares["test"] + shares["validation"]:
            homes[rows] = "validation"


def _limited(corpus: Corpus, rows: np.ndarray, limit: int | None, account: Account) -> np.ndarray:
    """The first lines for training, as many as `limit` allows; the others are not used."""
    if limit is None or len(rows) <= limit:
        return rows
    account.read -= len(rows) - limit
    account.note(
        "limit", "train", f"data.limit leaves out {len(rows) - limit:,} of {len(rows):,} lines."
    )
    return rows[:limit]


def check_content(corpus: Corpus, account: Account) -> None:
    """Report over-long lines, control characters, markup and signs of a wrong encoding."""
    longer = [
        (place, f"The line has {size:,} characters; {LONGEST_LINE:,} at a time are read.")
        for place, size in corpus.longer
    ]
    remedy = "Look whether the ends of lines were lost; break it into paragraphs."
    warn_each(account, "over-long-line", longer, remedy, "lines are over-long")
    whole = "".join(corpus.lines)
    for code, pattern, message, remedy, rest in CONTENT_CHECKS:
        # Most texts have none of it, and one search says so.
        if not pattern.search(whole):
            continue
        found = []
        for line, place in zip(corpus.lines, corpus.places, strict=True):
            match = pattern.search(line)
            if match:
                found.append((place, message.format(found=repr(match.group()[:40]))))
        warn_each(account, code, found, remedy, rest.replace("texts", "lines"))


def check_documents(corpus: Corpus, account: Account) -> None:
    """Report documents that are the same but for case and spacing."""
    texts: dict[int, list[str]] = defaultdict(list)
    for line, number in zip(corpus.lines, corpus.documents, strict=True):
        texts[number].append(line)
    seen: dict[bytes, int] = {}
    repeats, across = [], []
    for number, lines in texts.items():
        key = hashlib.blake2b(normalised("".join(lines)).encode(), digest_size=16).digest()
        first = seen.setdefault(key, number)
        if first == number:
            continue
        other = corpus.names[first]
        if corpus.homes[first] != corpus.homes[number]:
            home = corpus.homes[first] or "train"
            message = f"The same document is {other}, which is in '{home}'."
            across.append((corpus.names[number], message))
        else:
            repeats.append((corpus.names[number], f"The same document as {other}."))
    warn_each(account, "duplicate", repeats, "Remove one.", "documents repeat")
    remedy = "Remove one: scores on texts seen in training mislead."
    warn_each(account, "duplicate-across-splits", across, remedy, "documents are in two splits")


def check_leaks(corpus: Corpus, rows: dict[str, np.ndarray], account: Account) -> None:
    """Report long lines of the validation and test splits that training has word for word."""
    held = {
        normalised(corpus.lines[row]): row
        for name in ("test", "validation")
        for row in rows[name][::-1]
        if letters_of(corpus.lines[row]) >= TELLING
    }
    if not held:
        return
    found, seen = [], set()
    for row in rows["train"]:
        line = corpus.lines[row]
        if letters_of(line) < TELLING:
            continue
        key = normalised(line)
        if key in held and key not in seen:
            seen.add(key)
            place = corpus.places[held[key]]
            found.append((place, f"The same line is in training, at {corpus.places[row]}."))
    warn_each(
        account, "line-in-two-splits", found,
        "Remove it from one: scores on texts seen in training mislead.",
        "lines are in two splits",
    )  # fmt: skip
