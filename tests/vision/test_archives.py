"""Arrays in .npz files become pictures and labels, and files that lie are refused."""

import io
import zipfile

import numpy as np
import pytest

from septet.errors import DataError
from septet.vision.options import ImageDataOptions
from septet.vision.reading import read_dataset


def arrays(seed: int = 0, train: int = 40, test: int = 10) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "x_train": rng.integers(0, 256, (train, 9, 8), dtype=np.uint8),
        "y_train": np.arange(train) % 4,
        "x_test": rng.integers(0, 256, (test, 9, 8), dtype=np.uint8),
        "y_test": np.arange(test) % 4,
    }


def read(folder, content: dict[str, np.ndarray], **options):
    np.savez_compressed(folder / "set.npz", allow_pickle=True, **content)
    return read_dataset(folder / "set.npz", ImageDataOptions(**options), 0)


def test_arrays_keep_pixels_labels_and_splits(tmp_path):
    content = arrays()
    dataset = read(tmp_path, content)
    assert [item for item in dataset.account.findings if item.severity != "note"] == []
    assert dataset.account.splits == {"train": 36, "validation": 4, "test": 10}
    size = {"height": 9, "width": 8, "channels": 1, "fit": "stretch"}
    assert dataset.facts == {"labels": list("0123"), **size}
    test = dataset.splits["test"]
    np.testing.assert_array_equal(test.examples["pictures"][..., 0], content["x_test"])
    assert test.sources[3] == "set.npz:x_test:3"
    assert test.targets[3] == "3"


def test_class_names_name_and_order_the_labels(tmp_path):
    names = np.array(["shirt", "bag", "coat", "shoe"])
    dataset = read(tmp_path, {**arrays(), "class_names": names})
    assert dataset.facts["labels"] == names.tolist()
    assert dataset.splits["test"].targets[:2].tolist() == ["shirt", "bag"]


def test_one_pair_of_arrays_is_split_three_ways(tmp_path):
    content = arrays()
    dataset = read(tmp_path, {"x": content["x_train"], "y": content["y_train"][:, None]})
    assert dataset.account.splits == {"train": 32, "validation": 4, "test": 4}


@pytest.mark.parametrize("kind", ["float32", "float64", "uint16", "int64", "one-hot", "text"])
def test_other_types_mean_the_same_pictures(tmp_path, kind):
    content = arrays()
    expected = content["x_test"].copy()
    for name in ("x_train", "x_test"):
        content[name][0, 0, 0] = 255
        if kind.startswith("float"):
            content[name] = (content[name] / 255).astype(kind)
        elif kind == "uint16":
            content[name] = content[name].astype(np.uint16) * 257
        elif kind == "int64":
            content[name] = content[name].astype(np.int64)
    for name in ("y_train", "y_test"):
        if kind == "one-hot":
            content[name] = np.eye(4)[content[name]]
        elif kind == "text":
            content[name] = content[name].astype(str)
    expected[0, 0, 0] = 255
    test = read(tmp_path, content).splits["test"]
    np.testing.assert_array_equal(test.examples["pictures"][..., 0], expected)
    assert test.targets.tolist() == list("0123012301")


def test_colour_that_is_all_grey_gets_one_channel(tmp_path):
    content = arrays()
    for name in ("x_train", "x_test"):
        content[name] = np.repeat(content[name][..., None], 3, axis=-1)
    assert read(tmp_path, content).facts["channels"] == 1
    content["x_train"][0, 0, 0] = (1, 2, 3)
    assert read(tmp_path, content).facts["channels"] == 3


def test_bad_examples_are_named_and_the_others_kept(tmp_path):
    content = arrays()
    content["x_train"] = content["x_train"] / 255.0
    content["x_train"][5, 0, 0] = np.nan
    content["y_train"][7] = 9
    content["class_names"] = np.array(["a", "b", "c", "d"])
    account = read(tmp_path, content, max_rejected=0.1).account
    found = {(item.code, item.file) for item in account.rejections}
    assert found == {
        ("non-finite-pixels", "set.npz:x_train:5"),
        ("bad-label", "set.npz:x_train:7"),
    }
    assert (account.read, account.used) == (50, 48)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y_train": np.arange(3)}, "as many pictures as labels"),
        ({"x_train": np.zeros((40, 3, 9, 8), np.uint8)}, "Transpose channels"),
        ({"x_train": np.full((40, 9, 8), -5)}, "expected 0 to 255"),
        ({"y_train": np.full(40, 0.5)}, "one whole number"),
        ({"x_train": np.array([b"a"] * 40)}, "expected"),
        ({"class_names": np.array(["a", "a", "b", "c"])}, "twice"),
        ({"class_names": np.zeros((2, 2))}, "class_names"),
    ],
)
def test_arrays_that_are_no_pictures_are_refused(tmp_path, change, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, {**arrays(), **change})


def test_python_objects_are_never_loaded(tmp_path):
    content = {**arrays(), "class_names": np.array([{"a": 1}], dtype=object)}
    with pytest.raises(DataError, match="Python objects"):
        read(tmp_path, content)


def declared(shape: tuple[int, ...], data: bytes) -> bytes:
    """A .npy member whose header declares `shape` and which holds `data`."""
    buffer = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue() + data


@pytest.mark.parametrize(
    "shape", [(10**12,), (10**6, 10**6, 10**6), (-1, 5), (3,)], ids=["1TB", "1EB", "minus", "less"]
)
def test_a_declared_size_that_is_not_there_is_refused_before_allocating(tmp_path, shape):
    with zipfile.ZipFile(tmp_path / "set.npz", "w") as archive:
        archive.writestr("x.npy", declared(shape, b"12345"))
        archive.writestr("y.npy", declared((5,), b"12345"))
    with pytest.raises(DataError, match="not a sound"):
        read_dataset(tmp_path / "set.npz", ImageDataOptions(), 0)


def test_every_truncation_is_refused_or_the_whole(tmp_path):
    np.savez(tmp_path / "whole.npz", allow_pickle=False, **arrays(train=4, test=2))
    content = (tmp_path / "whole.npz").read_bytes()
    for end in range(0, len(content), max(1, len(content) // 60)):
        (tmp_path / "set.npz").write_bytes(content[:end])
        with pytest.raises(DataError):
            read_dataset(tmp_path / "set.npz", ImageDataOptions(), 0)
