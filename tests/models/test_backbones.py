"""Backbones: strides and names, the layouts' sizes, and what they refuse."""

import septet  # noqa: F401

# isort: split
# Septet comes first, since it chooses the backend of Keras.
from typing import Any, get_args

import keras
import numpy as np
import pytest
from keras import layers

from septet.engine.predict import Predictor
from septet.models import picture_classifier as classifiers
from septet.models.backbones import BACKBONES, backbone, pooled
from septet.models.residual import StemPool
from septet.models.vision_transformer import resized_positions
from septet.runs.networks import build_apart

NARROW: dict[str, dict[str, Any]] = {
    "cnn": {"width": 4},
    "residual": {"width": 4},
    "convnext": {"width": 4},
}
NARROW["vit"] = {"dim": 16, "depth": 2, "num_heads": 2}
NARROW["efficientnet-lite"] = {"wider": 0.25}
CLASSES = {"channels": 3, "num_classes": 5, "mean": [120.0] * 3, "deviation": [60.0] * 3}


@pytest.mark.parametrize("name", BACKBONES)
def test_a_map_of_stride_s_is_an_s_th_of_the_picture(name):
    kind = BACKBONES[name]
    found: dict[int, tuple] = {}

    def build() -> keras.Model:
        inputs = layers.Input((64, 96, 3))
        maps = backbone(name, inputs, **NARROW[kind.family])
        found.update({stride: tuple(given.shape[1:3]) for stride, given in maps.items()})
        return keras.Model(inputs, list(maps.values()))

    build_apart(build)
    assert found == {stride: (64 // stride, 96 // stride) for stride in found}
    assert list(found) == sorted(found)
    patches = kind.settings.get("patch", 4) if kind.family == "vit" else 4
    assert {8, 16} <= set(found)
    assert {4, 32} <= set(found) or patches == 8


@pytest.mark.parametrize(
    ("name", "side", "parameters"),
    [
        # As torchvision (with the statistics of normalisation) and timm count them, 1000 classes.
        ("resnet18", 224, 11_699_112),
        ("resnet34", 224, 21_814_696),
        ("resnet50", 224, 25_610_152),
        ("convnext-tiny", 224, 28_589_128),
        ("vit-base", 224, 86_567_656),
        ("vit-tiny", 224, 5_717_416),
    ],
)
def test_a_layout_has_as_many_parameters_as_its_original(name, side, parameters):
    def build() -> keras.Model:
        inputs = layers.Input((side, side, 3))
        return keras.Model(inputs, layers.Dense(1000)(pooled(name, inputs)))

    assert build_apart(build).count_params() == parameters


@pytest.mark.parametrize("name", ["resnet18", "resnet-patch"])
def test_odd_sides_are_rounded_up_where_they_are_halved(name):
    def build() -> keras.Model:
        inputs = layers.Input((29, 33, 3))
        return keras.Model(inputs, backbone(name, inputs, width=4)[4])

    assert build_apart(build).output_shape == (None, 8, 9, 4)


def test_the_stem_pools_as_a_window_of_three_at_every_second_place():
    features = np.abs(np.random.default_rng(0).normal(size=(2, 7, 8, 3))).astype(np.float32)
    padded = np.pad(features, ((0, 0), (1, 1), (1, 1), (0, 0)))
    wanted = np.stack(
        [
            [padded[:, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3].max((1, 2))]
            for row in range(4)
            for column in range(4)
        ]
    )
    wanted = wanted.reshape(4, 4, 2, 3).transpose(2, 0, 1, 3)
    found = keras.ops.convert_to_numpy(StemPool()(features))
    np.testing.assert_array_equal(found, wanted)


def test_settings_change_what_a_name_stands_for():
    def build() -> keras.Model:
        inputs = layers.Input((28, 28, 1))
        maps = backbone("resnet18", inputs, width=8, stem="small", blocks=[1, 1, 1])
        assert list(maps) == [1, 2, 4]
        return keras.Model(inputs, list(maps.values()))

    shapes = [shape[1:] for shape in build_apart(build).output_shape]
    assert shapes == [(28, 28, 8), (14, 14, 16), (7, 7, 32)]


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("resnet19", {}, "Unknown backbone 'resnet19'. Did you mean 'resnet1"),
        ("resnet18", {"widht": 8}, "widht"),
        ("resnet18", {"width": 0}, "greater than or equal to 1"),
        ("resnet18", {"blocks": [36, 36]}, "72 blocks; expected at most 64"),
        ("convnext-tiny", {"depths": [36, 36]}, "72 blocks; expected at most 64"),
        ("vit-tiny", {"patch": 7}, "cannot be cut into patches of 7x7"),
        ("vit-tiny", {"num_heads": 5}, "which does not divide it"),
        ("vit-tiny", {"patch": 1}, "at most 4096"),
    ],
)
def test_what_does_not_fit_is_refused(name, settings, message):
    inputs = layers.Input((96, 96, 3))
    with pytest.raises(ValueError, match=message):
        pooled(name, inputs, **settings)


def test_a_classifier_takes_every_backbone():
    assert set(get_args(classifiers.Name)) == set(BACKBONES)


@pytest.mark.parametrize("name", ["resnet-micro", "convnext-micro", "vit-micro", "small-cnn"])
def test_a_classifier_answers_the_same_alone_and_in_a_batch(name):
    settings: dict[str, classifiers.Setting] = {**NARROW[BACKBONES[name].family]}
    network = classifiers.picture_classifier(
        height=32, width=32, backbone=name, settings=settings, **CLASSES
    )
    pictures = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)
    weights = (
        [variable.value for variable in network.trainable_variables],
        [variable.value for variable in network.non_trainable_variables],
    )
    answer = Predictor(network, platform="cpu")
    together = answer(weights, {"pictures": pictures})
    alone = np.concatenate([answer(weights, {"pictures": pictures[i : i + 1]}) for i in range(3)])
    assert together.shape == (3, 5)
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_positions_keep_the_class_token_and_the_shape_of_the_grid():
    grid = np.linspace(0, 1, 4)[None, :, None, None] * np.ones((1, 4, 4, 2))
    positions = np.concatenate([np.full((1, 1, 2), 7.0), grid.reshape(1, 16, 2)], axis=1)
    found = resized_positions(positions.astype(np.float32), 8, 6)
    assert found.shape == (1, 49, 2)
    np.testing.assert_array_equal(found[0, 0], 7.0)
    rows = found[0, 1:].reshape(8, 6, 2)
    assert (np.diff(rows[1:-1, 0, 0]) > 0).all()
    np.testing.assert_allclose(rows - rows[:, :1], 0, atol=1e-6)
    same = resized_positions(positions, 4, 4)
    np.testing.assert_array_equal(same, positions)
    with pytest.raises(ValueError, match="18 positions are not"):
        resized_positions(np.zeros((1, 18, 2)), 4, 4)
