"""Steps by several threads: the same numbers, and as many threads as are fastest."""

import jax
import jax.numpy as jnp
import keras
import numpy as np

import septet
from septet.engine.native import threads
from septet.engine.native.threads import AGAIN, Threads
from tests.engine.native.compiled import needs_compiler, same_as_xla


def test_the_fastest_number_is_used_and_the_others_are_tried_again():
    choice = Threads(2)
    assert choice.options == [1, 2]
    speeds = {1: 3e-3, 2: 2e-3}
    chosen = []
    for _ in range(3 * AGAIN):
        count = choice.choose()
        chosen.append(count)
        choice.see(count, 10, 10 * speeds[count])
    assert chosen[:5] == [1, 2, 1, 2, 2]
    assert chosen.count(1) == 6  # twice to begin with, twice soon after, and twice again
    speeds[2] = 9e-3  # somebody else needs the other processor now
    for _ in range(2 * AGAIN):
        count = choice.choose()
        choice.see(count, 10, 10 * speeds[count])
    assert choice.choose() == 1


def test_one_call_that_was_disturbed_decides_nothing():
    choice = Threads(2)
    speeds = {1: 3e-3, 2: 2e-3}
    for call in range(6):
        count = choice.choose()
        choice.see(count, 10, 10 * speeds[count] * (5 if call == 1 else 1))
    assert choice.choose() == 2


def test_calls_that_are_too_short_tell_nothing():
    choice = Threads(4)
    assert choice.options == [1, 2, 4]
    choice.see(1, 1, 1e-6)
    assert choice.choose() == 1
    assert Threads(1).choose() == 1


@needs_compiler
def test_every_kind_of_loop_is_shared():
    rng = np.random.default_rng(0)
    wide = rng.normal(size=(67, 131)).astype(np.float32)
    batch = rng.normal(size=(8, 33, 40)).astype(np.float32)
    rows = rng.integers(0, 67, 50).astype(np.int32)
    # Each is also run by three threads, and must give the same bits.
    same_as_xla(lambda x: jnp.tanh(x) * x.sum(axis=0), wide)
    same_as_xla(lambda x: (x.sum(axis=1), x.max(axis=0), x.sum()), wide, tolerance=2e-5)
    # Five rows are too few to share, and the inner loop's rounds are no neighbouring sums.
    few = rng.normal(size=(5, 96, 24)).astype(np.float32)
    same_as_xla(lambda x: (x.sum(axis=1), x.max(axis=1)), few, tolerance=2e-5)
    same_as_xla(lambda x: x @ x.T, wide, tolerance=1e-5)
    same_as_xla(lambda x: jnp.einsum("bij,bkj->bik", x, x), batch, tolerance=1e-5)
    same_as_xla(lambda x, r: (x[r], x.at[r].add(1.0)), wide, rows)
    same_as_xla(lambda x: jnp.concatenate([x, 2 * x[:, :50], x[:, :3]], axis=1), wide)
    same_as_xla(lambda x: jnp.pad(x, ((3, 2), (5, 0))), wide)
    same_as_xla(lambda x: jax.random.normal(jax.random.key(0), x.shape) + x, wide, tolerance=1e-5)


@needs_compiler
def test_training_gives_the_same_bits_for_any_number_of_threads(monkeypatch):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(96, 7, 12)).astype(np.float32)
    y = x.sum(axis=(1, 2))

    def trained(count):
        monkeypatch.setattr(threads.Threads, "choose", lambda self: count)
        monkeypatch.setattr(threads.Threads, "see", lambda self, *seen: None)
        keras.utils.set_random_seed(0)
        layers = [keras.Input((7, 12)), keras.layers.GRU(24), keras.layers.Dense(1)]
        model = keras.Sequential(layers)
        model.compile("adam", "mse")
        history = septet.fit(model, x, y, epochs=3, verbose=0, seed=1)
        return history.history["loss"], [np.asarray(variable.value) for variable in model.weights]

    (loss, weights), (again, others) = trained(1), trained(3)
    assert loss == again
    for one, other in zip(weights, others, strict=True):
        np.testing.assert_array_equal(one, other)
