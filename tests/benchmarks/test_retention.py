"""What is archived and what is deleted, by age and by count."""

import datetime
from functools import partial
from pathlib import Path

import pytest

from novasystem.benchmarks.logs import log_of, readings_of
from novasystem.benchmarks.retention import archive, prune, restore
from novasystem.benchmarks.stores import BenchmarkStore, Query
from novasystem.benchmarks.stores.files import FileStore
from novasystem.errors import InvalidRequest
from tests.benchmarks.stores.made import BEGIN, made, sample

DAY = datetime.timedelta(days=1)


@pytest.fixture
async def store(tmp_path: Path) -> BenchmarkStore:
    """Ten that have ended, a day apart, the tenth the newest; one that runs, older than all."""
    found = FileStore(tmp_path / "stored")
    for n in range(10):
        await found.put(made(f"bench_{n}", timestamp=BEGIN + n * DAY))
    await found.put(made("bench_runs", timestamp=BEGIN - DAY, status="running"))
    await found.put(made("bench_0", owner_id="other", timestamp=BEGIN))
    await found.add_samples("local", "bench_0", [sample(0)])
    return found


async def shown(store: BenchmarkStore, *, archived: bool | None = False) -> set[str]:
    page = await store.list(Query(archived=archived))
    return {one.id.removeprefix("bench_") for one in page.benchmarks}


async def test_by_age_and_by_count_either_is_enough(store: BenchmarkStore) -> None:
    dry = await archive(store, before=BEGIN + 2 * DAY, keep=7, dry_run=True)
    assert await shown(store) == {*"0123456789", "runs"}
    done = await archive(store, before=BEGIN + 2 * DAY, keep=7)
    assert done.ids == dry.ids == ("bench_2", "bench_1", "bench_0")
    assert (done.left, dry.left) == (7, 7)
    assert await shown(store) == {*"3456789", "runs"}
    assert await shown(store, archived=True) == set("012")
    assert (await archive(store, before=BEGIN + 2 * DAY)).ids == ()
    # Archived ones are all there.
    assert await store.samples("local", "bench_0") == [sample(0)]
    assert await restore(store, "local", "bench_1")
    assert await shown(store, archived=True) == set("02")
    assert not await restore(store, "local", "bench_gone")


async def test_pruned_is_gone_for_good(store: BenchmarkStore, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    for n in (0, 9):
        for path in (log_of(logs, f"bench_{n}"), readings_of(logs, f"bench_{n}")):
            path.write_text("x")
    await archive(store, keep=5)
    dry = await prune(store, logs=logs, keep=8, dry_run=True)
    assert len(list(logs.iterdir())) == 4
    assert dry.ids == ("bench_1", "bench_0")
    assert len(await shown(store, archived=None)) == 11
    done = await prune(store, logs=logs, keep=3, archived=True)
    # What the load saw and what the machine did has gone with it.
    assert {path.name.partition(".")[0] for path in logs.iterdir()} == {"bench_9"}
    assert done.ids == ("bench_1", "bench_0")
    assert done.left == 3
    assert await shown(store, archived=None) == {*"23456789", "runs"}
    assert await store.samples("local", "bench_0") == []
    await prune(store, logs=logs, keep=0)
    assert list(logs.iterdir()) == []
    assert await shown(store, archived=None) == {"runs"}
    assert await store.get("other", "bench_0") is not None


async def test_a_rule_that_says_nothing_is_refused(store: BenchmarkStore, tmp_path: Path) -> None:
    for act in (archive, partial(prune, logs=tmp_path)):
        with pytest.raises(InvalidRequest):
            await act(store)
        with pytest.raises(InvalidRequest):
            await act(store, keep=-1)
