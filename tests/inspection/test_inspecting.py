"""Layer by layer: order, names, exact gradients, dead units, and every registered network."""

import io
from dataclasses import replace

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

import septet
from septet import registry
from septet.errors import InputError
from septet.evaluation import drawing
from septet.inspection import examples, picture
from septet.inspection.examples import EXAMPLES
from septet.inspection.findings import Inspection
from septet.inspection.looking import look
from septet.inspection.players import scenes_of

SMALL = {
    "adversarial": {"height": 8, "width": 8, "filters": 4},
    "bert": {
        "vocabulary_size": 20, "length": 6, "dim": 8, "depth": 1, "num_heads": 2,
        "feed_forward_dim": 16,
    },
    "cnn": {"height": 8, "width": 8, "filters": [4, 8], "convolutions": [1, 1], "dense_dim": 8},
    "detector": {"height": 32, "width": 32, "pyramid_dim": 8, "head_depth": 1},
    "discriminator": {"height": 8, "width": 8, "filters": 4, "design": "dense"},
    "generator": {"height": 8, "width": 8, "filters": 4, "design": "dense"},
    "gpt": {"vocabulary_size": 20, "length": 6, "dim": 8, "depth": 1, "num_heads": 2},
    "keras-application": {},
    "language-lstm": {"vocabulary_size": 20, "dim": 4, "units": 4, "depth": 1},
    "mlp": {"hidden": [8]},
    "picture-classifier": {},
    "pixel-head": {},
    "recurrent": {"hidden": [4], "is_bidirectional": True},
    "resnet": {"height": 8, "width": 8, "filters": [4, 8], "blocks": 1},
    "tabular": {"width": 8, "depth": 1, "members": 2},
    "text-bag": {"vocabulary_size": 20, "dim": 4, "buckets": 50},
    "text-cnn": {"vocabulary_size": 20, "dim": 4, "filters": 4},
    "text-encoder": {
        "vocabulary_size": 20, "length": 6, "dim": 8, "depth": 1, "num_heads": 2,
        "feed_forward_dim": 16,
    },
    "text-recurrent": {"vocabulary_size": 20, "dim": 4, "units": 4},
    "transformer": {
        "source_vocabulary_size": 20, "target_vocabulary_size": 20, "length": 6,
        "dim": 8, "depth": 1, "num_heads": 2, "feed_forward_dim": 16,
    },
    "transformer-decoder": {
        "vocabulary_size": 20, "length": 6, "dim": 8, "depth": 1, "num_heads": 2,
        "feed_forward_dim": 16,
    },
    "transformer-encoder": {
        "vocabulary_size": 20, "length": 6, "dim": 8, "depth": 1, "num_heads": 2,
        "feed_forward_dim": 16,
    },
    "translation-gru": {"vocabulary_size": 20, "dim": 4, "units": 4},
    "translation-transformer": {
        "vocabulary_size": 20, "length": 6, "dim": 8, "depth": 1, "num_heads": 2,
        "feed_forward_dim": 16,
    },
    "unet": {"filters": [4, 8], "blocks": [1, 1]},
    "video-cnn": {"filters": [4, 8]},
    "video-recurrent": {"filters": [4, 8]},
}  # fmt: skip


def names_of(found: Inspection) -> list[str]:
    return [row.name for row in found.rows]


def whole_gradients(model, x, y):
    """Gradients of Keras' own training loss."""

    def loss(trainable):
        fixed = [variable.value for variable in model.non_trainable_variables]
        return model.compute_loss_and_updates(
            trainable, fixed, [], x, y, None, training=True,
            optimizer_variables=[v.value for v in model.optimizer.variables],
        )[0]  # fmt: skip

    values = [variable.value for variable in model.trainable_variables]
    slopes = jax.jit(jax.grad(loss))(values)
    return {v.path: np.asarray(s) for v, s in zip(model.trainable_variables, slopes, strict=True)}


def dense_model() -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(8, "relu", kernel_regularizer="l2", name="first"),
            layers.Dropout(0.5, name="drop"),
            layers.BatchNormalization(name="normal"),
            layers.Dense(3, activity_regularizer="l2", name="last"),
        ]
    )


def masked_model() -> keras.Model:
    keras.utils.set_random_seed(0)
    tokens = keras.Input((7,), dtype="int32")
    hidden = layers.Embedding(9, 4, mask_zero=True, name="embedding")(tokens)
    hidden = layers.Bidirectional(layers.LSTM(5, return_sequences=True, name="lstm"), name="both")(
        hidden
    )
    hidden = layers.TimeDistributed(layers.Dense(4, "tanh", name="inner"), name="each")(hidden)
    return keras.Model(tokens, layers.Dense(3, name="last")(layers.GRU(4, name="gru")(hidden)))


def nested_model() -> keras.Model:
    keras.utils.set_random_seed(0)
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4, "tanh", name="in1")], name="inner")
    inputs = keras.Input((4,))
    twice = inner(inner(inputs))
    return keras.Model(
        inputs, layers.Dense(3, name="last")(layers.Add(name="sum")([inputs, twice]))
    )


class Subclassed(keras.Model):
    """A model that only its call describes."""

    def __init__(self):
        """Two layers."""
        super().__init__(name="mine")
        self.first = layers.Dense(5, "relu", name="first")
        self.last = layers.Dense(3, name="last")

    def call(self, x):
        """One after the other."""
        return self.last(self.first(x))


CASES = {
    "dense": (dense_model, (16, 6)),
    "masked": (masked_model, (16, 7)),
    "nested": (nested_model, (16, 4)),
    "subclassed": (Subclassed, (16, 4)),
}


def case(name: str):
    build, shape = CASES[name]
    draw = np.random.default_rng(0)
    is_tokens = name == "masked"
    x = draw.integers(0, 9, shape).astype("int32") if is_tokens else draw.normal(size=shape)
    model = build()
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model, x if is_tokens else x.astype("float32"), draw.integers(0, 3, 16)


@pytest.mark.parametrize("name", CASES)
def test_gradients_are_those_of_the_whole_model(name):
    model, x, y = case(name)
    before = [np.array(variable.value) for variable in model.variables] if model.built else None
    found = septet.inspect(model, x, y, backward=True, timed=False)
    if before is not None:
        for variable, value in zip(model.variables, before, strict=False):
            np.testing.assert_array_equal(np.asarray(variable.value), value)
    model.optimizer.build(model.trainable_variables)
    expected = whole_gradients(model, x, y)
    weights = {w.name: w for row in found.parts[0].layers for w in row.weights}
    parts = [row for row in found.parts[0].layers if row.depth == 1]
    counted = [w.name for row in parts for w in row.weights]
    assert sorted(counted) == sorted(weight.path for weight in model.weights)
    for path, slope in expected.items():
        norm = np.linalg.norm(slope.astype(np.float64).ravel())
        measured = next(w for row in parts for w in row.weights if w.name == path)
        assert measured.gradient_norm == pytest.approx(norm, rel=2e-4, abs=1e-7), path
        assert weights[path].gradient_norm == measured.gradient_norm
    total = np.sqrt(sum(np.square(slope.astype(np.float64)).sum() for slope in expected.values()))
    assert found.parts[0].total.weight_gradient_norm == pytest.approx(total, rel=2e-4)


def test_gradient_of_an_activation_is_that_of_the_layers_after_it():
    model, x, y = case("subclassed")
    found = septet.inspect(model, x, y, backward=True, timed=False)
    hidden = np.asarray(model.first(x))

    def loss(hidden):
        return model.compute_loss(x, y, model.last(hidden))

    norm = float(np.linalg.norm(np.asarray(jax.grad(loss)(hidden))))
    row = next(row for row in found.rows if row.name == "first")
    assert row.activation_gradient_norm == pytest.approx(norm, rel=1e-5)
    assert row.signal is not None
    assert row.signal.norm == pytest.approx(float(np.linalg.norm(hidden)), rel=1e-5)


def test_gradient_by_time_step_is_that_of_a_recurrent_layers_input():
    keras.utils.set_random_seed(0)
    layer, head = layers.SimpleRNN(4, name="rnn"), layers.Dense(1, name="head")
    model = keras.Sequential([keras.Input((6, 2)), layer, head])
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(5, 6, 2)).astype("float32")
    y = np.ones((5, 1), "float32")
    found = septet.inspect(model, x, y, backward=True, timed=False)
    slope = np.asarray(jax.grad(lambda x: model.compute_loss(x, y, model(x)))(x))
    row = next(row for row in found.rows if row.name == "rnn")
    expected = np.sqrt(np.square(slope).sum(axis=(0, 2)))
    np.testing.assert_allclose(row.step_gradient_norms or [], expected, rtol=1e-4)


def test_layers_come_in_the_order_they_run_with_those_within_them():
    found = septet.inspect(*case("masked")[:2], timed=False)
    assert names_of(found)[1:] == [
        "embedding", "both", "forward_lstm", "backward_lstm", "each", "gru", "last"
    ]  # fmt: skip
    depths = {row.name: row.depth for row in found.rows}
    assert depths["both"] == 1
    assert depths["forward_lstm"] == 2
    shallow = septet.inspect(*case("masked")[:2], timed=False, depth=1)
    assert names_of(shallow)[1:] == ["embedding", "both", "each", "gru", "last"]
    assert shallow.parts[0].total.trainable == found.parts[0].total.trainable


def test_a_layer_that_runs_twice_has_its_weights_counted_once():
    model, x, _ = case("nested")
    found = septet.inspect(model, x, timed=False)
    assert names_of(found)[1:] == ["inner", "in1", "inner", "in1", "sum", "last"]
    outer = [row for row in found.parts[0].layers if row.depth == 1]
    assert [row.is_shared for row in outer] == [False, True, False, False]
    assert sum(row.trainable for row in outer) == model.count_params()


def test_memory_counts_an_array_that_is_given_on_once():
    model, x, _ = case("nested")
    found = septet.inspect(model, x, timed=False)
    # Twice 4 from the inner network, 4 of the sum and 3 of the last layer, for 16 examples.
    assert found.parts[0].total.activation_bytes == 16 * (4 + 4 + 4 + 3) * 4
    assert found.parts[0].total.weight_bytes == model.count_params() * 4


def test_dead_units_and_saturation_are_counted_and_said():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(8, "relu", name="hidden"),
            layers.Dense(4, "sigmoid", name="gates"),
        ]
    )
    kernel, bias = (np.asarray(v.value) for v in model.get_layer("hidden").weights)
    bias = bias.copy()
    bias[:3] = -100.0
    model.get_layer("hidden").set_weights([kernel, bias])
    gates = model.get_layer("gates")
    gates.set_weights([np.zeros((8, 4)), np.array([50.0, -50.0, 50.0, 0.0])])
    x = np.random.default_rng(0).normal(size=(64, 3)).astype("float32")
    found = septet.inspect(model, x, timed=False)
    signals = {row.name: row.signal for row in found.rows if row.signal}
    hidden = np.asarray(model.get_layer("hidden")(x[:32]))
    assert signals["hidden"].dead == np.mean((hidden == 0).all(axis=0)) >= 3 / 8
    assert signals["gates"].saturated == 0.75
    said = "\n".join(found.remarks)
    assert "hidden: 38% of its units are dead" in said
    assert "gates: 75% of its outputs lie at its bounds (sigmoid)" in said


def test_numbers_that_are_not_finite_are_named():
    model, x, y = case("dense")
    x = x.copy()
    x[3, 2] = np.inf
    found = septet.inspect(model, x, y, backward=True, timed=False)
    assert any("first layer with such" in remark for remark in found.remarks)
    assert found.parts[0].total.non_finite > 0
    assert found.to_json()["parts"][0]["loss"] is None


@pytest.mark.parametrize(("scale", "word"), [(0.02, "vanishes"), (60.0, "explodes")])
def test_vanishing_and_exploding_gradients_are_said(scale, word):
    keras.utils.set_random_seed(0)
    stack = [layers.Dense(8, name=f"dense{n}") for n in range(4)]
    model = keras.Sequential([keras.Input((8,)), *stack])
    model.compile("sgd", "mse")
    for layer in stack:
        layer.set_weights([scale * np.eye(8), np.zeros(8)])
    if word == "explodes":
        stack[0].set_weights([np.eye(8) * 1e-6, np.zeros(8)])
    x = np.random.default_rng(0).normal(size=(8, 8)).astype("float32")
    found = septet.inspect(model, x, x, backward=True, timed=False)
    assert any(word in remark and "dense0" in remark for remark in found.remarks), found.remarks


def test_vanishing_through_time_is_said():
    keras.utils.set_random_seed(0)
    rnn = layers.SimpleRNN(4, name="rnn")
    model = keras.Sequential([keras.Input((40, 2)), rnn, layers.Dense(1)])
    model.compile("sgd", "mse")
    kernel, _, bias = (np.asarray(variable.value) for variable in rnn.weights)
    rnn.set_weights([kernel, 0.5 * np.eye(4), bias])
    x = np.random.default_rng(0).normal(size=(4, 40, 2)).astype("float32")
    found = septet.inspect(model, x, np.ones((4, 1)), backward=True, timed=False)
    assert any("rnn" in r and "vanishes through time" in r for r in found.remarks), found.remarks


def test_every_registered_architecture_has_an_example():
    assert set(EXAMPLES) == set(registry.ARCHITECTURES) == set(SMALL)


FAST = ("adversarial", "cnn", "recurrent", "transformer")
"""The others have no kind of layer that these have not."""


@pytest.mark.parametrize(
    "name",
    [
        name if name in FAST else pytest.param(name, marks=pytest.mark.slow)
        for name in sorted(registry.ARCHITECTURES)
    ],
)
def test_every_registered_architecture_is_looked_into(name, tmp_path):
    found = septet.inspect(name, arguments=SMALL[name], backward=True, timed=False, batch_size=4)
    assert any("MADE UP" in note for note in found.notes)
    for part in found.parts:
        assert part.loss is not None
        assert np.isfinite(part.loss)
        assert part.total.trainable > 0
        assert part.total.flops > 0
        assert part.total.weight_gradient_norm
        outer = [row for row in part.layers if row.depth == 1]
        assert sum(row.trainable for row in outer) == part.total.trainable
        assert all(row.non_finite == 0 for row in part.rows)
    if name == "adversarial":
        assert [part.name for part in found.parts] == ["generator", "discriminator"]
    if name == "recurrent":
        assert {"bidirectional1", "forward_lstm1", "backward_lstm1"} <= set(names_of(found))
    found.draw(tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("largest", "unit"),
    [(0, (1.0, "bytes")), (999, (1.0, "bytes")), (1000, (1e3, "kB")), (2.5e6, (1e6, "MB"))],
)
def test_a_picture_has_units_that_fit_its_numbers(largest, unit):
    assert picture.unit_of(largest, picture.BYTES) == unit


def test_a_picture_says_what_is_made_up_and_draws_what_no_font_has_as_a_question_mark():
    found = septet.inspect("mlp", arguments=SMALL["mlp"], timed=False, batch_size=4)
    bare = replace(found, notes=[])
    height = [Image.open(io.BytesIO(picture.picture_of(each))).height for each in (bare, found)]
    assert height[1] - height[0] >= len(found.notes) * 20
    assert drawing.safe_text("a $x$ \U0010fffd") == r"a \$x\$ ?"


def test_both_players_have_the_gradients_of_their_training_step():
    arguments = {**SMALL["adversarial"], "design": "dense", "filters": 1, "is_spectral": False}
    arguments |= {"loss": "wasserstein", "gradient_penalty": 10.0}
    model, arguments = examples.build("adversarial", arguments, seed=0)
    pictures, _ = examples.make_batch("adversarial", arguments, size=4, seed=0)
    maker, judge = scenes_of(model, pictures, is_training=True, with_loss=True, seed=0)
    real, noise, share = maker.data
    assert noise.shape == (4, 64)

    def called(network, weights, given):
        fixed = [variable.value for variable in network.non_trainable_variables]
        return network.stateless_call(weights, fixed, given, training=True)[0]

    weights = {
        network: [variable.value for variable in network.trainable_variables]
        for network in (model.generator, model.discriminator)
    }
    fake = called(model.generator, weights[model.generator], noise)

    def maker_loss(trainable):
        made = called(model.generator, trainable, noise)
        return -called(model.discriminator, weights[model.discriminator], made).mean()

    def judge_loss(trainable):
        def told(given):
            return called(model.discriminator, trainable, given)

        slopes = jax.grad(lambda given: told(given).sum())(real + share * (fake - real))
        lengths = jnp.sqrt(jnp.square(slopes).sum(axis=(1, 2, 3)))
        return told(fake).mean() - told(real).mean() + 10.0 * jnp.square(lengths - 1.0).mean()

    for scene, loss in ((maker, maker_loss), (judge, judge_loss)):
        part = look(scene, platform="cpu", depth=None, is_timed=False)
        value, slopes = jax.jit(jax.value_and_grad(loss))(weights[scene.network])
        assert part.loss == pytest.approx(float(value), rel=1e-4)
        for weight, slope in zip(part.total.weights, slopes, strict=True):
            norm = float(np.linalg.norm(np.asarray(slope).ravel()))
            assert weight.gradient_norm == pytest.approx(norm, rel=1e-3, abs=1e-6), weight.name


def test_times_are_measured_forward_and_backward():
    model, x, y = case("subclassed")
    found = septet.inspect(model, x, y, backward=True)
    for row in found.rows:
        assert row.forward_s is not None
        assert 0 < row.forward_s < 10
        assert row.backward_s is not None
        assert 0 < row.backward_s < 10
    forward = septet.inspect(model, x)
    assert all(row.forward_s and row.backward_s is None for row in forward.rows)


@pytest.mark.parametrize(
    ("arguments", "named", "expected"),
    [
        ((dense_model,), {}, "needs inputs"),
        ((dense_model, np.zeros((4, 6))), {"backward": True}, "is not compiled"),
        ((dense_model, np.zeros((4, 6)), np.zeros(3)), {}, "of one length"),
        ((dense_model, ["a", object()]), {}, "expected arrays"),
        ((dense_model, np.zeros((4, 6))), {"batch_size": 0}, "batch_size=0"),
        ((dense_model, np.zeros((4, 6))), {"arguments": {"width": 3}}, "takes no arguments"),
        (("cnn", np.zeros((4, 6))), {}, "brings its own batch"),
    ],
)
def test_what_cannot_be_looked_into_is_refused(arguments, named, expected, tmp_path, monkeypatch):
    monkeypatch.setenv("SEPTET_RUNS", str(tmp_path))
    what, *rest = arguments
    with pytest.raises(InputError, match=expected):
        septet.inspect(what() if callable(what) else what, *rest, **named)


@pytest.mark.parametrize("loss", [None, "mse"])
def test_gradients_without_loss_or_targets_are_refused(loss):
    model = keras.Sequential([keras.Input((6,)), layers.Dense(3)])
    model.compile("sgd", loss)
    with pytest.raises(InputError, match="without a loss" if loss is None else "need targets"):
        septet.inspect(model, np.zeros((4, 6), "float32"), backward=True)
