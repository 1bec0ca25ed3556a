"""Callbacks at absolute times, kept to a tenth of a millisecond.

Event loops round their timers to whole milliseconds, too coarse for a server that other clocks
are checked against. Where the system has ``timerfd`` the loop watches one; elsewhere it is the
loop's own timer. What falls due within :data:`TOGETHER_NS` of the alarm is served with it, so
that hundreds of streams do not cost an alarm a token.
"""

import asyncio
import ctypes
import heapq
import itertools
import os
import sys
import time
from collections.abc import Callable

__all__ = ["TOGETHER_NS", "Timer"]

TOGETHER_NS = 100_000

_NON_BLOCKING = 0o4000
_CLOEXEC = 0o2000000
_ABSOLUTE = 1


class _Itimerspec(ctypes.Structure):
    """``struct itimerspec``: interval, then first expiration, each as seconds and nanoseconds."""

    _fields_ = [(name, ctypes.c_long) for name in ("every_s", "every_ns", "at_s", "at_ns")]


class Timer:
    """A heap of callbacks over one alarm; times are ``time.monotonic_ns``."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._armed_ns = 0
        self._descriptor: int | None = None
        if sys.platform == "linux":
            self._c = ctypes.CDLL(None, use_errno=True)
            clock = time.CLOCK_MONOTONIC
            self._descriptor = self._c.timerfd_create(clock, _NON_BLOCKING | _CLOEXEC)
            loop.add_reader(self._descriptor, self._rang)

    def at(self, due_ns: int, callback: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (due_ns, next(self._order), callback))
        if not self._armed_ns or due_ns < self._armed_ns:
            self._arm(due_ns)

    def _arm(self, due_ns: int) -> None:
        self._armed_ns = due_ns
        if self._descriptor is None:
            delay_s = max(0, due_ns - time.monotonic_ns()) / 1e9
            self._loop.call_later(delay_s, self._run)
            return
        when = _Itimerspec(0, 0, *divmod(due_ns, 1_000_000_000))
        self._c.timerfd_settime(self._descriptor, _ABSOLUTE, ctypes.byref(when), None)

    def _rang(self) -> None:
        assert self._descriptor is not None
        try:
            os.read(self._descriptor, 8)
        except BlockingIOError:
            return
        self._run()

    def _run(self) -> None:
        heap = self._heap
        while heap and heap[0][0] <= time.monotonic_ns() + TOGETHER_NS:
            heapq.heappop(heap)[2]()
        self._armed_ns = 0
        if heap:
            self._arm(heap[0][0])
