"""The four tasks on tiny data, trained and asked: the same data and questions in every process."""

from pathlib import Path
from typing import Any

import numpy as np

SETTINGS: dict[str, dict[str, Any]] = {
    "tabular-classification": {"model": {"width": 8, "depth": 1}},
    "tabular-regression": {"model": {"width": 8, "depth": 1}},
    "image-classification": {"model": {"width": 4, "depth": 1}, "training": {"batch_size": 16}},
    "image-generation": {
        "model": {"filters": 4},
        "training": {"batch_size": 16},
        "data": {"test_fraction": 0.3},
    },
}


def make_data(folder: Path) -> dict[str, Path]:
    """A small file for each task."""
    random = np.random.default_rng(0)
    numbers = random.normal(size=(90, 2)).round(4)
    kinds = random.choice(["red", "green"], 90)
    paths = {}
    for task, last in (
        ("tabular-classification", np.where(numbers.sum(1) > 0, "yes", "no")),
        ("tabular-regression", numbers.sum(1).round(4)),
    ):
        rows = [f"{a},{b},{k},{y}" for (a, b), k, y in zip(numbers, kinds, last, strict=True)]
        paths[task] = folder / f"{task}.csv"
        paths[task].write_text("a,b,kind,target\n" + "\n".join(rows) + "\n")
    labels = np.arange(60) % 2
    pictures = random.integers(0, 90, (60, 8, 8)) + 120 * labels[:, None, None]
    archive = folder / "pictures.npz"
    np.savez(archive, x=pictures.astype(np.uint8), y=labels)
    return {**paths, "image-classification": archive, "image-generation": archive}


def train_all(data: dict[str, Path], epochs: int = 2, **more: Any) -> dict[str, Any]:
    """A run of each task, by task."""
    from septet import api

    return {
        task: api.train(task, data[task], settings=SETTINGS[task], epochs=epochs, name=task, **more)
        for task in SETTINGS
    }


def answers(runs: Path) -> dict[str, np.ndarray]:
    """What the model folder of each run under `runs` answers to fixed inputs."""
    from septet import api

    random = np.random.default_rng(5)
    asked = {
        "pictures": random.integers(0, 256, (7, 8, 8, 1)).astype(np.uint8),
        "numbers": random.normal(size=(7, 2)).astype(np.float32),
        "categories": random.integers(0, 2, (7, 1)).astype(np.int32),
        "noise": random.normal(size=(7, 64)).astype(np.float32),
    }
    names = {
        "tabular-classification": ("numbers", "categories"),
        "tabular-regression": ("numbers", "categories"),
        "image-classification": ("pictures",),
        "image-generation": ("noise",),
    }
    return {
        task: api.load(runs / task).outputs({name: asked[name] for name in names[task]})
        for task in SETTINGS
    }
