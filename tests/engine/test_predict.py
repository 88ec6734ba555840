"""The forward pass for batches of any size."""

import keras
import numpy as np
import pytest

from septet.engine.predict import Predictor
from tests.engine.networks import convolutional

pytestmark = pytest.mark.slow  # compiles many programs


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    model = convolutional()
    weights = (
        [variable.value for variable in model.trainable_variables],
        [variable.value for variable in model.non_trainable_variables],
    )
    return model, weights


def test_batch_of_one_equals_the_row_of_a_batch(network):
    model, weights = network
    predictor = Predictor(model, platform="cpu", batch_size=8)
    inputs = np.random.default_rng(0).normal(size=(19, 8, 8, 2)).astype(np.float32)
    outputs = predictor(weights, {"inputs": inputs})
    assert outputs.shape == (19, 3)
    np.testing.assert_allclose(outputs, model({"inputs": inputs}), atol=1e-5)
    for row in (0, 7, 18):
        alone = predictor(weights, {"inputs": inputs[row : row + 1]})
        np.testing.assert_allclose(alone[0], outputs[row], atol=1e-5)


def test_all_sizes_need_few_compilations(network):
    model, weights = network
    predictor = Predictor(model, platform="cpu", batch_size=16)
    for size in range(1, 60):
        predictor(weights, {"inputs": np.zeros((size, 8, 8, 2), np.float32)})
    assert predictor.num_traces == 5  # 1, 2, 4, 8, 16


def test_summaries_are_made_of_outputs_and_targets_row_by_row(network):
    model, weights = network
    predictor = Predictor(
        model,
        platform="cpu",
        batch_size=8,
        summarize=lambda outputs, targets: outputs.argmax(axis=-1) == targets,
    )
    inputs = np.random.default_rng(0).normal(size=(19, 8, 8, 2)).astype(np.float32)
    answers = np.asarray(model({"inputs": inputs})).argmax(axis=-1)
    targets = np.where(np.arange(19) % 3, answers, answers + 1)
    summaries = predictor.summaries(weights, {"inputs": inputs}, targets)
    assert summaries.dtype == np.float32
    np.testing.assert_array_equal(summaries, np.arange(19) % 3 > 0)


def test_no_examples_give_no_outputs(network):
    model, weights = network
    predictor = Predictor(model, platform="cpu")
    assert predictor(weights, {"inputs": np.zeros((0, 8, 8, 2), np.float32)}).shape == (0, 3)
