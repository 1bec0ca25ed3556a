"""The schema that this program expects, the one that a database has, and the way from it."""

import functools
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from novasystem.errors import ConfigurationError
from novasystem.storage.tables import metadata

__all__ = ["SCHEMA", "Schema", "current_revision", "lock_tables"]

MIGRATIONS = Path(__file__).parent / "migrations"
_version = sa.table("alembic_version", sa.column("version_num", sa.String))


@dataclass(frozen=True)
class Schema:
    """What a program expects: its tables, and the revisions that lead there from older ones."""

    versions: Path
    metadata: sa.MetaData

    @functools.cached_property
    def revisions(self) -> list[str]:
        """Those that are known, oldest first: the numbers that the files begin with."""
        return sorted(path.name.partition("_")[0] for path in self.versions.glob("0*.py"))

    @property
    def head(self) -> str:
        return self.revisions[-1]

    def tables_of(self, revision: str) -> Collection[str]:
        """The names of the tables that a known revision has."""
        if revision == self.head:
            return list(self.metadata.tables)
        engine = sa.create_engine("sqlite://")
        with engine.begin() as connection:
            self.migrate(connection, revision)
            # An index of words is a table to SQLite, with others behind it; all made of our own.
            listed = connection.exec_driver_sql("PRAGMA table_list").mappings()
            names = [row["name"] for row in listed if row["type"] == "table"]
        engine.dispose()
        return [n for n in names if n != _version.name and not n.startswith("sqlite_")]

    def create(self, connection: Connection) -> None:
        """Everything at once, in an empty database: what the migrations would make as well."""
        taken = set(sa.inspect(connection).get_table_names()) & set(self.metadata.tables)
        if taken:
            raise ConfigurationError(
                f"The database holds tables of another program: {', '.join(sorted(taken))}.",
                hint="Give NovaSystem a database of its own.",
            )
        self.metadata.create_all(connection)
        connection.execute(sa.text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
        connection.execute(sa.insert(_version).values(version_num=self.head))

    def migrate(self, connection: Connection, revision: str) -> None:
        """Run the migrations as far as ``revision``, in the transaction of ``connection``."""
        # Half a second to import, and needed once in the life of a schema.
        from alembic import command
        from alembic.config import Config

        config = Config()
        for name, value in {
            "script_location": str(MIGRATIONS),
            "version_locations": str(self.versions),
            "path_separator": "newline",
        }.items():
            config.set_main_option(name, value.replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)

    def refuse_newer(self, found: str, what: str = "The data") -> None:
        """Raises ``ConfigurationError`` for a revision that is not known."""
        if found not in self.revisions:
            raise ConfigurationError(
                f"{what} was written by a newer version of NovaSystem (schema {found}; this one "
                f"knows {self.head}).",
                hint="Install that version, or restore a backup that this one made.",
            )


SCHEMA = Schema(MIGRATIONS / "versions", metadata)
"""This program's own."""


def current_revision(connection: Connection) -> str | None:
    """The schema's revision; ``None`` where there is none yet."""
    if not sa.inspect(connection).has_table(_version.name):
        return None
    found: str | None = connection.scalar(sa.select(_version.c.version_num))
    return found


def lock_tables(connection: Connection, tables: Collection[str]) -> None:
    """Keep others from writing until the end; they can read. SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        quote = connection.dialect.identifier_preparer.quote
        names = ", ".join(quote(name) for name in sorted(tables))
        connection.execute(sa.text(f"LOCK TABLE {names} IN EXCLUSIVE MODE"))
