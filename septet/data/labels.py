"""What a list of labels and their counts says by itself: likely typing errors and imbalance.

Cautious on purpose: a false alarm about somebody's label teaches them to ignore the rest.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence

from septet.data.account import Account

IMBALANCED_FROM = 10.0
"""Largest class over smallest, from which a set counts as imbalanced."""

MAX_COMPARED = 20_000
"""With more labels than this only spelling variants (case, spaces) are looked for."""

SHORTEST_WORD, LONG_WORD, LONGEST_WORD = 5, 8, 40
"""Letters from which a word may be one edit wrong, two edits wrong, or is no word at all."""

OPPOSITES = (("hyper", "hypo"), ("inter", "intra"), ("micro", "macro"), ("pre", "pro"))
"""Prefixes by which words of different meaning differ in one or two letters."""


def similar_labels(counts: Mapping[str, int]) -> list[tuple[str, str]]:
    """Pairs (rare label, common label) of which the first is likely the second, mistyped.

    Two kinds: the same letters in another case or spacing, and a rare label one edit
    (two in long words) from one at least five times as common. Numbers, single letters
    and short words never count as typing errors ("class1" and "class2" are two classes).
    """
    pairs = _variants(counts)
    if len(counts) <= MAX_COMPARED:
        found = {rare for rare, _ in pairs}
        pairs += _typing_errors({name: n for name, n in counts.items() if name not in found})
    return sorted(pairs)


def warn_of_labels(
    labels: Sequence[str], account: Account, *, place: Callable[[int], str], whole: str, noun: str
) -> Counter[str]:
    """Report typing errors in classes, classes with one member and imbalance; the counts.

    Args:
        labels: Of each example.
        account: Where it is reported.
        place: Where the example of a row is.
        whole: Where they all are.
        noun: What examples are called, of which "s" makes several.
    """
    counts = Counter(labels)
    first = {label: row for row, label in reversed(list(enumerate(labels)))}
    places = {label: place(row) for label, row in first.items()}
    warn_of_typos(counts, account, places)
    for label, count in counts.items():
        if count == 1:
            account.warn(
                "single-member-class",
                places[label],
                f"The class {shown(label)} has one {noun}, so it cannot be tested.",
                f"Add {noun}s, join it with another class or remove it.",
            )
    ratio = imbalance({label: count for label, count in counts.items() if count > 1})
    if ratio is not None:
        (largest, most), (smallest, fewest) = counts.most_common()[0], counts.most_common()[-1]
        account.warn(
            "imbalanced-classes",
            whole,
            f"{shown(largest)} has {most} {noun}s, {shown(smallest)} {fewest}.",
            "Weigh the classes with training.class_weights=balanced, and look at the scores "
            "of each class.",
        )
    return counts


def warn_of_typos(counts: Mapping[str, int], account: Account, places: Mapping[str, str]) -> None:
    """Report labels that are likely others, mistyped; `places` are where each comes first."""
    for rare, common in similar_labels(counts):
        account.warn(
            "label-typo",
            places[rare],
            f"The label {shown(rare)} ({counts[rare]} times) is close to {shown(common)} "
            f"({counts[common]} times).",
            "If they mean the same, write them the same.",
        )


def shown(text: str) -> str:
    """A label or cell in quotes, cut to what a line holds."""
    return repr(text if len(text) <= 40 else text[:40] + "...")


def imbalance(counts: Mapping[str, int]) -> float | None:
    """Largest class over smallest non-empty class, or None when that is below ten."""
    sizes = [count for count in counts.values() if count > 0]
    if len(sizes) < 2:
        return None
    ratio = max(sizes) / min(sizes)
    return ratio if ratio >= IMBALANCED_FROM else None


def _variants(counts: Mapping[str, int]) -> list[tuple[str, str]]:
    spellings: dict[str, list[str]] = defaultdict(list)
    for label in sorted(counts):
        spellings[_squeeze(label)].append(label)
    pairs = []
    for labels in spellings.values():
        common = max(labels, key=lambda label: counts[label])
        for label in labels:
            # Letters as classes ("a" and "A") are meant, unless one hardly occurs.
            is_letter = len(common.strip()) == 1 and len(label.strip()) == 1
            if label != common and not (
                is_letter
                and label.strip() != common.strip()
                and counts[label] * 20 > counts[common]
            ):
                pairs.append((label, common))
    return pairs


def _squeeze(label: str) -> str:
    """The label without case, spaces, underscores and hyphens, except between digits."""
    text = unicodedata.normalize("NFKC", label).casefold().strip()
    text = re.sub(r"(?<=\d)[\s_-]+(?=\d)", "\x00", text)
    # A leading minus is part of a number.
    return re.sub(r"(?<!^)[\s_-]+|^[\s_]+|^-+(?!\d)", "", text) or label


def _typing_errors(counts: Mapping[str, int]) -> list[tuple[str, str]]:
    """Candidates share a word with the same letters left out (Garbe's symmetric delete)."""
    largest, smallest = max(counts.values(), default=0), min(counts.values(), default=0)
    traces = {
        label: _traces(label)
        for label, count in sorted(counts.items())
        if count * 5 <= largest or count >= 5 * smallest
    }
    sharing: dict[Trace, list[str]] = defaultdict(list)
    for label, of_label in traces.items():
        for trace in of_label:
            sharing[trace].append(label)
    pairs = []
    for rare, of_rare in traces.items():
        near = {
            common
            for trace in of_rare
            for common in sharing[trace]
            if counts[rare] * 5 <= counts[common] and _is_typing_error(rare, common)
        }
        if near:
            pairs.append((rare, max(near, key=lambda label: (counts[label], label))))
    return pairs


Trace = tuple[int, tuple[str, ...], str]
"""Place of a word in its label, the other words, and the word with letters left out."""


def _traces(label: str) -> set[Trace]:
    words = _words(label)
    return {
        (place, (*words[:place], *words[place + 1 :]), trace)
        for place, word in enumerate(words)
        if word.isalpha() and SHORTEST_WORD <= len(word) <= LONGEST_WORD
        for trace in _deletions(word)
    }


def _deletions(word: str) -> set[str]:
    found = {word} | {word[:i] + word[i + 1 :] for i in range(len(word))}
    if len(word) >= LONG_WORD:
        found |= {
            text[:i] + text[i + 1 :]
            for text in list(found)
            if text != word
            for i in range(len(text))
        }
    return found


def _is_typing_error(rare: str, common: str) -> bool:
    rare_words, common_words = _words(rare), _words(common)
    if len(rare_words) != len(common_words):
        return False
    changed = [
        (one, other) for one, other in zip(rare_words, common_words, strict=True) if one != other
    ]
    return len(changed) == 1 and _is_same_word(*changed[0])


def _words(label: str) -> list[str]:
    """Lower-case words and numbers of a label; "classA v2" is ["class", "a", "v", "2"]."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", unicodedata.normalize("NFKC", label))
    return re.findall(r"\d+|[^\W\d_]+|[^\w\s]", spaced.casefold())


def _is_same_word(one: str, other: str) -> bool:
    shorter, longer = sorted((one, other), key=len)
    if len(shorter) < SHORTEST_WORD or not (one.isalpha() and other.isalpha()):
        return False
    if longer.endswith(shorter):  # "typical" and "atypical", "healthy" and "unhealthy"
        return False
    if len(one) == len(other) and one[:-1] == other[:-1]:  # "groupa" and "groupb"
        return False
    for left, right in OPPOSITES:
        if {one.startswith(left), other.startswith(left)} == {True, False} and (
            one.startswith(right) or other.startswith(right)
        ):
            return False
    return edit_distance(one, other) <= (2 if len(shorter) >= LONG_WORD else 1)


def edit_distance(one: str, other: str) -> int:
    """Insertions, deletions, substitutions and swaps of neighbours that turn `one` into `other`.

    Optimal string alignment, the restricted form of Damerau (1964).
    """
    before: list[int] = []
    above = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        row = [i]
        for j, candidate in enumerate(other, 1):
            cost = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (letter != candidate))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == candidate:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before, above = above, row
    return above[-1]
