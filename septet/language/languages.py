"""Which language a text is likely in: by script, by common words, and by what a corpus shows.

Cautious on purpose: it says nothing of short texts, names and numbers. What two sides of
parallel text look like is learned from them, so that any two languages can be told apart.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

COMMON_WORDS: Mapping[str, frozenset[str]] = {
    language: frozenset(words.split())
    for language, words in {
        "en": "the of and to is that it for was with as be this have from not are by at which but "
        "they his you her or an were their if when will would there been has can all your",
        "de": "der die das und ist nicht ein eine zu den von mit sich auf für dem im des auch als "
        "sie es an werden aus er hat dass wird sind bei einer einem einen oder wenn ihre kann",
        "fr": "le la les et est des une du dans que pour qui pas sur avec au il elle sont par plus "
        "ce cette ne se nous vous mais ou leur aux ces être été fait comme tout",
        "es": "el los las y es que una por con para del se no su al lo como más pero sus le este "
        "esta cuando muy sin sobre también fue hay está son ser entre",
        "it": "il gli che di è una per con non del della si le dei nel alla anche come sono più "
        "dal questo questa ma ha nella delle essere degli suo sua quando",
        "pt": "o os as e é que uma por com para do da não em se no na dos das um mais como mas foi "
        "ao ele ela são seu sua ou quando muito está também",
        "nl": "de het een van en is dat niet op te in zijn met voor aan er om ook als dan maar bij "
        "nog naar door wordt uit kan heeft worden deze over geen",
        "sv": "och att det som en på är av för med till den har de inte om ett var jag sig men så "
        "från vi kan när nu efter eller också detta vid",
        "pl": "w na z do się nie jest to że i o jak po od za przez dla co by tym już ale tylko są "
        "czy jego być oraz może który która",
    }.items()
}
"""Words that nearly every text of a language has, and not all of them only that."""

LANGUAGE_NAMES = {
    "en": "English", "de": "German", "fr": "French", "es": "Spanish", "it": "Italian",
    "pt": "Portuguese", "nl": "Dutch", "sv": "Swedish", "pl": "Polish",
}  # fmt: skip

SCRIPTS = (
    "LATIN", "CYRILLIC", "GREEK", "ARABIC", "HEBREW", "DEVANAGARI", "THAI", "HANGUL", "HIRAGANA",
    "KATAKANA", "CJK", "ARMENIAN", "GEORGIAN", "BENGALI", "TAMIL",
)  # fmt: skip
MERGED = {"HIRAGANA": "JAPANESE OR CHINESE", "KATAKANA": "JAPANESE OR CHINESE",
          "CJK": "JAPANESE OR CHINESE"}  # fmt: skip

SCRIPT_OF_LANGUAGE: Mapping[str, str] = {
    **dict.fromkeys(
        (*LANGUAGE_NAMES, "ca", "cs", "da", "et", "fi", "hr", "hu", "id", "lt", "lv", "nb", "nn",
         "no", "ro", "sk", "sl", "sw", "tr", "vi"),
        "LATIN",
    ),
    **dict.fromkeys(("zh", "ja", "yue"), "JAPANESE OR CHINESE"),
    **dict.fromkeys(("ru", "uk", "bg", "be", "mk"), "CYRILLIC"),
    **dict.fromkeys(("ar", "fa", "ur", "ps"), "ARABIC"),
    **dict.fromkeys(("hi", "mr", "ne", "sa"), "DEVANAGARI"),
    **dict.fromkeys(("he", "yi"), "HEBREW"),
    "bn": "BENGALI", "el": "GREEK", "hy": "ARMENIAN", "ka": "GEORGIAN", "ko": "HANGUL",
    "ta": "TAMIL", "th": "THAI",
}  # fmt: skip
"""Scripts that a language is written in, where that is one."""

WORD = re.compile(r"[^\W\d_]+")
NO_LETTER = re.compile(r"[\W\d_]+")

LEAST_WORDS = 4
"""Common words of another language, with fewer of its own, from which a text is in that."""
BUCKETS = 1 << 18
SMOOTHING = 0.3
LEAST_RUNS = 20
"""Runs of three letters from which a text says something about its language."""
DOUBT = -0.8
"""Of a run on average, below which a text is more likely of the other side (nats)."""


def script_of(text: str) -> str | None:
    """The script of nearly all letters of a text; None of few letters or several scripts."""
    counts: Counter[str] = Counter()
    for letter in set(text):
        if letter.isalpha():
            script = unicodedata.name(letter, "").partition(" ")[0]
            if script in SCRIPTS:
                counts[MERGED.get(script, script)] += text.count(letter)
    total = counts.total()
    if total < 4:
        return None
    script, count = counts.most_common(1)[0]
    return script if count >= 0.9 * total else None


def common_words_in(text: str) -> dict[str, int]:
    """How many words of a text are common ones of each language."""
    words = WORD.findall(text.casefold())
    return {
        language: sum(word in common for word in words) for language, common in COMMON_WORDS.items()
    }


def language_of(texts: Sequence[str]) -> str | None:
    """The language of a whole side of parallel text, where its common words leave no doubt."""
    totals: Counter[str] = Counter()
    for text in texts[:2000]:
        totals.update(common_words_in(text))
    best = totals.most_common(2)
    if best[0][1] < 20 or best[0][1] < 1.5 * best[1][1]:
        return None
    return best[0][0]


def other_language_of(text: str, own: str | None) -> str | None:
    """A language that a text is in rather than in its side's own; None where that is unsure."""
    if own is None:
        return None
    counts = common_words_in(text)
    best = max(counts, key=lambda language: counts[language])
    is_other = best != own and counts[best] >= LEAST_WORDS and counts[best] >= 3 * counts[own] + 1
    return best if is_other else None


def doubts(own: Sequence[str], other: Sequence[str]) -> np.ndarray:
    """How much each text of one side is like that side, rather than like the other.

    From runs of three letters in both sides, without what the text itself adds to its own:
    mean log of how much likelier a run is on its own side, float64 [n]; 0 for short texts.
    """
    rows, runs = _runs(own)
    _, other_runs = _runs(other)
    counts = np.bincount(runs, minlength=BUCKETS).astype(np.float64)
    others = np.bincount(other_runs, minlength=BUCKETS).astype(np.float64)
    size, other_size = max(len(runs), 1), max(len(other_runs), 1)
    # What occurs once on its own side is what this very text brought.
    likelihood = np.log((np.maximum(counts - 1.0, 0.0) + SMOOTHING) / size)
    likelihood -= np.log((others + SMOOTHING) / other_size)
    total = np.bincount(rows, weights=likelihood[runs], minlength=len(own))
    number = np.bincount(rows, minlength=len(own))
    return np.where(number >= LEAST_RUNS, total / np.maximum(number, 1), 0.0)


def _runs(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Text and number (by a hash) of every run of three letters or ends of words."""
    plain = [" " + NO_LETTER.sub(" ", text.casefold()).strip() + " " for text in texts]
    lengths = np.array([len(text) for text in plain], np.int64)
    codes = np.frombuffer("".join(plain).encode("utf-32-le", "surrogatepass"), np.uint32)
    rows = np.repeat(np.arange(len(plain)), lengths)
    if len(codes) < 3:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    codes = codes.astype(np.uint64)
    mixed = codes[:-2] * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= codes[1:-1] * np.uint64(0xC2B2AE3D27D4EB4F)
    mixed ^= codes[2:] * np.uint64(0x165667B19E3779F9)
    runs = (mixed >> np.uint64(40)).astype(np.int64) % BUCKETS
    within = rows[:-2] == rows[2:]
    return rows[:-2][within], runs[within]
