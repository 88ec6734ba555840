"""Train on 6,000 small pictures of clothes, look at the score, and ask about single pictures.

    python examples/classify_pictures.py

Takes about a minute on two cores. With your own pictures, give a folder that holds one
folder a class instead of "fashion-sample".
"""

import numpy as np

import septet
from septet import registry


def main() -> None:
    run = septet.train("image-classification", "fashion-sample", minutes=1)
    low, high = run.evaluation["intervals"]["accuracy"]
    print(f"accuracy {run.scores['accuracy']:.3f} (95 %: {low:.3f} to {high:.3f})")
    print(f"report   {run.report}")

    model = septet.load(run.folder / "model")
    with np.load(registry.sample("fashion-sample").path(), allow_pickle=False) as data:
        pictures, labels, names = data["x_test"][:5], data["y_test"][:5], data["class_names"]
    for answer, label in zip(model.predict(list(pictures)), labels, strict=True):
        print(f"{answer.label:<12}{answer.probability:6.1%}   in truth: {names[label]}")


if __name__ == "__main__":
    main()
