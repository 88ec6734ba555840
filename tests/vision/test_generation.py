"""Image generation: what it reads, makes, refuses and ships, end to end on tiny pictures."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

import septet
from septet import registry
from septet.errors import ConfigError, DataError, InputError
from septet.vision.features import Features, turned
from septet.vision.generation import GenerationModelOptions, ImageGeneration, sheet, to_bytes
from tests.vision.making import make_classes, noise

SETTINGS = {
    "training": {"epochs": 2, "batch_size": 16},
    "model": {"filters": 4},
    "data": {"test_fraction": 0.3, "size": 8},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on pictures without any class, and where they are."""
    folder = tmp_path_factory.mktemp("generation")
    pictures = folder / "pictures"
    pictures.mkdir()
    for seed in range(40):
        noise(seed, 8, 8, 1).save(pictures / f"{seed:02d}.png")
    patch = pytest.MonkeyPatch()
    patch.setenv("SEPTET_RUNS", str(folder / "runs"))
    run = septet.train("image-generation", pictures, settings=SETTINGS, name="made")
    patch.undo()
    return run, pictures


def test_pictures_without_classes_train_and_are_accounted_for(trained):
    run, _ = trained
    account = json.loads((run.folder / "account.json").read_text())
    assert (account["read"], account["used"]) == (40, 40)
    scores = json.loads((run.folder / "evaluation.json").read_text())["scores"]
    assert set(scores) >= {"frechet_distance", "recall", "recall_of_real"}
    for name in ("progress.png", "generated.png", "real.png"):
        with Image.open(run.folder / name) as picture:
            assert picture.width > 50
    assert len(list((run.folder / "glimpses").glob("*.png"))) >= 2


def test_the_model_folder_holds_the_generator_alone_and_makes_pictures(trained):
    run, _ = trained
    model = septet.load(run.folder / "model")
    assert model.description.architecture == "generator"
    assert not any("logit" in entry.name for entry in model.description.weights.entries)
    answers = model.predict([3, "2"])
    assert len(answers) == 5
    assert answers[0].pixels.shape == (8, 8, 1)
    assert answers[0].pixels.dtype == np.uint8
    assert not np.array_equal(answers[0].pixels, answers[1].pixels)
    assert answers[0].to_image().size == (8, 8)
    assert np.array(answers[0].to_json()["pixels"]).shape == (8, 8, 1)


def test_it_is_evaluated_on_other_pictures(trained, tmp_path):
    run, _ = trained
    found = septet.evaluate(run.folder, make_classes(tmp_path / "other"))
    assert found["scores"]["frechet_distance"] >= 0.0


@pytest.mark.parametrize("asked", ["x", "-1", "0", "1.5", "10001", "٣x"])
def test_what_is_no_number_of_pictures_is_refused(asked):
    task = ImageGeneration()
    with pytest.raises(DataError, match=r"is no number of pictures. Expected 1 to 10,000"):
        task.encode([asked], {"noise_dim": 4})


def test_sides_that_cannot_be_halved_twice_are_refused_with_a_way_out():
    prepared = {"height": 30, "width": 30, "channels": 1, "noise_dim": 64}
    with pytest.raises(ConfigError, match=r"data\.size=28 or model\.design=dense"):
        ImageGeneration().architecture(prepared, GenerationModelOptions())


def test_both_players_of_a_run_are_looked_into_with_their_trained_weights(trained, tmp_path):
    run, _ = trained
    found = septet.inspect(run.folder, backward=True, timed=False)
    maker, judge = found.parts
    assert (maker.name, judge.name) == ("generator", "discriminator")
    shipped = septet.load(run.folder / "model").network
    for weight, variable in zip(maker.total.weights, shipped.weights, strict=True):
        assert weight.norm == pytest.approx(np.linalg.norm(np.asarray(variable.value)), rel=1e-5)
    untrained = registry.architecture("adversarial")(
        height=8, width=8, channels=1, **SETTINGS["model"]
    )
    first = [np.asarray(v.value) for v in untrained.discriminator.trainable_variables]
    moved = [w.norm for w in judge.total.weights if w.is_trainable and len(w.shape) == 1]
    # Biases start at zero, and only training moves them.
    assert all(not value.any() for value in first if value.ndim == 1)
    assert any(moved)
    assert judge.total.weight_gradient_norm
    copy = shutil.copytree(run.folder, tmp_path / "copy")
    shutil.rmtree(copy / "checkpoints")
    with pytest.raises(InputError, match="the discriminator is kept nowhere else"):
        septet.inspect(copy, timed=False)


def test_float16_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("SEPTET_RUNS", str(tmp_path / "runs"))
    settings = {**SETTINGS, "training": {**SETTINGS["training"], "precision": "float16"}}
    with pytest.raises(ConfigError, match="Use float32 or bfloat16"):
        septet.train("image-generation", make_classes(tmp_path / "set"), settings=settings)


def test_features_tell_classes_and_turns_apart():
    random = np.random.default_rng(0)
    pictures = random.integers(0, 60, (400, 8, 8, 1)).astype(np.uint8)
    bright = np.arange(400) % 2 == 0
    pictures[bright] += 150
    for labels in (np.where(bright, "bright", "dark"), np.array(["all"] * 400)):
        features = Features(pictures, labels)(pictures)
        assert features.shape == (400, 64)
        apart = features[bright].mean(0) - features[~bright].mean(0)
        assert np.abs(apart).max() > 0.1


def test_turned_pictures_carry_their_turn():
    picture = np.arange(16, dtype=np.uint8).reshape(1, 4, 4, 1)
    pictures, turns = turned(picture)
    assert turns.tolist() == [0, 1, 2, 3]
    assert np.array_equal(pictures[2, :, :, 0], picture[0, ::-1, ::-1, 0])
    assert len(turned(picture[:, :2])[0]) == 2


def test_bytes_and_sheets():
    outputs = np.array([-1.0, 0.0, 1.0, 3.0]).reshape(4, 1, 1, 1)
    assert to_bytes(outputs).ravel().tolist() == [0, 128, 255, 255]
    whole = sheet(np.zeros((3, 4, 4, 1), np.uint8), columns=2, gap=1)
    assert whole.shape == (9, 9, 1)
    assert (whole[4] == 255).all()
