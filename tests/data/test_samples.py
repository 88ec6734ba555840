"""The sample data sets: what the package holds is what the tables say."""

import csv
import hashlib
import os
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from septet import registry
from septet.data import samples
from septet.data.fashion import CLASS_NAMES, read_idx, write_npz
from septet.data.hourly import on_grid
from septet.errors import DataError

EMBEDDED = (
    samples.BREAST_CANCER,
    samples.DIABETES,
    samples.FASHION_SAMPLE,
    samples.NYC_TEMPERATURE,
    samples.MOVIE_SAMPLE,
    samples.NUMBER_WORDS,
)


def rows_of(path: Path) -> tuple[list[str], list[list[str]]]:
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    return header, rows


@pytest.mark.parametrize("name", sorted(registry.SAMPLES))
def test_each_listed_sample_has_its_name_and_a_task_that_exists(name):
    sample = registry.sample(name)
    assert sample.name == name
    assert sample.task is None or sample.task in registry.TASKS
    assert sample.summary
    assert sample.licence
    assert sample.origin


@pytest.mark.parametrize("sample", EMBEDDED, ids=lambda sample: sample.name)
def test_embedded_sample_lies_in_the_package_with_its_size(sample):
    assert sample.embedded
    assert not sample.fetchable
    assert sample.path().stat().st_size == sample.size


def test_embedded_samples_stay_under_four_megabytes_and_each_has_its_licence_noted():
    licences = (samples.EMBEDDED / "LICENSES.md").read_text(encoding="utf-8")
    assert sum(path.stat().st_size for path in samples.EMBEDDED.iterdir()) <= 4_000_000
    assert all(f"`{sample.file}`" in licences for sample in EMBEDDED)


@pytest.mark.parametrize(
    ("sample", "digest"),
    [
        # Printed by scripts/make_embedded_data.py.
        ("breast-cancer", "af399a019264f7999e6b395ee90576e46564867aa4c8a40797c96be87dc1be55"),
        ("diabetes", "6261cc4b16b59461bca0f1b32da0eba6c3c14d738dbcb4af1b481f326991430d"),
        ("fashion-sample", "2c356c8ece0ce1dbe16e92d0ca40f4a6ce032c617bcb486876830679bd685550"),
        ("nyc-temperature", "fa07a13c47dddbb67bc5b311d8fb3ec0caa1433dafc0998d4957a7bada1f672d"),
        ("movie-sample", "0a98d149e808332d6e4793929910470086d3eb176e901314999b3d0f0cf8aea0"),
        ("number-words", "dfca2b7e3e88ebbb992d6c842da38c2f9c01e822da4f42959d8d33f5c53cb475"),
    ],
)
def test_embedded_sample_is_byte_for_byte_what_the_script_made(sample, digest):
    content = registry.sample(sample).path().read_bytes()
    assert hashlib.sha256(content).hexdigest() == digest


def test_breast_cancer_has_published_class_counts():
    header, rows = rows_of(samples.BREAST_CANCER.path())
    answers = [row[-1] for row in rows]
    assert header[-1] == "diagnosis"
    assert len(header) == len(set(header)) == 31
    # Street, Wolberg and Mangasarian: 357 benign, 212 malignant.
    assert (answers.count("benign"), answers.count("malignant")) == (357, 212)


def test_diabetes_has_published_mean_and_variance():
    header, rows = rows_of(samples.DIABETES.path())
    progression = np.array([float(row[-1]) for row in rows])
    assert header[-1] == "progression"
    assert all(len(row) == len(header) == 11 for row in rows)
    # Efron et al. 2004: 442 patients, mean 152.133, standard deviation 77.093.
    assert len(rows) == 442
    assert progression.mean() == pytest.approx(152.133, abs=1e-3)
    assert progression.std(ddof=1) == pytest.approx(77.093, abs=1e-3)


def test_fashion_sample_is_balanced_and_no_picture_appears_twice():
    with np.load(samples.FASHION_SAMPLE.path(), allow_pickle=False) as data:
        arrays = dict(data)
    assert {name: array.shape for name, array in arrays.items()} == {
        "x_train": (6000, 28, 28),
        "y_train": (6000,),
        "x_test": (1000, 28, 28),
        "y_test": (1000,),
        "class_names": (10,),
    }
    assert {array.dtype for name, array in arrays.items() if name != "class_names"} == {
        np.dtype("uint8")
    }
    assert np.bincount(arrays["y_train"]).tolist() == [600] * 10
    assert np.bincount(arrays["y_test"]).tolist() == [100] * 10
    assert arrays["class_names"].tolist() == list(CLASS_NAMES)
    pictures = [*arrays["x_train"], *arrays["x_test"]]
    assert len({picture.tobytes() for picture in pictures}) == 7000


def test_nyc_temperature_is_hourly_with_the_stations_own_gaps():
    header, rows = rows_of(samples.NYC_TEMPERATURE.path())
    assert header == ["hour_utc", "temperature_f"]
    times = [datetime.fromisoformat(row[0]) for row in rows]
    first, grid = on_grid(times, [float(row[1]) for row in rows])
    assert (first.isoformat(), len(rows), len(grid)) == ("2013-01-01T06:00:00", 6536, 6546)
    assert np.isnan(grid).sum() == 10
    # NOAA's normal January is about 32 degrees Fahrenheit at JFK, its normal July about 76.
    assert np.nanmean(grid[: 31 * 24]) == pytest.approx(36, abs=3)
    assert np.nanmax(grid) == pytest.approx(98.06)


def test_set_that_was_not_fetched_says_how_to_fetch_it(tmp_path, monkeypatch):
    monkeypatch.setenv("SEPTET_CACHE", str(tmp_path))
    with pytest.raises(DataError, match="septet data fetch fashion-mnist"):
        samples.FASHION_MNIST.path()


def test_cache_is_under_home_unless_chosen(tmp_path, monkeypatch):
    monkeypatch.delenv("SEPTET_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert samples.data_cache() == tmp_path / ".cache" / "septet" / "data"
    monkeypatch.setenv("SEPTET_CACHE", os.fspath(tmp_path / "elsewhere"))
    assert samples.data_cache() == tmp_path / "elsewhere" / "data"


def test_read_idx_reads_sizes_and_bytes():
    content = bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3]) + bytes(range(6))
    assert read_idx(content, "a").tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04", "not an idx file"),
        (bytes([0, 0, 8, 1, 0, 0, 0, 9]) + b"short", r"declares \(9,\), 17 bytes, but has 13"),
        (bytes([0, 0, 8, 3, 255, 255, 255, 255, 255, 255, 255, 255]), "declares"),
    ],
)
def test_read_idx_refuses_what_does_not_fit(content, message):
    with pytest.raises(DataError, match=message):
        read_idx(content, "a")


def test_write_npz_gives_equal_bytes_for_equal_arrays(tmp_path):
    arrays = {"x": np.arange(1000, dtype=np.uint8).reshape(10, 100), "names": np.array(["a", "bc"])}
    for name in ("first", "second"):
        write_npz(tmp_path / name, arrays, level=9)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    with np.load(tmp_path / "first", allow_pickle=False) as loaded:
        assert loaded["x"].tolist() == arrays["x"].tolist()
        assert loaded["names"].tolist() == ["a", "bc"]
