"""Assignment, loss and suppression, against slow and literal versions of themselves."""

import septet  # noqa: F401

# isort: split
# Septet comes first, since it chooses the backend of Keras.
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from septet.models.detection import places
from septet.vision import detecting
from septet.vision.detecting import DetectionLoss, overlaps_of, summarizer, suppressed

SIZE = (64, 96)
STRIDES = (8, 16, 32)


def made(seed, pictures=3, classes=4):
    random = np.random.default_rng(seed)
    middles, strides = places(*SIZE, STRIDES)
    targets = np.full((pictures, 5, 5), -1, np.float32)
    targets[..., 1:] = 0
    for row in range(pictures):
        for place in range(row + 2):
            corner = random.uniform(0, 50, 2)
            targets[row, place] = [
                random.integers(classes),
                *corner,
                *(corner + random.uniform(6, 44, 2)),
            ]
    logits = random.normal(-2, 1.5, (pictures, len(middles), classes))
    sides = random.uniform(2, 30, (pictures, len(middles), 4))
    boxes = np.concatenate([middles - sides[..., :2], middles + sides[..., 2:]], -1)
    outputs = np.concatenate([logits, boxes], -1).astype(np.float32)
    return DetectionLoss(middles, strides), targets, outputs


def literal_parts(loss, targets, outputs):
    """Focal sum, box sum and count of one picture, by the words of the definition."""
    focal = apart = count = 0.0
    for (x, y), stride, row in zip(loss.middles, loss.strides, outputs.astype(float), strict=True):
        best = None
        for label, left, top, right, bottom in targets.astype(float):
            longer = max(right - left, bottom - top)
            low = 0 if stride == 8 else 2 * stride
            high = np.inf if stride == 32 else 8 * stride
            near = max(abs(x - (left + right) / 2), abs(y - (top + bottom) / 2)) < 1.5 * stride
            inside = left < x < right and top < y < bottom
            area = (right - left) * (bottom - top)
            if (
                label >= 0
                and near
                and inside
                and low <= longer <= high
                and (not best or area < best[0])
            ):
                best = (area, int(label), (left, top, right, bottom))
        aims = np.zeros(len(row) - 4)
        if best:
            count += 1
            wide = min(row[-2], best[2][2]) - max(row[-4], best[2][0])
            high = min(row[-1], best[2][3]) - max(row[-3], best[2][1])
            shared = max(wide, 0) * max(high, 0)
            union = (row[-2] - row[-4]) * (row[-1] - row[-3]) + best[0] - shared
            hull = (max(row[-2], best[2][2]) - min(row[-4], best[2][0])) * (
                max(row[-1], best[2][3]) - min(row[-3], best[2][1])
            )
            aims[best[1]] = shared / union
            apart += 1 - (shared / union - (hull - union) / hull)
        for logit, aim in zip(row[:-4], aims, strict=True):
            p = 1 / (1 + np.exp(-logit))
            entropy = -(aim * np.log(p) + (1 - aim) * np.log(1 - p))
            focal += abs(aim - p) ** 2 * entropy
    return focal, apart, count


@pytest.mark.parametrize("seed", range(3))
def test_loss_is_its_definition(seed):
    loss, targets, outputs = made(seed)
    parts = np.stack([np.asarray(part) for part in loss.parts(targets, outputs)], -1)
    expected = [literal_parts(loss, *pair) for pair in zip(targets, outputs, strict=True)]
    np.testing.assert_allclose(parts, expected, rtol=2e-4)
    assert parts[:, 2].min() > 0
    each = np.asarray(loss(targets, outputs))
    total = parts.sum(0)
    assert each.mean() == pytest.approx((total[0] + 2 * total[1]) / total[2], rel=1e-5)


def test_loss_has_finite_gradients_also_where_nothing_is_labelled():
    loss, targets, outputs = made(0)
    targets[0, :, 0] = -1
    outputs[1, :, -4:] = 0
    gradient = jax.grad(lambda o: jnp.mean(loss(targets, o)))(jnp.asarray(outputs))
    assert np.isfinite(np.asarray(gradient)).all()
    assert np.asarray(loss.parts(targets, outputs)[2])[0] == 0


def test_generalised_overlap_of_known_boxes():
    boxes = np.array([[0, 0, 2, 2], [0, 0, 1, 1], [0, 0, 1, 1]], np.float32)
    truths = np.array([[0, 0, 2, 2], [1, 1, 2, 2], [0, 0, 2, 1]], np.float32)
    generalised, overlap = overlaps_of(boxes, truths, detecting.jax_operations())
    np.testing.assert_allclose(overlap, [1, 0, 0.5], atol=1e-6)
    np.testing.assert_allclose(generalised, [1, -0.5, 0.5], atol=1e-6)


def literal_suppression(outputs):
    """Greedy suppression within each class, best first."""
    scores = 1 / (1 + np.exp(-outputs[:, :-4].astype(np.float64)))
    pairs = [(s, c, n) for (n, c), s in np.ndenumerate(scores)]
    pairs.sort(key=lambda pair: -pair[0])
    kept = []
    for score, label, place in pairs[: detecting.CANDIDATES]:
        box = np.clip(outputs[place, -4:], 0, [SIZE[1], SIZE[0], SIZE[1], SIZE[0]])
        if score < detecting.LEAST_SCORE:
            continue
        clear = True
        for _, other, *sides in kept:
            low, high = np.maximum(box[:2], sides[:2]), np.minimum(box[2:], sides[2:])
            shared = np.maximum(high - low, 0).prod()
            areas = [np.prod(np.array(b[2:]) - np.array(b[:2])) for b in (box, np.array(sides))]
            clear &= other != label or shared / (sum(areas) - shared) <= detecting.OVERLAP
        if clear:
            kept.append([score, label, *box])
    return np.array(kept[: detecting.KEPT])


@pytest.mark.parametrize("seed", range(3))
def test_suppression_is_greedy_within_each_class(seed):
    _, _, outputs = made(seed)
    found = np.asarray(suppressed(jnp.asarray(outputs), SIZE))
    assert found.shape == (3, detecting.KEPT, 6)
    for rows, row in zip(found, outputs, strict=True):
        expected = literal_suppression(row)
        np.testing.assert_allclose(rows[rows[:, 0] > 0], expected, rtol=1e-4, atol=1e-4)


def test_suppression_works_where_there_are_fewer_places_than_candidates():
    outputs = np.zeros((1, 3, 5), np.float32)
    outputs[0, :, 0] = [3, 2, -9]
    outputs[0, :, 1:] = [[0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30]]
    found = np.asarray(suppressed(jnp.asarray(outputs), SIZE))[0]
    assert (found[:, 0] > 0).sum() == 1
    assert found[0, 2:].tolist() == [0, 0, 10, 10]


def test_summaries_hold_the_loss_and_the_boxes():
    loss, targets, outputs = made(1)
    summary = np.asarray(summarizer(loss, SIZE)(jnp.asarray(outputs), jnp.asarray(targets)))
    assert summary.shape == (3, 1 + detecting.KEPT, 6)
    parts = np.stack([np.asarray(part) for part in loss.parts(targets, outputs)], -1)
    np.testing.assert_allclose(summary[:, 0, :3], parts, rtol=1e-6)
    np.testing.assert_array_equal(summary[:, 1:], suppressed(jnp.asarray(outputs), SIZE))


def test_every_box_of_usual_size_is_learned_somewhere():
    middles, strides = places(160, 160, STRIDES)
    loss = DetectionLoss(middles, strides)
    random = np.random.default_rng(0)
    corner, sides = random.uniform(0, 100, (200, 2)), random.uniform(14, 120, (200, 2))
    targets = np.concatenate([np.zeros((200, 1)), corner, corner + sides], 1)[:, None]
    _, learns = loss.assign(targets.astype(np.float32))
    counts = np.asarray(learns).sum(1)
    assert (counts > 0).mean() > 0.98
    assert np.median(counts) >= 4
