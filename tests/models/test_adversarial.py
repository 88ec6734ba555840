"""Two players: what each trains, what their losses and penalty are, and one state of both."""

from typing import Any

from septet.models.adversarial import LOSSES, Adversarial, discriminator, generator
from septet.models.adversarial_steps import penalty
from septet.models.spectral import SpectralNormalization

# isort: split
# Septet comes first, since it chooses the backend of Keras.
import keras
import numpy as np
import pytest

import septet

pytestmark = pytest.mark.filterwarnings("ignore:.*__array__:DeprecationWarning")

SIZE: dict[str, Any] = {"height": 8, "width": 8, "channels": 1, "filters": 4}


def players(design: Any = "dcgan", is_spectral=False, **arguments) -> Adversarial:
    keras.utils.set_random_seed(0)
    model = Adversarial(
        generator(**SIZE, design=design, noise_dim=6),
        discriminator(**SIZE, design=design, is_spectral=is_spectral),
        **arguments,
    )
    model.compile(keras.optimizers.Adam(1e-3, 0.5))
    return model


def pictures(number: int = 32) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (number, 8, 8, 1)).astype("float32")


@pytest.mark.parametrize("design", ["dense", "dcgan"])
def test_pictures_have_their_size_and_range(design):
    model = players(design)
    made = np.asarray(model(np.random.default_rng(0).normal(size=(5, 6)).astype("float32")))
    assert made.shape == (5, 8, 8, 1)
    assert np.abs(made).max() <= 1.0
    assert model.discriminator(made).shape == (5, 1)


@pytest.mark.parametrize(
    ("loss", "arguments"),
    [
        ("non-saturating", {}),
        ("hinge", {"is_spectral": True}),
        ("wasserstein", {"gradient_penalty": 10.0, "critic_steps": 2, "design": "dense"}),
    ],
)
def test_both_players_train_and_septet_fit_gives_keras_numbers(loss, arguments):
    histories, weights = [], []
    for fit in (lambda model, *a, **k: model.fit(*a, **k), septet.fit):
        model = players(loss=loss, **arguments)
        before = [v.numpy() for v in model.trainable_variables]
        history = fit(model, pictures(), epochs=2, batch_size=8, verbose="0")
        after = [v.numpy() for v in model.trainable_variables]
        names = [v.path for v in model.trainable_variables]
        moved = [np.abs(a - b).max() > 1e-6 for a, b in zip(after, before, strict=True)]
        # A bias before a normalisation has no gradient; kernels have.
        assert all(m for m, name in zip(moved, names, strict=True) if "kernel" in name)
        histories.append(history.history)
        weights.append(after)
    for name in ("loss", "discriminator_loss"):
        np.testing.assert_allclose(histories[0][name], histories[1][name], rtol=1e-4)
    for one, other in zip(*weights, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-4)


def test_the_losses_are_those_of_the_papers():
    logits = np.array([[2.0], [-1.0]], "float32")
    sigmoid = 1 / (1 + np.exp(-logits))
    expected = {
        "non-saturating": (
            -np.log(sigmoid).mean(),
            -np.log(1 - sigmoid).mean(),
            -np.log(sigmoid).mean(),
        ),
        "hinge": (1.0, 1.5, -0.5),
        "wasserstein": (-0.5, 0.5, -0.5),
    }
    for name, terms in LOSSES.items():
        found = [float(np.asarray(term(logits))) for term in terms]
        np.testing.assert_allclose(found, expected[name], rtol=1e-5, err_msg=name)


def test_the_penalty_is_of_the_distance_from_length_one():
    slopes = np.zeros((2, 2, 2, 1), "float32")
    slopes[0, 0, 0] = 3.0  # of length 3 and 0
    assert float(np.asarray(penalty(slopes))) == pytest.approx((4 + 1) / 2, rel=1e-4)


@pytest.mark.parametrize("training", [True, False])
def test_spectral_normalisation_bounds_what_a_layer_stretches(training):
    model = players("dense", is_spectral=True)
    model.fit(pictures(), epochs=20, batch_size=8, verbose="0")
    layer = model.discriminator.get_layer("spectral_dense1")
    fixed = [variable.value for variable in layer.non_trainable_variables]
    trainable = [variable.value for variable in layer.trainable_variables]
    kernel = np.asarray(layer.layer.kernel)
    assert np.linalg.norm(kernel, 2) > 1.3  # else there is nothing to bound
    inputs = np.concatenate([np.linalg.svd(kernel)[0][:, :1].T, np.zeros((1, 64))])
    one, zero = np.asarray(
        layer.stateless_call(trainable, fixed, inputs.astype("float32"), training=training)[0]
    )
    assert np.linalg.norm(one - zero) == pytest.approx(1.0, abs=0.1)


def test_a_kernel_of_zeros_stays_one_of_zeros():
    layer = SpectralNormalization(keras.layers.Dense(3, kernel_initializer="zeros"))
    found = np.asarray(layer(np.ones((2, 4), "float32"), training=True))
    np.testing.assert_array_equal(found, np.zeros((2, 3)))


def test_the_state_of_a_step_holds_what_both_players_keep():
    """Statistics of the generator move with each of its batches, as on the other backends."""
    model = players(is_spectral=True, critic_steps=2)
    groups = (
        model.trainable_variables,
        model.non_trainable_variables,
        model.optimizer.variables,
        model.metrics_variables,
    )
    state = [[variable.value for variable in group] for group in groups]
    _, after = model.train_step(tuple(state), pictures(8))
    moved = {
        variable.path: not np.array_equal(one, other)
        for variable, one, other in zip(groups[1], state[1], after[1], strict=True)
    }
    kept = {path: m for path, m in moved.items() if path.endswith(("moving_mean", "/vector"))}
    assert len(kept) == 6
    assert all(kept.values())


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="multiples of 4"):
        generator(height=9, width=8, channels=1)
    with pytest.raises(ValueError, match="expected one of"):
        players(loss="least-squares")
