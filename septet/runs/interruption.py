"""Ctrl-C and SIGTERM: the first asks the run to save and stop, the second stops at once."""

import _thread
import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

AGAIN_S = 0.01
"""Seconds until an interruption that got lost is tried again."""


class StopRequest:
    """Whether somebody asked the run to stop."""

    def __init__(self) -> None:
        """Nobody has, yet."""
        self.requested = False


@contextlib.contextmanager
def stop_on_signal() -> Iterator[StopRequest]:
    """Turn the first SIGINT or SIGTERM into a request; outside the main thread, do nothing."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if request.requested:
            raise KeyboardInterrupt
        request.requested = True

    def lost(unraisable: Any) -> None:
        # The second signal may come while Python runs a callback that cannot raise.
        if isinstance(unraisable.exc_value, KeyboardInterrupt):
            threading.Timer(AGAIN_S, _thread.interrupt_main).start()
        else:
            hook(unraisable)

    hook, sys.unraisablehook = sys.unraisablehook, lost
    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        sys.unraisablehook = hook
        for number, handler in previous.items():
            signal.signal(number, handler)
