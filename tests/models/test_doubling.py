"""A convolution at twice a picture's size is that of the picture made twice as large."""

import keras
import numpy as np
import pytest
from keras import layers

from septet.models.doubling import DoublingConv2D


def pair(height, width, channels, filters, **given):
    """The two ways, with the same weights."""
    pictures = keras.Input((height, width, channels))
    large = layers.UpSampling2D(2)(pictures)
    plain = layers.Conv2D(filters, 3, padding="same", **given)
    slow = keras.Model(pictures, plain(large))
    quick = DoublingConv2D(filters, **given)
    fast = keras.Model(pictures, quick(pictures))
    random = np.random.default_rng(3)
    values = [random.normal(size=weight.shape) for weight in plain.weights]
    plain.set_weights(values)
    quick.set_weights(values)
    return slow, fast


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 5), (7, 7), (6, 3)])
@pytest.mark.parametrize("given", [{"use_bias": False}, {"activation": "tanh"}])
def test_it_is_the_convolution_of_the_enlarged_picture(height, width, given):
    slow, fast = pair(height, width, 3, 5, **given)
    pictures = np.random.default_rng(0).normal(size=(2, height, width, 3)).astype("float32")
    expected = np.asarray(slow(pictures))
    assert (
        expected.shape
        == (2, 2 * height, 2 * width, 5)
        == fast.compute_output_shape((2, height, width, 3))
    )
    np.testing.assert_allclose(np.asarray(fast(pictures)), expected, atol=2e-5)


def test_gradients_are_those_of_the_enlarged_picture():
    import jax

    slow, fast = pair(4, 6, 2, 3, use_bias=True)
    pictures = np.random.default_rng(1).normal(size=(2, 4, 6, 2)).astype("float32")
    found = []
    for model in (slow, fast):
        weights = [weight.value for weight in model.trainable_variables]

        def loss(weights, inputs, model=model):
            return (model.stateless_call(weights, [], inputs)[0] ** 2).sum()

        found.append(jax.tree.leaves(jax.grad(loss, argnums=(0, 1))(weights, pictures)))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-3)


def test_it_comes_back_from_its_settings():
    layer = DoublingConv2D(4, use_bias=False, name="c")
    again = DoublingConv2D.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
