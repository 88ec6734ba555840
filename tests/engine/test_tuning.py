"""Parts of a network held still, then freed, at rates of their own, inside the one program."""

import septet  # noqa: F401

# isort: split
# Septet comes first, since it chooses the backend of Keras.
import jax
import keras
import numpy as np
from keras import layers

from septet.engine.program import Program, keras_step
from septet.engine.schedules import Control
from septet.engine.state import create_metrics, initial_state
from septet.engine.tuning import Tuning, held, rates

CONTROL = Control(np.int32(0), np.float32(0.0), np.int32(20), np.float32(1.0))


def small_network(optimizer: str = "adamw") -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = layers.Input((4,), name="features")
    hidden = layers.Dense(5, name="stage1_dense")(inputs)
    hidden = layers.BatchNormalization(name="stage1_normalization")(hidden)
    hidden = layers.ReLU()(hidden)
    hidden = layers.Dense(5, name="stage2_dense")(hidden)
    model = keras.Model({"features": inputs}, layers.Dense(2, name="logits")(hidden))
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


GROUPS = (0, 0, 0, 0, 1, 1, 2, 2)
"""Of kernel and bias, gamma and beta, then kernel and bias twice."""


def trained(tuning: Tuning | None, chunks: list[int], optimizer: str = "adamw") -> tuple:
    """The first state and those after each chunk of steps."""
    model = small_network(optimizer)
    random = np.random.default_rng(0)
    block = ({"features": random.normal(size=(40, 4)).astype(np.float32)},
             random.integers(0, 2, 40).astype(np.int32))  # fmt: skip
    create_metrics(model, block)
    state = initial_state(model, with_average=False)
    first = jax.tree.map(np.array, state)
    step = keras_step(model, learning_rate=0.05, schedule="constant", warmup=0.0, tuning=tuning)
    program = Program(step, 2, "cpu")
    order = np.arange(40, dtype=np.int32)
    program.lower(state, block, order, CONTROL)
    program.compile()
    states, done = [first], 0
    for count in chunks:
        state, _, _ = program(state, block, order, CONTROL, done, count)
        done += count
        states.append(jax.tree.map(np.array, state))
    assert program.num_traces == 1
    return tuple(states)


def moved(before, after) -> list[bool]:
    pairs = zip(before.trainable, after.trainable, strict=True)
    return [not np.array_equal(old, new) for old, new in pairs]


def test_what_is_held_keeps_every_bit_and_then_moves():
    first, frozen, freed = trained(Tuning(GROUPS, frozen=0.5), [10, 10])
    assert moved(first, frozen) == [group == 2 for group in GROUPS]
    assert all(moved(frozen, freed))
    # Its moving statistics, too.
    for old, new, last in zip(
        first.non_trainable, frozen.non_trainable, freed.non_trainable, strict=True
    ):
        np.testing.assert_array_equal(old, new)
        assert not np.array_equal(new, last)


def test_kept_normalisations_stay_while_all_else_moves():
    first, early, last = trained(Tuning(GROUPS, frozen=0.5, kept=frozenset({2, 3})), [10, 10])
    assert moved(first, early) == [group == 2 for group in GROUPS]
    assert moved(early, last) == [place not in (2, 3) for place in range(len(GROUPS))]
    for old, new in zip(first.non_trainable, last.non_trainable, strict=True):
        np.testing.assert_array_equal(old, new)


def test_stages_are_freed_from_the_last_to_the_first():
    tuning = Tuning(GROUPS, frozen=0.25, thawing=0.5)
    assert [tuning.freed_at(group) for group in range(3)] == [0.75, 0.25, 0.0]
    states = trained(tuning, [5, 10, 5])
    assert moved(states[0], states[1]) == [group == 2 for group in GROUPS]
    assert moved(states[1], states[2]) == [group >= 1 for group in GROUPS]
    assert all(moved(states[2], states[3]))


def test_no_chunk_length_changes_a_bit():
    tuning = Tuning(GROUPS, frozen=0.35, thawing=0.3, decay=0.5)
    whole = trained(tuning, [20])[-1]
    pieces = trained(tuning, [1, 6, 3, 8, 2])[-1]
    for one, other in zip(jax.tree.leaves(whole), jax.tree.leaves(pieces), strict=True):
        np.testing.assert_array_equal(one, other)


def test_each_stage_further_down_moves_by_the_decay():
    plain = trained(None, [1], "sgd")
    slowed = trained(Tuning(GROUPS, decay=0.5), [1], "sgd")
    for place, group in enumerate(GROUPS):
        own = plain[1].trainable[place] - plain[0].trainable[place]
        found = slowed[1].trainable[place] - slowed[0].trainable[place]
        np.testing.assert_allclose(found, 0.5 ** (2 - group) * own, atol=1e-7)


def test_everything_new_is_plain_training():
    plain = trained(None, [7])[-1]
    found = trained(Tuning((0,) * 8), [7])[-1]
    for one, other in zip(plain.trainable, found.trainable, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-6)


def test_what_was_frozen_begins_as_slowly_as_a_new_run():
    # Adam divides by what it counts from the run's first step, and has seen one gradient of 11.
    given = rates(Tuning((0, 1), frozen=0.5), np.int32(10), CONTROL, 0.999)
    np.testing.assert_allclose(float(given[0]), np.sqrt((1 - 0.999) / (1 - 0.999**11)), rtol=1e-4)
    assert float(rates(Tuning((0, 1), frozen=0.5), np.int32(9), CONTROL, 0.999)[0]) == 0.0
    assert float(given[1]) == 1.0


def test_what_thaws_later_has_had_its_gradients_all_along():
    tuning = Tuning((0, 1, 2), thawing=0.5)
    for step, expected in ((0, [0, 1, 1]), (9, [0, 1, 1]), (10, [1, 1, 1])):
        given = rates(tuning, np.int32(step), CONTROL, 0.999)
        assert [float(each) for each in given] == expected


def test_nothing_of_the_hold_is_left_on_the_model():
    model = small_network()
    before = set(model.__dict__), set(model.get_layer("stage1_normalization").__dict__)
    with held(model, Tuning(GROUPS).old):
        assert "stateless_call" in model.__dict__
    assert set(model.__dict__) == before[0]
    assert set(model.get_layer("stage1_normalization").__dict__) == before[1]
