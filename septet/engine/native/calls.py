"""C that XLA calls within its own programs, through its foreign function interface.

For operations that XLA does slowly on a CPU in programs that are too large to be C as a whole.
Whether a program may have such calls is known while it is traced: `opened` says so.
"""

import contextlib
import ctypes
import functools
import logging
from collections.abc import Iterator
from importlib import resources
from typing import Any

from septet.engine.native import building

logger = logging.getLogger(__name__)

PREFIX = "septet_"
_are_open = False
_misses = 0


@contextlib.contextmanager
def opened(is_open: bool) -> Iterator[None]:
    """What is traced in here is compiled by XLA for a CPU, and may call C; or it may not."""
    global _are_open
    before = _are_open
    _are_open = is_open
    try:
        yield
    finally:
        _are_open = before


def are_open() -> bool:
    """Whether what is traced now may call C."""
    return _are_open


def miss() -> None:
    """Say that a call would have been made, were they open."""
    global _misses
    _misses += 1


def misses() -> int:
    """How often that was: what was traced meanwhile is another program where calls are open."""
    return _misses


@functools.cache
def library(file: str, *names: str) -> ctypes.CDLL | None:
    """The calls in a file, compiled and registered; None where there are no calls.

    Takes some two seconds on a machine that has not done so before.

    Args:
        file: In C, beside this one.
        names: Of its functions that XLA may call.
    """
    import jax

    texts = [
        resources.files("septet.engine.native").joinpath(name).read_text()
        for name in ("prelude.h", "calls.h", file)
    ]
    try:
        made = building.build(["\n".join(texts)], include=jax.ffi.include_dir())
        for name in names:
            handler = jax.ffi.pycapsule(getattr(made, name))
            jax.ffi.register_ffi_target(PREFIX + name, handler, platform="cpu")
    except Exception as error:  # Whatever does not work, XLA's own way does.
        logger.debug("%s is left to XLA: %s", file, error)
        return None
    return made


def lanes(file: str, *names: str) -> int:
    """Numbers of a vector of the calls in a file; 0 where there are no calls. See `library`."""
    return building.compiler()[1].lanes if library(file, *names) is not None else 0


def call(name: str, results: Any, *given: Any, **attributes: Any) -> Any:
    """The result, or several, of one call on arrays; attributes are arrays of NumPy."""
    import jax

    made = jax.ffi.ffi_call(PREFIX + name, results, vmap_method="sequential")
    return made(*given, **attributes)
