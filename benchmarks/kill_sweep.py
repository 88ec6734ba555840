"""Question: is any run lost, whatever operation it is killed or starved of disk at?

Starts real training processes on tiny jobs of every task, kills each (SIGKILL) at another
write, append, fsync, rename or removal, or at a random time, resumes it, and compares
weights, optimizer state and log with the uninterrupted run. Then the same with full and
failing disks, and finished checkpoints that are truncated or have bits flipped.

    python benchmarks/kill_sweep.py --points 300 --disk-points 100 --damages 1000

On a slow machine the same points can be done in parts, `--part 1/3` and so on.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
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
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--points", type=int, default=300)
    parser.add_argument("--disk-points", type=int, default=100)
    parser.add_argument("--damages", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", type=part, default=(1, 1), help="such as 1/3: every third point")
    parser.add_argument("--jobs", nargs="+", metavar="NAME", help="only these, such as translation")
    arguments = parser.parse_args()
    begin = time.monotonic()
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        jobs = make_jobs(Path(folder))
        if unknown := set(arguments.jobs or []) - set(jobs):
            parser.error(f"no job {', '.join(sorted(unknown))}; there are {', '.join(jobs)}")
        wanted = arguments.jobs or list(jobs)
        drivers = [Driver(jobs[name], Path(folder) / name) for name in wanted]
        tally = sweep(drivers, arguments)
        tally["seconds"] = round(time.monotonic() - begin)
    print(json.dumps(tally))
    sys.exit(0 if all(tally[kind]["failed"] == 0 for kind in ("kills", "disk", "damages")) else 1)


def sweep(drivers: list[Driver], arguments: argparse.Namespace) -> dict[str, Any]:
    """Every kind of point, spread evenly over the tasks, as many at once as there are cores."""
    chance = random.Random(arguments.seed)
    kills, disk, damages = Counter(), Counter(), Counter()
    for place, driver in enumerate(drivers):
        expected, operations, seconds = driver.whole
        say(f"{driver.job.task}: the uninterrupted run makes {operations} operations")
        trial = Trial(driver, expected, operations, seconds, arguments.part)
        trial.run(trial.kill, share(arguments.points, len(drivers), place), chance, kills)
        trial.run(trial.starve, share(arguments.disk_points, len(drivers), place), chance, disk)
        number, parts = arguments.part
        count = share(share(arguments.damages, len(drivers), place), parts, number - 1)
        damage(driver, count, chance, damages)
        tallies = f"kills {dict(kills)}, disk {dict(disk)}, damages {dict(damages)}"
        say(f"{driver.job.task} done; so far {tallies}")
    return {"kills": dict(kills), "disk": dict(disk), "damages": dict(damages)}


def part(text: str) -> tuple[int, int]:
    """`"1/3"` as (1, 3)."""
    number, parts = map(int, text.split("/"))
    if not 1 <= number <= parts:
        raise ValueError(text)
    return number, parts


def share(total: int, parts: int, place: int) -> int:
    """How many of `total` fall to one of several parts."""
    return len(range(place, total, parts))


@dataclass(frozen=True)
class Trial:
    """One job, what it ends with when nothing happens, and the operations and seconds it takes.

    Of all points it does every n-th: `part` is (which, n).
    """

    driver: Driver
    expected: dict[str, str]
    operations: int
    seconds: float
    part: tuple[int, int]

    def run(
        self,
        point: Callable[[int, random.Random], Counter[str]],
        count: int,
        chance: random.Random,
        tally: Counter[str],
    ) -> None:
        """Do this part of `count` points, each with its own chances; add up what came out."""
        chances = [random.Random(chance.random()) for _ in range(count)]
        number, parts = self.part
        numbers = range(number - 1, count, parts)
        with ThreadPoolExecutor(os.cpu_count()) as executor:
            for counts in executor.map(point, numbers, chances[number - 1 :: parts]):
                tally.update(counts)

    def kill(self, number: int, chance: random.Random) -> Counter[str]:
        """One kill point, resumed and compared."""
        driver, name = self.driver, f"kill-{number}"
        if chance.random() < RANDOM_TIMES:
            delay_s = chance.uniform(0.0, self.seconds)
            where = f"after {delay_s:.1f} s"
            code, found = self.kill_at_time(name, delay_s)
        else:
            at = chance.randint(1, self.operations)
            where = f"at operation {at}"
            code, _, found = driver.point(name, f"any:{at}:kill")
        shutil.rmtree(driver.folder / name, ignore_errors=True)
        good = found == self.expected and code == -signal.SIGKILL
        return verdict(good, f"{driver.job.task} killed {where}: exit {code}")

    def kill_at_time(self, name: str, delay_s: float) -> tuple[int, dict[str, str]]:
        """Train, kill after so many seconds, continue: (exit code, what it ended with).

        A training that ended before is started anew and killed in half the time.
        """
        driver = self.driver
        runs = driver.folder / name
        code, _ = driver.start(runs, driver.job.train(), kill_after_s=delay_s)
        while code == 0:
            shutil.rmtree(runs)
            delay_s /= 2
            code, _ = driver.start(runs, driver.job.train(), kill_after_s=delay_s)
        exists = (runs / "job" / "config.json").exists()
        resumed, output = driver.start(runs, ["resume", "job"] if exists else driver.job.train())
        if resumed != 0:
            say(output)
            return code, {}
        return code, outcome(runs / "job")

    def starve(self, number: int, chance: random.Random) -> Counter[str]:
        """One point of a full or failing disk: exit 1, path named, resumed and compared."""
        driver, name = self.driver, f"disk-{number}"
        error = ("ENOSPC", "EIO", "EDQUOT", "ENOSPC+", "EIO+")[number % 5]
        at = chance.randint(1, self.operations)
        code, output, found = driver.point(name, f"any:{at}:{error}")
        named = str(driver.folder) in output and "Traceback" not in output
        # An index or a clean-up that fails costs nothing, and the run rightly goes on.
        harmless = code == 0 and "Report" in output
        good = found == self.expected and (harmless or (code == 1 and named))
        shutil.rmtree(driver.folder / name, ignore_errors=True)
        what = f"{driver.job.task} {error} at operation {at}: exit {code}: {output[-300:]}"
        counts = verdict(good, what)
        counts["harmless"] += harmless
        return counts


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
        tally.update(verdict(good, f"{driver.job.task} damage of {file.name}"))


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


def verdict(good: bool, what: str) -> Counter[str]:
    """The count of a point, said aloud where it went wrong."""
    if not good:
        say(f"FAILED: {what}")
    return Counter(points=1, identical=int(good), failed=int(not good))


def say(text: str) -> None:
    """A line on stderr."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
