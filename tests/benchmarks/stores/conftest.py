"""Every store, each empty at the begin of a test."""

import gc
import itertools
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from novasystem.benchmarks.stores import BenchmarkStore, Places, StoreKind, find_store
from novasystem.storage.database import Database, database_url
from tests.servers.mongo import MongoServer, find_mongo, mongo_server
from tests.storage.databases import make_schema, on_postgres, postgres_address

__all__ = ["on_postgres", "postgres_address"]

KINDS = ("sqlite", "postgresql", "files", "mongo")
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def mongo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    """A server that speaks MongoDB's protocol, shared: each test has a database of its own."""
    if find_mongo() is None:
        pytest.skip("no server that speaks MongoDB's protocol: run `make mongo`, which needs Go")
    with mongo_server(tmp_path_factory.mktemp("mongo")) as server:
        yield server


@pytest.fixture
def collected() -> Iterator[None]:
    """pymongo leaves the socket of a try to connect that is cut short to the garbage collector,
    whose warning would fail whatever test comes then."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def find(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Callable[[], BenchmarkStore]]:
    """Finds the test's store, each time as another process would."""
    databases: list[Database] = []
    url = database_url(None, tmp_path)
    if kind == "postgresql":
        url = request.getfixturevalue("postgres_address")
    elif kind == "sqlite":
        make_schema(url, tmp_path)
    mongo_url = None
    if kind == "mongo":
        server: MongoServer = request.getfixturevalue("mongo")
        mongo_url = server.database(f"nova_test_{next(_numbers)}")
    name: StoreKind = "sql"
    if kind == "files":
        name = "files"
    elif kind == "mongo":
        name = "mongo"

    def found() -> BenchmarkStore:
        databases.append(Database(url))
        return find_store(name, Places(databases[-1], tmp_path / "benchmarks", mongo_url))

    yield found
    for database in databases:
        database.close()


@pytest.fixture
async def store(find: Callable[[], BenchmarkStore]) -> AsyncIterator[BenchmarkStore]:
    opened = find()
    await opened.open()
    yield opened
    await opened.aclose()
