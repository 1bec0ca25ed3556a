"""How late the client's own event loop is: what it adds to every time that it takes.

A timer is set for every 50 ms, and how late it rings is the lag: nearly free, and it sees whatever
held the loop up for longer than that. Event loops round timers to whole milliseconds, so that a
lag of 1 ms means nothing; the time itself is read from the clock, which the loop's own is not.
"""

import asyncio
import time
from bisect import bisect_left
from collections.abc import Callable

__all__ = ["LagMeter"]

EVERY_NS = 50_000_000


class LagMeter:
    """``tick`` is called each time, with the time; ``with`` it while the load is made."""

    def __init__(self, tick: Callable[[int], None] = lambda now_ns: None) -> None:
        self.most_ns = 0
        self._tick = tick
        # When it was late and by how much: of two, the one before stays only if it is the larger.
        self._at_ns: list[int] = []
        self._lag_ns: list[int] = []
        self._since_taken_ns = 0

    def __enter__(self) -> "LagMeter":
        self._loop = asyncio.get_running_loop()
        self._set(time.perf_counter_ns())
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def since(self, begin_ns: int) -> int:
        """The most that the loop was late since then (``perf_counter_ns``), in ns; what it is late
        at this moment is part of it."""
        now_late_ns = max(0, time.perf_counter_ns() - self._due_ns)
        at = bisect_left(self._at_ns, begin_ns)
        return max(now_late_ns, self._lag_ns[at] if at < len(self._lag_ns) else 0)

    def take(self) -> int:
        """The most since it was last taken, in ns."""
        taken, self._since_taken_ns = self._since_taken_ns, 0
        return taken

    def note(self, at_ns: int, lag_ns: int) -> None:
        self.most_ns = max(self.most_ns, lag_ns)
        self._since_taken_ns = max(self._since_taken_ns, lag_ns)
        while self._lag_ns and self._lag_ns[-1] <= lag_ns:
            self._lag_ns.pop()
            self._at_ns.pop()
        self._at_ns.append(at_ns)
        self._lag_ns.append(lag_ns)

    def _set(self, now_ns: int) -> None:
        self._due_ns = now_ns + EVERY_NS
        self._timer = self._loop.call_later(EVERY_NS / 1e9, self._ring)

    def _ring(self) -> None:
        now_ns = time.perf_counter_ns()
        self.note(now_ns, max(0, now_ns - self._due_ns))
        # From now, not from when it was due: one long stop is one lag, not a row of them.
        self._set(now_ns)
        self._tick(now_ns)
