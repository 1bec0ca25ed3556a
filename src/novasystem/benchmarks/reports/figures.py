"""What every report shows of a benchmark, worked out once: rows, their gaps, and why they gape."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from novasystem.benchmarks.records import Benchmark, Distribution, Impact, Result, Timing
from novasystem.benchmarks.reports.words import count, gib, gone, line, rate, seconds, share, when
from novasystem.benchmarks.samples import Sample
from novasystem.benchmarks.telemetry.readings import Readings

__all__ = [
    "HEADLINE",
    "Report",
    "Row",
    "absences",
    "checks",
    "distributions",
    "environment",
    "headline",
    "impact",
    "problems",
    "summary",
    "throughput",
]

_P95_NEEDS = 20


@dataclass(frozen=True, slots=True)
class Report:
    """All that a report is made from. ``readings``: on the clock of the samples."""

    benchmark: Benchmark
    samples: Sequence[Sample] = ()
    readings: Readings | None = field(default=None)


class Row(NamedTuple):
    """``cells`` under the headings of :data:`HEADLINE`; ``why``: by heading, why one is a dash."""

    cells: tuple[str, ...]
    why: dict[str, str]
    success: bool


HEADLINE = ("Model", "TTFT", "TTFT p95", "Tokens/s", "Total", "Requests", "Failed", "Checks")


def headline(benchmark: Benchmark) -> list[Row]:
    """One row for each model, and one more for each further phase of it: cold and warm requests
    share no figure. The figures of a benchmark whose client lagged bear a ``?``."""
    mark = "" if benchmark.summary.valid else " ?"
    phases = benchmark.plan.phases if benchmark.plan else ()
    rows = []
    for result in benchmark.results:
        others = [phase for phase in phases if f"e2e_s@{phase}" in result.metrics]
        main = next((phase for phase in ("warm", *phases) if phase not in others), "")
        rows.append(_row(result, "", main if others else "", mark))
        rows += [_row(result, f"@{phase}", phase, mark) for phase in others]
    return rows


def _row(result: Result, suffix: str, phase: str, mark: str) -> Row:
    """``suffix``: of the metrics' names; the main phase has none, and the counts of all."""
    ttft, total = (result.metrics.get(f"{name}{suffix}") for name in ("ttft_s", "e2e_s"))
    pace = result.metrics.get(f"output_tokens_per_s{suffix}")
    timing = Timing() if suffix else result.timing
    shown = {
        "TTFT": _mean(ttft, timing.time_to_first_token),
        "TTFT p95": seconds(ttft.p95 if ttft else None),
        "Tokens/s": rate(pace.mean if pace else None),
        "Total": _mean(total, timing.total_time),
    }
    marked = {name: text if text == gone else text + mark for name, text in shown.items()}
    passed = sum(check.passed for check in result.checks)
    made = passed + sum(check.failed for check in result.checks)
    name = line(result.model, 60)
    counts = (
        count(result.requests),
        count(result.failed),
        f"{passed}/{made}" if made else gone,
    )
    cells = (
        f"{name} ({phase})" if phase else name,
        *marked.values(),
        *(("", "", "") if suffix else counts),
    )
    why = {name: _why(result, name, ttft) for name, text in shown.items() if text == gone}
    if not suffix and not made and result.checks:
        why["Checks"] = "no answer could be checked"
    return Row(cells, why, result.success)


def _mean(found: Distribution | None, single: float | None) -> str:
    """A mean with its confidence interval, where there are several."""
    if found is None:
        return seconds(single)
    if found.ci_low is None or found.ci_high is None:
        return seconds(found.mean)
    half = (found.ci_high - found.ci_low) / 2
    return f"{seconds(found.mean)} ± {seconds(half)}"


def _why(result: Result, name: str, ttft: Distribution | None) -> str:
    if not result.success or not result.requests - result.failed:
        return "none of its requests succeeded"
    if name == "TTFT p95":
        seen = ttft.n if ttft else 1
        return f"a 95th percentile needs {_P95_NEEDS} requests, and {seen} succeeded"
    if name == "Tokens/s":
        return "the engine counts no tokens, or the answers came in one piece"
    return "the answers had no content"


def absences(benchmark: Benchmark) -> list[str]:
    """What the figures are to be read with, and why a dash stands in the headline: sentences."""
    notes = list(benchmark.notes)
    notes += [f"{result.model}: {note}" for result in benchmark.results for note in result.notes]
    found: dict[tuple[str, str], list[str]] = {}
    for row in headline(benchmark):
        for name, reason in row.why.items():
            found.setdefault((row.cells[0], reason), []).append(name)
    gaps = [
        f"No {', '.join(names)} of {model}: {reason}." for (model, reason), names in found.items()
    ]
    return [*map(line, notes), *gaps]


def problems(benchmark: Benchmark) -> list[str]:
    """What is wrong with it: of the whole first, then of each model."""
    summary = benchmark.summary
    found = []
    if not summary.valid:
        reasons = "; ".join(summary.invalid_because) or "the client did not keep up"
        found.append(f"INVALID, these figures say more of the client than of the models: {reasons}")
    if benchmark.status != "completed":
        found.append(f"This benchmark is {benchmark.status}: what had arrived is shown.")
    if benchmark.error is not None:
        found.append(f"{benchmark.error.message} {benchmark.error.hint}")
    for result in benchmark.results:
        if result.error is not None:
            found.append(f"{result.model}: {result.error.message} {result.error.hint}")
        for code, times in result.errors.items():
            found.append(f"{result.model}: {count(times)} of {count(result.requests)} {code}")
    return [line(text) for text in found]


def checks(result: Result) -> list[tuple[str, str, str, str]]:
    """Check, passed, failed, the first failures."""
    return [
        (
            line(each.check, 200),
            count(each.passed),
            count(each.failed),
            line("; ".join(each.failures), 400),
        )
        for each in result.checks
    ]


def distributions(result: Result) -> list[tuple[str, ...]]:
    """Metric, n, mean, 95 % interval of the mean, p50, p90, p95, p99, least, most."""
    rows = []
    for name, found in result.metrics.items():
        # What follows the @ tells of which requests it is.
        plain_name = name.partition("@")[0]
        is_time = plain_name.endswith("_s") and not plain_name.endswith("_per_s")
        show = seconds if is_time else rate
        interval = gone
        if found.ci_low is not None and found.ci_high is not None:
            interval = f"{show(found.ci_low)} to {show(found.ci_high)}"
        percentiles = (found.p50, found.p90, found.p95, found.p99)
        rows.append(
            (
                line(name, 60),
                count(found.n),
                show(found.mean),
                interval,
                *(show(value) for value in (*percentiles, found.min, found.max)),
            )
        )
    return rows


def throughput(result: Result) -> list[tuple[str, str]]:
    """Label and value: what came in all, and how fast; what is not known is left out."""
    found, tokens, timing = result.throughput, result.tokens, result.timing
    shown = {
        "Time to first chunk": seconds(timing.time_to_first_chunk),
        "Time to first token": seconds(timing.time_to_first_token),
        "Total time": seconds(timing.total_time),
        "Output tokens per second, all requests together": rate(found.output_tokens_per_second),
        "Prompt tokens per second, as the server says": rate(found.prefill_tokens_per_second),
        "Output tokens per second, as the server says": rate(found.decode_tokens_per_second),
        "Requests per second that met their objectives": rate(result.goodput_per_s),
        "Prompt tokens": count(tokens.prompt),
        "of these from a cache": count(tokens.cached),
        "Output tokens": count(tokens.completion),
        "of these reasoning": count(tokens.reasoning),
        "Chunks": count(found.total_chunks),
        "Bytes": count(found.total_bytes),
    }
    return [(label, text) for label, text in shown.items() if text not in {gone, "0"}]


def impact(found: Impact) -> list[tuple[str, str, str]]:
    """Figure, value, and where that is a dash, why."""
    cores = "  ".join(f"{use:.0f} %" for use in found.cpu_during[:64]) or gone
    deltas = "  ".join(f"{delta:+.0f}" for delta in found.cpu_delta[:64]) or gone
    shown = {
        "cpu_during": ("CPU, each core", cores),
        "cpu_delta": ("CPU beyond before, percentage points", deltas),
        "cpu_frequency_mhz": ("CPU frequency", rate(found.cpu_frequency_mhz, " MHz")),
        "memory_delta": ("Memory beyond before, peak", gib(found.memory_delta)),
        "server_memory": ("Model server's memory, peak", gib(found.server_memory)),
        "server_cpu_s": ("Model server's CPU time", seconds(found.server_cpu_s)),
        "gpu_percent": ("GPU", rate(found.gpu_percent, " %")),
        "gpu_memory": ("GPU memory, peak", gib(found.gpu_memory)),
        "gpu_power_w": ("GPU power", rate(found.gpu_power_w, " W")),
        "gpu_temperature_c": ("GPU temperature, peak", rate(found.gpu_temperature_c, " °C")),
        "energy_j": ("Energy beyond rest", rate(found.energy_j, " J")),
        "energy_per_token_j": ("Energy per token", rate(found.energy_per_token_j, " J")),
        "sampler_cpu_s": ("CPU time of looking at it", seconds(found.sampler_cpu_s)),
    }
    rows = [
        (label, text, line(found.absent.get(name, "not measured")) if text == gone else "")
        for name, (label, text) in shown.items()
    ]
    if found.gpu_throttled:
        rows.append(("GPU held down by", line(", ".join(found.gpu_throttled)), ""))
    return rows


def summary(benchmark: Benchmark) -> Iterator[tuple[str, str]]:
    """Label and value; what was not found out is left out."""
    found = benchmark.summary
    yield "Benchmark", line(benchmark.id)
    yield "Asked for", when(benchmark.timestamp)
    yield "Status", benchmark.status
    yield "Mode", benchmark.mode
    if benchmark.plan is not None:
        plan = benchmark.plan
        what = (plan.workload.kind, plan.load.kind, *plan.phases, f"{plan.repetitions} times")
        yield "Plan", ", ".join(what)
    figures = {
        "Wall time": seconds(found.wall_s),
        "Mean of the models' times": seconds(found.average_model_time),
        "Sum of the models' times": seconds(found.total_model_time),
        "Parallel speed-up": rate(found.parallel_speedup),
        "Efficiency": share(found.efficiency_ratio),
        "Overhead": seconds(found.overhead_s),
        "Client's CPU time": seconds(found.client_cpu_s),
        "Client's lag, most": seconds(found.client_lag_s),
        "Delay behind the schedule": seconds(found.schedule_delay_s),
    }
    yield from ((label, text) for label, text in figures.items() if text != gone)


def environment(benchmark: Benchmark) -> Iterator[tuple[str, str]]:
    """Label and value: the machine, then each model; what is unknown is a dash."""
    system = benchmark.system_info
    if system is not None:
        cpu, memory = system.cpu, system.memory
        yield "Platform", line(system.platform)
        yield "Processor", line(system.processor)
        yield "Cores", f"{cpu.physical_cores or gone} physical, {cpu.total_cores} in all"
        yield "CPU frequency", rate(cpu.current_frequency, " MHz")
        yield "CPU governor", line(cpu.governor or gone)
        yield "Memory", f"{gib(memory.total)}, {gib(memory.available)} of it free"
        for gpu in system.gpu:
            yield "GPU", line(f"{gpu.name}, {gib(gpu.memory_total)}, driver {gpu.driver or gone}")
        yield (
            "Versions",
            line(f"NovaSystem {system.novasystem_version}, Python {system.python_version}"),
        )
    for model in benchmark.environment.models:
        facts = {
            "engine": f"{model.engine} ({model.engine_version or model.engine_kind})",
            "at": model.address,
            "quantization": model.quantization,
            "parameters": model.parameters,
            "context": None if model.context_tokens is None else f"{model.context_tokens:,} tokens",
            "threads": model.threads,
            "digest": model.digest,
        }
        told = ", ".join(f"{name} {value or gone}" for name, value in facts.items())
        yield line(model.model), line(told)
