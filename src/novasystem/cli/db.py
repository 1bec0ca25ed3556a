"""``nova db``: the care of what is kept."""

from pathlib import Path
from typing import Annotated

import typer

from novasystem.cli.options import Config, Json, LogLevel

__all__ = ["app"]

app = typer.Typer(
    name="db",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Look after what is kept: upgrade, back up, restore.",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""\b
Examples:
  nova db info                    where the data is, and how much of it
  nova db backup                  into the folder 'backups' of the data folder
  nova db restore backup.zip      replaces everything; a running server goes on

\b
Where the data is, the settings say: data_dir, or database_url for PostgreSQL.
""",
)


@app.command(
    epilog="""\b
Examples:
  nova db info
  nova db info --json | jq .tables

\b
JSON: an object with where, kind (sqlite or postgresql), schema (null where there is no data
yet), newest_schema (what this version writes), server_is_running (null for PostgreSQL), size_bytes,
tables (rows by name), backups (the folder) and backup_files.
"""
)
def info(json: Json = False, config: Config = None, log_level: LogLevel = None) -> None:
    """Say where the data is, and how much of it."""
    from novasystem.cli import data

    with data.opened(config, log_level) as care:
        data.info(care, as_json=json)


@app.command(
    epilog="""\b
Examples:
  nova db upgrade
  NOVA_DATABASE_URL=postgresql://nova@db/nova nova db upgrade

\b
A backup of the older data is made first. 'nova serve' does the same when it starts.
JSON: an object with where, before (null where there was no data), after and backup (a file,
or null).
"""
)
def upgrade(json: Json = False, config: Config = None, log_level: LogLevel = None) -> None:
    """Bring the data to the schema of this version."""
    from novasystem.cli import data

    with data.opened(config, log_level) as care:
        data.upgrade(care, as_json=json)


@app.command(
    epilog="""\b
Examples:
  nova db backup
  nova db backup /media/disk/nova.zip
  nova db backup --overwrite nightly.zip

\b
It may run while the server works, and holds one state of everything. The file is the same for
SQLite and PostgreSQL. Nobody but you may read it.
JSON: an object with file, size_bytes, schema, created_at and tables (rows by name).
"""
)
def backup(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            show_default=False,
            help="Where to write it; a folder gets a file named after the time.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace FILE where it is there already.")
    ] = False,
    json: Json = False,
    config: Config = None,
    log_level: LogLevel = None,
) -> None:
    """Write everything that is kept into one file."""
    from novasystem.cli import data

    with data.opened(config, log_level) as care:
        data.back_up(care, file, overwrite=overwrite, as_json=json)


@app.command(
    epilog="""\b
Examples:
  nova db restore nova.zip
  nova db restore --yes nova.zip
  NOVA_DATABASE_URL=postgresql://nova@db/nova nova db restore from-sqlite.zip

\b
The whole file is looked through first; then everything is replaced at once, or nothing. What was
there is backed up before. A server may run meanwhile: what it carries out is stopped.
JSON: an object with where, tables (rows by name) and before (the backup of what was there, or
null).
"""
)
def restore(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", show_default=False, help="A backup that nova db made."),
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: Json = False,
    config: Config = None,
    log_level: LogLevel = None,
) -> None:
    """Replace everything that is kept by what a backup holds."""
    from novasystem.cli import data

    with data.opened(config, log_level) as care:
        data.restore(care, file, yes=yes, as_json=json)
