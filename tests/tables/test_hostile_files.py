"""Files that are no tables are refused with one message that says what they are."""

import gzip
import os
import random
from pathlib import Path

import pytest

from septet.errors import DataError
from septet.tables.options import TableDataOptions
from septet.tables.reading import read_dataset
from tests.tables.made_up_tables import HEADER, as_csv, customers

TABLE = as_csv(HEADER, customers()).encode()

CONTENTS = {
    "empty.csv": (b"", "is empty"),
    "blank.csv": (b"\n\n \n", "only blank lines"),
    "header.csv": (b"age,income,plan\n", "no rows"),
    "junk.csv": (random.Random(0).randbytes(5000), "no text"),
    "zipped.csv": (gzip.compress(TABLE), "gzip archive"),
    "book.csv": (b"PK\x03\x04" + TABLE, "Excel"),
    "utf16.csv": (b"\xff\xfe" + "a,b\n1,2\n".encode("utf-16-le"), "UTF-16"),
    "huge_line.csv": (b"x" * 5_000_000, "first line has 5,000,000 characters"),
    "wide.csv": (b"a," * 30_000 + b"b\n" + b"1," * 30_000 + b"2\n", "30,001 columns"),
    "quote.csv": (b'"age,plan\n1,a\n', "quote in the header"),
    "latin.csv": ("âge,plan\n1,a\n".encode("latin-1"), "not UTF-8 at byte 0"),
    "text.jsonl": (b"hello\nworld\n", "no line with a JSON object"),
    "deep.jsonl": (b"[" * 100_000 + b"\n", "no line with a JSON object"),
    "junk.parquet": (b"PAR1" + random.Random(0).randbytes(500), "as Parquet"),
    "table.xlsx": (TABLE, r"ending '\.xlsx'"),
    "all_bad.csv": (b"a,b,c\n1\n2\n3\n", "all 3 rows were rejected. First: all_bad.csv, line 2"),
}


def read(path: Path, **options):
    return read_dataset(path, TableDataOptions(**options), 0, is_classification=True)


@pytest.mark.parametrize("name", CONTENTS)
def test_a_file_that_is_no_table_is_refused(tmp_path, name):
    content, message = CONTENTS[name]
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        read(tmp_path / name)
    assert len(str(error.value)) < 500
    assert str(tmp_path) not in str(error.value)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"absent\.csv cannot be read: No such file"):
        read(tmp_path / "absent.csv")


def test_a_loop_of_links_is_refused(tmp_path):
    (tmp_path / "one.csv").symlink_to(tmp_path / "two.csv")
    (tmp_path / "two.csv").symlink_to(tmp_path / "one.csv")
    with pytest.raises(DataError, match=r"one\.csv cannot be read: Too many levels"):
        read(tmp_path / "one.csv")


def test_a_pipe_is_refused_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(DataError, match="not a plain file"):
        read(tmp_path / "pipe.csv")


def test_a_file_that_may_not_be_read_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "secret.csv"
    path.write_bytes(TABLE)

    # The tests may run as root, whom no permission stops.
    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(DataError, match=r"secret\.csv cannot be read: Permission denied"):
        read(path)


def test_folders_without_a_training_table_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"no table and no train\.csv"):
        read(tmp_path)
    (tmp_path / "one.csv").write_bytes(TABLE)
    assert len(read(tmp_path).splits["train"]) > 100
    (tmp_path / "two.csv").write_bytes(TABLE)
    with pytest.raises(DataError, match=r"one\.csv, two\.csv and no train\.csv"):
        read(tmp_path)
    for name in ("train.csv", "training.tsv"):
        (tmp_path / name).write_bytes(TABLE)
    with pytest.raises(DataError, match="two tables for 'train'"):
        read(tmp_path)


def test_split_tables_with_other_columns_are_refused(tmp_path):
    (tmp_path / "train.csv").write_bytes(TABLE)
    (tmp_path / "test.csv").write_bytes(b"age,plan\n3,basic\n")
    with pytest.raises(DataError, match=r"test\.csv lacks 4 of the columns of train\.csv: income"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "plans"}, "no column 'plans'. It has: age, income"),
        ({"ignore": ["towns"]}, "no column 'towns'"),
        ({"target": "plan", "ignore": ["plan"]}, "also in data.ignore"),
        ({"ignore": HEADER}, "names every column"),
    ],
)
def test_settings_that_name_no_column_are_refused(tmp_path, options, message):
    (tmp_path / "customers.csv").write_bytes(TABLE)
    with pytest.raises(DataError, match=message):
        read(tmp_path / "customers.csv", **options)
