"""How many steps a second does a small dense net take in Septet, Keras and PyTorch?

    python benchmarks/dense_peers.py --repeats 5

Dense 100-64-64-10, batch 32, Adam, 4,096 rows, CPU. Each measurement is a process of its
own: one epoch to compile and warm up, then timed epochs. Peers take turns, so that a slow
minute of the machine falls on all of them; medians and spreads are over the repeats. The
last line is JSON.
"""

import argparse
import json
import statistics
import sys

from processes import environment_with, machine, run_peer

EPOCHS = {"septet": 100, "keras-jax": 20, "torch-eager": 20, "keras-tensorflow": 5}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", choices=EPOCHS, nargs="+", default=list(EPOCHS))
    parser.add_argument("--tf-python", help="Python with keras and tensorflow-cpu")
    parser.add_argument("--torch-python", help="Python with torch and numpy")
    return parser.parse_args()


def measure(name: str, options: argparse.Namespace) -> dict:
    """One measurement of one peer."""
    epochs = [EPOCHS[name]]
    if name == "septet":
        return run_peer(sys.executable, "dense_septet.py", epochs)
    if name == "torch-eager":
        python = environment_with("torch", ["torch", "numpy"], options.torch_python)
        return run_peer(python, "dense_torch.py", epochs)
    backend = name.removeprefix("keras-")
    python = sys.executable
    if backend == "tensorflow":
        packages = ["keras>=3.15.1", "tensorflow-cpu"]
        python = environment_with("tensorflow", packages, options.tf_python)
    return run_peer(python, "dense_keras.py", epochs, environment={"KERAS_BACKEND": backend})


def summarise(measured: dict[str, list[dict]]) -> dict[str, dict]:
    """Median and range of the steps a second of each peer, and Septet's multiple of it.

    "fastest" is the fastest epoch of all repeats. A busy machine spares short epochs more
    often than long ones, so there it flatters the faster peer: quote it only beside the median.
    """
    speeds = {name: [one["steps_per_s"] for one in all_of] for name, all_of in measured.items()}
    peaks = {name: max(one["fastest_steps_per_s"] for one in measured[name]) for name in measured}
    own = statistics.median(speeds["septet"]) if "septet" in speeds else None
    summary = {}
    for name, values in speeds.items():
        median = statistics.median(values)
        summary[name] = {
            "version": measured[name][0]["version"],
            "steps_per_s": round(median, 1),
            "microseconds_per_step": round(1e6 / median, 1),
            "range": [round(min(values), 1), round(max(values), 1)],
            "warm_up_s": round(statistics.median(one["warm_up_s"] for one in measured[name]), 2),
            "septet_is_faster_by": round(own / median, 2) if own else None,
            "fastest_steps_per_s": round(peaks[name], 1),
            "septet_at_its_fastest_by": round(peaks["septet"] / peaks[name], 2) if own else None,
        }
    return summary


def main() -> None:
    options = parse()
    before = machine()
    measured: dict[str, list[dict]] = {name: [] for name in options.only}
    for repeat in range(options.repeats):
        for name in options.only:
            measured[name].append(measure(name, options))
            speed = measured[name][-1]["steps_per_s"]
            print(f"{repeat + 1}/{options.repeats}  {name:<18}{speed:>10.1f} steps/s", flush=True)
    summary = summarise(measured)
    question = {"benchmark": "dense_peers", "repeats": options.repeats}
    print(json.dumps({**question, "machine": before, "peers": summary}))


if __name__ == "__main__":
    main()
