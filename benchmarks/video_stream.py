"""How many frames a second does streaming prediction answer for, and what does a whole clip take?

    python benchmarks/video_stream.py --frames 500 --repeats 5

Both networks for videos at their default sizes, on grey frames of 40x40 pixels and colour frames
of 64x64, with random weights, whose values do not matter for the time. A step is one frame through
`septet.models.video_stream.VideoStream`, answer on the host; decoding is not in it. The last line
is JSON: frames a second (median and spread over the repeats), the milliseconds of a whole clip of
16 frames, and the largest difference of the last answer from that of the clip.
"""

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import jax
import keras
import numpy as np
from processes import machine

from septet.engine.predict import Predictor
from septet.models.video import video_cnn, video_recurrent
from septet.models.video_stream import VideoStream

CLIP = 16
SIZES = {"40x40 grey": (40, 40, 1), "64x64 colour": (64, 64, 3)}
NETWORKS = {"cnn-3d": video_cnn, "cnn-gru": video_recurrent}


def measure(build: Any, size: tuple[int, int, int], frames: int, repeats: int) -> dict[str, Any]:
    """Figures of one network on frames of one size."""
    height, width, channels = size
    keras.utils.set_random_seed(0)
    network = build(
        height=height, width=width, channels=channels, num_classes=8,
        mean=[128.0] * channels, deviation=[64.0] * channels, filters=[16, 32, 64],
    )  # fmt: skip
    video = np.random.default_rng(0).integers(0, 256, (frames, *size)).astype(np.uint8)
    stream = VideoStream(network, platform=jax.default_backend())
    answers = [stream.step(frame) for frame in video[:CLIP]]  # the first step compiles
    predictor = Predictor(network, platform=jax.default_backend())
    weights = [
        [variable.value for variable in group]
        for group in (network.trainable_variables, network.non_trainable_variables)
    ]
    clip = {"clips": video[None, None, :CLIP]}
    whole = predictor((weights[0], weights[1]), clip)[0]
    rates, clip_ms = [], []
    for _ in range(repeats):
        stream.reset()
        begin = time.perf_counter()
        for frame in video:
            stream.step(frame)
        rates.append(frames / (time.perf_counter() - begin))
        begin = time.perf_counter()
        predictor((weights[0], weights[1]), clip)
        clip_ms.append((time.perf_counter() - begin) * 1e3)
    return {
        "frames_a_second": round(statistics.median(rates)),
        "spread": [round(min(rates)), round(max(rates))],
        "clip_ms": round(statistics.median(clip_ms), 2),
        "difference": float(np.abs(answers[-1] - whole).max()),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--frames", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    found = {}
    for name, build in NETWORKS.items():
        for title, size in SIZES.items():
            found[f"{name}, {title}"] = measure(build, size, arguments.frames, arguments.repeats)
            print(f"{name}, {title}: {found[f'{name}, {title}']}", flush=True)
    print(json.dumps({**machine(), "found": found}))


if __name__ == "__main__":
    main()
