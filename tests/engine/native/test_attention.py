"""Attention in C: what it mixes and its gradients are those of the scores written down."""

import septet  # noqa: F401

# isort: split
# Septet comes first, since it chooses the backend of Keras.
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from septet.engine.lowering import lowered
from septet.engine.native import attention, calls, depthwise
from septet.models.dropping import hashed
from septet.models.gpt import GptBlock
from septet.models.transformer_layers import Block

pytestmark = pytest.mark.skipif(not depthwise.lanes(), reason="there is no C compiler")

WRITTEN_DOWN = -1e30


def by_scores(queries, keys, values, allowed, key, is_causal, rate):
    scores = jnp.einsum("bqhd,bkhd->bhqk", queries, keys) * queries.shape[-1] ** -0.5
    if allowed is not None:
        scores = jnp.where(allowed[:, None], scores, WRITTEN_DOWN)
    if is_causal:
        rows, columns = jnp.arange(queries.shape[1]), jnp.arange(keys.shape[1])
        scores = jnp.where(columns[None, :] <= rows[:, None], scores, WRITTEN_DOWN)
    shares = jax.nn.softmax(scores, -1)
    if key is not None:
        kept = hashed(shares.shape, key) >= jnp.uint32(round(rate * 2**32))
        shares = jnp.where(kept, shares / (1 - rate), 0)
    return jnp.einsum("bhqk,bkhd->bqhd", shares, values)


CASES = {
    # batch, rows, keys, heads, size, causal, rows of the mask, dropout
    "to what came before": (2, 40, 40, 2, 32, True, 0, 0.0),
    "a mask for all rows": (2, 33, 50, 3, 16, False, 1, 0.2),
    "a mask for each row": (2, 17, 23, 2, 16, False, -1, 0.0),
    "all of it": (1, 64, 64, 2, 64, True, -1, 0.1),
    "many, shared by threads": (2, 300, 300, 2, 64, True, 0, 0.1),
    "one row": (3, 1, 20, 1, 48, False, 0, 0.0),
}


@pytest.mark.parametrize("name", CASES)
def test_mixed_and_gradients_are_those_of_scores(name):
    batch, rows, keys, heads, size, is_causal, masks, rate = CASES[name]
    random = np.random.default_rng(0)
    given = [
        jnp.asarray(random.normal(size=(batch, time, heads, size)), jnp.float32)
        for time in (rows, keys, keys)
    ]
    allowed = None
    if masks:
        seen = random.random((batch, rows if masks < 0 else 1, keys)) < 0.7
        seen[:, :, 0] = True
        allowed = jnp.asarray(seen)
    key = jnp.asarray([3, 5], jnp.uint32) if rate else None
    with calls.opened(True):
        assert attention.fits(given[0].shape, given[1].shape, "float32")
    found, own_back = jax.vjp(
        lambda q, k, v: attention.mixed(
            (q, k, v), allowed=allowed, key=key, is_causal=is_causal, rate=rate
        ),
        *given,
    )
    wanted, back = jax.vjp(
        lambda q, k, v: by_scores(q, k, v, allowed, key, is_causal, rate), *given
    )
    gradient = jnp.asarray(random.normal(size=found.shape), jnp.float32)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    first = own_back(gradient)
    for own, theirs in zip(first, back(gradient), strict=True):
        np.testing.assert_allclose(own, theirs, atol=2e-5)
    for _ in range(5):
        for again, own in zip(own_back(gradient), first, strict=True):
            np.testing.assert_array_equal(again, own)


def test_a_row_that_sees_nothing_gives_nothing():
    ones = jnp.ones((1, 20, 1, 16))
    allowed = jnp.ones((1, 20, 20), bool).at[:, 3].set(False)

    def mixed(q, k, v):
        return attention.mixed((q, k, v), allowed=allowed)

    found, back = jax.vjp(mixed, ones, ones, ones)
    assert not np.any(found[0, 3])
    np.testing.assert_allclose(found[0, 4], 1.0, rtol=1e-6)
    assert all(np.isfinite(each).all() for each in back(found))


@pytest.mark.parametrize(
    ("shape", "is_open", "dtype"),
    [
        ((2, 20, 2, 16), False, "float32"),
        ((2, 20, 2, 16), True, "bfloat16"),
        ((2, 20, 2, 17), True, "float32"),
        ((2, 5, 2, 16), True, "float32"),
        ((None, 20, 2, 16), True, "float32"),
    ],
)
def test_what_does_not_fit_is_left_to_xla(shape, is_open, dtype):
    with calls.opened(is_open):
        assert not attention.fits(shape, shape, dtype)
        whole = (2, 20, 2, 32)
        assert attention.fits(whole, whole, "float32") == is_open


@pytest.mark.parametrize("kind", ["gpt", "causal", "masked", "memory"])
@pytest.mark.parametrize("is_training", [False, True])
def test_layers_give_the_same_with_it_and_without(kind, is_training):
    keras.utils.set_random_seed(0)
    if kind == "gpt":
        layer = GptBlock(64, 2, 96, 2, True, 0.2, 1e-5)
        more = {}
    else:
        layer = Block(
            64, 2, 96, "pre", "gelu", 0.2, True,
            is_causal=kind == "causal", has_memory=kind == "memory",
        )  # fmt: skip
        mask = np.arange(70)[None, :] < np.array([[70], [45], [60]])
        more = {} if kind == "causal" else {"mask": mask}
        if kind == "memory":
            random = np.random.default_rng(1)
            between = np.broadcast_to(np.arange(30)[None, None] < 21, (3, 70, 30))
            more |= {
                "memory": jnp.asarray(random.normal(size=(3, 30, 64)), jnp.float32),
                "memory_mask": jnp.asarray(between),
            }
    features = jnp.asarray(np.random.default_rng(0).normal(size=(3, 70, 64)), jnp.float32)
    layer(features, **more)
    trainable = [variable.value for variable in layer.trainable_variables]
    others = [variable.value for variable in layer.non_trainable_variables]

    def loss(trainable, features):
        call: Any = layer.stateless_call
        found = call(trainable, others, features, training=is_training, **more)[0]
        return jnp.sum(jnp.sin(found)), found

    def all_of_it():
        return jax.value_and_grad(loss, (0, 1), has_aux=True)(trainable, features)

    wanted = all_of_it()
    with lowered("cpu"):
        found = all_of_it()
        program = str(jax.make_jaxpr(lambda x: loss(trainable, x)[1])(features))
    assert program.count(attention.MIX) == (2 if kind == "memory" else 1)
    for own, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(own, theirs, atol=1e-4, rtol=1e-4)
