"""The report as Markdown, for a page or a pull request."""

import re
from collections.abc import Iterable, Sequence

from novasystem.benchmarks.reports import figures
from novasystem.benchmarks.reports.figures import HEADLINE, Report
from novasystem.benchmarks.reports.words import gone, line, plain

__all__ = ["as_markdown"]

_MOST_CHARS = 4000
# What begins something in CommonMark or GitHub's tables; behind a backslash each is itself.
_SPECIAL = re.compile(r"([\\`*_{}\[\]()#!|~$^@]|:(?=//)|(?<=www)\.)")


def as_markdown(report: Report) -> str:
    benchmark = report.benchmark
    name = benchmark.plan.name if benchmark.plan and benchmark.plan.name else benchmark.id
    parts = [f"# Benchmark {_text(name)}"]
    parts += [f"> **{_text(problem)}**" for problem in figures.problems(benchmark)]
    parts.append(_table(HEADLINE, (row.cells for row in figures.headline(benchmark))))
    if gaps := figures.absences(benchmark):
        parts.append("\n".join(f"- {_text(reason)}" for reason in gaps))
    parts.append(_table(("Of the whole", ""), figures.summary(benchmark)))
    if benchmark.prompt is not None:
        parts += ["## Prompt", _fenced(benchmark.prompt)]
    for result in benchmark.results:
        parts.append(f"## {_text(result.model)}")
        if result.metrics:
            parts.append(_table(_DISTRIBUTION, figures.distributions(result)))
        if facts := figures.throughput(result):
            parts.append(_table(("In all", ""), facts))
        if result.checks:
            parts.append(_table(_CHECKS, figures.checks(result)))
        parts.append(
            _table(("The machine meanwhile", "", ""), figures.impact(result.system_impact))
        )
        if result.response:
            parts += ["Its last answer:", _fenced(result.response)]
    parts += ["## Environment", _table(("", ""), figures.environment(benchmark))]
    return "\n\n".join(parts) + "\n"


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
_CHECKS = ("Check", "Passed", "Failed", "First failures")


def _text(value: str) -> str:
    """One line in which nothing is markup, an element or a link."""
    text = line(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", text)


def _cell(value: str) -> str:
    return value if value == gone else _text(value)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(_text(head) for head in heads) + " |", "|" + " --- |" * len(heads)]
    lines += ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _fenced(value: str) -> str:
    """As it is, in a fence longer than any row of backticks in it."""
    text = plain(value)
    if len(text) > _MOST_CHARS:
        text = f"{text[:_MOST_CHARS]}… ({len(text) - _MOST_CHARS:,} characters more)"
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"
