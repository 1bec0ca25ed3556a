"""Who holds a thread, and what is left where a thread or a caller goes away."""

import asyncio
import functools

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from novasystem.errors import NotFound, ThreadBusy
from novasystem.runs import store
from novasystem.runs.executor import Limits
from novasystem.runs.records import NewRun, Run
from novasystem.storage.database import Database
from novasystem.storage.tables import executors
from novasystem.threads import store as threads
from novasystem.threads.records import Thread
from tests.runs.working import (
    OWNER,
    Directed,
    begin,
    ended,
    followed,
    held,
    new_thread,
    now,
    running,
    until,
)


async def test_deleting_a_thread_while_its_run_is_carried_out(database: Database) -> None:
    work = Directed()
    async with running(database, {"work": work}) as runs:
        thread = await new_thread(database)
        run = await begin(runs, thread=thread)
        context = await work.context(run)
        watching = asyncio.create_task(followed(runs, run))
        await asyncio.sleep(0.05)
        gone = await database.write(threads.delete, thread.key)
        assert gone == [run.id]
        for run_id in gone:
            runs.forget(run_id)
        await watching
        await until(lambda: work.stopped == [run.id])
        await until(lambda: not runs.running)
        with pytest.raises(NotFound):
            await now(runs, run)
        with pytest.raises(Exception, match=run.id):
            context.emit("text", {"text": "late"})
        assert await database.read(store.events_after, run.key, 0) == []
        # The executor is as well as before.
        last = await begin(runs)
        await work.end(last)
        assert (await ended(runs, last)).status == "completed"
        await until(lambda: runs._feeds == {})


async def test_a_caller_that_is_cancelled_leaves_no_run_that_nobody_carries_out(
    database: Database,
) -> None:
    work = Directed()
    async with running(database, {"work": work}) as runs:
        for unseen in ("go_on", "cancel"):
            for turns in range(4):
                thread = await new_thread(database, f"{unseen}{turns}")
                starting = asyncio.create_task(
                    runs.start(
                        functools.partial(_new, thread),
                        unseen="cancel" if unseen == "cancel" else "go_on",
                    )
                )
                for _ in range(turns):
                    await asyncio.sleep(0)
                starting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await starting
        await until(lambda: not runs._tasks)
        stored = await database.read(store.list_runs, owner_id=OWNER, limit=100)
        for run in stored:
            if run.thread_id is not None and run.thread_id.startswith("cancel"):
                assert (await ended(runs, run)).status == "cancelled"
            else:
                await work.end(run)
                assert (await ended(runs, run)).status == "completed"
        assert stored


def _new(thread: Thread, _connection: Connection) -> NewRun:
    return NewRun("work", OWNER, {}, thread_key=thread.key, thread_id=thread.id)


async def test_one_of_fifty_starts_gets_the_thread(database: Database) -> None:
    work = Directed()
    async with running(database, {"work": work}, Limits(lane=256)) as runs:
        thread = await new_thread(database)
        for _ in range(3):
            results = await asyncio.gather(
                *(begin(runs, thread=thread) for _ in range(50)), return_exceptions=True
            )
            got = [result for result in results if isinstance(result, Run)]
            assert len(got) == 1
            assert sum(isinstance(result, ThreadBusy) for result in results) == 49
            assert held(database, got[0]) == got[0].id
            await work.end(got[0])
            await ended(runs, got[0])
    stored = await database.read(store.list_runs, owner_id=OWNER, limit=200)
    assert len(stored) == 3


async def test_a_run_on_a_thread_that_was_deleted_is_not_begun(database: Database) -> None:
    work = Directed()
    async with running(database, {"work": work}) as runs:
        thread = await new_thread(database)
        await database.write(threads.delete, thread.key)
        with pytest.raises(NotFound, match=thread.id):
            await begin(runs, thread=thread)
        assert not runs.running


async def test_nobody_is_registered_after_the_end(database: Database) -> None:
    async with running(database, {"work": Directed()}):
        assert len(await database.read(lambda c: c.execute(sa.select(executors)).all())) == 1
    assert await database.read(lambda c: c.execute(sa.select(executors)).all()) == []
