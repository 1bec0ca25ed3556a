"""The log's writer: one transaction for all, and one run's trouble stays its own."""

import asyncio
import functools
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection

from novasystem.errors import FencedOut, StorageUnavailable
from novasystem.runs import store, transactions
from novasystem.runs.context import RunContext
from novasystem.runs.feed import Feed
from novasystem.runs.journal import Journal
from novasystem.runs.records import Event, NewRun, Rewound, Run
from novasystem.storage.database import Database
from novasystem.storage.ids import now_ms
from novasystem.storage.tables import executors, run_events, runs
from tests.runs.working import OWNER, events, until


class Desk:
    """A journal, its contexts, and whom it lost."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.lost: list[tuple[RunContext, Exception]] = []
        self.journal = Journal(database, lambda *lost: self.lost.append(lost))

    async def context(self, new_feed: type[Feed] = Feed) -> tuple[RunContext, Feed]:
        run = await self.database.write(
            transactions.begin, lambda _: NewRun("work", OWNER, {}), "exec_1", None
        )
        feed = new_feed(run.last_seq)
        return RunContext(run, feed, self.journal, self.database), feed


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


def texts(log: list[Event]) -> list[str]:
    return [event.data["text"] for event in log if event.type == "text"]


def batches(connection: Connection, run_key: int) -> int:
    counted = sa.select(sa.func.count()).where(run_events.c.run_key == run_key)
    return connection.execute(counted).scalar_one()


def change_run(connection: Connection, run_key: int, values: dict[str, Any]) -> None:
    store.update(connection, run_key, **values)


def say(context: RunContext, *said: str) -> None:
    for text in said:
        context.emit("text", {"text": text})


def refuse(_connection: Connection) -> None:
    raise ValueError("not as it should be")


async def test_what_waits_can_be_written_otherwise(desk: Desk) -> None:
    context, _ = await desk.context()

    def step(name: str) -> Callable[[Connection], object]:
        return functools.partial(
            store.insert_step, run_key=context.run.key, type_="t", details={}, name=name
        )

    old, new = step("old"), step("new")
    context.emit("text", {"text": "a"}, old)
    assert context.amend(old, new)
    await context.commit()
    assert await desk.database.read(store.named_step, context.run.key, "new")
    assert await desk.database.read(store.named_step, context.run.key, "old") is None
    # It stands there now.
    assert not context.amend(new, old)


async def test_events_of_all_runs_are_written_together(desk: Desk) -> None:
    contexts = [await desk.context() for _ in range(3)]
    for number, (context, _) in enumerate(contexts):
        say(context, *(f"{number}.{index}" for index in range(4)))
    await contexts[1][0].commit()
    for number, (context, feed) in enumerate(contexts):
        assert texts(await events(desk.database, context.run)) == [
            f"{number}.{index}" for index in range(4)
        ]
        assert feed.committed == context.run.last_seq + 4
        assert feed.tail == []
        # That of its beginning, and one for all four.
        assert await desk.database.read(batches, context.run.key) == 2
    await desk.journal.aclose()


async def test_what_is_emitted_is_written_soon_by_itself(desk: Desk) -> None:
    context, feed = await desk.context()
    say(context, "a")
    assert feed.committed == context.run.last_seq
    await until(lambda: feed.committed == context.run.last_seq + 1)
    assert texts(await events(desk.database, context.run)) == ["a"]
    await desk.journal.aclose()


async def test_an_event_and_its_write_are_stored_together_or_not_at_all(desk: Desk) -> None:
    context, _ = await desk.context()

    def write(connection: Connection) -> None:
        store.insert_step(connection, context.run.key, type_="t", details={}, name="n")

    context.emit("text", {"text": "a"}, write)
    await context.commit()
    assert await desk.database.read(store.named_step, context.run.key, "n")
    context.emit("text", {"text": "b"}, write)
    with pytest.raises(sa.exc.IntegrityError):
        await context.commit()
    assert texts(await events(desk.database, context.run)) == ["a"]


async def test_one_bad_write_does_not_spoil_the_others(desk: Desk) -> None:
    (bad, bad_feed), (good, good_feed) = await desk.context(), await desk.context()
    watcher = bad_feed.watch()
    watcher.restart()
    say(good, "fine")
    bad.emit("text", {"text": "bad"}, refuse)
    await good.commit()
    assert good_feed.committed == good.run.last_seq + 1
    assert [context for context, _ in desk.lost] == [bad]
    assert texts(await events(desk.database, bad.run)) == []
    # Whoever saw it is told, nobody is told that it is stored, and nothing can follow it.
    assert [type(seen) for seen in await watcher.next()] == [Event, Rewound]
    assert bad_feed.committed == bad.run.last_seq
    with pytest.raises(ValueError, match="as it should"):
        say(bad, "more")
    with pytest.raises(ValueError, match="as it should"):
        await bad.commit()
    # Its number is free for what ends the run.
    assert bad.take().last_seq == bad.run.last_seq


async def test_a_context_without_its_lease_writes_nothing(desk: Desk) -> None:
    (late, feed), (other, _) = await desk.context(), await desk.context()
    say(late, "mine")
    say(other, "other's")
    await desk.database.write(store.lease, late.run.id, "exec_2", now_ms())
    await other.commit()
    assert [(context, type(error)) for context, error in desk.lost] == [(late, FencedOut)]
    assert texts(await events(desk.database, other.run)) == ["other's"]
    log = await desk.database.read(store.events_after, late.run.key, 0)
    assert texts(log) == []
    assert feed.committed == late.run.last_seq
    with pytest.raises(FencedOut):
        await late.commit()


@pytest.mark.parametrize("change", [{"fence": 7}, {"executor": "exec_9"}, {"executor": None}])
async def test_fence_and_executor_both_count(desk: Desk, change: dict[str, Any]) -> None:
    context, _ = await desk.context()
    say(context, "mine")
    await desk.database.write(change_run, context.run.key, change)
    with pytest.raises(FencedOut):
        await context.commit()
    assert texts(await desk.database.read(store.events_after, context.run.key, 0)) == []


class Failing(Database):
    """A database that answers a write with an error: before it is made, or after."""

    def __init__(self, url: URL) -> None:
        super().__init__(url)
        self.fails: list[str] = []

    def write_now(self, work: Any, *args: Any, **kwargs: Any) -> Any:
        failing = self.fails.pop(0) if self.fails else None
        if failing == "before":
            raise StorageUnavailable("not written")
        result = super().write_now(work, *args, **kwargs)
        if failing == "after":
            raise StorageUnavailable("written, and the answer got lost")
        return result


@pytest.mark.parametrize("when", ["before", "after"])
async def test_what_the_database_did_not_take_is_written_later_and_once(
    address: URL, when: str
) -> None:
    database = Failing(address)
    desk = Desk(database)
    context, feed = await desk.context()
    say(context, "a", "b")
    database.fails = [when]
    with pytest.raises(StorageUnavailable):
        await context.commit()
    assert feed.committed == context.run.last_seq
    say(context, "c")
    await context.commit()
    assert texts(await events(database, context.run)) == ["a", "b", "c"]
    assert feed.committed == context.run.last_seq + 3
    assert desk.lost == []
    await desk.journal.aclose()
    database.close()


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_failed_batch_is_tried_again_without_being_asked(address: URL, when: str) -> None:
    database = Failing(address)
    desk = Desk(database)
    (one, one_feed), (two, two_feed) = await desk.context(), await desk.context()
    say(one, "a")
    say(two, "b")
    database.fails = [when]
    with pytest.raises(StorageUnavailable):
        await one.commit()
    # Also that of the other one, who has not asked.
    await until(lambda: two_feed.committed == two.run.last_seq + 1)
    await until(lambda: one_feed.committed == one.run.last_seq + 1)
    assert texts(await events(database, two.run)) == ["b"]
    await desk.journal.aclose()
    database.close()


async def test_a_caller_that_is_cancelled_takes_nothing_from_the_others(address: URL) -> None:
    database = Failing(address)
    desk = Desk(database)
    (one, _), (two, two_feed) = await desk.context(), await desk.context()
    say(one, "a")
    say(two, "b")
    database.fails = ["before"]
    committing = asyncio.create_task(one.commit())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    committing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await committing
    await until(lambda: two_feed.committed == two.run.last_seq + 1)
    assert texts(await events(database, two.run)) == ["b"]
    assert texts(await events(database, one.run)) == ["a"]
    await desk.journal.aclose()
    database.close()


async def test_an_event_seen_as_committed_is_in_the_database(address: URL) -> None:
    """Looked up over another connection at the moment when a watcher is told."""
    database, other = Database(address), Database(address)
    desk = Desk(database)
    seen: list[tuple[int, int | None]] = []

    class Looking(Feed):
        def commit(self, seq: int) -> None:
            last_seq = sa.select(runs.c.last_seq).where(runs.c.key == context.run.key)
            seen.append((seq, other.read_now(lambda c: c.scalar(last_seq))))
            super().commit(seq)

    context, feed = await desk.context(Looking)
    for number in range(20):
        say(context, str(number))
        if number % 3 == 0:
            await context.commit()
        else:
            await asyncio.sleep(0.02)
    await context.commit()
    assert len(seen) >= 7
    assert all(stored is not None and stored >= seq for seq, stored in seen), seen
    assert feed.committed == context.run.last_seq + 20
    await desk.journal.aclose()
    database.close()
    other.close()


def test_the_log_refuses_a_batch_that_does_not_follow(database: Database) -> None:
    run: Run = database.write_now(
        transactions.begin, lambda _: NewRun("work", OWNER, {}), "exec_1", None
    )
    with pytest.raises(RuntimeError, match="do not follow"):
        database.write_now(store.advance, run, run.last_seq + 2, run.last_seq + 2)
    assert database.write_now(store.advance, run, run.last_seq + 1, run.last_seq + 3)
    assert not database.write_now(store.advance, run, run.last_seq + 1, run.last_seq + 3)


def test_no_executor_is_left_from_another_test(database: Database) -> None:
    count = sa.select(sa.func.count()).select_from(executors)
    assert database.read_now(lambda c: c.scalar(count)) == 0
