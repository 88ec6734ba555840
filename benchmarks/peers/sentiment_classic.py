"""Peer: TF-IDF with logistic regression (scikit-learn), or fastText, on one given split.

Arguments: which, path of train.tsv, path of test.tsv. Prints the test accuracy as JSON. What
either leaves to choose is chosen on a tenth of the training texts.
"""

import csv
import json
import sys
import tempfile
from pathlib import Path

Rows = tuple[list[str], list[str]]


def read(path: str) -> Rows:
    with Path(path).open(encoding="utf-8", newline="") as file:
        _, *rows = csv.reader(file, delimiter="\t")
    return [row[0] for row in rows], [row[1] for row in rows]


def cut(train: Rows) -> tuple[Rows, Rows]:
    """Nine tenths to train on and every tenth text to choose by."""
    texts, labels = train
    kept = [i for i in range(len(texts)) if i % 10]
    held = [i for i in range(len(texts)) if i % 10 == 0]
    return tuple(([texts[i] for i in rows], [labels[i] for i in rows]) for rows in (kept, held))


def logistic(train: Rows, test: Rows, strength: float) -> float:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b"),
        LogisticRegression(C=strength, max_iter=1000),
    )
    return float(model.fit(*train).score(*test))


def fasttext(train: Rows, test: Rows, choice: tuple[float, int]) -> float:
    import re

    import fasttext as library

    def lines(rows: Rows) -> list[str]:
        clean = [" ".join(re.findall(r"\w+|[^\w\s]", text.lower())) for text in rows[0]]
        return [f"__label__{label} {text}" for text, label in zip(clean, rows[1], strict=True)]

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "train.txt")
        file.write_text("\n".join(lines(train)) + "\n", encoding="utf-8")
        model = library.train_supervised(
            str(file), lr=choice[0], epoch=choice[1], wordNgrams=2, dim=50, bucket=200_000,
            thread=1, verbose=0,
        )  # fmt: skip
        file.write_text("\n".join(lines(test)) + "\n", encoding="utf-8")
        return float(model.test(str(file))[1])


WHICH = {
    "logistic": (logistic, (0.3, 1.0, 3.0, 10.0, 30.0)),
    "fasttext": (fasttext, ((0.5, 5), (0.5, 15), (0.5, 25), (1.0, 15))),
}


def main() -> None:
    which, *paths = sys.argv[1:]
    train, test = (read(path) for path in paths)
    score, choices = WHICH[which]
    held = [score(*cut(train), choice) for choice in choices]
    best = choices[held.index(max(held))]
    accuracy = score(train, test, best)
    tried = [list(pair) for pair in zip(choices, held, strict=True)]
    print(json.dumps({"accuracy": accuracy, "chosen": best, "held_out": tried}))


if __name__ == "__main__":
    main()
