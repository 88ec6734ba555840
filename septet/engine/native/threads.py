"""How many threads do a step: what was fastest, since others may need the processor too.

It changes nothing but the time: every number is computed by one thread, and in the same way.
"""

MOST_THREADS = 4
AGAIN = 20
"""Calls after which another number is tried once more."""
WORTH = 0.9
"""More threads must bring a step down to so much of its time with fewer."""
TELLING_S = 2e-4
"""Least time of a call that tells anything."""


class Threads:
    """The number of threads that had the least time a step.

    Args:
        cores: What there is to run on.
    """

    def __init__(self, cores: int):
        """See the class."""
        self.options = [count for count in (1, 2, 4) if count <= min(cores, MOST_THREADS)]
        self.step_s: dict[int, float] = {}
        self._calls = 0

    def choose(self) -> int:
        """How many to use now."""
        untried = [count for count in self.options if count not in self.step_s]
        if untried:
            return untried[0]
        best = self.options[0]
        for count in self.options[1:]:
            if self.step_s[count] < WORTH * self.step_s[best]:
                best = count
        self._calls += 1
        turn, left = divmod(self._calls, AGAIN)
        others = [count for count in self.options if count != best]
        return others[turn % len(others)] if others and not left else best

    def see(self, threads: int, count: int, seconds: float) -> None:
        """`threads` did `count` steps in so many seconds."""
        if seconds < TELLING_S or not count:
            return
        now = seconds / count
        self.step_s[threads] = 0.5 * (self.step_s.get(threads, now) + now)
