"""The index of runs: a SQLite cache of what the run folders say, never the truth itself.

It is rebuilt when missing, damaged or stale, and whatever is wrong with it, no run fails:
the folders are read instead.
"""

import logging
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from septet.errors import SeptetError
from septet.runs.folder import RunFolder, locked, runs

FILE = "index.db"
SCHEMA_VERSION = 1
BUSY_TIMEOUT_S = 5.0
COLUMNS = ("name", "sequence", "task", "status", "created", "epochs", "score_name", "score")
TABLE = """CREATE TABLE IF NOT EXISTS runs (
    name TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, sequence INTEGER NOT NULL,
    task TEXT NOT NULL, status TEXT NOT NULL, created TEXT NOT NULL,
    epochs INTEGER, score_name TEXT, score REAL) STRICT"""
DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}

logger = logging.getLogger(__name__)


def rows(root: Path) -> list[dict[str, Any]]:
    """One row a run under `root`, in order of creation.

    Each has name, sequence, task, status (running, finished, interrupted, failed or
    crashed), created (ISO, UTC), epochs, score_name and score (None while unknown).
    """
    known = runs(root)
    found = cached_rows(root, known)
    if found is None:
        found = [read_row(run) for run in known]
    folders = {run.name: run for run in known}
    for row in found:
        # Whether a process still works on it is no matter for a cache.
        if row["status"] == "running" and not folders[row["name"]].is_locked():
            row["status"] = "crashed"
    return sorted(found, key=lambda row: (row["sequence"], row["created"], row["name"]))


def refresh(root: Path) -> None:
    """Bring the index up to date; a failure is only logged."""
    cached_rows(root, runs(root))


def cached_rows(root: Path, known: list[RunFolder]) -> list[dict[str, Any]] | None:
    """The rows of the index after bringing it up to date, None if it cannot be used."""
    if not known:
        return []
    try:
        try:
            return synchronise(root, known)
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in DAMAGED:
                raise
            logger.info("The index of runs is damaged (%s); rebuilding it.", error)
            remove_index(root)
            return synchronise(root, known)
    except (sqlite3.Error, OSError, SeptetError) as error:
        logger.info("The index of runs cannot be used (%s); reading the folders.", error)
        return None


def synchronise(root: Path, known: Iterable[RunFolder]) -> list[dict[str, Any]]:
    """Rewrite the rows whose folders changed, drop those without one; the rows of `known`.

    Each process answers for the folders it listed: what it read is what it returns, for
    another that listed them earlier may drop the row of a newer run meanwhile.
    """
    present = {run.name: (run, fingerprint(run)) for run in known}
    with closing(connect(root)) as database:
        found, gone = {}, []
        query = f"SELECT fingerprint, {', '.join(COLUMNS)} FROM runs"
        for mark, *values in database.execute(query):
            row = dict(zip(COLUMNS, values, strict=True))
            name = row["name"]
            if name not in present:
                gone.append((name,))
            elif present[name][1] == mark:
                found[name] = row
        changed = {name: read_row(run) for name, (run, _) in present.items() if name not in found}
        if gone or changed:
            marked = [{**row, "fingerprint": present[name][1]} for name, row in changed.items()]
            with writing(database):
                database.executemany("DELETE FROM runs WHERE name = ?", gone)
                database.executemany(
                    "INSERT OR REPLACE INTO runs VALUES (:name, :fingerprint, :sequence, :task,"
                    " :status, :created, :epochs, :score_name, :score)",
                    marked,
                )
    return list({**found, **changed}.values())


def connect(root: Path) -> sqlite3.Connection:
    """The index of `root`, with the table of this version."""
    database = sqlite3.connect(root / FILE, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version != SCHEMA_VERSION:
            with writing(database):
                database.execute("DROP TABLE IF EXISTS runs")
                database.execute(TABLE)
                database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    except BaseException:
        database.close()
        raise
    return database


@contextmanager
def writing(database: sqlite3.Connection) -> Iterator[None]:
    """One transaction that takes the write lock at its start, so that it can wait for it."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        with suppress(sqlite3.Error):
            database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


def remove_index(root: Path) -> None:
    """Remove a damaged index, one process at a time."""
    with locked(root / ".lock", patience_s=BUSY_TIMEOUT_S):
        for suffix in ("", "-wal", "-shm"):
            (root / f"{FILE}{suffix}").unlink(missing_ok=True)


def fingerprint(run: RunFolder) -> str:
    """Changes whenever a file that `read_row` reads was committed anew."""
    marks = []
    for path in (run.status_path, run.identity_path, run.config_path):
        with suppress(OSError):
            facts = os.stat(path)
            marks.append(f"{path.name}:{facts.st_ino}:{facts.st_size}:{facts.st_mtime_ns}")
    return " ".join(marks)


def read_row(run: RunFolder) -> dict[str, Any]:
    """The row of `run` from its folder; "running" is said as its status file says it."""
    facts = run.recorded_status()
    epochs, score, score_name = facts.get("epochs"), facts.get("score"), facts.get("score_name")
    return {
        "name": run.name,
        **run.identity(),
        "status": str(facts.get("status", "failed")),
        "epochs": epochs if type(epochs) is int else None,
        "score_name": score_name if isinstance(score_name, str) else None,
        "score": float(score) if isinstance(score, int | float) else None,
    }
