"""Septet as a user runs it, with its own network and recipe, for so many seconds in all.

    python fashion_recipe.py DATA.npz SECONDS SEED

The budget covers everything: reading, compiling, validation, test, report and saving.
"""

import json
import sys
import time

import septet


def main(path, seconds, seed):
    begin = time.monotonic()
    run = septet.train("image-classification", path, minutes=seconds / 60, seed=seed, started=begin)
    spent = round(time.monotonic() - begin, 2)
    accuracy = run.scores["accuracy"]
    result = {
        "peer": "septet-recipe",
        "version": septet.__version__,
        "seconds": spent,
        "accuracy": round(accuracy, 4),
        "curve": [[spent, round(accuracy, 4)]],
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))
