"""The networks compute what they say, build without weights and refuse bad arguments."""

from septet.models.convolutional import cnn, resnet

# isort: split
# Septet comes first, since it chooses the backend of Keras.
import keras
import numpy as np
import pytest

pytestmark = pytest.mark.slow  # builds and compiles many networks

COMMON = {
    "height": 12,
    "width": 8,
    "channels": 3,
    "num_classes": 4,
    "mean": [100.0, 120.0, 140.0],
    "deviation": [50.0, 60.0, 70.0],
}
CNN = {**COMMON, "filters": [4, 8], "convolutions": [1, 2], "dense_dim": 16}
RESNET = {**COMMON, "filters": [4, 8], "blocks": 1}


def pictures(number: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (number, 12, 8, 3), dtype=np.uint8)


def part(model: keras.Model, layer: str) -> np.ndarray:
    """What a layer makes of two pictures."""
    inner = keras.Model({"pictures": model.inputs[0]}, model.get_layer(layer).output)
    return np.asarray(inner({"pictures": pictures(2)}))


@pytest.mark.parametrize(("build", "arguments"), [(cnn, CNN), (resnet, RESNET)])
def test_logits_of_a_picture_do_not_depend_on_its_batch(build, arguments):
    model = build(**arguments)
    assert model.inputs[0].name == "pictures"
    batch = model({"pictures": pictures(3)}, training=False)
    alone = model({"pictures": pictures(3)[1:2]}, training=False)
    assert batch.shape == (3, 4)
    np.testing.assert_allclose(np.asarray(batch)[1:2], np.asarray(alone), atol=1e-5)


def test_first_layer_subtracts_the_mean_and_divides_by_the_deviation():
    model = cnn(**CNN)
    inner = part(model, "normalise")
    expected = (pictures(2) - np.array([100, 120, 140.0])) / np.array([50, 60, 70.0])
    np.testing.assert_allclose(inner, expected, atol=1e-5)


def test_residual_blocks_start_as_the_identity():
    model = resnet(**RESNET)
    stem, block = part(model, "stem_relu"), part(model, "stage1_block1_relu2")
    np.testing.assert_allclose(stem, block, atol=1e-6)


@pytest.mark.parametrize(("build", "arguments"), [(cnn, CNN), (resnet, RESNET)])
def test_builds_in_a_stateless_scope(build, arguments):
    with keras.StatelessScope():
        model = build(**arguments)
        shapes = [tuple(weight.shape) for weight in model.weights]
    assert shapes == [tuple(weight.shape) for weight in build(**arguments).weights]


@pytest.mark.parametrize(
    ("build", "arguments", "change"),
    [
        (cnn, CNN, {"height": 0}),
        (cnn, CNN, {"height": 10**9}),
        (cnn, CNN, {"channels": 2}),
        (cnn, CNN, {"mean": [1.0]}),
        (cnn, CNN, {"deviation": [0.0, 1.0, 1.0]}),
        (cnn, CNN, {"mean": [float("nan"), 1.0, 1.0]}),
        (cnn, CNN, {"filters": [4, 8, 8]}),
        (cnn, CNN, {"filters": [4] * 4, "convolutions": [1] * 4}),
        (cnn, CNN, {"filters": [10**9, 8]}),
        (cnn, CNN, {"dropout": 1.0}),
        (cnn, CNN, {"unknown": 1}),
        (resnet, RESNET, {"blocks": 0}),
        (resnet, RESNET, {"filters": []}),
        (resnet, RESNET, {"filters": [4] * 5, "blocks": 7}),
        (cnn, CNN, {"height": 64, "width": 64, "filters": [4] * 5, "convolutions": [7] * 5}),
        (resnet, RESNET, {"num_classes": 10**9}),
    ],
)
def test_bad_arguments_are_refused(build, arguments, change):
    with pytest.raises(ValueError, match=r".+"):
        build(**{**arguments, **change})
