"""``nova bench``: what becomes of benchmarks that were kept."""

from pathlib import Path
from typing import Annotated

import typer

from novasystem.cli.options import Config, Json, LogLevel

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None)


@app.command(
    epilog="""\b
Examples:
  nova bench delete bench_3fa2
  nova bench delete --yes last

\b
With all its samples; it cannot be undone. 'nova bench archive' only puts it out of sight.
"""
)
def delete(
    benchmarks: Annotated[
        list[str],
        typer.Argument(metavar="ID", show_default=False, help="Which ones."),
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    config: Config = None,
    log_level: LogLevel = None,
) -> None:
    """Delete benchmarks."""
    from novasystem.cli.benching.keeping import delete as delete_some
    from novasystem.cli.session import opened

    delete_some(opened(config, log_level), benchmarks, yes=yes)


OlderThan = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Those of before 2026-01-31, or older than 30d, 12w."),
]
Keep = Annotated[int | None, typer.Option(metavar="N", min=0, help="Those beyond the newest N.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]


@app.command(
    epilog="""\b
Examples:
  nova bench archive --older-than 30d --dry-run
  nova bench archive --keep 100
  nova bench archive --restore bench_3fa2

\b
Those that are archived are kept whole; 'nova bench list --archived' has them.
JSON: an object with archived (the ids), left and dry_run.
"""
)
def archive(
    older_than: OlderThan = None,
    keep: Keep = None,
    restore: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Bring this one back into the list; several times."),
    ] = None,
    dry_run: DryRun = False,
    json: Json = False,
    config: Config = None,
    log_level: LogLevel = None,
) -> None:
    """Take older benchmarks out of the list, without deleting them."""
    from novasystem.cli.benching import keeping
    from novasystem.cli.benching.showing import moment
    from novasystem.cli.session import opened

    settings = opened(config, log_level)
    before = moment("--older-than", older_than)
    if restore:
        keeping.restore(settings, restore)
    else:
        keeping.archive(settings, before, keep, dry_run=dry_run, as_json=json)


@app.command(
    epilog="""\b
Examples:
  nova bench prune --older-than 26w --dry-run
  nova bench prune --keep 1000 --yes
  nova bench prune --archived --older-than 52w

\b
With all their samples; it cannot be undone. What has not ended is left alone.
JSON: an object with deleted (the ids), left and dry_run.
"""
)
def prune(
    older_than: OlderThan = None,
    keep: Keep = None,
    archived: Annotated[
        bool, typer.Option("--archived", help="Only those that are archived.")
    ] = False,
    dry_run: DryRun = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: Json = False,
    config: Config = None,
    log_level: LogLevel = None,
) -> None:
    """Delete older benchmarks."""
    from novasystem.cli.benching import keeping
    from novasystem.cli.benching.showing import moment
    from novasystem.cli.session import opened

    settings = opened(config, log_level)
    before = moment("--older-than", older_than)
    keeping.prune(settings, before, keep, archived=archived, dry_run=dry_run, yes=yes, as_json=json)


@app.command(
    "import",
    epilog="""\b
Examples:
  nova bench import old-results

\b
Reads files named benchmark_TIME.json, as older versions wrote them. What is there already
stays as it is. It ends with code 1 where a file was passed over.
JSON: an object with added and known (ids), skipped (each with file and why) and dry_run.
""",
)
def import_(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", show_default=False, help="Where the files lie.")
    ],
    dry_run: DryRun = False,
    json: Json = False,
    config: Config = None,
    log_level: LogLevel = None,
) -> None:
    """Take in benchmarks of the older design."""
    from novasystem.cli.benching import keeping
    from novasystem.cli.session import opened

    settings = opened(config, log_level)
    raise typer.Exit(keeping.take_in(settings, folder, dry_run=dry_run, as_json=json))
