"""Encoded columns: statistics of training rows only, bounded numbers, 0 for the unknown."""

import numpy as np
import pytest
from pydantic import ValidationError

from septet.tables import features
from septet.tables.classification import PreparedClassification


def objects(*values):
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


FACTS = {
    "target": "y",
    "header": ["size", "when", "color", "words", "y"],
    "columns": [
        {"name": "size", "kind": "number", "date_format": None},
        {"name": "when", "kind": "date", "date_format": "iso"},
        {"name": "color", "kind": "category", "date_format": None},
        {"name": "words", "kind": "text", "date_format": None},
    ],
}
TRAIN = {
    "size": np.array([0.0, 1.0, 2.0, 3.0, np.nan]),
    "when": np.array([0.0, 10.0, 20.0, 30.0, 40.0]),
    "color": objects("red", "red", "green", None, "green"),
    "words": objects("a b", "b c", "c d", None, "a a"),
}


def learned():
    return features.learn_columns(FACTS, TRAIN, max_categories=1000, text_features=8)


def test_inputs_have_the_shapes_that_the_network_is_told():
    prepared = learned()
    inputs = features.encode_columns(TRAIN, prepared)
    # size and its missing sign, a date's seven, eight hashed words
    assert inputs["numbers"].shape == (5, features.num_numbers(prepared)) == (5, 2 + 7 + 8)
    assert inputs["numbers"].dtype == np.float32
    assert inputs["categories"].dtype == np.int32
    assert features.cardinalities(prepared) == [3]


def test_numbers_are_scaled_by_median_and_quartiles_and_squashed():
    inputs = features.encode_columns(TRAIN, learned())["numbers"]
    z = (np.array([0.0, 1.0, 2.0, 3.0]) - 1.5) / 1.5
    np.testing.assert_allclose(inputs[:4, 0], z / np.sqrt(1 + (z / 3) ** 2), rtol=1e-6)
    np.testing.assert_array_equal(inputs[:, 1], [0, 0, 0, 0, 1])
    assert inputs[4, 0] == 0.0


def test_absurd_numbers_stay_bounded_and_in_order():
    squashed = features.squash(np.array([-1e300, -50.0, 0.0, 50.0, 1e300]))
    assert np.all(np.abs(squashed) <= 3.0)
    assert np.all(np.diff(squashed) > 0)


def test_categories_unseen_in_training_are_zero():
    other = {**TRAIN, "color": objects("red", "green", "violet", None, "red")}
    found = features.encode_columns(other, learned())["categories"][:, 0]
    np.testing.assert_array_equal(found, [2, 1, 0, 0, 2])


def test_categories_seen_once_in_a_large_set_train_the_unknown():
    values = objects(*(["a"] * 30 + ["b"] * 30 + ["rare"]))
    assert features.vocabulary(values, 10) == ["a", "b"]
    assert features.vocabulary(values, 1) == ["a"]


def test_constant_numbers_carry_nothing_and_do_not_divide_by_zero():
    scaling = features.learn_scaling(np.full(9, 7.0))
    assert scaling.scale == 0.0


def test_texts_with_the_same_words_are_encoded_the_same():
    rows = features.hash_words(objects("Red house", "house, RED!", "blue boat", None), 64)
    np.testing.assert_array_equal(rows[0], rows[1])
    assert not np.array_equal(rows[0], rows[2])
    assert not rows[3].any()


SPOILED = {
    "an unknown key": {"command": "x"},
    "one class": {"classes": ["a"]},
    "no columns": {"columns": []},
    "an infinite center": {
        "columns": [
            {
                "kind": "number",
                "name": "a",
                "scaling": {"center": float("inf"), "scale": 1.0},
                "has_missing": False,
            }
        ]
    },
    "a huge text": {"columns": [{"kind": "text", "name": "a", "features": 10**9}]},
    "an unknown kind": {"columns": [{"kind": "code", "name": "a"}]},
}


@pytest.mark.parametrize("what", SPOILED)
def test_a_model_folder_with_impossible_preprocessing_is_refused(what):
    good = {**learned().model_dump(mode="json"), "classes": ["a", "b"]}
    PreparedClassification.model_validate(good)
    with pytest.raises(ValidationError):
        PreparedClassification.model_validate({**good, **SPOILED[what]})
