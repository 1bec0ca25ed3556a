"""Puts a backup in the place of everything that is kept, while others go on working.

Rows get new keys, above all that this database has ever given out. So whatever a running server
still holds in its hands, a run that it carries out or a stream that it sends, is a row that is not
there any more, and never one of the backup's that happens to have the same number.
"""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from novasystem.errors import ConfigurationError, InvalidRequest
from novasystem.storage.backup import (
    LEFT_OUT,
    back_up,
    dated,
    no_progress,
    prune,
    reflected,
    write_tables,
)
from novasystem.storage.database import Database, database_url
from novasystem.storage.folders import make_folder
from novasystem.storage.notices import notify
from novasystem.storage.portable import BackupFile, BackupWriter, Progress
from novasystem.storage.schema import SCHEMA, Schema, current_revision, lock_tables

__all__ = ["Restored", "check", "restore"]

_BATCH = 500
_BEFORE = "before-restore"
# Nobody is registered under this name: runs that were under way when the backup was made are
# orphans, and are ended or carried on like those of a server that was killed.
_NOBODY = "restored"


@dataclass(frozen=True, slots=True)
class Restored:
    """``before``: the backup of what was there, where there was anything."""

    rows: Mapping[str, int]
    before: Path | None


def check(file: BackupFile, *, schema: Schema = SCHEMA, progress: Progress = no_progress) -> None:
    """Raises ``InvalidRequest`` or ``ConfigurationError`` where the backup cannot be restored."""
    manifest = file.manifest
    schema.refuse_newer(manifest.schema, f"The backup '{file.path}'")
    wanted = set(schema.tables_of(manifest.schema)) - LEFT_OUT
    if set(manifest.tables) != wanted:
        raise InvalidRequest(
            f"'{file.path}' does not hold the tables of schema {manifest.schema}.",
            hint="Nothing was changed. Take another backup.",
        )
    file.check(progress)


def restore(
    database: Database,
    file: BackupFile,
    backups: Path,
    *,
    schema: Schema = SCHEMA,
    progress: Progress = no_progress,
) -> Restored:
    """Replace everything by what ``file`` holds, which :func:`check` has approved of.

    In one transaction: others read what was there until it is done, and nothing is changed where
    it fails. What was there is written into the folder ``backups`` first.
    """
    with contextlib.ExitStack() as stack:
        if file.manifest.schema != schema.head:
            file = stack.enter_context(_brought_up(file, backups, schema))
        done = database.write_now(_replace, file, backups, schema, progress)
    if done.before is not None:
        prune(backups, _BEFORE)
    return done


def _replace(
    connection: Connection, file: BackupFile, backups: Path, schema: Schema, progress: Progress
) -> Restored:
    found = current_revision(connection)
    if found != schema.head:
        raise ConfigurationError(
            f"The data has schema {found}, and this version of NovaSystem writes {schema.head}.",
            hint="Run 'nova db upgrade' first.",
        )
    names = set(schema.metadata.tables) - LEFT_OUT
    lock_tables(connection, names)
    tables = reflected(connection, names)
    before = _keep(connection, tables, backups, found)
    offsets = {
        table.name: _last_key(connection, table) - (part.first_key or 1) + 1
        for table in tables
        if (part := file.manifest.tables[table.name]).last_key is not None
    }
    for table in reversed(tables):
        connection.execute(sa.delete(table))
    for table in tables:
        _fill(connection, table, file, offsets, progress)
    _set_sequences(connection, tables)
    # An empty word: anything may have happened, look anew.
    notify(connection, "")
    return Restored({name: part.rows for name, part in file.manifest.tables.items()}, before)


def _keep(
    connection: Connection, tables: Sequence[sa.Table], backups: Path, revision: str
) -> Path | None:
    """A backup of what is there; ``None`` where that is nothing."""
    if not any(connection.scalar(sa.select(sa.exists().select_from(t))) for t in tables):
        return None
    path = dated(backups, _BEFORE)
    with BackupWriter(path) as writer:
        write_tables(connection, writer, [t.name for t in tables], revision, no_progress)
    return path


def _fill(
    connection: Connection,
    table: sa.Table,
    file: BackupFile,
    offsets: Mapping[str, int],
    progress: Progress,
) -> None:
    part = file.manifest.tables[table.name]
    columns = list(part.columns)
    if set(columns) != {column.name for column in table.columns}:
        raise InvalidRequest(
            f"'{file.path}' has other columns in '{table.name}' than schema "
            f"{file.manifest.schema}.",
            hint="Nothing was changed. Take another backup.",
        )
    moved = _moved(table, columns, offsets)
    executor = columns.index("executor") if "executor" in columns else None
    batch: list[dict[str, Any]] = []
    done = 0
    progress(table.name, 0, part.rows)
    for row in file.rows(table.name):
        for place, offset in moved.items():
            if row[place] is not None:
                row[place] += offset
        if executor is not None and row[executor] is not None:
            row[executor] = _NOBODY
        batch.append(dict(zip(columns, row, strict=True)))
        if len(batch) == _BATCH:
            connection.execute(sa.insert(table), batch)
            done += len(batch)
            batch = []
            progress(table.name, done, part.rows)
    if batch:
        connection.execute(sa.insert(table), batch)
    progress(table.name, part.rows, part.rows)


def _moved(table: sa.Table, columns: list[str], offsets: Mapping[str, int]) -> dict[int, int]:
    """By how much the values of a column grow, where they are keys."""
    names = {"key": table.name} if table.name in offsets else {}
    for column in table.columns:
        for reference in column.foreign_keys:
            names[column.name] = reference.column.table.name
    return {columns.index(name): offsets.get(target, 0) for name, target in names.items()}


def _last_key(connection: Connection, table: sa.Table) -> int:
    """The highest key that was ever given out."""
    if connection.dialect.name == "sqlite":
        found = connection.exec_driver_sql(
            "SELECT seq FROM sqlite_sequence WHERE name = ?", (table.name,)
        ).scalar()
        return int(found or 0)
    sequence = _sequence(connection, table)
    last, is_called = connection.exec_driver_sql(
        f"SELECT last_value, is_called FROM {sequence}"
    ).one()
    return int(last) if is_called else int(last) - 1


def _set_sequences(connection: Connection, tables: Sequence[sa.Table]) -> None:
    """Let the next key be a new one; SQLite does so by itself."""
    if connection.dialect.name == "sqlite":
        return
    for table in tables:
        if "key" in table.columns:
            last = connection.scalar(sa.select(sa.func.max(table.c.key)))
            if last is not None:
                connection.execute(sa.select(sa.func.setval(_sequence(connection, table), last)))


def _sequence(connection: Connection, table: sa.Table) -> str:
    found = connection.scalar(sa.select(sa.func.pg_get_serial_sequence(table.name, "key")))
    assert found is not None
    return str(found)


@contextlib.contextmanager
def _brought_up(file: BackupFile, backups: Path, schema: Schema) -> Iterator[BackupFile]:
    """The same data in the newest schema: an SQLite database on the side takes it there."""
    make_folder(backups)
    with tempfile.TemporaryDirectory(dir=backups, prefix=".restore-") as folder:
        aside = Database(database_url(None, Path(folder)))
        try:
            aside.rebuild_now(_migrate_aside, file, schema)
            path = Path(folder) / "upgraded.zip"
            with BackupWriter(path) as writer:
                aside.read_now(back_up, writer, schema=schema)
        finally:
            aside.close()
        with BackupFile(path) as upgraded:
            yield upgraded


def _migrate_aside(connection: Connection, file: BackupFile, schema: Schema) -> None:
    schema.migrate(connection, file.manifest.schema)
    for table in reflected(connection, list(file.manifest.tables)):
        _fill(connection, table, file, {}, no_progress)
    schema.migrate(connection, "head")
