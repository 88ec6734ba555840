"""A folder of pretrained weights: in the layout of the Hugging Face hub, or a KerasHub preset.

Both are given in the words of the hub. Which is meant is told by the folder's files.
"""

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from septet.language import hub_folder, keras_hub_folder
from septet.language.keras_hub_folder import is_preset


def read_config(path: Path) -> dict[str, Any]:
    """What the folder says of its network; DataError where it cannot be read."""
    if is_preset(path):
        return keras_hub_folder.config_of(path)
    return hub_folder.read_json(path / "config.json")


def read_tokenizer(path: Path) -> dict[str, Any]:
    """What it says of its tokens; DataError where it cannot be read."""
    if is_preset(path):
        return keras_hub_folder.tokenizer_of(path)
    return hub_folder.read_json(path / "tokenizer.json")


def weight_files(path: Path) -> list[Path]:
    """The files of weights; DataError if there are none, or they are too large."""
    preset = [path / keras_hub_folder.FILE] if is_preset(path) else None
    return hub_folder.weight_files(path, preset)


def require_room(path: Path, shapes: Iterable[tuple[int, ...]]) -> None:
    """Refuse a folder that says it has more numbers than its files have bytes.

    Nothing of that size is made before the files are read.
    """
    numbers = sum(math.prod(shape) for shape in shapes)
    size = sum(file.stat().st_size for file in weight_files(path))
    if numbers > size:
        raise hub_folder.refuse(
            path, f"says it has {numbers:,} numbers, and its weights have {size:,} bytes."
        )


def digest(path: Path) -> str:
    """SHA-256 over the files of weights."""
    found = hashlib.sha256()
    for file in weight_files(path):
        with file.open("rb") as opened:
            found.update(hashlib.file_digest(opened, "sha256").digest())
    return found.hexdigest()


def read_tensors(
    path: Path, plain: Callable[[str], str | None], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, np.ndarray]:
    """The tensors of a folder, as `hub_folder.checked_tensors` gives them."""
    given = keras_hub_folder.tensors_of(path) if is_preset(path) else hub_folder.tensors_of(path)
    return hub_folder.checked_tensors(given, path, plain, shapes)
