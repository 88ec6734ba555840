"""Memory that a step frees is kept for the next step.

The C library gives large blocks back to the system when they are freed, and asks for them anew:
the system then fills every page with zeros, in every step. It also gives each thread a heap of its
own, and those it shrinks whatever it was told (`docs/experiments.md`, "Memory given back in every
step", "One heap for all threads").
"""

import ctypes
import os
import sys

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -2, -3, -8
"""Parameters of glibc's `mallopt`, as in its malloc.h."""
KEPT_BYTES = 1 << 30
"""Most that stays free at the heap's end; blocks from here on are the system's own."""
GROWN_BYTES = 64 << 20
"""By how much the heap grows beyond what was asked for."""
OWN = (
    "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_ARENA_MAX",
    "GLIBC_TUNABLES",
)  # fmt: skip
"""A user who set one of these has chosen."""


def share_one_heap() -> bool:
    """Have all threads share one heap; whether they do.

    Only before a second thread asks for memory, so it is done when `septet` is imported.
    """
    return tell({M_ARENA_MAX: 1})


def keep_freed_memory() -> bool:
    """Have the C library keep what is freed; whether it does. Other libraries are left alone."""
    return tell(
        {
            M_MMAP_THRESHOLD: KEPT_BYTES,
            M_TRIM_THRESHOLD: KEPT_BYTES,
            M_TOP_PAD: GROWN_BYTES,
        }
    )


def tell(wanted: dict[int, int]) -> bool:
    """Set parameters of glibc; whether they hold."""
    if not sys.platform.startswith("linux") or any(os.environ.get(name) for name in OWN):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    return all(library.mallopt(name, value) for name, value in wanted.items())
