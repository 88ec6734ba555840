"""Injected faults: the n-th write, fsync, rename, append or remove fails, or kills the process.

Tests set `SEPTET_FAULT` to `operation:n:effect` for a process they start, or use
`injected(...)` inside their own. An effect is "kill" (SIGKILL; a write or an append stops
half-way), or ENOSPC, EIO, EDQUOT for that operation alone, or with a "+" (`ENOSPC+`) for it
and every later one. `SEPTET_FAULT_LOG` names a file that receives one line an operation.
"""

import errno
import os
import re
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from septet.errors import ConfigError

OPERATIONS = ("write", "fsync", "rename", "append", "remove")
EFFECTS = {"kill": None, "ENOSPC": errno.ENOSPC, "EIO": errno.EIO, "EDQUOT": errno.EDQUOT}


@dataclass(frozen=True)
class Fault:
    """What goes wrong: at the `number`-th (from 1) `operation`; `error` None is a kill."""

    operation: str
    number: int
    error: int | None
    lasting: bool = False

    def happen(self, path: Path) -> None:
        """Kill this process, or raise the error as the operating system would."""
        if self.error is None:
            os.kill(os.getpid(), signal.SIGKILL)
        else:
            raise OSError(self.error, os.strerror(self.error), str(path))


def parse(specification: str) -> Fault:
    """`"rename:2:ENOSPC+"` as a `Fault`.

    Raises:
        ConfigError: It is not `operation:n:effect`.
    """
    match = re.fullmatch(r"([a-z]+):([1-9][0-9]{0,8}):([A-Za-z]+)(\+?)", specification)
    if match is None or match[1] not in (*OPERATIONS, "any") or match[3] not in EFFECTS:
        raise ConfigError(
            f"The fault '{specification}' is not operation:n:effect. Operations: any, "
            f"{', '.join(OPERATIONS)}; n counts from 1; effects: {', '.join(EFFECTS)}."
        )
    return Fault(match[1], int(match[2]), EFFECTS[match[3]], lasting=bool(match[4]))


class FaultPoint:
    """Counts the operations, logs them, and says which of them are to fail."""

    def __init__(self, fault: Fault | None, log: Path | None = None):
        """Let `fault` happen, if any; append a line for each operation to `log`."""
        self.fault = fault
        self.log = log
        self.counts: Counter[str] = Counter()
        self.lock = threading.Lock()

    def pass_through(self, operation: str, path: Path) -> Fault | None:
        """Count one operation: the fault that it must suffer, or None."""
        with self.lock:
            self.counts.update((operation, "any"))
            if self.log is not None:
                append_line(self.log, f"{operation}\t{path}")
            fault = self.fault
            if fault is None or fault.operation not in (operation, "any"):
                return None
            number = self.counts[fault.operation]
            due = number >= fault.number if fault.lasting else number == fault.number
            return fault if due else None


def append_line(log: Path, line: str) -> None:
    """Add `line` to `log` past the fault layer, in one write, so that kills do not tear it."""
    handle = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.write(handle, os.fsencode(line.replace("\n", "\\n") + "\n"))
    finally:
        os.close(handle)


active: FaultPoint | None = None


def fault_point() -> FaultPoint:
    """The point that every operation passes; the first call reads the environment."""
    global active
    if active is None:
        specification = os.environ.get("SEPTET_FAULT")
        log = os.environ.get("SEPTET_FAULT_LOG")
        active = FaultPoint(
            parse(specification) if specification else None, Path(log) if log else None
        )
    return active


def install(specification: str | None, log: Path | None = None) -> FaultPoint:
    """Replace the fault of this process (None: no fault) and start counting anew."""
    global active
    active = FaultPoint(parse(specification) if specification else None, log)
    return active


@contextmanager
def injected(specification: str | None, log: Path | None = None) -> Iterator[FaultPoint]:
    """Have a fault inside a `with` block; yields the point, whose `counts` tell operations."""
    global active
    before = active
    try:
        yield install(specification, log)
    finally:
        active = before
