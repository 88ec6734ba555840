"""The task from training to answers, as the engine and the command line use it."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

import septet
from septet import api
from septet.errors import ConfigError, DataError
from septet.vision.segmentation.answers import classes_of, resized_best
from septet.vision.segmentation.options import Backbone, SegmentationModelOptions
from septet.vision.segmentation.packing import packed
from septet.vision.segmentation.task import PreparedSegments, SemanticSegmentation
from tests.vision.segmentation.making_masks import NAMES, make_pairs, scene

TASK = SemanticSegmentation()
PREPARED = {
    "labels": ["background", "disc", "square"],
    "colours": [None, [1, 2, 3], None],
    "shares": [0.8, 0.1, 0.1],
    "height": 32,
    "width": 64,
    "channels": 3,
    "large": "resize",
    "fit": "stretch",
    "mean": [127.0, 128.0, 129.0],
    "deviation": [70.0, 71.0, 72.0],
}
TINY = {"width": 8, "depth": 2, "stem": 2, "colour": 0.0, "scale": 0.0}


@pytest.mark.parametrize(
    "change",
    [
        {"labels": ["a"]}, {"labels": ["a", "a", "b"]}, {"colours": [None]}, {"shares": [1.0]},
        {"colours": [None, [1, 2], None]}, {"colours": [None, [1, 2, 300], None]},
        {"height": 31}, {"height": 2**20}, {"width": 0}, {"channels": 2}, {"channels": 1},
        {"mean": [1.0]}, {"deviation": [0.0, 1.0, 1.0]}, {"large": "both"}, {"module": "os"},
        {"shares": [0.5, float("nan"), 0.5]}, {"labels": [f"c{n}" for n in range(300)]},
    ],
)  # fmt: skip
def test_a_hostile_preparation_is_refused(change):
    assert PreparedSegments.model_validate(PREPARED).model_dump(mode="json") == PREPARED
    with pytest.raises(ValidationError):
        PreparedSegments.model_validate({**PREPARED, **change})


def test_the_backbones_of_the_settings_are_those_there_are():
    from typing import get_args

    from septet.models.backbones import BACKBONES

    assert set(get_args(Backbone)) == set(BACKBONES)


@pytest.mark.parametrize("side", [32, 64, 96, 160, 512])
def test_the_depth_fits_the_size(side):
    prepared = {**PREPARED, "height": side, "width": side}
    _, arguments = TASK.architecture(prepared, SegmentationModelOptions())
    stride = arguments["stem"] * 2 ** (len(arguments["filters"]) - 1)
    assert side % stride == 0
    assert stride <= 32


def test_a_depth_that_does_not_fit_is_refused():
    with pytest.raises(ConfigError, match=r"model\.depth.*no multiple"):
        TASK.architecture(PREPARED, SegmentationModelOptions(depth=7))


def test_packed_classes_come_back_from_the_device():
    from septet.vision.segmentation.packing import unpacked

    classes = np.random.default_rng(0).integers(0, 256, (3, 7, 11)).astype(np.uint8)
    np.testing.assert_array_equal(unpacked(np.asarray(packed(classes)), 7, 11), classes)


def colours_told(pictures: np.ndarray) -> np.ndarray:
    """Logits of a network that tells red, blue and grey apart, pixel by pixel; none are equal."""
    red, green, blue = np.moveaxis(pictures.astype(np.float32), -1, 0)
    return np.stack([np.full_like(red, 30.25), red - green, blue - red + 0.5], axis=-1)


@pytest.mark.parametrize("large", ["resize", "tile"])
@pytest.mark.parametrize("size", [(32, 64), (100, 150), (20, 30)])
def test_pictures_of_any_size_are_answered_in_their_own(large, size):
    pixels, _ = scene(1, 160)
    pixels = np.asarray(Image.fromarray(pixels).resize((size[1], size[0])))
    classes = classes_of(pixels, {**PREPARED, "large": large}, colours_told)
    assert classes.shape == size
    expected = colours_told(pixels[None])[0].argmax(-1)
    assert (classes == expected).mean() > (0.99 if large == "tile" or size == (32, 64) else 0.9)


def test_resizing_scores_class_by_class_is_resizing_them_all():
    scores = np.random.default_rng(0).normal(size=(8, 8, 5)).astype(np.float32)
    planes = [
        np.asarray(Image.fromarray(scores[..., k]).resize((20, 17), Image.Resampling.BILINEAR))
        for k in range(5)
    ]
    np.testing.assert_array_equal(resized_best(scores, (17, 20)), np.argmax(planes, axis=0))


def test_answers_are_indexed_pictures_overlays_and_plain_values():
    (answer,) = TASK.respond(
        lambda arrays: colours_told(arrays["pictures"]), [scene(1, 64)[0]], PREPARED
    )
    image = answer.to_image()
    assert image.mode == "P"
    assert image.size == (64, 64)
    assert image.getpalette()[3:6] == [1, 2, 3]
    np.testing.assert_array_equal(np.asarray(image), answer.classes)
    values = json.loads(json.dumps(answer.to_json()))
    assert sum(values["shares"].values()) == pytest.approx(1.0)
    again = Image.open(io.BytesIO(base64.b64decode(values["mask_png"])))
    np.testing.assert_array_equal(np.asarray(again), answer.classes)
    overlay = np.asarray(answer.to_overlay())
    clear = answer.classes == 0
    np.testing.assert_array_equal(overlay[clear], answer.picture[clear])
    assert (overlay[~clear] != answer.picture[~clear]).any()
    assert str(answer).startswith("background")


def test_masks_of_other_numbers_are_brought_to_the_models(tmp_path):
    from septet.vision.segmentation.options import SegmentationDataOptions

    make_pairs(tmp_path, 4)
    (tmp_path / "legend.csv").write_text("index,name\n0,background\n2,disc\n1,square\n")
    split = TASK.read(tmp_path, SegmentationDataOptions(), 0).splits["train"]
    prepared = {**PREPARED, "width": 32}
    _, masks = TASK.arrays(split, prepared)
    np.testing.assert_array_equal(masks[0], scene(int(split.sources[0][-7:-4]))[1] * 2 % 3)
    with pytest.raises(DataError, match="does not know the class 'square'"):
        TASK.arrays(split, {**prepared, "labels": ["background", "disc", "star"]})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("segments")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEPTET_RUNS", str(folder / "runs"))
        make_pairs(folder / "set", 90)
        settings = {
            "model": TINY,
            "training": {"batch_size": 8, "learning_rate": 0.02, "epochs": 16},
        }
        yield septet.train("semantic-segmentation", folder / "set", settings=settings, name="run")


@pytest.mark.slow
def test_it_learns_to_tell_shapes_by_their_colour(run):
    assert run.scores["mean_iou"] > 0.8
    low, high = run.evaluation["intervals"]["mean_iou"]
    assert low <= run.scores["mean_iou"] <= high
    assert [entry["label"] for entry in run.evaluation["per_class"]] == list(NAMES)
    rows = [json.loads(line) for line in (run.folder / "log.jsonl").read_text().splitlines()]
    assert rows[-1]["validation_mean_iou"] > rows[0]["validation_mean_iou"]
    html = run.report.read_text()
    for name in ("IoU", "boundary F", "pixels", "classes.png", "segments.png"):
        assert name in html or (run.folder / name).exists()


@pytest.mark.slow
def test_its_model_answers_and_is_evaluated_on_other_data(run, tmp_path, monkeypatch):
    monkeypatch.setenv("SEPTET_RUNS", str(run.folder.parent))
    make_pairs(tmp_path / "other", 10)
    evaluation = api.evaluate("run", tmp_path / "other")
    assert evaluation["examples"] == 10
    assert evaluation["scores"]["mean_iou"] > 0.7
    answer = run.predict(tmp_path / "other" / "images" / "000.png")
    assert (answer.classes == scene(0)[1]).mean() > 0.9


@pytest.mark.slow
def test_the_command_line_saves_masks_and_overlays(run, tmp_path, monkeypatch):
    from click.testing import CliRunner

    from septet.cli.main import commands

    monkeypatch.setenv("SEPTET_RUNS", str(run.folder.parent))
    Image.fromarray(scene(5, 50)[0]).save(tmp_path / "a.png")
    arguments = ["predict", "run", str(tmp_path / "a.png"), "--out", str(tmp_path / "found")]
    for stem in ("a", "a-2"):
        result = CliRunner().invoke(commands, arguments)
        assert result.exit_code == 0, result.output
        with Image.open(tmp_path / "found" / f"{stem}.png") as mask:
            assert mask.mode == "P"
        with Image.open(tmp_path / "found" / f"{stem}-overlay.png") as overlay:
            assert overlay.size == (50, 50)
    result = CliRunner().invoke(commands, [*arguments, "--json"])
    (row,) = json.loads(result.output)
    assert row["files"][0].endswith("a-3.png")
