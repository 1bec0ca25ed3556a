"""What the database does for lists, on SQLite and on PostgreSQL."""

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from structlog.testing import capture_logs

from novasystem.benchmarks.records import Benchmark
from novasystem.benchmarks.stores import Query
from novasystem.benchmarks.stores.bitmaps import CHUNK
from novasystem.benchmarks.stores.sql import SqlStore
from novasystem.benchmarks.stores.sql_lists import page
from novasystem.errors import StorageUnavailable
from novasystem.storage.database import Database, database_url
from novasystem.storage.tables import (
    benchmark_bodies,
    benchmark_owners,
    benchmark_samples,
    benchmark_terms,
    benchmarks,
)
from tests.benchmarks.stores.made import BEGIN, made, result, sample
from tests.benchmarks.stores.test_contract import SORTS, expected, history
from tests.storage.databases import address, database

__all__ = ["address", "database"]


def walked(connection: Connection, query: Query) -> tuple[list[str], int]:
    """The page as an index gives it, however few there are."""
    found, total = page(connection, query, few=0)
    return [one for one, _ in found], total


def queries() -> Iterator[Query]:
    at = BEGIN + datetime.timedelta(microseconds=4)
    late = BEGIN + datetime.timedelta(microseconds=15)
    for sort in SORTS:
        for descending in (True, False):
            for archived in (False, None):
                for offset in (0, 25, 45, 100):
                    yield Query(sort=sort, descending=descending, offset=offset, limit=9,
                                archived=archived)  # fmt: skip
                filters: dict[str, Any]
                for filters in (
                    {"model": "m"},
                    {"text": "what"},
                    {"since": at, "until": late},
                    {"since": at, "success": True},
                    {"until": late, "text": "is", "offset": 3},
                ):
                    yield Query(sort=sort, descending=descending, archived=archived,
                                **filters)  # fmt: skip


async def test_an_index_gives_the_same_page_as_sorting_does(database: Database) -> None:
    all_of_them = history()
    store = SqlStore(database)
    # Another owner's, whose numbers are others.
    for n in range(80):
        await store.put(made(f"bench_{n}", owner_id="other"))
    for one in all_of_them:
        await store.put(one)

    def compare(connection: Connection) -> None:
        for query in queries():
            assert walked(connection, query) == expected(all_of_them, query), query

    database.read_now(compare)


@pytest.mark.parametrize("sort", SORTS)
async def test_an_index_gives_every_page_after_another(database: Database, sort: str) -> None:
    all_of_them = history()[:30]
    store = SqlStore(database)
    for one in all_of_them:
        await store.put(one)

    def compare(connection: Connection) -> None:
        for descending in (True, False):
            for one in all_of_them[::2]:
                query = Query(sort=sort, descending=descending, after=one.id,  # type: ignore[arg-type]
                              archived=None, limit=11)  # fmt: skip
                assert walked(connection, query) == expected(all_of_them, query), query

    database.read_now(compare)


async def test_the_sets_of_numbers_go_on_beyond_their_first_chunk(database: Database) -> None:
    store = SqlStore(database)
    await store.put(made("bench_a", prompt="some words alone"))

    def grow(connection: Connection) -> None:
        connection.execute(sa.update(benchmark_owners).values(next_number=3 * CHUNK - 1))

    database.write_now(grow)
    later = [made(f"bench_{one}", prompt="some words more") for one in "bcd"]
    for one in later:
        await store.put(one)
    for query, found in (
        (Query(text="som wor"), 4),
        (Query(text="more"), 3),
        (Query(text="alone"), 1),
        (Query(text="words", success=True, archived=None), 4),
    ):
        assert (await store.list(query)).total == found
        assert database.read_now(walked, query)[1] == found
    assert await store.delete("local", "bench_c")
    assert (await store.list(Query(text="more"))).total == 2


async def test_a_time_is_found_among_hours_days_and_months(database: Database) -> None:
    """The sets of stretches of time, and what is looked at one by one at their ends."""
    store = SqlStore(database)
    step = datetime.timedelta(hours=7, minutes=50)
    at = [BEGIN - datetime.timedelta(days=40) + number * step for number in range(300)]
    # Not in the order of time, as where older ones are taken in.
    numbers = [*range(150, 300), *range(150)]
    all_of_them = [
        made(f"bench_{number}", timestamp=at[number], results=(result("m", ttft_s=number % 7),))
        for number in numbers
    ]
    for one in all_of_them:
        await store.put(one)
    # One is found anew where it has moved to.
    all_of_them[3] = made(all_of_them[3].id, timestamp=at[0])
    await store.put(all_of_them[3])
    minute = datetime.timedelta(minutes=1)
    spans = [
        (at[5], at[6]),
        (at[5] + minute, at[6] - minute),
        (at[5] - minute, None),
        (None, at[290]),
        (at[17], at[250] + minute),
        (at[0], at[299] + minute),
        (at[299] + minute, None),
        (None, at[0]),
        (datetime.datetime.min.replace(tzinfo=datetime.UTC), None),
    ]
    for since, until in spans:
        for sort in SORTS:
            for descending in (True, False):
                query = Query(since=since, until=until, sort=sort, descending=descending)
                found = await store.list(query)
                wanted = expected(all_of_them, query)
                assert ([one.id for one in found.benchmarks], found.total) == wanted, query
                assert database.read_now(walked, query) == wanted, query
    for one in all_of_them:
        await store.delete("local", one.id)
    assert (
        database.read_now(lambda c: c.scalar(sa.select(sa.func.count(benchmark_terms.c.term)))) == 0
    )


async def test_what_is_deleted_leaves_no_row(database: Database) -> None:
    store = SqlStore(database)
    await store.put(made(prompt="some words"))
    await store.add_samples("local", "bench_1", [sample(1)])
    await store.delete("local", "bench_1")

    def count(connection: Connection, table: sa.Table) -> int:
        return connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0

    for table in (benchmarks, benchmark_bodies, benchmark_samples, benchmark_terms):
        assert database.read_now(count, table) == 0, table.name


async def test_samples_lie_in_rows_of_many(database: Database) -> None:
    store = SqlStore(database)
    await store.put(made())
    for n in range(20):
        await store.add_samples("local", "bench_1", [sample(n)])
    await store.add_samples("local", "bench_1", [sample(n) for n in range(20, 1000)])

    def rows(connection: Connection) -> list[tuple[int, int]]:
        columns = benchmark_samples.c
        size = sa.func.length(columns.data)
        return [(row[0], row[1]) for row in connection.execute(sa.select(columns.samples, size))]

    found = database.read_now(rows)
    assert sum(count for count, _ in found) == 1000
    assert len(found) == 4
    assert sum(size for _, size in found) < 150 * 1000


async def test_a_record_that_is_damaged_is_left_out_with_a_warning(database: Database) -> None:
    store = SqlStore(database)
    for name in ("a", "b", "c", "d"):
        await store.put(made(f"bench_{name}"))
    await store.add_samples("local", "bench_d", [sample(n) for n in range(300)])

    def damage(connection: Connection) -> None:
        keys = {row.id: row.key for row in connection.execute(sa.select(benchmarks))}
        for name, changed in (
            ("bench_a", {"light": b"\0not JSON", "whole": b"\0nor packed"}),
            ("bench_b", {"light": b'{"id": "bench_b"}', "whole": b'{"id": "bench_b"'}),
        ):
            mine = benchmark_bodies.c.benchmark_key == keys[name]
            connection.execute(sa.update(benchmark_bodies).where(mine).values(**changed))
        first = sa.update(benchmark_samples).where(benchmark_samples.c.seq == 0)
        connection.execute(first.values(data=b"\0"))

    database.write_now(damage)
    for query in (Query(descending=False), Query(descending=False, whole=True)):
        with capture_logs() as said:
            found = await store.list(query)
        assert [one.id for one in found.benchmarks] == ["bench_c", "bench_d"]
        assert {line["benchmark_id"] for line in said} == {"bench_a", "bench_b"}
        assert {line["log_level"] for line in said} == {"warning"}
    with capture_logs() as said:
        assert await store.get("local", "bench_a") is None
        assert len(await store.samples("local", "bench_d")) == 300 - 256
    assert [line["log_level"] for line in said] == ["warning", "warning"]
    # It can be put anew, and be deleted.
    await store.put(made("bench_a"))
    assert await store.get("local", "bench_a") == made("bench_a")
    assert await store.delete("local", "bench_b")


async def test_a_database_that_cannot_be_reached_is_told(tmp_path: Path) -> None:
    gone = Database(database_url("postgresql://nova@127.0.0.1:1/nothing", tmp_path))
    store = SqlStore(gone)
    stored: Benchmark = made()
    for call in (store.check(), store.put(stored), store.get("local", "a"), store.list(Query())):
        with pytest.raises(StorageUnavailable):
            await call
    gone.close()
