"""Every seeded defect of a table is named with its file and line before anything is trained."""

from collections.abc import Callable
from pathlib import Path

import pytest

import septet.data
from septet.data.account import Account
from septet.errors import DataError
from septet.tables.options import TableDataOptions
from septet.tables.reading import read_dataset
from tests.tables.made_up_tables import HEADER, as_csv, customers, houses

EMBEDDED = Path(septet.data.__file__).parent / "embedded"

Rows = list[list[str]]


def check(path: Path, is_classification: bool = True, **options) -> Account:
    return read_dataset(
        path, TableDataOptions(**options), 0, is_classification=is_classification
    ).account


def loud(account: Account) -> list[str]:
    return [f"{f.code} {f.where}" for f in account.findings if f.severity != "note"]


def set_cell(row: int, column: str, value: str) -> Callable[[Rows], None]:
    def spoil(rows: Rows) -> None:
        rows[row][HEADER.index(column)] = value

    return spoil


def test_clean_tables_report_nothing(tmp_path):
    (tmp_path / "a.csv").write_text(as_csv(HEADER, customers()))
    (tmp_path / "b.csv").write_text(as_csv(*houses()))
    sets = [
        check(tmp_path / "a.csv"),
        check(tmp_path / "b.csv", is_classification=False),
        check(EMBEDDED / "breast-cancer.csv"),
        check(EMBEDDED / "diabetes.csv", is_classification=False),
    ]
    for account in sets:
        assert loud(account) == []
        assert account.rejections == []
        assert account.read == account.used > 0


ROW_DEFECTS = {
    "ragged-row": lambda text: text.replace("\n", "\n1,2,3\n", 1),
    "unclosed-quote": lambda text: text.replace("\n", '\n"1,2,3,4,5,6\n', 1),
    "nul-byte": lambda text: text.replace("\n", "\n1,2,Os\0aka,yes,2020-01-01,basic\n", 1),
    "not-a-number": lambda text: text.replace("\n", "\nold,2,Osaka,yes,2020-01-01,basic\n", 1),
    "infinite-number": lambda text: text.replace("\n", "\ninf,2,Osaka,yes,2020-01-01,basic\n", 1),
    "bad-date": lambda text: text.replace("\n", "\n1,2,Osaka,yes,2020-02-31,basic\n", 1),
    "missing-target": lambda text: text.replace("\n", "\n1,2,Osaka,yes,2020-01-01,\n", 1),
}


@pytest.mark.parametrize("code", ROW_DEFECTS)
def test_a_bad_row_is_rejected_alone_with_its_line(tmp_path, code):
    path = tmp_path / "customers.csv"
    path.write_text(ROW_DEFECTS[code](as_csv(HEADER, customers())))
    account = check(path)
    assert [(r.code, r.file, r.line) for r in account.rejections] == [(code, "customers.csv", 2)]
    assert account.read == 241
    assert account.used == 240


def test_an_undecodable_byte_is_named_with_its_offset(tmp_path):
    path = tmp_path / "customers.csv"
    data = as_csv(HEADER, customers()).encode()
    place = data.index(b"\n") + 3
    path.write_bytes(data[:place] + b"\xe9" + data[place:])
    (rejection,) = check(path).rejections
    assert (rejection.code, rejection.line) == ("undecodable-byte", 2)
    assert f"Byte {place} " in rejection.reason


def test_a_target_that_is_no_number_is_rejected(tmp_path):
    header, rows = houses()
    rows[7][-1] = "cheap"
    path = tmp_path / "houses.csv"
    path.write_text(as_csv(header, rows))
    (rejection,) = check(path, is_classification=False).rejections
    assert (rejection.code, rejection.line) == ("target-not-a-number", 9)


def with_column(header: str, cell: Callable[[int, list[str]], str]):
    def spoil(rows: Rows) -> list[str]:
        for number, row in enumerate(rows):
            row.insert(0, cell(number, row))
        return [header, *HEADER]

    return spoil


def keep_header(spoil: Callable[[Rows], object]) -> Callable[[Rows], list[str]]:
    def spoil_and_keep(rows: Rows) -> list[str]:
        spoil(rows)
        return HEADER

    return spoil_and_keep


def spread_999999(rows: Rows) -> None:
    for number in (3, 50, 90):
        rows[number][1] = "999999"


FINDINGS = {
    "constant-column": (with_column("country", lambda number, row: "PT"), "column 'country'"),
    "empty-column": (with_column("remarks", lambda number, row: "NA"), "column 'remarks'"),
    "identifier-column": (
        with_column("customer_id", lambda number, row: f"{number * 7 + 1000}"),
        "column 'customer_id'",
    ),
    "target-leak": (
        with_column("tariff", lambda number, row: row[-1][0].upper()),
        "column 'tariff'",
    ),
    "duplicate-rows": (
        keep_header(lambda rows: rows.extend(rows[number][:] for number in range(5))),
        ":242",
    ),
    "conflicting-labels": (
        keep_header(lambda rows: rows.append([*rows[0][:-1], "premium"])),
        ":242",
    ),
    "label-typo": (keep_header(set_cell(4, "plan", "famly")), ":6"),
    "category-typo": (keep_header(set_cell(4, "city", "lisbon ")), "column 'city'"),
    "single-member-class": (keep_header(set_cell(9, "plan", "gift")), ":11"),
    "sentinel-value": (keep_header(spread_999999), ":5"),
    "extreme-value": (keep_header(set_cell(2, "age", "3000000")), ":4"),
    "mixed-types": (
        with_column("size", lambda number, row: f"{number}.5" if number % 3 else "large"),
        ":2",
    ),
    "duplicate-header": (with_column("age", lambda number, row: row[1][:4]), ":1"),
    "empty-header": (with_column("", lambda number, row: row[1][-2:]), ":1"),
    "imbalanced-classes": (
        keep_header(
            lambda rows: rows.__delitem__(slice(12, None)) or rows.extend(rows_of("basic"))
        ),
        "column 'plan'",
    ),
}


def rows_of(plan: str) -> Rows:
    return [row for row in customers(900, seed=5) if row[-1] == plan]


@pytest.mark.parametrize("code", FINDINGS)
def test_a_defect_of_the_set_is_reported_where_it_is(tmp_path, code):
    spoil, where = FINDINGS[code]
    rows = customers()
    header = spoil(rows)
    path = tmp_path / "customers.csv"
    path.write_text(as_csv(header, rows))
    account = check(path)
    found = [f for f in account.findings if f.code == code and f.severity == "warning"]
    assert found, account.findings
    assert found[0].where.startswith("customers.csv")
    assert found[0].where.endswith(where)
    assert found[0].remedy


def test_a_column_that_computes_the_target_is_a_leak_in_regression(tmp_path):
    header, rows = houses()
    for row in rows:
        row.insert(0, f"{float(row[-1]) * 0.92 + 3:.3f}")
    path = tmp_path / "houses.csv"
    path.write_text(as_csv(["price_in_euro", *header], rows))
    account = check(path, is_classification=False, target="price")
    assert loud(account) == ["target-leak houses.csv, column 'price_in_euro'"]


def test_rows_shared_by_given_splits_are_reported(tmp_path):
    rows = customers()
    (tmp_path / "train.csv").write_text(as_csv(HEADER, rows[:200]))
    (tmp_path / "test.csv").write_text(as_csv(HEADER, [rows[7], *rows[200:]]))
    account = check(tmp_path)
    assert "duplicate-across-splits test.csv:2" in loud(account)
    finding = next(f for f in account.findings if f.code == "duplicate-across-splits")
    assert "train.csv:9" in finding.message
    assert account.splits["test"] == 41


def test_a_class_that_only_the_test_table_has_is_rejected(tmp_path):
    rows = customers()
    (tmp_path / "train.csv").write_text(as_csv(HEADER, rows[:200]))
    (tmp_path / "test.csv").write_text(as_csv(HEADER, [[*rows[0][:-1], "gold"], *rows[200:]]))
    (rejection,) = check(tmp_path).rejections
    assert (rejection.code, rejection.file, rejection.line) == ("unknown-class", "test.csv", 2)


def test_a_test_table_without_targets_is_not_used_and_that_is_said(tmp_path):
    rows = customers()
    (tmp_path / "train.csv").write_text(as_csv(HEADER, rows))
    (tmp_path / "test.csv").write_text(as_csv(HEADER[:-1], [row[:-1] for row in rows[:9]]))
    account = check(tmp_path, target="plan")
    assert loud(account) == ["no-target test.csv"]
    assert account.read == account.used == 240
    assert account.splits["test"] > 0


ERRORS = {
    "one-class": lambda rows: [[*row[:-1], "basic"] for row in rows],
    "numeric-target": lambda rows: [[*row[:-1], row[0]] for row in rows],
    "too-many-classes": lambda rows: [[*row[:-1], f"note {n}"] for n, row in enumerate(rows)],
}


@pytest.mark.parametrize("code", ERRORS)
def test_targets_that_are_no_classes_forbid_training(tmp_path, code):
    path = tmp_path / "customers.csv"
    path.write_text(as_csv(HEADER, ERRORS[code](customers())))
    account = check(path)
    assert code in [f.code for f in account.findings if f.severity == "error"]
    with pytest.raises(DataError, match="column 'plan'"):
        account.require_trainable(0.01)


def test_a_constant_target_forbids_regression(tmp_path):
    path = tmp_path / "houses.csv"
    header, rows = houses()
    path.write_text(as_csv(header, [[*row[:-1], "5"] for row in rows]))
    account = check(path, is_classification=False)
    with pytest.raises(DataError, match="nothing to learn"):
        account.require_trainable(0.01)


def test_more_bad_rows_than_allowed_refuse_the_run(tmp_path):
    path = tmp_path / "customers.csv"
    path.write_text(as_csv(HEADER, customers()) + "1,2\n" * 5)
    with pytest.raises(DataError, match=r"5 of 245 examples \(2\.0%\).*customers\.csv, line 242"):
        check(path).require_trainable(0.01)
