"""Tiles cover a picture, and their blended scores are the whole picture's where they can be."""

import itertools

import numpy as np
import pytest

from septet.vision.segmentation import tiles


@pytest.mark.parametrize("size", [(64, 64), (65, 200), (10, 300), (64, 1)])
def test_corners_cover_every_pixel_once(size):
    seen = np.zeros((1000, 1000), int)
    for top, left in tiles.corners(size, (64, 64)):
        seen[top : top + 64, left : left + 64] += 1
    assert (seen[: size[0], : size[1]] == 1).all()


def test_a_tile_that_hangs_over_is_filled_up():
    part = tiles.cut(np.ones((5, 5, 3), np.uint8), 3, 2, 4, 4, 9)
    assert part.shape == (4, 4, 3)
    assert (part[:2, :3] == 1).all()
    assert (part[2:] == 9).all()
    assert (part[:, 3:] == 9).all()


@pytest.mark.parametrize("length", [20, 96, 97, 128, 1000, 1003])
def test_tiles_reach_the_end_and_overlap_enough(length):
    begins = tiles.starts(length, 96, 40)
    assert begins[0] == 0
    assert begins[-1] + 96 >= length
    assert begins[-1] + 96 - length < 96 + 32
    assert all(begin % 32 == 0 for begin in begins)
    assert all(later - earlier <= 56 for earlier, later in itertools.pairwise(begins))


@pytest.mark.parametrize("tile", [32, 40])
def test_small_tiles_overlap_as_well(tile):
    begins = tiles.starts(100, tile, tile // 2)
    assert begins[-1] + tile >= 100
    assert all(later - earlier <= tile // 2 for earlier, later in itertools.pairwise(begins))
    pixels = np.random.default_rng(1).integers(0, 256, (100, 90, 3), dtype=np.uint8)
    bands = tiles.blended(
        pixels, (tile, tile), lambda t: t.astype(np.float32), overlap=tile // 2, margin=2
    )
    np.testing.assert_allclose(np.concatenate([b for _, b in bands]), pixels, rtol=1e-5)


def smoothed(pictures: np.ndarray, radius: int) -> np.ndarray:
    """A network that looks `radius` pixels far: sums over windows, zeros outside: [n, h, w, 2]."""
    values = pictures[..., 0].astype(np.float64)
    padded = np.pad(values, ((0, 0), (radius, radius), (radius, radius)))
    height, width = values.shape[1:]
    shifts = range(2 * radius + 1)
    total = sum(padded[:, d : d + height, a : a + width] for d in shifts for a in shifts)
    return np.stack([total, values], axis=-1).astype(np.float32)


@pytest.mark.parametrize("size", [(64, 64), (160, 224), (128, 96)])
def test_where_a_network_looks_no_further_than_the_margin_tiles_give_the_whole(size):
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 1), dtype=np.uint8)
    whole = smoothed(pixels[None], 5)[0]
    bands = list(tiles.blended(pixels, (64, 64), lambda t: smoothed(t, 5), overlap=32, margin=5))
    assert [first for first, _ in bands] == np.cumsum(
        [0, *(len(b) for _, b in bands[:-1])]
    ).tolist()
    np.testing.assert_allclose(np.concatenate([b for _, b in bands]), whole, rtol=1e-6)


def test_without_a_margin_seams_are_blended_and_not_cut():
    pixels = np.full((64, 160, 1), 100, np.uint8)
    bands = tiles.blended(pixels, (64, 64), lambda t: smoothed(t, 5), overlap=32, margin=0)
    ((_, scores),) = bands
    along = scores[32, :, 0] / scores[32, 30, 0]
    assert np.abs(np.diff(along[10:150])).max() < 0.1


@pytest.mark.parametrize("size", [(64, 64), (70, 100), (10, 300), (300, 10), (129, 131)])
def test_pictures_of_any_size_are_answered_whole(size):
    pixels = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    bands = tiles.blended(pixels, (64, 64), lambda t: t.astype(np.float32), overlap=32, margin=4)
    np.testing.assert_allclose(np.concatenate([b for _, b in bands]), pixels, rtol=1e-5)


def test_memory_grows_with_the_width_and_not_with_the_height():
    most = 0

    def scores_of(batch):
        nonlocal most
        most = max(most, len(batch))
        return batch.astype(np.float32)

    pixels = np.zeros((6400, 128, 1), np.uint8)
    heights = [len(b) for _, b in tiles.blended(pixels, (64, 64), scores_of, overlap=32, margin=0)]
    assert most == 3
    assert max(heights) <= 64
    assert sum(heights) == 6400
