"""Folders in the layout of the Hugging Face hub, each spoilt in one way."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

Spoil = Callable[[Path], Any]


def changed(name: str, **values: Any) -> Spoil:
    """Other values in a file of JSON."""

    def change(folder):
        path = folder / name
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    return change


def nested(group: str, **values: Any) -> Spoil:
    """Other values in a group of tokenizer.json."""

    def change(folder):
        path = folder / "tokenizer.json"
        known = json.loads(path.read_text())
        known[group] = {**known[group], **values}
        path.write_text(json.dumps(known))

    return change


def tensors(change: Callable[[dict[str, np.ndarray]], Any]) -> Spoil:
    """Other tensors."""

    def work(folder):
        found = load_file(folder / "model.safetensors")
        change(found)
        save_file(found, folder / "model.safetensors")

    return work


def content(name: str, data: bytes) -> Spoil:
    """A file of other bytes."""
    return lambda folder: (folder / name).write_bytes(data)


def removed(name: str) -> Spoil:
    """A file less."""
    return lambda folder: (folder / name).unlink()


def replaced(name: str, array: np.ndarray) -> Spoil:
    """One tensor more, or another one."""
    return tensors(lambda found: found.update({name: array}))


def spoilt_files(
    weights: bytes, weight: str, shape: tuple[int, int], extra: str
) -> dict[str, Spoil]:
    """What can be wrong with the files of any such folder.

    Args:
        weights: The bytes of the good model.safetensors.
        weight: The name of one of its tensors.
        shape: That tensor's.
        extra: A name that no tensor has.
    """
    return {
        "no config": removed("config.json"),
        "no weights": removed("model.safetensors"),
        "no tokenizer": removed("tokenizer.json"),
        "config empty": content("config.json", b""),
        "config no object": content("config.json", b"[]"),
        "config deep": content("config.json", b"[" * 100_000),
        "config not text": content("config.json", b"\xff\xfe"),
        "config a number": content("config.json", b"1" * 5000),
        "tokenizer empty": changed("tokenizer.json", model={}),
        "tokenizer normalises": changed("tokenizer.json", normalizer={"type": "NFC"}),
        "weights empty": content("model.safetensors", b""),
        "weights a pickle": content("model.safetensors", b"\x80\x04cos\nsystem\n."),
        "weights of a lying header": content("model.safetensors", b"\xff" * 8 + weights[8:]),
        "weights cut": content("model.safetensors", weights[:-1]),
        "weights cut in the header": content("model.safetensors", weights[:100]),
        "weights longer": content("model.safetensors", weights + b"x"),
        "weight missing": tensors(lambda found: found.pop(weight)),
        "weight left over": replaced(extra, np.zeros(3, np.float32)),
        "weight of another shape": replaced(weight, np.zeros(shape[::-1], np.float32)),
        "weight of another type": replaced(weight, np.zeros(shape, np.int32)),
        "weight not finite": replaced(weight, np.full(shape, np.nan, np.float32)),
        "weight of no size": replaced(weight, np.zeros((0, shape[1]), np.float32)),
    }
