"""The report as one HTML file that needs nothing else: no script, no address, light and dark."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from html import escape
from importlib import resources

from novasystem.benchmarks.records import Result
from novasystem.benchmarks.reports import figures
from novasystem.benchmarks.reports.drawn import charts
from novasystem.benchmarks.reports.figures import HEADLINE, Report
from novasystem.benchmarks.reports.words import line, plain

__all__ = ["as_html"]

_MOST_CHARS = 20_000
# Nothing is loaded and nothing runs, whatever may have got into the page.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_DISTRIBUTION = (
    "Metric",
    "n",
    "Mean",
    "95 % interval",
    "p50",
    "p90",
    "p95",
    "p99",
    "Least",
    "Most",
)


def as_html(report: Report) -> str:
    benchmark = report.benchmark
    name = line(benchmark.plan.name if benchmark.plan and benchmark.plan.name else benchmark.id)
    return "".join(
        [
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="referrer" content="no-referrer">',
            f"<title>Benchmark {escape(name)}</title><style>{_style()}</style></head><body>",
            f"<h1>Benchmark {escape(name)}</h1>",
            *_body(report),
            "</body></html>\n",
        ]
    )


def _body(report: Report) -> Iterator[str]:
    benchmark = report.benchmark
    for problem in figures.problems(benchmark):
        yield f'<p class="problem">{escape(problem)}</p>'
    yield _table(HEADLINE, (row.cells for row in figures.headline(benchmark)), numbers=True)
    for reason in figures.absences(benchmark):
        yield f'<p class="quiet">{escape(reason)}</p>'
    yield from _drawn(report)
    yield "<h2>Of the whole</h2>"
    yield _table((), figures.summary(benchmark))
    if benchmark.prompt is not None:
        yield f"<h2>Prompt</h2>{_text(benchmark.prompt)}"
    for result in benchmark.results:
        yield from _model(result)
    yield "<h2>Environment</h2>"
    yield _table((), figures.environment(benchmark))
    if benchmark.plan is not None:
        plan = benchmark.plan.model_dump_json(indent=2, exclude_defaults=True)
        yield f"<h2>Plan</h2><details><summary>As JSON</summary>{_text(plan)}</details>"


def _drawn(report: Report) -> Iterator[str]:
    made = list(charts(report))
    if made:
        yield f'<h2>Charts</h2><div class="charts">{"".join(made)}</div>'
    else:
        yield '<p class="quiet">There are no samples to draw charts from.</p>'
    if report.readings is None:
        yield '<p class="quiet">What the machine did over time was not kept.</p>'


def _model(result: Result) -> Iterator[str]:
    yield f"<h2>{escape(line(result.model))}</h2>"
    if result.metrics:
        yield _table(_DISTRIBUTION, figures.distributions(result), numbers=True)
    if facts := figures.throughput(result):
        yield "<h3>In all</h3>"
        yield _table((), facts)
    if result.checks:
        yield "<h3>Checks</h3>"
        yield _table(("Check", "Passed", "Failed", "First failures"), figures.checks(result))
    yield "<h3>The machine meanwhile</h3>"
    yield _table((), figures.impact(result.system_impact))
    if result.response:
        yield f"<h3>Its last answer</h3>{_text(result.response)}"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: bool = False) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    top = f"<thead><tr>{head}</tr></thead>" if heads else ""
    kind = ' class="numbers"' if numbers else ""
    return f'<div class="wide"><table{kind}>{top}<tbody>{body}</tbody></table></div>'


def _text(value: str) -> str:
    text = plain(value)
    if len(text) > _MOST_CHARS:
        text = f"{text[:_MOST_CHARS]}… ({len(text) - _MOST_CHARS:,} characters more)"
    return f"<pre>{escape(text)}</pre>"


@cache
def _style() -> str:
    return (resources.files("novasystem.benchmarks.reports") / "page.css").read_text("utf-8")
