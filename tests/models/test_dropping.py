"""Dropout by hashes: so many zeros, others each time, the same for the same key."""

import septet  # noqa: F401

# isort: split
# Septet comes first, since it chooses the backend of Keras.
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from septet.models.dropping import Drop, hashed


def key(first: int, second: int) -> jax.Array:
    return jnp.array([first, second], jnp.uint32)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_so_many_are_dropped_and_the_rest_makes_up_for_them(rate):
    keras.utils.set_random_seed(0)
    layer = Drop(rate)
    inputs = np.ones((400, 500), np.float32)
    outputs = np.asarray(layer(inputs, training=True))
    kept = outputs != 0
    assert kept.mean() == pytest.approx(1 - rate, abs=5 * (rate * (1 - rate) / kept.size) ** 0.5)
    np.testing.assert_allclose(outputs[kept], 1 / (1 - rate), rtol=1e-6)
    # Rows, columns and neighbours say nothing about each other.
    for axis in (0, 1):
        spread = kept.mean(axis=axis).std()
        count = kept.shape[axis]
        assert spread == pytest.approx((rate * (1 - rate) / count) ** 0.5, rel=0.2)
        beside = np.corrcoef(kept.ravel(), np.roll(kept, 1, axis=axis).ravel())[0, 1]
        assert abs(beside) < 0.012
    again = np.asarray(layer(inputs, training=True)) != 0
    assert abs(np.corrcoef(kept.ravel(), again.ravel())[0, 1]) < 0.012
    np.testing.assert_array_equal(layer(inputs, training=False), inputs)


def test_every_bit_is_even_and_follows_from_no_other_key():
    bits = [np.asarray(hashed((1 << 16,), key(7, counter))) for counter in range(4)]
    for values in bits:
        ones = np.unpackbits(values.view(np.uint8)).reshape(-1, 32).mean(axis=0)
        np.testing.assert_allclose(ones, 0.5, atol=0.01)
        assert len(np.unique(values)) == len(values)  # a bijection of the places
    pairs = [(a, b) for a in range(4) for b in range(a)]
    for a, b in pairs:
        same = np.unpackbits((bits[a] ^ bits[b]).view(np.uint8)).mean()
        assert same == pytest.approx(0.5, abs=0.003)
    other_seed = np.asarray(hashed((1 << 16,), key(8, 0)))
    assert np.unpackbits((other_seed ^ bits[0]).view(np.uint8)).mean() == pytest.approx(
        0.5, abs=3e-3
    )


def test_the_same_key_gives_the_same_mask_compiled_or_not():
    plain = np.asarray(hashed((33, 7), key(1, 2)))
    compiled = np.asarray(jax.jit(lambda given: hashed((33, 7), given))(key(1, 2)))
    np.testing.assert_array_equal(plain, compiled)


def test_gradients_pass_where_values_do():
    layer = Drop(0.5)
    layer.build((8, 9))

    def total(inputs, state):
        with keras.StatelessScope(state_mapping=[(layer.seed_generator.state, state)]):
            outputs = layer(inputs, training=True)
        return outputs.sum(), outputs

    inputs = jnp.ones((8, 9))
    gradients, outputs = jax.grad(total, has_aux=True)(inputs, layer.seed_generator.state.value)
    np.testing.assert_array_equal(gradients, outputs)


def test_a_shape_of_noise_drops_together_and_edges_hold():
    outputs = np.asarray(Drop(0.5, noise_shape=(None, 1, 6))(np.ones((5, 4, 6)), training=True))
    assert (outputs == outputs[:, :1]).all()
    assert 0 < (outputs == 0).mean() < 1
    assert not np.asarray(Drop(1.0)(np.ones((3, 3)), training=True)).any()
    half = Drop(0.5, dtype="bfloat16")(jnp.ones((3, 3), jnp.bfloat16), training=True)
    assert half.dtype == jnp.bfloat16
