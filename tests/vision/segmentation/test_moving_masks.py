"""Pictures and masks move together, by the key alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from septet.vision import augmentation
from septet.vision.segmentation import moving
from tests.vision.segmentation.making_masks import scene

SIDE, COUNT = 32, 16


@pytest.fixture(scope="module")
def batch():
    """Pictures whose red tells the class, so that what moved apart is seen."""
    masks = np.stack([scene(seed, SIDE)[1] for seed in range(COUNT)])
    pictures = np.stack([masks * 100, masks * 0 + 7, masks * 0 + 9], axis=-1).astype(np.uint8)
    return jnp.asarray(pictures), jnp.asarray(masks)


def agreement(pictures, masks) -> float:
    """Share of known pixels whose red is that of their class, near boundaries aside."""
    red, masks = np.asarray(pictures[..., 0]).astype(int), np.asarray(masks)
    known = masks != 255
    return float((np.abs(red - 100 * masks.astype(int))[known] <= 50).mean())


def test_flipping_mirrors_both_or_neither(batch):
    pictures, masks = moving.flip(jax.random.key(0), *batch)
    assert agreement(pictures, masks) == 1.0
    mirrored = [bool((m == b[:, ::-1]).all()) for m, b in zip(masks, batch[1], strict=True)]
    assert 3 < sum(mirrored) < COUNT - 3


@pytest.mark.parametrize("strength", [0.1, 0.5])
def test_scaling_moves_both_and_masks_keep_their_numbers(batch, strength):
    pictures, masks = jax.jit(moving.scale_and_crop(strength))(jax.random.key(1), *batch)
    assert masks.dtype == pictures.dtype == jnp.uint8
    assert set(np.unique(masks)) <= {0, 1, 2, 255}
    assert agreement(pictures, masks) > 0.97
    assert (np.asarray(masks) == 255).any(axis=(1, 2)).any()
    assert not (np.asarray(masks) == 255).any(axis=(1, 2)).all()
    assert not np.array_equal(masks, batch[1])


def test_scaling_by_one_changes_nothing(batch):
    pictures, masks = moving.scale_and_crop(0.0)(jax.random.key(1), *batch)
    np.testing.assert_array_equal(pictures, batch[0])
    np.testing.assert_array_equal(masks, batch[1])


def test_what_is_cut_out_is_not_asked_for(batch):
    pictures, masks = moving.cutout(10)(jax.random.key(2), *batch)
    covered = np.asarray(masks) == 255
    assert 0 < covered.sum(axis=(1, 2)).min()
    assert covered.sum(axis=(1, 2)).max() <= 100
    np.testing.assert_array_equal(np.asarray(pictures)[~covered], np.asarray(batch[0])[~covered])


def test_colour_leaves_masks_alone_and_a_key_decides_everything(batch):
    moves = [
        moving.flip,
        moving.scale_and_crop(0.3),
        moving.of_pictures(augmentation.colour(0.3)),
        moving.cutout(8),
    ]
    augment = jax.jit(moving.of_both(moves))
    first = augment(jax.random.key(3), {"pictures": batch[0]}, batch[1])
    again = augment(jax.random.key(3), {"pictures": batch[0]}, batch[1])
    other = augment(jax.random.key(4), {"pictures": batch[0]}, batch[1])
    np.testing.assert_array_equal(first[0]["pictures"], again[0]["pictures"])
    np.testing.assert_array_equal(first[1], again[1])
    assert not np.array_equal(first[1], other[1])
    only = moving.of_both(moves[2:3])(jax.random.key(3), {"pictures": batch[0]}, batch[1])
    np.testing.assert_array_equal(only[1], batch[1])
