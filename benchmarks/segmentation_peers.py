"""How good is the same network after the same time in Septet and in a plain PyTorch loop?

    septet data fetch scenes
    python benchmarks/segmentation_peers.py --minutes 15
    septet data fetch efficientnet-lite0
    F="--set model.architecture=fpn --set model.pretrained=efficientnet-lite0"
    python benchmarks/segmentation_peers.py --minutes 15 $F

Residual U-Net of Septet's defaults, or as `--set` says, on the scenes' masks (160x160, 8 classes
and background), the same loss, optimizer, rates and changes of pictures, CPU. Each trains alone,
in its own process, for the same wall-clock time with compiling in it, and is then scored once on
the test scenes by the same function. "septet" is `septet train --minutes` with everything in the
time, reading and reports too; PyTorch is given its arrays ready. The last line is JSON.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from processes import environment_with, machine, run_peer

from septet import registry
from septet.config import parse_settings
from septet.vision import starting
from septet.vision.segmentation.options import SegmentationDataOptions, SegmentationModelOptions
from septet.vision.segmentation.scores import evaluate_segments
from septet.vision.segmentation.task import SemanticSegmentation


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=15.0, help="of training, each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", default="scenes", help="a sample's name or a folder")
    parser.add_argument("--only", choices=("septet", "torch"), nargs="+")
    parser.add_argument(
        "--set", action="append", default=[], metavar="GROUP.NAME=VALUE",
        help="of the network, its training and the data, for both",
    )  # fmt: skip
    parser.add_argument("--torch-python", help="Python with torch and numpy")
    return parser.parse_args()


def main() -> None:
    options = parse()
    known = options.data in registry.SAMPLES
    source = registry.sample(options.data).path() if known else Path(options.data)
    results = []
    for name in options.only or ("septet", "torch"):
        with tempfile.TemporaryDirectory() as folder:
            if name == "septet":
                arguments = [source, options.minutes, options.seed, folder, *options.set]
                result = run_peer(
                    sys.executable, "segmentation_septet.py", arguments,
                    timeout_s=600 + 120 * options.minutes,
                )  # fmt: skip
            else:
                result = torch_result(source, Path(folder), options)
        results.append(result)
        print(f"{name:<8}mean IoU {result['mean_iou']:.4f} after {result['seconds']} s", flush=True)
    question = {
        "benchmark": "segmentation_peers", "minutes": options.minutes, "seed": options.seed,
        "set": options.set,
    }  # fmt: skip
    print(json.dumps({**question, "machine": machine(), "peers": results}))


def torch_result(source: Path, folder: Path, options: argparse.Namespace) -> dict[str, object]:
    """Train the peer on the arrays that Septet reads, and score its answers as Septet does."""
    task, given = SemanticSegmentation(), parse_settings(options.set)
    settings = SegmentationDataOptions.model_validate(given.get("data", {}))
    model = SegmentationModelOptions.model_validate(task.settle(given.get("model", {})))
    dataset = task.read(source, settings, options.seed)
    prepared = task.adapt(task.prepare(dataset, settings), model)
    _, arguments = task.architecture(prepared, model)
    start = None
    if model.pretrained is not None:
        frozen = starting.FROZEN if model.frozen is None else model.frozen
        decay = starting.LAYER_DECAY if model.layer_decay is None else model.layer_decay
        start = {
            "weights": model.pretrained, "frozen": frozen, "layer_decay": decay,
            "frozen_norms": model.frozen_norms,
        }  # fmt: skip
    training = {**task.training_defaults, **given.get("training", {})}
    arrays = {}
    for split in ("train", "test"):
        inputs, masks = task.arrays(dataset.splits[split], prepared)
        arrays |= {f"x_{split}": inputs["pictures"], f"y_{split}": masks}
    np.savez(folder / "arrays.npz", **arrays)
    question = {"network": arguments, "start": start, "training": training}
    (folder / "network.json").write_text(json.dumps(question))
    python = environment_with("torch", ["torch", "numpy"], options.torch_python)
    result = run_peer(
        python, "segmentation_torch.py", [folder, 60 * options.minutes, options.seed],
        timeout_s=600 + 120 * options.minutes,
    )  # fmt: skip
    found = np.load(folder / "found.npy")
    test = dataset.splits["test"]
    scores = evaluate_segments(arrays["y_test"], found, prepared["labels"], test.sources)
    interval = scores["intervals"]["mean_iou"]
    return {**result, **scores["scores"], "interval": interval}


if __name__ == "__main__":
    main()
