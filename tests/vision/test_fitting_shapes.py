"""Pictures of other shapes are stretched, cropped or letterboxed, alike in reading and asking."""

import json

import numpy as np
import pytest
from PIL import Image

from septet.task import Prepared
from septet.vision.classification import ImageClassification, PreparedPictures
from septet.vision.detection import ObjectDetection
from septet.vision.detection_options import DetectionDataOptions
from septet.vision.gathering import fit
from septet.vision.options import ImageDataOptions
from septet.vision.pixels import GREY, resize
from septet.vision.segmentation.answers import classes_of
from septet.vision.segmentation.legend import IGNORED
from septet.vision.segmentation.options import SegmentationDataOptions
from septet.vision.segmentation.task import SemanticSegmentation
from septet.vision.video.classification import VideoClassification
from septet.vision.video.options import VideoDataOptions
from tests.vision.labelled_sets import coco
from tests.vision.segmentation.making_masks import make_pairs
from tests.vision.video.making import moving, write_frames


def wide() -> Image.Image:
    """80x40: red on the left, green in the middle half, blue on the right."""
    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[:, :20, 0] = pixels[:, 20:60, 1] = pixels[:, 60:, 2] = 200
    return Image.fromarray(pixels)


def test_each_way_shows_what_it_says():
    stretched, cropped, boxed = (
        np.asarray(resize(wide(), 40, 40, how)) for how in ("stretch", "crop", "letterbox")
    )
    assert stretched[20, 2].tolist() == [200, 0, 0]
    assert stretched[20, 37].tolist() == [0, 0, 200]
    assert (cropped == [0, 200, 0]).all()
    assert (boxed[:10] == GREY).all()
    assert (boxed[30:] == GREY).all()
    assert boxed[20, 2].tolist() == [200, 0, 0]
    tall = np.asarray(resize(wide().transpose(Image.Transpose.ROTATE_90), 40, 40, "letterbox"))
    assert (tall[:, :10] == GREY).all()
    assert tall[2, 20].tolist() == [0, 0, 200]
    for how in ("stretch", "crop", "letterbox"):
        assert resize(wide(), 40, 80, how).tobytes() == wide().tobytes()
        grey = resize(wide().convert("L"), 24, 24, how)
        assert (grey.mode, grey.size) == ("L", (24, 24))
        whole = fit(np.asarray(wide()), 24, 24, 3, how)
        np.testing.assert_array_equal(whole, np.asarray(resize(wide(), 24, 24, how)))


def prepared_by(task, folder, options) -> tuple[Prepared, dict]:
    dataset = task.read(folder, options, 0)
    return task.prepare(dataset, options), dataset.splits


@pytest.mark.parametrize("how", ["stretch", "crop", "letterbox"])
@pytest.mark.parametrize("size", [None, 32])
def test_a_picture_is_asked_about_as_it_was_learned(tmp_path, how, size):
    for number in range(12):
        for name in ("a", "b"):
            (tmp_path / name).mkdir(exist_ok=True)
            noisy = np.asarray(wide()).copy()
            noisy[0, 0] = number, 7, name == "a"
            Image.fromarray(noisy).save(tmp_path / name / f"{number}.png")
    task, options = ImageClassification(), ImageDataOptions(fit=how, size=size)
    prepared, splits = prepared_by(task, tmp_path, options)
    assert prepared["fit"] == how
    read = splits["test"].examples["pictures"]
    assert read.shape[1:] == (size or 64, size or 64, 3)
    paths = [str(tmp_path / source) for source in splits["test"].sources]
    np.testing.assert_array_equal(task.encode(paths, prepared)["pictures"], read)
    opened = [Image.open(path) for path in paths]
    np.testing.assert_array_equal(task.encode(opened, prepared)["pictures"], read)
    # What was saved before there was a choice is stretched.
    older = {name: value for name, value in prepared.items() if name != "fit"}
    assert PreparedPictures.model_validate(older).fit == "stretch"


@pytest.mark.parametrize("how", ["stretch", "crop", "letterbox"])
def test_a_video_is_asked_about_as_it_was_learned(tmp_path, how, monkeypatch):
    monkeypatch.setenv("SEPTET_CACHE", str(tmp_path / "cache"))
    for way in ("left", "right"):
        for number in range(6):
            seed = number + 20 * (way == "left")
            clip = moving(way, seed=seed, frames=5, height=24, width=48)
            write_frames(tmp_path / "set" / way / str(number), clip)
    task = VideoClassification()
    options = VideoDataOptions(fit=how, size=16, frames=4, clips=2, test_fraction=0.3)
    prepared, splits = prepared_by(task, tmp_path / "set", options)
    read = splits["test"].examples["clips"]
    assert read.shape[1:] == (2, 4, 16, 16, 3)
    paths = [str(tmp_path / "set" / source) for source in splits["test"].sources]
    np.testing.assert_array_equal(task.encode(paths, prepared)["clips"], read)
    arrays = [
        np.stack([np.asarray(Image.open(f"{path}/frame{n}.png")) for n in range(5)])
        for path in paths
    ]
    np.testing.assert_array_equal(task.encode(arrays, prepared)["clips"], read)
    is_barred = (read[..., 0, :, :] == GREY).all()
    assert is_barred == (how == "letterbox")


def test_boxes_beyond_a_crop_are_not_asked_for(tmp_path):
    content = coco(tmp_path)  # 96x64, boxes of 30x24 from 4 to 23, 6 to 15
    content["annotations"][0]["bbox"] = [0, 10, 10, 20]
    (tmp_path / "annotations/train.json").write_text(json.dumps(content))
    task = ObjectDetection()
    options = DetectionDataOptions(fit="crop", size=64, test_fraction=0.2)
    prepared, splits = prepared_by(task, tmp_path, options)
    boxes = {
        source: rows
        for split in splits.values()
        for source, rows in zip(split.sources, task.arrays(split, prepared)[1], strict=True)
    }
    assert boxes["images/000.png"].tolist() == [[-1, 0, 0, 0, 0]]
    # The middle 64 of 96 columns: 16 less on the left.
    (label, left, top, right, bottom) = boxes["images/019.png"][0]
    assert (label, left, top, right, bottom) == (1, 23 - 16, 15, 23 + 30 - 16, 15 + 24)


def test_letterboxed_masks_ask_nothing_of_the_bars_and_answers_come_back(tmp_path):
    make_pairs(tmp_path, side=32)
    for kind in ("images", "masks"):
        for path in sorted((tmp_path / kind).glob("*.png")):
            half = Image.open(path)
            half.crop((0, 0, 32, 16)).save(path)
    task = SemanticSegmentation()
    options = SegmentationDataOptions(fit="letterbox", size=64)
    prepared, splits = prepared_by(task, tmp_path, options)
    for split in splits.values():
        for pixels, mask in zip(split.examples["pictures"], split.targets, strict=True):
            assert mask.shape == (64, 64)
            assert (mask[:16] == IGNORED).all()
            assert (mask[48:] == IGNORED).all()
            assert (mask[16:48] != IGNORED).all()
            assert (pixels[:16] == GREY).all()

    def logits(pictures: np.ndarray) -> np.ndarray:
        """Class 1 where red is high, 2 in the bars."""
        red = pictures[..., 0].astype(np.float32) - 128
        scores = np.stack([np.zeros_like(red), red, np.full_like(red, -50)], -1)
        scores[(pictures == GREY).all(-1), 2] = 99
        return scores

    picture = np.zeros((20, 40, 3), np.uint8)
    picture[:, 20:] = 255
    answer = classes_of(picture, prepared, logits)
    assert answer.shape == (20, 40)
    assert (answer[:, :18] == 0).all()
    assert (answer[:, 22:] == 1).all()
