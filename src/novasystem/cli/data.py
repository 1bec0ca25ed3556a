"""What the commands of ``nova db`` do, and how they say so."""

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import typer
from sqlalchemy.engine import Connection

from novasystem import log
from novasystem.cli.failures import traced
from novasystem.cli.text import human_count, human_size, printable
from novasystem.errors import ConfigurationError, InvalidRequest
from novasystem.keeping import backups_folder, find_database
from novasystem.settings import Settings, load_settings
from novasystem.storage import backup, migrate
from novasystem.storage import restore as restoring
from novasystem.storage.database import Database
from novasystem.storage.folders import make_folder, make_private
from novasystem.storage.lock import ServerLock
from novasystem.storage.portable import BackupFile, BackupWriter, Progress
from novasystem.storage.schema import SCHEMA, current_revision

__all__ = ["Care", "back_up", "info", "opened", "restore", "upgrade"]


@dataclass(frozen=True, slots=True)
class Care:
    """``file``: the database where it is SQLite."""

    database: Database
    backups: Path
    file: Path | None

    @property
    def is_there(self) -> bool:
        """Whether there can be data: to look into an SQLite file would make it."""
        return self.file is None or self.file.exists()


@contextmanager
def opened(config: Path | None, log_level: str | None) -> Iterator[Care]:
    """The database that the settings name; nothing is made."""
    settings: Settings = load_settings(config=config, log_level=log_level)
    log.configure(log_level or "critical", settings.log_format)
    with traced(settings.log_level):
        database = find_database(settings)
        file = Path(database.url.database or "") if database.is_sqlite else None
        try:
            yield Care(database, backups_folder(settings), file)
        finally:
            database.close()


def info(care: Care, *, as_json: bool) -> None:
    database = care.database
    schema: str | None = None
    size: int | None = None
    tables: dict[str, int] = {}
    if care.is_there:
        schema, size, tables = database.read_now(_look)
    running = None if care.file is None else ServerLock(str(care.file)).is_held()
    files = sorted(path.name for path in care.backups.glob("*.zip"))
    found = {
        "where": database.where,
        "kind": "sqlite" if database.is_sqlite else "postgresql",
        "schema": schema,
        "newest_schema": SCHEMA.head,
        "server_is_running": running,
        "size_bytes": size,
        "tables": tables,
        "backups": str(care.backups),
        "backup_files": files,
    }
    if as_json:
        _print_json(found)
        return
    lines = [("data", f"{found['kind']}, {database.where}")]
    if schema is None:
        lines.append(("schema", "none: there is no data yet"))
    else:
        lines.append(("schema", f"{schema}{_compared(schema)}"))
        lines.append(("size", human_size(size)))
        lines.extend((name, human_count(rows)) for name, rows in tables.items())
    if running is not None:
        lines.append(("server", "running" if running else "not running"))
    kept = f"{len(files)} in {care.backups}" if files else f"none in {care.backups}"
    lines.append(("backups", kept))
    for name, said in lines:
        sys.stdout.write(printable(f"{name:<12}{said}") + "\n")


def _compared(schema: str) -> str:
    if schema == SCHEMA.head:
        return ", up to date"
    if schema in SCHEMA.revisions:
        return f": older than {SCHEMA.head}; 'nova db upgrade' brings it there"
    return f": newer than {SCHEMA.head}, the newest that this version knows"


def _look(connection: Connection) -> tuple[str | None, int | None, dict[str, int]]:
    if connection.dialect.name == "postgresql":
        asked = "SELECT pg_database_size(current_database())"
    else:
        asked = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
    size = connection.execute(sa.text(asked)).scalar()
    schema = current_revision(connection)
    tables: dict[str, int] = {}
    if schema in SCHEMA.revisions:
        for table in backup.reflected(connection, SCHEMA.tables_of(schema)):
            count = sa.select(sa.func.count()).select_from(table)
            tables[table.name] = connection.scalar(count) or 0
    return schema, size, tables


def upgrade(care: Care, *, as_json: bool) -> None:
    with ExitStack() as stack:
        if care.file is not None:
            _lock(stack, care.file)
        progress = stack.enter_context(_progress("Backing up"))
        done = migrate.upgrade(care.database, care.backups, progress=progress)
    if as_json:
        _print_json(
            {
                "where": care.database.where,
                "before": done.before,
                "after": done.after,
                "backup": None if done.backup is None else str(done.backup),
            }
        )
    elif done.before is None:
        _say(f"The data at {care.database.where} was made, with schema {done.after}.")
    elif done.before == done.after:
        _say(f"The data at {care.database.where} has schema {done.after}: up to date.")
    else:
        _say(f"The data at {care.database.where} went from schema {done.before} to {done.after}.")
        _say(f"As it was before, it lies in {done.backup}.")


def _lock(stack: ExitStack, file: Path) -> None:
    """Keep servers away meanwhile; raises where one is there."""
    make_folder(file.parent)
    make_private(file)
    lock = ServerLock(str(file))
    lock.acquire()
    stack.callback(lock.release)


def back_up(care: Care, file: Path | None, *, overwrite: bool, as_json: bool) -> None:
    if not care.is_there:
        raise InvalidRequest(
            f"There is no data yet at {care.database.where}.", hint="'nova serve' makes it."
        )
    if file is None:
        file = backup.dated(care.backups, "nova")
    elif file.is_dir():
        file = backup.dated(file, "nova")
    with _progress("Backing up") as progress, BackupWriter(file, overwrite=overwrite) as writer:
        manifest = care.database.read_now(backup.back_up, writer, progress=progress)
    size = file.stat().st_size
    rows = {name: part.rows for name, part in manifest.tables.items()}
    if as_json:
        _print_json(
            {
                "file": str(file),
                "size_bytes": size,
                "schema": manifest.schema,
                "created_at": manifest.created_at,
                "tables": rows,
            }
        )
    else:
        _say(f"{file}: {human_count(manifest.rows)} rows, {human_size(size)}")


def restore(care: Care, file: Path, *, yes: bool, as_json: bool) -> None:
    with BackupFile(file) as source:
        with _progress("Checking") as progress:
            restoring.check(source, progress=progress)
        if not yes:
            _ask(care, source)
        with ExitStack() as stack:
            if not care.is_there or care.database.read_now(current_revision) is None:
                if care.file is not None:
                    _lock(stack, care.file)
                migrate.upgrade(care.database, care.backups)
            progress = stack.enter_context(_progress("Restoring"))
            done = restoring.restore(care.database, source, care.backups, progress=progress)
    if as_json:
        before = None if done.before is None else str(done.before)
        _print_json({"where": care.database.where, "tables": done.rows, "before": before})
        return
    _say(f"{human_count(sum(done.rows.values()))} rows are back at {care.database.where}.")
    if done.before is not None:
        _say(f"What was there before lies in {done.before}.")


def _ask(care: Care, source: BackupFile) -> None:
    if not sys.stdin.isatty():
        raise ConfigurationError(
            "To restore replaces everything, and nobody can be asked here.",
            hint="Say --yes if that is meant.",
        )
    manifest = source.manifest
    tables = ", ".join(
        f"{human_count(part.rows)} {name.replace('_', ' ')}"
        for name, part in manifest.tables.items()
        if part.rows
    )
    typer.echo(f"The backup of {manifest.created_at} holds {tables or 'nothing'}.", err=True)
    typer.echo(f"It replaces everything at {care.database.where}.", err=True)
    typer.confirm("Go on?", abort=True, err=True)


@contextmanager
def _progress(what: str) -> Iterator[Progress]:
    """A line on a terminal that shows how far it is; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield backup.no_progress
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Bars(
        *columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True
    ) as bars:
        task = bars.add_task(what, total=None)

        def show(table: str, done: int, rows: int) -> None:
            bars.update(task, description=f"{what} {table}", completed=done, total=rows)

        yield show


def _say(text: str) -> None:
    sys.stdout.write(printable(text) + "\n")


def _print_json(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
