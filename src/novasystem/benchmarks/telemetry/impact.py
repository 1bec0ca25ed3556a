"""From readings to figures: what the machine did between two moments."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from novasystem.benchmarks.records import Impact
from novasystem.benchmarks.telemetry.gpu import throttle_names
from novasystem.benchmarks.telemetry.readings import GpuReading, Reading, Readings

__all__ = ["core_percent", "impact"]

_GIB = 2**30
_REST_NS = 2_000_000_000
_LEAST_REST_NS = 500_000_000
# By these a reason is looked for: the fields, and the two parts that energy is the sum of.
_NAMES = {*Impact.model_fields, "cpu_energy_j", "gpu_energy_j"}
_FIGURES = [name for name in Impact.model_fields if name not in {"absent", "sampler_cpu_s"}]
_NO_ROWS = "the machine was not looked at meanwhile"
_NO_REST = "the machine was not looked at before it began"


class _Span(NamedTuple):
    start_ns: int
    end_ns: int

    @property
    def seconds(self) -> float:
        return (self.end_ns - self.start_ns) / 1e9


def impact(
    readings: Readings,
    start_ns: int,
    end_ns: int,
    output_tokens: int | None = None,
    *,
    server: str | None = None,
    alone: bool = True,
    rest: tuple[int, int] | None = None,
) -> Impact:
    """What the machine did from ``start_ns`` to ``end_ns``, on the clock of ``readings``.

    ``server``: whose processes count, by name; ``None`` for all that were watched. ``alone``:
    whether nothing else was measured at the same time; the joules of several models cannot be told
    apart. ``rest``: when the machine was at rest, up to the two seconds before ``start_ns`` unless
    told; in a row of models that is the time before the first of them.

    - ``cpu_*``: percent of each core, from the kernel's counters at the ends of the span;
      ``cpu_delta`` = during - before, in percentage points.
    - ``memory_delta``: the highest use during less the mean before, in GiB; below zero where others
      have given back more than was taken.
    - ``server_cpu_s``, ``server_memory``: CPU seconds used within the span; the peak, in GiB.
    - ``gpu_percent``, ``gpu_power_w``: means over time, power as the sum of all GPUs;
      ``gpu_memory``: the peak of the sum, in GiB; ``gpu_temperature_c``: the peak of the hottest.
    - ``energy_j`` = joules within the span - (joules at rest / seconds at rest) x seconds of the
      span, over what can be read of processor and GPUs; ``energy_per_token_j`` that over
      ``output_tokens``.

    What is not there is in ``absent``, by field, with the reason; it is never given as zero.
    """
    rows = readings.rows
    absent = dict(readings.absent)
    span = _Span(start_ns, end_ns)
    during = _within(rows, span)
    if not during or end_ns <= start_ns:
        why = readings.absent.get("telemetry", _NO_ROWS)
        return Impact(absent=dict.fromkeys(_FIGURES, why), sampler_cpu_s=readings.sampler_cpu_s)
    quiet = _Span(*rest) if rest else _Span(max(rows[0].at_ns, start_ns - _REST_NS), start_ns)
    before = [row for row in rows if quiet.start_ns <= row.at_ns <= quiet.end_ns]
    cpu_before = core_percent(rows, *quiet) if len(before) > 1 else ()
    cpu_during = core_percent(rows, *span)
    if not cpu_during:
        absent["cpu_during"] = "the span is too short for the kernel's counters"
    if not cpu_before:
        absent["cpu_before"] = _NO_REST
    if not (cpu_before and cpu_during):
        absent["cpu_delta"] = absent.get("cpu_during", _NO_REST)
    joules = _energy(rows, span, quiet, absent)
    frequency = _mean(row.frequency_mhz for row in during)
    found = {
        "memory_delta": _memory_delta(before, during, absent),
        "energy_j": joules,
        "energy_per_token_j": _per_token(joules, output_tokens, alone, absent),
        **_server(readings, span, during, server, absent),
        **_gpu(during, absent),
    }
    return Impact(
        cpu_before=cpu_before,
        cpu_during=cpu_during,
        cpu_delta=tuple(
            round(now - then, 2) for then, now in zip(cpu_before, cpu_during, strict=False)
        ),
        cpu_frequency_mhz=frequency,
        sampler_cpu_s=readings.sampler_cpu_s,
        absent={name: why for name, why in absent.items() if name in _NAMES},
        **found,
    )


def core_percent(rows: Sequence[Reading], start_ns: int, end_ns: int) -> tuple[float, ...]:
    """Use of each core between two moments, in percent; empty where nothing can be said."""
    if len(rows) < 2:
        return ()
    found = []
    begin, end = _cores_at(rows, start_ns), _cores_at(rows, end_ns)
    for (busy_then, total_then), (busy_now, total_now) in zip(begin, end, strict=False):
        if total_now <= total_then:
            return ()
        use = 100 * (busy_now - busy_then) / (total_now - total_then)
        found.append(round(min(100.0, max(0.0, use)), 2))
    return tuple(found)


def _cores_at(rows: Sequence[Reading], at_ns: int) -> list[tuple[float, float]]:
    """Busy and total seconds of each core at one moment, evenly between the looks around it."""
    after = bisect_left(rows, at_ns, key=lambda row: row.at_ns)
    late, early = rows[min(after, len(rows) - 1)], rows[max(0, after - 1)]
    span = late.at_ns - early.at_ns
    share = min(1.0, max(0.0, (at_ns - early.at_ns) / span)) if span else 0.0
    return [
        (busy0 + (busy1 - busy0) * share, total0 + (total1 - total0) * share)
        for busy0, busy1, total0, total1 in zip(
            early.cpu_busy_s, late.cpu_busy_s, early.cpu_total_s, late.cpu_total_s, strict=False
        )
    ]


def _within(rows: Sequence[Reading], span: _Span) -> Sequence[Reading]:
    """The rows of a span; of one that lies between two looks, the look after it."""
    times = [row.at_ns for row in rows]
    first, last = bisect_left(times, span.start_ns), bisect_right(times, span.end_ns)
    return rows[first:last] or rows[last : last + 1]


def _grown(
    rows: Sequence[Reading], start_ns: int, end_ns: int, counter: Callable[[Reading], float | None]
) -> float | None:
    """How much a counter grew between two moments, evenly between the looks around each."""
    known = [(row.at_ns, value) for row in rows if (value := counter(row)) is not None]
    if len(known) < 2:
        return None
    return _at(known, end_ns) - _at(known, start_ns)


def _grown_from_zero(
    rows: Sequence[Reading], start_ns: int, end_ns: int, counter: Callable[[Reading], float | None]
) -> float | None:
    """The same for a counter that stood at 0 until it was first seen."""
    known: list[tuple[int, float]] = []
    before_ns = None
    for row in rows:
        value = counter(row)
        if value is not None:
            if not known and before_ns is not None:
                known.append((before_ns, 0.0))
            known.append((row.at_ns, value))
        before_ns = row.at_ns
    if len(known) < 2:
        return None
    return _at(known, end_ns) - _at(known, start_ns)


def _at(known: Sequence[tuple[int, float]], at_ns: int) -> float:
    after = bisect_left(known, (at_ns, float("-inf")))
    if after == 0:
        return known[0][1]
    if after == len(known):
        return known[-1][1]
    (t0, v0), (t1, v1) = known[after - 1], known[after]
    return v0 + (v1 - v0) * (at_ns - t0) / (t1 - t0)


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(sum(known) / len(known), 3) if known else None


def _memory_delta(
    before: Sequence[Reading], during: Sequence[Reading], absent: dict[str, str]
) -> float | None:
    if not before:
        absent["memory_delta"] = _NO_REST
        return None
    usual = sum(row.memory_bytes for row in before) / len(before)
    return (max(row.memory_bytes for row in during) - usual) / _GIB


def _server(
    readings: Readings,
    span: _Span,
    during: Sequence[Reading],
    server: str | None,
    absent: dict[str, str],
) -> dict[str, float | None]:
    names = readings.servers if server is None else (server,)
    places = [at for at, name in enumerate(readings.servers) if name in names]
    peaks = []
    used = []
    for place in places:
        seen = [found for row in during if (found := row.servers[place]) is not None]
        peaks.append(max((found.memory_bytes for found in seen), default=None))
        used.append(
            _grown_from_zero(
                readings.rows,
                *span,
                lambda row, place=place: getattr(row.servers[place], "cpu_s", None),  # type: ignore[misc]
            )
        )
    memory = [peak for peak in peaks if peak is not None]
    cpu_s = [each for each in used if each is not None]
    reasons = [absent[key] for name in names if (key := f"server.{name}") in absent]
    why = "; ".join(reasons) or "no process of the model server was watched"
    if not memory:
        absent["server_memory"] = why
    if not cpu_s:
        absent["server_cpu_s"] = why
    return {
        "server_memory": sum(memory) / _GIB if memory else None,
        "server_cpu_s": round(sum(cpu_s), 4) if cpu_s else None,
    }


def _gpu(during: Sequence[Reading], absent: dict[str, str]) -> dict[str, object]:
    looks = [row.gpus for row in during if row.gpus]
    if not looks:
        for name in ("gpu_percent", "gpu_memory", "gpu_power_w", "gpu_temperature_c"):
            absent[name] = absent.get("gpu", "no GPU was looked at")
        return {}

    def sums(figure: Callable[[GpuReading], float | None]) -> list[float]:
        told = [[value for gpu in look if (value := figure(gpu)) is not None] for look in looks]
        return [sum(values) for values in told if values]

    memory = sums(lambda gpu: gpu.memory_bytes)
    throttle = 0
    for gpu in (gpu for look in looks for gpu in look):
        throttle |= gpu.throttle
    degrees = [gpu.temperature_c for look in looks for gpu in look if gpu.temperature_c is not None]
    found = {
        "gpu_percent": _mean(gpu.percent for look in looks for gpu in look),
        "gpu_memory": max(memory) / _GIB if memory else None,
        "gpu_power_w": _mean(sums(lambda gpu: gpu.power_w)),
        "gpu_temperature_c": max(degrees, default=None),
    }
    for name, value in found.items():
        if value is None:
            absent.setdefault(name, "the GPU does not say")
    return {**found, "gpu_throttled": throttle_names(throttle)}


def _energy(
    rows: Sequence[Reading], span: _Span, quiet: _Span, absent: dict[str, str]
) -> float | None:
    counters: list[Callable[[Reading], float | None]] = [lambda row: row.cpu_energy_j]
    for number in range(max(len(row.gpus) for row in rows)):
        counters.append(lambda row, number=number: row.gpus[number].energy_j)  # type: ignore[misc]
    spent = [(counter, _grown(rows, *span, counter)) for counter in counters]
    told = [(counter, joules) for counter, joules in spent if joules is not None]
    if told and spent[0][1] is not None and "gpu" in absent:
        absent["gpu_energy_j"] = absent["gpu"]
    elif told and len(told) < len(spent):
        absent.setdefault("gpu_energy_j", "not every GPU says what it takes")
    if not told:
        reasons = [absent[name] for name in ("cpu_energy_j", "gpu") if name in absent]
        absent["energy_j"] = "; ".join(reasons) or "no counter of joules can be read"
        return None
    # Only the part of it that was really looked at: before the first row counters do not grow.
    seen = _Span(max(quiet.start_ns, rows[0].at_ns), min(quiet.end_ns, rows[-1].at_ns))
    if seen.end_ns - seen.start_ns < _LEAST_REST_NS:
        absent["energy_j"] = "the machine at rest was not seen for half a second, nor its power"
        return None
    at_rest_w = sum(_grown(rows, *seen, counter) or 0.0 for counter, _ in told) / seen.seconds
    joules = sum(each for _, each in told) - at_rest_w * span.seconds
    if joules <= 0:
        absent["energy_j"] = "no more was spent than at rest: too little to be told apart"
        return None
    return round(joules, 4)


def _per_token(
    joules: float | None, output_tokens: int | None, alone: bool, absent: dict[str, str]
) -> float | None:
    if joules is None:
        absent["energy_per_token_j"] = absent["energy_j"]
    elif not output_tokens:
        absent["energy_per_token_j"] = "no output tokens were counted"
    elif not alone:
        absent["energy_per_token_j"] = (
            "others were measured at the same time, and joules cannot be told apart"
        )
    else:
        return joules / output_tokens
    return None
