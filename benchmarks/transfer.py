"""What does starting from other classes' weights gain, with 20 pictures a class?

    septet data fetch fashion-mnist
    python benchmarks/transfer.py --seeds 3

Half of Fashion-MNIST's classes (those of even number, 30,000 pictures) train a network; the
other half has 20 pictures a class, with 4 more a class for validation, and the official test
pictures of those classes. The same network is trained on these from scratch and from the
first one's weights, for as many epochs. The last line is JSON.
"""

import argparse
import json
import statistics
import tempfile
from pathlib import Path

import numpy as np
from processes import machine

import septet
from septet import registry


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--each", type=int, default=20, help="pictures a class to train on")
    parser.add_argument("--architecture", default="cnn")
    parser.add_argument("--first-epochs", type=int, default=4, help="on the first half's classes")
    parser.add_argument("--epochs", type=int, default=60, help="on the few pictures")
    parser.add_argument("--first", type=int, default=30_000, help="pictures of the first half")
    parser.add_argument("--set", action="append", default=[], help="more settings of the second")
    return parser.parse_args()


def main() -> None:
    options = parse()
    with np.load(registry.sample("fashion-mnist").path(), allow_pickle=False) as file:
        data = dict(file)
    rows = []
    with tempfile.TemporaryDirectory(prefix="septet-transfer-") as place:
        folder = Path(place)
        first = write_first(data, folder / "first.npz", options.first)
        network = {"architecture": options.architecture}
        begun = septet.train(
            "image-classification", first, epochs=options.first_epochs, name=None,
            settings={"model": network},
        )  # fmt: skip
        print(f"first half: {begun.scores['accuracy']:.4f}", flush=True)
        more = {"model": {}, "training": {}, "data": {}}
        for pair in options.set:
            name, _, value = pair.partition("=")
            group, _, key = name.partition(".")
            more[group][key] = json.loads(value)
        for seed in range(options.seeds):
            second = write_second(data, folder / f"second-{seed}.npz", options.each, seed)
            starts = {"scratch": network, "pretrained": {"pretrained": str(begun.folder / "model")}}
            row: dict[str, float] = {}
            for kind, model in starts.items():
                extra = more["model"] if kind == "pretrained" else {}
                run = septet.train(
                    "image-classification", second, epochs=options.epochs, seed=seed,
                    settings={
                        "model": {**model, **extra},
                        "training": {"batch_size": 20, **more["training"]},
                    },
                )  # fmt: skip
                row[kind] = run.scores["accuracy"]
            rows.append(row)
            print(f"seed {seed}: {row}", flush=True)
    means = {kind: statistics.mean(row[kind] for row in rows) for kind in rows[0]}
    print(
        json.dumps(
            {
                "benchmark": "transfer",
                "machine": machine(),
                "first": begun.scores["accuracy"],
                "runs": rows,
                "means": means,
                "gain": means["pretrained"] - means["scratch"],
            }
        )
    )


def write_first(data: dict[str, np.ndarray], path: Path, most: int) -> Path:
    """Pictures of classes of even number."""
    arrays: dict[str, np.ndarray] = {}
    for split in ("train", "test"):
        rows = np.flatnonzero(data[f"y_{split}"] % 2 == 0)
        rows = rows[:most] if split == "train" else rows
        arrays[f"x_{split}"] = data[f"x_{split}"][rows]
        arrays[f"y_{split}"] = data["class_names"][data[f"y_{split}"][rows]]
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def write_second(data: dict[str, np.ndarray], path: Path, each: int, seed: int) -> Path:
    """Few pictures of classes of odd number, drawn by the seed, and all test pictures of them."""
    random = np.random.default_rng(seed)
    parts: dict[str, list[np.ndarray]] = {"train": [], "validation": []}
    for label in range(1, 10, 2):
        drawn = random.permutation(np.flatnonzero(data["y_train"] == label))
        parts["train"].append(drawn[:each])
        parts["validation"].append(drawn[each : each + 4])
    arrays: dict[str, np.ndarray] = {}
    for split, rows in parts.items():
        chosen = np.concatenate(rows)
        arrays[f"x_{split}"] = data["x_train"][chosen]
        arrays[f"y_{split}"] = data["class_names"][data["y_train"][chosen]]
    rows = np.flatnonzero(data["y_test"] % 2 == 1)
    arrays["x_test"] = data["x_test"][rows]
    arrays["y_test"] = data["class_names"][data["y_test"][rows]]
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


if __name__ == "__main__":
    main()
