"""What a figure consists of, and how it is shown: a table on the terminal, JSON in a file."""

import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

__all__ = ["Check", "Figure", "Row", "machine", "show", "write"]


@dataclass(frozen=True)
class Row:
    """One contestant's values, one a round. ``ratio``: to the yardstick, the median of the
    ratios within each round, so that a machine that slows down slows both."""

    name: str
    values: list[float]
    ratio: float | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.values)


@dataclass(frozen=True)
class Check:
    """A limit. One that is not ``enforced`` is shown and fails nothing, as it is a time on the
    wall, or needs a machine that is as fast as the one the limit was set on."""

    what: str
    value: float
    limit: float
    unit: str
    at_most: bool = True
    enforced: bool = True

    @property
    def met(self) -> bool:
        return self.value <= self.limit if self.at_most else self.value >= self.limit

    @property
    def failed(self) -> bool:
        return self.enforced and not self.met


@dataclass(frozen=True)
class Figure:
    """``ratio_to`` names the yardstick that the rows' ratios refer to."""

    name: str
    title: str
    unit: str
    rows: list[Row]
    checks: list[Check] = field(default_factory=list)
    ratio_to: str = ""


def machine() -> dict[str, Any]:
    """What the figures depend on; nothing that names the machine."""
    described = Path("/proc/cpuinfo").read_text().partition("model name\t: ")[2]
    return {
        "processor": described.partition("\n")[0],
        "cores": len(os.sched_getaffinity(0)),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def show(figure: Figure, console: Console) -> None:
    console.print(f"[bold]{figure.title}, in {figure.unit}[/]", highlight=False, soft_wrap=True)
    table = Table()
    table.add_column("")
    for column in ("median", "lowest", "highest"):
        table.add_column(column, justify="right")
    if figure.ratio_to:
        table.add_column(f"x {figure.ratio_to}", justify="right")
    for row in figure.rows:
        cells = [_number(value) for value in (row.median, min(row.values), max(row.values))]
        if figure.ratio_to:
            cells.append("" if row.ratio is None else f"{row.ratio:.2f}")
        table.add_row(row.name, *cells)
    console.print(table)
    for check in figure.checks:
        console.print(_verdict(check), highlight=False, soft_wrap=True)
    console.print()


def _verdict(check: Check) -> str:
    sign = "≤" if check.at_most else "≥"
    verdict = "[green]met[/]" if check.met else "[red]MISSED[/]"
    note = "" if check.enforced else "  (shown only)"
    asked = f"{sign} {_number(check.limit)} {check.unit}".rstrip()
    return f"  {verdict}  {check.what}: {_number(check.value)} (asked: {asked}){note}"


def _number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def write(path: Path, figures: Sequence[Figure], about: dict[str, Any]) -> None:
    """Every value of every round, so that anything else can be computed from the file."""
    body = {
        "machine": about,
        "failed": [check.what for figure in figures for check in figure.checks if check.failed],
        "figures": [
            {
                **asdict(figure),
                "rows": [{**asdict(row), "median": row.median} for row in figure.rows],
                "checks": [{**asdict(check), "met": check.met} for check in figure.checks],
            }
            for figure in figures
        ],
    }
    path.write_bytes(orjson.dumps(body, option=orjson.OPT_INDENT_2) + b"\n")
