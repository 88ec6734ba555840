"""What is saved is loaded as it was, in all its forms; what would not load is not saved."""

import json
import threading

import numpy as np
import pytest
import safetensors.numpy

from septet import registry
from septet.errors import ModelFolderError
from septet.runs import model_folder, networks
from septet.runs.model_folder import load_network, name_weights, read_model_folder
from tests.runs import hostile

PICTURE = {
    "height": 8,
    "width": 8,
    "channels": 1,
    "num_classes": 2,
    "mean": [100.0],
    "deviation": [50.0],
    "filters": [2, 3],
}


def regression() -> dict:
    """`prepared` of a table whose target is a number."""
    prepared = hostile.prepared_table()
    del prepared["classes"]
    return {**prepared, "target_mean": 3.0, "target_deviation": 2.0}


def labelled(labels: list[str]) -> dict:
    """Changes for a picture model with these labels."""
    return {"task": hostile.PICTURES, "prepared": hostile.prepared_pictures(labels)}


def table_with(**arguments) -> dict:
    """Changes for a table model with other arguments."""
    small = {"num_numbers": 1, "cardinalities": [3], "num_outputs": 3, "width": 4, "depth": 1}
    return {"arguments": {**small, **arguments}}


BENIGN = {
    "table": {},
    "regression": {"task": "tabular-regression", "prepared": regression()},
    "pictures": {"task": hostile.PICTURES},
    "residual": {"task": hostile.PICTURES, "architecture": "resnet", "arguments": PICTURE},
    "deeper": table_with(depth=4),
    "no-blocks": table_with(depth=0),
    "wider": table_with(width=64),
    "other-activation": table_with(activation="mish"),
    "whole-number-dropout": table_with(dropout=0),
    "larger-embedding": table_with(embedding_dim=32),
    "chinese-labels": labelled(["猫", "犬", "鳥"]),
    "emoji-labels": labelled(["👩‍👩‍👧", "🏳️‍🌈"]),
    "combining-labels": labelled(["é", "e\u0301"]),
    "right-to-left-labels": labelled(["قطة", "\u202eכלב"]),
    "empty-label": labelled(["", " "]),
    "path-labels": labelled(["/etc/passwd", "../../secret", "C:\\Windows", "\\\\server\\share"]),
    "address-labels": labelled(["http://127.0.0.1:9/", "file:///etc/passwd"]),
    "code-labels": labelled(["__import__('os')", "<script>alert(1)</script>", "| a | b |"]),
    "control-labels": labelled(["a\0b", "line\nbreak", "tab\t", "\x1b[31m"]),
    "long-label": labelled(["a" * 1000, "b"]),
    "many-labels": labelled([f"label number {index}" for index in range(20_000)]),
    "no-scores": {"evaluation": {"scores": {}, "intervals": {}}},
    "undefined-score": {
        "evaluation": {"scores": {"auc": float("nan")}, "intervals": {"auc": [None, None]}}
    },
    "numpy-score": {
        "evaluation": {"scores": {"r2": np.float32(0.5)}, "intervals": {"r2": (np.float64(0), 1)}}
    },
    "monitor": {"monitor": ("validation_loss", "min")},
}


@pytest.mark.parametrize("name", BENIGN)
def test_a_sound_model_is_loaded_as_it_was_saved(tmp_path, name):
    folder = tmp_path / "a model"
    weights = hostile.good_folder(folder, **BENIGN[name])
    description, network = load_network(folder)
    assert description == read_model_folder(folder)
    assert {variable.path for variable in network.weights} == set(weights)
    for variable in network.weights:
        np.testing.assert_array_equal(np.asarray(variable), weights[variable.path])


def test_the_outputs_are_those_of_the_network_that_was_saved(tmp_path):
    import keras

    builder = registry.architecture("cnn")
    arguments = {**PICTURE, "convolutions": [1, 1], "dense_dim": 4}
    keras.layers.Dense(1)  # moves Keras' count of layer names, as earlier models would
    network = builder(**arguments)
    weights = name_weights(
        "cnn",
        arguments,
        [np.asarray(variable) for variable in network.trainable_variables],
        [np.asarray(variable) for variable in network.non_trainable_variables],
    )
    model_folder.save_model_folder(
        tmp_path / "model",
        task=hostile.PICTURES,
        architecture="cnn",
        arguments=arguments,
        prepared=hostile.prepared_pictures(["a", "b"]),
        weights=weights,
        evaluation={"scores": {}},
        account={"read": 0, "used": 0, "rejected": 0, "splits": {}},
    )
    _, loaded = load_network(tmp_path / "model")
    pictures = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1)).astype("uint8")
    outputs = [np.asarray(model({"pictures": pictures})) for model in (network, loaded)]
    np.testing.assert_array_equal(outputs[0], outputs[1])


def test_table_weights_get_the_same_names_whatever_was_built_before():
    builder = registry.architecture("tabular")
    arguments = {"num_numbers": 2, "cardinalities": [3], "num_outputs": 1, "width": 4, "depth": 1}
    names = []
    for _ in range(2):
        network = builder(**arguments)
        names.append(
            list(
                name_weights(
                    "tabular",
                    arguments,
                    [np.asarray(variable) for variable in network.trainable_variables],
                    [np.asarray(variable) for variable in network.non_trainable_variables],
                )
            )
        )
    assert names[0] == names[1]


def test_building_apart_gives_no_variable_a_value():
    import keras

    def huge():
        inputs = keras.Input((2**20,))
        return keras.Model(inputs, keras.layers.Dense(2**20)(inputs))  # 4 TiB of weights

    network = networks.build_apart(huge)
    assert network.count_params() == 2**40 + 2**20
    with keras.StatelessScope():  # which on its end initialises what its own thread left over
        pass
    assert "septet-build" not in {thread.name for thread in threading.enumerate()}


def test_the_weights_are_an_ordinary_safetensors_file(tmp_path):
    weights = hostile.good_folder(tmp_path / "model")
    read = safetensors.numpy.load_file(tmp_path / "model" / "weights.safetensors")
    assert set(read) == set(weights)
    for name, array in weights.items():
        np.testing.assert_array_equal(read[name], array)


def test_equal_models_give_equal_bytes(tmp_path):
    for name in ("one", "two"):
        hostile.good_folder(tmp_path / name)
    for file in model_folder.KNOWN:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_the_card_may_be_edited_or_removed(tmp_path):
    hostile.good_folder(tmp_path / "model")
    card = tmp_path / "model" / "README.md"
    card.write_text("My model, under my licence")
    load_network(tmp_path / "model")
    card.unlink()
    load_network(tmp_path / "model")


def test_the_card_tells_scores_data_and_labels_without_markup(tmp_path):
    prepared = hostile.prepared_table()
    prepared["classes"] = ["good", "<img src=x>", "a\n# Heading"]
    hostile.good_folder(tmp_path / "model", prepared=prepared, monitor=("validation_loss", "min"))
    card = (tmp_path / "model" / "README.md").read_text()
    assert "| accuracy | 0.5 | 0.4 to 0.6 |" in card
    assert "3 examples read = 2 used + 1 rejected (2 train)." in card
    assert "septet.load(" in card
    assert "- good\n" in card
    assert "<img" not in card
    assert "\n# Heading" not in card


def test_a_model_replaces_an_older_one(tmp_path):
    hostile.good_folder(tmp_path / "model")
    hostile.good_folder(tmp_path / "model", evaluation={"scores": {"accuracy": 0.75}})
    description = read_model_folder(tmp_path / "model")
    assert description.evaluation.scores == {"accuracy": 0.75}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arguments": {"num_numbers": 1}, "architecture": "tabular"}, "cardinalities"),
        ({"monitor": ("loss", "lowest")}, "monitor.direction"),
        ({"account": {"read": -1, "used": 0, "rejected": 0, "splits": {}}}, "data.read"),
    ],
)
def test_what_would_not_load_is_not_saved(tmp_path, monkeypatch, changes, message):
    hostile.good_folder(tmp_path / "model")
    values = json.loads((tmp_path / "model" / "model.json").read_text())
    facts = {name: values[name] for name in ("task", "architecture", "arguments", "prepared")}
    facts["evaluation"] = {"scores": {}}
    facts["account"] = values["data"]
    facts["weights"] = safetensors.numpy.load_file(tmp_path / "model" / "weights.safetensors")
    with pytest.raises(ModelFolderError, match=message):
        model_folder.save_model_folder(tmp_path / "new", **{**facts, **changes})
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("name", "number", "message"),
    [
        ("a/b", np.nan, "'a/b' with NaN or infinity; expected finite numbers"),
        ("a/b", np.inf, "'a/b' with NaN or infinity"),
        ("a/moving_variance", -1e-3, "with the variance -0.001; expected none below 0"),
    ],
)
def test_weights_with_numbers_that_none_may_have_are_not_saved(tmp_path, name, number, message):
    with pytest.raises(ModelFolderError, match=message):
        model_folder.save_model_folder(
            tmp_path / "new",
            task=hostile.TABLE,
            architecture="tabular",
            arguments={},
            prepared={},
            weights={name: np.array([1.0, number], "float32")},
            evaluation={"scores": {}},
            account={"read": 0, "used": 0, "rejected": 0, "splits": {}},
        )
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("path", ["absent", "null\0byte"])
def test_a_path_that_is_no_folder_is_refused(tmp_path, path):
    with pytest.raises(ModelFolderError, match="expected a model folder"):
        load_network(tmp_path / path)
