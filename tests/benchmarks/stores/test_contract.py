"""What every store does, each behind the one interface."""

import asyncio
import datetime
import random
from collections.abc import Callable

import pytest

from novasystem.benchmarks.records import Benchmark, BenchmarkStatus
from novasystem.benchmarks.stores import BenchmarkStore, Query
from novasystem.benchmarks.stores.facts import Sort, head_of
from novasystem.benchmarks.stores.query import Order, matches, page_of
from novasystem.errors import InvalidRequest, NotFound
from tests.benchmarks.stores.made import BEGIN, ODD, failed, made, result, rich, sample

SORTS: tuple[Sort, ...] = ("timestamp", "ttft_s", "tokens_per_s", "total_s")


async def ids(store: BenchmarkStore, query: Query) -> list[str]:
    return [one.id for one in (await store.list(query)).benchmarks]


async def test_what_is_read_equals_what_was_put(
    store: BenchmarkStore, find: Callable[[], BenchmarkStore]
) -> None:
    await store.check()
    stored = rich()
    await store.put(stored)
    other = find()
    await other.open()
    found = await other.get("local", stored.id)
    await other.aclose()
    assert found == stored
    assert found is not None
    # Equal is not enough, as 2 and 2.0 are, and noon here and there.
    assert found.model_dump_json() == stored.model_dump_json()
    assert (await store.list(Query(whole=True))).benchmarks == (stored,)


async def test_what_is_empty_comes_back_empty(store: BenchmarkStore) -> None:
    stored = made(prompt="", results=(), parameters={})
    await store.put(stored)
    assert await store.get("local", stored.id) == stored
    assert await store.samples("local", stored.id) == []
    assert await store.get("local", "bench_2") is None
    assert await store.samples("local", "bench_2") == []


async def test_a_page_lacks_the_heavy_parts_alone(store: BenchmarkStore) -> None:
    stored = rich()
    await store.put(stored)
    (shown,) = (await store.list(Query())).benchmarks
    assert shown.plan is None
    assert shown.prompt == stored.prompt[:1000] + "…" if stored.prompt else None
    first = shown.results[0]
    assert first.metrics == {}
    assert first.response == stored.results[0].response[:1000] + "…"
    assert first.checks[0].failures == ()
    assert first.timing == stored.results[0].timing
    assert shown.system_info == stored.system_info


async def test_a_put_replaces_what_was_there_and_all_that_lists_know_of_it(
    store: BenchmarkStore,
) -> None:
    await store.put(made(prompt="first words", status="running", results=(result("m"),)))
    after = made(prompt="other ones", results=(result("n", ttft_s=1.0),), archived=True)
    await store.put(after)
    assert await store.get("local", "bench_1") == after
    assert (await store.list(Query())).total == 0
    for query in (
        Query(archived=None, text="first"),
        Query(archived=None, model="m"),
        Query(archived=None, statuses=("running",)),
    ):
        assert (await store.list(query)).total == 0
    found = Query(archived=True, text="other", model="n", success=True, sort="ttft_s")
    assert (await store.list(found)).total == 1


async def test_an_owner_sees_its_own_alone(store: BenchmarkStore) -> None:
    mine = made(prompt="mine", results=(result("m"),))
    theirs = made(owner_id="other/../owner", prompt="theirs", results=(result("m"),))
    await store.put(mine)
    await store.put(theirs)
    await store.add_samples(theirs.owner_id, theirs.id, [sample(1)])
    assert await store.get("local", "bench_1") == mine
    assert await store.get(theirs.owner_id, "bench_1") == theirs
    assert (await store.list(Query(model="m"))).benchmarks == (mine,)
    assert (await store.list(Query(text="theirs"))).total == 0
    assert await store.samples("local", "bench_1") == []
    assert await store.delete("local", "bench_1")
    assert await store.get("local", "bench_1") is None
    assert await store.get(theirs.owner_id, "bench_1") == theirs
    assert await store.samples(theirs.owner_id, "bench_1") == [sample(1)]


async def test_delete_takes_the_samples_along(store: BenchmarkStore) -> None:
    await store.put(made())
    await store.add_samples("local", "bench_1", [sample(0)])
    assert await store.delete("local", "bench_1")
    assert not await store.delete("local", "bench_1")
    assert (await store.list(Query())).total == 0
    await store.put(made())
    assert await store.samples("local", "bench_1") == []
    with pytest.raises(NotFound):
        await store.add_samples("local", "bench_2", [sample(0)])


async def test_samples_come_back_as_they_were_in_the_order_of_their_numbers(
    store: BenchmarkStore,
) -> None:
    await store.put(made())
    all_of_them = [sample(n) if n % 7 else failed(n) for n in range(600)]
    await store.add_samples("local", "bench_1", all_of_them[300:])
    for n in range(290, 300):
        await store.add_samples("local", "bench_1", [all_of_them[n]])
    await store.add_samples("local", "bench_1", [])
    await store.add_samples("local", "bench_1", all_of_them[:290])
    found = await store.samples("local", "bench_1")
    assert found == all_of_them
    assert repr(found[1]) == repr(all_of_them[1])
    # A benchmark that is put again, as it is when it has ended, keeps them.
    await store.put(made(status="failed"))
    assert len(await store.samples("local", "bench_1")) == 600


async def test_a_sample_that_is_added_again_takes_the_place_of_the_first(
    store: BenchmarkStore,
) -> None:
    await store.put(made())
    await store.add_samples("local", "bench_1", [sample(0, text="a"), sample(1)])
    half = "half of a character: \ud83e"
    await store.add_samples("local", "bench_1", [sample(0, text=half)])
    assert [one.text for one in await store.samples("local", "bench_1")] == [half, sample(1).text]


async def test_samples_that_are_added_at_once_are_all_there(store: BenchmarkStore) -> None:
    await store.put(made())
    lots = [[sample(10 * lot + n) for n in range(10)] for lot in range(6)]
    await asyncio.gather(*(store.add_samples("local", "bench_1", lot) for lot in lots))
    assert [one.number for one in await store.samples("local", "bench_1")] == list(range(60))


async def test_benchmarks_that_are_put_at_once_are_all_there(store: BenchmarkStore) -> None:
    new = [made(f"bench_{n}", prompt=f"all word{n}", results=(result("m"),)) for n in range(20)]
    await asyncio.gather(*map(store.put, new))
    assert (await store.list(Query(text="all", model="m"))).total == 20
    await asyncio.gather(*(store.delete("local", one.id) for one in new[:15]))
    assert (await store.list(Query(text="all", model="m"))).total == 5


async def test_the_version_is_another_one_after_each_change(
    store: BenchmarkStore, find: Callable[[], BenchmarkStore]
) -> None:
    other = find()
    await other.open()
    seen = {await other.version("local")}
    for change in (
        store.put(made()),
        store.put(made(status="failed")),
        store.put(made(archived=True)),
        store.delete("local", "bench_1"),
    ):
        await change
        version = await other.version("local")
        assert version not in seen
        assert await other.version("local") == version
        seen.add(version)
    await other.aclose()


@pytest.mark.parametrize("bad", ["", "../x", "a/b", "a\0", "a" * 65, ".hidden", "a b", "ä", "x\n"])
async def test_what_cannot_be_an_id_is_refused(store: BenchmarkStore, bad: str) -> None:
    with pytest.raises(InvalidRequest):
        await store.put(made(bad))
    assert (await store.list(Query(archived=None))).total == 0
    assert await store.get("local", bad) is None
    assert not await store.delete("local", bad)
    assert await store.samples("local", bad) == []
    with pytest.raises(NotFound):
        await store.add_samples("local", bad, [sample(1)])


async def test_ids_that_differ_in_case_alone_are_two(store: BenchmarkStore) -> None:
    names = ["Bench_A", "bench_a", "con", "bench.1"]
    for name in names:
        await store.put(made(name, prompt=name))
    for name in names:
        found = await store.get("local", name)
        assert found is not None
        assert found.prompt == name
    assert await ids(store, Query(descending=False)) == sorted(names)


def history() -> list[Benchmark]:
    """Many that share a time, a metric, or have none of it."""
    draw = random.Random(17)
    models = ["m", "org/model:7b", "ü"]
    prompts = ["What is 2+2?", "Tell me about PARIS, please.", "Straße 東京タワー", "x_y Zebra", ""]
    statuses: list[BenchmarkStatus] = ["completed", "partial", "failed", "cancelled", "running"]

    def some() -> float | None:
        return draw.choice([None, 0.5, draw.random()])

    return [
        made(
            f"bench_{draw.randrange(10**6):06}_{n}",
            timestamp=BEGIN + datetime.timedelta(microseconds=draw.randrange(20)),
            status=draw.choice(statuses),
            prompt=draw.choice([None, *prompts]),
            results=tuple(
                result(model, ttft_s=some(), tokens_per_s=some(), total_s=some())
                for model in draw.sample(models, draw.randrange(3))
            ),
            archived=draw.random() < 0.2,
        )
        for n in range(60)
    ]


def expected(all_of_them: list[Benchmark], query: Query) -> tuple[list[str], int]:
    """The page, made in the plainest way."""
    heads = {one.id: head for one in all_of_them if matches(head := head_of(one), query)}
    places = [Order.of(one, head.metric(query.sort), query) for one, head in heads.items()]
    after = None
    if query.after is not None:
        (last,) = [head_of(one) for one in all_of_them if one.id == query.after]
        after = Order.of(query.after, last.metric(query.sort), query)
    return page_of(places, query, after), len(places)


async def test_every_filter_and_order_gives_the_page_that_it_says(store: BenchmarkStore) -> None:
    all_of_them = history()
    for one in all_of_them:
        await store.put(one)
    at = BEGIN + datetime.timedelta(microseconds=7)
    later = (at + datetime.timedelta(microseconds=5)).astimezone(
        datetime.timezone(datetime.timedelta(hours=-3))
    )
    queries = [
        *(Query(sort=sort, descending=down) for sort in SORTS for down in (True, False)),
        *(Query(sort=sort, limit=7, offset=30, archived=None) for sort in SORTS),
        *(Query(sort=sort, limit=7, offset=45, archived=None) for sort in SORTS),
        Query(offset=1000),
        Query(archived=True),
        Query(archived=None),
        Query(model="org/model:7b"),
        Query(model="org/model"),
        Query(since=at),
        Query(until=at),
        Query(since=at, until=later, sort="ttft_s", archived=None),
        Query(since=at, until=at),
        Query(success=True),
        Query(success=False),
        Query(statuses=("running", "failed")),
        Query(success=True, statuses=("failed",)),
        Query(text="what"),
        Query(text="WHA 2"),
        Query(text="paris tell"),
        Query(text="ari"),
        Query(text="strasse"),
        Query(text="京東"),
        Query(text="zebr y"),
        Query(text="zebra nothing"),
        Query(text="is", model="m", success=True, since=at, sort="total_s", archived=None),
    ]
    for query in queries:
        page = await store.list(query)
        assert ([one.id for one in page.benchmarks], page.total) == expected(all_of_them, query), (
            query
        )


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("sort", SORTS)
async def test_pages_after_each_other_show_everything_once(
    store: BenchmarkStore, sort: Sort, descending: bool
) -> None:
    all_of_them = history()[:25]
    for one in all_of_them:
        await store.put(one)
    whole = await ids(store, Query(sort=sort, descending=descending, archived=None))
    assert len(whole) == 25
    after, shown = None, list[str]()
    for _ in range(9):
        query = Query(sort=sort, descending=descending, archived=None, limit=3, after=after)
        page = await store.list(query)
        assert page.total == 25
        shown += [one.id for one in page.benchmarks]
        after = shown[-1]
    assert shown == whole
    with pytest.raises(InvalidRequest, match="come after"):
        await store.list(Query(after="bench_gone"))


async def test_text_is_looked_for_in_the_name_of_the_plan_too(store: BenchmarkStore) -> None:
    await store.put(rich())
    assert (await store.list(Query(text="quoted"))).total == 1
    assert (await store.list(Query(text="script é"))).total == 1
    assert ODD.find("quoted") > 0
