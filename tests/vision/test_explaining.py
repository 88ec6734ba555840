"""Where in a picture an answer was seen: the heat lies where the evidence is."""

import septet  # noqa: F401

# isort: split
# Septet comes first, since it chooses the backend of Keras.
import keras
import numpy as np
import pytest

from septet.models.picture_classifier import picture_classifier
from septet.runs.networks import build_apart
from septet.vision.explaining import (
    GRAD_CAM,
    ROLL_OUT,
    _attention,
    explain_pictures,
    largest_class,
    overlay,
    split,
    surest_box,
)
from septet.vision.figures import beside, draw_explanations

SIDE = 32
PLACES = {"top left": (2, 2), "bottom right": (20, 20)}


def network_of(backbone: str, **settings) -> keras.Model:
    keras.utils.set_random_seed(0)
    return picture_classifier(
        height=SIDE,
        width=SIDE,
        channels=1,
        num_classes=2,
        mean=[0.0],
        deviation=[255.0],
        backbone=backbone,  # pyright: ignore[reportArgumentType]
        settings=settings,
    )


def weights_of(network: keras.Model) -> tuple[list, list]:
    return (
        [variable.value for variable in network.trainable_variables],
        [variable.value for variable in network.non_trainable_variables],
    )


def spots() -> np.ndarray:
    """A bright square at each place, on black."""
    pictures = np.zeros((len(PLACES), SIDE, SIDE, 1), np.uint8)
    for picture, (top, left) in zip(pictures, PLACES.values(), strict=True):
        picture[top : top + 10, left : left + 10] = 255
    return pictures


def quarter(heat: np.ndarray) -> tuple[int, int]:
    """In which half of rows and columns most of the heat lies."""
    rows, columns = heat.shape
    total = [
        [
            heat[: rows // 2, : columns // 2].mean(),
            heat[: rows // 2, -(columns // 2) :].mean(),
        ],
        [
            heat[-(rows // 2) :, : columns // 2].mean(),
            heat[-(rows // 2) :, -(columns // 2) :].mean(),
        ],
    ]
    return np.unravel_index(int(np.argmax(total)), (2, 2))  # type: ignore[return-value]


def test_grad_cam_lies_where_the_evidence_is():
    network = network_of("small-cnn", width=4, stages=2)
    # A detector of brightness: all convolutions add up, and class 1 wants much.
    for variable in network.trainable_variables:
        if variable.path.endswith("kernel"):
            size = int(np.prod(variable.shape[:-1]))
            variable.assign(np.full(variable.shape, 1.0 / size, np.float32))
    kernel = network.get_layer("logits").kernel
    kernel.assign(np.stack([-np.ones(8), np.ones(8)], axis=1).astype(np.float32))
    network.get_layer("logits").bias.assign(np.array([0.0, 0.01], np.float32))
    found = explain_pictures(network, weights_of(network), spots(), ["dark", "bright"])
    assert [each.answer for each in found] == ["bright", "bright"]
    assert {each.method for each in found} == {GRAD_CAM}
    heats = [np.array(each.heat) for each in found]
    assert [heat.max() for heat in heats] == [1.0, 1.0]
    assert [tuple(map(int, quarter(heat))) for heat in heats] == [(0, 0), (1, 1)]


@pytest.mark.parametrize("backbone", ["resnet-micro", "convnext-micro"])
def test_a_network_is_split_where_everything_passes(backbone):
    settings = {"width": 4} | ({"stem": "small"} if backbone == "resnet-micro" else {"patch": 1})
    network = build_apart(lambda: network_of(backbone, **settings))
    below, above = split(network)
    assert min(below.output_shape[1:3]) >= 5
    assert len(below.layers) + len(above.layers) >= len(network.layers)
    assert {v.path for v in network.weights} == {
        v.path for part in (below, above) for v in part.weights
    }


def test_attention_is_shared_out_and_rolled_out_to_the_patches():
    network = network_of("vit-micro", dim=16, depth=2, num_heads=2, patch=8)
    block = next(layer for layer in network.layers if layer.name == "block1")
    tokens = np.random.default_rng(0).normal(size=(2, 17, 16)).astype(np.float32)
    shares = np.asarray(_attention(block, tokens))
    assert shares.shape == (2, 2, 17, 17)
    np.testing.assert_allclose(shares.sum(axis=-1), 1.0, atol=1e-5)
    (found, other) = explain_pictures(network, weights_of(network), spots(), ["a", "b"])
    assert found.method == ROLL_OUT
    heat = np.array(found.heat)
    assert heat.shape == (4, 4)
    assert (heat.min(), heat.max()) == (0.0, 1.0)
    assert found.heat != other.heat
    assert set(found.to_json()) == {"answer", "score", "method", "heat"}


def test_an_overlay_is_warm_where_the_heat_is():
    picture = np.full((40, 40, 1), 128, np.uint8)
    heat = np.zeros((4, 4))
    heat[0, 0] = 1.0
    shown = overlay(picture, heat)
    assert shown.shape == (40, 40, 3)
    assert shown[2, 2].mean() > shown[35, 35].mean() + 30
    assert beside(picture, shown).shape == (160, 326, 3)


def test_explanations_are_drawn(tmp_path):
    heat = [[0.0, 1.0], [0.2, 0.0]]
    entry = {"row": 0, "actual": "a", "answer": "b $x$", "heat": heat, "method": GRAD_CAM}
    pictures = spots()
    assert draw_explanations(pictures, [], tmp_path) == []
    ((name, caption),) = draw_explanations(pictures, [entry, {**entry, "row": 1}], tmp_path)
    assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert GRAD_CAM in caption


def seeing(channels: int, outputs: int, axes: int = 2, name: str = "pictures"):
    """A network whose maps are the picture's channels, and whose logits are these."""
    shape = (None,) * (axes - 2) + (SIDE, SIDE, channels)
    given = keras.layers.Input(shape, dtype="uint8", name=name)
    hidden = keras.layers.Rescaling(1 / 255)(given)
    layer = {2: keras.layers.Conv2D, 3: keras.layers.Conv3D}[axes]
    maps = layer(channels, 1, use_bias=False, name="maps")(hidden)
    maps = keras.layers.ReLU(name="relu")(maps)
    logits = layer(outputs, 1, use_bias=False, name="logits")(maps)
    return given, maps, logits


def identity(network, names=("maps", "logits")) -> tuple[list, list]:
    for name in names:
        kernel = network.get_layer(name).kernel
        kernel.assign(np.eye(*kernel.shape[-2:]).reshape(kernel.shape))
    return weights_of(network)


def coloured() -> np.ndarray:
    """Red top left and, smaller, green bottom right."""
    picture = np.zeros((1, SIDE, SIDE, 3), np.uint8)
    picture[0, 2:14, 2:14, 0] = 200
    picture[0, 20:28, 20:28, 1] = 255
    return picture


def test_the_largest_class_is_explained_and_the_background_only_alone():
    given, _, logits = seeing(3, 3)
    network = keras.Model({"pictures": given}, logits)
    weights = identity(network)
    labels = ["red", "green", "blue"]
    (all_alike,) = explain_pictures(network, weights, coloured(), labels, largest_class(None))
    # Ties of black pixels go to the first class.
    assert all_alike.answer == "red"
    (clear,) = explain_pictures(network, weights, coloured(), labels, largest_class(0))
    assert (clear.answer, clear.method, clear.frame) == ("green", GRAD_CAM, None)
    assert clear.score == pytest.approx(1.0)
    assert quarter(np.array(clear.heat)) == (1, 1)
    nothing = np.zeros_like(coloured())
    (none,) = explain_pictures(network, weights, nothing, labels, largest_class(0))
    assert none.answer == "red"


def test_the_surest_box_is_explained():
    given, maps, logits = seeing(3, 3)
    boxes = keras.layers.Conv2D(4, 1, name="boxes")(maps)
    flat = keras.layers.Reshape((-1, 7))(keras.layers.Concatenate()([logits, boxes]))
    network = keras.Model({"pictures": given}, flat)
    weights = identity(network)
    (found,) = explain_pictures(
        network, weights, coloured(), ["red", "green", "blue"], surest_box(3)
    )
    assert (found.answer, found.score) == ("green", pytest.approx(1.0))
    assert quarter(np.array(found.heat)) == (1, 1)


def test_of_a_clip_the_frame_is_said():
    given, _, logits = seeing(3, 2, axes=3, name="clips")
    pooled = keras.layers.GlobalAveragePooling3D()(logits)
    network = keras.Model({"clips": given}, pooled)
    weights = identity(network)
    clips = np.zeros((1, 5, SIDE, SIDE, 3), np.uint8)
    clips[0, 3] = coloured()
    clips[0, 1, :4, :4, 0] = 90
    (found,) = explain_pictures(network, weights, clips, ["red", "green"])
    assert (found.answer, found.frame) == ("red", 3)
    assert found.to_json()["frame"] == 3
    assert quarter(np.array(found.heat)) == (0, 0)
