"""Learn which way things move, then say it frame by frame while a video comes in.

    python examples/follow_a_video.py

Takes about a minute. The clips are made here, of real pictures of clothes that move in four ways.
The state is carried from frame to frame: each answer takes the work of one frame, and is the one
that the network gives for all frames so far as one clip.
"""

import tempfile
from pathlib import Path

import numpy as np

import septet
from septet import registry
from septet.data.digits import move

WAYS = ("left", "right", "up", "down")


def moving(pictures: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A clip of each picture, and the number of its way."""
    random = np.random.default_rng(seed)
    ways = np.arange(len(pictures)) % len(WAYS)
    clips = [
        move(
            picture, WAYS[way], start=tuple(random.uniform(0, 32, 2)), speed=2.0, side=32, frames=8
        )
        for picture, way in zip(pictures, ways, strict=True)
    ]
    return np.stack(clips), ways


def main() -> None:
    with np.load(registry.sample("fashion-sample").path()) as arrays:
        x_train, y_train = moving(arrays["x_train"][:800], seed=0)
        x_test, y_test = moving(arrays["x_test"][:200], seed=1)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "clothes.npz"
        np.savez(
            data,
            x_train=x_train,
            y_train=y_train,
            x_test=x_test,
            y_test=y_test,
            class_names=np.array(WAYS),
        )
        settings = {
            "data": {"frames": 8},
            "model": {"width": 8, "depth": 2},
            "training": {"epochs": 5},
        }
        run = septet.train("video-classification", data, settings=settings)
    print(f"accuracy on videos of other clothes: {run.scores['accuracy']:.3f}")
    print(f"report: {run.report}")

    model = septet.load(run.folder / "model")
    for number, answer in model.stream().follow(x_test[0]):
        print(f"frame {number + 1}: {answer}")
    print(f"the whole video: {model.predict([x_test[0]])[0]}; in truth: {WAYS[y_test[0]]}")


if __name__ == "__main__":
    main()
