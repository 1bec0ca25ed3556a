"""``nova bench``: look at what was measured."""

from pathlib import Path
from typing import Annotated, Any, Literal, cast

import typer

from novasystem.cli import bench_options as options
from novasystem.cli.options import Config, Json, LogLevel

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None)


@app.command(
    "list",
    epilog="""\b
Examples:
  nova bench list
  nova bench list --model nova-tiny --since 7d --sort ttft_s --ascending
  nova bench list --text sky --json | jq -r '.[].id'

\b
Newest first, those that are archived left out.
JSON: an array of benchmarks as 'nova bench show --json' has them, without plan and metrics.
""",
)
def list_(
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="NAME", help="With this model.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Since 2026-01-31, or 12h, 7d, 2w ago.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Before that time.")] = None,
    text: Annotated[
        str | None, typer.Option(metavar="TEXT", help="With these words in its prompt or name.")
    ] = None,
    status: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="queued, running, completed, partial, failed or cancelled."
        ),
    ] = None,
    archived: Annotated[
        bool, typer.Option("--archived", help="Those that are archived instead.")
    ] = False,
    sort: Annotated[
        Literal["timestamp", "ttft_s", "tokens_per_s", "total_s"],
        typer.Option(help="What the order goes by."),
    ] = "timestamp",
    ascending: Annotated[
        bool, typer.Option("--ascending", help="Smallest, or oldest, first.")
    ] = False,
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=1000, help="At most so many.")] = 50,
    offset: Annotated[int, typer.Option(metavar="N", min=0, help="Leave out so many before.")] = 0,
    json: Json = False,
    config: Config = None,
    log_level: LogLevel = None,
) -> None:
    """List the benchmarks that are kept."""
    from novasystem.benchmarks.stores import Query
    from novasystem.cli.benching.showing import moment, show_list
    from novasystem.cli.session import opened

    settings = opened(config, log_level)
    query = Query(
        limit=limit,
        offset=offset,
        model=model,
        since=moment("--since", since),
        until=moment("--until", until),
        text=text,
        statuses=tuple(cast(list[Any], status or [])),
        sort=sort,
        descending=not ascending,
        archived=archived,
    )
    show_list(settings, query, as_json=json)


@app.command(
    epilog="""\b
Examples:
  nova bench show last
  nova bench show bench_3fa2
  nova bench show last --json | jq '.results[].metrics.ttft_s'

\b
One that still goes on, or was killed, shows what had arrived.
JSON: the benchmark, as 'nova bench run --json' has it.
"""
)
def show(
    benchmark: options.Id,
    json: Json = False,
    config: Config = None,
    log_level: LogLevel = None,
) -> None:
    """Show every figure of a benchmark."""
    from novasystem.cli.benching.showing import show as show_one
    from novasystem.cli.session import opened

    show_one(opened(config, log_level), benchmark, as_json=json)


@app.command(
    epilog="""\b
Examples:
  nova bench compare last-1 last
  nova bench compare bench_3fa2 bench_77c0 --fail-on "ttft_s>10%" --fail-on "failed_share>1%"

\b
It ends with code 1 where a rule of --fail-on is broken; without any rule, where there is
evidence that something got slower. What was not the same stands first.
JSON: an object with benchmarks, conditions, models (each with metrics, and these with
values and differences: relative, p_value, verdict, reason), passed, failures and notes.
"""
)
def compare(
    benchmarks: Annotated[
        list[str],
        typer.Argument(
            metavar="ID",
            show_default=False,
            help="Two or more; the first one is what the others are held against.",
        ),
    ],
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RULE",
            help="How much worse a metric may get: 'ttft_s>10%', 'e2e_s>0.2'; several times.",
        ),
    ] = None,
    minimum_effect: Annotated[
        float | None,
        typer.Option(metavar="F", min=0, max=10, help="The least that counts as a change: 0.05."),
    ] = None,
    json: Json = False,
    config: Config = None,
    log_level: LogLevel = None,
) -> None:
    """Say what changed between benchmarks, with evidence."""
    from novasystem.cli.benching.comparing import compare_stored
    from novasystem.cli.session import opened

    settings = opened(config, log_level)
    code = compare_stored(settings, benchmarks, fail_on or (), minimum_effect, as_json=json)
    raise typer.Exit(code)


@app.command(
    epilog="""\b
Examples:
  nova bench report last
  nova bench report last -o report.html
  nova bench report last --markdown >> $GITHUB_STEP_SUMMARY

\b
Without a flag the ending of the file says which one: .html, .md, .json, .csv,
.samples.csv or .txt; without a file it is text.
JSON: an object with format, benchmark, samples (one a request) and telemetry.
"""
)
def report(
    benchmark: options.Id,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Where to write it."),
    ] = None,
    html: Annotated[
        bool, typer.Option("--html", help="One HTML file with charts, which needs nothing else.")
    ] = False,
    markdown: Annotated[bool, typer.Option("--markdown", "--md", help="Markdown.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="A line a model and metric.")] = False,
    samples: Annotated[bool, typer.Option("--samples", help="CSV with a line a request.")] = False,
    json: Json = False,
    config: Config = None,
    log_level: LogLevel = None,
) -> None:
    """Write a report: text, HTML, Markdown, JSON or CSV."""
    flags = {"html": html, "markdown": markdown, "csv": csv, "samples": samples, "json": json}
    chosen = [name for name, given in flags.items() if given]
    if len(chosen) > 1:
        raise typer.BadParameter("give one format.", param_hint=f"'--{chosen[1]}'")
    from novasystem.cli.benching.showing import report as report_one
    from novasystem.cli.session import opened

    settings = opened(config, log_level)
    report_one(settings, benchmark, chosen[0] if chosen else None, output)


@app.command(
    epilog="""\b
Examples:
  nova bench export last
  nova bench export --format csv --folder results
  nova bench export bench_3fa2 bench_77c0

\b
A file for each, named after its id; the names of the files are printed. Without an id: all.
"""
)
def export(
    benchmarks: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID", show_default=False, help="Which ones; without: all."),
    ] = None,
    format_: Annotated[
        Literal["json", "csv", "samples", "markdown", "html", "text"],
        typer.Option("--format", help="Of the files."),
    ] = "json",
    folder: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the files go.")] = Path(),
    config: Config = None,
    log_level: LogLevel = None,
) -> None:
    """Write benchmarks into files."""
    from novasystem.cli.benching.showing import export as export_all
    from novasystem.cli.session import opened

    export_all(opened(config, log_level), benchmarks or [], format_, folder)
