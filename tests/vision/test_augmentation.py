"""Each random change against a literal NumPy version of what it may do."""

import jax
import numpy as np
import pytest

from septet.vision import augmentation

pytestmark = pytest.mark.slow  # compiles every augmentation


def pictures(batch: int = 40, height: int = 7, width: int = 6, channels: int = 3) -> np.ndarray:
    shape = (batch, height, width, channels)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def changed(change, seed: int = 0) -> np.ndarray:
    result = np.asarray(jax.jit(change)(jax.random.key(seed), pictures()))
    assert result.dtype == np.uint8
    assert result.shape == pictures().shape
    return result


def test_flip_mirrors_about_half_of_the_pictures():
    result = changed(augmentation.flip)
    same = (result == pictures()).all(axis=(1, 2, 3))
    mirrored = (result == pictures()[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (same | mirrored).all()
    assert 10 <= mirrored.sum() <= 30


def test_shift_moves_by_whole_pixels_and_repeats_the_edge():
    pixels = 2
    padded = np.pad(pictures(), ((0, 0), (pixels,) * 2, (pixels,) * 2, (0, 0)), mode="edge")
    offsets = set()
    for row, result in enumerate(changed(augmentation.shift(pixels))):
        matches = [
            (y, x)
            for y in range(2 * pixels + 1)
            for x in range(2 * pixels + 1)
            if (padded[row, y : y + 7, x : x + 6] == result).all()
        ]
        assert len(matches) == 1
        offsets.add(matches[0])
    assert len(offsets) > 12


def test_a_zoom_of_nothing_and_a_turn_of_nothing_change_nothing():
    result = changed(augmentation.zoom_and_rotate(0.0, 0.0))
    np.testing.assert_array_equal(result, pictures())


def test_sampling_is_bilinear_and_repeats_the_edge():
    picture = np.array([[0.0, 10.0], [20.0, 50.0]], np.float32)[:, :, None]
    rows = np.array([[0.5, 0.0, -3.0, 1.0]], np.float32)
    columns = np.array([[0.5, 0.25, 0.0, 9.0]], np.float32)
    result = augmentation._sample(*map(jax.numpy.asarray, (picture, rows, columns)))
    np.testing.assert_allclose(np.asarray(result)[0, :, 0], [20.0, 2.5, 0.0, 50.0], atol=1e-5)


def test_a_quarter_turn_takes_each_pixel_from_its_turned_place(monkeypatch):
    square = pictures(1, 6, 6)
    monkeypatch.setattr(jax.random, "uniform", _highest)
    change = augmentation.zoom_and_rotate(0.0, 90.0)
    result = np.asarray(change(jax.random.key(0), jax.numpy.asarray(square)))[0]
    np.testing.assert_array_equal(result, np.rot90(square[0], -1))


def _highest(key, shape, minval, maxval):
    return jax.numpy.full(shape, maxval, dtype=jax.numpy.float32)


def test_colour_stays_within_its_strength_and_keeps_grey_pictures_grey():
    flat = np.full((50, 4, 4, 3), 100, np.uint8)
    result = np.asarray(
        augmentation.colour(0.2)(jax.random.key(1), jax.numpy.asarray(flat))
    ).astype(int)
    assert (result == result[:, :1, :1, :1]).all()
    assert result.min() >= 80
    assert result.max() <= 120
    assert len(np.unique(result)) > 15


def test_colour_is_brightness_then_contrast_then_saturation():
    key, batch = jax.random.key(3), pictures(4)
    factors = jax.random.uniform(key, (3, 4, 1, 1, 1), minval=0.6, maxval=1.4)
    brightness, contrast, saturation = np.asarray(factors, np.float64)
    wanted = batch * brightness
    middle = wanted.mean(axis=(1, 2, 3), keepdims=True)
    wanted = middle + (wanted - middle) * contrast
    grey = wanted.mean(axis=3, keepdims=True)
    wanted = np.clip(grey + (wanted - grey) * saturation, 0, 255)
    found = np.asarray(augmentation.colour(0.4)(key, jax.numpy.asarray(batch)))
    assert np.abs(found - wanted).max() <= 0.51


def test_hue_turns_colours_about_grey(monkeypatch):
    batch = np.full((1, 2, 2, 3), 100, np.uint8)
    batch[0, 0, 0] = [200, 40, 90]
    factors = iter([1.0, 2 * np.pi / 3])

    def drawn(key, shape, minval, maxval):
        return jax.numpy.full(shape, next(factors), jax.numpy.float32)

    monkeypatch.setattr(jax.random, "uniform", drawn)
    change = augmentation.colour(0.0, hue=0.5)
    result = np.asarray(change(jax.random.key(0), jax.numpy.asarray(batch)))[0]
    # A third of a turn: red's number becomes green's, green's blue's, blue's red's.
    np.testing.assert_array_equal(result[0, 0], [90, 200, 40])
    np.testing.assert_array_equal(result[1, 1], [100, 100, 100])


def test_cutout_covers_a_square_with_the_mean():
    result = changed(augmentation.cutout(3))
    for before, after in zip(pictures(), result, strict=True):
        touched = (before != after).any(axis=-1)
        rows, columns = np.flatnonzero(touched.any(axis=1)), np.flatnonzero(touched.any(axis=0))
        assert 1 <= len(rows) <= 3
        assert 1 <= len(columns) <= 3
        mean = before.astype(np.float64).mean(axis=(0, 1))
        assert np.abs(after[touched] - mean).max() <= 0.51


def test_every_seed_changes_differently_and_the_same_seed_alike():
    change = augmentation.compose([augmentation.flip, augmentation.shift(2)])
    first, again, other = (changed(change, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("channels", [1, 3])
def test_all_changes_run_in_one_program(channels):
    change = augmentation.compose(
        [
            augmentation.flip,
            augmentation.zoom_and_rotate(0.2, 15.0),
            augmentation.shift(1),
            augmentation.colour(0.3),
            augmentation.cutout(2),
        ]
    )
    traces = []

    def counted(key, batch):
        traces.append(1)
        return change(key, batch)

    program = jax.jit(counted)
    batch = pictures(5, channels=channels)
    results = [np.asarray(program(jax.random.key(seed), batch)) for seed in range(3)]
    assert len(traces) == 1
    assert all(result.shape == batch.shape and result.dtype == np.uint8 for result in results)


def test_blur_keeps_half_of_the_pictures_and_the_mean_of_the_others():
    result = changed(augmentation.blur(2.0))
    same = (result == pictures()).all(axis=(1, 2, 3))
    assert 10 <= same.sum() <= 30
    blurred = result[~same].astype(float)
    given = pictures()[~same].astype(float)
    assert (blurred.std(axis=(1, 2)) < given.std(axis=(1, 2))).mean() > 0.9
    flat = np.full((40, 7, 6, 3), 77, np.uint8)
    np.testing.assert_array_equal(
        augmentation.blur(2.0)(jax.random.key(0), jax.numpy.asarray(flat)), flat
    )


def mixed(mixup: float, cutmix: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    given = pictures()
    labels = np.arange(len(given), dtype=np.int32)  # every picture a class of its own
    change = augmentation.mix(len(given), mixup=mixup, cutmix=cutmix)
    inputs, soft = jax.jit(change)(jax.random.key(seed), {"pictures": given}, labels)
    return np.asarray(inputs["pictures"]), np.asarray(soft)


def test_mixup_blends_pictures_by_the_shares_of_their_labels():
    given = pictures().astype(np.float64)
    for concentration in (0.3, 1.0):
        result, soft = mixed(concentration, 0.0)
        assert soft.dtype == np.float32
        np.testing.assert_allclose(soft.sum(axis=1), 1.0, atol=1e-6)
        assert ((soft > 0).sum(axis=1) <= 2).all()
        wanted = np.einsum("nk,khwc->nhwc", soft.astype(np.float64), given)
        np.testing.assert_allclose(result, wanted, atol=0.51)


def test_cutmix_puts_in_a_rectangle_and_mixes_labels_by_its_area():
    given = pictures()
    result, soft = mixed(0.0, 1.0)
    np.testing.assert_allclose(soft.sum(axis=1), 1.0, atol=1e-6)
    cut = 0
    for row in range(len(given)):
        other = next((k for k in np.flatnonzero(soft[row]) if k != row), row)
        own = (result[row] == given[row]).all(axis=-1)
        assert ((result[row] == given[other]).all(axis=-1) | own).all()
        if other == row:
            continue
        cut += 1
        np.testing.assert_allclose(soft[row, row], own.mean(), atol=1e-6)
        rows, columns = np.nonzero(~own)
        area = (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
        assert area == (~own).sum()  # a full rectangle
    assert cut > 20


def test_with_both_each_batch_has_one_of_them():
    given = pictures().astype(np.float64)
    kinds = set()
    for seed in range(8):
        result, soft = mixed(1.0, 1.0, seed)
        wanted = np.einsum("nk,khwc->nhwc", soft.astype(np.float64), given)
        kinds.add(bool(np.abs(result - wanted).max() < 0.51))
    assert kinds == {True, False}
