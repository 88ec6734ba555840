"""Peer: TF-IDF with logistic regression (scikit-learn), or fastText's model, on one given split.

Arguments: which, path of train.tsv, path of test.tsv. Prints the test accuracy as JSON. What
either leaves to choose is chosen on a tenth of the training texts.
"""

import csv
import itertools
import json
import re
import sys
import zlib
from pathlib import Path

import numpy as np

Rows = tuple[list[str], list[str]]
DIM, BUCKETS = 50, 200_000


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
    """The classifier of Joulin et al. (arXiv:1607.01759) in NumPy, one text a step.

    The mean of vectors of words and hashed word pairs, a softmax, and SGD whose rate falls to 0.
    """
    rate, epochs = choice
    words = {
        word: number
        for number, word in enumerate(sorted({w for text in train[0] for w in words_of(text)}))
    }
    classes = sorted(set(train[1]))
    inputs, outputs = rows_of(train[0], words), [classes.index(label) for label in train[1]]
    random = np.random.default_rng(0)
    vectors = random.uniform(-1 / DIM, 1 / DIM, (len(words) + BUCKETS, DIM)).astype(np.float32)
    weights = np.zeros((len(classes), DIM), np.float32)
    steps = epochs * len(inputs)
    order = np.concatenate([random.permutation(len(inputs)) for _ in range(epochs)])
    for step, place in enumerate(order.tolist()):
        ids = inputs[place]
        if not len(ids):
            continue
        now = rate * (1 - step / steps)
        hidden = vectors[ids].mean(0)
        error = softmax(weights @ hidden)
        error[outputs[place]] -= 1
        back = weights.T @ error
        weights -= now * np.outer(error, hidden)
        np.subtract.at(vectors, ids, now / len(ids) * back)
    right = 0
    for ids, label in zip(rows_of(test[0], words), test[1], strict=True):
        hidden = vectors[ids].mean(0) if len(ids) else np.zeros(DIM)
        right += classes[int(np.argmax(weights @ hidden))] == label
    return right / len(test[0])


def words_of(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", text.lower())


def rows_of(texts: list[str], words: dict[str, int]) -> list[np.ndarray]:
    """Numbers of each text's words that are known, and of its pairs of words."""
    found = []
    for text in texts:
        said = words_of(text)
        known = [words[word] for word in said if word in words]
        pairs = [len(words) + zlib.crc32(f"{a} {b}".encode()) % BUCKETS
                 for a, b in itertools.pairwise(said)]  # fmt: skip
        found.append(np.array(known + pairs, np.int64))
    return found


def softmax(logits: np.ndarray) -> np.ndarray:
    shares = np.exp(logits - logits.max())
    return shares / shares.sum()


WHICH = {
    "logistic": (logistic, (0.3, 1.0, 3.0, 10.0, 30.0)),
    "fasttext": (fasttext, ((0.1, 10), (0.25, 5), (0.25, 10), (0.5, 5), (0.5, 15))),
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
