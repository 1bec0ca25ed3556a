"""Where the data lies that servers are killed on: SQLite, and a real PostgreSQL."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from novasystem.storage.database import database_url
from tests.http.figures import state
from tests.servers.postgres import PostgresServer

__all__ = ["Place", "state"]


@dataclass(frozen=True)
class Place:
    """``url``: for our own eyes; ``environment``: for the server's."""

    name: str
    folder: Path
    url: str
    environment: dict[str, str]


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "sqlite":
        url = database_url(None, tmp_path / "data")
        yield Place("sqlite", tmp_path, str(url), {})
        return
    postgres: PostgresServer = request.getfixturevalue("postgres")
    name = f"crash_{abs(hash(request.node.name)) % 10**9}"
    address = postgres.new_database(name)
    url = database_url(address, tmp_path)
    shown = url.render_as_string(hide_password=False)
    yield Place("postgres", tmp_path, shown, {"NOVA_DATABASE_URL": address})
    postgres.drop_database(name)
