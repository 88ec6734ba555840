"""Numbers up to 999 in words, in English, German and Chinese: a translation that is easy.

The words of a number follow from its digits, but not digit by digit: German says the ones
before the tens, Chinese has no word between digits where another says "and".
"""

import hashlib

HEADER = ("en", "de", "zh", "split")
MOST = 999
COUNTS = {"train": 800, "validation": 100, "test": 100}

EN_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
).split()
EN_TENS = "- - twenty thirty forty fifty sixty seventy eighty ninety".split()
DE_ONES = (
    "null ein zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn "
    "fünfzehn sechzehn siebzehn achtzehn neunzehn"
).split()
DE_TENS = "- - zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig".split()
ZH_DIGITS = "零一二三四五六七八九"
ZH_UNITS = ("千", "百", "十", "")


def english(number: int) -> str:
    """As in "four thousand three hundred and twenty-one"."""
    parts = []
    for size, name in ((1000, "thousand"), (100, "hundred")):
        if number >= size:
            parts.append(f"{EN_ONES[number // size]} {name}")
            number %= size
    if parts and number:
        parts.append("and")
    if number or not parts:
        tens, ones = divmod(number, 10)
        small = EN_ONES[number] if number < 20 else EN_TENS[tens]
        parts.append(f"{small}-{EN_ONES[ones]}" if number > 20 and ones else small)
    return " ".join(parts)


def german(number: int) -> str:
    """As in "viertausenddreihunderteinundzwanzig"."""
    words = ""
    for size, name in ((1000, "tausend"), (100, "hundert")):
        if number >= size:
            words += DE_ONES[number // size] + name
            number %= size
    tens, ones = divmod(number, 10)
    if number >= 20:
        return words + (f"{DE_ONES[ones]}und" if ones else "") + DE_TENS[tens]
    if number == 1:
        return words + "eins"
    return words + (DE_ONES[number] if number or not words else "")


def chinese(number: int) -> str:
    """As in "四千三百二十一"; one 零 stands for any zeros between other digits."""
    words = ""
    for digit, unit in zip(f"{number:04d}", ZH_UNITS, strict=True):
        if digit == "0":
            words += "零" if words and not words.endswith("零") else ""
        else:
            words += ZH_DIGITS[int(digit)] + unit
    words = words.rstrip("零") or "零"
    return words[1:] if words.startswith("一十") else words


def table() -> bytes:
    """Numbers chosen and split by a hash, as tab-separated text with a header."""
    order = sorted(range(MOST + 1), key=lambda n: hashlib.blake2b(b"%d" % n).digest())
    lines, start = ["\t".join(HEADER)], 0
    for split, count in COUNTS.items():
        for number in sorted(order[start : start + count]):
            lines.append("\t".join((english(number), german(number), chinese(number), split)))
        start += count
    return ("\n".join(lines) + "\n").encode()
