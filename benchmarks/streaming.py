"""Does a data set that is larger than memory train in little memory, without waiting for it?

    python benchmarks/streaming.py --gigabytes 20 --minutes 10

Writes pictures of noise, 64x64x3, until they take so much space, and trains a small
convolutional network on them from the file with `septet.fit`, in the order that arrays in
memory would have. Meanwhile the resident memory of the process and its reading workers is
taken every second, with and without pages of files, and after a fifth of the time one
worker is killed. The last line is JSON: the peak, the growth in MB a minute once everything
has happened once (after the first epoch, at whose end the second one's order is drawn, and
after the first quarter), and the share of the time in which the device waited for data.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from processes import HERE, machine

SHAPE = (64, 64, 3)
PART = 4096


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=20.0)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--folder", type=Path, help="where the pictures are, or are put")
    return parser.parse_args()


def write_pictures(folder: Path, gigabytes: float) -> int:
    """Make x.npy and y.npy if they are not there; how many pictures they have."""
    rows = int(gigabytes * 1e9 / np.prod(SHAPE))
    path = folder / "x.npy"
    if path.exists() and len(np.load(path, mmap_mode="r")) == rows:
        return rows
    random = np.random.default_rng(0)
    y = random.integers(0, 10, rows).astype(np.int32)
    noise = random.integers(0, 100, (PART, *SHAPE), np.uint8)
    header = np.lib.format.open_memmap(path, "w+", np.uint8, (rows, *SHAPE))
    begin = header.offset
    del header
    with path.open("r+b") as file:
        file.seek(begin)
        for first in range(0, rows, PART):
            labels = y[first : first + PART].astype(np.uint8)
            # A class is a little brighter than the one before it.
            part = (
                np.roll(noise, first // PART, 0)[: len(labels)] + 15 * labels[:, None, None, None]
            )
            file.write(part.tobytes())
    np.save(folder / "y.npy", y)
    return rows


def processes_of(parent: int) -> list[int]:
    """A process and those that it started."""
    children = Path(f"/proc/{parent}/task/{parent}/children")
    started = (
        [
            int(child)
            for path in Path(f"/proc/{parent}/task").glob("*/children")
            for child in path.read_text().split()
        ]
        if children.exists()
        else []
    )
    return [parent, *started]


def resident_mb(process: int) -> np.ndarray:
    """Resident memory and, of it, what is no page of a file, MB; zeros if it is gone.

    Pages of files count as resident where they are mapped, and the system takes them back when
    it needs the memory; what a program itself keeps is the rest.
    """
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return np.zeros(2)
    found = dict(line.split(":", 1) for line in lines if line.startswith(("VmRSS", "RssFile")))
    whole, of_files = (float(found.get(name, "0 kB").split()[0]) for name in ("VmRSS", "RssFile"))
    return np.array([whole, whole - of_files]) * 1024 / 1e6


def main() -> None:
    options = parse()
    with tempfile.TemporaryDirectory() as made:
        folder = options.folder or Path(made)
        rows = write_pictures(folder, options.gigabytes)
        print(f"{rows} pictures, {rows * np.prod(SHAPE) / 1e9:.1f} GB", flush=True)
        result = watch(folder, options.minutes)
    result = {
        "benchmark": "streaming",
        "machine": machine(),
        "gigabytes": options.gigabytes,
        "minutes": options.minutes,
        **result,
    }
    print(json.dumps(result))


def watch(folder: Path, minutes: float) -> dict:
    """Train in a process of its own, and watch it."""
    command = [sys.executable, str(HERE / "peers" / "streaming_fit.py"), str(folder), str(minutes)]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "training"
    begin, samples, killed = time.monotonic(), [], None
    while process.poll() is None:
        at = time.monotonic() - begin
        family = processes_of(process.pid)
        alone = resident_mb(family[0])
        samples.append((at / 60, *alone, *np.sum([resident_mb(each) for each in family], 0)))
        if killed is None and at > 12 * minutes and len(family) > 1:
            killed = family[1]
            os.kill(killed, signal.SIGKILL)
        time.sleep(1)
    if process.returncode != 0:
        raise SystemExit(f"The training ended with {process.returncode}.")
    told = json.loads(process.stdout.read().splitlines()[-1])
    at, alone, alone_own, together, own = np.array(samples[: -3 or None]).T
    warm_from = max(at[-1] / 4, (told["first_epoch_s"] or 0) / 60 + 0.25)
    is_warm = at > warm_from

    def growth(values: np.ndarray) -> float:
        return round(float(np.polyfit(at[is_warm], values[is_warm], 1)[0]), 2)

    return {
        **told,
        "killed_worker": killed,
        "peak_mb": round(alone.max()),
        "peak_with_workers_mb": round(together.max()),
        "warm_from_minute": round(float(warm_from), 2),
        "growth_mb_per_minute": growth(together),
        "growth_without_files_mb_per_minute": growth(own),
        "without_files_mb": [round(value) for value in own[:: max(1, len(own) // 24)]],
        "first_process_mb": [round(value) for value in alone_own[:: max(1, len(own) // 24)]],
    }


if __name__ == "__main__":
    main()
