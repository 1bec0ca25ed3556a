"""Writes everything that is kept into one file, from one state of the database."""

import datetime
from collections.abc import Collection, Iterator
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from novasystem import __version__
from novasystem.errors import InvalidRequest
from novasystem.storage.folders import make_folder
from novasystem.storage.portable import BackupWriter, Kind, Manifest, Progress
from novasystem.storage.schema import SCHEMA, Schema, current_revision

__all__ = ["LEFT_OUT", "back_up", "dated", "no_progress", "prune", "reflected", "write_tables"]

# Who is alive now is no part of what is kept.
LEFT_OUT = frozenset({"executors"})
_KEPT = 5
_KINDS: dict[type, Kind] = {
    bool: "boolean",
    int: "integer",
    float: "real",
    str: "text",
    bytes: "bytes",
}
_BATCH = 500


def no_progress(_table: str, _done: int, _rows: int) -> None:
    """For whoever does not look."""


def dated(folder: Path, name: str) -> Path:
    """``folder/NAME-TIME.zip``: sorted by name is sorted by age; the time is UTC.

    Makes the folder; raises ``ConfigurationError`` where it cannot.
    """
    make_folder(folder)
    now = datetime.datetime.now(datetime.UTC)
    return folder / f"{name}-{now:%Y-%m-%dT%H%M%S.%f}Z.zip"


def prune(folder: Path, name: str) -> None:
    """Keep the newest five of those that are made without being asked for."""
    for old in sorted(folder.glob(f"{name}-*.zip"))[:-_KEPT]:
        old.unlink(missing_ok=True)


def back_up(
    connection: Connection,
    writer: BackupWriter,
    *,
    schema: Schema = SCHEMA,
    progress: Progress = no_progress,
) -> Manifest:
    """Write everything, in a transaction that sees one state; others go on working.

    Raises ``InvalidRequest`` where there is nothing, ``ConfigurationError`` where the schema is a
    newer one.
    """
    revision = current_revision(connection)
    if revision is None:
        raise InvalidRequest("There is no data yet.", hint="'nova serve' makes it.")
    schema.refuse_newer(revision)
    return write_tables(connection, writer, schema.tables_of(revision), revision, progress)


def write_tables(
    connection: Connection,
    writer: BackupWriter,
    tables: Collection[str],
    revision: str,
    progress: Progress,
) -> Manifest:
    """Write these tables, in a transaction that sees one state."""
    for table in reflected(connection, tables):
        count = connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
        rows = sa.select(table).order_by(*table.primary_key).execution_options(yield_per=_BATCH)
        columns = {str(column.name): _kind(column) for column in table.columns}
        found = _counted(connection.execute(rows), table.name, count, progress)
        writer.table(str(table.name), columns, found)
    return writer.finish(schema=revision, program=__version__, database=connection.dialect.name)


def _counted(
    found: "sa.CursorResult[tuple[object, ...]]", name: str, count: int, progress: Progress
) -> Iterator[tuple[object, ...]]:
    number = 0
    progress(name, 0, count)
    for number, row in enumerate(found, 1):
        yield tuple(row)
        if number % _BATCH == 0:
            progress(name, number, count)
    progress(name, number, count)


def reflected(connection: Connection, tables: Collection[str]) -> list[sa.Table]:
    """The tables as they are in the database, each after those that it refers to.

    Their columns give values as they are stored, whatever the program makes of them, so that a
    schema of another version can be read as well.
    """
    wanted = set(tables) - LEFT_OUT
    metadata = sa.MetaData()
    metadata.reflect(connection, only=lambda name, _: name in wanted)
    return [table for table in metadata.sorted_tables if table.name in wanted]


def _kind(column: "sa.Column[object]") -> Kind:
    return _KINDS[column.type.python_type]
