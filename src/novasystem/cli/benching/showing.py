"""Benchmarks on standard output: lists, one of them, reports and exports."""

import datetime
import re
import sys
from pathlib import Path
from typing import Any

import orjson

from novasystem.benchmarks.former import load_process
from novasystem.benchmarks.local import OWNER, Local
from novasystem.benchmarks.records import Benchmark, SweepResult
from novasystem.benchmarks.reports import figures
from novasystem.benchmarks.reports.figures import Report
from novasystem.benchmarks.reports.formats import FORMATS, render
from novasystem.benchmarks.reports.table import terminal
from novasystem.benchmarks.reports.words import gone, line, rate, seconds
from novasystem.benchmarks.stores import Query
from novasystem.cli.benching.opening import GOING, find, with_store
from novasystem.cli.text import printable
from novasystem.errors import InvalidRequest
from novasystem.settings import Settings

__all__ = ["export", "moment", "print_json", "print_results", "report", "show", "show_list"]

_PIPE = 200
_AGO = re.compile(r"(\d{1,6})\s*([hdw])")
_HOURS = {"h": 1, "d": 24, "w": 24 * 7}
_WHOLE = 40


def moment(flag: str, text: str | None) -> datetime.datetime | None:
    """``2026-01-31``, ``2026-01-31T12:00``, or how long ago: ``12h``, ``7d``, ``2w``.

    Without a zone it is this machine's.
    """
    if text is None:
        return None
    if ago := _AGO.fullmatch(text.strip()):
        hours = int(ago[1]) * _HOURS[ago[2]]
        return datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=hours)
    try:
        return datetime.datetime.fromisoformat(text.strip()).astimezone()
    except (ValueError, OverflowError, OSError) as error:
        raise InvalidRequest(
            f"{flag}: '{text}' is no time.", hint="Write 2026-01-31, 2026-01-31T12:00, or 7d."
        ) from error


def show_list(settings: Settings, query: Query, *, as_json: bool) -> None:
    async def work(local: Local) -> None:
        page = await local.store.list(query)
        if as_json:
            _write(_json([_plain(one) for one in page.benchmarks]))
            return
        _print_list(page.benchmarks)
        shown = query.offset + len(page.benchmarks)
        if shown < page.total:
            sys.stdout.flush()
            sys.stderr.write(
                f"{len(page.benchmarks)} of {page.total}; '--offset {shown}' shows what follows.\n"
            )

    with_store(settings, work)


def _print_list(benchmarks: tuple[Benchmark, ...]) -> None:
    from rich.table import Table
    from rich.text import Text

    if not benchmarks:
        _write("There is no such benchmark. 'nova bench run' makes one.\n")
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("ID", "ASKED FOR", "STATUS", "MODELS", "TTFT", "TOKENS/S", "TOTAL", "PROMPT"):
        right = name in {"TTFT", "TOKENS/S", "TOTAL"}
        whole = name not in {"MODELS", "PROMPT"}
        table.add_column(name, justify="right" if right else "left", no_wrap=whole)
    for one in benchmarks:
        timing = [result.timing for result in one.results]
        ttft = _mean([each.time_to_first_token for each in timing])
        total = _mean([each.total_time for each in timing])
        pace = _mean([result.throughput.output_tokens_per_second for result in one.results])
        status = one.status + (", archived" if one.archived else "")
        row = (
            one.id,
            one.timestamp.astimezone().strftime("%Y-%m-%d %H:%M:%S"),
            status if one.summary.valid else f"{status}, invalid",
            line(", ".join(part.model for part in one.results or one.environment.models), _WHOLE),
            seconds(ttft),
            rate(pace),
            seconds(total),
            line(one.prompt or "", _WHOLE),
        )
        table.add_row(*(Text(printable(cell)) for cell in row))
    _print(table)


def _mean(found: list[float | None]) -> float | None:
    values = [value for value in found if value is not None]
    return sum(values) / len(values) if values else None


def show(settings: Settings, asked: str, *, as_json: bool) -> None:
    async def work(local: Local) -> None:
        benchmark = await find(local, asked)
        benchmark = await local.carrier.current(benchmark)
        if as_json:
            print_json(benchmark)
            return
        print_results(benchmark)
        _print_details(benchmark)
        sys.stdout.flush()
        _say_whether_it_goes_on(local, benchmark)

    with_store(settings, work)


def _say_whether_it_goes_on(local: Local, benchmark: Benchmark) -> None:
    if benchmark.status not in GOING:
        return
    if load_process(local.carrier.log_path(benchmark.id)) is not None:
        sys.stderr.write("It is being carried out now.\n")
    else:
        sys.stderr.write(
            "Nobody on this machine carries it out now. It was broken off, or waits in a server:\n"
            f"  nova bench resume {benchmark.id}\n"
        )


def print_results(benchmark: Benchmark) -> None:
    """The table of the models, what is wrong with it, and the steps of a sweep."""
    _print(terminal(Report(benchmark)))
    for result in benchmark.results:
        if result.sweep is not None:
            _print_sweep(result.model, result.sweep)


def _print_sweep(model: str, sweep: SweepResult) -> None:
    """Each rate, and up to which one the server and the objectives held."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("REQUESTS/S", "ACHIEVED", "REQUESTS", "GOOD", "HELD"):
        table.add_column(name, justify="right")
    for step in sweep.steps:
        achieved = rate(step.achieved_per_s)
        row = (rate(step.rate_per_s), achieved, str(step.requests), str(step.good))
        table.add_row(*row, "yes" if step.held else "no")
    _print(Text(f"\nSweep of {line(model)}", style="bold"))
    _print(table)
    _write(f"Highest rate that held: {rate(sweep.highest_rate_per_s)} requests/s\n")
    _write(f"Knee: {rate(sweep.knee_per_s)} requests/s\n")


def _print_details(benchmark: Benchmark) -> None:
    """Every metric, the checks, what the machine did, and where it ran."""
    names = ("METRIC", "N", "MEAN", "95 % INTERVAL", "P50", "P90", "P95", "P99", "MIN", "MAX")
    for result in benchmark.results:
        _section(line(result.model), names, figures.distributions(result), left=1)
        checks = figures.checks(result)
        if checks:
            _section("Checks", ("CHECK", "PASSED", "FAILED", "SEEN"), checks, left=1)
        _section("", ("THE MACHINE", "", ""), figures.impact(result.system_impact), left=3)
        if result.response:
            _write(printable(f"\nLast answer: {line(result.response, 400)}\n"))
    _section("", ("ENVIRONMENT", ""), list(figures.environment(benchmark)), left=2)


def _section(title: str, names: tuple[str, ...], rows: Any, *, left: int) -> None:
    from rich.table import Table
    from rich.text import Text

    if not rows:
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for number, name in enumerate(names):
        table.add_column(name, justify="left" if number < left else "right")
    for row in rows:
        table.add_row(*(Text(cell, style="dim" if cell == gone else "") for cell in row))
    _print(Text(f"\n{title}" if title else "", style="bold"))
    _print(table)


def report(settings: Settings, asked: str, format_: str | None, output: Path | None) -> None:
    """One report, to standard output or into a file whose ending may choose the format."""

    async def work(local: Local) -> None:
        benchmark = await local.carrier.current(await find(local, asked))
        name = format_ or _by_ending(output)
        carrier = local.carrier
        samples, readings = await carrier.samples(benchmark), await carrier.readings(benchmark)
        text = render(name, benchmark, samples, readings)
        if output is None:
            _write(text if text.endswith("\n") else text + "\n")
        else:
            _write_file(output, text)

    with_store(settings, work)


def _by_ending(output: Path | None) -> str:
    if output is None:
        return "text"
    name = output.name.lower()
    # The longest that fits: .samples.csv is one of its own.
    fitting = [key for key, format_ in FORMATS.items() if name.endswith(format_.ending)]
    if not fitting:
        endings = ", ".join(format_.ending for format_ in FORMATS.values())
        raise InvalidRequest(
            f"The ending of '{output}' does not say which report is meant.",
            hint=f"Name it with one of {endings}, or say which with a flag.",
        )
    return max(fitting, key=lambda key: len(FORMATS[key].ending))


def export(settings: Settings, asked: list[str], format_: str, folder: Path) -> None:
    """Each benchmark in a file of its own, named after it; the files' names on standard output."""

    async def work(local: Local) -> None:
        if format_ not in FORMATS:
            hint = f"Formats: {', '.join(FORMATS)}."
            raise InvalidRequest(f"There is no format '{format_}'.", hint=hint)
        for one in asked or [found.id async for found in _all(local)]:
            benchmark = await local.carrier.current(await find(local, one))
            carrier = local.carrier
            samples, readings = await carrier.samples(benchmark), await carrier.readings(benchmark)
            text = render(format_, benchmark, samples, readings)
            path = folder / f"{benchmark.id}{FORMATS[format_].ending}"
            _write_file(path, text)
            _write(f"{path}\n")

    with_store(settings, work)


async def _all(local: Local) -> Any:
    after: str | None = None
    while True:
        query = Query(owner_id=OWNER, after=after, archived=None, descending=False)
        page = await local.store.list(query)
        for one in page.benchmarks:
            yield one
        if not page.benchmarks:
            return
        after = page.benchmarks[-1].id


def _write_file(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidRequest(
            f"'{path}' cannot be written: {error.strerror}.", hint="Check its folder."
        ) from error


def print_json(benchmark: Benchmark) -> None:
    _write(_json(_plain(benchmark)))


def _plain(benchmark: Benchmark) -> dict[str, Any]:
    return benchmark.model_dump(mode="json", exclude={"owner_id"})


def _json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n"


def _print(what: Any) -> None:
    from rich.console import Console

    width = None if sys.stdout.isatty() else _PIPE
    Console(highlight=False, width=width).print(what)


def _write(text: str) -> None:
    sys.stdout.write(text)
