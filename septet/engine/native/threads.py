"""How many threads do a step: what was fastest, since others may need the processor too.

It changes nothing but the time: every number is computed by one thread, and in the same way.
"""

from collections import deque

MOST_THREADS = 4
FIRST = 2
"""Calls with each number to begin with: one of them may have been disturbed."""
KEPT = 3
"""Calls with each number of which the fastest counts."""
AGAIN = 20
"""Calls after which another number is tried once more; the first times after fewer."""
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
        self._seen: dict[int, deque[float]] = {count: deque(maxlen=KEPT) for count in self.options}
        self._tried: dict[int, int] = {}
        self._calls = 0

    def choose(self) -> int:
        """How many to use now."""
        fewest = min(self.options, key=lambda count: len(self._seen[count]))
        if len(self._seen[fewest]) < FIRST:
            return fewest
        best = self.options[0]
        for count in self.options[1:]:
            if min(self._seen[count]) < WORTH * min(self._seen[best]):
                best = count
        self._calls += 1
        others = [count for count in self.options if count != best]
        if not others or (self._calls not in (AGAIN // 4, AGAIN // 2) and self._calls % AGAIN):
            return best
        longest_ago = min(others, key=lambda count: self._tried.get(count, 0))
        self._tried[longest_ago] = self._calls
        return longest_ago

    def see(self, threads: int, count: int, seconds: float) -> None:
        """`threads` did `count` steps in so many seconds."""
        if seconds >= TELLING_S and count:
            self._seen[threads].append(seconds / count)
