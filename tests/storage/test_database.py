"""What a database does for its callers: one transaction a call, and errors that can be told."""

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection

from novasystem.errors import ConfigurationError, StorageFull, StorageUnavailable
from novasystem.storage.database import Database, database_url
from novasystem.storage.lock import ServerLock
from novasystem.storage.tables import threads
from novasystem.threads import store
from novasystem.threads.records import NewItem
from tests.servers.postgres import PostgresServer
from tests.storage.databases import make_schema


def count(connection: Connection) -> int:
    counted = sa.select(sa.func.count()).select_from(threads)
    return connection.execute(counted).scalar_one()


def execute(connection: Connection, statement: str) -> list[tuple[object, ...]]:
    return [tuple(row) for row in connection.execute(sa.text(statement))]


async def test_what_raises_leaves_nothing(database: Database) -> None:
    def work(connection: Connection) -> None:
        store.create(connection, "t", "local")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await database.write(work)
    assert await database.read(count) == 0


async def test_a_read_sees_one_state(database: Database) -> None:
    begun, written = threading.Event(), threading.Event()

    def twice(connection: Connection) -> tuple[int, int]:
        before = count(connection)
        begun.set()
        written.wait(10)
        return before, count(connection)

    reading = asyncio.create_task(database.read(twice))
    await asyncio.to_thread(begun.wait, 10)
    await database.write(store.create, "t", "local")
    written.set()
    assert await reading == (0, 0)
    assert await database.read(count) == 1


async def test_a_caller_that_is_cancelled_waits_until_it_is_known(database: Database) -> None:
    begun, go = threading.Event(), threading.Event()

    def work(connection: Connection) -> None:
        begun.set()
        go.wait(10)
        store.create(connection, "t", "local")

    writing = asyncio.create_task(database.write(work))
    await asyncio.to_thread(begun.wait, 10)
    writing.cancel()
    await asyncio.sleep(0.05)
    writing.cancel()
    assert not writing.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert await database.read(count) == 1


async def test_writers_do_not_lose_each_others_changes(database: Database) -> None:
    thread = await database.write(store.create, "t", "local")
    await asyncio.gather(
        *(
            database.write(store.add, thread.key, [NewItem("message", str(n), role="user")])
            for n in range(60)
        )
    )
    found = await database.read(store.list_items, thread.key, limit=100)
    assert [item.position for item in found] == list(range(1, 61))


async def test_a_mistake_of_ours_is_not_the_databases_fault(database: Database) -> None:
    for statement in ("SELECT nothing FROM threads", "SELEC 1", "SELECT * FROM nowhere"):
        with pytest.raises(sa.exc.DBAPIError):
            await database.read(execute, statement)
    twice = {"id": "t", "owner_id": "o", "created_at": 0, "updated_at": 0, "metadata": "{}"}
    columns, values = ", ".join(twice), ", ".join(f":{name}" for name in twice)
    insert = sa.text(f"INSERT INTO threads ({columns}, last_position) VALUES ({values}, 0)")
    with pytest.raises(sa.exc.IntegrityError):
        await database.write(lambda c: [c.execute(insert, twice) for _ in range(2)])
    assert await database.read(count) == 0


async def test_a_value_that_cannot_be_sent_is_not_the_databases_fault(
    postgres_address: URL,
) -> None:
    """Who takes it for an outage tries again for ever."""
    database = Database(postgres_address)
    with pytest.raises(sa.exc.DataError, match="NUL"):
        await database.write(store.create, "a\x00b", "local")
    await database.aclose()


# SQLite


@pytest.fixture
def file(tmp_path: Path) -> Path:
    make_schema(database_url(None, tmp_path), tmp_path)
    return tmp_path / "nova.db"


def at(path: Path) -> Database:
    return Database(URL.create("sqlite", database=str(path)))


@pytest.mark.timeout(60)
async def test_a_file_that_stays_locked(file: Path) -> None:
    database = at(file)
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        # Reading goes on meanwhile.
        assert await database.read(count) == 0
        with pytest.raises(StorageUnavailable, match="locked") as caught:
            await database.write(store.create, "t", "local")
        assert str(file) in str(caught.value)
    finally:
        other.execute("ROLLBACK")
        other.close()
    await database.write(store.create, "t", "local")
    await database.aclose()


async def test_a_full_disk(file: Path) -> None:
    database = at(file)
    thread = await database.write(store.create, "t", "local")

    def fill(connection: Connection) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages + 10}")
        store.add(connection, thread.key, [NewItem("message", "x" * 100_000, role="user")])

    with pytest.raises(StorageFull, match="no room left") as caught:
        await database.write(fill)
    assert str(file) in str(caught.value)
    # Reading goes on, and so does writing once there is room.
    assert await database.read(count) == 1
    await database.write(lambda c: c.exec_driver_sql("PRAGMA max_page_count=100000").scalar_one())
    await database.write(store.add, thread.key, [NewItem("message", "x" * 100_000, role="user")])
    await database.aclose()


@pytest.mark.parametrize("content", [b"this is no database " * 100, b"SQLite format 3\x00junk"])
async def test_a_file_that_is_no_database(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "nova.db"
    path.write_bytes(content)
    database = at(path)
    with pytest.raises(StorageUnavailable) as caught:
        await database.read(count)
    assert str(path) in str(caught.value)
    await database.aclose()


async def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    database = at(tmp_path / "missing" / "nova.db")
    with pytest.raises(StorageUnavailable, match="missing"):
        await database.read(count)
    await database.aclose()


def test_the_pragmas_are_those_that_the_data_needs(file: Path) -> None:
    database = at(file)
    for run in (database.read_now, database.write_now):
        found = {
            name: run(execute, f"PRAGMA {name}")[0][0]
            for name in ("journal_mode", "foreign_keys", "busy_timeout")
        }
        assert found == {"journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 10_000}
    database.close()


def test_one_server_a_file(file: Path) -> None:
    first, second = ServerLock(str(file)), ServerLock(str(file))
    first.acquire()
    with pytest.raises(ConfigurationError, match="Another server"):
        second.acquire()
    first.release()
    second.acquire()
    second.release()


# PostgreSQL


async def test_a_server_that_is_not_there() -> None:
    database = Database(database_url("postgresql://nova@127.0.0.1:1/nova", Path()))
    with pytest.raises(StorageUnavailable, match=r"127\.0\.0\.1"):
        await database.read(count)
    await database.aclose()


async def test_a_password_is_in_no_message() -> None:
    database = Database(database_url("postgresql://nova:secret@127.0.0.1:1/nova", Path()))
    with pytest.raises(StorageUnavailable) as caught:
        await database.write(count)
    assert "secret" not in str(caught.value) + caught.value.hint
    await database.aclose()


async def test_connections_that_the_server_cut_are_made_again(
    postgres_address: URL, postgres: PostgresServer
) -> None:
    database = Database(postgres_address)
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "
    for number in range(3):
        await database.write(store.create, f"t{number}", "local")
        await database.read(count)
        postgres.execute(f"{cut} '{postgres_address.database}'")
    assert await database.read(count) == 3
    await database.aclose()


async def test_a_connection_that_breaks_in_the_middle(
    postgres_address: URL, postgres: PostgresServer
) -> None:
    database = Database(postgres_address)

    def work(connection: Connection) -> None:
        store.create(connection, "t", "local")
        [pid] = connection.exec_driver_sql("SELECT pg_backend_pid()").one()
        postgres.execute(f"SELECT pg_terminate_backend({pid})")
        store.create(connection, "u", "local")

    with pytest.raises(StorageUnavailable):
        await database.write(work)
    assert await database.read(count) == 0
    await database.aclose()


async def test_two_that_wait_for_each_other_both_get_through(postgres_address: URL) -> None:
    database = Database(postgres_address)
    keys = [(await database.write(store.create, name, "local")).key for name in "ab"]
    both = threading.Barrier(2, timeout=20)
    tries = []

    def work(connection: Connection, first: int, second: int) -> None:
        tries.append(first)
        store.update(connection, first, metadata={"by": str(first)})
        if len(tries) <= 2:
            both.wait()
        store.update(connection, second, metadata={"by": str(first)})

    await asyncio.gather(
        database.write(work, keys[0], keys[1]), database.write(work, keys[1], keys[0])
    )
    # They may meet again, where the one that is tried anew is quicker than the one that waits.
    assert len(tries) > 2
    found = [await database.read(store.get, key) for key in keys]
    assert len({thread.metadata["by"] for thread in found if thread is not None}) == 1
    await database.aclose()


async def test_more_callers_than_connections(database: Database) -> None:
    found = await asyncio.gather(*(database.read(count) for _ in range(50)))
    assert found == [0] * 50


def test_a_full_tablespace_is_told_as_such(postgres_address: URL) -> None:
    database = Database(postgres_address)

    def work(connection: Connection) -> None:
        connection.exec_driver_sql(
            "DO $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$"
        )

    with pytest.raises(StorageFull):
        database.write_now(work)
    database.close()


# Addresses


@pytest.mark.parametrize(
    ("given", "driver"),
    [
        ("postgresql://u@h/d", "postgresql+psycopg"),
        ("postgres://u@h/d", "postgresql+psycopg"),
        ("postgresql+asyncpg://u@h/d", "postgresql+psycopg"),
        ("sqlite:////a/b.db", "sqlite"),
        ("sqlite+aiosqlite:////a/b.db", "sqlite"),
    ],
)
def test_addresses_of_both_kinds(given: str, driver: str) -> None:
    assert database_url(given, Path("/data")).drivername == driver


@pytest.mark.parametrize("given", ["mysql://u@h/d", "no address", "sqlite://", "", "://"])
def test_other_addresses_are_refused(given: str) -> None:
    with pytest.raises(ConfigurationError):
        database_url(given, Path("/data"))


def test_no_address_is_a_file_in_the_data_folder() -> None:
    assert database_url(None, Path("/data")).database == "/data/nova.db"
