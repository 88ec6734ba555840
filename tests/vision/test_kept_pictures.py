"""Pictures of large sets are decoded once; what is kept is the same, or is not believed."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from septet.vision import cache, kept_pictures
from septet.vision.decoding import DecoderPool
from septet.vision.detection_options import DetectionDataOptions
from septet.vision.labelled import read_labelled
from septet.vision.options import ImageDataOptions
from septet.vision.reading import read_dataset
from septet.vision.segmentation.options import SegmentationDataOptions
from septet.vision.segmentation.reading import read_segments
from tests.vision.labelled_sets import coco
from tests.vision.making import make_classes
from tests.vision.segmentation.making_masks import make_pairs


@pytest.fixture
def asked(monkeypatch, tmp_path_factory) -> list[str]:
    """The files that are decoded; any set is large."""
    monkeypatch.setenv("SEPTET_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setattr(kept_pictures, "LEAST", 1)
    found: list[str] = []
    for name in ("decode", "decode_masks"):
        decode = getattr(DecoderPool, name)

        def spy(self, paths, *box, decode=decode, **how):
            found.extend(paths)
            return decode(self, paths, *box, **how)

        monkeypatch.setattr(DecoderPool, name, spy)
    return found


def classes(folder):
    return read_dataset(folder, ImageDataOptions(size=16), 0)


def boxes(folder):
    return read_labelled(folder, DetectionDataOptions(test_fraction=0.2), 0)


def masks(folder):
    return read_segments(folder, SegmentationDataOptions(), 0)


@pytest.mark.parametrize(
    ("make", "read", "files"),
    [(make_classes, classes, 24), (coco, boxes, 20), (make_pairs, masks, 24)],
)
def test_a_set_is_decoded_once_and_is_the_same(tmp_path, asked, make, read, files):
    make(tmp_path)
    first = read(tmp_path)
    assert len(asked) == files
    asked.clear()
    again = read(tmp_path)
    assert not asked
    assert again.account.used == first.account.used
    assert [vars(entry) for entry in again.account.findings] == [
        vars(entry) for entry in first.account.findings
    ]
    for name, split in first.splits.items():
        for key, values in split.examples.items():
            np.testing.assert_array_equal(values, again.splits[name].examples[key])
        np.testing.assert_array_equal(split.targets, again.splits[name].targets)
    # One file that changes is decoded with all that were asked for together.
    changed = next(path for path in sorted(tmp_path.rglob("*.png")) if "mask" not in str(path))
    picture = Image.open(changed)
    picture.putpixel((1, 1), (1, 2, 3))
    picture.save(changed)
    read(tmp_path)
    assert str(changed) in asked


def test_what_cannot_be_decoded_is_kept_as_such(tmp_path, asked):
    make_classes(tmp_path)
    (tmp_path / "cat/00.png").write_bytes(b"nothing")
    options = ImageDataOptions(size=16, max_rejected=0.5)
    for _ in range(2):
        account = read_dataset(tmp_path, options, 0).account
        assert [entry.file for entry in account.rejections] == ["cat/00.png"]
    assert len(asked) == 24


@pytest.mark.parametrize("harm", ["pixels", "known", "gone", "cut"])
def test_a_damaged_entry_is_not_believed(tmp_path, asked, harm):
    make_classes(tmp_path)
    first = classes(tmp_path).splits["train"].examples["pictures"]
    (entry,) = (Path(os.environ["SEPTET_CACHE"]) / "pictures").iterdir()
    pixels, known = entry / cache.PIXELS, entry / cache.KNOWN
    content = bytearray(pixels.read_bytes())
    if harm == "pixels":
        content[100] ^= 255
        pixels.write_bytes(bytes(content))
    elif harm == "known":
        known.write_text(known.read_text().replace('"shape": [16', '"shape": [9'))
    elif harm == "gone":
        pixels.unlink()
    else:
        pixels.write_bytes(bytes(content[:-5]))
    asked.clear()
    again = classes(tmp_path).splits["train"].examples["pictures"]
    assert len(asked) == 24
    np.testing.assert_array_equal(first, again)


def test_small_sets_are_not_kept(tmp_path, asked, monkeypatch):
    monkeypatch.setattr(kept_pictures, "LEAST", 25)
    make_classes(tmp_path)
    classes(tmp_path)
    classes(tmp_path)
    assert len(asked) == 48
    assert not (Path(os.environ["SEPTET_CACHE"]) / "pictures").exists()
