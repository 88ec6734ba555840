"""What is likely wrong with parallel text: some pairs to reject, and findings about the others.

Everything is reported into an account; nothing is repaired.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from septet.data.account import Account
from septet.language.checks import (
    CONTENT_CHECKS,
    IDEOGRAPH,
    TELLING,
    is_broken,
    letters_of,
    warn_each,
)
from septet.language.languages import (
    DOUBT,
    LANGUAGE_NAMES,
    SCRIPT_OF_LANGUAGE,
    doubts,
    language_of,
    other_language_of,
    script_of,
)
from septet.language.pairs import Pairs
from septet.language.texts import normalised

LONGEST = 10_000
"""Characters of one side of a pair."""
TIMES_LONGER = 3.0
"""How much longer or shorter than usual a translation may be."""
HOME_ORDER = ("train", "", "validation", "test")
SLACK = 15.0
"""Characters that short texts may differ by."""


def reject_pairs(pairs: Pairs, account: Account) -> Pairs:
    """Those with both sides; the others become rejections."""
    kept = []
    for row, both in enumerate(zip(pairs.sources, pairs.targets, strict=True)):
        problem = next(
            (
                (code, f"{reason[0]} '{name}' {reason[1]}", remedy)
                for name, text in zip(pairs.names, both, strict=True)
                if (found := _problem(text)) is not None
                for code, reason, remedy in [found]
            ),
            None,
        )
        if problem:
            account.rejections.append(pairs.rejection(row, *problem))
        else:
            kept.append(row)
    return pairs if len(kept) == len(pairs) else pairs.take(kept)


def _problem(text: str) -> tuple[str, tuple[str, str], str] | None:
    if not text.strip():
        return "empty-side", ("The side", "is empty."), "Translate it, or remove the pair."
    if len(text) > LONGEST:
        said = f"has {len(text):,} characters; at most {LONGEST:,} are read."
        return "over-long", ("The side", said), "Cut it into sentences, each with its translation."
    if "\x00" in text:
        return "nul-byte", ("The side", "holds a NUL byte."), "Remove it; it is no text."
    if is_broken(text):
        said = "has half of a surrogate pair, which is no character."
        return "half-a-character", ("The side", said), "Export the text again as UTF-8."
    return None


def check_pairs(pairs: Pairs, account: Account) -> None:
    """Report what no reader would expect in a pair, repeated pairs, and sides that do not fit."""
    _check_content(pairs, account)
    _check_repeats(pairs, account)
    _check_untranslated(pairs, account)
    odd = _check_languages(pairs, account)
    _check_lengths(pairs, odd, account)


def _check_content(pairs: Pairs, account: Account) -> None:
    for code, pattern, message, remedy, rest in CONTENT_CHECKS:
        found = []
        for row in range(len(pairs)):
            for name, text in zip(
                pairs.names, (pairs.sources[row], pairs.targets[row]), strict=True
            ):
                match = pattern.search(text)
                if match:
                    said = message.format(found=repr(match.group()[:40]))
                    found.append((pairs.place(row), f"{said[:-1]}, on the side '{name}'."))
                    break
        warn_each(account, code, found, remedy, rest.replace("texts", "pairs"))


def _check_repeats(pairs: Pairs, account: Account) -> None:
    """Pairs that are the same, within a split and across splits, and sides seen in training."""
    keys = [
        (normalised(source), normalised(target))
        for source, target in zip(pairs.sources, pairs.targets, strict=True)
    ]
    first: dict[tuple[str, str], int] = {}
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    short: Counter[str] = Counter()
    for row, key in enumerate(keys):
        at = first.setdefault(key, row)
        if at != row and pairs.homes[at] == pairs.homes[row]:
            if letters_of(key[0]) < TELLING:
                short["duplicate"] += 1
            else:
                found["duplicate"].append(
                    (pairs.place(row), f"The same pair as {pairs.place(at)}.")
                )
    seen: dict[str, dict[str, int]] = {}
    # Training first, so that what is named is to be taken out of another split.
    for row in sorted(range(len(keys)), key=lambda row: HOME_ORDER.index(pairs.homes[row])):
        key = keys[row]
        for side in dict.fromkeys(key):
            at = seen.setdefault(side, {}).setdefault(pairs.homes[row], row)
            others = [place for home, place in seen[side].items() if home != pairs.homes[row]]
            if at != row or not others:
                continue
            if letters_of(side) < TELLING:
                short["duplicate-across-splits"] += 1
                continue
            name = pairs.names[0 if side == key[0] else 1]
            message = f"In '{pairs.homes[row]}'; the same '{name}' is at {pairs.place(others[0])}."
            entry = (pairs.place(row), message)
            if not found["duplicate-across-splits"] or (
                found["duplicate-across-splits"][-1][0] != entry[0]
            ):
                found["duplicate-across-splits"].append(entry)
    remedies = {
        "duplicate": ("Remove one; Septet keeps both in the same split.", "pairs repeat"),
        "duplicate-across-splits": (
            "Remove one: scores on sentences seen in training mislead.",
            "pairs share a side with another split",
        ),
    }
    for code, (remedy, rest) in remedies.items():
        warn_each(account, code, found[code], remedy, rest)
        if short[code]:
            message = f"{short[code]} pairs of fewer than {TELLING} letters repeat ({rest})."
            account.note(f"{code}-short", "all", message, "Look at them if that is not meant.")
    variants = (
        len(keys)
        - len({key[0] for key in keys})
        - sum(count - 1 for count in Counter(keys).values())
    )
    if variants > 0:
        message = f"{variants:,} pairs give another translation of a text that others have, too."
        account.note("several-translations", "all", message)


def _check_untranslated(pairs: Pairs, account: Account) -> None:
    found, short = [], 0
    for row, (source, target) in enumerate(zip(pairs.sources, pairs.targets, strict=True)):
        if normalised(source) != normalised(target):
            continue
        letters = letters_of("".join(letter for letter in source if letter.isalpha()))
        # One word may be a name; ideographs have no spaces between words.
        is_word = " " not in source.strip() and not IDEOGRAPH.search(source)
        if letters < TELLING or is_word:
            short += 1
        else:
            found.append((pairs.place(row), "Both sides are the same."))
    warn_each(account, "untranslated", found, "Translate it, or remove it.", "pairs are the same")
    if short:
        message = f"{short:,} pairs of few letters are the same on both sides, as names are."
        account.note("untranslated-short", "all", message)


def _check_languages(pairs: Pairs, account: Account) -> set[int]:
    """Report sides in another language than the rest of their column; their rows."""
    sides = (pairs.sources, pairs.targets)
    languages = [language_of(side) for side in sides]
    scripts = [_usual_script(side) for side in sides]
    _check_names(pairs, languages, account)
    _check_scripts(pairs, scripts, account)
    towards = [doubts(sides[0], sides[1]), doubts(sides[1], sides[0])]
    swapped: list[tuple[str, str]] = []
    wrong: list[tuple[str, str]] = []
    odd: set[int] = set()
    for row in range(len(pairs)):
        both = [side[row] for side in sides]
        if normalised(both[0]) == normalised(both[1]):
            continue
        looks = [bool(towards[place][row] < DOUBT) for place in (0, 1)]
        in_others = [
            _scripts_differ(both[place], scripts[place], scripts[1 - place]) for place in (0, 1)
        ]
        if (looks[0] or in_others[0]) and (looks[1] or in_others[1]):
            first, second = pairs.names
            message = f"The sides look exchanged: '{first}' reads like '{second}' and the reverse."
            swapped.append((pairs.place(row), message))
            odd.add(row)
            continue
        for place, name in enumerate(pairs.names):
            said = _what_instead(both[place], languages[place], scripts[place])
            if said is None and looks[place] and towards[1 - place][row] > -DOUBT:
                said = f"like '{pairs.names[1 - place]}'"
            if said is not None:
                message = f"The side '{name}' reads {said}: {both[place][:60]!r}."
                wrong.append((pairs.place(row), message))
                odd.add(row)
                break
    remedy = "Exchange the sides of this pair, or of the file if it is so throughout."
    warn_each(account, "swapped-sides", swapped, remedy, "pairs look exchanged")
    remedy = "Give the right text, or remove the pair."
    warn_each(account, "wrong-language", wrong, remedy, "pairs have a side in another language")
    return odd


def _what_instead(text: str, language: str | None, script: str | None) -> str | None:
    """What a text reads like, where that is not its side's language or script."""
    own = script_of(text)
    if script is not None and own is not None and own != script:
        return f"in the script {own.title()}"
    other = other_language_of(text, language)
    return None if other is None else f"like {LANGUAGE_NAMES[other]}"


def _scripts_differ(text: str, own: str | None, other: str | None) -> bool:
    """Whether a text is in the other side's script and not in its own's."""
    return own != other and own is not None and other is not None and script_of(text) == other


def _usual_script(texts: Sequence[str]) -> str | None:
    """The script of at least four fifths of the texts that have one."""
    counts = Counter(script for text in texts[:2000] if (script := script_of(text)))
    if not counts:
        return None
    script, count = counts.most_common(1)[0]
    return script if count >= 0.8 * counts.total() else None


def _check_names(pairs: Pairs, languages: Sequence[str | None], account: Account) -> None:
    """Sides that are called by a language and are in another."""
    meant = [name if name in LANGUAGE_NAMES else None for name in _tags(pairs)]
    if _compare_names(pairs, languages, meant, LANGUAGE_NAMES.__getitem__, account):
        return
    if None not in languages and languages[0] == languages[1]:
        account.warn(
            "same-language",
            pairs.files[0] if pairs.files else "all",
            f"Both sides are {LANGUAGE_NAMES[str(languages[0])]}.",
            "Look whether they are the right columns or files.",
        )


def _check_scripts(pairs: Pairs, scripts: Sequence[str | None], account: Account) -> None:
    """Sides that are called by a language and are in the script of another."""
    meant = [SCRIPT_OF_LANGUAGE.get(name) for name in _tags(pairs)]
    _compare_names(pairs, scripts, meant, lambda name: f"in the script {name.title()}", account)


def _tags(pairs: Pairs) -> list[str]:
    """What the sides are called, without a region: "pt" of "pt-BR"."""
    return [name.casefold().replace("_", "-").partition("-")[0] for name in pairs.names]


def _compare_names(
    pairs: Pairs,
    found: Sequence[str | None],
    meant: Sequence[str | None],
    said: Callable[[str], str],
    account: Account,
) -> bool:
    """Warn of sides that are something else than their names say; whether both are exchanged."""
    where = pairs.files[0] if pairs.files else "all"
    first, second = found
    is_exchanged = first != second and [second, first] == list(meant)
    if first is not None and second is not None and is_exchanged:
        account.warn(
            "swapped-columns",
            where,
            f"The side '{pairs.names[0]}' is {said(first)} and '{pairs.names[1]}' is "
            f"{said(second)}: they look exchanged.",
            "Exchange their names, or set data.source and data.target.",
        )
        return True
    for name, own, wanted in zip(pairs.names, found, meant, strict=True):
        if own is not None and wanted is not None and own != wanted:
            account.warn(
                "wrong-language-column",
                where,
                f"The side '{name}' is {said(own)}.",
                "Give it its right name, or look whether it is the right file.",
            )
    return False


def _check_lengths(pairs: Pairs, odd: set[int], account: Account) -> None:
    """Pairs of which one side is much longer than the other would lead to expect."""
    sizes = np.array(
        [[len(s), len(t)] for s, t in zip(pairs.sources, pairs.targets, strict=True)], np.float64
    ).reshape(-1, 2)
    long = sizes[(sizes >= 10).all(axis=1)]
    ratio = float(np.exp(np.median(np.log(long[:, 1] / long[:, 0])))) if len(long) >= 20 else 1.0
    ratio = min(max(ratio, 0.05), 20.0)
    slack = SLACK * min(1.0, ratio)
    expected = sizes[:, 0] * ratio + slack
    apart = np.abs(np.log((sizes[:, 1] + slack) / expected))
    found = []
    for row in np.flatnonzero(apart > math.log(TIMES_LONGER)).tolist():
        if row in odd:
            continue
        first, second = (int(size) for size in sizes[row])
        found.append(
            (
                pairs.place(row),
                f"'{pairs.names[0]}' has {first} characters and '{pairs.names[1]}' {second}, where "
                f"{round(first * ratio)} are usual.",
            )
        )
    remedy = "Look whether a part is missing, or the line belongs to another."
    warn_each(account, "lengths-do-not-fit", found, remedy, "pairs have lengths that do not fit")
