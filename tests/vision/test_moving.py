"""Changes on the device: a box stays around its thing, in the picture and in the mask."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from septet.vision import moving

SIZE = (48, 64)


def batch(count=6):
    """Dark pictures with one bright box each, their masks and boxes."""
    random = np.random.default_rng(0)
    pictures = np.zeros((count, *SIZE, 3), np.uint8)
    masks = np.zeros((count, *SIZE), np.uint8)
    boxes = np.full((count, 2, 5), -1, np.float32)
    for row in range(count):
        left, top = random.integers(12, 30), random.integers(10, 20)
        right, bottom = left + random.integers(10, 22), top + random.integers(10, 18)
        pictures[row, top:bottom, left:right] = 255
        masks[row, top:bottom, left:right] = 4
        boxes[row, 0] = [4, left, top, right, bottom]
    return pictures, masks, boxes


def extent(mask):
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])


@pytest.mark.parametrize("seed", range(6))
def test_boxes_lie_around_what_moved_pictures_and_masks_show(seed):
    pictures, masks, boxes = batch()
    changes = {"flip": True, "scale": 0.5, "shift": 0.1, "stretch": 0.3 if seed % 2 else 0.0}
    maps = moving.random_map(jax.random.key(seed), 6, SIZE, **changes)
    ratios = np.abs(np.asarray(maps.step_x) / np.asarray(maps.step_y))
    assert np.ptp(ratios) > 0.1 if seed % 2 else np.allclose(ratios, 1)
    assert ratios.max() < 1.301
    new = np.asarray(moving.moved_pictures(maps, jnp.asarray(pictures), fill=0.0))
    marked = np.asarray(moving.moved_masks(maps, jnp.asarray(masks)))
    found = np.asarray(moving.moved_boxes(maps, jnp.asarray(boxes), SIZE))
    assert new.dtype == np.uint8
    for row in range(6):
        assert found[row, 1, 0] == -1
        if found[row, 0, 0] < 0:
            assert (marked[row] == 4).sum() < 200
            continue
        assert np.abs(found[row, 0, 1:] - extent(marked[row] == 4)).max() <= 1.0
        assert np.abs(found[row, 0, 1:] - extent(new[row, ..., 0] > 127)).max() <= 1.5


def test_without_a_change_everything_stays():
    pictures, masks, boxes = batch()
    maps = moving.random_map(jax.random.key(0), 6, SIZE, flip=False, scale=0.0, shift=0.0)
    np.testing.assert_array_equal(moving.moved_pictures(maps, jnp.asarray(pictures)), pictures)
    np.testing.assert_array_equal(moving.moved_masks(maps, jnp.asarray(masks)), masks)
    found = np.asarray(moving.moved_boxes(maps, jnp.asarray(boxes), SIZE))
    np.testing.assert_allclose(found[:, 0], boxes[:, 0], atol=1e-4)


def test_mirrored_pictures_are_mirror_images():
    pictures, masks, _ = batch(32)
    maps = moving.random_map(jax.random.key(3), 32, SIZE, flip=True, scale=0.0, shift=0.0)
    new = np.asarray(moving.moved_pictures(maps, jnp.asarray(pictures)))
    is_flipped = np.asarray(maps.step_x) < 0
    assert 5 < is_flipped.sum() < 27
    np.testing.assert_array_equal(new[is_flipped], pictures[is_flipped][:, :, ::-1])
    marked = np.asarray(moving.moved_masks(maps, jnp.asarray(masks)))
    np.testing.assert_array_equal(marked[is_flipped], masks[is_flipped][:, :, ::-1])
    np.testing.assert_array_equal(new[~is_flipped], pictures[~is_flipped])


def test_box_of_which_little_is_left_is_gone_and_others_are_cut():
    boxes = jnp.array([[[1, -9, 0, 1, 20], [2, -5, 0, 15, 20], [3, 5, 5, 30, 6]]], jnp.float32)
    cut = np.asarray(moving.cut_boxes(boxes, SIZE))[0]
    assert cut[:, 0].tolist() == [-1, 2, -1]
    assert cut[1].tolist() == [2, 0, 0, 15, 20]


def test_beyond_the_edge_pictures_are_grey_and_masks_fill():
    pictures, masks, _ = batch()
    maps = moving.Map(*(jnp.full((6,), v, jnp.float32) for v in (-24.0, 2.0, -32.0, 2.0)))
    assert (np.asarray(moving.moved_pictures(maps, jnp.asarray(pictures)))[:, 0] == 114).all()
    assert (np.asarray(moving.moved_masks(maps, jnp.asarray(masks), fill=9))[:, 0] == 9).all()


def test_mosaic_shows_four_pictures_with_their_boxes():
    pictures, _, boxes = batch()
    new, found = moving.mosaic(
        jax.random.key(0), jnp.asarray(pictures), jnp.asarray(np.tile(boxes, (1, 4, 1))), share=1.0
    )
    new, found = np.asarray(new), np.asarray(found)
    half = np.asarray(jnp.asarray(pictures)[:, ::2, ::2])
    assert np.abs(new[0, :24, :32].astype(int) - half[0]).mean() < 12
    assert np.abs(new[0, 24:, 32:].astype(int) - half[3]).mean() < 12
    for row in range(6):
        kept = found[row][found[row, :, 0] >= 0]
        assert len(kept) >= 4
        for _, left, top, right, bottom in kept:
            inside = new[row, int(top) + 1 : int(bottom) - 1, int(left) + 1 : int(right) - 1]
            assert (inside > 200).mean() > 0.9


def test_mosaic_leaves_the_share_it_is_told_to():
    pictures, _, boxes = batch()
    new, found = moving.mosaic(
        jax.random.key(0), jnp.asarray(pictures), jnp.asarray(boxes), share=0.0
    )
    np.testing.assert_array_equal(new, pictures)
    np.testing.assert_array_equal(found, boxes)


def test_mixed_pictures_are_means_of_two_with_the_boxes_of_both():
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (6, 16, 16, 3)).astype(np.uint8)
    boxes = np.full((6, 3, 5), -1, np.float32)
    boxes[..., 1:] = 0
    for row in range(6):
        boxes[row, 0] = [row, 1, 1, 8 + row, 9]
        boxes[row, 1] = [row, 2, 2, 7, 8 + row % 2]
    mixed, both = jax.jit(lambda *given: moving.mixed(*given, share=1.0))(
        jax.random.key(0), pictures, boxes
    )
    others = np.roll(pictures, 1, axis=0).astype(np.float64)
    np.testing.assert_allclose(mixed, (pictures + others) / 2, atol=0.51)
    for row in range(6):
        # Of four boxes the three largest: there is no room for more.
        classes = sorted(np.asarray(both)[row, :, 0].tolist())
        assert set(classes) == {float(row), float((row - 1) % 6)}
    same, kept = moving.mixed(jax.random.key(0), pictures, boxes, share=0.0)
    np.testing.assert_array_equal(same, pictures)
    np.testing.assert_array_equal(kept, boxes)
