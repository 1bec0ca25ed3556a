"""One server before a scripted engine for most tests of this folder, on each of the databases."""

from collections.abc import Iterator

import pytest

from tests.assistants.asking import Asker
from tests.http.doors import Door, open_door
from tests.http.figures import state
from tests.servers.postgres import PostgresServer

__all__ = ["asker", "door", "state"]


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def door(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Door]:
    settings = {}
    if request.param == "postgres":
        postgres: PostgresServer = request.getfixturevalue("postgres")
        settings["NOVA_DATABASE_URL"] = postgres.new_database("assistants")
    with open_door(tmp_path_factory.mktemp("door"), settings) as opened:
        yield opened


@pytest.fixture
def asker(door: Door) -> Asker:
    return Asker(door)
