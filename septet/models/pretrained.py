"""Weights of torchvision and timm for our backbones: every tensor named and shape-checked.

What is read comes as a mapping of names to arrays; how a file is read is known elsewhere.
"""

import math
import re
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from septet.errors import WeightsError
from septet.models.backbones import BACKBONES
from septet.models.efficientnet_lite import STAGES, rounded
from septet.models.foreign_names import LAYOUTS, Form, Layout, is_of_head, name_in
from septet.models.vision_transformer import resized_positions
from septet.runs.tensors import complaint

SHOWN = 3
"""Names in a message."""
THIRDS = {"query": 0, "key": 1, "value": 2}
IMAGENET_MEAN = [123.675, 116.28, 103.53]
"""Of pictures as bytes, which torchvision's and timm's residual networks were trained with."""
IMAGENET_DEVIATION = [58.395, 57.12, 57.375]

Weights = dict[str, np.ndarray]


def convert(
    tensors: Mapping[str, np.ndarray],
    backbone: str,
    wanted: Mapping[str, tuple[int, ...]],
    *,
    source: str,
    grid: tuple[int, int] | None = None,
    with_head: bool = False,
) -> Weights:
    """Values for our weights by path, of tensors under the names of torchvision or timm.

    Args:
        tensors: Of the file, by name.
        backbone: A key of `BACKBONES`.
        wanted: Shapes of the network's weights by path; those that no layout has, as those of
            another head, are left out.
        source: The file, for messages.
        grid: Rows and columns of patches, of a Vision Transformer.
        with_head: The last layer's as well; else its tensors may be there and are not read.

    Raises:
        WeightsError: Tensors are missing, too many, or of another shape, or have numbers that
            none may have, those that are not read among them.
    """
    family = BACKBONES[backbone].family
    if family not in LAYOUTS:
        known = ", ".join(name for name, kind in BACKBONES.items() if kind.family in LAYOUTS)
        raise WeightsError(
            f"There are no weights for '{backbone}' by names of torchvision or timm. They are "
            f"for: {known}."
        )
    layout, named = _chosen(tensors, family, wanted, with_head)
    needed = {name for name, _ in named.values()}
    missing = sorted(needed - tensors.keys())
    if len(missing) == len(needed):
        raise WeightsError(
            f"'{source}' has none of the tensors of '{backbone}'; it has {_some(tensors)}, and "
            f"expected were {_some(needed)} (names of {layout.title}). {guess(tensors, backbone)}"
        )
    if missing:
        raise WeightsError(
            f"'{source}' lacks {len(missing)} of the {len(needed)} tensors of '{backbone}' (names "
            f"of {layout.title}): {_some(missing)}. {guess(tensors, backbone)}"
        )
    # A network without classes has no place for what comes before them.
    spare = layout.ignored if _has_end(layout, needed) else f"{layout.ignored}|{layout.end}"
    surplus = [
        name
        for name in tensors.keys() - needed
        if not re.fullmatch(spare, name) and not is_of_head(layout, name)
    ]
    if surplus:
        raise WeightsError(
            f"'{source}' has {len(surplus)} tensors that '{backbone}' does not (names of "
            f"{layout.title}): {_some(surplus)}. {guess(tensors, backbone)}"
        )
    for name in tensors.keys() - needed:
        require_numbers(name, tensors[name], source)
    return {
        path: _value(tensors[name], name, form, wanted[path], backbone, source, grid)
        for path, (name, form) in named.items()
    }


def _has_end(layout: Layout, needed: Collection[str]) -> bool:
    """Whether any of what classifiers alone have is wanted."""
    return any(re.fullmatch(layout.end, name) for name in needed)


def _chosen(
    tensors: Mapping[str, np.ndarray],
    family: str,
    wanted: Mapping[str, tuple[int, ...]],
    with_head: bool,
) -> tuple[Layout, dict[str, tuple[str, Form]]]:
    """The layout of which the file has the most names, and the names in it."""
    found = []
    for layout in LAYOUTS[family]:
        named = {path: name_in(layout, path, with_head=with_head) for path in wanted}
        known = {path: name for path, name in named.items() if name is not None}
        found.append((sum(name in tensors for name, _ in known.values()), layout, known))
    _, layout, known = max(found, key=lambda entry: entry[0])
    return layout, known


def _value(
    tensor: np.ndarray,
    name: str,
    form: Form,
    shape: tuple[int, ...],
    backbone: str,
    source: str,
    grid: tuple[int, int] | None,
) -> np.ndarray:
    """One of our weights, float32 and of `shape`."""
    if tensor.dtype.name not in ("float16", "bfloat16", "float32", "float64"):
        raise WeightsError(
            f"'{source}' has '{name}' as {tensor.dtype}; expected numbers of 16 to 64 bits with a "
            "point. Use weights that were not quantised."
        )
    array = _laid(tensor, form)
    if form == "positions" and grid and array.ndim == 3 and array.shape[::2] == shape[::2]:
        array = _positions(array, grid, name, source)
    if array is None or array.shape != shape:
        theirs = _their_shape(shape, form)
        raise WeightsError(
            f"'{source}' has '{name}' of shape {tensor.shape}; '{backbone}' expects {theirs}. "
            "Use weights of that backbone, or change its settings to those of the weights."
        )
    # What has 64 bits and is too large for 32 becomes infinite, which is refused.
    with np.errstate(over="ignore"):
        array = np.array(array, np.float32, order="C")
    require_numbers(name, array, source)
    return array


def require_numbers(name: str, array: np.ndarray, source: str) -> None:
    """WeightsError where a tensor has numbers that none may have."""
    if problem := complaint(name, array):
        raise WeightsError(
            f"'{source}' has '{name}' with {problem}. The file is damaged, or training it failed: "
            "download it again, or use another."
        )


def _laid(tensor: np.ndarray, form: Form) -> Any:
    """The array as ours lies; None where it has not as many axes as that needs."""
    if form in THIRDS:
        if tensor.ndim not in (1, 2) or len(tensor) % 3:
            return None
        third = np.split(tensor, 3)[THIRDS[form]]
        return third.T
    if form == "dense":
        # Some of timm's are convolutions of 1x1.
        flat = tensor[:, :, 0, 0] if tensor.ndim == 4 and tensor.shape[2:] == (1, 1) else tensor
        return flat.T if flat.ndim == 2 else None
    if form in ("convolution", "depthwise"):
        axes = (2, 3, 1, 0) if form == "convolution" else (2, 3, 0, 1)
        return tensor.transpose(axes) if tensor.ndim == 4 else None
    if form == "flat":
        return tensor.reshape(-1)
    return tensor


def _positions(array: np.ndarray, grid: tuple[int, int], name: str, source: str) -> np.ndarray:
    """Positions for as many patches as there are, resampled where they are others."""
    if array.shape[1] == grid[0] * grid[1] + 1:
        return array
    try:
        return resized_positions(array.astype(np.float32), *grid)
    except ValueError as error:
        raise WeightsError(
            f"'{source}' has '{name}' of shape {array.shape}: {error}. Use weights of a Vision "
            "Transformer for square pictures with a class token."
        ) from None


def _their_shape(shape: tuple[int, ...], form: Form) -> tuple[int, ...]:
    """The shape there that gives `shape` here."""
    if form in THIRDS:
        return (3 * shape[-1], *shape[:-1])
    if form == "dense":
        return shape[::-1]
    if form == "convolution":
        return (shape[3], shape[2], *shape[:2])
    if form == "depthwise":
        return (shape[2], shape[3], *shape[:2])
    return shape


def _some(names: Any) -> str:
    """The first few names, for a message."""
    ordered = sorted(name[:80] for name in names)
    more = f" and {len(ordered) - SHOWN} more" if len(ordered) > SHOWN else ""
    return ", ".join(repr(name) for name in ordered[:SHOWN]) + more if ordered else "none"


def guess(tensors: Mapping[str, np.ndarray], asked: str = "") -> str:
    """Which backbone a file is of, as advice to somebody who asked for one."""
    name = backbone_of(tensors)
    if name in (None, asked):
        return "Use weights of that backbone."
    return f"It looks like weights of '{name}': choose that network."


def backbone_of(tensors: Mapping[str, np.ndarray]) -> str | None:
    """Which of `BACKBONES` tensors are of, by their names and a few shapes; None if none."""
    names = set(tensors)
    if "layer1.0.conv1.weight" in names:
        if "layer1.0.conv3.weight" in names:
            return "resnet50" if "layer3.6.conv1.weight" not in names else None
        return "resnet34" if "layer3.5.conv1.weight" in names else "resnet18"
    for token in ("class_token", "cls_token"):
        if token in names:
            dim = tensors[token].shape[-1:] or (0,)
            sizes = {kind.settings["dim"]: name for name, kind in _kinds("vit")}
            return sizes.get(dim[0])
    if "conv_stem.weight" in names and "blocks.0.0.conv_dw.weight" in names:
        return _efficientnet_lite(tensors)
    for stem in ("features.0.0.weight", "stem.0.weight"):
        if stem in names:
            sizes = {kind.settings["width"]: name for name, kind in _kinds("convnext")}
            return sizes.get(len(tensors[stem]) if tensors[stem].ndim else 0)
    return None


def _efficientnet_lite(tensors: Mapping[str, np.ndarray]) -> str | None:
    """Which one, by the blocks of the sixth stage and the channels of the last."""
    if any(".se." in name for name in tensors):
        return None
    last = tensors.get("blocks.6.0.conv_pwl.weight")
    channels = len(last) if last is not None and last.ndim else 0
    depth = sum(bool(re.fullmatch(r"blocks\.5\.\d+\.conv_pw\.weight", name)) for name in tensors)
    for name, kind in _kinds("efficientnet-lite"):
        stage = STAGES[-2]
        wanted = rounded(STAGES[-1][-1] * kind.settings["wider"])
        if (wanted, math.ceil(stage[0] * kind.settings["deeper"])) == (channels, depth):
            return name
    return None


def _kinds(family: str) -> list[tuple[str, Any]]:
    return [
        (name, kind)
        for name, kind in BACKBONES.items()
        if kind.family == family and not name.endswith("micro")
    ]
