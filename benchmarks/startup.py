"""How long do `import septet` and `septet --help` take?

    python benchmarks/startup.py

Medians of ten runs with a warm disk, less what an empty Python takes for the import. The
last line is JSON.
"""

import json
import statistics
import subprocess
import sys
import time

from processes import machine

REPEATS = 10


def median_s(arguments: list[str]) -> float:
    """Median wall-clock seconds of the command, after one run to warm the disk."""
    command = [sys.executable, *arguments]
    times = []
    for _ in range(REPEATS + 1):
        begin = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - begin)
    return statistics.median(times[1:])


def main() -> None:
    before = machine()
    empty = median_s(["-c", "pass"])
    result = {
        "python_s": round(empty, 4),
        "import_septet_s": round(median_s(["-c", "import septet"]) - empty, 4),
        "septet_help_s": round(median_s(["-m", "septet", "--help"]), 4),
    }
    print(json.dumps({"benchmark": "startup", "machine": before, **result}))


if __name__ == "__main__":
    main()
