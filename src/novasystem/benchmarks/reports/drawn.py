"""Which charts a report has, and from which figures."""

import re
from collections.abc import Callable, Iterator, Sequence
from statistics import fmean

from novasystem.benchmarks.metrics import e2e_s, load_s, measured, residual_s, ttft_s
from novasystem.benchmarks.reports.charts import Bar, Line, bars, lines
from novasystem.benchmarks.reports.figures import Report
from novasystem.benchmarks.samples import Sample
from novasystem.benchmarks.telemetry.impact import core_percent
from novasystem.benchmarks.telemetry.readings import Reading

__all__ = ["charts"]

_BINS = 80
_GIB = 2**30
_MAX_LINES = 8
_SPAN_NS = 500_000_000
_STEP = re.compile(r"ttft_s@([0-9.e+-]+)/s")


def charts(report: Report) -> Iterator[str]:
    """Each as a ``<figure>``; those without anything to draw are left out."""
    models = _by_model(report)
    made = [
        _spread("Time to first token: share of requests at most so long", models, ttft_s),
        _spread("End-to-end latency: share of requests at most so long", models, e2e_s),
        _knee(report),
        _split(models),
        _tokens(models),
        *_machine(report),
    ]
    yield from (chart for chart in made if chart)


def _by_model(report: Report) -> dict[str, list[Sample]]:
    """The samples of each model; where it has several phases, of each of these, since cold and
    warm requests belong in no line together."""
    good = measured(report.samples)
    found: dict[str, list[Sample]] = {}
    for result in report.benchmark.results:
        own = [sample for sample in good if sample.model == result.model]
        phases = list(dict.fromkeys(sample.phase for sample in own))
        for phase in phases:
            name = result.model if len(phases) == 1 else f"{result.model} ({phase})"
            found[name] = [sample for sample in own if sample.phase == phase]
    return dict(list(found.items())[:_MAX_LINES])


def _knee(report: Report) -> str:
    """Of a sweep: latency over the rate that was asked for."""
    drawn = []
    for series, result in enumerate(report.benchmark.results[:_MAX_LINES]):
        steps = []
        for name, found in result.metrics.items():
            if (step := _STEP.fullmatch(name)) is not None:
                steps.append((float(step[1]), found.mean, found.p95))
        steps.sort(key=lambda step: step[0])
        means = [(at, mean) for at, mean, _ in steps]
        high = [(at, p95) for at, _, p95 in steps if p95 is not None]
        drawn.append(Line(f"{result.model}, mean", means, series))
        drawn.append(Line(f"{result.model}, p95 (dashed)", high, series, dashed=True))
    return lines("Time to first token by requests a second", drawn, x="", y="s")


def _spread(
    title: str, models: dict[str, list[Sample]], metric: Callable[[Sample], float | None]
) -> str:
    """The distribution function: at each latency the share of requests that took no longer."""
    drawn = []
    for series, (name, samples) in enumerate(models.items()):
        taken = sorted(value for sample in samples if (value := metric(sample)) is not None)
        if not taken:
            continue
        points = [(taken[0], 0.0)]
        points += [(value, (at + 1) / len(taken)) for at, value in enumerate(taken)]
        drawn.append(Line(f"{name} ({len(taken)})", points, series, steps=True))
    return lines(title, drawn, x="s", y="%")


def _split(models: dict[str, list[Sample]]) -> str:
    """Means, which add up as medians do not: load, prompt and rest are the time to first token."""
    drawn = []
    for name, samples in models.items():
        told = [sample for sample in samples if residual_s(sample) is not None]
        if told:
            load = fmean(load_s(sample) or 0.0 for sample in told)
            rest = fmean(residual_s(sample) or 0.0 for sample in told)
            first = fmean(ttft_s(sample) or 0.0 for sample in told)
            begin = [
                ("loading the model", load, 3),
                ("evaluating the prompt", first - load - rest, 0),
                ("residual: queue, network, client", rest, 2),
            ]
        else:
            told = [sample for sample in samples if ttft_s(sample) is not None]
            if not told:
                continue
            first = fmean(ttft_s(sample) or 0.0 for sample in told)
            begin = [("time to first token, not told apart", first, 4)]
        decode = fmean((e2e_s(sample) or 0.0) - (ttft_s(sample) or 0.0) for sample in told)
        drawn.append(Bar(name, [*begin, ("generating", decode, 1)]))
    return bars("Where the time of a request goes (means)", drawn)


def _tokens(models: dict[str, list[Sample]]) -> str:
    """Output tokens a second over the benchmark. A read's tokens are its share of the characters
    of its answer, since engines count whole answers only."""
    arrivals: dict[str, list[tuple[int, float]]] = {}
    for name, samples in models.items():
        arrivals[name] = [
            (arrival.at_ns, arrival.chars / chars * tokens)
            for sample in samples
            if (tokens := sample.completion_tokens)
            and (chars := sum(each.chars for each in sample.arrivals))
            for arrival in sample.arrivals
        ]
    times = [at for each in arrivals.values() for at, _ in each]
    if len(times) < 2 or max(times) == min(times):
        return ""
    begin, width = min(times), (max(times) - min(times)) / _BINS
    drawn = []
    for series, (name, found) in enumerate(arrivals.items()):
        if not found:
            continue
        bins = [0.0] * _BINS
        for at, produced in found:
            bins[min(_BINS - 1, int((at - begin) / width))] += produced
        points = [
            ((begin + number * width) / 1e9, each / (width / 1e9))
            for number, each in enumerate(bins)
        ]
        drawn.append(Line(name, points, series, steps=True))
    return lines("Output tokens a second", drawn, x="s", y="")


def _machine(report: Report) -> Iterator[str]:
    """From the readings: CPU, memory, and where there are any, GPUs."""
    if report.readings is None or len(report.readings.rows) < 2:
        return
    rows, servers = report.readings.rows, report.readings.servers

    def over(value: Callable[[Reading], float | None]) -> list[tuple[float, float]]:
        found = ((row.at_ns / 1e9, value(row)) for row in rows)
        return [(at, each) for at, each in found if each is not None]

    busy = [Line("all cores", _cores(rows), 0)]
    held = [Line("in use, whole machine", over(lambda row: row.memory_bytes / _GIB), 0)]
    for place, name in enumerate(servers):
        used = over(lambda row, place=place: getattr(row.servers[place], "cpu_s", None))  # type: ignore[misc]
        busy.append(Line(f"server {name}", _slopes(used), place + 1))
        resident = over(lambda row, place=place: _resident(row, place))  # type: ignore[misc]
        held.append(Line(f"server {name}", resident, place + 1))
    yield lines("CPU: cores in use", busy, x="s", y="")
    yield lines("Memory, GiB", held, x="s", y="")
    cards = range(max(len(row.gpus) for row in rows))
    use = [
        Line(f"GPU {card}", over(lambda row, card=card: row.gpus[card].percent), card)  # type: ignore[misc]
        for card in cards
    ]
    power = [
        Line(f"GPU {card}", over(lambda row, card=card: row.gpus[card].power_w), card)  # type: ignore[misc]
        for card in cards
    ]
    yield lines("GPU, percent", use, x="s", y="")
    yield lines("GPU power, W", power, x="s", y="")


def _resident(row: Reading, place: int) -> float | None:
    server = row.servers[place]
    return None if server is None else server.memory_bytes / _GIB


def _cores(rows: Sequence[Reading]) -> list[tuple[float, float]]:
    """Cores in use, over spans of half a second at least, as in :func:`_slopes`."""
    points = []
    last = rows[0]
    for row in rows[1:]:
        if row.at_ns - last.at_ns >= _SPAN_NS:
            use = core_percent((last, row), last.at_ns, row.at_ns)
            points.append((row.at_ns / 1e9, sum(use) / 100))
            last = row
    return points


def _slopes(counter: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Growth of a counter a second, over spans of half a second at least: the kernel counts in
    hundredths, which at ten looks a second would show as noise."""
    points = []
    last = 0
    for at in range(1, len(counter)):
        span = counter[at][0] - counter[last][0]
        if span >= _SPAN_NS / 1e9:
            points.append((counter[at][0], max(0.0, counter[at][1] - counter[last][1]) / span))
            last = at
    return points
