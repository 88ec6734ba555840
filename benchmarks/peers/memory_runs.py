"""Whole runs one after another in one process; prints its resident memory after each, MB.

python memory_runs.py COUNT FOLDER
"""

import gc
import json
import os
import sys
from pathlib import Path

import septet


def resident_mb():
    """Resident memory of this process, from Linux."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main(count, folder):
    os.environ["SEPTET_RUNS"] = folder
    resident = []
    for number in range(count):
        run = septet.train(
            "tabular-classification", "breast-cancer", epochs=2, seed=number, name=f"run-{number}"
        )
        run.load()
        gc.collect()
        resident.append(round(resident_mb(), 1))
    print(json.dumps(resident))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
