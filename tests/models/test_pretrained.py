"""Weights by the names of torchvision and timm: answers equal PyTorch's, and what is refused."""

import septet  # noqa: F401

# isort: split
# Septet comes first, since it chooses the backend of Keras.
from pathlib import Path

import keras
import numpy as np
import pytest

from septet.engine.predict import Predictor
from septet.errors import WeightsError
from septet.models.picture_classifier import picture_classifier
from septet.models.pretrained import (
    IMAGENET_DEVIATION,
    IMAGENET_MEAN,
    backbone_of,
    convert,
    guess,
)
from septet.runs.foreign_tensors import open_tensors
from septet.runs.networks import build_apart, network_weights, set_weights
from septet.runs.tensors import encode_tensors
from tests.models import drawn_weights

QUICK = ("resnet18", "vit-tiny timm", "convnext-atto timm")
TOLERANCE = 1e-4


def network_for(name: str, side: int, num_classes: int = 7) -> keras.Model:
    return build_apart(
        lambda: picture_classifier(
            height=side,
            width=side,
            channels=3,
            num_classes=num_classes,
            mean=IMAGENET_MEAN,
            deviation=IMAGENET_DEVIATION,
            backbone=name.split()[0],  # pyright: ignore[reportArgumentType]
        )
    )


def write(path: Path, tensors: dict[str, np.ndarray]) -> Path:
    path.write_bytes(b"".join(bytes(piece) for piece in encode_tensors(tensors)))
    return path


def shapes_of(network: keras.Model) -> dict[str, tuple[int, ...]]:
    return {path: shape for path, (_, shape) in network_weights(network).items()}


@pytest.mark.parametrize(
    "name",
    [
        name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
        for name in drawn_weights.listed()
    ],
)
def test_answers_are_those_of_pytorch(name, tmp_path):
    file = write(tmp_path / "weights.safetensors", drawn_weights.tensors(name))
    network = network_for(name, drawn_weights.listed()[name]["side"])
    with open_tensors(file) as tensors:
        assert backbone_of(tensors) == name.split()[0]
        values = convert(
            tensors, name.split()[0], shapes_of(network), source="weights", with_head=True
        )
    assert set(values) == {variable.path for variable in network.weights}
    set_weights(network, values)
    weights = (
        [variable.value for variable in network.trainable_variables],
        [variable.value for variable in network.non_trainable_variables],
    )
    found = Predictor(network, platform="cpu")(weights, {"pictures": drawn_weights.pictures(name)})
    wanted = drawn_weights.answers(name)
    assert np.abs(wanted).max() > 0.4
    np.testing.assert_allclose(found, wanted, atol=TOLERANCE, rtol=0)


@pytest.fixture(scope="module")
def resnet():
    """Tensors of a resnet18, and the shapes of ours."""
    return drawn_weights.tensors("resnet18"), shapes_of(network_for("resnet18", 64))


def refused(resnet, message: str, **changes) -> None:
    tensors = {**resnet[0], **changes}
    tensors = {name: value for name, value in tensors.items() if value is not None}
    with pytest.raises(WeightsError, match=message):
        convert(tensors, "resnet18", resnet[1], source="w")


def test_the_last_layer_stays_out(resnet):
    values = convert(resnet[0], "resnet18", resnet[1], source="w")
    assert set(resnet[1]) - set(values) == {"logits/kernel", "logits/bias"}
    without = {name: value for name, value in resnet[0].items() if not name.startswith("fc.")}
    assert set(convert(without, "resnet18", resnet[1], source="w")) == set(values)


def test_a_missing_tensor_is_named(resnet):
    refused(
        resnet,
        r"'w' lacks 1 of the 100 tensors of 'resnet18' \(names of torchvision and timm\): "
        r"'layer2.0.conv1.weight'",
        **{"layer2.0.conv1.weight": None},
    )


def test_a_surplus_tensor_is_named(resnet):
    refused(
        resnet,
        r"'w' has 1 tensors that 'resnet18' does not .*'layer1.0.se.fc1.weight'",
        **{"layer1.0.se.fc1.weight": np.zeros(3, np.float32)},
    )


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("conv1.weight", (64, 1, 7, 7), r"\(64, 3, 7, 7\)"),
        ("bn1.weight", (32,), r"\(64,\)"),
        ("layer1.0.conv1.weight", (64, 64), r"\(64, 64, 3, 3\)"),
        ("layer4.0.downsample.0.weight", (512, 256, 3, 3), r"\(512, 256, 1, 1\)"),
    ],
)
def test_a_wrong_shape_is_told(resnet, name, shape, expected):
    given = ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
    refused(
        resnet,
        rf"'w' has '{name}' of shape \({given}\); 'resnet18' expects {expected}",
        **{name: np.zeros(shape, np.float32)},
    )


def test_numbers_that_are_none_are_refused(resnet):
    for number in (np.nan, np.inf, -np.inf, 1e300):
        bad = np.zeros(64, np.float64)
        bad[-1] = number
        said = "'bn1.bias' with NaN or infinity; expected finite numbers.*download it again"
        refused(resnet, said, **{"bn1.bias": bad})
    # What is not read is looked at too: a head, a counter.
    refused(resnet, "'fc.weight' with NaN", **{"fc.weight": np.full((3, 512), np.nan, np.float16)})
    refused(resnet, "'bn1.bias' as int8", **{"bn1.bias": np.zeros(64, np.int8)})


def test_variances_below_zero_are_refused(resnet):
    name = "layer1.0.bn1.running_var"
    bad = np.zeros(64, np.float32)
    convert({**resnet[0], name: bad}, "resnet18", resnet[1], source="w")
    bad[3] = -0.25
    refused(resnet, f"'{name}' with the variance -0.25; expected none below 0", **{name: bad})


def test_weights_of_another_network_are_recognised(resnet):
    other = drawn_weights.listed()["vit-tiny timm"]["tensors"]
    tensors = {name: np.zeros(shape, np.float32) for name, shape in other.items()}
    with pytest.raises(WeightsError, match=r"none of the tensors .*weights of 'vit-tiny'"):
        convert(tensors, "resnet18", resnet[1], source="w")
    with pytest.raises(WeightsError, match=r"weights of 'resnet18': choose that network"):
        convert(resnet[0], "vit-tiny", shapes_of(network_for("vit-tiny", 64)), source="w")
    with pytest.raises(WeightsError, match="no weights for 'small-cnn'"):
        convert(resnet[0], "small-cnn", {}, source="w")
    assert backbone_of({"a": np.zeros(1)}) is None
    assert guess({"a": np.zeros(1)}) == "Use weights of that backbone."


def test_half_precision_is_widened(resnet):
    halves = {name: value.astype(np.float16) for name, value in resnet[0].items()}
    values = convert(halves, "resnet18", resnet[1], source="w")
    assert {value.dtype for value in values.values()} == {np.dtype(np.float32)}


def test_positions_are_resampled_for_another_number_of_patches():
    tensors = drawn_weights.tensors("vit-tiny timm")
    wanted = shapes_of(network_for("vit-tiny", 96))
    values = convert(tensors, "vit-tiny", wanted, source="w", grid=(6, 6))
    assert values["tokens/positions"].shape == (1, 37, 192)
    np.testing.assert_array_equal(values["tokens/positions"][:, 0], tensors["pos_embed"][:, 0])
    tensors["pos_embed"] = tensors["pos_embed"][:, :16]
    with pytest.raises(WeightsError, match="16 positions are not a class token and a square"):
        convert(tensors, "vit-tiny", wanted, source="w", grid=(6, 6))
