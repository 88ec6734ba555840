"""Processes of the tests: forked children that are killed, and what became of them."""

import os
import traceback
from collections.abc import Callable


def run_forked(work: Callable[[], object]) -> int:
    """Do `work` in a child; its exit status: 0 done, 1 an exception, -9 killed."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
