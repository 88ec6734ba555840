"""How accurate is the same small CNN after the same time in Septet, Keras and PyTorch?

    septet data fetch fashion-mnist
    python benchmarks/fashion_peers.py --seconds 120

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

from processes import environment_with, machine, run_peer

from septet import registry

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
    question = {"benchmark": "fashion_peers", "seconds": options.seconds, "seed": options.seed}
    print(json.dumps({**question, "machine": machine(), "peers": results}))


if __name__ == "__main__":
    main()
