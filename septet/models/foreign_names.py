"""Names that torchvision and timm give to the weights of our backbones, in tables.

A rule says, for a weight of ours (its path in the network), what it is called there and how
the array lies. Knows no file and builds nothing.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Form = Literal[
    "same", "dense", "convolution", "depthwise", "flat", "positions", "query", "key", "value"
]
"""How an array of PyTorch becomes ours: a dense layer's is transposed, a convolution's has
filters last, "query", "key" and "value" are the thirds of one array."""


@dataclass(frozen=True)
class Rule:
    """Weights of ours, and what they are called.

    Args:
        ours: Pattern of whole paths; its groups are numbers, which count from 1.
        theirs: Template with {a}, {b} and {c} for these numbers, {a0} and {b0} where they count
            from 0, {odd} and {even} for 2a - 1 and 2a - 2.
        form: How the array lies.
    """

    ours: str
    theirs: str
    form: Form


@dataclass(frozen=True)
class Layout:
    """The names of one library for one family of backbones.

    Args:
        title: For messages.
        rules: Of the backbone's weights; the first that matches counts.
        head: Of the last layer's weights, which differ with the classes.
        ignored: Pattern of names that may be there and are not weights of ours.
        end: Pattern of names of what classifiers alone have after the last map.
    """

    title: str
    rules: tuple[Rule, ...]
    head: tuple[Rule, ...]
    ignored: str = r"(?!)"
    end: str = r"(?!)"


def _normalised(ours: str, theirs: str) -> tuple[Rule, ...]:
    """Scale and offset of a normalisation, and the statistics that one of batches has."""
    names = {
        "gamma": "weight",
        "beta": "bias",
        "moving_mean": "running_mean",
        "moving_variance": "running_var",
    }
    return tuple(Rule(f"{ours}/{own}", f"{theirs}.{name}", "same") for own, name in names.items())


def _layer(ours: str, theirs: str, form: Form = "dense") -> tuple[Rule, ...]:
    return (
        Rule(f"{ours}/kernel", f"{theirs}.weight", form),
        Rule(f"{ours}/bias", f"{theirs}.bias", "same"),
    )


STAGE, BLOCK = r"stage(\d+)_block(\d+)", r"block(\d+)"

RESIDUAL = Layout(
    "torchvision and timm",
    (
        *_layer("stem", "conv1", "convolution"),
        *_normalised("stem_normalization", "bn1"),
        *_layer(rf"{STAGE}_shortcut", "layer{a}.{b0}.downsample.0", "convolution"),
        *_normalised(rf"{STAGE}_shortcut_normalization", "layer{a}.{b0}.downsample.1"),
        *_layer(rf"{STAGE}_convolution(\d)", "layer{a}.{b0}.conv{c}", "convolution"),
        *_normalised(rf"{STAGE}_convolution(\d)_normalization", "layer{a}.{b0}.bn{c}"),
    ),
    _layer("logits", "fc"),
    r".*\.num_batches_tracked",
)


def _vit(title: str, names: Mapping[str, str], **more: str) -> Layout:
    """A Vision Transformer's layout from the names of its parts."""
    block, joined = names["block"], f"{names['block']}.{names['qkv']}"
    forms: tuple[Form, ...] = ("query", "key", "value")
    rules = [
        *_layer("patches", names["patches"], "convolution"),
        Rule("tokens/class_token", names["class_token"], "same"),
        Rule("tokens/positions", names["positions"], "positions"),
        *_normalised(f"{BLOCK}/attention_normalization", f"{block}.{names['norm1']}"),
        *_normalised(f"{BLOCK}/dense_normalization", f"{block}.{names['norm2']}"),
    ]
    for form in forms:
        rules.append(Rule(f"{BLOCK}/attention/{form}/kernel", f"{joined}weight", form))
        rules.append(Rule(f"{BLOCK}/attention/{form}/bias", f"{joined}bias", form))
    rules += [
        *_layer(f"{BLOCK}/attention/output", f"{block}.{names['output']}"),
        *_layer(f"{BLOCK}/hidden", f"{block}.{names['hidden']}"),
        *_layer(f"{BLOCK}/last", f"{block}.{names['last']}"),
        *_normalised("normalization", names["norm"]),
    ]
    return Layout(title, tuple(rules), _layer("logits", names["head"]), **more)


TORCHVISION_VIT: Mapping[str, str] = {
    "patches": "conv_proj",
    "class_token": "class_token",
    "positions": "encoder.pos_embedding",
    "block": "encoder.layers.encoder_layer_{a0}",
    "norm1": "ln_1",
    "norm2": "ln_2",
    "qkv": "self_attention.in_proj_",
    "output": "self_attention.out_proj",
    "hidden": "mlp.0",
    "last": "mlp.3",
    "norm": "encoder.ln",
    "head": "heads.head",
}
TIMM_VIT: Mapping[str, str] = {
    "patches": "patch_embed.proj",
    "class_token": "cls_token",
    "positions": "pos_embed",
    "block": "blocks.{a0}",
    "norm1": "norm1",
    "norm2": "norm2",
    "qkv": "attn.qkv.",
    "output": "attn.proj",
    "hidden": "mlp.fc1",
    "last": "mlp.fc2",
    "norm": "norm",
    "head": "head",
}


TORCHVISION_CONVNEXT = Layout(
    "torchvision",
    (
        *_layer("stem", "features.0.0", "convolution"),
        *_normalised("stem_normalization", "features.0.1"),
        *_layer(r"stage(\d+)_halving", "features.{even}.1", "convolution"),
        *_normalised(r"stage(\d+)_halving_normalization", "features.{even}.0"),
        *_layer(rf"{STAGE}_depthwise", "features.{odd}.{b0}.block.0", "depthwise"),
        *_normalised(rf"{STAGE}_normalization", "features.{odd}.{b0}.block.2"),
        *_layer(rf"{STAGE}_dense1", "features.{odd}.{b0}.block.3"),
        *_layer(rf"{STAGE}_dense2", "features.{odd}.{b0}.block.5"),
        Rule(rf"{STAGE}_scale/gamma", "features.{odd}.{b0}.layer_scale", "flat"),
        *_normalised("normalization", "classifier.0"),
    ),
    _layer("logits", "classifier.2"),
    end=r"classifier\.0\..*",
)
TIMM_CONVNEXT = Layout(
    "timm",
    (
        *_layer("stem", "stem.0", "convolution"),
        *_normalised("stem_normalization", "stem.1"),
        *_layer(r"stage(\d+)_halving", "stages.{a0}.downsample.1", "convolution"),
        *_normalised(r"stage(\d+)_halving_normalization", "stages.{a0}.downsample.0"),
        *_layer(rf"{STAGE}_depthwise", "stages.{a0}.blocks.{b0}.conv_dw", "depthwise"),
        *_normalised(rf"{STAGE}_normalization", "stages.{a0}.blocks.{b0}.norm"),
        *_layer(rf"{STAGE}_dense1", "stages.{a0}.blocks.{b0}.mlp.fc1"),
        *_layer(rf"{STAGE}_dense2", "stages.{a0}.blocks.{b0}.mlp.fc2"),
        Rule(rf"{STAGE}_scale/gamma", "stages.{a0}.blocks.{b0}.gamma", "flat"),
        *_normalised("normalization", "head.norm"),
    ),
    _layer("logits", "head.fc"),
    end=r"head\.norm\..*",
)
TIMM_EFFICIENTNET_LITE = Layout(
    "timm",
    (
        *_layer("stem", "conv_stem", "convolution"),
        *_normalised("stem_normalization", "bn1"),
        # The first stage widens nothing, and timm counts on from what there is.
        *_layer(r"stage1_block(\d+)_depthwise", "blocks.0.{a0}.conv_dw", "depthwise"),
        *_normalised(r"stage1_block(\d+)_depthwise_normalization", "blocks.0.{a0}.bn1"),
        *_layer(r"stage1_block(\d+)_projection", "blocks.0.{a0}.conv_pw", "convolution"),
        *_normalised(r"stage1_block(\d+)_projection_normalization", "blocks.0.{a0}.bn2"),
        *_layer(rf"{STAGE}_expansion", "blocks.{a0}.{b0}.conv_pw", "convolution"),
        *_normalised(rf"{STAGE}_expansion_normalization", "blocks.{a0}.{b0}.bn1"),
        *_layer(rf"{STAGE}_depthwise", "blocks.{a0}.{b0}.conv_dw", "depthwise"),
        *_normalised(rf"{STAGE}_depthwise_normalization", "blocks.{a0}.{b0}.bn2"),
        *_layer(rf"{STAGE}_projection", "blocks.{a0}.{b0}.conv_pwl", "convolution"),
        *_normalised(rf"{STAGE}_projection_normalization", "blocks.{a0}.{b0}.bn3"),
        *_layer("top", "conv_head", "convolution"),
        *_normalised("top_normalization", "bn2"),
    ),
    _layer("logits", "classifier"),
    r".*\.num_batches_tracked",
    end=r"(conv_head|bn2)\..*",
)

LAYOUTS: Mapping[str, tuple[Layout, ...]] = {
    "residual": (RESIDUAL,),
    "vit": (
        _vit("torchvision", TORCHVISION_VIT),
        _vit(
            "torchvision (of 2022)",
            {**TORCHVISION_VIT, "hidden": "mlp.linear_1", "last": "mlp.linear_2"},
        ),
        _vit("timm", TIMM_VIT),
    ),
    "convnext": (TORCHVISION_CONVNEXT, TIMM_CONVNEXT),
    "efficientnet-lite": (TIMM_EFFICIENTNET_LITE,),
}
"""By family of `septet.models.backbones.BACKBONES`."""


def name_in(layout: Layout, path: str, *, with_head: bool) -> tuple[str, Form] | None:
    """What a weight of ours is called in a layout and how it lies; None if it is not in there."""
    for rule in (*layout.rules, *(layout.head if with_head else ())):
        found = re.fullmatch(rule.ours, path)
        if found:
            return _filled(rule.theirs, [int(group) for group in found.groups()]), rule.form
    return None


def _filled(template: str, numbers: list[int]) -> str:
    """A template with its numbers."""
    values: dict[str, int] = {}
    for letter, number in zip("abc", numbers, strict=False):
        values |= {letter: number, f"{letter}0": number - 1}
    if numbers:
        # torchvision's ConvNeXt counts stages and what halves between them together.
        values |= {"odd": 2 * numbers[0] - 1, "even": 2 * numbers[0] - 2}
    return template.format(**values)


def is_of_head(layout: Layout, name: str) -> bool:
    """Whether a name is one of the last layer's."""
    return any(name == rule.theirs for rule in layout.head)
