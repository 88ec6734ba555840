"""Networks for every pixel: shapes, and that they are convolutions throughout."""

import keras
import numpy as np
import pytest
from pydantic import ValidationError

from septet.models.segmentation import Spread, over_backbone, unet

PICTURES = {
    "height": 64, "width": 96, "channels": 3, "num_classes": 4, "mean": [120.0] * 3,
    "deviation": [60.0] * 3,
}  # fmt: skip
UNET = {**PICTURES, "filters": [4, 8], "blocks": [1, 1], "decoder": 8}


def test_each_place_becomes_the_pixels_of_its_square():
    maps = np.arange(2 * 2 * 3 * 8, dtype=np.float32).reshape(2, 2, 3, 8)
    pixels = keras.ops.convert_to_numpy(Spread(2)(maps))
    assert pixels.shape == (2, 4, 6, 2)
    for row, column in np.ndindex(4, 6):
        place = maps[:, row // 2, column // 2].reshape(2, 2, 2, 2)
        np.testing.assert_array_equal(pixels[:, row, column], place[:, row % 2, column % 2])


@pytest.mark.parametrize("stem", [1, 2, 4])
def test_a_unet_gives_logits_of_every_pixel(stem):
    model = unet(**{**UNET, "stem": stem})
    assert model.output_shape == (None, 64, 96, 4)


def test_the_same_weights_fit_a_larger_picture_and_agree_far_from_the_edge():
    small, large = unet(**UNET), unet(**{**UNET, "height": 128, "width": 160})
    for target, source in zip(large.weights, small.weights, strict=True):
        target.assign(source.value)
    picture = np.random.default_rng(0).integers(0, 256, (1, 128, 160, 3), dtype=np.uint8)
    whole = keras.ops.convert_to_numpy(large({"pictures": picture}))
    part = keras.ops.convert_to_numpy(small({"pictures": picture[:, 32:96, 32:128]}))
    inner = (slice(None), slice(24, 40), slice(24, 72))
    np.testing.assert_allclose(part[inner], whole[:, 32:96, 32:128][inner], atol=1e-5)


@pytest.mark.parametrize("head", ["fpn", "deeplab"])
@pytest.mark.parametrize(
    ("backbone", "settings"),
    [
        ("resnet-micro", {"width": 4}),
        ("small-cnn", {"width": 4}),
        ("convnext-micro", {"width": 4}),
        ("vit-micro", {"dim": 8, "depth": 2, "num_heads": 2}),
    ],
)
@pytest.mark.slow
def test_a_head_stands_on_any_backbone(head, backbone, settings):
    model = over_backbone(**PICTURES, backbone=backbone, settings=settings, head=head, dim=8)
    assert model.output_shape == (None, 64, 96, 4)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"blocks": [1]}, ValueError, "2 levels of filters and 1 of blocks"),
        ({"height": 66}, ValueError, "66x96; expected multiples of 4"),
        ({"num_classes": 1}, ValidationError, "num_classes"),
        ({"filters": [4] * 8, "blocks": [1] * 8}, ValidationError, "filters"),
        ({"stem": 3}, ValidationError, "stem"),
        ({"height": 10**6}, ValidationError, "height"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(change, error, message):
    with pytest.raises(error, match=message):
        unet(**{**UNET, **change})
