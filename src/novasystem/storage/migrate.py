"""Brings the schema to what this program expects, with a backup of the data as it was."""

from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from novasystem.errors import ConfigurationError, NovaError
from novasystem.storage.backup import dated, no_progress, prune, write_tables
from novasystem.storage.database import Database
from novasystem.storage.portable import BackupWriter, Progress
from novasystem.storage.schema import SCHEMA, Schema, current_revision, lock_tables

__all__ = ["Upgraded", "upgrade"]

# Any number that nobody else takes: PostgreSQL's advisory locks have one space for all.
_LOCK = 0x4E4F5641
_BEFORE = "before-upgrade"


@dataclass(frozen=True, slots=True)
class Upgraded:
    """``before``: the revision that there was, if any; ``backup``: of the data as it was."""

    before: str | None
    after: str
    backup: Path | None = None


def upgrade(
    database: Database,
    backups: Path,
    *,
    schema: Schema = SCHEMA,
    progress: Progress = no_progress,
) -> Upgraded:
    """Bring the schema up to date, in one transaction that others wait for.

    What an older schema holds is written into the folder ``backups`` first. Raises
    ``ConfigurationError`` for a schema that a newer version of the program has made, and where the
    upgrade fails; then nothing is changed.
    """
    found = database.read_now(current_revision)
    if found == schema.head:
        return Upgraded(found, found)
    made: list[Path] = []
    try:
        done = database.rebuild_now(_upgrade, backups, schema, progress, made)
    except NovaError as error:
        if made:
            error.message = _failed(found, schema, error.message)
            error.hint = _lies(made)
        raise
    except Exception as error:
        if found is None:
            raise
        said = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ConfigurationError(_failed(found, schema, f"{said}."), hint=_lies(made)) from error
    if made:
        prune(backups, _BEFORE)
    return done


def _failed(found: str | None, schema: Schema, why: str) -> str:
    ways = f"from schema {found} to {schema.head}"
    return f"The data could not be brought {ways}: {why} Nothing was changed."


def _lies(made: list[Path]) -> str:
    """It may have been tried more than once: the last one is of the data as it is."""
    backup = f"A backup lies at {made[-1]}. " if made else ""
    return f"{backup}The version that wrote the data still works with it."


def _upgrade(
    connection: Connection, backups: Path, schema: Schema, progress: Progress, made: list[Path]
) -> Upgraded:
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    found = current_revision(connection)
    if found is None:
        schema.create(connection)
        return Upgraded(None, schema.head)
    schema.refuse_newer(found)
    if found == schema.head:
        return Upgraded(found, found)
    tables = schema.tables_of(found)
    lock_tables(connection, tables)
    path = dated(backups, f"{_BEFORE}-from-{found}")
    with BackupWriter(path) as writer:
        write_tables(connection, writer, tables, found, progress)
    made.append(path)
    schema.migrate(connection, "head")
    return Upgraded(found, schema.head, path)
