"""Splits are complete, stratified, leak no duplicates and depend only on rows and seed."""

from collections import Counter

import numpy as np
import pytest

from septet.data.splitting import make_splits

FRACTIONS = {"train": 0.8, "validation": 0.1, "test": 0.1}


def keys(count: int) -> list[str]:
    return [f"row {number}" for number in range(count)]


def test_every_row_is_in_exactly_one_split_in_ascending_order():
    splits = make_splits(keys(997), ["a", "b", "c"] * 332 + ["a"], seed=3, fractions=FRACTIONS)
    assert sorted(np.concatenate(list(splits.values())).tolist()) == list(range(997))
    for rows in splits.values():
        assert np.all(np.diff(rows) > 0)


def test_each_class_has_its_share_in_each_split():
    labels = ["common"] * 900 + ["rare"] * 100
    splits = make_splits(keys(1000), labels, seed=0, fractions=FRACTIONS)
    for name, share in FRACTIONS.items():
        counts = Counter(labels[row] for row in splits[name])
        assert counts["common"] == 900 * share
        assert counts["rare"] == 100 * share


def test_many_small_classes_fill_the_splits_together():
    labels = [f"class {row % 100}" for row in range(400)]
    splits = make_splits(keys(400), labels, seed=0, fractions=FRACTIONS)
    assert 35 <= len(splits["validation"]) <= 45
    assert 35 <= len(splits["test"]) <= 45


def test_duplicates_stay_in_one_split():
    groups = [f"picture {row % 50}" for row in range(200)]
    splits = make_splits(groups, None, seed=1, fractions=FRACTIONS)
    homes = {name: {groups[row] for row in rows} for name, rows in splits.items()}
    assert len(splits["test"]) > 0
    assert not homes["train"] & homes["test"]
    assert not homes["train"] & homes["validation"]
    assert not homes["validation"] & homes["test"]


def test_duplicates_with_conflicting_labels_stay_in_one_split():
    groups = [f"picture {row // 2}" for row in range(200)]
    splits = make_splits(groups, ["a", "b"] * 100, seed=1, fractions=FRACTIONS)
    homes = [{groups[row] for row in rows} for rows in splits.values()]
    assert sum(len(home) for home in homes) == 100


@pytest.mark.parametrize("members", [1, 2])
def test_tiny_classes_stay_in_train(members):
    labels = ["common"] * 98 + ["tiny"] * members
    for seed in range(10):
        splits = make_splits(keys(98 + members), labels, seed=seed, fractions=FRACTIONS)
        assert Counter(labels[row] for row in splits["train"])["tiny"] == members


def test_the_place_of_a_row_does_not_depend_on_the_order_of_rows():
    groups = keys(300)
    first = make_splits(groups, None, seed=5, fractions=FRACTIONS)
    second = make_splits(groups[::-1], None, seed=5, fractions=FRACTIONS)
    assert {groups[row] for row in first["test"]} == {groups[::-1][row] for row in second["test"]}


def test_another_seed_gives_another_split_and_the_same_seed_the_same():
    one, again, other = (
        make_splits(keys(300), None, seed=seed, fractions=FRACTIONS)["test"].tolist()
        for seed in (1, 1, 2)
    )
    assert one == again
    assert one != other


def test_splits_of_share_zero_are_empty():
    splits = make_splits(keys(20), None, seed=0, fractions={"train": 1.0, "test": 0.0})
    assert len(splits["train"]) == 20
    assert len(splits["test"]) == 0


@pytest.mark.parametrize(
    "fractions",
    [{"validation": 1.0}, {"train": 0.5, "test": 0.4}, {"train": 1.5, "test": -0.5}],
)
def test_fractions_that_are_no_shares_are_refused(fractions):
    with pytest.raises(ValueError, match="add up to 1"):
        make_splits(keys(5), None, seed=0, fractions=fractions)


def test_a_label_a_row_is_required():
    with pytest.raises(ValueError, match="expected one each"):
        make_splits(keys(5), ["a"], seed=0, fractions=FRACTIONS)
