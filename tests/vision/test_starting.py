"""Training that starts from weights: what is taken over, what stands still, what is refused."""

import septet

# isort: split
# Septet comes first, since it chooses the backend of Keras.
import json
from dataclasses import dataclass
from typing import get_args

import numpy as np
import pytest

from septet.errors import ConfigError, DataError, MissingPackageError, WeightsError
from septet.models import keras_application, picture_classifier
from septet.models.keras_hub_preset import backbone_settings
from septet.registry import ARCHITECTURES
from septet.runs.model_folder import load_network
from septet.runs.observer import Observer
from septet.vision import starting
from septet.vision.classification import ImageClassification
from septet.vision.options import Architecture, ImageModelOptions
from tests.models import drawn_weights
from tests.models.test_pretrained import write
from tests.runs.hostile import PICTURES, good_folder, prepared_pictures

TASK = ImageClassification()
PREPARED = {**prepared_pictures(["a", "b"]), "height": 64, "width": 64}
COLOUR = {**PREPARED, "channels": 3, "mean": [9.0] * 3, "deviation": [9.0] * 3}


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """A small set of 8x8 pictures with given names of its two classes."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 90)
    given = random.integers(0, 128, (90, 8, 8)).astype(np.uint8)
    given[:, :4] += (labels * 100).astype(np.uint8)[:, None, None]

    def save(names: list[str]):
        path = tmp_path / f"{names[0]}.npz"
        np.savez(path, x=given, y=np.array(names)[labels])
        return path

    return save


def weights_of(folder) -> dict[str, np.ndarray]:
    return {
        variable.path: np.asarray(variable.value) for variable in load_network(folder)[1].weights
    }


@pytest.mark.parametrize(
    ("names", "frozen", "still"),
    [
        (["c", "d"], 1.0, lambda path: not path.startswith("logits")),
        (["cat", "dog"], 0.0, lambda path: False),
    ],
)
def test_a_run_starts_from_a_model_folder(pictures, tmp_path, names, frozen, still):
    good_folder(tmp_path / "first", PICTURES)
    run = septet.train(
        "image-classification",
        pictures(names),
        epochs=1,
        settings={
            "model": {"pretrained": "first", "frozen": frozen, "mixup": 0.2},
            "training": {"batch_size": 16, "restore_best": False},
        },
    )
    before, after = weights_of(tmp_path / "first"), weights_of(run.folder / "model")
    assert before.keys() == after.keys()
    for path, value in before.items():
        assert np.array_equal(value, after[path]) == still(path), path
    receipt = (run.folder / "receipt.json").read_text()
    assert starting.digest(starting.find("first")) in receipt
    explanations = run.evaluation["explanations"]
    assert np.array(explanations[0]["heat"]).max() == 1.0
    assert (run.folder / "explanations.png").exists()
    # Pixels are scaled as the first model's.
    assert load_network(run.folder / "model")[0].prepared["mean"] == [100.0]
    assert str(tmp_path / "first") in (run.folder / "config.json").read_text()


class Stop(Observer):
    """Asks to stop as soon as there is something to lose."""

    def forecast(self, forecast) -> None:
        raise KeyboardInterrupt


def test_weights_that_changed_are_not_resumed_from(pictures, tmp_path):
    good_folder(tmp_path / "first", PICTURES)
    settings = {"model": {"pretrained": "first"}}
    with pytest.raises(KeyboardInterrupt):
        septet.train(
            "image-classification", pictures(["c", "d"]), epochs=1, name="stopped",
            settings=settings, observer=Stop(),
        )  # fmt: skip
    narrower = {"filters": [2, 2], "convolutions": [1, 1], "dense_dim": 0}
    prepared = prepared_pictures(["cat", "dog"])
    name, arguments = TASK.architecture(prepared, ImageModelOptions())
    good_folder(
        tmp_path / "first", PICTURES, architecture=name, arguments={**arguments, **narrower}
    )
    with pytest.raises(DataError, match="started from changed since it began"):
        septet.resume("stopped")


def test_a_file_of_torchvision_says_network_and_pixels(tmp_path):
    file = write(tmp_path / "w.safetensors", drawn_weights.tensors("resnet18"))
    options = ImageModelOptions(pretrained=str(file))
    prepared = TASK.adapt(COLOUR, options)
    assert prepared["mean"] == [123.675, 116.28, 103.53]
    name, arguments = TASK.architecture(prepared, options)
    assert (name, arguments["backbone"]) == ("picture-classifier", "resnet18")
    assert arguments["num_classes"] == 2
    assert TASK.pretrained(options) == TASK.pretrained(options)
    kept = TASK.adapt(COLOUR, ImageModelOptions(pretrained=str(file), pixels="data"))
    assert kept == COLOUR
    with pytest.raises(WeightsError, match=r"3 channels, and these have 1. Set data.channels=3"):
        TASK.adapt(PREPARED, options)


def test_a_file_of_timm_has_pixels_from_minus_one_to_one(tmp_path):
    tensors = {"cls_token": np.zeros((1, 1, 192), np.float32)}
    file = write(tmp_path / "w.safetensors", tensors)
    options = ImageModelOptions(pretrained=str(file))
    assert TASK.adapt(COLOUR, options)["mean"] == [127.5] * 3
    assert TASK.architecture(COLOUR, options)[1]["backbone"] == "vit-tiny"
    unknown = write(tmp_path / "u.safetensors", {"x": np.zeros(2, np.float32)})
    with pytest.raises(WeightsError, match="tensors of no backbone that is known"):
        TASK.architecture(COLOUR, ImageModelOptions(pretrained=str(unknown)))


def test_fetched_weights_are_named_like_a_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEPTET_CACHE", str(tmp_path / "cache"))
    with pytest.raises(DataError, match="Bring them with: septet data fetch efficientnet-lite0"):
        starting.find("efficientnet-lite0")
    folder = tmp_path / "cache" / "data" / "efficientnet-lite0"
    folder.mkdir(parents=True)
    tensors = drawn_weights.tensors("efficientnet-lite0 timm")
    file = write(folder / "efficientnet-lite0.safetensors", tensors)
    options = ImageModelOptions(pretrained="efficientnet-lite0")
    assert starting.find("efficientnet-lite0") == starting.Start("file", str(file))
    assert TASK.adapt(COLOUR, options)["mean"] == [127.5] * 3
    assert TASK.architecture(COLOUR, options)[1]["backbone"] == "efficientnet-lite0"


@pytest.mark.parametrize(
    "task", ["image-classification", "object-detection", "semantic-segmentation"]
)
def test_a_preset_starts_from_the_fetched_weights(task, tmp_path, monkeypatch):
    from septet.api import resolve_config
    from septet.registry import task as task_of

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEPTET_CACHE", str(tmp_path / "cache"))
    with pytest.raises(DataError, match="septet data fetch efficientnet-lite0"):
        resolve_config(task, "pictures", preset="pretrained")
    folder = tmp_path / "cache" / "data" / "efficientnet-lite0"
    folder.mkdir(parents=True)
    tensors = drawn_weights.tensors("efficientnet-lite0 timm")
    write(folder / "efficientnet-lite0.safetensors", tensors)
    config = resolve_config(task, "pictures", preset="pretrained", settings={"data": {"size": 96}})
    kind = task_of(task)
    options = kind.model_options.model_validate(config.model)
    assert options.frozen_norms
    assert config.data["channels"] == 3
    assert config.data["size"] == 96
    name, arguments = kind.architecture(COLOUR, options)
    assert name in ("picture-classifier", "detector", "pixel-head")
    assert arguments["backbone"] == "efficientnet-lite0"


@pytest.mark.parametrize(
    "name", ["convnext-atto timm", "convnext-tiny torchvision", "efficientnet-lite0 timm"]
)
def test_what_only_classifiers_have_is_left_behind(name):
    """A detector or segmenter has no place for what comes after the last map."""
    from septet.models.pretrained import convert
    from septet.models.segmentation import over_backbone
    from septet.runs.networks import build_apart, network_weights

    backbone = name.split()[0]
    sizes = {key: COLOUR[key] for key in ("height", "width", "channels", "mean", "deviation")}
    network = build_apart(lambda: over_backbone(**sizes, num_classes=2, backbone=backbone))
    shapes = {path: shape for path, (_, shape) in network_weights(network).items()}
    tensors = drawn_weights.tensors(name)
    values = convert(tensors, backbone, shapes, source="w")
    assert "stem/kernel" in values
    new = {path.split("/")[0] for path in shapes.keys() - values.keys()}
    assert all(layer.startswith(("lateral", "smooth", "logits")) for layer in new)
    with pytest.raises(WeightsError, match="has 1 tensors that"):
        convert({**tensors, "other.weight": np.zeros(3, np.float32)}, backbone, shapes, source="w")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nothing", r"no file, folder or run 'nothing' to start from"),
        ("mobilenetv2", r"a Keras application: .*MobileNetV2"),
        ("empty-folder", r"no model folder, no finished run and no KerasHub preset"),
        ("missing.safetensors", r"cannot be opened \(No such file"),
    ],
)
def test_what_names_nothing_is_refused_before_a_run_begins(pictures, tmp_path, text, message):
    (tmp_path / "empty-folder").mkdir()
    path = pictures(["c", "d"])
    with pytest.raises(WeightsError, match=message):
        septet.train("image-classification", path, settings={"model": {"pretrained": text}})
    assert not (tmp_path / "runs").exists()


def test_an_application_without_kept_weights_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match=r"Keras has no weights of 'MobileNetV2'.*fetches none"):
        TASK.pretrained(ImageModelOptions(pretrained="MobileNetV2"))
    (tmp_path / "models").mkdir()
    name = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
    (tmp_path / "models" / name).write_bytes(b"no hdf5")
    assert len(TASK.pretrained(ImageModelOptions(pretrained="MobileNetV2")) or "") == 64
    assert starting.find("MobileNetV2").kind == "application"
    name, arguments = TASK.architecture(COLOUR, ImageModelOptions(pretrained="MobileNetV2"))
    assert (name, arguments["application"]) == ("keras-application", "MobileNetV2")


@pytest.mark.parametrize("name", ["frozen", "layer_decay", "thawing"])
def test_settings_for_given_weights_need_them(name):
    options = ImageModelOptions.model_validate({name: 0.5})
    with pytest.raises(ConfigError, match=f"'model.{name}' is for networks that start from"):
        TASK.pretrained(options)


def test_grey_pictures_are_refused_by_applications():
    with pytest.raises(ConfigError, match=r"takes colour, .* Set data.channels=3"):
        TASK.adapt(PREPARED, ImageModelOptions(architecture="MobileNetV2"))


def test_a_setting_names_every_network():
    known = {*get_args(picture_classifier.Name), *get_args(keras_application.Name)}
    assert set(get_args(Architecture)) == {"cnn", "resnet"} | known
    assert set(keras_application.APPLICATIONS) == set(get_args(keras_application.Name))
    assert {"picture-classifier", "keras-application"} <= set(ARCHITECTURES)


@pytest.mark.parametrize("name", ["resnet-micro", "convnext-micro", "vit-micro", "small-cnn"])
@pytest.mark.parametrize("side", [28, 64])
def test_backbones_fit_small_pictures(name, side):
    from septet.runs.networks import build_apart

    prepared = {**PREPARED, "height": side, "width": side}
    kind, arguments = TASK.architecture(prepared, ImageModelOptions(architecture=name))
    network = build_apart(lambda: picture_classifier.picture_classifier(**arguments))
    assert kind == "picture-classifier"
    assert network.output_shape == (None, 2)


@dataclass
class Variable:
    path: str


@dataclass
class Network:
    trainable_variables: list[Variable]


@pytest.mark.parametrize(
    ("paths", "groups"),
    [
        (
            [
                "stem/kernel", "stage1_block1_convolution1/kernel", "stage3_block2_scale/gamma",
                "normalization/gamma", "logits/kernel",
            ],
            (0, 1, 3, 3, 4),
        ),
        (
            # EfficientNetV2's
            [
                "stem_conv/kernel", "block1a_project_conv/kernel", "block6d_expand_conv/kernel",
                "top_conv/kernel", "logits/kernel",
            ],
            (0, 1, 6, 6, 7),
        ),
        (
            [*(f"layer_{place}/kernel" for place in range(8)), "logits/bias"],
            (0, 0, 1, 1, 2, 2, 3, 3, 4),
        ),
    ],
)  # fmt: skip
def test_groups_follow_stages_and_what_is_new_comes_last(paths, groups):
    options = ImageModelOptions(pretrained="x", thawing=0.3)
    found = starting.tuning(Network([Variable(path) for path in paths]), paths[:-1], options)
    assert found.groups == groups
    assert (found.frozen, found.thawing, found.decay) == (0.2, 0.3, 0.8)


RESIDUAL = {
    "input_conv_filters": [64],
    "input_conv_kernel_sizes": [7],
    "stackwise_num_filters": [64, 128, 256, 512],
    "stackwise_num_blocks": [2, 2, 2, 2],
    "stackwise_num_strides": [1, 2, 2, 2],
    "block_type": "basic_block",
    "use_pre_activation": False,
}
PATCHES = {"hidden_dim": 16, "mlp_dim": 64, "patch_size": [8, 8], "num_layers": 2, "num_heads": 2}


def said(kind: str, whole: dict, **changes) -> bytes:
    """A preset's description with changes; None takes a value out."""
    values = {k: v for k, v in {**whole, **changes}.items() if v is not None}
    return json.dumps({"class_name": f"{kind}Backbone", "config": values}).encode()


DIFFERENT = "differs from ours"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (b"", "cannot be read"),
        (b"{", "cannot be read"),
        (b"words", "cannot be read"),
        (bytes(3000), "cannot be read"),
        (bytes(range(256)), "cannot be read"),
        (b"\xff\xfe" + said("ResNet", RESIDUAL), "cannot be read"),
        (said("ResNet", RESIDUAL)[:-20], "cannot be read"),
        (said("ResNet", RESIDUAL) + b"}", "cannot be read"),
        (b"[" * 100_000, "cannot be read"),
        (b'{"a":' * 50_000, "cannot be read"),
        (b" " * (2**20 + 1), "more than"),
        (b'{"class_name": NaN}', "cannot be read"),
        (b'{"class_name": "ResNetBackbone", "class_name": "ViTBackbone"}', "cannot be read"),
        (b"[]", "holds no object"),
        (b"null", "holds no object"),
        (b"7", "holds no object"),
        (b"{}", "preset of 'None'"),
        (b'{"class_name": "GemmaBackbone", "config": {}}', "preset of 'GemmaBackbone'"),
        (b'{"class_name": ["ResNetBackbone"], "config": {}}', "preset of"),
        (b'{"class_name": "ResNetBackbone", "config": []}', "preset of"),
        (b'{"class_name": "ResNetBackbone"}', "preset of"),
        (b'{"class_name": "' + b"a" * 100_000 + b'", "config": {}}', "preset of"),
        (b'{"class_name": "ResNetBackbone", "config": {}}', "it lacks 'input_conv_filters'"),
        (said("ResNet", RESIDUAL, stackwise_num_blocks=None), "it lacks"),
        (said("ResNet", RESIDUAL, stackwise_num_blocks=[2, 2, 2]), DIFFERENT),
        (said("ResNet", RESIDUAL, stackwise_num_blocks=[2, 2, 2, 10**9]), DIFFERENT),
        (said("ResNet", RESIDUAL, stackwise_num_blocks=[2, 2, 2, -1]), DIFFERENT),
        (said("ResNet", RESIDUAL, stackwise_num_blocks=[2, 2, 2, "2"]), DIFFERENT),
        (said("ResNet", RESIDUAL, stackwise_num_blocks=[2, 2, 2, True]), DIFFERENT),
        (said("ResNet", RESIDUAL, stackwise_num_blocks={"0": 2}), DIFFERENT),
        (said("ResNet", RESIDUAL, block_type="other"), DIFFERENT),
        (said("ResNet", RESIDUAL, block_type=["basic_block"]), DIFFERENT),
        (said("ResNet", RESIDUAL, use_pre_activation=True), DIFFERENT),
        (said("ResNet", RESIDUAL, input_conv_filters=[10**12]), DIFFERENT),
        (said("ResNet", RESIDUAL, stackwise_num_filters=[1] * 50_000), DIFFERENT),
        (said("ViT", PATCHES, hidden_dim=None), "it lacks 'hidden_dim'"),
        (said("ViT", PATCHES, hidden_dim=0), DIFFERENT),
        (said("ViT", PATCHES, hidden_dim=10**12, mlp_dim=10**12), DIFFERENT),
        (said("ViT", PATCHES, hidden_dim=-16), DIFFERENT),
        (said("ViT", PATCHES, hidden_dim=16.5), DIFFERENT),
        (said("ViT", PATCHES, hidden_dim=[16]), DIFFERENT),
        (said("ViT", PATCHES, mlp_dim=65), DIFFERENT),
        (said("ViT", PATCHES, num_layers=10**9), DIFFERENT),
        (said("ViT", PATCHES, num_heads=0), DIFFERENT),
        (said("ViT", PATCHES, num_heads="9" * 10_000), DIFFERENT),
        (said("ViT", PATCHES, patch_size=[8, 4]), DIFFERENT),
        (said("ViT", PATCHES, patch_size=[]), DIFFERENT),
        (said("ViT", PATCHES, patch_size={"a": 8}), DIFFERENT),
        (said("ViT", PATCHES, use_class_token=False), DIFFERENT),
        (said("ViT", PATCHES, use_mha_bias=False), DIFFERENT),
    ],
)
def test_other_presets_are_refused(tmp_path, config, message):
    (tmp_path / "config.json").write_bytes(config)
    (tmp_path / "model.weights.h5").write_bytes(b"")
    assert starting.find(str(tmp_path)).kind == "preset"
    with pytest.raises(WeightsError, match=message) as caught:
        backbone_settings(tmp_path)
    assert len(str(caught.value)) < 700


def test_a_preset_needs_keras_hub(tmp_path, monkeypatch):
    import sys

    from septet.models.keras_hub_preset import preset_tensors

    config = (
        '{"class_name": "ViTBackbone", "config": {"hidden_dim": 16, "mlp_dim": 64, '
        '"patch_size": [8, 8], "num_layers": 2, "num_heads": 2}}'
    )
    (tmp_path / "config.json").write_text(config)
    assert backbone_settings(tmp_path)[1]["mlp_ratio"] == 4
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(MissingPackageError, match="pip install --no-deps keras-hub"):
        preset_tensors(tmp_path)


# Keras' own variables, which KerasHub saves, do not know NumPy's `copy` yet.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("kind", ["ResNetBackbone", "ViTBackbone"])
def test_a_local_preset_answers_as_keras_hub_does(kind, tmp_path):
    keras_hub = pytest.importorskip("keras_hub", reason="KerasHub is not installed")
    import keras

    from septet.models.backbones import backbone, pooled
    from septet.models.keras_hub_preset import preset_tensors
    from septet.models.pretrained import convert

    keras.utils.set_random_seed(0)
    if kind == "ResNetBackbone":
        theirs = keras_hub.models.ResNetBackbone(
            input_conv_filters=[64], input_conv_kernel_sizes=[7],
            stackwise_num_filters=[64, 128, 256, 512], stackwise_num_blocks=[1, 1, 1, 1],
            stackwise_num_strides=[1, 2, 2, 2], block_type="basic_block", image_shape=(32, 32, 3),
        )  # fmt: skip
    else:
        theirs = keras_hub.models.ViTBackbone(
            image_shape=(32, 32, 3), patch_size=8, num_layers=2, num_heads=2, hidden_dim=16,
            mlp_dim=64,
        )  # fmt: skip
    theirs.save_to_preset(str(tmp_path))
    name, settings = backbone_settings(tmp_path)
    inputs = keras.layers.Input((32, 32, 3))
    is_vit = kind == "ViTBackbone"
    output = pooled(name, inputs, **settings) if is_vit else backbone(name, inputs, **settings)[32]
    ours = keras.Model(inputs, output)
    shapes = {variable.path: tuple(variable.shape) for variable in ours.weights}
    values = convert(preset_tensors(tmp_path), name, shapes, source="preset", grid=(4, 4))
    assert set(values) == set(shapes)
    for variable in ours.weights:
        variable.assign(values[variable.path])
    given = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype(np.float32)
    wanted = np.asarray(theirs(given, training=False))
    wanted = wanted[:, 0] if is_vit else wanted
    np.testing.assert_allclose(np.asarray(ours(given, training=False)), wanted, atol=1e-4)
