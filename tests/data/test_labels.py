"""Label typos are found; labels that merely look alike are left in peace."""

import pytest

from septet.data.labels import edit_distance, imbalance, similar_labels


@pytest.mark.parametrize(
    ("rare", "common"),
    [
        ("Setosa", "setosa"),
        ("setosa ", "setosa"),
        ("sandy-beach", "sandy beach"),
        ("setsoa", "setosa"),
        ("seotsa", "setosa"),
        ("versicolour", "versicolor"),
        ("malignat", "malignant"),
        ("virgnica", "virginica"),
        ("iris verscolor", "iris versicolor"),
    ],
)
def test_a_mistyped_label_is_found(rare, common):
    assert similar_labels({common: 50, rare: 1, "something else": 40}) == [(rare, common)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("class1", "class2"),
        ("class 1", "class 11"),
        ("3", "8"),
        ("-1", "1"),
        ("1.0", "10"),
        ("cat", "car"),
        ("classA", "classB"),
        ("groupa", "groupb"),
        ("type I", "type II"),
        ("grade a", "grade b"),
        ("male", "female"),
        ("healthy", "unhealthy"),
        ("typical", "atypical"),
        ("hypertension", "hypotension"),
        ("2020-01", "202-001"),
        ("<=50K", ">50K"),
        ("yes", "no"),
    ],
)
def test_labels_that_differ_in_meaning_are_left_alone(one, other):
    assert similar_labels({one: 1000, other: 1}) == []
    assert similar_labels({one: 1, other: 1000}) == []


def test_labels_of_similar_frequency_are_not_typing_errors():
    assert similar_labels({"internal": 50, "interval": 40}) == []


def test_letters_in_two_cases_are_classes_unless_one_hardly_occurs():
    assert similar_labels({"a": 50, "A": 50}) == []
    assert similar_labels({"a": 50, "A": 1}) == [("A", "a")]


def test_thousands_of_labels_are_quick_and_still_compared_by_case():
    counts = {f"label{'x' * (number % 7)} {number}": 5 for number in range(1_000)}
    counts["LABEL 0"] = 1
    assert similar_labels(counts) == [("LABEL 0", "label 0")]


def test_imbalance_is_the_ratio_of_the_largest_to_the_smallest_class():
    assert imbalance({"a": 200, "b": 10, "empty": 0}) == 20.0
    assert imbalance({"a": 50, "b": 10}) is None
    assert imbalance({"a": 50}) is None


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [("", "abc", 3), ("kitten", "sitting", 3), ("ab", "ba", 1), ("same", "same", 0)],
)
def test_edit_distance_matches_known_values(one, other, distance):
    assert edit_distance(one, other) == distance
    assert edit_distance(other, one) == distance
