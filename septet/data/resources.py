"""How much memory there is, and where the user's cache lies."""

import os
from pathlib import Path

SIZE_WHERE_UNKNOWN = 2 << 30
"""Bytes of data that are taken to fit where the system does not say what is free."""


def cache_root() -> Path:
    """The user's cache folder for Septet: $SEPTET_CACHE, or ~/.cache/septet."""
    chosen = os.environ.get("SEPTET_CACHE")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "septet"


def owner_only(folder: Path) -> Path | None:
    """`folder`, made for its owner alone; None if that cannot be had.

    For machine code that is kept to be run: nobody else may write there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
        return folder if folder.stat().st_uid == os.getuid() else None
    except OSError:
        return None


def room_for_data() -> int:
    """Bytes of a data set that may lie in memory as a whole: a quarter of what is free."""
    free = free_memory()
    return SIZE_WHERE_UNKNOWN if free is None else free // 4


def free_memory() -> int | None:
    """Bytes of memory that can be had now, or None where the system does not say."""
    try:
        with open("/proc/meminfo") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError, AttributeError):
        return None
