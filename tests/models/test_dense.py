"""Dense networks: their numbers, their inputs, and what they refuse."""

from septet.models.dense import mlp, tabular

# isort: split
# Septet comes first, since it chooses the backend of Keras.
import keras
import numpy as np
import pytest
from pydantic import ValidationError

pytestmark = pytest.mark.slow  # builds and compiles many networks


def test_mlp_computes_its_layers():
    keras.utils.set_random_seed(0)
    model = mlp(num_features=3, hidden=[5, 4], num_outputs=2, activation="tanh", dropout=0.5)
    inputs = np.random.default_rng(0).normal(size=(7, 3)).astype("float32")
    names = ("hidden1", "hidden2", "outputs")
    layers = [list(map(np.asarray, model.get_layer(name).weights)) for name in names]
    (a, b), (c, d), (e, f) = layers
    expected = np.tanh(np.tanh(inputs @ a + b) @ c + d) @ e + f
    np.testing.assert_allclose(np.asarray(model({"features": inputs})), expected, atol=1e-5)
    training = np.asarray(model({"features": inputs}, training=True))
    assert np.abs(training - expected).max() > 0.1  # half of the hidden units are left out


def test_mlp_without_hidden_layers_is_linear():
    model = mlp(num_features=3, hidden=[], num_outputs=2)
    assert [tuple(weight.shape) for weight in model.weights] == [(3, 2), (2,)]


def test_mlp_normalises_each_hidden_layer():
    keras.utils.set_random_seed(0)
    model = mlp(num_features=3, hidden=[6], num_outputs=2, is_normalised=True)
    hidden = keras.Model(model.inputs, model.get_layer("normalization1").output)
    inputs = np.random.default_rng(0).normal(5.0, 3.0, (256, 3)).astype("float32")
    found = np.asarray(hidden([inputs], training=True))
    np.testing.assert_allclose(found.mean(axis=0), 0.0, atol=1e-4)
    np.testing.assert_allclose(found.std(axis=0), 1.0, atol=1e-2)


@pytest.mark.parametrize(
    "arguments",
    [
        {"num_features": 0},
        {"num_outputs": True},
        {"hidden": [0]},
        {"hidden": [4] * 65},
        {"activation": "sine"},
        {"dropout": 1.0},
        {"colour": 1},
    ],
)
def test_arguments_of_mlp_out_of_range_are_refused(arguments):
    with pytest.raises(ValidationError):
        mlp(**{"num_features": 3, "num_outputs": 2, **arguments})


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


@pytest.mark.parametrize("is_classifier", [True, False])
def test_members_answer_together_what_each_says_in_training(is_classifier):
    keras.utils.set_random_seed(0)
    model = tabular(3, [], 4, width=5, dropout=0.0, members=6, is_classifier=is_classifier)
    before = model.get_layer("mean_of_members").input
    apart = keras.Model(model.inputs, before)
    inputs = np.random.default_rng(0).normal(size=(7, 3)).astype("float32")
    each = np.asarray(apart({"numbers": inputs}))
    assert each.shape == (7, 6, 4)
    assert each.std(axis=1).min() > 1e-3  # no two members are alike
    together = np.asarray(model({"numbers": inputs}))
    if is_classifier:
        shares = np.exp(each) / np.exp(each).sum(axis=-1, keepdims=True)
        np.testing.assert_allclose(np.exp(together), shares.mean(axis=1), rtol=1e-4)
    else:
        np.testing.assert_allclose(together, each.mean(axis=1), atol=1e-5)
    assert model({"numbers": inputs}, training=True).shape == (7, 6, 4)


def test_a_member_learns_from_its_own_loss_alone():
    import jax

    from septet.engine.losses import LOSSES

    keras.utils.set_random_seed(0)
    model = tabular(3, [], 4, width=5, depth=0, members=2, is_classifier=True)
    inputs = np.random.default_rng(0).normal(size=(7, 3)).astype("float32")
    labels = np.arange(7) % 4
    loss = LOSSES["softmax"].compile_arguments()["loss"]
    fixed = [variable.value for variable in model.non_trainable_variables]

    def total(trainable):
        outputs = model.stateless_call(trainable, fixed, {"numbers": inputs}, training=True)[0]
        return loss(labels, outputs).mean(), outputs

    trainable = [variable.value for variable in model.trainable_variables]
    (value, outputs), _ = jax.value_and_grad(total, has_aux=True)(trainable)
    measured = [LOSSES["softmax"].measure(np.asarray(outputs)[:, m], labels) for m in range(2)]
    assert float(value) == pytest.approx(np.mean([m["loss"] for m in measured]), rel=1e-5)
    # A change of the first member's last kernel leaves the second's answers as they were.
    place = next(i for i, v in enumerate(trainable) if v.shape == (2, 5, 4))
    trainable[place] = trainable[place].at[0].add(1.0)
    changed = np.asarray(total(trainable)[1])
    np.testing.assert_array_equal(changed[:, 1], np.asarray(outputs)[:, 1])
    assert np.abs(changed[:, 0] - np.asarray(outputs)[:, 0]).max() > 0.1
