"""Learn which pixels are trousers, a bag or a shoe, and save what a network finds in a picture.

    python examples/segment_clothes.py

Takes about a minute on two cores. Real pictures of clothes are laid on a cluttered ground; with
your own data, give a folder with `images` and `masks` instead.
"""

from pathlib import Path

import numpy as np
from PIL import Image

import septet
from septet import registry

CLASSES = {"Trouser": 1, "Bag": 2, "Sneaker": 3}
SIDE = 64


def main() -> None:
    folder = Path("clothes")
    write_pictures(folder, 600)
    run = septet.train("semantic-segmentation", folder, minutes=1)
    low, high = run.evaluation["intervals"]["mean_iou"]
    print(f"mean IoU {run.scores['mean_iou']:.3f} (95 %: {low:.3f} to {high:.3f})")
    print(f"report   {run.report}")

    answer = run.load().predict(folder / "images" / "0000.png")
    answer.to_image().save("mask.png")
    answer.to_overlay().save("overlay.png")
    print(f"in the first picture: {answer}")


def write_pictures(folder: Path, count: int) -> None:
    """Pictures with three pieces each, their masks, and the legend."""
    with np.load(registry.sample("fashion-sample").path(), allow_pickle=False) as data:
        names = data["class_names"][data["y_train"]]
        pieces = {name: data["x_train"][names == name] for name in CLASSES}
    random = np.random.default_rng(0)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        picture = (
            random.integers(0, 120, (SIDE // 4, SIDE // 4))
            .astype(np.uint8)
            .repeat(4, 0)
            .repeat(4, 1)
        )
        mask = np.zeros((SIDE, SIDE), np.uint8)
        for name in random.choice(list(CLASSES), 3):
            piece = pieces[name][random.integers(len(pieces[name]))]
            top, left = random.integers(0, SIDE - 28, 2)
            place = (slice(top, top + 28), slice(left, left + 28))
            covers = piece > 20
            picture[place][covers] = piece[covers]
            mask[place][covers] = CLASSES[name]
        Image.fromarray(picture).save(folder / "images" / f"{number:04d}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{number:04d}.png")
    lines = ["index,name", "0,background", *(f"{n},{name}" for name, n in CLASSES.items())]
    (folder / "legend.csv").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
