"""Words between processes on PostgreSQL: all of them, once their transaction is committed."""

import asyncio
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection

from novasystem.storage.database import Database, database_url
from novasystem.storage.notices import Notices, notify
from tests.runs.working import until
from tests.storage.databases import make_schema


async def test_words_come_with_the_commit_and_not_without(postgres_address: URL) -> None:
    database = Database(postgres_address)
    heard: list[str] = []
    notices = Notices(database, heard.append)
    await notices.open()

    def fails(connection: Connection) -> None:
        notify(connection, "never")
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        await database.write(fails)
    await database.write(notify, "one", "two")
    await until(lambda: len(heard) >= 2)
    assert heard == ["one", "two"]
    await notices.aclose()
    await database.aclose()


async def test_any_number_of_words(postgres_address: URL) -> None:
    database = Database(postgres_address)
    heard: list[str] = []
    notices = Notices(database, heard.append)
    await notices.open()
    words = [f"events run_{number:024d}" for number in range(2_000)]
    await database.write(notify, *words)
    await until(lambda: len(heard) >= len(words))
    assert heard == words
    await notices.aclose()
    await database.aclose()


async def test_a_lost_connection_is_made_again_and_said(postgres_address: URL) -> None:
    database = Database(postgres_address)
    heard: list[str] = []
    notices = Notices(database, heard.append)
    await notices.open()
    cut = sa.text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND query LIKE 'LISTEN%'"
    )
    await database.write(lambda c: c.execute(cut).all())
    await until(lambda: "" in heard)
    await database.write(notify, "after")
    await until(lambda: "after" in heard)
    await notices.aclose()
    await database.aclose()


async def test_there_is_nobody_to_tell_with_sqlite(tmp_path: Path) -> None:
    url = database_url(None, tmp_path)
    make_schema(url, tmp_path)
    database = Database(url)
    heard: list[str] = []
    notices = Notices(database, heard.append)
    await notices.open()
    await database.write(notify, "word")
    await asyncio.sleep(0.05)
    assert heard == []
    await notices.aclose()
    await database.aclose()
