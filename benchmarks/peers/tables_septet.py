"""Septet's table tasks with their defaults on tables split beforehand.

    python tables_septet.py SCORE TARGET FOLDER...   SCORE is accuracy or r2

Each folder holds train.csv and test.csv. Validation rows come out of train.csv; the test
rows are seen once, at the end. Runs are written under the current folder.
"""

import json
import sys

import septet


def main(score, target, folders):
    task = "tabular-regression" if score == "r2" else "tabular-classification"
    scores, settings = [], {"data": {"target": target}}
    for seed, folder in enumerate(folders):
        run = septet.train(task, folder, settings=settings, seed=seed)
        scores.append(run.scores[score])
    print(json.dumps({"version": septet.__version__, "scores": {"septet": scores}}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
