"""Each format of boxes is read alike; every defect is found, and none is invented."""

import json
import shutil
from collections import Counter

import numpy as np
import pytest

from septet.data import scratch
from septet.data.account import Account
from septet.errors import DataError
from septet.runs.receipt import hash_dataset
from septet.vision import labelled
from septet.vision.annotations import yolo
from septet.vision.detection_options import DetectionDataOptions
from septet.vision.labelled import find_labelled, read_labelled
from tests.vision import labelled_sets as sets

OPTIONS = DetectionDataOptions(test_fraction=0.2, validation_fraction=0.2)
FORMATS = {"coco": sets.coco, "voc": sets.voc, "yolo": sets.yolo}
BOXES = {json.dumps([[sets.NAMES[n % 2], *map(float, sets.box_of(n))]]) for n in range(20)}


def codes(account):
    found = Counter(finding.code for finding in account.findings)
    return found + Counter(rejection.code for rejection in account.rejections)


@pytest.mark.parametrize("kind", FORMATS)
def test_good_set_is_read_whole_and_nothing_is_found(kind, tmp_path):
    FORMATS[kind](tmp_path)
    dataset = read_labelled(tmp_path, OPTIONS, 0)
    account = dataset.account
    assert (account.read, account.used, account.rejections) == (20, 20, [])
    # YOLO does not say how large its pictures are before they are read.
    assert codes(account) == (Counter(resized=1) if kind == "yolo" else Counter())
    assert account.splits == {"train": 13, "validation": 3, "test": 4}
    assert dataset.facts["labels"] == list(sets.NAMES)
    assert sum(sum(counts.values()) for counts in account.classes.values()) == 20
    assert {text for split in dataset.splits.values() for text in split.targets} == BOXES
    side = 256 if kind == "yolo" else (64, 96)
    expected = (side, side) if isinstance(side, int) else side
    assert dataset.splits["train"].examples["pictures"].shape == (13, *expected, 3)
    assert dataset.splits["train"].examples["sizes"].tolist() == [[64, 96]] * 13


def test_splits_are_those_of_the_files_names(tmp_path):
    for split, seed in (("train", 1), ("val", 2), ("test", 3)):
        names = sets.pictures(tmp_path / f"{split}2017", 5, seed=seed)
        path = tmp_path / f"annotations/instances_{split}2017.json"
        sets.write_json(path, sets.coco_json(names))
    dataset = read_labelled(tmp_path, OPTIONS, 0)
    assert dataset.account.splits == {"train": 5, "validation": 5, "test": 5}


def test_roboflow_and_voc_lists_of_splits_are_known(tmp_path):
    for split, seed in (("train", 1), ("valid", 2)):
        names = sets.pictures(tmp_path / "a" / split, 4, seed=seed)
        sets.write_json(tmp_path / f"a/{split}/_annotations.coco.json", sets.coco_json(names))
    splits = read_labelled(tmp_path / "a", OPTIONS, 0).account.splits
    assert (splits["validation"], splits["train"] + splits["test"]) == (4, 4)
    sets.voc(tmp_path / "b")
    lists = tmp_path / "b/ImageSets/Main"
    lists.mkdir(parents=True)
    lists.joinpath("train.txt").write_text("".join(f"{n:03}\n" for n in range(14)))
    lists.joinpath("val.txt").write_text("014\n015\n")
    lists.joinpath("test.txt").write_text("".join(f"{n:03}  1\n" for n in range(16, 20)))
    splits = read_labelled(tmp_path / "b", OPTIONS, 0).account.splits
    assert splits == {"train": 14, "validation": 2, "test": 4}


def test_one_json_file_is_cut_into_splits(tmp_path):
    sets.coco(tmp_path)
    dataset = read_labelled(tmp_path / "annotations/train.json", OPTIONS, 0)
    assert dataset.account.read == 20


BAD = {
    # code: (bbox, category)
    "box-outside": ([200, 10, 30, 20], 5),
    "inverted-box": ([50, 10, -30, 20], 5),
    "empty-box": ([10, 10, 0, 20], 5),
    "bad-box": ([10, 10, "wide", 20], 5),
    "unknown-class": ([10, 10, 20, 20], 77),
    "box-beyond-edge": ([80, 40, 60, 60], 5),
}


@pytest.mark.parametrize("code", BAD)
def test_defect_of_a_box_is_found_and_no_other(code, tmp_path):
    content = sets.coco(tmp_path)
    bbox, category = BAD[code]
    content["annotations"].append({"id": 99, "image_id": 3, "category_id": category, "bbox": bbox})
    sets.write_json(tmp_path / "annotations/train.json", content)
    account = read_labelled(tmp_path, OPTIONS, 0).account
    assert codes(account) == Counter({code: 1})
    (finding,) = account.findings
    assert finding.where == "annotations/train.json: annotations[20]"
    assert account.used == 20
    boxes = sum(sum(counts.values()) for counts in account.classes.values())
    assert boxes == 21 if code == "box-beyond-edge" else boxes == 20


def test_all_seeded_defects_are_found_and_none_invented(tmp_path):
    content = sets.coco(tmp_path)
    images, boxes = content["images"], content["annotations"]
    seeded = Counter()
    for n, (code, (bbox, category)) in enumerate(BAD.items()):
        boxes.append({"id": 100 + n, "image_id": n, "category_id": category, "bbox": bbox})
        seeded[code] += 1
    boxes.append({**boxes[2], "id": 200})
    seeded["duplicate-box"] += 1
    boxes.append({**boxes[2], "id": 201, "image_id": 4242})
    seeded["labels-without-picture"] += 1
    boxes.append({**boxes[2], "id": 202, "iscrowd": 1})
    seeded["crowd"] += 1
    images.append({"id": 50, "file_name": "gone.png", "height": 64, "width": 96})
    seeded["missing-file"] += 1
    images.append({"id": 51, "file_name": "../out.png", "height": 64, "width": 96})
    seeded["outside-folder"] += 1
    images.append({"id": 3, "file_name": "003.png"})
    seeded["bad-picture-entry"] += 1
    images.append({**images[4], "id": 52})
    seeded["listed-twice"] += 1
    images[5]["height"] = 640
    seeded["other-size"] += 1
    boxes[:] = [box for box in boxes if box["image_id"] != 19]
    content["categories"].append({"id": 9, "name": "cow"})
    seeded["empty-class"] += 1
    shutil.copy(tmp_path / "images/006.png", tmp_path / "images/copy.png")
    images.append({"id": 53, "file_name": "copy.png", "height": 64, "width": 96})
    seeded["duplicate"] += 1
    (tmp_path / "images/007.png").write_bytes(b"\x89PNG\r\n\x1a\nnot really")
    seeded["truncated-picture"] += 1
    seeded["resized"] += 1
    seeded["no-boxes"] = 1
    sets.write_json(tmp_path / "annotations/train.json", content)
    account = read_labelled(tmp_path, OPTIONS, 0).account
    assert codes(account) == seeded
    assert account.read == account.used + len(account.rejections)


def test_same_picture_in_two_splits_is_said(tmp_path):
    names = sets.pictures(tmp_path / "train", 6)
    sets.write_json(tmp_path / "annotations/train.json", sets.coco_json(names))
    names = sets.pictures(tmp_path / "test", 4, seed=5)
    shutil.copy(tmp_path / "train/002.png", tmp_path / "test/001.png")
    sets.write_json(tmp_path / "annotations/test.json", sets.coco_json(names))
    account = read_labelled(tmp_path, OPTIONS, 0).account
    assert codes(account) == Counter({"duplicate-across-splits": 1})


def test_yolo_defects_are_found(tmp_path):
    sets.yolo(tmp_path)
    (tmp_path / "labels/train/000.txt").write_text(
        "7 0.5 0.5 0.2 0.2\n0 0.5 0.5 0.2\n1 0.5 0.5 0.2 0.2\n"
    )
    (tmp_path / "labels/train/001.txt").unlink()
    (tmp_path / "labels/train/999.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (tmp_path / "labels/train/002.txt").write_text("0 0.1 0.1 0.5 0.1 0.5 0.6 0.1 0.6\n")
    account = read_labelled(tmp_path, OPTIONS, 0).account
    assert codes(account) == Counter(
        {
            "unknown-class": 1,
            "bad-box": 1,
            "picture-without-labels": 1,
            "labels-without-picture": 1,
            "no-boxes": 1,
            "resized": 1,
        }
    )


def test_voc_defects_are_found(tmp_path):
    sets.voc(tmp_path)
    texts = {
        "000": sets.voc_xml(
            "000.png", [("", 1, 1, 9, 9), ("cat", 5, 5, "x", 9), ("cat", 9, 9, 4, 20)]
        ),
        "001": "<annotation><filename>001.png",
        "002": sets.voc_xml("nowhere/other.png", [("cat", 1, 1, 9, 9)]),
        "003": sets.voc_xml("../../secret.png", [("cat", 1, 1, 9, 9)]),
    }
    for name, text in texts.items():
        (tmp_path / f"Annotations/{name}.xml").write_text(text)
    account = read_labelled(tmp_path, OPTIONS, 0).account
    # 002 is found under the annotation's own name.
    assert codes(account) == Counter(
        {"unknown-class": 1, "bad-box": 1, "inverted-box": 1, "bad-annotation": 1,
         "outside-folder": 1, "no-boxes": 1}
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names: [cat, cat]\ntrain: images", "names a class twice"),
        ("train: images", "has no list 'names'"),
        ("names: {0: cat, 2: dog}", "numbers its names 0, 2; expected 0, 1, 2"),
        ("just words", "line 1: 'just words' is not understood"),
        ("names: [cat]\ntrain: ../../elsewhere", "names no pictures that are there"),
    ],
)
def test_yaml_that_is_not_understood_is_refused(text, message, tmp_path):
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(DataError, match=message):
        find_labelled(tmp_path, Account())


def test_yaml_notations_mean_the_same():
    texts = [
        "names: [cat, 'dog']  # two\n",
        'names:\n- cat\n- "dog"\n',
        "names:\n  0: cat\n  1: dog\n",
        "names: {0: cat, 1: dog}\n",
    ]
    for text in texts:
        assert yolo.class_names(yolo.parse_yaml(text, "a"), "a") == ["cat", "dog"]


def test_folder_without_labels_says_what_is_expected(tmp_path):
    with pytest.raises(DataError, match=r"holds no labelled boxes .* Expected COCO JSON"):
        read_labelled(tmp_path, OPTIONS, 0)
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(DataError, match=r"is no file of labelled boxes"):
        read_labelled(tmp_path / "a.txt", OPTIONS, 0)
    with pytest.raises(DataError, match="There is no file or folder"):
        read_labelled(tmp_path / "none", OPTIONS, 0)


def test_set_without_a_usable_box_is_not_trained_on(tmp_path):
    content = sets.coco(tmp_path)
    content["annotations"] = []
    sets.write_json(tmp_path / "annotations/train.json", content)
    account = read_labelled(tmp_path, OPTIONS, 0).account
    with pytest.raises(DataError, match="No training picture has a usable box"):
        account.require_trainable(1.0)


def test_other_shapes_are_letterboxed_with_their_boxes(tmp_path):
    sets.coco(tmp_path)
    dataset = read_labelled(tmp_path, DetectionDataOptions(size=128), 0)
    assert dataset.splits["train"].examples["pictures"].shape[1:] == (128, 128, 3)
    assert (dataset.splits["train"].examples["pictures"][:, :20] == 114).all()


def test_pictures_that_do_not_fit_into_memory_lie_in_files_and_are_the_same(tmp_path, monkeypatch):
    sets.coco(tmp_path / "set")
    expected = read_labelled(tmp_path / "set", OPTIONS, 0)
    monkeypatch.setenv("SEPTET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(scratch, "room_for_data", lambda: 60_000)
    monkeypatch.setattr(labelled, "DECODED_AT_ONCE", 5)
    found = read_labelled(tmp_path / "set", OPTIONS, 0)
    assert isinstance(found.splits["train"].examples["pictures"], np.memmap)
    assert hash_dataset(found) == hash_dataset(expected)
    assert found.account.to_json() == expected.account.to_json()


@pytest.mark.parametrize("kind", ["coco", "voc"])
def test_pictures_that_no_label_names_are_counted_and_typos_said(kind, tmp_path):
    FORMATS[kind](tmp_path)
    folder = tmp_path / ("images" if kind == "coco" else "JPEGImages")
    sets.pictures(folder / "more", 1, seed=9)
    (folder / "more/000.png").rename(folder / "other.png")
    account = read_labelled(tmp_path, OPTIONS, 0).account
    (finding,) = account.findings
    assert (finding.code, finding.where) == ("picture-without-labels", folder.name)
    assert "1 pictures beside the 20 labelled ones" in finding.message
    assert "'other.png'" in finding.message
    assert account.used == 20


def test_a_class_that_is_likely_another_mistyped_is_said(tmp_path):
    sets.voc(tmp_path)
    for number in range(20):
        path = tmp_path / f"Annotations/{number:03}.xml"
        label = "elephnt" if number == 4 else "elephant"
        path.write_text(path.read_text().replace("cat", label).replace("dog", label))
    account = read_labelled(tmp_path, OPTIONS, 0).account
    found = {finding.code: finding for finding in account.findings}
    assert "'elephnt' (1 times) is close to 'elephant' (19 times)" in found["label-typo"].message


def test_yolo_lists_of_pictures_are_read(tmp_path):
    sets.yolo(tmp_path)
    pictures = sorted((tmp_path / "images").rglob("*.png"))
    lines = [f"./{path.relative_to(tmp_path)}" for path in pictures]
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/train.txt").write_text("\n".join(lines[:15]) + "\n\n")
    (tmp_path / "val.txt").write_text("\n".join(line[2:] for line in lines[15:]) + "\ngone.png\n")
    (tmp_path / "data.yaml").write_text("train: lists/train.txt\nval: val.txt\nnames: [cat, dog]\n")
    dataset = read_labelled(tmp_path, OPTIONS, 0)
    account = dataset.account
    (gone,) = account.rejections
    assert (gone.code, gone.file, gone.line) == ("missing-file", "val.txt", 6)
    assert account.splits["validation"] == 5
    assert account.used == 20
    assert {text for split in dataset.splits.values() for text in split.targets} == BOXES
