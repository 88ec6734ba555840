"""The task object-detection from reading to answers, on a set that is quickly learned."""

import septet  # noqa: F401

# isort: split
# Septet comes first, since it chooses the backend of Keras.
import json

import numpy as np
import pytest
from PIL import Image, ImageDraw

from septet import api
from septet.errors import ConfigError, DataError
from septet.vision.detection import BoxesAnswer, FoundBox, ObjectDetection
from tests.vision.labelled_sets import write_json

SETTINGS = {
    "model": {"backbone_width": 8, "pyramid_dim": 16, "head_depth": 1, "flip": False},
    "training": {"epochs": 3, "batch_size": 8},
}


@pytest.fixture(autouse=True)
def _scorer():
    pytest.importorskip("pycocotools")


def discs(folder, count=40, size=(64, 64)):
    """Pictures with a red or green disc each, and COCO JSON."""
    random = np.random.default_rng(0)
    images, annotations = [], []
    (folder / "images").mkdir(parents=True)
    for number in range(count):
        picture = Image.new("RGB", (size[1], size[0]), (30, 30, 60))
        left, top = random.integers(2, 30, 2).tolist()
        side, label = int(random.integers(16, 28)), number % 2
        colour = ((220, 40, 40), (40, 220, 40))[label]
        ImageDraw.Draw(picture).ellipse((left, top, left + side - 1, top + side - 1), fill=colour)
        picture.save(folder / f"images/{number:03}.png")
        images.append(
            {"id": number, "file_name": f"{number:03}.png", "height": size[0], "width": size[1]}
        )
        annotations.append(
            {
                "id": number,
                "image_id": number,
                "category_id": label,
                "bbox": [left, top, side, side],
            }
        )
    categories = [{"id": 0, "name": "red"}, {"id": 1, "name": "green"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    write_json(folder / "annotations/all.json", content)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    pytest.importorskip("pycocotools")
    folder = tmp_path_factory.mktemp("discs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield api.train("object-detection", discs(folder / "data"), settings=SETTINGS, name="discs")


def test_run_has_scores_model_and_pictures(run):
    assert list(run.scores)[:3] == ["map_50", "map", "map_75"]
    assert {entry["label"] for entry in run.evaluation["per_class"]} == {"red", "green"}
    assert (run.folder / "detections.png").exists()
    report = run.report.read_text()
    assert "mAP@.5" in report
    rows = [json.loads(line) for line in (run.folder / "log.jsonl").read_text().splitlines()]
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert {"validation_loss", "validation_map_50", "validation_map"} <= set(rows[0])


def test_a_detector_says_where_it_saw_its_surest_box(run):
    model = run.load()
    picture = np.full((64, 64, 3), (30, 30, 60), np.uint8)
    picture[36:60, 34:58] = 220, 40, 40
    (explanation,) = model.explain([picture])
    heat = np.array(explanation.heat)
    assert explanation.method == "Grad-CAM"
    assert explanation.answer in ("red", "green")
    assert heat.max() == 1.0
    (drawn,) = model.task.draw_explanations([picture], [explanation], model.prepared)
    assert drawn.ndim == 3
    entries = run.evaluation["explanations"]
    assert {label for entry in entries for label in entry["actual"]} == {"red", "green"}
    assert (run.folder / "explanations.png").stat().st_size > 1000


def test_answers_are_in_the_pixels_of_the_picture_that_was_given(run):
    model = run.load()
    wide = np.zeros((100, 300, 3), np.uint8)
    (answer,) = model.answers([wide])
    assert isinstance(answer, BoxesAnswer)
    placed = model.task.encode([wide], model.prepared)["pictures"]
    assert placed.shape == (1, 64, 64, 3)
    assert (placed[0, 0] == 114).all()


def test_evaluation_on_the_same_data_runs_and_an_unknown_class_is_named(run, tmp_path):
    folder = discs(tmp_path / "more", 6)
    evaluation = run.load().evaluate(folder)
    assert evaluation["examples"] == 6
    path = folder / "annotations/all.json"
    path.write_text(path.read_text().replace('"green"', '"blue"'))
    with pytest.raises(DataError, match="does not know the class 'blue'"):
        run.load().evaluate(folder)


def test_boxes_found_come_back_through_the_letterbox():
    prepared = {
        "labels": ["a"], "height": 64, "width": 64, "channels": 3, "fit": "letterbox",
        "mean": [0.0] * 3, "deviation": [1.0] * 3,
    }  # fmt: skip
    task = ObjectDetection()

    def outputs_of(arrays):
        outputs = np.full((len(arrays["pictures"]), 84, 5), -9, np.float32)
        outputs[:, 0] = [5, 16, 24, 48, 40]
        return outputs

    (answer,) = task.respond(outputs_of, [np.zeros((50, 100, 3), np.uint8)], prepared)
    (box,) = answer.boxes
    assert (box.left, box.top, box.right, box.bottom) == (25.0, 12.5, 75.0, 37.5)
    assert str(answer) == "a 0.99 (25, 12 to 75, 38)"
    overlay = answer.overlay()
    assert overlay is not None
    assert overlay.startswith(b"\x89PNG")
    assert answer.to_json()["boxes"][0]["label"] == "a"


def test_nothing_found_is_said():
    assert str(BoxesAnswer(())) == "nothing found"
    assert BoxesAnswer((FoundBox("a", 0.5, 0, 0, 1, 1),)).overlay() is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"training": {"loss": "focal"}}, "training.loss' is focal; object-detection has its own"),
        ({"training": {"label_smoothing": 0.1}}, "training.label_smoothing' is 0.1"),
        ({"training": {"class_weights": "balanced"}}, "training.class_weights' is balanced"),
        ({"model": {"backbone": "resnet-mikro"}}, "model.backbone.*Did you mean 'resnet-micro'"),
        ({"data": {"size": 100}}, "multiple of 32"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=message):
        api.train("object-detection", discs(tmp_path / "data", 8), settings=settings)
    assert not (tmp_path / "runs").exists()
