"""Train a recurrent network on hourly temperatures, and forecast the next hour better than naively.

    python examples/forecast_temperature.py

Takes about half a minute on two cores and needs no network. The first 80 % of the hours are
trained on, the last 20 % are forecast. Hours that the station missed are in no window.
"""

import csv
from datetime import datetime

import septet  # before keras, which then runs on JAX

import keras  # isort: skip
import numpy as np

from septet import registry
from septet.data.hourly import complete_windows, on_grid
from septet.models.recurrent import recurrent

LENGTH = 24


def main() -> None:
    with registry.sample("nyc-temperature").path().open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    times = [datetime.fromisoformat(row["hour_utc"]) for row in rows]
    first, grid = on_grid(times, [float(row["temperature_f"]) for row in rows])
    celsius = (grid - 32) / np.float32(1.8)
    starts = complete_windows(celsius, LENGTH + 1)
    places = starts[:, None] + np.arange(LENGTH + 1)
    print(f"{len(rows)} hours, {np.isnan(grid).sum()} missing, {len(starts)} complete windows")

    is_train = places[:, -1] < 0.8 * len(grid)
    past, answer = celsius[places[:, :-1]], celsius[places[:, -1]]
    middle, spread = past[is_train].mean(), past[is_train].std()
    angle = (first.hour + places[:, :-1]) * (2 * np.pi / 24)
    columns = [(past - middle) / spread, np.sin(angle), np.cos(angle)]
    series = np.stack(columns, axis=-1).astype("float32")
    change = (answer - past[:, -1])[:, None] / spread

    keras.utils.set_random_seed(0)
    model = recurrent(num_features=3, num_outputs=1, kind="gru", hidden=[32])
    model.compile(keras.optimizers.Adam(0.004), "mae")
    septet.fit(
        model, {"series": series[is_train]}, change[is_train], batch_size=64, epochs=15, verbose=2
    )
    said = septet.predict(model, {"series": series[~is_train]}, verbose=0)[:, 0] * spread
    truth, last = answer[~is_train], past[~is_train, -1]
    error = np.abs(last + said - truth).mean()
    naive = np.abs(last - truth).mean()
    print(f"wrong by {error:.3f} °C on average; the last hour's temperature by {naive:.3f} °C")
    word = "better" if error < naive else "worse"
    print(f"{word} than the naive forecast by {abs(1 - error / naive):.0%}")


if __name__ == "__main__":
    main()
