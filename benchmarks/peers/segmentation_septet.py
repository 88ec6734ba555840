"""Septet as a user runs it on a set with masks, for so many minutes in all.

    python segmentation_septet.py DATA MINUTES SEED FOLDER [GROUP.NAME=VALUE ...]

The budget covers everything: reading, compiling, validation, test, report and saving.
"""

import json
import os
import sys
import time


def main(source: str, minutes: float, seed: int, folder: str, pairs: list[str]) -> None:
    os.environ["SEPTET_RUNS"] = folder
    begin = time.monotonic()
    import septet
    from septet.config import parse_settings

    run = septet.train(
        "semantic-segmentation",
        source,
        settings=parse_settings(pairs),
        minutes=minutes,
        seed=seed,
        started=begin,
    )
    classes = {entry["label"]: round(entry["iou"], 4) for entry in run.evaluation["per_class"]}
    result = {
        "peer": "septet",
        "version": septet.__version__,
        "seconds": round(time.monotonic() - begin, 2),
        **run.scores,
        "interval": run.evaluation["intervals"]["mean_iou"],
        "classes": classes,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5:])
