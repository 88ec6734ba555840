"""How fast does each peer train seven standard models?

    python benchmarks/seven.py --repeats 5
    python benchmarks/seven.py --accelerator --batch-size 1024

On a CPU or, asked to, on a GPU. Batches of 32, float32, 128 batches: `septet.fit`, of networks
written by hand and of the same made by the builders of `septet.models`; Keras `fit` on JAX (as it
is, and with steps_per_execution=32), on TensorFlow and on PyTorch; a plain PyTorch loop with fused
Adam, eager and compiled. A process of its own measures the models of one peer, each with a first
epoch and its compilation, then timed ones. Peers take turns; medians over the repeats. Septet's
first epoch is measured with an empty cache of compiled programs and with a filled one. With a
`--cache` that is filled already, only steps can be compared. The last line is JSON.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from peers.seven_models import NAMES, mflop
from processes import environment_with, machine, run_peer

WAYS = {
    "septet": ("septet", 20),
    "septet-builders": ("septet-builders", 20),
    "keras-jax": ("fit", 10),
    "keras-jax-32": ("fit-32", 10),
    "keras-tensorflow": ("fit", 3),
    "keras-torch": ("fit", 3),
    "torch-eager": ("eager", 10),
    "torch-compile": ("compile", 10),
    "torch-graphs": ("graphs", 10),
}
"""Peer: its way, and its timed epochs."""
ON_CPU = [peer for peer in WAYS if peer != "torch-graphs"]
ON_GPU = [peer for peer in ON_CPU if peer != "keras-tensorflow"]


def main() -> None:
    options = parse()
    before, peak = machine(), matrix_peak()
    if options.accelerator:
        found = run_peer(sys.executable, "matrix_products.py", [])
        before |= {"accelerator": found["kind"]}
        peak = found["flops"]["float32"] / 1e9
    measured: dict[str, dict[str, list[dict]]] = {
        name: {peer: [] for peer in options.peers} for name in options.models
    }
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(options.repeats):
            for peer in options.peers:
                cache = options.cache or Path(folder) / f"{repeat}-{peer}"
                for found in measure(peer, cache, options):
                    measured[found["model"]][peer].append(found)
                    say(found["model"], peer, f"{found['us_per_step']:>10.1f} us a step")
    summary = {
        name: summarise(mflop(options.batch_size)[name], peers, peak)
        for name, peers in measured.items()
    }
    totals = geometric_means(summary)
    show(summary, totals)
    if options.plot:
        plot(summary, options.plot)
    result = {
        "benchmark": "seven",
        "repeats": options.repeats,
        "batch_size": options.batch_size,
        "machine": {**before, "matrix_product_gflops": round(peak, 1)},
        "models": summary,
        "geometric_means": totals,
    }
    print(json.dumps(result))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--models", choices=NAMES, nargs="+", default=list(NAMES))
    parser.add_argument("--peers", choices=WAYS, nargs="+")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--accelerator", action="store_true", help="a GPU is there and is used")
    parser.add_argument("--cache", type=Path, help="keep JAX' compiled programs here")
    parser.add_argument("--epochs", type=int, help="timed epochs of every peer")
    parser.add_argument("--tf-python", help="Python with keras and tensorflow-cpu")
    parser.add_argument("--torch-python", help="Python with torch, numpy and keras")
    parser.add_argument("--plot", type=Path, help="where to draw the table")
    options = parser.parse_args()
    options.peers = options.peers or (ON_GPU if options.accelerator else ON_CPU)
    return options


def measure(peer: str, cache: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """A measurement of each model; Septet's have the first epoch with a warm cache as well."""
    way, epochs = WAYS[peer]
    given = [",".join(options.models), way, options.epochs or epochs, options.batch_size]
    if peer.startswith("torch-"):
        return run_peer(python_of("torch", options), "seven_torch.py", given)
    backend = peer.split("-")[1] if peer.startswith("keras-") else "jax"
    python = sys.executable if backend == "jax" else python_of(backend, options)
    settings = {"KERAS_BACKEND": backend, "SEPTET_CACHE": str(cache)}
    if options.cache and backend == "jax":
        settings |= {
            "JAX_COMPILATION_CACHE_DIR": str(cache),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }
    found = run_peer(python, "seven_keras.py", given, environment=settings)
    if peer.startswith("septet") and not options.cache:
        given[2] = 1
        again = run_peer(python, "seven_keras.py", given, environment=settings)
        for cold, warm in zip(found, again, strict=True):
            cold["warm_first_epoch_s"] = warm["first_epoch_s"]
    return found


def python_of(framework: str, options: argparse.Namespace) -> Path:
    """The Python of an environment with TensorFlow or PyTorch, and Keras."""
    if framework == "torch":
        return environment_with("torch", ["torch==2.13.0", "numpy", "keras"], options.torch_python)
    packages = ["keras>=3.15.1", "tensorflow-cpu"]
    return environment_with("tensorflow", packages, options.tf_python)


def matrix_peak() -> float:
    """GFLOP/s of the fastest of several float32 matrix products in NumPy, all cores."""
    size = 2048
    matrix = np.ones((size, size), np.float32)
    fastest = min(_seconds(lambda: matrix @ matrix) for _ in range(8))
    return 2 * size**3 / fastest / 1e9


def _seconds(work: Any) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def summarise(
    mflop_a_step: float, peers: dict[str, list[dict]], peak: float
) -> dict[str, dict[str, Any]]:
    """Medians of each peer, and how many times faster Septet is."""
    medians = {peer: median(found, "us_per_step") for peer, found in peers.items()}
    own = medians.get("septet")
    summary = {}
    for peer, found in peers.items():
        gflops = mflop_a_step / medians[peer] * 1e3
        summary[peer] = {
            "version": found[0]["version"],
            "us_per_step": round(medians[peer], 1),
            "fastest_us_per_step": min(one["fastest_us_per_step"] for one in found),
            "first_epoch_s": round(median(found, "first_epoch_s"), 2),
            "gflops": round(gflops, 2),
            "share_of_peak": round(gflops / peak, 4),
            "septet_is_faster_by": round(medians[peer] / own, 2) if own else None,
        }
        if "warm_first_epoch_s" in found[0]:
            summary[peer]["warm_first_epoch_s"] = round(median(found, "warm_first_epoch_s"), 2)
    return summary


def median(found: Sequence[dict], key: str) -> float:
    return statistics.median(one[key] for one in found)


def geometric_means(summary: dict[str, dict[str, Any]]) -> dict[str, float]:
    """How many times faster Septet is than each peer, and than the best one, over the models."""
    if not all("septet" in peers for peers in summary.values()):
        return {}
    ratios: dict[str, list[float]] = {}
    for peers in summary.values():
        others = {p: one["septet_is_faster_by"] for p, one in peers.items() if p != "septet"}
        for peer, ratio in others.items():
            ratios.setdefault(peer, []).append(ratio)
        rivals = [ratio for peer, ratio in others.items() if peer != "septet-builders"]
        if rivals:
            ratios.setdefault("the best peer", []).append(min(rivals))
    return {peer: round(statistics.geometric_mean(each), 2) for peer, each in ratios.items()}


def show(summary: dict[str, dict[str, Any]], totals: dict[str, float]) -> None:
    """A table of microseconds a step and of Septet's multiples."""
    for name, peers in summary.items():
        for peer, one in peers.items():
            ratio = one["septet_is_faster_by"]
            more = f"{ratio:>8.2f} times Septet" if ratio and peer != "septet" else ""
            say(name, peer, f"{one['us_per_step']:>10.1f} us  first {one['first_epoch_s']} s{more}")
    for peer, ratio in totals.items():
        say("all", peer, f"{ratio:>10.2f} times Septet, geometric mean")


def plot(summary: dict[str, dict[str, Any]], path: Path) -> None:
    """How many times longer each peer's step takes than Septet's, as bars by model."""
    import matplotlib.pyplot as plt

    peers = [peer for peer in next(iter(summary.values())) if peer != "septet"]
    figure, axes = plt.subplots(figsize=(10, 4.5), layout="constrained")
    width = 0.8 / max(len(peers), 1)
    for place, peer in enumerate(peers):
        heights = [found[peer]["septet_is_faster_by"] for found in summary.values()]
        axes.bar(np.arange(len(summary)) + place * width, heights, width, label=peer)
    axes.axhline(1.0, color="black", linewidth=0.8)
    axes.set_xticks(np.arange(len(summary)) + 0.4 - width / 2, list(summary))
    axes.set_yscale("log")
    axes.set_ylabel("time of a step, Septet's = 1")
    axes.legend(ncols=3, fontsize="small")
    figure.savefig(path, dpi=120)


def say(name: str, peer: str, text: str) -> None:
    print(f"{name:<12}{peer:<18}{text}", flush=True)


if __name__ == "__main__":
    main()
