"""Losses measured on the host against Keras' own."""

import keras
import numpy as np
import pytest

from septet.engine.losses import CHOICES, LOSSES, chosen_loss, loss_name
from septet.errors import ConfigError


def test_softmax_equals_keras():
    random = np.random.default_rng(0)
    logits = (10 * random.normal(size=(50, 7))).astype(np.float32)
    labels = random.integers(0, 7, 50)
    measured = LOSSES["softmax"].measure(logits, labels)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, logits)
    assert measured["loss"] == pytest.approx(np.asarray(loss).item(), rel=1e-5)
    assert measured["accuracy"] == pytest.approx((logits.argmax(-1) == labels).mean())


def test_softmax_survives_logits_that_overflow():
    measured = LOSSES["softmax"].measure(np.array([[1e4, -1e4]], np.float32), np.array([1]))
    assert measured["loss"] == pytest.approx(2e4)


def test_sigmoid_equals_keras_and_f1_its_definition():
    random = np.random.default_rng(0)
    logits = (4 * random.normal(size=(50, 7))).astype(np.float32)
    truths = (random.random((50, 7)) < 0.3).astype(np.uint8)
    measured = LOSSES["sigmoid"].measure(logits, truths)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)(truths, logits)
    assert measured["loss"] == pytest.approx(np.asarray(loss).item(), rel=1e-5)
    arguments = LOSSES["sigmoid"].compile_arguments()
    trained = np.asarray(arguments["loss"](truths.astype(np.float32), logits))
    assert trained.shape == (50,)
    assert trained.mean() == pytest.approx(measured["loss"], rel=1e-5)
    (metric,) = arguments["metrics"]
    for part in (slice(0, 20), slice(20, 50)):
        metric.update_state(truths[part], logits[part])
    given = logits >= 0
    f1 = 2 * (given & (truths > 0)).sum() / (given.sum() + truths.sum())
    assert measured["micro_f1"] == pytest.approx(f1)
    assert np.asarray(metric.result()).item() == pytest.approx(f1, rel=1e-5)
    nothing = LOSSES["sigmoid"].measure(np.full((2, 3), -1e4, np.float32), np.zeros((2, 3)))
    assert nothing == {"loss": 0.0, "micro_f1": 0.0}


def test_squared_equals_its_definition():
    outputs = np.array([[1.0], [2.0]], np.float32)
    measured = LOSSES["squared"].measure(outputs, np.array([0.0, 4.0]))
    assert measured == {"loss": 2.5, "mean_absolute_error": 1.5}


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_arguments_compile_a_model(name):
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(3)])
    model.compile(optimizer="sgd", **LOSSES[name].compile_arguments())
    assert model.loss is not None


@pytest.mark.parametrize("members", [0, 3])
@pytest.mark.parametrize(
    ("own", "choice", "smoothing"),
    [
        *[(own, choice, 0.0) for own, choices in CHOICES.items() for choice in choices],
        ("softmax", "cross-entropy", 0.1),
    ],
)
def test_what_is_trained_on_is_what_a_host_measures(own, choice, members, smoothing):
    random = np.random.default_rng(0)
    shape = (40, members, 5) if members else (40, 5)
    targets = random.integers(0, 5, 40)
    if own == "squared":
        shape = (*shape[:-1], 1)
        targets = random.normal(size=40).astype(np.float32)
    outputs = (3 * random.normal(size=shape)).astype(np.float32)
    loss = chosen_loss("a task", own, choice, smoothing)
    trained = np.asarray(loss.compile_arguments()["loss"](targets, outputs))
    assert trained.shape == (40,)
    each = [outputs[:, member] for member in range(members)] or [outputs]
    measured = np.mean([loss.measure(one, targets)["loss"] for one in each])
    assert trained.mean() == pytest.approx(measured, rel=2e-6)


def test_losses_of_classes_equal_keras():
    random = np.random.default_rng(1)
    logits = (3 * random.normal(size=(30, 4))).astype(np.float32)
    labels = random.integers(0, 4, 30)
    hot = np.eye(4, dtype=np.float32)[labels]
    kinds = keras.losses
    smoothed = kinds.CategoricalCrossentropy(from_logits=True, label_smoothing=0.2)(hot, logits)
    focal = kinds.CategoricalFocalCrossentropy(alpha=1.0, gamma=2.0, from_logits=True)(hot, logits)
    for choice, smoothing, expected in (("auto", 0.2, smoothed), ("focal", 0.0, focal)):
        measured = chosen_loss("a task", "softmax", choice, smoothing).measure(logits, labels)
        assert measured["loss"] == pytest.approx(float(np.asarray(expected)), rel=1e-5)


def test_huber_is_a_square_near_zero_and_a_line_far_away():
    measured = LOSSES["huber"].measure(np.array([[0.5], [-3.0]]), np.zeros(2))
    assert measured == {"loss": (0.125 + 2.5) / 2, "mean_absolute_error": 1.75}


def test_the_task_decides_which_losses_there_are():
    assert chosen_loss("a task", "softmax", "auto", 0.0) is LOSSES["softmax"]
    assert loss_name("a task", "adversarial", "auto", 0.0) == "adversarial"
    with pytest.raises(ConfigError, match=r"huber, which is no loss for tabular-classification\. "
        r"Expected one of: auto, cross-entropy, focal\."):  # fmt: skip
        chosen_loss("tabular-classification", "softmax", "huber", 0.0)
    with pytest.raises(ConfigError, match=r"is 0.1, which needs cross-entropy; set it to 0\."):
        chosen_loss("tabular-regression", "squared", "auto", 0.1)
    with pytest.raises(ConfigError, match=r"cross-entropy; choose training.loss=cross-entropy\."):
        chosen_loss("tabular-classification", "softmax", "focal", 0.1)
