"""Brings the schema to what this program expects, or refuses to work with one that is newer."""

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from novasystem.errors import ConfigurationError
from novasystem.storage.database import Database
from novasystem.storage.tables import metadata

__all__ = ["HEAD", "current_revision", "revisions", "upgrade"]

MIGRATIONS = Path(__file__).parent / "migrations"
# Any number that nobody else takes: PostgreSQL's advisory locks have one space for all.
_LOCK = 0x4E4F5641
_version = sa.table("alembic_version", sa.column("version_num", sa.String))


def revisions() -> list[str]:
    """Those that this program knows, oldest first: the numbers that the files begin with."""
    return sorted(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("0*.py"))


HEAD = revisions()[-1]


def current_revision(connection: Connection) -> str | None:
    """The schema's revision; ``None`` where there is none yet."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(sa.select(_version.c.version_num))
    return found


def upgrade(database: Database) -> str | None:
    """Bring the schema up to date, in one transaction that others wait for.

    Returns the revision that it had before. Raises ``ConfigurationError`` for a schema that a
    newer version of the program has made.
    """
    found = database.read_now(current_revision)
    if found == HEAD:
        return found
    return database.write_now(_upgrade)


def _upgrade(connection: Connection) -> str | None:
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    found = current_revision(connection)
    if found is None:
        # What the migrations would make; a test compares the two.
        metadata.create_all(connection)
        connection.execute(sa.text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
        connection.execute(sa.insert(_version).values(version_num=HEAD))
    elif found not in revisions():
        raise ConfigurationError(
            f"The data was written by a newer version of NovaSystem (schema {found}; this one "
            f"knows {HEAD}).",
            hint="Install that version, or restore a backup that this one made.",
        )
    elif found != HEAD:
        _run_alembic(connection)
    return found


def _run_alembic(connection: Connection) -> None:
    # Half a second to import, and needed once in the life of a schema.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
