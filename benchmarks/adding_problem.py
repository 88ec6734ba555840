"""Do LSTM and GRU solve the adding problem over 100 steps, and SimpleRNN not?

    python benchmarks/adding_problem.py --seeds 5 --plot docs/adding-problem.png

Hochreiter and Schmidhuber (1997), 5.4, in its usual form: at each of 100 steps a number
between 0 and 1 and a mark, which is 1 at one step of the first half and at one of the second;
the answer is the sum of the two marked numbers. Always saying 1 has a mean squared error of
1/6. The three kinds of `septet.models.recurrent` have the same number of units, and in
`septet.fit` the same batches and steps; each sequence is seen once. SimpleRNN has three learning
rates, of which the one with the best median counts. Errors are those on sequences that are not
trained on; nothing is chosen by them but SimpleRNN's rate. The last line is JSON.
"""

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import septet  # before keras, which then runs on JAX

import keras  # isort: skip
import numpy as np
from processes import machine

from septet.models.recurrent import recurrent

BASELINE = 1 / 6
SOLVED = 0.01
UNITS = 32
BATCH_SIZE = 32
STEPS = 250
"""Between two points of the curves."""
RATES = {"lstm": [0.01], "gru": [0.01], "simple": [0.01, 0.001, 0.0001]}
NAMES = {"lstm": "LSTM", "gru": "GRU", "simple": "SimpleRNN"}

Curves = dict[str, dict[float, list[list[float]]]]
"""Errors after each `STEPS` steps by kind, learning rate and seed."""


def main() -> None:
    options = parse()
    before = machine()
    curves: Curves = {kind: {rate: [] for rate in RATES[kind]} for kind in options.kinds}
    test = adding(options.length, 2000, seed=10_000)
    for seed in range(options.seeds):
        train = adding(options.length, options.points * STEPS * BATCH_SIZE, seed=seed)
        for kind, rates in curves.items():
            for rate, found in rates.items():
                found.append(learn(kind, rate, seed, train, test, options))
                print(
                    f"seed {seed}  {NAMES[kind]:<10}rate {rate:<8}{found[-1][-1]:.6f}", flush=True
                )
    summary = {kind: summarise(rates) for kind, rates in curves.items()}
    if options.plot:
        plot(curves, summary, options)
    result = {
        "benchmark": "adding_problem",
        "machine": before,
        "length": options.length,
        "seeds": options.seeds,
        "steps": options.points * STEPS,
        "baseline_mse": round(BASELINE, 4),
        "kinds": summary,
    }
    print(json.dumps(result))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--length", type=int, default=100)
    parser.add_argument("--points", type=int, default=20, help=f"each after {STEPS} steps")
    parser.add_argument("--kinds", choices=NAMES, nargs="+", default=list(NAMES))
    parser.add_argument("--plot", type=Path, help="where to draw the curves")
    return parser.parse_args()


def adding(length: int, count: int, *, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """({"series": [count, length, 2]}, sums [count, 1]) of the adding problem."""
    random = np.random.default_rng(seed)
    values = random.random((count, length), np.float32)
    marks = np.zeros_like(values)
    rows, half = np.arange(count), length // 2
    marks[rows, random.integers(0, half, count)] = 1
    marks[rows, random.integers(half, length, count)] = 1
    sums = (values * marks).sum(axis=1, keepdims=True)
    return {"series": np.stack([values, marks], axis=-1)}, sums


def learn(
    kind: Any, rate: float, seed: int, train: Any, test: Any, options: argparse.Namespace
) -> list[float]:
    """Test errors of one training, after each `STEPS` steps."""
    keras.utils.set_random_seed(seed)
    model = recurrent(num_features=2, num_outputs=1, kind=kind, hidden=[UNITS])
    model.compile(keras.optimizers.Adam(rate, clipnorm=1.0), "mse")
    history = septet.fit(
        model, *train, batch_size=BATCH_SIZE, epochs=options.points, steps_per_epoch=STEPS,
        validation_data=test, validation_batch_size=500, verbose=0,
    )  # fmt: skip
    return [float(error) for error in history.history["val_loss"]]


def summarise(rates: dict[float, list[list[float]]]) -> dict[str, Any]:
    """The last errors with the best learning rate, and how many trainings solved the problem."""
    medians = {rate: statistics.median(one[-1] for one in found) for rate, found in rates.items()}
    best = min(medians, key=lambda rate: medians[rate])
    last = [one[-1] for one in rates[best]]
    return {
        "learning_rate": best,
        "median_mse": round(medians[best], 6),
        "mse": [round(error, 6) for error in last],
        "solved": sum(error < SOLVED for error in last),
        "medians_by_rate": {str(rate): round(error, 6) for rate, error in medians.items()},
    }


def plot(curves: Curves, summary: dict[str, Any], options: argparse.Namespace) -> None:
    """Every training's errors on a log scale, the median of each kind thick."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    steps = STEPS * np.arange(1, options.points + 1)
    for place, (kind, rates) in enumerate(curves.items()):
        found = np.array(rates[summary[kind]["learning_rate"]])
        axes.plot(steps, found.T, color=f"C{place}", linewidth=0.7, alpha=0.5)
        label = f"{NAMES[kind]}, median of {len(found)}"
        axes.plot(steps, np.median(found, axis=0), color=f"C{place}", linewidth=2.2, label=label)
    axes.axhline(BASELINE, color="black", linewidth=1, linestyle="--", label="always 1: 0.1667")
    axes.set_yscale("log")
    axes.set_xlabel(f"steps of {BATCH_SIZE} sequences")
    axes.set_ylabel("mean squared error, unseen sequences")
    axes.set_title(f"The adding problem over {options.length} steps")
    axes.grid(visible=True, which="major", linewidth=0.4, alpha=0.5)
    axes.legend(loc="lower left")
    figure.savefig(options.plot, dpi=120)


if __name__ == "__main__":
    main()
