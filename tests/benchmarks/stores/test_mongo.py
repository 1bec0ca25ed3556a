"""What is special about MongoDB."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from structlog.testing import capture_logs

from novasystem.benchmarks.stores import Places, Query, find_store
from novasystem.benchmarks.stores.mongo import MongoStore
from novasystem.errors import ConfigurationError, StorageUnavailable
from novasystem.storage.database import Database, database_url
from tests.benchmarks.stores.made import made, sample
from tests.servers.mongo import MongoServer, mongo_server

pytestmark = pytest.mark.usefixtures("collected")


async def test_the_indexes_are_there(mongo: MongoServer) -> None:
    address = mongo.database("nova_test_indexes")
    store = MongoStore(address)
    await store.open()
    await store.open()
    await store.aclose()
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(address)
    found = await client["nova_test_indexes"]["benchmarks"].index_information()
    await client.close()
    keys = {tuple(name for name, _ in index["key"]) for index in found.values()}
    assert ("owner", "at_us", "id") in keys
    for metric in ("ttft_s", "tokens_per_s", "total_s"):
        assert ("owner", f"no_{metric}", metric, "id") in keys
    assert ("owner", "models", "at_us") in keys
    assert ("owner", "words", "at_us") in keys


async def test_samples_lie_in_documents_of_many(mongo: MongoServer) -> None:
    address = mongo.database("nova_test_pieces")
    store = MongoStore(address)
    await store.put(made())
    for n in range(10):
        await store.add_samples("local", "bench_1", [sample(n)])
    await store.add_samples("local", "bench_1", [sample(n) for n in range(10, 600)])
    await store.aclose()
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(address)
    assert await client["nova_test_pieces"]["benchmark_samples"].count_documents({}) == 3
    await client.close()


async def test_processes_that_add_at_the_same_time_lose_nothing(mongo: MongoServer) -> None:
    address = mongo.database("nova_test_processes")
    store = MongoStore(address)
    await store.put(made())
    lots = 60
    program = (sys.executable, "-m", "tests.benchmarks.stores.adding", address)
    pipe = asyncio.subprocess.PIPE
    adding = [
        await asyncio.create_subprocess_exec(
            *program, str(first), "2", str(lots), stdin=pipe, stdout=pipe
        )
        for first in (0, 1)
    ]
    for process in adding:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
    for said, _ in await asyncio.gather(*(process.communicate(b"go\n") for process in adding)):
        assert said == b""
    assert [process.returncode for process in adding] == [0, 0]
    # One more lot joins what is left of them.
    await store.add_samples("local", "bench_1", [sample(2 * lots)])
    found = await store.samples("local", "bench_1")
    await store.aclose()
    assert found == [sample(number) for number in range(2 * lots + 1)]


async def test_documents_that_are_damaged_are_left_out_with_a_warning(mongo: MongoServer) -> None:
    address = mongo.database("nova_test_damaged")
    store = MongoStore(address)
    for name in "abc":
        await store.put(made(f"bench_{name}"))
    await store.add_samples("local", "bench_c", [sample(0)])
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(address)
    database = client["nova_test_damaged"]
    await database["benchmarks"].update_one({"id": "bench_a"}, {"$set": {"light": b"{"}})
    await database["benchmarks"].update_one({"id": "bench_b"}, {"$unset": {"light": ""}})
    await database["benchmark_samples"].update_one({}, {"$set": {"data": b"x"}})
    await client.close()
    with capture_logs() as said:
        found = await store.list(Query())
        assert await store.samples("local", "bench_c") == []
    assert [one.id for one in found.benchmarks] == ["bench_c"]
    assert [line["log_level"] for line in said] == ["warning"] * 3
    await store.aclose()


async def test_a_server_that_goes_is_told_and_one_that_comes_back_is_used(tmp_path: Path) -> None:
    with mongo_server(tmp_path) as server:
        port = int(server.url.rpartition(":")[2])
        store = MongoStore(server.database("nova"), wait_ms=1_000)
        await store.put(made())
    for call in (
        store.check(),
        store.open(),
        store.put(made()),
        store.get("local", "bench_1"),
        store.list(Query()),
        store.delete("local", "bench_1"),
        store.add_samples("local", "bench_1", [sample(0)]),
        store.samples("local", "bench_1"),
        store.version("local"),
    ):
        with pytest.raises(StorageUnavailable, match="'nova'"):
            await call
    with mongo_server(tmp_path, port=port):
        assert await store.get("local", "bench_1") == made()
    await store.aclose()


def test_an_address_that_is_none_is_refused_and_no_secret_is_shown(tmp_path: Path) -> None:
    for address in (
        "mongodb://u:secret@h:port/db",
        "mongodb://u:secr et@/",
        "http://x",
    ):
        with pytest.raises(ConfigurationError) as refusal:
            MongoStore(address)
        assert "secr" not in str(refusal.value)
    database = Database(database_url(None, tmp_path))
    with pytest.raises(ConfigurationError, match="nothing says where"):
        find_store("mongo", Places(database, tmp_path))
    database.close()


async def test_no_secret_stands_in_what_is_shown() -> None:
    store = MongoStore("mongodb://user:secret@127.0.0.1:1/history", wait_ms=50)
    assert store.where == "MongoDB, database 'history'"
    with pytest.raises(StorageUnavailable) as refusal:
        await store.check()
    assert "secret" not in str(refusal.value)
    await store.aclose()
