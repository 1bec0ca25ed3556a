"""What a store does not take waits on this machine, and is carried over."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from novasystem.benchmarks.former import held
from novasystem.benchmarks.records import Benchmark
from novasystem.benchmarks.stores import FallbackStore, Query
from novasystem.benchmarks.stores.fallback import waiting
from novasystem.benchmarks.stores.files import FileStore
from novasystem.benchmarks.stores.mongo import MongoStore
from novasystem.errors import InvalidRequest, StorageUnavailable
from tests.benchmarks.stores.made import BEGIN, made, sample
from tests.servers.mongo import find_mongo, mongo_server

pytestmark = pytest.mark.usefixtures("collected")

QUERY = Query(archived=None)


@contextmanager
def _unwritable(folder: Path) -> Iterator[None]:
    """It can be read, and takes nothing: tests may run as a user whom no permission stops, so a
    file lies where a folder has to be."""
    samples = folder / "local" / "samples"
    samples.parent.mkdir(parents=True, exist_ok=True)
    if samples.exists():
        samples.rename(folder / "aside")
    samples.write_text("")
    try:
        yield
    finally:
        samples.unlink()
        if (folder / "aside").exists():
            (folder / "aside").rename(samples)


def on(folder: Path, *, logs: Path | None = None) -> FallbackStore:
    # Asked again at once, where in use it is left alone for a while.
    return FallbackStore(FileStore(folder / "stored"), folder / "waiting", logs=logs, patience_s=0)


async def ids(store: FallbackStore) -> list[str]:
    return [one.id for one in (await store.list(QUERY)).benchmarks]


async def test_what_ends_while_the_store_is_down_is_carried_over_whole(tmp_path: Path) -> None:
    store = on(tmp_path)
    await store.open()
    running = made(status="running")
    await store.put(running)
    await store.add_samples("local", "bench_1", [sample(0)])
    with _unwritable(tmp_path / "stored"), capture_logs() as said:
        await store.add_samples("local", "bench_1", [sample(1)])
        ended = made(status="completed", notes=("It is cold.",))
        await store.put(ended)
        kept = await store.get("local", "bench_1")
        assert kept is not None
        assert kept.status == "completed"
        assert kept.notes[0] == "It is cold."
        assert "waiting" in kept.notes[1]
        assert "carried over" in kept.notes[1]
        # What is there can be read all the same, as it was.
        [stored] = (await store.list(QUERY)).benchmarks
        assert stored.status == "running"
        assert [one.id for one in waiting(tmp_path / "waiting")] == ["bench_1"]
    # That it is down is an error, that something waits a warning.
    levels = {line["event"]: line["log_level"] for line in said}
    assert levels["the store of benchmarks is down"] == "error"
    assert levels["a benchmark waits for its store"] == "warning"
    assert await ids(store) == ["bench_1"]
    assert list(waiting(tmp_path / "waiting")) == []
    plain = FileStore(tmp_path / "stored")
    assert await plain.get("local", "bench_1") == ended
    assert await plain.samples("local", "bench_1") == [sample(0), sample(1)]


async def test_one_that_begins_while_it_is_down_goes_on_there(tmp_path: Path) -> None:
    store = on(tmp_path)
    await store.open()
    with _unwritable(tmp_path / "stored"):
        await store.put(made(status="running"))
        await store.add_samples("local", "bench_1", [sample(0)])
        assert await store.samples("local", "bench_1") == [sample(0)]
    await store.add_samples("local", "bench_1", [sample(1)])
    assert list(waiting(tmp_path / "waiting")) == []
    plain = FileStore(tmp_path / "stored")
    assert await plain.get("local", "bench_1") == made(status="running")
    assert await plain.samples("local", "bench_1") == [sample(0), sample(1)]
    assert await store.delete("local", "bench_1")
    assert await ids(store) == []


async def test_another_process_carries_over_what_has_ended_and_no_more(tmp_path: Path) -> None:
    first = on(tmp_path)
    await first.open()
    with _unwritable(tmp_path / "stored"):
        await first.put(made("bench_ended"))
        await first.put(made("bench_going", status="running"))
    other = on(tmp_path)
    await other.open()
    assert await ids(other) == ["bench_ended"]
    going = await other.get("local", "bench_going")
    assert going is not None
    assert [one.id for one in waiting(tmp_path / "waiting")] == ["bench_going"]
    # Whose it is knows its end.
    await first.put(made("bench_going", status="failed"))
    assert list(waiting(tmp_path / "waiting")) == []
    assert sorted(await ids(other)) == ["bench_ended", "bench_going"]


async def test_what_nobody_carries_out_any_more_is_carried_over(tmp_path: Path) -> None:
    first = on(tmp_path)
    await first.open()
    with _unwritable(tmp_path / "stored"):
        for name in ("bench_going", "bench_left"):
            await first.put(made(name, status="running"))
            await first.add_samples("local", name, [sample(0)])
    (tmp_path / "logs").mkdir()
    with held(tmp_path / "logs" / "bench_going.log"):
        other = on(tmp_path, logs=tmp_path / "logs")
        await other.open()
        assert await ids(other) == ["bench_left"]
        assert await other.samples("local", "bench_left") == [sample(0)]
    assert sorted(await ids(other)) == ["bench_going", "bench_left"]
    assert list(waiting(tmp_path / "waiting")) == []


async def test_one_that_waits_as_it_was_hides_no_end_that_is_stored(tmp_path: Path) -> None:
    first = on(tmp_path)
    await first.open()
    with _unwritable(tmp_path / "stored"):
        await first.put(made(status="running"))
        await first.add_samples("local", "bench_1", [sample(0)])
    ended = made(status="partial", ended_at=BEGIN)
    await FileStore(tmp_path / "stored").put(ended)
    other = on(tmp_path, logs=tmp_path / "logs")
    assert await other.get("local", "bench_1") == ended
    await other.open()
    assert list(waiting(tmp_path / "waiting")) == []
    assert await other.get("local", "bench_1") == ended
    assert await other.samples("local", "bench_1") == [sample(0)]
    # What goes on again still says when it had ended, and came later.
    with _unwritable(tmp_path / "stored"):
        await first.put(ended.model_copy(update={"status": "running"}))
        found = await on(tmp_path).get("local", "bench_1")
        assert found is not None
        assert found.status == "running"


class _Choosy(FileStore):
    """It takes all but one."""

    async def put(self, benchmark: Benchmark) -> None:
        if benchmark.id == "bench_0":
            raise InvalidRequest("The benchmark is too large.")
        await super().put(benchmark)


async def test_one_that_is_refused_or_cannot_be_read_stops_no_other(tmp_path: Path) -> None:
    first = on(tmp_path)
    await first.open()
    with _unwritable(tmp_path / "stored"):
        for name in ("bench_0", "bench_1"):
            await first.put(made(name))
    (tmp_path / "waiting" / "local" / "bench_00.json").mkdir()
    with capture_logs() as said:
        store = FallbackStore(_Choosy(tmp_path / "stored"), tmp_path / "waiting", patience_s=0)
        await store.open()
        assert await ids(store) == ["bench_1"]
    told = {line["event"]: line for line in said}
    assert told["a benchmark still waits for its store"]["benchmark_id"] == "bench_0"
    assert "bench_00" in told["a benchmark that waits cannot be read"]["file"]
    # Whoever changes it has it changed where it waits; what does not wait is refused.
    await store.put(made("bench_0", notes=("New.",)))
    await store.add_samples("local", "bench_0", [sample(0)])
    kept = await store.get("local", "bench_0")
    assert kept is not None
    assert kept.notes[0] == "New."
    assert await store.samples("local", "bench_0") == [sample(0)]
    assert await store.delete("local", "bench_0")
    with pytest.raises(InvalidRequest):
        await store.put(made("bench_0"))


async def test_what_is_deleted_does_not_come_back(tmp_path: Path) -> None:
    store = on(tmp_path)
    await store.open()
    with _unwritable(tmp_path / "stored"):
        await store.put(made())
        assert await store.delete("local", "bench_1")
        assert await store.get("local", "bench_1") is None
    assert not await store.delete("local", "bench_1")
    assert await ids(store) == []


@pytest.mark.skipif(os.name != "posix", reason="a server is stopped with a signal")
async def test_a_server_that_is_stopped_and_started_has_it_all(tmp_path: Path) -> None:
    if find_mongo() is None:
        pytest.skip("no server that speaks MongoDB's protocol: run `make mongo`, which needs Go")
    with mongo_server(tmp_path) as server:
        port = int(server.url.rpartition(":")[2])
        address = server.database("nova")
        mongo = MongoStore(address, wait_ms=1_000)
        store = FallbackStore(mongo, tmp_path / "waiting", patience_s=0.5)
        await store.open()
        await store.put(made(status="running"))
        await store.add_samples("local", "bench_1", [sample(n) for n in range(3)])
    await store.add_samples("local", "bench_1", [sample(3)])
    await store.put(made())
    await store.put(made("bench_2", status="running"))
    await store.add_samples("local", "bench_2", [sample(0)])
    await store.put(made("bench_2"))
    with pytest.raises(StorageUnavailable):
        await store.list(QUERY)
    # One that begins with the server down does so all the same.
    late = FallbackStore(MongoStore(address, wait_ms=200), tmp_path / "waiting", patience_s=0)
    await late.open()
    await late.put(made("bench_3"))
    await late.aclose()
    assert len(list(waiting(tmp_path / "waiting"))) == 3
    with mongo_server(tmp_path, port=port):
        again = FallbackStore(MongoStore(address), tmp_path / "waiting")
        await again.open()
        assert sorted(await ids(again)) == ["bench_1", "bench_2", "bench_3"]
        assert await again.get("local", "bench_1") == made()
        found = await again.samples("local", "bench_1")
        assert [one.number for one in found] == [0, 1, 2, 3]
        assert [one.number for one in await again.samples("local", "bench_2")] == [0]
        await again.aclose()
    assert list(waiting(tmp_path / "waiting")) == []
    await store.aclose()
