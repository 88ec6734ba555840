"""The builders make the very networks that `benchmarks/seven.py` has written by hand."""

import sys
from pathlib import Path
from typing import Any

import septet
from septet.models.adversarial import adversarial
from septet.models.convolutional import cnn
from septet.models.dense import mlp
from septet.models.transformer import encoder

# isort: split
# Septet comes first, since it chooses the backend of Keras.
import jax
import keras
import numpy as np
import pytest

PEERS = Path(__file__).resolve().parents[2] / "benchmarks" / "peers"


@pytest.fixture(scope="module")
def peers():
    """(written by hand, made by builders): the two modules of the benchmark."""
    sys.path.insert(0, str(PEERS))
    import seven_builders  # pyright: ignore[reportMissingImports]
    import seven_models  # pyright: ignore[reportMissingImports]

    yield seven_models, seven_builders
    sys.path.remove(str(PEERS))


NAMES = ("dense", "cnn", "rnn", "lstm", "gru", "transformer", "gan")


def without_dropout(model: keras.Model) -> keras.Model:
    """The same model: the two networks draw other masks, which would hide a difference."""
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
    return model


def matrix_operations(jaxpr: Any) -> int:
    """Multiplications and additions of all matrix products and convolutions, loops repeated."""
    total = 0
    for equation in jaxpr.eqns:
        name, repeats = equation.primitive.name, equation.params.get("length", 1)
        if name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            left = equation.invars[0].aval
            depth = np.prod([left.shape[axis] for axis in contracted], dtype=int)
            total += 2 * equation.outvars[0].aval.size * int(depth)
        if name == "conv_general_dilated":
            kernel, spec = equation.invars[1].aval, equation.params["dimension_numbers"].rhs_spec
            total += 2 * equation.outvars[0].aval.size * (kernel.size // kernel.shape[spec[0]])
        inner = [getattr(value, "jaxpr", value) for value in equation.params.values()]
        total += repeats * sum(matrix_operations(one) for one in inner if hasattr(one, "eqns"))
    return total


def step_operations(model: Any, data: Any) -> int:
    """Of one training step of a model that was trained before."""
    groups = (model.trainable_variables, model.non_trainable_variables,
              model.optimizer.variables, model.metrics_variables)  # fmt: skip
    state = tuple([variable.value for variable in group] for group in groups)
    return matrix_operations(jax.make_jaxpr(model.train_step)(state, data).jaxpr)


@pytest.mark.parametrize("name", NAMES)
def test_builder_trains_as_the_network_written_by_hand(name, peers):
    by_hand, builders = peers
    # Of some weights two numbers of a pool are equal but for rounding, and gradients part there.
    keras.utils.set_random_seed(0)
    inputs, targets = by_hand.make(name, 32)
    inputs, targets = inputs[:128], None if targets is None else targets[:128]
    shaped = builders.shaped(name, inputs)
    written, made = without_dropout(by_hand.build(name)), without_dropout(builders.build(name))
    theirs, ours = written.trainable_variables, made.trainable_variables
    assert len(theirs) == len(ours)
    for one, other in zip(theirs, ours, strict=True):
        assert np.prod(one.shape) == np.prod(other.shape)
        # A copy, since training takes the arrays of its model for itself.
        other.assign(np.array(one.value).reshape(other.shape))

    losses = []
    for model, x in ((written, inputs), (made, shaped)):
        history = septet.fit(
            model, x, targets, batch_size=32, epochs=3, shuffle=False, verbose=0
        ).history
        losses.append(history["loss"])
    # Of two players, "loss" is the discriminator's by hand and the generator's of the builder.
    if name != "gan":
        np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)
    for one, other in zip(theirs, ours, strict=True):
        np.testing.assert_allclose(
            np.reshape(one.value, other.shape), np.asarray(other.value), rtol=1e-3, atol=2e-5
        )

    batch = shaped[:32] if name == "gan" else {key: rows[:32] for key, rows in shaped.items()}
    data = [part if targets is None else (part, targets[:32]) for part in (inputs[:32], batch)]
    counts = [
        step_operations(model, part) for model, part in zip((written, made), data, strict=True)
    ]
    assert counts[0] == counts[1] > 0


PLAIN: dict[str, Any] = {
    "height": 9, "width": 9, "channels": 1, "num_classes": 2, "mean": [0.0], "deviation": [1.0],
    "filters": [2, 2], "convolutions": [1, 2], "padding": "valid",
}  # fmt: skip
SERIES: dict[str, Any] = {"num_features": 3, "num_outputs": 1, "length": 4, "dim": 8}
PLAYERS: dict[str, Any] = {"height": 8, "width": 8, "channels": 1}


@pytest.mark.parametrize(
    ("build", "arguments", "message"),
    [
        (cnn, PLAIN, "9x9 cannot be halved 2 times after 3x3 convolutions without padding"),
        (encoder, {**SERIES, "has_projection": False}, "num_features 3 and dim 8"),
        (encoder, {**SERIES, "num_heads": 3}, "dim 8 and 3 heads"),
        (encoder, {**SERIES, "head_dim": 3, "positions": "rotary"}, "3 a head are odd"),
        (encoder, {**SERIES, "epsilon": 0.0}, "epsilon"),
        (adversarial, {**PLAYERS, "hidden": [8]}, "only the design 'dense' has"),
        (mlp, {"num_features": 0, "num_outputs": 1}, "num_features"),
    ],
)
def test_arguments_that_make_no_network_are_refused(build, arguments, message):
    with pytest.raises(ValueError, match=message):
        build(**arguments)
