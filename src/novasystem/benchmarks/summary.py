"""The figures of a whole benchmark: how its models shared the time, and whether to believe them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from novasystem.benchmarks.metrics import e2e_s, schedule_delay_s, ttft_s
from novasystem.benchmarks.plan import Plan
from novasystem.benchmarks.records import Summary
from novasystem.benchmarks.samples import Sample
from novasystem.benchmarks.windows import busy_s, windows

__all__ = [
    "LATE_S",
    "LATE_SHARE",
    "MOST_CPU",
    "MOST_LATE",
    "ClientFigures",
    "summary",
    "why_invalid",
]

MOST_CPU = 0.9
"""Of one core: a load process that takes more has no time left to stamp arrivals when they come."""
LATE_S = 0.020
LATE_SHARE = 0.1
"""A request counts as late from 20 ms, or from a tenth of its time to first token, whichever is
more: what is less does not change what one would conclude."""
MOST_LATE = 0.05
"""Share of late requests from which on a benchmark is invalid."""

OPEN = {"constant", "poisson", "burst", "ramp", "sweep"}


@dataclass(frozen=True, slots=True)
class ClientFigures:
    """What the load process says of itself. ``wall_s``: how long it was at it; ``cpu_s``: the CPU
    time of all its ``processes``, of which the busiest took ``busiest_s`` (``None``: there was but
    one); ``lag_s``: the most that an event loop of it was late."""

    wall_s: float | None = None
    cpu_s: float | None = None
    lag_s: float | None = None
    busiest_s: float | None = None
    processes: int = 1


def summary(samples: Iterable[Sample], plan: Plan, client: ClientFigures | None = None) -> Summary:
    """B-14's figures and the client's honesty. Times are of the monotonic clock.

    A model's time is how long it was at work, warm-up included as the wall time has it too:

    - total_model_time = sum of the models' times; average_model_time = that / number of models
    - parallel_speedup = total_model_time / wall time; efficiency_ratio = that / number of models;
      both of parallel benchmarks only
    - overhead_s = wall time - time in which at least one model was at work
    """
    known = list(samples)
    client = client or ClientFigures()
    counted = [sample for sample in known if sample.counted]
    wall_s = client.wall_s if client.wall_s is not None else _span_s(known)
    by_model: dict[str, list[Sample]] = {model: [] for model in plan.models}
    for sample in known:
        by_model.setdefault(sample.model, []).append(sample)
    times = [busy_s(windows(own)) for own in by_model.values() if own]
    total = sum(times) if times else None
    speedup = total / wall_s if total and wall_s and plan.mode == "parallel" else None
    reasons = why_invalid(counted, plan, client, wall_s)
    lags = [client.lag_s or 0.0, *(sample.lag_ns / 1e9 for sample in known)]
    delays = [delay for sample in counted if (delay := schedule_delay_s(sample)) is not None]
    return Summary(
        wall_s=wall_s,
        models=len(by_model),
        succeeded=len({sample.model for sample in counted if sample.failure is None}),
        requests=len(counted),
        failed_requests=sum(sample.failure is not None for sample in counted),
        valid=not reasons,
        invalid_because=reasons,
        client_processes=client.processes,
        client_cpu_s=client.cpu_s,
        client_lag_s=max(lags) if known or client.lag_s is not None else None,
        schedule_delay_s=max(delays, default=None),
        average_model_time=total / len(times) if total is not None else None,
        total_model_time=total,
        parallel_speedup=speedup,
        efficiency_ratio=speedup / len(times) if speedup is not None else None,
        overhead_s=None
        if wall_s is None or not known
        else max(0.0, wall_s - busy_s(windows(known))),
    )


def why_invalid(
    samples: Sequence[Sample], plan: Plan, client: ClientFigures, wall_s: float | None
) -> tuple[str, ...]:
    """Why the client, not the models, decided the figures; empty where it kept up.

    It did not where one of its processes took more than 90 % of a core, or where more
    than 5 % of the requests were late by its event loop, or left late in an open loop. Late is more
    than 20 ms and more than a tenth of the request's time to first token.
    """
    found = []
    share = 0.0
    busiest_s = client.cpu_s if client.busiest_s is None else client.busiest_s
    if busiest_s is not None and wall_s:
        share = busiest_s / wall_s
    if share > MOST_CPU:
        which = "The client" if client.processes == 1 else "A process of the client"
        found.append(
            f"{which} took {share:.0%} of a core: above {MOST_CPU:.0%} it delays what it measures. "
            "Lower the load, or give it more processes."
        )
    lags = [sample.lag_ns / 1e9 for sample in samples]
    if late := _late(samples, lags):
        found.append(
            f"The client's event loop was late in {late:.0%} of the requests, by up to "
            f"{max(lags) * 1e3:.0f} ms: their times are its own. Leave it a core for itself."
        )
    if plan.load.kind in OPEN or plan.workload.kind == "trace":
        delays = [schedule_delay_s(sample) or 0.0 for sample in samples]
        if late := _late(samples, delays):
            found.append(
                f"{late:.0%} of the requests left behind their schedule, by up to "
                f"{max(delays) * 1e3:.0f} ms: the load asked for was not the load that was made. "
                "Lower the rate, or give the client more processes."
            )
    return tuple(found)


def _late(samples: Sequence[Sample], by_s: Sequence[float]) -> float:
    """The share of requests that are late, where it is too large; otherwise 0."""
    late = 0
    for sample, late_s in zip(samples, by_s, strict=True):
        whole = ttft_s(sample) or e2e_s(sample) or 0.0
        late += late_s > max(LATE_S, LATE_SHARE * whole)
    share = late / len(samples) if samples else 0.0
    return share if share > MOST_LATE else 0.0


def _span_s(samples: Sequence[Sample]) -> float | None:
    found = windows(samples)
    if not found:
        return None
    return (max(end for _, end in found) - min(begin for begin, _ in found)) / 1e9
