"""A safetensors file of someone else is read whole or refused with one message."""

import tracemalloc

import numpy as np
import pytest

from septet.errors import WeightsError
from septet.runs.foreign_tensors import hash_file, open_tensors
from tests.runs.foreign_hostile import BYTES, GOOD, good_bytes, special


def test_a_good_file_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "good.safetensors"
    path.write_bytes(good_bytes())
    with open_tensors(path) as tensors:
        assert set(tensors) == set(GOOD)
        for name, value in GOOD.items():
            assert tensors[name].dtype == value.dtype
            np.testing.assert_array_equal(tensors[name], value)
        assert not tensors["a"].flags.writeable
    assert len(hash_file(path)) == 64


def test_a_link_to_a_file_is_followed(tmp_path):
    (tmp_path / "blob").write_bytes(good_bytes())
    (tmp_path / "link.safetensors").symlink_to(tmp_path / "blob")
    with open_tensors(tmp_path / "link.safetensors") as tensors:
        assert set(tensors) == set(GOOD)


def test_there_are_at_least_forty_hostile_files(tmp_path):
    assert len(BYTES) + len(special(tmp_path)) >= 40


@pytest.mark.parametrize("name", BYTES)
def test_a_hostile_file_is_refused_and_takes_little_memory(name, tmp_path):
    path = tmp_path / f"{name}.safetensors"
    path.write_bytes(BYTES[name]())
    tracemalloc.start()
    try:
        with pytest.raises(WeightsError) as caught, open_tensors(path):
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 120 * 2**20
    message = str(caught.value)
    assert message.startswith(f"'{path}' ")
    assert "expected" in message
    assert "\n" not in message
    assert len(message) < 700


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("torch-zip", "reads no pickled weights"),
        ("pickle", "reads no pickled weights"),
        ("hdf5", "HDF5"),
        ("git-lfs", "git lfs pull"),
        ("html", "Download or copy it again"),
    ],
)
def test_files_of_other_kinds_are_recognised(name, advice, tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(BYTES[name]())
    with pytest.raises(WeightsError, match=advice), open_tensors(path):
        pass


@pytest.mark.parametrize("name", ["folder", "pipe", "missing", "loop", "device", "nul"])
def test_what_is_no_file_is_refused(name, tmp_path):
    path = special(tmp_path)[name]
    for read in (hash_file, lambda given: open_tensors(given).__enter__()):
        with pytest.raises(WeightsError, match=r"expected a (readable )?safetensors file"):
            read(path)
