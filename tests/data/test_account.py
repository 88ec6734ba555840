"""What an account says of rejections, one or many."""

import pytest

from septet.data.account import Account, Rejection
from septet.errors import DataError


def account_of(read: int, rejected: int) -> Account:
    account = Account(read=read)
    for line in range(2, 2 + rejected):
        entry = Rejection("bad", "a.csv", line, "It is bad.", "Mend it.")
        account.rejections.append(entry)
    return account


def test_what_was_rejected_whole_is_counted_in_right_grammar():
    only = "the only text was rejected. a.csv, line 2: It is bad. Mend it."
    assert account_of(1, 1).nothing_left("text") == only
    both = "all 2 texts were rejected. First: a.csv, line 2: It is bad. Mend it."
    assert account_of(2, 2).nothing_left("text") == both


@pytest.mark.parametrize(("rejected", "said"), [(1, "1 of 4 examples"), (3, "3 of 4 examples")])
def test_too_many_rejections_are_refused_in_right_grammar(rejected, said):
    verb = "was" if rejected == 1 else "were"
    with pytest.raises(DataError, match=rf"{said} \(\d+\.0%\) {verb} rejected, more than .*line 2"):
        account_of(4, rejected).require_trainable(0.1)
    account_of(4, rejected).require_trainable(0.9)


def test_a_place_has_a_line_where_there_are_lines():
    assert Rejection("bad", "a.png", None, "", "").place == "a.png"
    assert Rejection("bad", "a.csv", 7, "", "").place == "a.csv, line 7"
