"""The order of examples."""

import numpy as np

from septet.engine.order import epoch_order

# np.argsort(np.random.Philox(key=[0, 0]).random_raw(8), kind="stable")
GOLDEN = [0, 2, 1, 5, 4, 3, 6, 7]


def test_order_is_a_permutation():
    assert np.array_equal(np.sort(epoch_order(1000, 1, 2)), np.arange(1000))


def test_order_depends_on_seed_and_epoch_alone():
    first = epoch_order(100, 1, 2)
    assert np.array_equal(first, epoch_order(100, 1, 2))
    assert not np.array_equal(first, epoch_order(100, 1, 3))
    assert not np.array_equal(first, epoch_order(100, 2, 2))


def test_order_is_the_same_on_every_machine_and_version():
    assert epoch_order(8, 0, 0).tolist() == GOLDEN


def test_every_place_is_equally_likely():
    places = np.array([np.flatnonzero(epoch_order(10, 0, epoch) == 3)[0] for epoch in range(2000)])
    assert abs(places.mean() - 4.5) < 0.25
