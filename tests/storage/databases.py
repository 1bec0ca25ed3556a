"""The databases that a test runs on: each of its kinds, empty but for the schema."""

import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import URL, Connection

from novasystem.storage.database import Database, database_url
from novasystem.storage.migrate import upgrade
from novasystem.storage.tables import metadata
from tests.servers.postgres import PostgresServer

__all__ = ["address", "database", "empty", "make_schema", "on_postgres", "postgres_address"]


def make_schema(url: URL, folder: Path) -> None:
    database = Database(url)
    try:
        upgrade(database, folder / "backups")
    finally:
        database.close()


def empty(database: Database) -> None:
    """Take every row away."""

    def clear(connection: Connection) -> None:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())

    database.write_now(clear)


@pytest.fixture(scope="module")
def on_postgres(
    postgres: PostgresServer,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[URL]:
    """A database of this module's own, with the schema."""
    module = re.sub(r"\W", "_", request.module.__name__.rpartition(".")[2])
    name = f"{module}_{uuid.uuid4().hex[:8]}"
    url = database_url(postgres.new_database(name), Path())
    make_schema(url, tmp_path_factory.mktemp("postgres"))
    yield url
    postgres.drop_database(name)


@pytest.fixture
def postgres_address(on_postgres: URL) -> URL:
    """The module's database in PostgreSQL, empty."""
    database = Database(on_postgres)
    empty(database)
    database.close()
    return on_postgres


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> URL:
    """Where an empty database is, of each kind in turn."""
    if request.param == "postgresql":
        found: URL = request.getfixturevalue("postgres_address")
        return found
    url = database_url(None, tmp_path)
    make_schema(url, tmp_path)
    return url


@pytest.fixture
def database(address: URL) -> Iterator[Database]:
    opened = Database(address)
    yield opened
    opened.close()
