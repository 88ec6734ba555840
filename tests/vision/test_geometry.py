"""Pictures, masks and boxes move together, and back."""

import numpy as np
import pytest

from septet.vision.geometry import PLACEMENTS, areas, clipped, crop, letterbox, overlaps, stretch


def picture_with_box(height, width, box):
    """A black picture with a white box, and its mask."""
    left, top, right, bottom = box
    mask = np.zeros((height, width), np.uint8)
    mask[top:bottom, left:right] = 3
    return np.where(mask[..., None] > 0, 255, 0).astype(np.uint8).repeat(3, -1), mask


def extent(mask):
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


def test_letterbox_keeps_the_shape_and_centres():
    placement = letterbox((100, 50), (64, 64))
    assert (placement.placed, placement.top, placement.left) == ((64, 32), 0, 16)


def test_crop_fills_the_canvas_and_cuts_evenly():
    placement = crop((100, 50), (64, 64))
    assert (placement.placed, placement.top, placement.left) == ((128, 64), -32, 0)


@pytest.mark.parametrize("how", sorted(PLACEMENTS))
@pytest.mark.parametrize("size", [(40, 90), (90, 40), (64, 64), (200, 333), (3, 7)])
def test_boxes_lie_around_what_the_mask_and_the_picture_show(how, size):
    height, width = size
    box = (
        width // 3,
        height // 3,
        max(width // 3 + 1, 2 * width // 3),
        max(height // 3 + 1, 2 * height // 3),
    )
    pixels, mask = picture_with_box(height, width, box)
    placement = PLACEMENTS[how](size, (64, 64))
    moved = clipped(placement.boxes(np.array([box])), (64, 64))[0]
    assert np.abs(moved - extent(placement.mask(mask))).max() <= 1.0
    bright = placement.picture(pixels, fill=0)[..., 0] > 127
    assert np.abs(moved - extent(bright)).max() <= 1.0


@pytest.mark.parametrize("how", ["letterbox", "stretch"])
def test_boxes_and_masks_come_back(how):
    placement = PLACEMENTS[how]((60, 100), (128, 128))
    boxes = np.array([[0, 0, 100, 60], [10, 20, 30, 40]], np.float32)
    np.testing.assert_allclose(placement.boxes_back(placement.boxes(boxes)), boxes, atol=1e-4)
    _, mask = picture_with_box(60, 100, (10, 20, 30, 40))
    np.testing.assert_array_equal(placement.mask_back(placement.mask(mask)), mask)


def test_what_a_crop_cut_off_comes_back_as_fill():
    placement = crop((40, 80), (40, 40))
    back = placement.mask_back(np.full((40, 40), 2, np.uint8), fill=9)
    assert back.shape == (40, 80)
    assert set(np.unique(back[:, 20:60])) == {2}
    assert set(np.unique(back[:, :20])) == {9}


def test_bars_are_grey_and_masks_there_nothing():
    placement = letterbox((10, 20), (20, 20))
    assert (placement.picture(np.zeros((10, 20, 3), np.uint8))[0] == 114).all()
    assert (placement.mask(np.ones((10, 20), np.uint8))[0] == 0).all()


def test_boxes_back_are_cut_at_the_picture():
    placement = stretch((10, 10), (20, 20))
    assert placement.boxes_back(np.array([[-5, 2, 90, 50]])).tolist() == [[0, 1, 10, 10]]


def test_picture_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"Received shape \(4, 4\); expected \(5, 5\) first"):
        letterbox((5, 5), (8, 8)).mask(np.zeros((4, 4), np.uint8))


def test_overlaps_are_intersection_over_union():
    first = np.array([[0, 0, 2, 2], [0, 0, 1, 1], [5, 5, 4, 4]], np.float64)
    second = np.array([[1, 1, 3, 3], [0, 0, 2, 2]], np.float64)
    np.testing.assert_allclose(overlaps(first, second), [[1 / 7, 1], [0, 1 / 4], [0, 0]])
    assert areas(first).tolist() == [4, 1, 0]
