"""Run folders: where everything about one run lies, who works on it, and how it stands.

Knows no task and no model; what a run's files hold is their writers' business.
"""

import difflib
import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from septet.errors import InputError, RunBusyError, RunNotFoundError
from septet.runs import disk, storage
from septet.runs.manifest import strict_json

Status = Literal["running", "finished", "interrupted", "failed"]
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
RESERVED_NAMES = ("latest",)
LOCK_PATIENCE_S = 0.2
held_locks: set[int] = set()


def runs_root() -> Path:
    """Where runs are kept: $SEPTET_RUNS, or `runs` in the current folder."""
    return Path(os.environ.get("SEPTET_RUNS") or "runs")


class RunFolder:
    """One run's folder; `create` makes a new one, `find` gets an existing one."""

    def __init__(self, path: Path):
        """Stand for the folder at `path`, which must be a run."""
        self.path = path
        self.config_path = path / "config.json"
        self.identity_path = path / "run.json"
        self.status_path = path / "status.json"
        self.log_path = path / "log.jsonl"
        self.checkpoints = path / "checkpoints"
        self.model = path / "model"
        self.glimpses = path / "glimpses"
        self.report_path = path / "report.html"
        self.receipt_path = path / "receipt.json"
        self.lock_path = path / "lock"

    @property
    def name(self) -> str:
        """The run's name: that of its folder, so that a copied or renamed run is a run."""
        return self.path.absolute().name

    @classmethod
    def create(cls, root: Path, name: str | None, task: str, config: dict) -> "RunFolder":
        """A new run under `root`, complete or absent, whoever else creates one just now.

        Args:
            root: The folder of runs; made where absent.
            name: Letters, digits, '.', '_' and '-', at most 100; None for `<task>-<n>`.
            task: Name of the task.
            config: Everything resolved, plain JSON values; becomes config.json.

        Raises:
            InputError: The name cannot be used or is taken.
            StorageError: The folder could not be written.
        """
        if name is not None:
            check_name(name)
        storage.make_folder(root)
        with locked(root / ".lock", patience_s=60.0):
            storage.sweep(root, recursive=False)
            name = name or free_name(root, task)
            sequence = max((run.identity()["sequence"] for run in runs(root)), default=0) + 1
            created = datetime.now(UTC).isoformat(timespec="seconds")
            identity = {"version": 1, "task": task, "sequence": sequence, "created": created}
            files = {
                "config.json": storage.json_bytes(config),
                "run.json": storage.json_bytes(identity),
                "status.json": storage.json_bytes({"status": "running"}),
            }
            try:
                storage.create_folder(root / name, files)
            except FileExistsError:
                raise InputError(
                    f"A run named '{name}' exists already in '{root}'. "
                    f"Continue it with: septet resume {name}, or choose another name."
                ) from None
        return cls(root / name)

    @classmethod
    def find(cls, root: Path, run: str) -> "RunFolder":
        """The run called `run`: a name under `root`, a folder, or "latest" (last created).

        Raises:
            RunNotFoundError: There is none; names the nearest.
        """
        known = runs(root)
        if run == "latest":
            if not known:
                raise RunNotFoundError(
                    f"There are no runs in '{root}' yet. Start one: septet train."
                )
            return max(known, key=creation_order)
        for path in (root / run, Path(run)) if NAME.fullmatch(run) else (Path(run),):
            if is_run(path):
                return cls(path)
        names = [folder.name for folder in known]
        near = difflib.get_close_matches(run, names, n=1)
        hint = f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(names) or 'none'}."
        raise RunNotFoundError(f"There is no run '{run}' in '{root}' and no such folder. {hint}")

    def config(self) -> dict[str, Any]:
        """The resolved settings.

        Raises:
            RunNotFoundError: config.json is missing or damaged.
        """
        config = read_object(self.config_path)
        if config is None:
            raise RunNotFoundError(
                f"'{self.config_path}' is missing or damaged, so this run cannot be continued. "
                "Restore that file from a copy, or train anew."
            )
        return config

    def identity(self) -> dict[str, Any]:
        """Task, creation sequence and time (ISO, UTC); guessed where run.json is damaged."""
        identity = read_object(self.identity_path) or {}
        config = {} if "task" in identity else read_object(self.config_path) or {}
        sequence = identity.get("sequence")
        return {
            "task": str(identity.get("task", config.get("task", "unknown"))),
            "sequence": sequence if type(sequence) is int else 0,
            "created": str(identity.get("created", "")),
        }

    def status(self) -> dict[str, Any]:
        """`status` and the facts set with it; "crashed" if it says running and nobody works."""
        facts = self.recorded_status()
        if facts.get("status") == "running" and not self.is_locked():
            facts["status"] = "crashed"
        return facts

    def recorded_status(self) -> dict[str, Any]:
        """What status.json says, whether or not a process works on the run; "failed" if damaged."""
        return read_object(self.status_path) or {"status": "failed"}

    def set_status(self, status: Status, **facts: Any) -> None:
        """Commit how the run stands; facts add to those set before, None removes one.

        The list of runs shows `epochs`, `score` and `score_name`.

        Raises:
            StorageError: It could not be written; the old status stands.
        """
        if status not in get_args(Status):
            raise ValueError(f"'{status}' is not one of {', '.join(get_args(Status))}.")
        merged = {**self.recorded_status(), **facts, "status": status}
        kept = {name: value for name, value in merged.items() if value is not None}
        storage.commit_file(self.status_path, storage.json_bytes(kept))

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Be the only process that works on the run; clears what killed ones left.

        The operating system frees the lock when its owner ends, however it ends.

        Raises:
            RunBusyError: Another process holds it; names its id.
        """
        with locked(self.lock_path, LOCK_PATIENCE_S, f"The run '{self.name}'"):
            storage.sweep(self.path)
            yield

    def is_locked(self) -> bool:
        """Whether some process works on the run now."""
        try:
            handle = os.open(self.lock_path, os.O_RDONLY | disk.NO_FOLLOW)
        except OSError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(handle)
        return False


def check_name(name: str) -> None:
    """InputError unless `name` can be a run's name."""
    if not NAME.fullmatch(name) or name in RESERVED_NAMES:
        raise InputError(
            f"'{name}' cannot be a run's name. Use letters, digits, '.', '_' and '-', at most "
            "100, starting with a letter or digit, and not 'latest'."
        )


def free_name(root: Path, task: str) -> str:
    """The first of `<task>-1`, `<task>-2` ... after all that exist."""
    pattern = re.compile(re.escape(task) + r"-([0-9]{1,9})")
    taken = [match for entry in root.iterdir() if (match := pattern.fullmatch(entry.name))]
    return f"{task}-{max((int(match[1]) for match in taken), default=0) + 1}"


def is_run(path: Path) -> bool:
    """Whether `path` is a run's folder."""
    return os.path.isfile(path / "config.json") and not path.name.startswith(".")


def runs(root: Path) -> list[RunFolder]:
    """All runs under `root`, by name."""
    entries = sorted(root.iterdir()) if root.is_dir() else []
    return [RunFolder(path) for path in entries if is_run(path)]


def creation_order(run: RunFolder) -> tuple[int, str, str]:
    """Sorts runs by creation; a copy, with the same sequence, sorts by name."""
    identity = run.identity()
    return identity["sequence"], identity["created"], run.name


def read_object(path: Path) -> dict[str, Any] | None:
    """The JSON object in a small file, None if it is missing or damaged."""
    try:
        value = strict_json(path.read_bytes())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


@contextmanager
def locked(path: Path, patience_s: float, what: str = "The folder of runs") -> Iterator[None]:
    """Hold the lock file `path`, waiting at most `patience_s` for another holder.

    Raises:
        RunBusyError: It stayed held; says `what` is busy and the holder's process id.
    """
    with disk.storage_errors(path, "lock"):
        handle = os.open(path, os.O_RDWR | os.O_CREAT | disk.NO_FOLLOW, 0o666)
    held_locks.add(handle)
    try:
        with disk.storage_errors(path, "lock"):
            if not acquire(handle, patience_s):
                holder = os.pread(handle, 20, 0).decode(errors="replace").strip() or "unknown"
                raise RunBusyError(
                    f"{what} is being worked on by process {holder}. "
                    "Wait until it ends or stop it, then try again."
                )
            # Only for that message, so that a full disk is no reason to fail.
            with suppress(OSError):
                os.ftruncate(handle, 0)
                os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        held_locks.discard(handle)
        os.close(handle)


def acquire(handle: int, patience_s: float) -> bool:
    """Whether the lock was had in time. Short patience outlasts the probe of `is_locked`."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.01)
        else:
            return True


def forget_locks() -> None:
    """In a forked child, let go of the parent's locks, or they would outlive the parent."""
    for handle in held_locks:
        with suppress(OSError):
            os.close(handle)
    held_locks.clear()


os.register_at_fork(after_in_child=forget_locks)
