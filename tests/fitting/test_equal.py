"""`septet.fit` trains as `model.fit` does: history, weights, evaluation, draws of chance."""

# What Keras annotates is narrower than what it takes.
# pyright: reportArgumentType=false, reportOptionalMemberAccess=false
# pyright: reportOptionalSubscript=false, reportAssignmentType=false
# pyright: reportGeneralTypeIssues=false, reportReturnType=false

from typing import Any

import keras
import numpy as np
import pytest

from septet.errors import InputError
from septet.fitting import keras_inside
from septet.fitting.fit import evaluate, fit
from septet.fitting.outputs import predict
from tests.fitting.forms import FORMS
from tests.fitting.zoo import KINDS

# Keras' own variables do not know NumPy's `copy` yet.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    # Keras says so of every data set whose length it cannot ask for.
    pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning"),
]

EPOCHS = 2
NESTED = {"many_inputs", "many_outputs_with_loss_weights", "dicts_in_and_out", "shared_layers"}
NOT_FOR = {
    "weighted_samples": NESTED
    | {"added_loss_alone", "custom_train_step", "custom_compute_loss", "per_step_outputs"},
    "torch_loader": {"added_loss_alone"},
}
"""Forms that Keras itself refuses for some kinds, or that their own steps do not look at."""

PAIRS = [(kind, form) for kind in KINDS for form in FORMS if kind not in NOT_FOR.get(form, ())]
OF_OTHERS = ("torch_loader", "tf_data")  # whose packages only a benchmark's environment has
WALK = [pair for pair in PAIRS if pair[1] not in OF_OTHERS]
QUICK = WALK[:: 6 * (len(FORMS) - len(OF_OTHERS)) + 1]
"""A walk through kinds and forms, for each time the tests run; the slow tests do all."""


def trained(train: Any, kind: str, form: str, **more: Any) -> tuple[keras.Model, dict[str, Any]]:
    """A fresh model of a kind, trained by `train` from fixed seeds: (model, history)."""
    keras.utils.set_random_seed(3)
    model, x, y = KINDS[kind]()
    history = train(model, **FORMS[form](x, y), epochs=EPOCHS, verbose=0, **more)
    return model, history.history


def draw() -> float:
    """The next number of NumPy's global generator, from which Keras draws its orders."""
    return np.random.random()  # noqa: NPY002


def assert_same(kind: str, form: str) -> None:
    reference, expected = trained(keras.Model.fit, kind, form)
    chance = draw()
    model, found = trained(fit, kind, form)
    assert draw() == chance, "another number of draws"
    assert list(found) == list(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-5, atol=1e-7, err_msg=name)
    pairs = zip(model.variables, reference.variables, strict=True)
    for own, other in pairs:
        np.testing.assert_allclose(
            np.asarray(own, np.float64), np.asarray(other, np.float64), rtol=1e-4, atol=1e-6
        )
    assert int(model.optimizer.iterations) == int(reference.optimizer.iterations)


@pytest.mark.parametrize(("kind", "form"), QUICK)
def test_trains_as_keras_does(kind, form):
    assert_same(kind, form)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_in_every_form_trains_as_keras_does(kind, form):
    if kind in NOT_FOR.get(form, ()):
        pytest.skip("refused by Keras, or not looked at by the model's own step")
    assert_same(kind, form)


def weighted(train: Any, weights: np.ndarray, **compiled: Any) -> dict[str, Any]:
    """The history of a model that answers at each of six steps, on weighted examples."""
    keras.utils.set_random_seed(3)
    model, x, y = KINDS["per_step_outputs"]()
    model.compile("adam", "mse", **compiled)
    arguments = {"sample_weight": weights, "batch_size": 16, "epochs": EPOCHS, "verbose": 0}
    return train(model, x, y, **arguments).history


@pytest.mark.parametrize("metrics", ["metrics", "weighted_metrics"])
def test_each_step_of_an_example_may_have_a_weight(metrics):
    weights = np.random.default_rng(5).uniform(0.5, 1.5, (40, 6)).astype(np.float32)
    expected = weighted(keras.Model.fit, weights, **{metrics: ["mae"]})
    found = weighted(fit, weights, **{metrics: ["mae"]})
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-5, err_msg=name)


def test_one_weight_for_all_steps_is_refused_as_keras_refuses_it():
    messages = []
    for train in (keras.Model.fit, fit):
        with pytest.raises(ValueError, match="broadcast") as refused:
            weighted(train, np.ones(40, np.float32))
        messages.append(str(refused.value))
    assert messages[0] == messages[1]


def test_there_are_at_least_thirty_kinds():
    assert len(KINDS) >= 30


@pytest.mark.parametrize("kind", ["many_outputs_with_loss_weights", "binary_with_many_metrics"])
def test_evaluates_as_keras_does(kind):
    keras.utils.set_random_seed(3)
    model, x, y = KINDS[kind]()
    expected = model.evaluate(x, y, batch_size=16, verbose=0)
    np.testing.assert_allclose(evaluate(model, x, y, batch_size=16, verbose=0), expected, 1e-5)
    named = evaluate(model, x, y, batch_size=16, verbose=0, return_dict=True)
    assert named.keys() == model.evaluate(x, y, verbose=0, return_dict=True).keys()


@pytest.mark.parametrize("form", ["numpy", "py_dataset"])
@pytest.mark.parametrize(
    "kind", ["dicts_in_and_out", "unbuilt_with_normalisation_and_dropout", "subclassed"]
)
def test_predicts_as_keras_does(kind, form):
    results = []
    for way in (keras.Model.predict, predict):
        keras.utils.set_random_seed(3)
        model, x, _ = KINDS[kind]()
        arguments = FORMS[form](x, None)
        arguments = {name: arguments.get(name) for name in ("x", "batch_size")}
        results.append(way(model, **arguments, verbose=0))
    flat = [keras.tree.flatten(result) for result in results]
    for own, other in zip(flat[1], flat[0], strict=True):
        assert isinstance(own, np.ndarray)
        np.testing.assert_allclose(own, other, rtol=1e-5, atol=1e-6)
    keras.tree.assert_same_structure(results[0], results[1])


def test_predictions_of_many_chunks_are_in_order(monkeypatch):
    monkeypatch.setattr("septet.fitting.outputs.CHUNK_STEPS", 3)
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Rescaling(2.0)])
    x = np.arange(101, dtype=np.float32)[:, None]
    np.testing.assert_array_equal(predict(model, x, batch_size=4, verbose=0), 2 * x)


def test_a_second_fit_continues_the_first_and_compiles_nothing():
    def twice(train: Any) -> tuple[keras.Model, list[float]]:
        keras.utils.set_random_seed(3)
        model, x, y = KINDS["unbuilt_with_normalisation_and_dropout"]()
        losses = []
        for first in (0, 2):
            history = train(
                model, x, y, batch_size=16, epochs=first + 2, initial_epoch=first, verbose=0
            )
            losses += history.history["loss"]
            traces.append(_traces(model) if train is fit else 0)
        return model, losses

    traces: list[int] = []
    _, expected = twice(keras.Model.fit)
    traces.clear()
    _, found = twice(fit)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert traces == [2, 2]  # the whole batch and the smaller last one


def _traces(model: Any) -> int:
    return sum(program.num_traces for program in model._septet_programs._programs.values())


def test_compiling_the_model_anew_is_obeyed():
    keras.utils.set_random_seed(3)
    model, x, y = KINDS["sequential"]()
    fit(model, x, y, verbose=0)
    before = model.get_weights()
    model.compile(keras.optimizers.SGD(0.0), keras.losses.SparseCategoricalCrossentropy(True))
    fit(model, x, y, verbose=0)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [({"run_eagerly": True}, "run_eagerly=True"), ({"jit_compile": False}, "jit_compile=False")],
)
def test_what_cannot_be_compiled_goes_to_keras_with_one_note(settings, reason, capsys):
    keras.utils.set_random_seed(3)
    model, x, y = KINDS["sequential"]()
    model.compile("sgd", "sparse_categorical_crossentropy", **settings)
    history = fit(model, x, y, epochs=2, verbose=2)
    assert len(history.history["loss"]) == 2
    assert reason in capsys.readouterr().err
    fit(model, x, y, verbose=2)
    assert reason not in capsys.readouterr().err


def test_a_step_that_changes_the_type_of_a_variable_is_run_by_keras():
    class Grows(keras.Model):
        """Returns moving statistics of another type than it was given."""

        def train_step(self, state: Any, data: Any) -> Any:
            trainable, non_trainable, optimizer, metrics = state
            steps = [value.astype("float32") + 1 for value in non_trainable]
            return {"steps": steps[0]}, (trainable, steps, optimizer, metrics)

    def make() -> keras.Model:
        inputs = keras.layers.Input((5,))
        model = Grows(inputs, keras.layers.Dense(1)(inputs))
        model.count = model.add_weight(
            shape=(), initializer="zeros", dtype="int32", trainable=False
        )
        model.compile("sgd")
        return model

    x = np.zeros((8, 5), np.float32)
    expected = make().fit(x, x, batch_size=4, verbose=0).history
    assert fit(make(), x, x, batch_size=4, verbose=0).history == expected == {"steps": [2.0]}


def test_a_seed_makes_the_order_its_own():
    def run(seed: int, draws: int) -> list[float]:
        keras.utils.set_random_seed(3)
        model, x, y = KINDS["sequential"]()
        for _ in range(draws):
            draw()
        return fit(model, x, y, 16, 2, verbose=0, seed=seed).history["loss"]

    assert run(5, 0) == run(5, 9) != run(6, 0)


def test_a_generator_may_fill_the_same_array_again():
    def batches() -> Any:
        x = np.zeros((4, 1), np.float32)
        for number in range(6):
            x[:] = number
            yield x, x

    seen = []
    for way in (keras.Model.predict, predict):
        model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Rescaling(1.0)])
        seen.append(way(model, batches(), verbose=0, steps=6)[::4, 0].tolist())
    assert seen[1] == seen[0]
    assert seen[1][1:] == [1.0, 2.0, 3.0, 4.0, 5.0]  # Keras draws two before it uses the first


def test_a_callback_that_writes_into_the_arrays_changes_nothing():
    class Spoils(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            x[:] = np.nan

    keras.utils.set_random_seed(3)
    model, values, y = KINDS["sequential"]()
    room = np.empty(values.size + 16, np.float32)
    start = -room.ctypes.data % 64 // room.itemsize  # where JAX would not copy by itself
    x = room[start : start + values.size].reshape(values.shape)
    x[:] = values
    history = fit(model, x, y, 16, 2, 0, [Spoils()])
    assert np.isfinite(history.history["loss"]).all()


@pytest.mark.parametrize("verb", [fit, evaluate, predict])
def test_no_examples_and_no_model_are_refused(verb):
    model, x, y = KINDS["sequential"]()
    arguments = (x[:0],) if verb is predict else (x[:0], y[:0])
    with pytest.raises(InputError, match="There are no examples"):
        verb(model, *arguments)
    with pytest.raises(InputError, match=r"Expected a keras\.Model, got str"):
        verb("model", *arguments)


def test_a_keras_without_a_piece_is_not_relied_on(monkeypatch):
    monkeypatch.setitem(keras_inside.PIECES, "keras.src.trainers.trainer", ("NoSuchThing",))
    keras_inside.missing.cache_clear()
    model, _, _ = KINDS["sequential"]()
    try:
        assert "NoSuchThing" in (keras_inside.why_not_compiled(model) or "")
    finally:
        keras_inside.missing.cache_clear()
