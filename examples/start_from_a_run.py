"""Learn five kinds of clothes from 20 pictures each, starting from a network that knows the others.

    python examples/start_from_a_run.py

Takes about a minute on two cores. With weights of torchvision or timm, give a .safetensors file
as "pretrained" and set data.channels to 3 (docs/transfer-learning.md).
"""

from pathlib import Path

import numpy as np

import septet
from septet import registry


def main() -> None:
    with np.load(registry.sample("fashion-sample").path(), allow_pickle=False) as file:
        data = dict(file)
    first = write(data, Path("known.npz"), is_even=True, each=600)
    second = write(data, Path("few.npz"), is_even=False, each=20)

    known = septet.train("image-classification", first, epochs=4)
    model = {"pretrained": str(known.folder)}
    training = {"batch_size": 20}
    begun = septet.train(
        "image-classification", second, epochs=30, settings={"model": model, "training": training}
    )
    scratch = septet.train(
        "image-classification", second, epochs=30, settings={"training": training}
    )
    print(f"from scratch   {scratch.scores['accuracy']:.3f}")
    print(f"from the run   {begun.scores['accuracy']:.3f}")
    print(f"where it looked: {begun.folder / 'explanations.png'}")


def write(data: dict[str, np.ndarray], path: Path, *, is_even: bool, each: int) -> Path:
    """The classes of even or odd number, so many training pictures of each, all for the test."""
    labels = data["y_train"]
    chosen = [label for label in range(10) if (label % 2 == 0) == is_even]
    rows = np.concatenate([np.flatnonzero(labels == label)[:each] for label in chosen])
    test = np.isin(data["y_test"], chosen)
    names = data["class_names"]
    arrays = {
        "x_train": data["x_train"][rows],
        "y_train": names[labels[rows]],
        "x_test": data["x_test"][test],
        "y_test": names[data["y_test"][test]],
    }
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


if __name__ == "__main__":
    main()
