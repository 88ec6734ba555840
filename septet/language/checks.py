"""What is likely wrong with labelled texts: some to reject, and findings about the others.

Everything is reported into an account; nothing is repaired.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from html.entities import html5

from septet.data.account import Account
from septet.data.labels import shown, warn_of_labels
from septet.language.sources import LONGEST
from septet.language.texts import Labels, Texts, names_of, normalised

MOST_NAMED = 100
"""So many findings of one kind are spelled out; the others are counted."""
TELLING = 20
"""Letters from which a text does not repeat by coincidence."""
LONGEST_LABEL = 200
SHOWN_LABELS = 5
"""Of one text in a message."""

IDEOGRAPH = re.compile(
    "[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]"
)
LETTERS_OF_IDEOGRAPH = 3
"""One says about as much as so many letters."""
CONTROL = re.compile(
    "[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f\u202d\u202e\ufdd0-\ufdef\ufeff\ufffe\uffff]"
)
"""Tab, line feed, form feed, carriage return and next line are white space. Beside controls: what
turns the order of letters round, a mark of byte order, and what is no character."""
REPLACEMENT = re.compile("\ufffd")
MISREAD = re.compile(r"[ÃÂ][\x80-\xbf]|â€[™œ\x9d“”˜¦\x80-\xbf]|ï»¿|ðŸ")
MARKUP = re.compile(
    r"</?(?:a|abbr|article|aside|b|blockquote|body|br|button|center|code|div|em|figcaption|figure|"
    r"font|footer|form|h[1-6]|head|header|hr|html|i|iframe|img|input|li|link|main|meta|nav|object|"
    r"ol|option|p|pre|script|section|select|small|span|strong|style|sub|sup|svg|table|tbody|td|"
    r"textarea|th|thead|title|tr|u|ul|ahelp|emph)(?:\s[^<>]{0,500})?/?>"
    # Tags of formats of translations, which have a number.
    r"|<(?:bpt|bx|ept|ex|g|it|mrk|ph|x)\s[^<>]{0,500}>|</(?:bpt|ept|g|it|mrk|ph)>"
    r"|<!--|<!DOCTYPE|&(?:#\d{1,7}|#x[0-9a-f]{1,6}"
    rf"|(?-i:{'|'.join(sorted(name[:-1] for name in html5 if name.endswith(';')))}));",
    re.IGNORECASE,
)

CONTENT_CHECKS: tuple[tuple[str, re.Pattern[str], str, str, str], ...] = (
    (
        "control-character",
        CONTROL,
        "It holds the control character {found}.",
        "Remove it, or look how the file was made.",
        "texts hold control characters",
    ),
    (
        "replacement-character",
        REPLACEMENT,
        "It holds {found}, which stands for bytes that could not be read when it was saved.",
        "Export the text again as UTF-8.",
        "texts hold replacement characters",
    ),
    (
        "misread-encoding",
        MISREAD,
        "It holds {found}, as UTF-8 looks when it was read in another encoding.",
        "Export the text again as UTF-8.",
        "texts look misread",
    ),
    (
        "markup",
        MARKUP,
        "It holds {found}, which is markup and no text.",
        "Take tags out and write entities as what they stand for.",
        "texts hold markup",
    ),
)


def reject_texts(texts: Texts, account: Account) -> Texts:
    """Those with text and label; the others become rejections."""
    kept = []
    for row, (text, label) in enumerate(zip(texts.texts, texts.labels, strict=True)):
        problem = _problem(text, label)
        if problem:
            account.rejections.append(texts.rejection(row, *problem))
        else:
            kept.append(row)
    return texts if len(kept) == len(texts) else texts.take(kept)


def _problem(text: str, label: Labels) -> tuple[str, str, str] | None:
    names = names_of(label)
    if not text.strip():
        return "empty-text", "The text is empty.", "Write it or remove the row."
    if len(text) > LONGEST:
        reason = f"The text has {len(text):,} characters; at most {LONGEST:,} are read."
        return "over-long", reason, "Cut it into several texts, or look for a quote left open."
    if "\x00" in text or any("\x00" in name for name in names):
        return "nul-byte", "The row holds a NUL byte.", "Remove it; it is no text."
    if is_broken(text) or any(map(is_broken, names)):
        reason = "The row has half of a surrogate pair, which is no character."
        return "half-a-character", reason, "Export the text again as UTF-8."
    if label == "":
        return "missing-label", "The class is missing.", "Fill it in or remove the row."
    longest = max(map(len, names), default=0)
    if longest > LONGEST_LABEL:
        noun = "class" if isinstance(label, str) else "label"
        reason = f"The {noun} has {longest:,} characters, as a text has."
        return "over-long-label", reason, "Look whether columns are swapped or a quote is open."
    return None


def is_broken(text: str) -> bool:
    """Whether a text has half of a surrogate pair, as JSON's escapes can write it."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def check_texts(texts: Texts, account: Account) -> None:
    """Report what no reader would expect in a text, and texts that repeat."""
    for code, pattern, message, remedy, rest in CONTENT_CHECKS:
        found = []
        for row, text in enumerate(texts.texts):
            match = pattern.search(text)
            if match:
                shown = repr(match.group()[:40])
                found.append((texts.place(row), message.format(found=shown)))
        warn_each(account, code, found, remedy, rest)
    check_repeats(texts, account)


def warn_each(
    account: Account, code: str, found: Sequence[tuple[str, str]], remedy: str, rest: str
) -> None:
    """A warning for each (place, message), from the 101st on counted in one as `rest`."""
    for place, message in found[:MOST_NAMED]:
        account.warn(code, place, message, remedy)
    if len(found) > MOST_NAMED:
        account.warn(code, "all", f"{len(found) - MOST_NAMED:,} more {rest}.", remedy)


def letters_of(text: str) -> int:
    """About how many letters say as much: those of a text, an ideograph as several."""
    return len(text) + (LETTERS_OF_IDEOGRAPH - 1) * len(IDEOGRAPH.findall(text))


def check_repeats(texts: Texts, account: Account) -> None:
    """Report texts that are the same but for case, spacing and compatible characters."""
    groups: dict[str, list[int]] = defaultdict(list)
    for row, text in enumerate(texts.texts):
        groups[normalised(text)].append(row)
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    short: Counter[str] = Counter()
    for key, (first, *others) in groups.items():
        for row in others:
            code, message = _compare(texts, first, row)
            if letters_of(key) < TELLING:
                short[code] += 1
            else:
                found[code].append((texts.place(row), message))
    remedies = {
        "conflicting-labels": ("Keep it under the right class only.", "texts have two classes"),
        "duplicate-across-splits": (
            "Remove one: scores on texts seen in training mislead.",
            "texts are in two splits",
        ),
        "duplicate": ("Remove one; Septet keeps both in the same split.", "texts repeat"),
    }
    for code, (remedy, rest) in remedies.items():
        warn_each(account, code, found[code], remedy, rest)
        if short[code]:
            message = f"{short[code]} texts of fewer than {TELLING} letters repeat ({rest})."
            account.note(f"{code}-short", "all", message, "Look at them if that is not meant.")


def _compare(texts: Texts, first: int, row: int) -> tuple[str, str]:
    """Code and message for two texts that are the same."""
    other = texts.place(first)
    labels = texts.labels[first], texts.labels[row]
    homes = texts.homes[first], texts.homes[row]
    if labels[0] != labels[1]:
        known, own = map(_said, labels)
        message = f"Of {own}; the same text at {other} is of {known}."
        return "conflicting-labels", message
    if homes[0] != homes[1]:
        message = f"In '{homes[1] or 'train'}'; the same text at {other} is in '{homes[0]}'."
        return "duplicate-across-splits", message
    return "duplicate", f"The same text as {other}."


def _said(labels: Labels) -> str:
    if isinstance(labels, str):
        return f"class {shown(labels)}"
    named = ", ".join(map(shown, labels[:SHOWN_LABELS]))
    named += ", ..." if len(labels) > SHOWN_LABELS else ""
    return f"label{'s' if len(labels) > 1 else ''} {named}" if labels else "no label"


def check_labels(texts: Texts, account: Account) -> None:
    """Report typing errors in classes, classes with one text, imbalance, and no classes at all."""
    whole = texts.files[0]
    labels = [name for label in texts.labels for name in names_of(label)]
    counts = warn_of_labels(labels, account, place=texts.place, whole=whole, noun="text")
    _forbid(texts, counts, account)


def _forbid(texts: Texts, counts: Counter[str], account: Account) -> None:
    """Labels from which nothing can be learned."""
    if len(counts) < 2:
        message = f"Every text is of the class {shown(next(iter(counts)))}."
        account.forbid("one-class", texts.files[0], message, "Add texts of other classes.")
    elif len(texts) >= 20 and len(counts) > 0.5 * len(texts):
        message = f"There are {len(counts)} different classes for {len(texts)} texts."
        remedy = "Choose another data.label_column, or look whether columns are swapped. "
        remedy += "Where a text has several labels, say with data.label_separator what parts them."
        account.forbid("too-many-classes", texts.files[0], message, remedy)
