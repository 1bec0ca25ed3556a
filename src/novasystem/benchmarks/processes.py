"""How many processes make a load: one, unless it would be too much for one.

A second process costs memory, a start and a core that the model may want, and where the load is
small it makes nothing more exact. What a load asks for is estimated from its plan alone, in tokens
a second; where that cannot be told, as with what a model says until it ends by itself, it is
reckoned with typical figures.
"""

import math
import os

from novasystem.benchmarks.plan import (
    Burst,
    Concurrent,
    ConstantRate,
    LoadShape,
    OneAtATime,
    Plan,
    Poisson,
    Ramp,
    Sweep,
    Trace,
)

__all__ = ["PER_PROCESS", "how_many", "processors"]

PER_PROCESS = 10_000.0
"""Tokens a second that one process takes in with time to spare: some half of a core."""
MOST_PER_PROCESS = 18_000.0
"""What one takes in at most, on a slow machine: beyond it a load is late for certain."""
_MOST = 16
_TOKENS = 128
_TOKENS_PER_S = 50.0
"""Of a request that does not say how long its answer may be; of an answer."""


def how_many(plan: Plan, *, models: int, cores: int) -> int:
    """How many processes carry out ``plan``; never more than it has requests at once.

    ``auto`` leaves a core to whoever answers, and to the rest; of two it takes both where one
    process could not make the load at all. What is told is kept to, but for loads that cannot be
    shared: one request after the other, and made-up depths.
    """
    most = _shareable(plan)
    if most <= 1 or os.name == "nt":
        # Windows has no way to append to a file from several processes at once.
        return 1
    if plan.processes != "auto":
        return min(plan.processes, most)
    together = models if plan.mode == "parallel" else 1
    tokens_per_s = _tokens_per_s(plan) * together
    free = 2 if cores == 2 and tokens_per_s > MOST_PER_PROCESS else cores - 1
    return max(1, min(math.ceil(tokens_per_s / PER_PROCESS), most, free, _MOST))


def processors() -> int:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _shareable(plan: Plan) -> int:
    """The most processes that could have something to do."""
    workload, load = plan.workload, plan.load
    if workload.kind == "conversation":
        return 1
    if workload.kind == "matrix" and any(workload.depths):
        # What lies there is asked before each request, and another's request must not come between.
        return 1
    if isinstance(workload, Trace):
        return len(workload.requests)
    match load:
        case OneAtATime():
            return 1
        case Concurrent(concurrency=concurrency, requests=requests):
            return min(concurrency, requests)
        case Burst(size=size, bursts=bursts):
            return size * bursts
        case ConstantRate(requests=requests) | Poisson(requests=requests):
            return requests
        case Ramp() | Sweep():
            return _MOST


def _tokens_per_s(plan: Plan) -> float:
    """What arrives of one model when the load is at its highest."""
    workload = plan.workload
    if isinstance(workload, Trace):
        known = [r.output_tokens or _TOKENS for r in workload.requests]
        span_s = max(workload.requests[-1].at_s - workload.requests[0].at_s, 1.0)
        return sum(known) * workload.speed / span_s
    if workload.kind == "synthetic":
        tokens = workload.output_tokens
    elif workload.kind == "matrix":
        tokens = max(workload.output_tokens)
    else:
        tokens = plan.parameters.max_tokens or _TOKENS
    return _at_once(plan.load, tokens)


def _at_once(load: LoadShape, tokens: int) -> float:
    match load:
        case OneAtATime():
            return _TOKENS_PER_S
        case Concurrent(concurrency=concurrency):
            return concurrency * _TOKENS_PER_S
        case ConstantRate(rate_per_s=rate) | Poisson(rate_per_s=rate):
            return rate * tokens
        case Burst(size=size, every_s=every_s):
            return max(size / every_s * tokens, size * min(_TOKENS_PER_S, tokens))
        case Ramp(from_per_s=first, to_per_s=last):
            return max(first, last) * tokens
        case Sweep(rates_per_s=rates):
            # Without rates of its own it begins with what one request after the other reaches.
            return max(rates, default=0.0) * tokens
