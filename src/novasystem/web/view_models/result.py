"""What came of one benchmark: table, charts, the figures of its mode, answers, checks, machine."""

from collections.abc import Sequence
from dataclasses import dataclass

from novasystem.benchmarks.records import Benchmark, Result
from novasystem.benchmarks.reports import figures
from novasystem.benchmarks.reports.drawn import charts
from novasystem.benchmarks.reports.figures import HEADLINE, Report
from novasystem.benchmarks.reports.words import line, plain, rate, seconds, share
from novasystem.benchmarks.samples import Sample
from novasystem.benchmarks.telemetry.readings import Readings
from novasystem.web.markdown import render_markdown
from novasystem.web.view_models.words import Badge, Moment, mode_badge, status_badge

__all__ = ["ResultView", "result_view"]

_MOST_CHARS = 20_000
_EXPORTS = (
    ("JSON", "json"),
    ("CSV", "csv"),
    ("Samples as CSV", "samples"),
    ("Markdown", "markdown"),
    ("HTML", "html"),
)
_DISTRIBUTION = (
    "Metric", "n", "Mean", "95 % interval", "p50", "p90", "p95", "p99", "Least", "Most",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tile:
    name: str
    value: str
    hint: str


@dataclass(frozen=True, slots=True)
class Table:
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class ModelView:
    """``answer``: HTML that went through the sanitiser; ``cut``: how much of it is not shown."""

    name: str
    answer: str
    cut: str
    error: str
    checks: Table | None
    distributions: Table | None
    facts: tuple[tuple[str, str], ...]
    impact: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class ResultView:
    id: str
    title: str
    prompt: str
    at: Moment
    status: Badge
    mode: Badge
    mode_hint: str
    going: bool
    problems: tuple[str, ...]
    table: Table
    absences: tuple[str, ...]
    tiles: tuple[Tile, ...]
    tiles_hint: str
    charts: tuple[str, ...]
    has_readings: bool
    models: tuple[ModelView, ...]
    summary: tuple[tuple[str, str], ...]
    environment: tuple[tuple[str, str], ...]
    plan: str
    exports: tuple[tuple[str, str], ...]


def result_view(
    benchmark: Benchmark, samples: Sequence[Sample], readings: Readings | None
) -> ResultView:
    """It computes without a pause: call it in a thread."""
    report = Report(benchmark, samples, readings)
    plan = benchmark.plan
    name = plan.name if plan is not None else None
    mode = mode_badge(benchmark.mode)
    return ResultView(
        id=benchmark.id,
        title=line(name or benchmark.prompt or benchmark.id, 120),
        prompt=plain(benchmark.prompt or ""),
        at=Moment.of(benchmark.timestamp),
        status=status_badge(benchmark.status),
        mode=mode,
        mode_hint=mode.hint,
        going=benchmark.status in {"queued", "running"},
        problems=tuple(figures.problems(benchmark)),
        table=Table(HEADLINE, tuple(row.cells for row in figures.headline(benchmark))),
        absences=tuple(figures.absences(benchmark)),
        tiles=_tiles(benchmark),
        tiles_hint=""
        if benchmark.mode == "parallel"
        else "A sequential benchmark has no parallel speed-up and no efficiency.",
        charts=tuple(charts(report)),
        has_readings=readings is not None,
        models=tuple(map(_model, benchmark.results)),
        summary=tuple(figures.summary(benchmark)),
        environment=tuple(figures.environment(benchmark)),
        plan="" if plan is None else plain(plan.model_dump_json(indent=2, exclude_defaults=True)),
        exports=_EXPORTS,
    )


def _tiles(benchmark: Benchmark) -> tuple[Tile, ...]:
    found = benchmark.summary
    made = [
        (
            "Parallel speed-up",
            "" if found.parallel_speedup is None else f"{rate(found.parallel_speedup)} times",
            "sum of the models' times / wall time",
        ),
        (
            "Efficiency",
            "" if found.efficiency_ratio is None else share(found.efficiency_ratio),
            "speed-up / number of models",
        ),
        (
            "Average model time",
            "" if found.average_model_time is None else seconds(found.average_model_time),
            "mean of the models' times",
        ),
        (
            "Total model time",
            "" if found.total_model_time is None else seconds(found.total_model_time),
            "sum of the models' times",
        ),
        (
            "Wall time",
            "" if found.wall_s is None else seconds(found.wall_s),
            "from the first request to the last answer",
        ),
        (
            "Overhead",
            "" if found.overhead_s is None else seconds(found.overhead_s),
            "wall time in which no model was at work",
        ),
    ]
    return tuple(Tile(*one) for one in made if one[1])


def _model(result: Result) -> ModelView:
    text = plain(result.response)
    error = "" if result.error is None else f"{result.error.message} {result.error.hint}".strip()
    checks = figures.checks(result)
    distributions = figures.distributions(result)
    left = len(text) - _MOST_CHARS
    return ModelView(
        name=line(result.model, 120),
        answer=render_markdown(text[:_MOST_CHARS]),
        cut=f"{left:,} characters more are in the export." if left > 0 else "",
        error=error,
        checks=Table(("Check", "Passed", "Failed", "First failures"), tuple(checks))
        if checks
        else None,
        distributions=Table(_DISTRIBUTION, tuple(distributions)) if distributions else None,
        facts=tuple(figures.throughput(result)),
        impact=tuple(figures.impact(result.system_impact)),
    )
