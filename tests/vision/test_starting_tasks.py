"""Detectors, segmenters and networks for videos that start from weights."""

import septet  # noqa: F401

# isort: split
# Septet comes first, since it chooses the backend of Keras.
import numpy as np
import pytest

from septet import registry
from septet.errors import ConfigError, WeightsError
from septet.runs.networks import build_apart
from septet.vision import starting
from septet.vision.classification import ImageClassification
from septet.vision.detection import ObjectDetection
from septet.vision.detection_options import DetectionModelOptions
from septet.vision.segmentation.options import SegmentationModelOptions
from septet.vision.segmentation.task import SemanticSegmentation
from septet.vision.video.classification import VideoClassification
from septet.vision.video.options import VideoModelOptions
from tests.models import drawn_weights
from tests.models.test_pretrained import write
from tests.runs.hostile import PICTURES, good_folder, prepared_pictures
from tests.vision.segmentation.test_segmentation_task import PREPARED as SEGMENTS

COLOUR = {"height": 64, "width": 64, "channels": 3, "mean": [9.0] * 3, "deviation": [9.0] * 3}
BOXES = {"labels": ["a", "b"], "fit": "letterbox", **COLOUR}
SEGMENTS = {**SEGMENTS, "width": 32}


def started(task, prepared, options):
    """The adapted preparation, the network with its weights, and how it is trained on."""
    notes = []
    prepared = task.adapt(prepared, options)
    name, arguments = task.architecture(prepared, options)
    network = build_apart(lambda: registry.architecture(name)(**arguments))
    tuning = task.start(network, prepared, options, notes.append)
    assert tuning is not None
    (note,) = notes
    return prepared, (name, arguments), network, tuning, note


def values_of(network) -> dict[str, np.ndarray]:
    return {variable.path: np.asarray(variable.value) for variable in network.weights}


def classifier(folder, prepared, backbone: str, settings=None):
    """Save a picture classifier over a backbone; its weights."""
    sizes = {name: prepared[name] for name in COLOUR}
    arguments = {**sizes, "num_classes": 2, "backbone": backbone, "settings": settings}
    return good_folder(
        folder,
        PICTURES,
        prepared={**prepared_pictures(["cat", "dog"]), **sizes},
        architecture="picture-classifier",
        arguments=arguments,
    )


@pytest.mark.parametrize(
    ("task", "prepared", "make"),
    [
        (ObjectDetection(), BOXES, DetectionModelOptions),
        (
            SemanticSegmentation(),
            SEGMENTS,
            lambda **given: SegmentationModelOptions(architecture="fpn", **given),
        ),
    ],
)
def test_a_file_of_torchvision_gives_the_backbone(tmp_path, task, prepared, make):
    tensors = drawn_weights.tensors("resnet18")
    file = write(tmp_path / "w.safetensors", tensors)
    options = make(pretrained=str(file))
    adapted, (_, arguments), network, tuning, note = started(task, prepared, options)
    assert adapted["mean"] == [123.675, 116.28, 103.53]
    assert (arguments["backbone"], arguments["settings"]) == ("resnet18", None)
    values = values_of(network)
    (stem,) = (path for path in values if path.startswith("stem") and path.endswith("kernel"))
    np.testing.assert_array_equal(values[stem], tensors["conv1.weight"].transpose(2, 3, 1, 0))
    assert "100 arrays of weights are its own" in note
    assert len(task.pretrained(options)) == 64
    # The backbone is held at first and slower by stage; pyramid and head are new.
    trainable = [variable.path for variable in network.trainable_variables]
    groups = dict(zip(trainable, tuning.groups, strict=True))
    assert groups[stem] == 0
    assert groups[trainable[-1]] == tuning.new == 5
    assert (tuning.frozen, tuning.decay) == (0.2, 0.8)
    with pytest.raises(WeightsError, match="looks like weights of 'resnet18'"):
        started(task, prepared, make(pretrained=str(file), backbone="resnet50"))


@pytest.mark.parametrize("settings", [None, {"width": 8}, {"stem": "small"}])
def test_a_run_that_classifies_gives_the_backbone(tmp_path, settings):
    weights = classifier(tmp_path / "first", COLOUR, "resnet-micro", settings)
    options = DetectionModelOptions(pretrained=str(tmp_path / "first"))
    prepared, (_, arguments), network, _, _ = started(ObjectDetection(), BOXES, options)
    assert prepared["mean"] == COLOUR["mean"]
    assert arguments["settings"] == ({"width": 8} if settings == {"width": 8} else None)
    values = values_of(network)
    shared = {path for path in values if path in weights and path.startswith("stage")}
    assert len(shared) > 30
    for path in shared:
        np.testing.assert_array_equal(values[path], weights[path])
    head = SegmentationModelOptions(architecture="fpn", pretrained=str(tmp_path / "first"))
    _, (name, _), network, _, _ = started(SemanticSegmentation(), SEGMENTS, head)
    assert name == "pixel-head"
    assert shared <= values_of(network).keys()


@pytest.mark.parametrize("labels", [["a", "b"], ["a", "c"], ["a", "b", "c"]])
def test_a_detector_goes_on_with_other_classes(tmp_path, labels):
    task = ObjectDetection()
    _, arguments = task.architecture(BOXES, DetectionModelOptions(backbone_width=8, head_depth=1))
    weights = good_folder(
        tmp_path / "first", task.name, prepared=BOXES, architecture="detector", arguments=arguments
    )
    options = DetectionModelOptions(pretrained=str(tmp_path / "first"), backbone="vit-tiny")
    prepared = {**BOXES, "labels": labels, "height": 96}
    _, (name, kept), network, tuning, _ = started(task, prepared, options)
    assert (name, kept) == (
        "detector",
        {**arguments, "height": 96, "num_classes": len(labels)},
    )
    is_same = labels == ["a", "b"]
    for path, value in values_of(network).items():
        is_kept = is_same or not path.startswith("class_logits/")
        assert (value.shape == weights[path].shape and (value == weights[path]).all()) == is_kept
    # Where nothing is new nothing may be held, or nothing would be trained.
    assert tuning.frozen == (0.0 if is_same else 0.2)


def test_a_segmenter_goes_on_and_a_unet_starts_from_no_backbone(tmp_path):
    task = SemanticSegmentation()
    name, arguments = task.architecture(SEGMENTS, SegmentationModelOptions(width=8, depth=2))
    weights = good_folder(
        tmp_path / "first", task.name, prepared=SEGMENTS, architecture=name, arguments=arguments
    )
    options = SegmentationModelOptions(pretrained=str(tmp_path / "first"))
    _, (kind, kept), network, _, _ = started(task, SEGMENTS, options)
    assert (kind, kept) == ("unet", arguments)
    for path, value in values_of(network).items():
        np.testing.assert_array_equal(value, weights[path])
    classifier(tmp_path / "other", COLOUR, "resnet-micro")
    with pytest.raises(ConfigError, match=r"is unet, which starts only .*architecture=fpn"):
        started(task, SEGMENTS, SegmentationModelOptions(pretrained=str(tmp_path / "other")))


def test_what_has_no_backbone_is_refused(tmp_path, monkeypatch):
    good_folder(tmp_path / "cnn", PICTURES)
    grey = {**BOXES, "channels": 1, "mean": [9.0], "deviation": [9.0]}
    with pytest.raises(WeightsError, match=r"network 'cnn' has no backbone .* resnet-micro"):
        started(ObjectDetection(), grey, DetectionModelOptions(pretrained=str(tmp_path / "cnn")))
    with pytest.raises(WeightsError, match="that only image-classification starts from"):
        started(ObjectDetection(), BOXES, DetectionModelOptions(pretrained="MobileNetV2"))
    with pytest.raises(ConfigError, match=r"'model.frozen' is for networks that start from"):
        ObjectDetection().pretrained(DetectionModelOptions(frozen=0.5))


def test_a_network_for_videos_starts_from_its_own_kind(tmp_path):
    task = VideoClassification()
    prepared = {
        **prepared_pictures(["left", "right"]), "height": 16, "width": 16, "frames": 4,
        "stride": 1, "clips": 1,
    }  # fmt: skip
    name, arguments = task.architecture(prepared, VideoModelOptions(width=4, depth=1))
    weights = good_folder(
        tmp_path / "first", task.name, prepared=prepared, architecture=name, arguments=arguments
    )
    options = VideoModelOptions(pretrained=str(tmp_path / "first"))
    other = {**prepared, "labels": ["up", "down"]}
    _, (kind, _), network, tuning, _ = started(task, other, options)
    assert kind == name
    for path, value in values_of(network).items():
        assert (value == weights[path]).all() != path.startswith("logits/")
    assert tuning.frozen == 0.2
    classifier(tmp_path / "picture", COLOUR, "resnet-micro")
    colour = {**other, "channels": 3, "mean": [9.0] * 3, "deviation": [9.0] * 3}
    with pytest.raises(WeightsError, match="no network for videos"):
        started(task, colour, VideoModelOptions(pretrained=str(tmp_path / "picture")))


def test_a_classifier_takes_the_backbone_of_a_detector(tmp_path):
    task = ObjectDetection()
    options = DetectionModelOptions(backbone_width=8, head_depth=1)
    _, arguments = task.architecture(BOXES, options)
    weights = good_folder(
        tmp_path / "first", task.name, prepared=BOXES, architecture="detector", arguments=arguments
    )
    from septet.vision.options import ImageModelOptions

    prepared = {**prepared_pictures(["cat", "dog"]), **COLOUR}
    given = ImageModelOptions(pretrained=str(tmp_path / "first"))
    _, (name, found), network, _, _ = started(ImageClassification(), prepared, given)
    assert (name, found["backbone"]) == ("picture-classifier", "resnet-micro")
    assert found["settings"] == {"width": 8}
    values = values_of(network)
    shared = values.keys() & weights.keys()
    assert len(shared) > 30
    assert all((values[path] == weights[path]).all() for path in shared)


def test_find_is_what_settles_names(tmp_path):
    classifier(tmp_path / "first", COLOUR, "resnet-micro")
    settled = ObjectDetection().settle({"pretrained": str(tmp_path / "first"), "scale": 0.1})
    assert settled == {"pretrained": str(tmp_path / "first"), "scale": 0.1}
    assert starting.find(settled["pretrained"]).kind == "folder"


@pytest.mark.parametrize("task", [ObjectDetection(), SemanticSegmentation(), VideoClassification()])
def test_a_wrong_name_is_not_told_of_what_the_task_cannot_start_from(task):
    with pytest.raises(WeightsError, match="no file, folder or run 'no-such'") as caught:
        task.settle({"pretrained": "no-such"})
    assert "MobileNetV2" not in str(caught.value)
    with pytest.raises(WeightsError, match="MobileNetV2"):
        ImageClassification().settle({"pretrained": "no-such"})
