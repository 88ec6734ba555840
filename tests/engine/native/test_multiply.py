"""Products in C: of every kind, odd sizes and both ways, near those of float64; and their use."""

import septet  # noqa: F401

# isort: split
# Septet comes first, since it chooses the backend of Keras.
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from septet.engine.lowering import lowered
from septet.engine.native import building, calls, depthwise, multiply

pytestmark = pytest.mark.skipif(not depthwise.lanes(), reason="there is no C compiler")

WAYS = [False, *([True] if multiply.splits() else [])]
SIZES = [
    (1, 1, 1), (17, 33, 49), (31, 64, 32), (32, 1000, 300), (100, 384, 77), (333, 7, 31),
    (70, 2100, 40), (513, 200, 129),
    (1600, 4200, 1590),
]  # fmt: skip


def sides(size, name):
    """Left and right as the kind of product takes them, and what they give in float64."""
    random, (rows, depth, columns) = np.random.default_rng(0), size
    left = random.normal(size=(rows, depth)).astype(np.float32)
    right = random.normal(size=(depth, columns)).astype(np.float32)
    wanted = left.astype(np.float64) @ right.astype(np.float64)
    scale = np.abs(left).astype(np.float64) @ np.abs(right).astype(np.float64)
    a = np.ascontiguousarray(left.T) if name == multiply.LEFT else left
    b = np.ascontiguousarray(right.T) if name == multiply.RIGHT else right
    return a, b, wanted, scale


@pytest.mark.parametrize("is_split", WAYS)
@pytest.mark.parametrize("name", [multiply.PLAIN, multiply.RIGHT, multiply.LEFT])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_every_number_is_within_what_is_promised(size, name, is_split):
    a, b, wanted, scale = sides(size, name)
    found = np.asarray(jax.jit(multiply.programs(is_split)[name])(a, b), np.float64)
    # 2^-16 of each product that is added up; unsplit, float32's own rounding.
    allowed = scale * (2.0**-16 if is_split else 2.0**-20) + 1e-30
    assert found.shape == wanted.shape
    assert np.all(np.abs(found - wanted) <= allowed)


def slope(product, a, b):
    """The gradient, by both sides, of what is no line in either."""
    return jax.grad(lambda a, b: jnp.sum(jnp.tanh(product(a, b) / 8)), (0, 1))(a, b)


def bend(product, a, b):
    """The gradient of the gradient's size."""
    return jax.grad(lambda a, b: sum(jnp.sum(g**2) for g in slope(product, a, b)), (0, 1))(a, b)


@pytest.mark.parametrize("is_split", WAYS)
def test_gradients_and_theirs_are_those_of_matmul(is_split):
    random = np.random.default_rng(1)
    left, right = (
        jnp.asarray(random.normal(size=size), jnp.float32) for size in ((40, 24), (24, 33))
    )
    for name, a, b, plain in (
        (multiply.PLAIN, left, right, lambda a, b: a @ b),
        (multiply.RIGHT, left, right.T, lambda a, b: a @ b.T),
        (multiply.LEFT, left.T, right, lambda a, b: a.T @ b),
    ):
        own = multiply.programs(is_split)[name]
        for gradient in (slope, bend):
            for found, wanted in zip(gradient(own, a, b), gradient(plain, a, b), strict=True):
                np.testing.assert_allclose(found, wanted, rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("is_split", WAYS)
def test_the_same_bits_each_time_and_what_is_no_number_stays_none(is_split):
    a, b, *_ = sides((300, 200, 150), multiply.PLAIN)
    product = jax.jit(multiply.programs(is_split)[multiply.PLAIN])
    first = np.asarray(product(a, b))
    for _ in range(20):
        assert np.array_equal(first, product(a, b))
    a[7, 3], a[11, 5] = np.nan, np.inf
    found = np.asarray(product(a, b))
    assert not np.isfinite(found[[7, 11]]).any()
    assert np.array_equal(np.delete(found, [7, 11], 0), np.delete(first, [7, 11], 0))


def test_large_and_small_numbers_keep_their_share():
    if not multiply.splits():
        pytest.skip("numbers are not split here")
    random = np.random.default_rng(2)
    exponents = random.integers(-60, 60, size=(64, 64))
    a = (random.normal(size=(64, 64)) * 2.0**exponents).astype(np.float32)
    b = np.eye(64, dtype=np.float32)
    found = np.asarray(multiply.programs(True)[multiply.PLAIN](a, b))
    # Each number is the sum of its halves: 16 bits, and the sign of the rest, are kept.
    np.testing.assert_allclose(found, a, rtol=2.0**-16)


def traced(function, *given, trains=True):
    with lowered("cpu", trains=trains):
        return str(jax.jit(function).trace(*given).jaxpr)


def test_only_what_learns_and_is_large_is_a_call():
    large, matrix = (jax.ShapeDtypeStruct(s, jnp.float32) for s in ((4, 256, 512), (512, 512)))
    small = jax.ShapeDtypeStruct((4, 8), jnp.float32)

    def use(x, y):
        return jnp.matmul(x, y)

    assert "ffi_call" in traced(use, large, matrix)
    assert "ffi_call" not in traced(lambda x, y: use(x, y) + 0, large, matrix, trains=False)
    assert "ffi_call" not in traced(lambda x, y: use(x, y) + 1, small, matrix.update(shape=(8, 8)))
    half = large.update(dtype=jnp.bfloat16), matrix.update(dtype=jnp.bfloat16)
    assert "ffi_call" not in traced(lambda x, y: use(x, y) + 2, *half)
    assert "ffi_call" not in str(jax.jit(lambda x, y: use(x, y) + 3).trace(large, matrix).jaxpr)


def test_what_would_be_a_call_is_counted_where_none_may_be_made():
    before = calls.misses()
    assert not multiply.fits((512, 512), (512, 512), ("float32", "float32"))
    assert calls.misses() == before + 1
    assert not multiply.fits((5, 512), (512, 512), ("float32", "float32"))
    assert calls.misses() == before + 1


def test_the_receipt_says_whether_numbers_are_split(monkeypatch):
    monkeypatch.setenv(building.SPLIT, "0")
    assert not multiply.splits()
    assert "bfloat16" not in building.description()
    monkeypatch.setenv(building.SPLIT, "1")
    assert multiply.splits() == ("tiles of bfloat16" in building.description())


@pytest.mark.parametrize("switch", ["0", "1"])
def test_a_dense_layer_and_a_convolution_learn_by_calls(switch, monkeypatch):
    monkeypatch.setenv(building.SPLIT, switch)
    random = np.random.default_rng(3)
    for layer, shape in (
        (keras.layers.Dense(256), (2, 256, 384)),
        (keras.layers.Conv2D(128, 3, padding="same"), (2, 24, 24, 128)),
    ):
        layer.build(shape)
        weights = [w.value for w in layer.trainable_variables]
        x = jnp.asarray(random.normal(size=shape), jnp.float32)

        def loss(weights, x, layer=layer):
            return jnp.sum(jnp.sin(layer.stateless_call(weights, [], x)[0]))

        with lowered("cpu", trains=True):
            program = jax.jit(jax.grad(loss, (0, 1))).trace(weights, x)
            assert str(program.jaxpr).count("ffi_call") >= 3
            found = program.lower().compile()(weights, x)
        wanted = jax.grad(loss, (0, 1))(weights, x)
        for own, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
            size = float(jnp.max(jnp.abs(theirs)))
            np.testing.assert_allclose(own, theirs, atol=3e-4 * size)
