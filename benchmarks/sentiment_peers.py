"""Is Septet's default for sentiment as good as TF-IDF with logistic regression and fastText's?

    septet data fetch movie-sentences
    python benchmarks/sentiment_peers.py --seeds 3

The fixed split of movie-sentences. What a peer leaves to choose (the strength of the
regression, fastText's rate and epochs) is chosen on a tenth of its training texts; Septet runs
with its defaults. The last line is JSON.
"""

import argparse
import csv
import json
import statistics
import tempfile
from pathlib import Path

from processes import environment_with, machine, run_peer

import septet
from septet import registry
from septet.config import parse_settings

PEERS = {"TF-IDF and logistic regression": "logistic", "fastText's model": "fasttext"}


def write_splits(table: Path, folder: Path) -> list[Path]:
    """The table's texts and classes as train.tsv and test.tsv."""
    with table.open(encoding="utf-8", newline="") as file:
        _, *rows = csv.reader(file, delimiter="\t")
    paths = []
    for split in ("train", "test"):
        path = folder / f"{split}.tsv"
        with path.open("w", encoding="utf-8", newline="") as file:
            chosen = [row[:2] for row in rows if row[2] == split]
            csv.writer(file, delimiter="\t").writerows([["text", "label"], *chosen])
        paths.append(path)
    return paths


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="the table, if it is not fetched")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], metavar="GROUP.NAME=VALUE")
    parser.add_argument("--python", help="an environment with scikit-learn")
    return parser.parse_args()


def main() -> None:
    options = parse()
    table = options.data or registry.sample("movie-sentences").path()
    python = environment_with("sentiment", ["scikit-learn"], options.python)
    settings = parse_settings(options.set)
    result = {"machine": machine(), "septet": [], "peers": {}}
    for seed in range(options.seeds):
        run = septet.train("sentiment-analysis", table, settings=settings, seed=seed)
        result["septet"].append(run.scores["accuracy"])
        print(f"Septet, seed {seed}: {run.scores['accuracy']:.4f}")
    with tempfile.TemporaryDirectory() as folder:
        paths = write_splits(table, Path(folder))
        for name, which in PEERS.items():
            found = run_peer(python, "sentiment_classic.py", [which, *paths])
            result["peers"][name] = found
            print(f"{name}: {found['accuracy']:.4f} (chosen: {found['chosen']})")
    result["mean"] = statistics.mean(result["septet"])
    print(json.dumps(result))


if __name__ == "__main__":
    main()
