"""Every defect of a set of pictures is named with code and file; clean sets are quiet."""

import os
import shutil
import time

import numpy as np
import pytest
from PIL import Image

from septet.data import scratch
from septet.errors import DataError
from septet.runs.receipt import hash_dataset
from septet.vision import kept_pictures
from septet.vision.classification import ImageClassification
from septet.vision.options import ImageDataOptions
from septet.vision.reading import read_dataset
from tests.vision.making import make_classes, noise


def read(source, seed: int = 0, **options):
    return read_dataset(source, ImageDataOptions(**options), seed)


def codes(account) -> set[tuple[str, str]]:
    """(code, place) of every rejection, warning and error."""
    loud = [finding for finding in account.findings if finding.severity != "note"]
    return {(rejection.code, rejection.file) for rejection in account.rejections} | {
        (finding.code, finding.where) for finding in loud
    }


def write(path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_a_clean_folder_is_quiet_split_and_balanced(tmp_path):
    dataset = read(make_classes(tmp_path, count=20))
    account = dataset.account
    assert codes(account) == set()
    assert (account.read, account.used) == (40, 40)
    assert account.splits == {"train": 32, "validation": 4, "test": 4}
    assert account.classes["cat"] == {"train": 16, "validation": 2, "test": 2}
    size = {"height": 12, "width": 12, "channels": 3, "fit": "stretch"}
    assert dataset.facts == {"labels": ["cat", "dog"], **size}
    train = dataset.splits["train"]
    assert train.examples["pictures"].dtype == np.uint8
    for pixels, label, place in zip(
        train.examples["pictures"], train.targets, train.sources, strict=True
    ):
        assert place.startswith(f"{label}/")
        np.testing.assert_array_equal(pixels, np.asarray(Image.open(tmp_path / place)))


def test_splits_depend_on_the_seed_only(tmp_path):
    make_classes(tmp_path)
    sources = [read(tmp_path, seed=seed).splits["test"].sources for seed in (1, 1, 2)]
    assert sources[0] == sources[1] != sources[2]


def test_split_folders_are_kept_and_validation_is_cut_from_train(tmp_path):
    make_classes(tmp_path / "Train", count=20)
    make_classes(tmp_path / "test", count=5)
    dataset = read(tmp_path)
    assert codes(dataset.account) == set()
    assert dataset.account.splits == {"train": 36, "validation": 4, "test": 10}
    assert {place.split("/")[0] for place in dataset.splits["test"].sources} == {"test"}
    assert {place.split("/")[0] for place in dataset.splits["validation"].sources} == {"Train"}
    make_classes(tmp_path / "valid", count=3)
    assert read(tmp_path).account.splits == {"train": 40, "validation": 6, "test": 10}


def test_names_with_spaces_and_other_scripts_are_ordinary(tmp_path):
    make_classes(tmp_path, names=("große Katze", "犬 🐕", "it's"), count=4)
    dataset = read(tmp_path)
    assert codes(dataset.account) == set()
    assert set(dataset.facts["labels"]) == {"große Katze", "犬 🐕", "it's"}


DEFECTS = {
    "empty class": lambda root: (root / "bird").mkdir(),
    "hidden folder": lambda root: make_classes(root / ".ipynb_checkpoints", count=1),
    "archive leftovers": lambda root: make_classes(root / "cat" / "__MACOSX", count=1),
    "hidden file": lambda root: write(root / "cat" / ".DS_Store", "x"),
    "thumbnails": lambda root: write(root / "dog" / "Thumbs.db", "x"),
    "duplicate": lambda root: shutil.copy(root / "cat" / "00.png", root / "cat" / "copy.png"),
    "two labels": lambda root: shutil.copy(root / "cat" / "00.png", root / "dog" / "copy.png"),
    "similar label": lambda root: make_classes(root, names=("Cat ",), count=2),
    "text": lambda root: write(root / "cat" / "text.png", "not a picture"),
    "truncated": lambda root: cut(root / "cat" / "cut.png"),
    "huge": lambda root: (root / "cat" / "huge.png").write_bytes(_huge()),
    "zero bytes": lambda root: write(root / "cat" / "empty.jpg", ""),
    "animated": lambda root: animate(root / "cat" / "moving.gif"),
    "wrong extension": lambda root: noise(70).save(root / "cat" / "photo.png", "JPEG"),
    "unknown extension": lambda root: noise(71).save(root / "cat" / "photo.dat", "PNG"),
    "notes": lambda root: write(root / "cat" / "notes.txt", "hello"),
    "other format": lambda root: write(root / "cat" / "drawing.svg", "<svg/>"),
    "one picture": lambda root: make_classes(root, names=("zebra",), count=1),
    "nested": lambda root: make_classes(root / "cat", names=("young",), count=1),
    "blank": lambda root: Image.new("RGB", (12, 12), "navy").save(root / "cat" / "blank.png"),
    "odd size": lambda root: noise(72, 200, 200).save(root / "cat" / "large.png"),
    "odd shape": lambda root: noise(73, 6, 30).save(root / "cat" / "long.png"),
    "loose picture": lambda root: noise(74).save(root / "loose.png"),
    "imbalance": lambda root: make_classes(root, names=("rat",), count=150),
    "pipe": lambda root: os.mkfifo(root / "cat" / "pipe.png"),
    "folder like a picture": lambda root: (root / "cat" / "folder.png").mkdir(),
    "link outside": lambda root: (root / "cat" / "out.png").symlink_to("/etc/hostname"),
    "broken link": lambda root: (root / "cat" / "gone.png").symlink_to("nowhere.png"),
    "linked folder": lambda root: (root / "loop").symlink_to(root),
}
EXPECTED = {
    "empty class": ("empty-class", "bird"),
    "hidden folder": ("hidden-folder", ".ipynb_checkpoints"),
    "archive leftovers": ("hidden-folder", "cat/__MACOSX"),
    "hidden file": ("hidden-file", "cat/.DS_Store"),
    "thumbnails": ("hidden-file", "dog/Thumbs.db"),
    "duplicate": ("duplicate", "cat/copy.png"),
    "two labels": ("two-labels", "dog/copy.png"),
    "similar label": ("similar-label", "Cat "),
    "text": ("unreadable-picture", "cat/text.png"),
    "truncated": ("truncated-picture", "cat/cut.png"),
    "huge": ("huge-picture", "cat/huge.png"),
    "zero bytes": ("empty-file", "cat/empty.jpg"),
    "animated": ("several-pictures", "cat/moving.gif"),
    "wrong extension": ("wrong-extension", "cat/photo.png"),
    "unknown extension": ("wrong-extension", "cat/photo.dat"),
    "notes": ("not-a-picture", "cat/notes.txt"),
    "other format": ("unsupported-format", "cat/drawing.svg"),
    "one picture": ("single-picture-class", "zebra"),
    "nested": ("nested-folder", "cat/young"),
    "blank": ("blank-picture", "cat/blank.png"),
    "odd size": ("odd-size", "cat/large.png"),
    "odd shape": ("odd-shape", "cat/long.png"),
    "loose picture": ("no-class-folder", "loose.png"),
    "imbalance": ("imbalance", "all"),
    "pipe": ("not-a-file", "cat/pipe.png"),
    "folder like a picture": ("not-a-file", "cat/folder.png"),
    "link outside": ("outside-folder", "cat/out.png"),
    "broken link": ("missing-file", "cat/gone.png"),
    "linked folder": ("linked-folder", "loop"),
}


def cut(path) -> None:
    noise(75).save(path)
    path.write_bytes(path.read_bytes()[:200])


def _huge() -> bytes:
    from tests.vision.test_worker import png_header

    return png_header(100_000, 100_000)


def animate(path) -> None:
    frames = [noise(seed).convert("P") for seed in (76, 77)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


@pytest.mark.parametrize("name", DEFECTS)
def test_a_seeded_defect_is_named_with_its_file_and_nothing_else_is(tmp_path, name):
    make_classes(tmp_path, count=9)  # a class of one is then no imbalance as well
    DEFECTS[name](tmp_path)
    account = read(tmp_path).account
    assert codes(account) == {EXPECTED[name]}
    assert account.read == account.used + len(account.rejections)
    assert all(rejection.reason and rejection.remedy for rejection in account.rejections)


def test_a_duplicate_across_given_splits_names_both(tmp_path):
    make_classes(tmp_path / "train")
    make_classes(tmp_path / "test", count=3)
    shutil.copy(tmp_path / "train" / "cat" / "00.png", tmp_path / "test" / "cat" / "seen.png")
    account = read(tmp_path).account
    finding = next(item for item in account.findings if item.code == "duplicate-across-splits")
    assert "train/cat/00.png" in finding.where + finding.message
    assert "test/cat/seen.png" in finding.where + finding.message


def test_duplicates_stay_in_one_split_whatever_the_seed(tmp_path):
    make_classes(tmp_path)
    for number in range(6):
        shutil.copy(tmp_path / f"cat/{number:02d}.png", tmp_path / f"cat/copy{number:02d}.png")
    for seed in range(4):
        splits = read(tmp_path, seed=seed, test_fraction=0.3).splits
        home = {place: name for name, split in splits.items() for place in split.sources}
        for number in range(6):
            assert home[f"cat/{number:02d}.png"] == home[f"cat/copy{number:02d}.png"]


def test_a_test_label_that_training_lacks_is_rejected(tmp_path):
    make_classes(tmp_path / "train")
    make_classes(tmp_path / "test", names=("cat", "emu"), count=2)
    account = read(tmp_path).account
    assert [item.code for item in account.rejections] == ["label-not-in-train"] * 2
    assert account.rejections[0].file == "test/emu/00.png"


def test_one_class_only_is_refused(tmp_path):
    account = read(make_classes(tmp_path, names=("cat",))).account
    with pytest.raises(DataError, match="at least two"):
        account.require_trainable(0.01)


def test_pictures_of_several_sizes_are_resized_and_said(tmp_path):
    make_classes(tmp_path)
    noise(80, 20, 16).save(tmp_path / "cat" / "other.png")
    dataset = read(tmp_path)
    assert dataset.splits["train"].examples["pictures"].shape[1:] == (64, 64, 3)
    assert "resized" in {finding.code for finding in dataset.account.findings}
    chosen = read(tmp_path, size=8, channels=1)
    assert chosen.splits["train"].examples["pictures"].shape[1:] == (8, 8, 1)


def test_a_limit_leaves_training_examples_out_by_the_seed(tmp_path):
    account = read(make_classes(tmp_path), limit=7).account
    assert account.splits["train"] == 7
    assert account.read == account.used


def test_a_list_of_paths_is_read_and_its_bad_rows_are_named(tmp_path):
    make_classes(tmp_path / "pictures")
    (tmp_path.parent / "secret.png").write_bytes(b"x")
    (tmp_path / "link.png").symlink_to(tmp_path.parent / "secret.png")
    good = [f"pictures/{name}/{n:02d}.png,{name}" for name in ("cat", "dog") for n in range(12)]
    bad = {
        "../secret.png,cat": "outside-folder",
        "/etc/passwd,cat": "outside-folder",
        "pictures/../../secret.png,cat": "outside-folder",
        "link.png,cat": "outside-folder",
        "C:\\x.png,cat": "outside-folder",
        "pictures/none.png,cat": "missing-file",
        "pictures,cat": "not-a-file",
        "pictures/cat/01.png,": "missing-label",
        ",cat": "missing-path",
        "pictures/cat/01.png,cat,dog": "bad-row",
    }
    write(tmp_path / "list.csv", "\n".join(["path,label", *good, *bad]) + "\n")
    account = read(tmp_path / "list.csv").account
    found = {(item.line, item.code) for item in account.rejections}
    assert found == {(26 + place, code) for place, code in enumerate(bad.values())}
    assert (account.read, account.used) == (34, 24)


def test_a_list_may_say_the_split_and_its_columns_may_be_named(tmp_path):
    make_classes(tmp_path)
    rows = ["what\twhere\tsubset"]
    for name in ("cat", "dog"):
        rows += [f"{name}\t{name}/{n:02d}.png\t{'test' if n < 3 else 'train'}" for n in range(12)]
    write(tmp_path / "list.tsv", "\n".join(rows) + "\ncat\tcat/00.png\tholdout\n")
    with pytest.raises(DataError, match=r"data\.path_column"):
        read(tmp_path / "list.tsv")
    dataset = read(tmp_path / "list.tsv", path_column="where", label_column="what")
    assert dataset.account.splits["test"] == 6
    assert dataset.splits["test"].sources[0] == "list.tsv:2"
    assert codes(dataset.account) == {("unknown-split", "list.tsv")}
    with pytest.raises(DataError, match="no column 'nope'"):
        read(tmp_path / "list.tsv", path_column="nope")


def test_nothing_usable_is_refused_with_a_hint(tmp_path):
    with pytest.raises(DataError, match="no file or folder"):
        read(tmp_path / "nowhere")
    write(tmp_path / "labels.csv", "path,label\n")
    with pytest.raises(DataError, match=r"labels\.csv"):
        read(tmp_path)
    write(tmp_path / "cat" / "a.png", "text")
    with pytest.raises(DataError, match=r"the only picture was rejected\. cat/a\.png: "):
        read(tmp_path)
    write(tmp_path / "x.parquet", "x")
    with pytest.raises(DataError, match="no set of pictures"):
        read(tmp_path / "x.parquet")


@pytest.mark.slow
def test_ten_thousand_pictures_are_read_within_a_minute(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (10_000, 28, 28), dtype=np.uint8)
    for label in range(10):
        (tmp_path / str(label)).mkdir()
    for number, picture in enumerate(pixels):
        Image.fromarray(picture).save(tmp_path / str(number % 10) / f"{number}.png")
    start = time.monotonic()
    account = read(tmp_path).account
    assert time.monotonic() - start <= 60
    assert account.used == 10_000


def test_pictures_that_do_not_fit_into_memory_lie_in_files_and_are_the_same(tmp_path, monkeypatch):
    folder = make_classes(tmp_path / "pictures")
    expected = read_dataset(folder, ImageDataOptions(), 0)
    monkeypatch.setenv("SEPTET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(scratch, "room_for_data", lambda: 2000)
    monkeypatch.setattr(kept_pictures, "DECODED_AT_ONCE", 5)
    found = read_dataset(folder, ImageDataOptions(), 0)
    assert isinstance(found.splits["train"].examples["pictures"], np.memmap)
    assert hash_dataset(found) == hash_dataset(expected)
    assert found.account.to_json() == expected.account.to_json()
    task = ImageClassification()
    assert task.prepare(found, ImageDataOptions()) == task.prepare(expected, ImageDataOptions())
