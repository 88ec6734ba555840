"""How much memory does training take, and does a process that trains often grow?

    septet data fetch fashion-mnist
    python benchmarks/memory.py --minutes 2 --runs 50

First the peak resident memory of `septet train image-classification` on full
Fashion-MNIST, its decoding processes and the final report included; then 50 whole runs of
a table model one after another in one process, and how far its resident memory grew after
the fifth. The last line is JSON.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

from processes import machine, run_peer


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=2.0, help="of training on the pictures")
    parser.add_argument("--data", default="fashion-mnist", help="a sample's name or a path")
    parser.add_argument("--runs", type=int, default=50, help="in one process")
    return parser.parse_args()


def peak_mb(data: str, minutes: float, runs: str) -> float:
    """Peak resident memory of a training process or of any process that it waited for, MB."""
    command = [sys.executable, "-m", "septet", "train", "image-classification", data]
    process = subprocess.Popen(
        [*command, "--minutes", str(minutes)],
        env={**os.environ, "SEPTET_RUNS": runs},
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"The training ended with status {status}.")
    # Linux counts kilobytes, macOS bytes.
    return usage.ru_maxrss / (1e3 if sys.platform != "darwin" else 1e6)


def main() -> None:
    options = parse()
    result = {"benchmark": "memory", "machine": machine(), "minutes": options.minutes}
    with tempfile.TemporaryDirectory() as runs:
        if options.minutes > 0:
            result["peak_mb"] = round(peak_mb(options.data, options.minutes, runs))
            print(f"{options.data}: peak {result['peak_mb']} MB", flush=True)
        if options.runs > 0:
            resident = run_peer(sys.executable, "memory_runs.py", [options.runs, runs])
            result["resident_mb"] = resident
            result["growth_after_fifth_mb"] = round(max(resident[4:]) - resident[4], 1)
            print(f"{options.runs} runs: grew {result['growth_after_fifth_mb']} MB after the fifth")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
