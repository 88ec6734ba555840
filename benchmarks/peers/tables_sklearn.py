"""scikit-learn's multilayer perceptron and gradient boosting on tables split beforehand.

    python tables_sklearn.py wine OUT.csv             write the wine table with a header
    python tables_sklearn.py SCORE TARGET FOLDER...   SCORE is accuracy or r2

Each folder holds train.csv and test.csv. The perceptron is the default one behind a
`StandardScaler`, as scikit-learn's own documents advise; boosting is
`HistGradientBoosting` with its defaults.
"""

import csv
import json
import sys
import warnings
from pathlib import Path

import sklearn
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def write_wine(path):
    from sklearn.datasets import load_wine

    wine = load_wine()
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*wine.feature_names, "cultivar"])
        for row, label in zip(wine.data.tolist(), wine.target, strict=True):
            writer.writerow([*row, wine.target_names[label]])


def read(path, target):
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name != target]
    return [[float(row[name]) for name in names] for row in rows], [row[target] for row in rows]


def main(score, target, folders):
    regression = score == "r2"
    perceptron = MLPRegressor if regression else MLPClassifier
    boosting = HistGradientBoostingRegressor if regression else HistGradientBoostingClassifier
    scores = {"mlp": [], "boosting": []}
    # Its default of 200 iterations often ends before convergence; it is the default.
    warnings.simplefilter("ignore", ConvergenceWarning)
    for seed, folder in enumerate(folders):
        train_x, train_y = read(Path(folder) / "train.csv", target)
        test_x, test_y = read(Path(folder) / "test.csv", target)
        if regression:
            train_y, test_y = [float(y) for y in train_y], [float(y) for y in test_y]
        models = {
            "mlp": make_pipeline(StandardScaler(), perceptron(random_state=seed)),
            "boosting": boosting(random_state=seed),
        }
        for name, model in models.items():
            scores[name].append(model.fit(train_x, train_y).score(test_x, test_y))
    print(json.dumps({"version": sklearn.__version__, "scores": scores}))


if __name__ == "__main__":
    if sys.argv[1] == "wine":
        write_wine(sys.argv[2])
        print(json.dumps({"version": sklearn.__version__}))
    else:
        main(sys.argv[1], sys.argv[2], sys.argv[3:])
