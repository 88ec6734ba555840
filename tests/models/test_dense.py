"""Dense networks: their numbers, their inputs, and what they refuse."""

from septet.models.dense import dense, tabular

# isort: split
# Septet comes first, since it chooses the backend of Keras.
import keras
import numpy as np
import pytest
from pydantic import ValidationError

pytestmark = pytest.mark.slow  # builds and compiles many networks


def test_dense_computes_its_layers():
    keras.utils.set_random_seed(0)
    model = dense(3, [5, 4], 2, "tanh")
    inputs = np.random.default_rng(0).normal(size=(7, 3)).astype("float32")
    a, b, c, d, e, f = map(np.asarray, model.weights)
    expected = np.tanh(np.tanh(inputs @ a + b) @ c + d) @ e + f
    np.testing.assert_allclose(np.asarray(model(inputs)), expected, atol=1e-5)


def test_tabular_has_only_the_inputs_that_have_columns():
    assert sorted(tabular(3, [4, 5], 2).input) == ["categories", "numbers"]
    assert sorted(tabular(3, [], 2).input) == ["numbers"]
    assert sorted(tabular(0, [4], 2).input) == ["categories"]


def test_each_category_column_has_its_own_rows_of_the_table():
    model = tabular(0, [2, 3], 1, embedding_dim=1)
    table = model.get_layer("embedding")
    table.set_weights([np.arange(5.0)[:, None]])
    flat = next(layer for layer in model.layers if isinstance(layer, keras.layers.Flatten))
    embedded = keras.Model(model.input, flat.output)
    found = embedded({"categories": np.array([[0, 0], [1, 2]], "int32")})
    np.testing.assert_array_equal(np.asarray(found), [[0, 2], [1, 4]])


def test_a_row_is_answered_the_same_alone_and_in_a_batch():
    model = tabular(4, [3], 2, dropout=0.5)
    draw = np.random.default_rng(1)
    inputs = {
        "numbers": draw.normal(size=(6, 4)).astype("float32"),
        "categories": draw.integers(0, 3, (6, 1)).astype("int32"),
    }
    together = np.asarray(model(inputs))
    alone = np.asarray(model({name: array[2:3] for name, array in inputs.items()}))
    np.testing.assert_allclose(alone[0], together[2], atol=1e-5)
    assert together.shape == (6, 2)


def test_tabular_builds_without_memory_in_a_stateless_scope():
    with keras.StatelessScope():
        model = tabular(4, [3, 9], 2)
    assert model.count_params() > 0


@pytest.mark.parametrize(
    "arguments",
    [
        {"num_numbers": -1},
        {"num_outputs": 0},
        {"width": 10**9},
        {"depth": 1.5},
        {"depth": True},
        {"dropout": 1.0},
        {"dropout": float("nan")},
        {"cardinalities": [0]},
        {"cardinalities": [10**12]},
        {"activation": "os.system"},
        {"colour": 1},
    ],
)
def test_arguments_out_of_range_are_refused(arguments):
    with pytest.raises(ValidationError):
        tabular(**{"num_numbers": 3, "cardinalities": [], "num_outputs": 2, **arguments})


def test_a_network_without_columns_is_refused():
    with pytest.raises(ValueError, match="at least one column"):
        tabular(0, [], 2)
