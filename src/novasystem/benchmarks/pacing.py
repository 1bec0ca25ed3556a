"""When requests leave: pure functions of the time that has passed and of what has been sent.

An open loop has a time for each of its requests, fixed before the first one leaves: whatever the
server does, and however late the client is, none is left out and none is put off. What leaves late
is late by its schedule delay, which stands in its sample. A closed loop has no times, only a
number of requests that may be under way together.
"""

import itertools
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import assert_never

from novasystem.benchmarks.plan import (
    Burst,
    Concurrent,
    ConstantRate,
    LoadShape,
    OneAtATime,
    Poisson,
    Ramp,
    Sweep,
    Trace,
    Workload,
)

__all__ = ["Closed", "Open", "Pace", "constant", "pace", "pacer", "traced"]


@dataclass(frozen=True, slots=True)
class Closed:
    """So many requests in all, so many of them at once."""

    requests: int
    concurrency: int


@dataclass(frozen=True, slots=True)
class Open:
    """``due_s(n)``: when request ``n``, counted from 0, leaves, in seconds from the beginning."""

    requests: int
    due_s: Callable[[int], float]


@dataclass(frozen=True, slots=True)
class Pace:
    """``wait_s`` until the next request leaves; 0 where it is due. ``stop``: there is none."""

    wait_s: float
    stop: bool


def pace(schedule: Open, elapsed_s: float, hits: int) -> Pace:
    """What to do ``elapsed_s`` after the beginning, with ``hits`` requests sent.

    Where the client is late, every request that is due leaves at once, one after the other.
    """
    if hits >= schedule.requests:
        return Pace(0.0, stop=True)
    return Pace(max(0.0, schedule.due_s(hits) - elapsed_s), stop=False)


def pacer(load: LoadShape, workload: Workload, size: int) -> Closed | Open:
    """The pacing of one block of a workload that has ``size`` requests of its own.

    A trace keeps its own times. A sweep is many of them: its steps are made by :func:`constant`.
    """
    if isinstance(workload, Trace):
        return traced(workload)
    match load:
        case OneAtATime():
            return Closed(size, 1)
        case Concurrent(concurrency=concurrency, requests=requests):
            return Closed(requests, concurrency)
        case ConstantRate(rate_per_s=rate, requests=requests):
            return constant(rate, requests)
        case Poisson():
            return _poisson(load)
        case Burst(size=together, every_s=every_s, bursts=bursts):
            return Open(together * bursts, lambda n: n // together * every_s)
        case Ramp():
            return _ramp(load)
        case Sweep():
            msg = "a sweep has no pacing of its own: each of its steps has"
            raise ValueError(msg)
        case _:
            assert_never(load)


def constant(rate_per_s: float, requests: int) -> Open:
    """One each 1/rate seconds; computed from the beginning, so that no error adds up."""
    return Open(requests, lambda n: n / rate_per_s)


def traced(trace: Trace) -> Open:
    times = tuple(request.at_s / trace.speed for request in trace.requests)
    return Open(len(times), times.__getitem__)


def _poisson(load: Poisson) -> Open:
    """Gaps are exponential: ``-ln(1 - u) / rate``; the same seed gives the same arrivals."""
    times = _Remembered(_exponential(load.seed, load.rate_per_s))
    return Open(load.requests, times)


def _exponential(seed: int, rate_per_s: float) -> Iterator[float]:
    draw = random.Random(seed)
    return itertools.accumulate(draw.expovariate(rate_per_s) for _ in itertools.count())


class _Remembered:
    """Item ``n`` of an endless series, which is made as far as it is asked for."""

    def __init__(self, series: Iterator[float]) -> None:
        self._series = series
        self._known: list[float] = []

    def __call__(self, number: int) -> float:
        while len(self._known) <= number:
            self._known.append(next(self._series))
        return self._known[number]


def _ramp(load: Ramp) -> Open:
    """The rate at t is ``a + s·t`` with ``s = (b - a)/T``, so that ``n = a·t + s·t²/2`` requests
    have left by then; solved for t in the form that also holds for s = 0."""
    first, slope = load.from_per_s, (load.to_per_s - load.from_per_s) / load.duration_s
    requests = max(1, math.floor((load.from_per_s + load.to_per_s) / 2 * load.duration_s))

    def due_s(n: int) -> float:
        return 2 * n / (first + math.sqrt(max(0.0, first * first + 2 * slope * n)))

    return Open(requests, due_s)
