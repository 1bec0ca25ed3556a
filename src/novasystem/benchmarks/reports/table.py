"""The report of a terminal."""

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from novasystem.benchmarks.reports.figures import (
    HEADLINE,
    Report,
    absences,
    headline,
    problems,
    summary,
)
from novasystem.benchmarks.reports.words import gone, line

__all__ = ["as_text", "table", "terminal"]

_WIDTH = 120
_LEFT = {"Model"}


def table(report: Report) -> Table:
    """One row for each model. Cells are ``Text``: in what they hold, brackets are no markup."""
    title = line(report.benchmark.plan.name or "") if report.benchmark.plan else ""
    made = Table(
        title=Text(title) if title else None,
        title_justify="left",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
        header_style="bold",
    )
    for name in HEADLINE:
        left = name in _LEFT
        made.add_column(name.upper(), justify="left" if left else "right", no_wrap=not left)
    for row in headline(report.benchmark):
        style = "" if row.success else "red"
        made.add_row(*(Text(cell, style="dim" if cell == gone else style) for cell in row.cells))
    return made


def terminal(report: Report) -> RenderableType:
    """Table, what is wrong with it, why there are dashes, and a line about the whole."""
    parts: list[RenderableType] = [table(report)]
    for text in problems(report.benchmark):
        parts.append(Text(text, style="bold red" if text.startswith("INVALID") else "yellow"))
    parts += [Text(text, style="dim") for text in absences(report.benchmark)]
    facts = ", ".join(f"{label} {value}" for label, value in summary(report.benchmark))
    parts.append(Text(facts, style="dim"))
    return Group(*parts)


def as_text(report: Report) -> str:
    """The same without colour and control characters, for a file or a pipe."""
    console = Console(width=_WIDTH, color_system=None, force_terminal=False, legacy_windows=False)
    with console.capture() as captured:
        console.print(terminal(report), highlight=False)
    return captured.get()
