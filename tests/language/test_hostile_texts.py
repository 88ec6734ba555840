"""Forty hostile inputs and more of every format: refused or counted, and never much memory."""

from functools import partial

import pytest

from septet.errors import DataError
from septet.language.options import TextDataOptions
from septet.language.reading import read_dataset
from tests.language import hostile
from tests.language.hostile import (
    MOST_MEMORY_KB,
    hostile_contents,
    hostile_folders,
    hostile_parquet,
    memory_kb,
)
from tests.language.made_up_texts import as_csv, as_json_lines, reviews


def read_texts(path):
    return read_dataset(path, TextDataOptions(), 0).account


refused_or_counted = partial(hostile.refused_or_counted, read_texts)
sweep = partial(hostile.sweep, read_texts)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl"])
def test_hostile_tables_of_texts(tmp_path, suffix):
    rows = reviews(120)
    good = as_json_lines(rows) if suffix == ".jsonl" else as_csv(
        rows, delimiter="," if suffix == ".csv" else "\t"
    )  # fmt: skip
    found = sweep(hostile_contents(good.encode()), suffix, tmp_path)
    for name in ("empty", "gzip bomb", "zip bomb", "utf-16", "noise", "all nul", "one huge line"):
        assert found[name] == "refused", name
    for name in ("nul in the middle", "cr only", "mixed ends", "surrogate in utf-8"):
        assert found[name] == "counted", name


def test_hostile_parquet_of_texts(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    texts, labels = zip(*reviews(120), strict=True)
    good = tmp_path / "good.parquet"
    parquet.write_table(pyarrow.table({"text": texts, "label": labels}), good)
    found = sweep(hostile_parquet(good.read_bytes()), ".parquet", tmp_path)
    assert found["cut at 4/8"] == found["footer of 2147483647"] == "refused"


def test_parquet_that_unpacks_to_more_than_is_read_is_refused(tmp_path, monkeypatch):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("septet.data.parquet.MAX_BYTES", 20_000_000)
    table = pyarrow.table({"text": ["a" * 90_000] * 800, "label": ["x", "y"] * 400})
    path = tmp_path / "bomb.parquet"
    parquet.write_table(table, path, compression="zstd")
    assert path.stat().st_size < 2_000_000
    del table
    with pytest.raises(DataError, match="more than 20,000,000 bytes when unpacked"):
        read_dataset(path, TextDataOptions(), 0)


def test_hostile_folders_of_texts(tmp_path):
    folders = hostile_folders(tmp_path, "Ein schöner Film.\nUnd lang.\n".encode() * 20)
    before = memory_kb()
    found = {name: refused_or_counted(path, tmp_path) for name, path in folders.items()}
    assert memory_kb() - before < MOST_MEMORY_KB
    assert len(found) >= 40
    assert found["nothing"] == found["empty classes"] == "refused"
    assert found["ten gigabytes"] == found["pipe"] == found["link to a device"] == "counted"
