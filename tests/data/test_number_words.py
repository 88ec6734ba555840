"""Numbers in words, as their languages have them."""

import csv
import io

import pytest

from septet.data.number_words import COUNTS, MOST, chinese, english, german, table

EXPECTED = {
    0: ("zero", "null", "零"),
    1: ("one", "eins", "一"),
    10: ("ten", "zehn", "十"),
    12: ("twelve", "zwölf", "十二"),
    17: ("seventeen", "siebzehn", "十七"),
    20: ("twenty", "zwanzig", "二十"),
    21: ("twenty-one", "einundzwanzig", "二十一"),
    100: ("one hundred", "einhundert", "一百"),
    101: ("one hundred and one", "einhunderteins", "一百零一"),
    110: ("one hundred and ten", "einhundertzehn", "一百一十"),
    666: ("six hundred and sixty-six", "sechshundertsechsundsechzig", "六百六十六"),
}


@pytest.mark.parametrize("number", EXPECTED)
def test_numbers_are_in_words(number):
    assert (english(number), german(number), chinese(number)) == EXPECTED[number]


def test_every_number_has_words_of_its_own_and_is_in_one_split():
    rows = list(csv.DictReader(io.StringIO(table().decode()), delimiter="\t"))
    assert len(rows) == sum(COUNTS.values()) == MOST + 1
    for language in ("en", "de", "zh"):
        assert len({row[language] for row in rows}) == len(rows)
    for split, count in COUNTS.items():
        assert sum(row["split"] == split for row in rows) == count
