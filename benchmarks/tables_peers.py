"""Are Septet's defaults for tables as good as scikit-learn's network and its boosting?

    python benchmarks/tables_peers.py --splits 10

Breast cancer and wine (accuracy) and diabetes (R2), each split 75 : 25 at random so many
times, every model on the same rows with its default settings. A split's scores are
paired, so the difference to each peer is given with its standard error. The last line is
JSON.
"""

import argparse
import csv
import json
import random
import statistics
import sys
import tempfile
from pathlib import Path

from processes import environment_with, machine, run_peer

from septet import registry

TABLES = {
    "breast-cancer": ("accuracy", "diagnosis"),
    "wine": ("accuracy", "cultivar"),
    "diabetes": ("r2", "progression"),
}
TEST_SHARE = 0.25


def split_table(table: Path, folder: Path, seed: int) -> Path:
    """Write train.csv and test.csv with the rows of `table`, shuffled by `seed`."""
    with table.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    random.Random(seed).shuffle(rows)
    cut = round(len(rows) * TEST_SHARE)
    folder.mkdir(parents=True)
    for name, part in (("test.csv", rows[:cut]), ("train.csv", rows[cut:])):
        with (folder / name).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([header, *part])
    return folder


def compare(scores: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Mean score of each model, and Septet's paired difference to it with standard error."""
    result = {}
    for name, values in scores.items():
        differences = [own - other for own, other in zip(scores["septet"], values, strict=True)]
        error = statistics.stdev(differences) / len(differences) ** 0.5
        result[name] = {
            "score": round(statistics.mean(values), 4),
            "septet_minus_it": round(statistics.mean(differences), 4),
            "standard_error": round(error, 4),
        }
    return result


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--splits", type=int, default=10, help="at least 2")
    parser.add_argument("--only", choices=TABLES, nargs="+", default=list(TABLES))
    parser.add_argument("--sklearn-python", help="Python with scikit-learn")
    return parser.parse_args()


def main() -> None:
    options = parse()
    sklearn = environment_with("sklearn", ["scikit-learn"], options.sklearn_python)
    results = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name in options.only:
            score, target = TABLES[name]
            table = Path(scratch) / f"{name}.csv"
            if name in registry.SAMPLES:
                table = registry.sample(name).path()
            else:
                run_peer(sklearn, "tables_sklearn.py", [name, table])
            folders = [
                split_table(table, Path(scratch) / name / str(seed), seed)
                for seed in range(options.splits)
            ]
            arguments = [score, target, *folders]
            own = run_peer(sys.executable, "tables_septet.py", arguments, folder=Path(scratch))
            peer = run_peer(sklearn, "tables_sklearn.py", arguments)
            results[name] = {"metric": score, **compare({**own["scores"], **peer["scores"]})}
            shown = ", ".join(f"{model} {results[name][model]['score']}" for model in own["scores"])
            shown += "".join(
                f", {model} {results[name][model]['score']}" for model in peer["scores"]
            )
            print(f"{name} ({score}): {shown}", flush=True)
    question = {"benchmark": "tables_peers", "splits": options.splits, "test_share": TEST_SHARE}
    print(json.dumps({**question, "machine": machine(), "tables": results}))


if __name__ == "__main__":
    main()
