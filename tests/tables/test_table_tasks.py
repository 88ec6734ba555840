"""The two table tasks from file to arrays, and from outputs to answers."""

import json
from pathlib import Path

import numpy as np
import pytest

from septet.errors import DataError
from septet.tables.classification import TabularClassification
from septet.tables.options import TableDataOptions
from septet.tables.regression import TabularRegression
from tests.tables.made_up_tables import HEADER, as_csv, customers, houses


@pytest.fixture
def customer_table(tmp_path: Path):
    path = tmp_path / "customers.csv"
    path.write_text(as_csv(HEADER, customers()))
    task = TabularClassification()
    dataset = task.read(path, TableDataOptions(), 0)
    return task, path, dataset, task.prepare(dataset, TableDataOptions())


@pytest.fixture
def house_table(tmp_path: Path):
    path = tmp_path / "houses.csv"
    path.write_text(as_csv(*houses()))
    task = TabularRegression()
    dataset = task.read(path, TableDataOptions(), 0)
    return task, path, dataset, task.prepare(dataset, TableDataOptions())


def test_what_is_prepared_survives_json(customer_table, house_table):
    for task, _, _, prepared in (customer_table, house_table):
        again = json.loads(json.dumps(prepared, allow_nan=False))
        assert task.prepared_type.model_validate(again).model_dump(mode="json") == prepared


def test_every_form_of_the_same_row_is_encoded_the_same(customer_table, tmp_path):
    pandas = pytest.importorskip("pandas")
    task, path, _, prepared = customer_table
    row = customers()[5]
    named = dict(zip(HEADER, row, strict=True))
    typed = {**named, "age": float(row[0]), "income": float(row[1]), "is_member": row[3] == "yes"}
    (tmp_path / "one.jsonl").write_text(json.dumps(typed) + "\n")
    (tmp_path / "one.tsv").write_text("\t".join(HEADER) + "\n" + "\t".join(row) + "\n")
    expected = task.encode([named], prepared)
    forms = [
        named,
        [typed],
        [row],
        [tuple(row[:-1])],
        pandas.DataFrame([typed]),
        [str(tmp_path / "one.jsonl")],
        tmp_path / "one.tsv",
    ]
    for form in forms:
        found = task.encode(form, prepared)
        assert sorted(found) == ["categories", "numbers"]
        for name, array in expected.items():
            np.testing.assert_array_equal(found[name], array, err_msg=repr(form))
    whole = task.encode([path], prepared)
    np.testing.assert_array_equal(whole["numbers"][5], expected["numbers"][0])


def test_training_arrays_are_what_encode_makes_of_the_same_rows(customer_table):
    task, path, dataset, prepared = customer_table
    whole = task.encode([path], prepared)
    for split in dataset.splits.values():
        rows = [int(source.rpartition(":")[2]) - 2 for source in split.sources]
        inputs, labels = task.arrays(split, prepared)
        for name, array in inputs.items():
            np.testing.assert_array_equal(array, whole[name][rows])
        assert [prepared["classes"][label] for label in labels] == split.targets.tolist()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"age": 3}, "lacks 4 of the columns that the model needs: income"),
        ([1, 2], "has 2 values; the model needs 5: age, income"),
        (["old", 2, "Osaka", True, "2020-01-01"], "column 'age' holds 'old'; expected a number"),
        ([1, 2, "Osaka", True, "May 5"], "expected a date such as 2024-05-31"),
        ([1, 2, ["Osaka"], True, "2020-01-01"], "the value of 'city' is a list"),
        ({1, 2}, "is a set. Expected a dictionary"),
    ],
)
def test_rows_that_do_not_fit_are_refused_by_name(customer_table, row, message):
    task, _, _, prepared = customer_table
    with pytest.raises(DataError, match=r"^Input 1.*" + message):
        task.encode([row], prepared)


def test_missing_values_may_be_given_as_none_or_nan(customer_table):
    task, _, _, prepared = customer_table
    one = task.encode([[None, 2, "Osaka", None, "2020-01-01"]], prepared)
    other = task.encode([[float("nan"), 2, "Osaka", "", "2020-01-01"]], prepared)
    np.testing.assert_array_equal(one["numbers"], other["numbers"])


def test_words_of_a_command_line_become_inputs(customer_table):
    task, _, _, _ = customer_table
    inputs = task.inputs_from_arguments(["a.csv", '{"age": 3}', "city=Osaka", "age = 4"])
    assert inputs == [Path("a.csv"), {"age": 3}, {"city": "Osaka", "age": " 4"}]
    with pytest.raises(DataError, match="'what' is no input for a table model"):
        task.inputs_from_arguments(["what"])
    with pytest.raises(DataError, match="is not JSON"):
        task.inputs_from_arguments(["{age: 3}"])


def test_regression_is_standardised_for_training_and_answered_in_its_unit(house_table):
    task, _, dataset, prepared = house_table
    split = dataset.splits["test"]
    _, standardised = task.arrays(split, prepared)
    _, train_targets = task.arrays(dataset.splits["train"], prepared)
    assert abs(train_targets.mean()) < 1e-5
    assert abs(train_targets.std() - 1) < 1e-5
    answers = task.answer(standardised[:, None], prepared)
    np.testing.assert_allclose([a.value for a in answers], split.targets, rtol=1e-5)
    evaluation = task.evaluate(standardised[:, None], split, prepared)
    assert evaluation["scores"]["r2"] > 0.9999


def test_perfect_logits_are_scored_and_answered_as_the_classes(customer_table):
    task, _, dataset, prepared = customer_table
    split = dataset.splits["test"]
    _, labels = task.arrays(split, prepared)
    logits = 20.0 * np.eye(3)[labels]
    assert task.evaluate(logits, split, prepared)["scores"]["accuracy"] == 1.0
    assert [answer.label for answer in task.answer(logits, prepared)] == split.targets.tolist()


def test_data_are_split_the_same_whatever_the_order_of_rows(tmp_path, customer_table):
    task, _, dataset, _ = customer_table
    turned = tmp_path / "turned.csv"
    turned.write_text(as_csv(HEADER, customers()[::-1]))
    other = task.read(turned, TableDataOptions(), 0)
    for name, split in dataset.splits.items():
        ages = sorted(split.examples["age"].tolist())
        assert ages == sorted(other.splits[name].examples["age"].tolist())


def test_a_limit_keeps_so_many_training_rows_and_the_account_balances(customer_table):
    task, path, _, _ = customer_table
    account = task.read(path, task.data_options(limit=50), 0).account
    assert account.splits["train"] == 50
    assert account.read == account.used
    assert "limited" in [finding.code for finding in account.findings]


def test_all_formats_hold_the_same_table(customer_table, tmp_path):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    task, path, dataset, _ = customer_table
    frame = pandas.read_csv(path)
    frame.to_parquet(tmp_path / "c.parquet")
    frame.to_json(tmp_path / "c.jsonl", orient="records", lines=True)
    frame.to_csv(tmp_path / "c.tsv", sep="\t", index=False, encoding="utf-8-sig")
    frame.to_csv(tmp_path / "semicolons.csv", sep=";", decimal=",", index=False)
    for name in ("c.parquet", "c.jsonl", "c.tsv", "semicolons.csv"):
        other = task.read(tmp_path / name, TableDataOptions(), 0)
        assert other.facts == dataset.facts, name
        assert other.account.read == 240
        ages = np.concatenate([split.examples["age"] for split in other.splits.values()])
        expected = np.concatenate([split.examples["age"] for split in dataset.splits.values()])
        np.testing.assert_allclose(np.sort(ages), np.sort(expected))
