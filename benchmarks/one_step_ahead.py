"""Do recurrent networks tell the next hour's temperature better than the naive forecasts?

    septet data fetch nyc-weather
    python benchmarks/one_step_ahead.py --seeds 5 --plot docs/one-step-ahead.png

Hourly air temperature of 2013 at New York's three airports. Each kind of
`septet.models.recurrent` sees the last 24 hours of one station and the hour of the day, and says
the change to the next hour; `septet.fit` trains it on the first 70 % of the year, the next 10 %
say when to stop, and the last 20 % are for the scores. A window with an hour that the station
missed is left out, and counted. The naive forecasts are the last hour's temperature and that of
the same hour a day before. A skill is 1 less the error's ratio to the last hour's; its 95 %
interval comes from drawing whole days of the test part again. The last line is JSON.
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

from septet import registry
from septet.data import weather
from septet.data.hourly import complete_windows, on_grid
from septet.models.recurrent import recurrent

LENGTH = 24
"""Hours that a forecast sees."""
PARTS = {"train": (0.0, 0.7), "validation": (0.7, 0.8), "test": (0.8, 1.0)}
NAMES = {"simple": "SimpleRNN", "lstm": "LSTM", "gru": "GRU"}
Windows = dict[str, np.ndarray]


def main() -> None:
    options = parse()
    before = machine()
    parts, account = read(registry.sample("nyc-weather").path())
    spread = float(np.std(parts["train"]["past"]))
    middle = float(np.mean(parts["train"]["past"]))
    prepared = {name: prepare(part, middle, spread) for name, part in parts.items()}
    test, last = parts["test"], parts["test"]["past"][:, -1]
    naive = {"last hour": errors(last, test), "day before": errors(test["past"][:, 0], test)}
    forecasts: dict[str, list[np.ndarray]] = {}
    for kind in NAMES:
        for seed in range(options.seeds):
            change = learn(kind, seed, prepared, options.epochs) * spread
            forecasts.setdefault(kind, []).append(last + change)
            found = errors(forecasts[kind][-1], test)
            print(f"{NAMES[kind]:<10}seed {seed}  mae {found['mae']:.4f}", flush=True)
    kinds = {kind: summarise(found, test) for kind, found in forecasts.items()}
    if options.plot:
        plot(forecasts, kinds, test, options.plot)
    result = {
        "benchmark": "one_step_ahead",
        "machine": before,
        "unit": "degrees Celsius",
        "seeds": options.seeds,
        "windows": account,
        "naive": naive,
        "kinds": kinds,
    }
    print(json.dumps(result))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=20, help="at most")
    parser.add_argument("--plot", type=Path, help="where to draw a week of the test part")
    return parser.parse_args()


def read(path: Path) -> tuple[dict[str, Windows], dict[str, Any]]:
    """Windows of each part over all stations, and how many there are and were left out."""
    found: dict[str, list[Windows]] = {name: [] for name in PARTS}
    account: dict[str, Any] = {"all": 0, "left_out_for_missing_hours": 0, "missing_hours": {}}
    for station in weather.STATIONS:
        times, fahrenheit = weather.read_column(path, station, "temp")
        first, grid = on_grid(times, fahrenheit)
        celsius = (grid - 32) / np.float32(1.8)
        starts = complete_windows(celsius, LENGTH + 1)
        account["all"] += len(celsius) - LENGTH
        account["left_out_for_missing_hours"] += len(celsius) - LENGTH - len(starts)
        account["missing_hours"][station] = int(np.isnan(celsius).sum())
        for name, (begin, end) in PARTS.items():
            answers = starts + LENGTH
            chosen = starts[(answers >= begin * len(grid)) & (answers < end * len(grid))]
            # A window that reaches into the part before it only sees the past, as in use.
            rows = chosen[:, None] + np.arange(LENGTH + 1)
            found[name].append(
                {
                    "past": celsius[rows[:, :-1]],
                    "answer": celsius[rows[:, -1]],
                    "hour": (first.hour + rows[:, :-1]) % 24,
                    "day": (first.hour + rows[:, -1]) // 24,
                    "place": rows[:, -1],
                    "station": np.full(len(rows), weather.STATIONS.index(station)),
                }
            )
    parts = {
        name: {key: np.concatenate([one[key] for one in each]) for key in each[0]}
        for name, each in found.items()
    }
    return parts, {**account, **{name: len(part["answer"]) for name, part in parts.items()}}


def prepare(part: Windows, middle: float, spread: float) -> tuple[dict[str, np.ndarray], Any]:
    """({"series": temperature and hour of the day}, change to the next hour), both scaled."""
    angle = part["hour"] * (2 * np.pi / 24)
    columns = [(part["past"] - middle) / spread, np.sin(angle), np.cos(angle)]
    change = (part["answer"] - part["past"][:, -1]) / spread
    return {"series": np.stack(columns, axis=-1).astype(np.float32)}, change[:, None]


def learn(kind: Any, seed: int, prepared: dict[str, Any], epochs: int) -> np.ndarray:
    """The changes that one trained network says for the test part, scaled."""
    keras.utils.set_random_seed(seed)
    model = recurrent(num_features=3, num_outputs=1, kind=kind, hidden=[32])
    model.compile(keras.optimizers.Adam(0.004, clipnorm=1.0), "mae")
    patient = keras.callbacks.EarlyStopping("val_loss", patience=4, restore_best_weights=True)
    septet.fit(
        model, *prepared["train"], batch_size=128, epochs=epochs, callbacks=[patient],
        validation_data=prepared["validation"], verbose=0,
    )  # fmt: skip
    return np.asarray(septet.predict(model, prepared["test"][0], verbose=0))[:, 0]


def errors(forecast: np.ndarray, test: Windows) -> dict[str, float]:
    """Mean absolute and root mean squared error."""
    wrong = (forecast - test["answer"]).astype(np.float64)
    return {
        "mae": round(float(np.abs(wrong).mean()), 4),
        "rmse": round(float(np.sqrt((wrong**2).mean())), 4),
    }


def summarise(found: list[np.ndarray], test: Windows) -> dict[str, Any]:
    """Medians over the seeds, and the skills of the median one with their intervals."""
    measured = [errors(forecast, test) for forecast in found]
    middle = sorted(range(len(found)), key=lambda seed: measured[seed]["mae"])[len(found) // 2]
    return {
        "mae": statistics.median(one["mae"] for one in measured),
        "mae_of_seeds": [one["mae"] for one in measured],
        "rmse": statistics.median(one["rmse"] for one in measured),
        "median_seed": middle,
        **{f"skill_{power}": skill(found[middle], test, power) for power in ("mae", "rmse")},
    }


def skill(forecast: np.ndarray, test: Windows, measure: str) -> dict[str, Any]:
    """1 - error / error of the last hour, with a 95 % interval over days drawn again."""
    power = 1 if measure == "mae" else 2
    days = np.unique(test["day"], return_inverse=True)[1]

    def by_day(said: np.ndarray) -> np.ndarray:
        return np.bincount(days, np.abs(said - test["answer"]).astype(np.float64) ** power)

    own, naive = by_day(forecast), by_day(test["past"][:, -1])
    random = np.random.default_rng(0)
    # All stations have one day's weather, so a day is drawn with all of them.
    drawn = random.integers(0, len(own), (2000, len(own)))
    ratios = (own[drawn].sum(axis=1) / naive[drawn].sum(axis=1)) ** (1 / power)
    low, high = np.quantile(1 - ratios, [0.025, 0.975])
    value = 1 - (own.sum() / naive.sum()) ** (1 / power)
    return {
        "value": round(float(value), 4),
        "interval": [round(float(low), 4), round(float(high), 4)],
    }


def plot(
    forecasts: dict[str, list[np.ndarray]], kinds: dict[str, Any], test: Windows, path: Path
) -> None:
    """A week of one station: truth and forecasts above, their errors below."""
    import matplotlib.pyplot as plt

    begin = int(np.quantile(test["place"], 0.5)) // 24 * 24
    chosen = (test["station"] == 1) & (test["place"] >= begin) & (test["place"] < begin + 7 * 24)
    hours, truth = test["place"][chosen] - begin, test["answer"][chosen]
    said = {NAMES[kind]: found[kinds[kind]["median_seed"]] for kind, found in forecasts.items()}
    said = {"last hour": test["past"][:, -1], **said}
    figure, (upper, lower) = plt.subplots(
        2, 1, figsize=(10, 6), sharex=True, layout="constrained", height_ratios=[3, 2]
    )
    upper.plot(hours / 24, truth, color="black", linewidth=2, label="measured")
    for place, (name, forecast) in enumerate(said.items()):
        color = "0.6" if name == "last hour" else f"C{place - 1}"
        upper.plot(hours / 24, forecast[chosen], color=color, linewidth=1, label=name)
        wrong = np.abs(forecast[chosen] - truth)
        label = f"{name}: {wrong.mean():.2f} °C on average"
        lower.plot(hours / 24, wrong, color=color, linewidth=1, label=label)
    upper.set_ylabel("temperature, °C")
    upper.set_title("A week of the test part at JFK, forecast one hour ahead")
    upper.legend(ncols=5, fontsize="small")
    lower.set_ylabel("absolute error, °C")
    lower.set_xlabel("days")
    # Room for the legend above the lines.
    lower.set_ylim(0, 1.35 * lower.get_ylim()[1])
    lower.legend(loc="upper right", ncols=4, fontsize="small")
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
