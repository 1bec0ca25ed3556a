"""What becomes of runs whose executor is gone, and of executors that are late."""

import asyncio
import functools

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection

from novasystem.errors import FencedOut
from novasystem.runs import liveness, store, transactions
from novasystem.runs.context import Batch, RunContext
from novasystem.runs.executor import Limits
from novasystem.runs.journal import write_one
from novasystem.runs.records import Event, NewRun, Rewound, Run
from novasystem.runs.transactions import MAX_INTERRUPTIONS
from novasystem.storage.database import Database
from novasystem.storage.tables import executors
from novasystem.threads import store as threads
from tests.runs.working import (
    OWNER,
    Directed,
    begin,
    ended,
    events,
    followed,
    held,
    new_thread,
    now,
    running,
    statuses,
    until,
)


def reached(found: list[RunContext], count: int) -> bool:
    return len(found) >= count


def change_run(connection: Connection, run_key: int, values: dict[str, str]) -> None:
    store.update(connection, run_key, **values)


async def orphan(database: Database, run: Run) -> None:
    """As if the process that carries it out had died."""
    assert run.executor is not None
    await database.write(liveness.leave, run.executor)


async def left_by_the_dead(database: Database) -> Run:
    """A run that an executor had leased and begun, and whose process is gone."""
    thread = await new_thread(database)
    new = NewRun("work", OWNER, {}, thread_key=thread.key, thread_id=thread.id)
    run = await database.write(transactions.begin, lambda _: new, "exec_dead", None)
    said = Batch(run, run.last_seq + 1, [("text", {"text": "said"}, 0)], [])
    await database.write(write_one, said)
    return run


@pytest.mark.parametrize("resumes", [True, False])
async def test_a_run_whose_begin_was_never_told_is_not_held_for_ever(
    postgres_address: URL, resumes: bool
) -> None:
    """Its connection was lost behind the commit: it is leased to one that knows nothing of it."""
    database = Database(postgres_address)
    work = Directed(resumes=resumes)
    async with running(database, {"work": work}) as runs:
        executor = await database.read(_executor)
        thread = await new_thread(database)
        new = NewRun("work", OWNER, {}, thread_key=thread.key, thread_id=thread.id)
        run = await database.write(transactions.begin, lambda _: new, executor, None)
        known = await begin(runs)
        if resumes:
            await work.end(run)
        assert (await ended(runs, run)).status == ("completed" if resumes else "failed")
        assert await until(lambda: held(database, run) is None)
        assert (await now(runs, known)).interruptions == 0
        await work.end(known)
        assert (await ended(runs, known)).status == "completed"
    await database.aclose()


def _executor(connection: Connection) -> str:
    found: str = connection.execute(sa.select(executors.c.id)).scalar_one()
    return found


async def test_a_run_that_can_be_resumed_is_carried_on(database: Database) -> None:
    work = Directed(resumes=True)
    run = await left_by_the_dead(database)
    async with running(database, {"work": work}) as runs:
        context = await until(lambda: work.contexts and work.contexts[0])
        assert context.interrupted
        assert (context.run.fence, context.run.interruptions) == (2, 1)
        recorded = await context.recorded()
        assert "said" in [event.data.get("text") for event in recorded]
        await work.end(run)
        assert (await ended(runs, run)).status == "completed"
        log = await events(database, run)
        assert statuses(log) == [
            "queued", "in_progress", "queued", "in_progress", "completed"
        ]  # fmt: skip
        assert log[3].data["interrupted"] is True


async def test_one_that_cannot_fails_with_a_reason_and_its_thread_is_free(
    database: Database,
) -> None:
    work = Directed()
    run = await left_by_the_dead(database)
    async with running(database, {"work": work}) as runs:
        after = await ended(runs, run)
        assert after.status == "failed"
        assert after.error is not None
        assert after.error["code"] == "interrupted"
        assert work.contexts == []
        await events(database, run)
        thread = await database.read(threads.get, run.thread_key or 0)
        assert thread is not None
        assert thread.active_run is None


async def test_one_of_an_unknown_kind_fails(database: Database) -> None:
    run = await left_by_the_dead(database)
    async with running(database, {}) as runs:
        assert (await ended(runs, run)).status == "failed"


async def test_one_that_was_being_cancelled_is_cancelled(database: Database) -> None:
    work = Directed(resumes=True)
    run = await left_by_the_dead(database)
    await database.write(change_run, run.key, {"status": "cancelling"})
    async with running(database, {"work": work}) as runs:
        assert (await ended(runs, run)).status == "cancelled"
        assert work.contexts == []


async def test_one_that_takes_every_server_down_is_given_up(database: Database) -> None:
    work = Directed(resumes=True)
    run = await left_by_the_dead(database)
    for number in range(1, MAX_INTERRUPTIONS + 1):
        async with running(database, {"work": work}) as runs:
            await until(functools.partial(reached, work.contexts, number))
            row = await now(runs, run)
            assert row.interruptions == number
            # Its process is gone: it writes nothing in the end.
            await database.write(change_run, run.key, {"executor": "exec_dead"})
    async with running(database, {"work": work}) as runs:
        after = await ended(runs, run)
        assert after.status == "failed"
        assert after.error is not None
        assert f"{MAX_INTERRUPTIONS + 1} times" in after.error["message"]
        await events(database, run)
    assert len(work.contexts) == MAX_INTERRUPTIONS


async def test_a_server_that_ends_gives_back_what_can_be_carried_on(database: Database) -> None:
    work, other = Directed(resumes=True), Directed()
    async with running(database, {"work": work, "other": other}, Limits(total=2)) as runs:
        resumed = await begin(runs)
        failed = await begin(runs, "other")
        queued = await begin(runs, "other")
        waiting = asyncio.create_task(followed(runs, resumed))
        (await work.context(resumed)).emit("text", {"text": "just said"})
        await other.context(failed)
    seen = await waiting
    assert "just said" in [s.data.get("text") for s in seen if isinstance(s, Event)]
    row = await database.read(store.get, resumed.id)
    assert row is not None
    assert (row.status, row.executor) == ("queued", None)
    texts = [e.data.get("text") for e in await events(database, resumed)]
    assert "just said" in texts
    row = await database.read(store.get, failed.id)
    assert row is not None
    assert row.status == "failed"
    row = await database.read(store.get, queued.id)
    assert row is not None
    assert row.status == "queued"
    async with running(database, {"work": work, "other": other}) as runs:
        await until(lambda: len(work.contexts) == 2 and len(other.contexts) == 2)
        for run, directed in ((resumed, work), (queued, other)):
            await directed.end(run)
            assert (await ended(runs, run)).status == "completed"


# On PostgreSQL the late one would notice by its own beat, and might take the run over itself; there
# a process that is stopped and goes on is looked at in test_processes.py.
@pytest.mark.parametrize("address", ["sqlite"], indirect=True)
async def test_a_late_executor_writes_nothing_and_its_watchers_see_the_truth(
    database: Database,
) -> None:
    work, other = Directed(resumes=True), Directed(resumes=True)
    async with running(database, {"work": work}) as late:
        run = await begin(late)
        context = await work.context(run)
        watching = asyncio.create_task(followed(late, run))
        await asyncio.sleep(0.1)
        await orphan(database, context.run)
        async with running(database, {"work": other}) as heir:
            successor = await other.context(run)
            successor.emit("text", {"text": "heir's"})
            await successor.commit()
            await other.end(run)
            await ended(heir, run)
            # The late one has been silent all the time, and only now says something.
            context.emit("text", {"text": "zombie's"})
            with pytest.raises(FencedOut):
                await context.commit()
            await until(lambda: not late.running)
            seen = await watching
    log = await events(database, run)
    assert [e.data["text"] for e in log if e.type == "text"] == ["heir's"]
    # Its watcher saw the zombie's words, has to take them back, and sees how it really ended.
    shown: list[Event] = []
    for one in seen:
        if isinstance(one, Rewound):
            shown = [event for event in shown if event.seq <= one.seq]
        elif isinstance(one, Event):
            shown.append(one)
    assert [(e.seq, e.type, dict(e.data)) for e in shown] == [
        (e.seq, e.type, dict(e.data)) for e in log
    ]


async def test_a_beat_that_stands_still_is_noticed_on_the_own_clock() -> None:
    seen: dict[str, tuple[int, float]] = {}
    assert liveness.dead({"a": 1, "own": 1}, seen, "own", 100.0) == set()
    assert liveness.dead({"a": 2, "own": 1}, seen, "own", 119.0) == set()
    assert liveness.dead({"a": 2, "own": 1}, seen, "own", 119.0 + liveness.SILENT_S) == {"a"}
    # One that has left is forgotten, and begins anew when it comes back.
    assert liveness.dead({"own": 1}, seen, "own", 200.0) == set()
    assert liveness.dead({"a": 2, "own": 1}, seen, "own", 300.0) == set()


def test_one_that_shows_a_beat_meanwhile_is_not_buried(database: Database) -> None:
    database.write_now(liveness.register, "exec_a", alone=False)
    beats = database.write_now(liveness.beat, "exec_a")
    assert beats == {"exec_a": 1}
    database.write_now(liveness.beat, "exec_a")
    database.write_now(liveness.bury, beats, {"exec_a"})
    assert database.write_now(liveness.beat, "exec_a") == {"exec_a": 3}
    database.write_now(liveness.bury, {"exec_a": 3}, {"exec_a"})
    assert database.write_now(liveness.beat, "exec_a") is None


async def test_of_two_heirs_one_takes_an_orphan_over(database: Database) -> None:
    work = Directed(resumes=True)
    run = await left_by_the_dead(database)
    kinds = {"work": work.kind}
    first = await database.write(transactions.take_over, run.id, "exec_dead", kinds)
    assert first is not None
    assert await database.write(transactions.take_over, run.id, "exec_dead", kinds) is None
    assert statuses(await events(database, run))[-1] == "queued"
