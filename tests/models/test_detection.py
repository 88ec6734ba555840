"""The detector: its places, its boxes, what it refuses."""

import septet  # noqa: F401

# isort: split
# Septet comes first, since it chooses the backend of Keras.
import numpy as np
import pytest
from pydantic import ValidationError

from septet.models.detection import Boxes, detector, places

SMALL = {
    "height": 64, "width": 96, "channels": 3, "num_classes": 3, "mean": [120.0] * 3,
    "deviation": [60.0] * 3, "backbone": "resnet-micro", "backbone_width": 8, "pyramid_dim": 16,
    "head_depth": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def model():
    return detector(**SMALL)


def pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3)).astype(np.uint8)


def test_outputs_are_logits_and_boxes_at_every_place(model):
    middles, _ = places(64, 96, [8, 16, 32])
    assert len(middles) == 8 * 12 + 4 * 6 + 2 * 3
    assert model.output_shape == (None, len(middles), 3 + 4)
    boxes = np.asarray(model({"pictures": pictures()}))[..., 3:]
    # Every box is around its own place.
    assert (boxes[..., :2] < middles).all()
    assert (boxes[..., 2:] > middles).all()


def test_a_detector_begins_with_boxes_of_six_strides_and_the_prior():
    """Exact without the last kernels, whose part depends on what the layers before were drawn as.

    Until statistics were learned, those layers give numbers of any size, so that with the kernels
    a box differs by up to a third and a probability by a few hundredths.
    """
    model = detector(**SMALL)
    middles, strides = places(64, 96, [8, 16, 32])
    for name in ("class_logits", "box_distances"):
        kernel = model.get_layer(name).kernel
        # Drawn with a deviation of 0.01, and not as other layers are.
        assert 0 < np.abs(np.asarray(kernel.value)).max() < 0.06
        kernel.assign(np.zeros(kernel.shape, np.float32))
    outputs = np.asarray(model({"pictures": pictures()}))
    reach = np.log(2) * 4 * strides[:, None]
    expected = np.concatenate([middles - reach, middles + reach], axis=1)
    np.testing.assert_allclose(outputs[..., 3:], np.stack([expected] * 2), rtol=1e-6, atol=1e-5)
    probabilities = 1 / (1 + np.exp(-outputs[..., :3]))
    np.testing.assert_allclose(probabilities, 0.01, rtol=1e-6)


def test_places_are_the_middles_of_their_pixels():
    middles, strides = places(64, 32, [16, 32])
    assert middles[:3].tolist() == [[8, 8], [24, 8], [8, 24]]
    assert middles[-1].tolist() == [16, 48]
    assert strides.tolist() == [16] * 8 + [32] * 2


def test_levels_share_the_head_and_have_their_own_normalisation(model):
    names = {layer.name for layer in model.layers}
    assert {"class_convolution1", "box_convolution1", "class_logits", "box_distances"} <= names
    assert {f"level{s}_class_normalization1" for s in (8, 16, 32)} <= names


def test_distances_grow_evenly_and_stay_positive():
    layer = Boxes(32, 32, 16)
    raw = np.full((1, 4, 4), -30.0, np.float32)
    np.testing.assert_array_equal(np.asarray(layer(raw))[0, 0], [8, 8, 8, 8])
    raw[:] = 30
    reach = 4 * 16 * 30
    expected = [8 - reach, 8 - reach, 8 + reach, 8 + reach]
    np.testing.assert_array_equal(np.asarray(layer(raw))[0, 0], expected)


@pytest.mark.parametrize("backbone", ["small-cnn", "convnext-micro", "vit-micro"])
def test_other_backbones_serve(backbone):
    built = detector(
        **{**SMALL, "height": 64, "width": 64, "backbone": backbone, "backbone_width": None}
    )
    assert built.output_shape == (None, 64 + 16 + 4, 7)


def test_levels_that_a_backbone_lacks_are_made():
    built = detector(**{**SMALL, "height": 64, "width": 64, "strides": [16, 32, 64]})
    assert built.output_shape == (None, 16 + 4 + 1, 7)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"height": 65}, "expected multiples of the largest stride, 32"),
        ({"strides": [8, 32]}, "expected each twice the one before"),
        ({"backbone": "resnet-mikro"}, "Did you mean 'resnet-micro'"),
        ({"mean": [1.0]}, "expected 3"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        detector(**{**SMALL, **change})


@pytest.mark.parametrize("change", [{"num_classes": 0}, {"pyramid_dim": 10**9}, {"strides": [7]}])
def test_what_is_out_of_range_is_refused(change):
    with pytest.raises(ValidationError):
        detector(**{**SMALL, **change})
