"""The task as the engine, the model folder and the command line use it."""

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from septet import registry
from septet.errors import ConfigError, DataError
from septet.vision.classification import ImageClassification, PreparedPictures, channel_scales
from septet.vision.options import ImageDataOptions, ImageModelOptions
from tests.vision.making import make_classes, noise

pytestmark = pytest.mark.slow  # builds networks

TASK = ImageClassification()
PREPARED = {
    "labels": ["cat", "dog"],
    "height": 12,
    "width": 12,
    "channels": 3,
    "mean": [127.0, 128.0, 129.0],
    "deviation": [70.0, 71.0, 72.0],
}


@pytest.fixture
def dataset(tmp_path):
    return TASK.read(make_classes(tmp_path), ImageDataOptions(), 0)


def test_prepared_holds_the_scales_of_the_training_pictures_only(dataset):
    prepared = TASK.prepare(dataset, ImageDataOptions())
    train = dataset.splits["train"].examples["pictures"].astype(np.float64)
    np.testing.assert_allclose(prepared["mean"], train.mean(axis=(0, 1, 2)), rtol=1e-9)
    np.testing.assert_allclose(prepared["deviation"], train.std(axis=(0, 1, 2)), rtol=1e-9)
    assert PreparedPictures.model_validate(prepared).model_dump(mode="json") == prepared


def test_pictures_of_one_colour_do_not_divide_by_zero():
    assert channel_scales(np.full((3, 4, 4, 1), 9, np.uint8)) == ([9.0], [1.0])


@pytest.mark.parametrize(
    "change",
    [
        {"labels": ["cat"]},
        {"labels": ["cat", "cat"]},
        {"height": 0},
        {"width": 10**6},
        {"channels": 2},
        {"channels": 1},
        {"mean": [1.0]},
        {"mean": [-1.0, 1.0, 1.0]},
        {"deviation": [0.0, 1.0, 1.0]},
        {"deviation": [float("nan"), 1.0, 1.0]},
        {"module": "os"},
        {"height": "12"},
    ],
)
def test_a_hostile_preparation_is_refused(change):
    with pytest.raises(ValidationError):
        PreparedPictures.model_validate({**PREPARED, **change})


def test_arrays_are_the_pictures_themselves_and_label_numbers(dataset):
    split = dataset.splits["train"]
    inputs, targets = TASK.arrays(split, PREPARED)
    assert inputs["pictures"] is split.examples["pictures"]
    assert targets.dtype == np.int32
    assert [PREPARED["labels"][target] for target in targets] == split.targets.tolist()
    with pytest.raises(DataError, match="does not know the class 'dog'"):
        TASK.arrays(split, {**PREPARED, "labels": ["cat", "emu"]})


def test_every_form_of_a_picture_encodes_to_the_same_pixels(tmp_path):
    picture = noise(1)
    picture.save(tmp_path / "a.png")
    pixels = np.asarray(picture)
    forms = [
        str(tmp_path / "a.png"),
        tmp_path / "a.png",
        picture,
        pixels,
        pixels.tolist(),
        pixels.astype(np.float32) / 255,
        pixels.astype(np.uint16) * 257,
        np.dstack([pixels, np.full((12, 12), 255, np.uint8)]),
    ]
    encoded = TASK.encode(forms, PREPARED)["pictures"]
    assert encoded.dtype == np.uint8
    for form in encoded:
        np.testing.assert_array_equal(form, pixels)


def test_training_and_predicting_resize_alike(tmp_path):
    make_classes(tmp_path)
    noise(3, 90, 70).save(tmp_path / "cat" / "large.jpg")
    noise(4, 20, 30, 1).save(tmp_path / "cat" / "small.png")
    dataset = TASK.read(tmp_path, ImageDataOptions(), 0)
    prepared = TASK.prepare(dataset, ImageDataOptions())
    for split in dataset.splits.values():
        if len(split):
            paths = [tmp_path / place for place in split.sources]
            again = TASK.encode(paths, prepared)["pictures"]
            np.testing.assert_array_equal(again, split.examples["pictures"])


def test_arrays_are_resized_and_turned_grey():
    grey = {**PREPARED, "channels": 1, "height": 6, "width": 6}
    encoded = TASK.encode(np.full((2, 10, 10, 3), 77, np.uint8), grey)["pictures"]
    assert encoded.shape == (2, 6, 6, 1)
    assert (encoded == 77).all()
    assert TASK.encode(Image.new("L", (3, 3), 5), PREPARED)["pictures"].shape == (1, 12, 12, 3)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("nowhere.png", "Input 1 .*nowhere.png.*no such file"),
        (np.zeros(5), "Input 1 has shape"),
        (np.full((4, 4), 2.0), "Input 1 has float64 values"),
        (np.full((4, 4), np.nan), "Input 1 has float64 values"),
        (None, "Input 1 has type NoneType"),
        (b"bytes", "Input 1 has type bytes"),
        ([[1, 2], [3]], "Input 1 has type list"),
        (np.zeros((0, 4), np.uint8), "Input 1 has shape"),
    ],
)
def test_a_bad_input_is_named(value, message):
    with pytest.raises(DataError, match=message):
        TASK.encode([np.zeros((4, 4), np.uint8), value], PREPARED)


def test_arguments_are_paths_folders_and_patterns(tmp_path):
    make_classes(tmp_path, count=2)
    (tmp_path / "cat" / "notes.txt").write_text("x")
    names = [path[len(str(tmp_path)) + 1 :] for path in TASK.inputs_from_arguments([str(tmp_path)])]
    assert names == ["cat/00.png", "cat/01.png", "dog/00.png", "dog/01.png"]
    assert len(TASK.inputs_from_arguments([f"{tmp_path}/*/01.png"])) == 2
    single = f"{tmp_path}/cat/00.png"
    assert TASK.inputs_from_arguments([single]) == [single]
    for bad in (f"{tmp_path}/*.png", f"{tmp_path}/none.png"):
        with pytest.raises(DataError, match="no file, folder or pattern"):
            TASK.inputs_from_arguments([bad])


@pytest.mark.parametrize("architecture", ["cnn", "resnet"])
@pytest.mark.parametrize(("height", "width"), [(4, 5), (28, 28), (64, 64), (30, 224)])
def test_the_depth_fits_the_size(architecture, height, width):
    options = ImageModelOptions(architecture=architecture)
    prepared = {**PREPARED, "height": height, "width": width}
    name, arguments = TASK.architecture(prepared, options)
    assert name == architecture
    side = min(height, width)
    assert side >> len(arguments["filters"]) >= (3 if side >= 6 else 2)
    assert arguments["filters"] == [32, 64, 128, 256, 256, 256][: len(arguments["filters"])]


def test_the_chosen_network_builds_and_answers():
    name, arguments = TASK.architecture(PREPARED, ImageModelOptions(width=4, dense_dim=8))
    model = registry.architecture(name)(**arguments)
    logits = model(TASK.encode([noise(1), noise(2)], PREPARED), training=False)
    answers = TASK.answer(np.asarray(logits), PREPARED)
    assert len(answers) == 2
    assert abs(sum(answers[0].probabilities.values()) - 1) < 1e-6


def test_too_many_stages_are_refused():
    with pytest.raises(ConfigError, match=r"model\.depth"):
        TASK.architecture(PREPARED, ImageModelOptions(depth=4))


def test_too_many_blocks_are_refused_and_the_most_that_are_not_can_be_built():
    from septet.models.convolutional import resnet

    large = {**PREPARED, "height": 64, "width": 64}
    most = ImageModelOptions(architecture="resnet", width=4, depth=4, repeats=8)
    resnet(**TASK.architecture(large, most)[1])
    with pytest.raises(ConfigError, match=r"model\.repeats"):
        TASK.architecture(large, most.model_copy(update={"depth": 5}))
    # A plain network of as many stages has fewer: its first and last have one convolution.
    plain = most.model_copy(update={"architecture": "cnn", "depth": 5})
    assert sum(TASK.architecture(large, plain)[1]["convolutions"]) == 26
    with pytest.raises(ConfigError, match="34 convolutions"):
        TASK.architecture(large, plain.model_copy(update={"depth": 6}))


def test_augmentation_follows_the_options():
    import jax

    off = ImageModelOptions(flip=False, shift=0)
    assert TASK.augment(PREPARED, off) is None
    batch = {"pictures": np.asarray(noise(1))[None].repeat(8, axis=0)}
    for option in ({"flip": True}, {"shift": 2}, {"crop": 0.3}, {"rotation": 20.0}):
        change = TASK.augment(PREPARED, off.model_copy(update=option))
        assert change is not None
        inputs, targets = change(jax.random.key(0), batch, np.arange(8))
        assert targets.tolist() == list(range(8))
        result = np.asarray(inputs["pictures"])
        assert result.dtype == np.uint8
        assert (result != batch["pictures"]).any()


def test_evaluation_and_figures_name_the_worst_mistakes(dataset, tmp_path):
    split = dataset.splits["train"]
    prepared = TASK.prepare(dataset, ImageDataOptions())
    _, targets = TASK.arrays(split, prepared)
    logits = np.eye(2)[targets] * 4.0
    logits[3] = logits[3][::-1] * 2
    evaluation = TASK.evaluate(logits, split, prepared)
    assert evaluation["scores"]["accuracy"] == pytest.approx(1 - 1 / len(split))
    drawn = TASK.draw(logits, split, evaluation, prepared, tmp_path)
    assert [name for name, _ in drawn][-1] == "mistakes.png"
    with Image.open(tmp_path / "mistakes.png") as figure:
        assert figure.width > 300
    perfect = np.eye(2)[targets]
    evaluation = TASK.evaluate(perfect, split, prepared)
    names = [name for name, _ in TASK.draw(perfect, split, evaluation, prepared, tmp_path)]
    assert "mistakes.png" not in names


def test_an_empty_argument_is_not_the_folder_one_is_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.png").write_bytes(b"x")
    with pytest.raises(DataError, match="An input is empty"):
        TASK.inputs_from_arguments([""])
