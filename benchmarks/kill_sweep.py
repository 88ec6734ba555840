"""Question: is any run lost, whatever operation it is killed or starved of disk at?

Starts real training processes on tiny jobs of every task, kills each (SIGKILL) at another
write, append, fsync, rename or removal, or at a random time, resumes it, and compares
weights, optimizer state and log with the uninterrupted run. Then the same with full and
failing disks, and finished checkpoints that are truncated or have bits flipped.

    python benchmarks/kill_sweep.py --points 300 --disk-points 100 --damages 1000
"""

import argparse
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from septet.errors import CheckpointError
from septet.runs import checkpoints
from tests.runs.killing import Driver, make_jobs, outcome

RANDOM_TIMES = 0.1
"""Share of the kill points that come at a random time instead of an operation."""


def main() -> None:
    """Run the sweep; exit 1 unless every point ends where it should."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=300)
    parser.add_argument("--disk-points", type=int, default=100)
    parser.add_argument("--damages", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    begin = time.monotonic()
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        drivers = [
            Driver(job, Path(folder) / name) for name, job in make_jobs(Path(folder)).items()
        ]
        tally = sweep(drivers, arguments)
        tally["seconds"] = round(time.monotonic() - begin)
    print(json.dumps(tally))
    sys.exit(0 if all(tally[kind]["failed"] == 0 for kind in ("kills", "disk", "damages")) else 1)


def sweep(drivers: list[Driver], arguments: argparse.Namespace) -> dict[str, Any]:
    """Every kind of point, spread evenly over the tasks."""
    chance = random.Random(arguments.seed)
    kills, disk, damages = Counter(), Counter(), Counter()
    for place, driver in enumerate(drivers):
        expected, operations = driver.whole()
        say(f"{driver.job.task}: the uninterrupted run makes {operations} operations")
        for number in spread(arguments.points, len(drivers), place):
            kill(driver, expected, operations, number, chance, kills)
        for number in spread(arguments.disk_points, len(drivers), place):
            starve(driver, expected, operations, number, chance, disk)
        damage(driver, len(spread(arguments.damages, len(drivers), place)), chance, damages)
    return {"kills": dict(kills), "disk": dict(disk), "damages": dict(damages)}


def spread(total: int, parts: int, place: int) -> range:
    """The numbers of `range(total)` that fall to one of several parts."""
    return range(place, total, parts)


def kill(
    driver: Driver,
    expected: dict[str, str],
    operations: int,
    number: int,
    chance: random.Random,
    tally: Counter[str],
) -> None:
    """One kill point, resumed and compared."""
    if chance.random() < RANDOM_TIMES:
        code, found = kill_at_random_time(driver, f"time-{number}", chance)
        where = "a random time"
    else:
        at = chance.randint(1, operations)
        code, _, found = driver.point(f"kill-{number}", f"any:{at}:kill")
        where = f"operation {at}"
        tally["not_killed"] += code != -signal.SIGKILL
    verdict(tally, found == expected, f"{driver.job.task} killed at {where}")
    shutil.rmtree(driver.folder / f"kill-{number}", ignore_errors=True)


def kill_at_random_time(
    driver: Driver, name: str, chance: random.Random
) -> tuple[int, dict[str, str]]:
    """Train, kill at a random moment, continue: (exit code, what it ended with)."""
    runs = driver.folder / name
    delay_s = chance.uniform(0.1, 6.0)
    code, _ = driver.start(runs, driver.job.train(), kill_after_s=delay_s)
    again = ["resume", "job"] if (runs / "job" / "config.json").exists() else driver.job.train()
    resumed, output = driver.start(runs, again)
    if resumed != 0:
        say(output)
        return code, {}
    return code, outcome(runs / "job")


def starve(
    driver: Driver,
    expected: dict[str, str],
    operations: int,
    number: int,
    chance: random.Random,
    tally: Counter[str],
) -> None:
    """One point of a full or failing disk: exit 1, path named, resumed and compared."""
    error = ("ENOSPC", "EIO", "EDQUOT", "ENOSPC+", "EIO+")[number % 5]
    at = chance.randint(1, operations)
    code, output, found = driver.point(f"disk-{number}", f"any:{at}:{error}")
    named = str(driver.folder) in output and "Traceback" not in output
    # An index or a clean-up that fails costs nothing, and the run rightly goes on.
    harmless = code == 0 and "Report" in output
    good = found == expected and (harmless or (code == 1 and named))
    tally["harmless"] += harmless
    verdict(
        tally, good, f"{driver.job.task} {error} at operation {at}: exit {code}: {output[-300:]}"
    )
    shutil.rmtree(driver.folder / f"disk-{number}", ignore_errors=True)


def damage(driver: Driver, count: int, chance: random.Random, tally: Counter[str]) -> None:
    """Truncate or flip a bit of the newest checkpoint: found, named, the older one taken."""
    root = driver.folder / "whole" / "job" / "checkpoints"
    newest, older = (root / f"step-{step:012d}" for step in sorted(checkpoints.steps(root))[:-3:-1])
    for _ in range(count):
        file = chance.choice(sorted(newest.iterdir()))
        content = file.read_bytes()
        file.write_bytes(damaged(content, chance))
        try:
            found, messages = checkpoints.load_newest(root)
            good = found is not None and found.path == older and file.name in " ".join(messages)
        except CheckpointError:
            good = False
        finally:
            file.write_bytes(content)
        verdict(tally, good, f"{driver.job.task} damage of {file.name}")


def damaged(content: bytes, chance: random.Random) -> bytes:
    """`content` cut short, or with one bit flipped."""
    if chance.random() < 0.5:
        return content[: chance.randrange(len(content))]
    place = chance.randrange(len(content))
    return (
        content[:place]
        + bytes([content[place] ^ (1 << chance.randrange(8))])
        + content[place + 1 :]
    )


def verdict(tally: Counter[str], good: bool, what: str) -> None:
    """Count a point, and say so where it went wrong."""
    tally["points"] += 1
    tally["identical"] += good
    tally["failed"] += not good
    if not good:
        say(f"FAILED: {what}")


def say(text: str) -> None:
    """A line on stderr."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
