"""A local KerasHub preset of a residual network or Vision Transformer as weights for our backbones.

KerasHub is asked to load it, and its numbers are taken over by layer; what is kept afterwards
is one of our own networks, which needs no KerasHub.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from septet.errors import MissingPackageError, WeightsError
from septet.runs.manifest import strict_json

CONFIG, FILE = "config.json", "model.weights.h5"
MAX_CONFIG_BYTES = 2**20
INSTALL = (
    "pip install --no-deps keras-hub==0.32.0 regex kagglehub kagglesdk==0.1.28 sentencepiece "
    "tokenizers grain && pip install requests"
)
MOST_UNITS, MOST_BLOCKS, STACKS = 4096, 64, 4
BLOCKS = {"basic_block": False, "bottleneck_block": True}

Config = Mapping[str, Any]


def is_preset(folder: Path) -> bool:
    """Whether a folder looks like a preset of a KerasHub backbone."""
    return (folder / CONFIG).is_file() and (folder / FILE).is_file()


def backbone_settings(folder: Path) -> tuple[str, dict[str, Any]]:
    """Name of our backbone and its settings for a preset; nothing is loaded.

    Raises:
        WeightsError: It is not of a residual network or Vision Transformer as ours are.
    """
    config = read_config(folder)
    kind, values = config.get("class_name"), config.get("config")
    if not isinstance(values, dict) or kind not in ("ResNetBackbone", "ViTBackbone"):
        raise WeightsError(
            f"'{folder}' is a KerasHub preset of {str(kind)[:60]!r}; expected a ResNetBackbone or "
            "ViTBackbone. Use another preset, or weights in safetensors."
        )
    try:
        return _residual(values) if kind == "ResNetBackbone" else _vit(values)
    except (KeyError, ValueError) as error:
        error = f"it lacks {error}" if isinstance(error, KeyError) else error
        raise WeightsError(
            f"'{folder}' is a KerasHub preset of a {kind} that differs from ours: {error}. "
            "Expected torchvision's residual networks with 64 filters, or a Vision Transformer "
            "with a class token. Use another preset."
        ) from None


def read_config(folder: Path) -> dict[str, Any]:
    """The preset's description; WeightsError if it is not JSON."""
    path = folder / CONFIG
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise ValueError(f"it has more than {MAX_CONFIG_BYTES:,} bytes")
        config = strict_json(path.read_bytes())
        if not isinstance(config, dict):
            raise ValueError("it holds no object")
    except (OSError, ValueError) as error:
        raise WeightsError(
            f"'{path}' cannot be read: {error}; expected a KerasHub preset. Save it again."
        ) from None
    return config


def _residual(values: Config) -> tuple[str, dict[str, Any]]:
    wanted = {
        "input_conv_filters": [64],
        "input_conv_kernel_sizes": [7],
        "stackwise_num_filters": [64, 128, 256, 512],
        "stackwise_num_strides": [1, 2, 2, 2],
        "use_pre_activation": False,
    }
    for key, value in wanted.items():
        if values[key] != value:
            raise ValueError(f"{key} is {values[key]!r:.60} and not {value!r}")
    kind, blocks = values["block_type"], values["stackwise_num_blocks"]
    if not isinstance(kind, str) or kind not in BLOCKS:
        raise ValueError(f"block_type is {kind!r:.60} and not one of {', '.join(BLOCKS)}")
    if not isinstance(blocks, list) or len(blocks) != STACKS:
        raise ValueError(f"stackwise_num_blocks is {blocks!r:.60} and no list of {STACKS} numbers")
    counts = [_whole(count, "stackwise_num_blocks", MOST_BLOCKS) for count in blocks]
    return "resnet50" if BLOCKS[kind] else "resnet18", {"blocks": counts}


def _vit(values: Config) -> tuple[str, dict[str, Any]]:
    dim = _whole(values["hidden_dim"], "hidden_dim", MOST_UNITS)
    hidden = _whole(values["mlp_dim"], "mlp_dim", 4 * MOST_UNITS)
    sides = values["patch_size"]
    sides = sides if isinstance(sides, list) else [sides, sides]
    if len(sides) != 2 or sides[0] != sides[1]:
        raise ValueError(f"patch_size is {sides!r:.60} and no square")
    if not values.get("use_class_token", True) or hidden % dim:
        raise ValueError("it has no class token, or mlp_dim is no multiple of hidden_dim")
    if not values.get("use_mha_bias", True) or not values.get("use_mlp_bias", True):
        raise ValueError("it has layers without bias")
    return "vit-base", {
        "dim": dim,
        "depth": _whole(values["num_layers"], "num_layers", MOST_BLOCKS),
        "num_heads": _whole(values["num_heads"], "num_heads", dim),
        "patch": _whole(sides[0], "patch_size", MOST_UNITS),
        "mlp_ratio": hidden // dim,
    }


def _whole(value: Any, name: str, most: int) -> int:
    """A whole number from 1 to `most`; ValueError if it is none."""
    if type(value) is not int or not 1 <= value <= most:
        raise ValueError(f"{name} is {value!r:.60} and no whole number from 1 to {most}")
    return value


def preset_tensors(folder: Path) -> dict[str, np.ndarray]:
    """The preset's weights under torchvision's names, as `pretrained.convert` takes them.

    Raises:
        MissingPackageError: KerasHub is not installed.
        WeightsError: KerasHub cannot load it.
    """
    backbone_settings(folder)
    try:
        network = load_backbone(folder)
    except OSError as error:
        raise WeightsError(f"'{folder}' {error}. Save the preset again.") from None
    kind = read_config(folder)["class_name"]
    return _residual_tensors(network) if kind == "ResNetBackbone" else _vit_tensors(network)


def load_backbone(folder: Path) -> Any:
    """KerasHub's network with the weights of a preset.

    Raises:
        MissingPackageError: KerasHub is not installed.
        OSError: It cannot load it; the reason goes on from the folder's name.
    """
    try:
        import keras_hub  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise MissingPackageError(
            "keras_hub", "", "Reading a KerasHub preset", install=INSTALL
        ) from None
    try:
        return keras_hub.models.Backbone.from_preset(str(folder))
    except Exception as error:  # KerasHub and h5py raise every kind of error
        reason = " ".join(str(error).split())[:250]
        raise OSError(f"could not be loaded by KerasHub: {reason}") from None


def _array(value: Any) -> np.ndarray:
    return np.asarray(value)


def _convolution(kernel: Any) -> np.ndarray:
    return _array(kernel).transpose(3, 2, 0, 1)


def _residual_tensors(network: Any) -> dict[str, np.ndarray]:
    """By the names of KerasHub's layers: conv1_conv, stack0_block0_1_conv, ..._bn."""
    found: dict[str, np.ndarray] = {}
    for layer in network.layers:
        if not layer.weights:
            continue
        name = _residual_name(layer.name)
        if layer.name.endswith("conv"):
            found[f"{name}.weight"] = _convolution(layer.kernel)
            continue
        values = (layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance)
        for ending, value in zip(
            ("weight", "bias", "running_mean", "running_var"), values, strict=True
        ):
            found[f"{name}.{ending}"] = _array(value)
    return found


def _residual_name(name: str) -> str:
    """The name in torchvision of one of KerasHub's layers."""
    first, _, kind = name.rpartition("_")
    if first.startswith("conv"):
        return "conv1" if kind == "conv" else "bn1"
    stack, block, place = first.split("_")
    inside = f"layer{int(stack.removeprefix('stack')) + 1}.{int(block.removeprefix('block'))}"
    if place == "0":
        return f"{inside}.downsample.{0 if kind == 'conv' else 1}"
    return f"{inside}.{'conv' if kind == 'conv' else 'bn'}{place}"


def _vit_tensors(network: Any) -> dict[str, np.ndarray]:
    """By the paths of KerasHub's variables, under timm's names."""
    by_path = {variable.path: _array(variable) for variable in network.weights}
    found: dict[str, np.ndarray] = {}
    start = "vit_patching_and_embedding"
    found["cls_token"] = by_path.pop(f"{start}/class_token")
    found["pos_embed"] = by_path.pop(f"{start}/position_embedding/embeddings")[None]
    found["patch_embed.proj.weight"] = _convolution(by_path.pop(f"{start}/patch_embedding/kernel"))
    found["patch_embed.proj.bias"] = by_path.pop(f"{start}/patch_embedding/bias")
    found["norm.weight"] = by_path.pop("vit_encoder/ln/gamma")
    found["norm.bias"] = by_path.pop("vit_encoder/ln/beta")
    for place in range(sum(path.endswith("ln_1/gamma") for path in by_path)):
        inside = f"vit_encoder/transformer_block_{place + 1}"
        dim = by_path[f"{inside}/ln_1/gamma"].shape[0]
        joined = [by_path[f"{inside}/mha/{part}/kernel"] for part in ("query", "key", "value")]
        biases = [by_path[f"{inside}/mha/{part}/bias"] for part in ("query", "key", "value")]
        output = by_path[f"{inside}/mha/attention_output/kernel"]
        own = {
            "norm1.weight": by_path[f"{inside}/ln_1/gamma"],
            "norm1.bias": by_path[f"{inside}/ln_1/beta"],
            "norm2.weight": by_path[f"{inside}/ln_2/gamma"],
            "norm2.bias": by_path[f"{inside}/ln_2/beta"],
            "attn.qkv.weight": np.concatenate([part.reshape(dim, dim).T for part in joined]),
            "attn.qkv.bias": np.concatenate([bias.reshape(dim) for bias in biases]),
            "attn.proj.weight": output.reshape(dim, dim).T,
            "attn.proj.bias": by_path[f"{inside}/mha/attention_output/bias"],
        }
        for theirs, ours in (("dense_1", "fc1"), ("dense_2", "fc2")):
            own[f"mlp.{ours}.weight"] = by_path[f"{inside}/mlp/{theirs}/kernel"].T
            own[f"mlp.{ours}.bias"] = by_path[f"{inside}/mlp/{theirs}/bias"]
        found |= {f"blocks.{place}.{name}": value for name, value in own.items()}
    return found
