"""Kinds of columns are told apart, and cells parsed, as people mean them."""

import numpy as np
import pytest

from septet.tables.columns import Column, category_key, infer, is_missing, numbers_of, parse_date


@pytest.mark.parametrize(
    ("kind", "cells"),
    [
        ("number", ["1", "2.5", "-3e4", "", "7"] * 8),
        ("number", [str(number % 5) for number in range(40)]),
        ("boolean", ["True", "false", "?", "TRUE"] * 5),
        ("date", ["2024-05-31", "2023-01-02T10:00:00Z", "NA"] * 9),
        ("date", [f"{day}.12.2020" for day in range(1, 29)]),
        ("category", ["red", "green", "blue", None] * 8),
        ("identifier", [f"AB-{number}" for number in range(40)]),
        ("identifier", [str(number) for number in range(100, 140)]),
        ("text", [f"the order number {n} came late and was broken" for n in range(40)]),
        ("empty", ["", "NA", None, "null", "?"]),
    ],
)
def test_the_kind_of_a_column_is_inferred(kind, cells):
    assert infer("some column", cells).kind == kind


def test_whole_numbers_that_never_repeat_are_identifiers_only_by_name_or_order():
    cells = [str(number * number + 17) for number in range(40)]
    assert infer("weight", cells).kind == "number"
    assert infer("customer_id", cells).kind == "identifier"


@pytest.mark.parametrize("cell", ["", " ", "NA", "NaN", "nan", "null", "None", "?", None])
def test_missing_values_are_known_by_their_usual_names(cell):
    assert is_missing(cell)


def test_days_are_told_from_months_by_the_whole_column():
    day_first = infer("day", ["03/04/2020", "25/04/2020"] * 10)
    assert day_first.date_format == "%d/%m/%Y"
    assert parse_date("03/04/2020", "%d/%m/%Y") == parse_date("2020-04-03", "iso")


def test_dates_count_days_since_1970_in_utc():
    assert parse_date("1970-01-02", "iso") == 1.0
    assert parse_date("1970-01-01T01:00:00+01:00", "iso") == 0.0
    assert parse_date("1970-13-01", "iso") is None
    assert parse_date("12", "iso") is None


def test_numbers_booleans_and_missing_cells_become_floats():
    values = numbers_of(Column("a", "number"), ["1", "", "x", "-2.5e3", None])
    np.testing.assert_array_equal(values, [1.0, np.nan, np.nan, -2500.0, np.nan])
    flags = numbers_of(Column("a", "boolean"), ["yes", "F", "?"])
    np.testing.assert_array_equal(flags, [1.0, 0.0, np.nan])


@pytest.mark.parametrize(
    ("cell", "key"),
    [(" red ", "red"), ("1.0", "1"), ("1e2", "100"), ("007", "007"), ("1.5.", "1.5.")],
)
def test_a_category_has_one_name_however_it_is_written(cell, key):
    assert category_key(cell) == key
