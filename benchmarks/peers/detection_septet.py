"""Septet's detector on composed scenes, everything within so many minutes.

python detection_septet.py SCENES MINUTES SEED [GROUP.NAME=VALUE ...]
"""

import json
import os
import sys
import tempfile

import septet
from septet.config import parse_settings


def main(path, minutes, seed, *pairs):
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        run = septet.train(
            "object-detection",
            path,
            settings=parse_settings(pairs),
            minutes=float(minutes),
            seed=int(seed),
        )
    each = {entry["label"]: entry["map_50"] for entry in run.evaluation["per_class"]}
    scores = {name: run.scores[name] for name in ("map_50", "map", "map_75")}
    print(json.dumps({**scores, "classes": each}))


if __name__ == "__main__":
    main(*sys.argv[1:])
