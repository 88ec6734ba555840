"""How accurate is the same small CNN after the same time in Septet, Keras and PyTorch?

    septet data fetch fashion-mnist
    python benchmarks/fashion_peers.py --seconds 120 --plot docs/fashion-peers.png

Conv 32, pool, conv 64, pool, dense 64, dropout 0.5, dense 10; batch 32, Adam at 1e-3,
full Fashion-MNIST, CPU. Each peer trains alone, in its own process, for the same
wall-clock time with compiling in it; test accuracy is taken after each epoch, off the
clock. "septet-recipe" is `septet train --minutes` with everything in the time. The last
line is JSON.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from processes import environment_with, machine, run_peer

from septet import registry
from septet.evaluation import drawing

PEERS = {
    "septet": ("fashion_septet.py", "septet", {}),
    "septet-recipe": ("fashion_recipe.py", "septet", {}),
    "keras-tensorflow": ("fashion_keras.py", "tensorflow", {"KERAS_BACKEND": "tensorflow"}),
    "torch-eager": ("fashion_torch.py", "torch", {}),
}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=120.0, help="of training, each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", default="fashion-mnist", help="a sample's name or an .npz file")
    parser.add_argument("--only", choices=PEERS, nargs="+", default=list(PEERS))
    parser.add_argument("--plot", help="PNG file for the curves of accuracy over seconds")
    parser.add_argument("--tf-python", help="Python with keras and tensorflow-cpu")
    parser.add_argument("--torch-python", help="Python with torch and numpy")
    return parser.parse_args()


def main() -> None:
    options = parse()
    known = options.data in registry.SAMPLES
    data = registry.sample(options.data).path() if known else options.data
    pythons: dict[str, str | Path] = {"septet": sys.executable}
    results = []
    for name in options.only:
        script, environment, settings = PEERS[name]
        if environment == "tensorflow":
            packages = ["keras>=3.15.1", "tensorflow-cpu"]
            pythons[environment] = environment_with(environment, packages, options.tf_python)
        if environment == "torch":
            packages = ["torch", "numpy"]
            pythons[environment] = environment_with(environment, packages, options.torch_python)
        result = run_peer(
            pythons[environment],
            script,
            [data, options.seconds, options.seed],
            environment=settings,
            timeout_s=600 + 5 * options.seconds,
        )
        results.append(result)
        shown = f"{result['peer']:<18}{result['accuracy']:.4f} after {result['seconds']} s"
        print(shown, flush=True)
    if options.plot:
        draw(results, Path(options.plot))
    question = {"benchmark": "fashion_peers", "seconds": options.seconds, "seed": options.seed}
    print(json.dumps({**question, "machine": machine(), "peers": results}))


def draw(results: list[dict[str, Any]], path: Path) -> None:
    """Test accuracy against seconds of wall clock, a line a peer; the recipe is one point."""
    figure = drawing.new_figure(3.6)
    axes = figure.subplots()
    drawing.style(axes, "Full Fashion-MNIST", "seconds of training", "test accuracy", grid="both")
    colours = (drawing.BLUE, "#0f766e", drawing.ORANGE, "#7c3aed")
    for result, colour in zip(results, colours, strict=False):
        seconds, accuracies = zip(*result["curve"], strict=True)
        mark = "o" if len(seconds) == 1 else ""
        axes.plot(seconds, accuracies, color=colour, marker=mark, label=result["peer"])
    lows = [value for result in results for _, value in result["curve"]]
    axes.set_ylim(max(min(lows), 0.84), max(lows) + 0.005)
    axes.legend(frameon=False, fontsize=8)
    drawing.save(figure, path.parent, path.name)


if __name__ == "__main__":
    main()
