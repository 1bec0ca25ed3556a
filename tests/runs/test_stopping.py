"""Runs that do not end by themselves: cancelled, waiting for an action, or out of time."""

import asyncio
import contextlib
import functools
import time
from collections.abc import Sequence

import pytest
from sqlalchemy.engine import Connection

from novasystem.errors import IllegalTransition, NotFound, ThreadBusy
from novasystem.runs.context import Kind, RunContext
from novasystem.runs.executor import Limits
from novasystem.runs.records import Outcome, Run
from novasystem.runs.store import Raw
from novasystem.storage.database import Database
from tests.runs.working import (
    OWNER,
    Directed,
    begin,
    ended,
    events,
    followed,
    free,
    held,
    new_thread,
    now,
    reached,
    running,
    statuses,
    until,
)


async def test_cancelling_reaches_the_function_within_a_second(database: Database) -> None:
    work = Directed()
    async with running(database, {"work": work}) as runs:
        run = await begin(runs, thread=await new_thread(database))
        (await work.context(run)).emit("text", {"text": "said"})
        watching = asyncio.create_task(followed(runs, run))
        asked = time.monotonic()
        assert (await runs.cancel(run.id, OWNER)).status == "cancelling"
        await until(lambda: work.stopped == [run.id])
        took = time.monotonic() - asked
        assert took < 1, took
        assert (await ended(runs, run)).status == "cancelled"
        log = await events(database, run)
        assert statuses(log) == ["queued", "in_progress", "cancelling", "cancelled"]
        assert "text" in {event.type for event in log}
        assert log[-1] in await watching
        assert await free(runs, run)
        with pytest.raises(IllegalTransition):
            await runs.cancel(run.id, OWNER)
        with pytest.raises(NotFound):
            await runs.cancel(run.id, "another")


async def test_cancelling_a_queued_run(database: Database) -> None:
    work = Directed()
    async with running(database, {"work": work}, Limits(total=1)) as runs:
        first = await begin(runs)
        queued = await begin(runs, thread=await new_thread(database))
        watching = asyncio.create_task(followed(runs, queued))
        await asyncio.sleep(0.05)
        assert (await runs.cancel(queued.id, OWNER)).status == "cancelled"
        assert statuses(await events(database, queued)) == ["queued", "cancelled"]
        assert (await watching)[-1].type == "status"  # type: ignore[union-attr]
        assert held(database, queued) is None
        await work.end(first)
        await ended(runs, first)
        assert len(work.contexts) == 1


async def test_cancelling_before_the_first_step(database: Database) -> None:
    """The run is leased, and its function has not begun: it never does."""
    work = Directed()
    async with running(database, {"work": work}) as runs:
        cancelled = []
        for _ in range(20):
            run = await begin(runs)
            cancelled.append(run)
            await runs.cancel(run.id, OWNER)
        for run in cancelled:
            assert (await ended(runs, run)).status == "cancelled"
            await events(database, run)
        await until(lambda: not runs.running)
        assert len(work.stopped) == len(work.contexts)


async def test_cancelling_while_the_end_is_written(database: Database) -> None:
    """Whichever comes first: it ends once, its watcher is told, its thread is free."""

    async def execute(context: RunContext) -> Outcome:
        context.emit("text", {"text": "x"})
        await asyncio.sleep(context.run.request["wait_s"])
        return Outcome()

    thread = await new_thread(database)
    freed: list[int] = []
    ends: list[str] = []
    async with running(database, {"work": Kind(execute)}, on_free=freed.append) as runs:
        for number in range(60):
            request = {"wait_s": 0.0002 * (number % 20)}
            run = await begin(runs, thread=thread, request=request)
            watching = asyncio.create_task(followed(runs, run))
            await asyncio.sleep(0.0003 * (number % 7))
            with contextlib.suppress(IllegalTransition):
                await runs.cancel(run.id, OWNER)
            await watching
            ends.append((await now(runs, run)).status)
            await events(database, run)
            assert held(database, run) is None
            await until(functools.partial(reached, freed, number + 1))
    assert set(ends) <= {"cancelled", "completed"}


async def test_a_run_that_waits_for_an_action_goes_on(database: Database) -> None:
    work = Directed()
    async with running(database, {"work": work}) as runs:
        thread = await new_thread(database)
        run = await begin(runs, thread=thread)
        watching = asyncio.create_task(followed(runs, run))
        await work.end(run, Outcome("requires_action", {"needs": "x"}))
        waiting = await runs.wait(run, 10, {"requires_action"})
        assert (waiting.status, waiting.details) == ("requires_action", {"needs": "x"})
        assert (waiting.executor, waiting.ended_at) == (None, None)
        assert held(database, run) == run.id
        with pytest.raises(ThreadBusy, match=run.id):
            await begin(runs, thread=thread)

        def write(_connection: Connection, _run: Run) -> Sequence[Raw]:
            return [("outputs", {"given": 1}, 0)]

        again = await runs.go_on(waiting, write)
        assert again.status == "in_progress"
        assert (again.fence, again.details) == (2, None)
        with pytest.raises(IllegalTransition):
            await runs.go_on(waiting, write)
        await until(lambda: len(work.contexts) == 2)
        await work.end(run)
        assert (await ended(runs, run)).status == "completed"
        log = await events(database, run)
        assert statuses(log) == [
            "queued", "in_progress", "requires_action", "queued", "in_progress", "completed"
        ]  # fmt: skip
        # Its watcher has seen all of it, each once and in order.
        seen = [s.seq for s in await watching if hasattr(s, "type")]
        assert seen == [event.seq for event in log]
        assert not work.contexts[1].interrupted


async def test_a_run_that_goes_on_may_have_to_queue(database: Database) -> None:
    work = Directed()
    async with running(database, {"work": work}, Limits(total=1)) as runs:
        run = await begin(runs)
        watching = asyncio.create_task(followed(runs, run))
        await work.end(run, Outcome("requires_action"))
        await runs.wait(run, 10, {"requires_action"})
        other = await begin(runs)
        assert (await runs.go_on(run, lambda _c, _r: [])).status == "queued"
        await work.end(other)
        await until(lambda: len(work.contexts) == 3)
        await work.end(run)
        await watching
        assert (await now(runs, run)).status == "completed"


async def test_cancelling_a_run_that_waits_for_an_action(database: Database) -> None:
    work = Directed()
    async with running(database, {"work": work}) as runs:
        run = await begin(runs, thread=await new_thread(database))
        await work.end(run, Outcome("requires_action"))
        await runs.wait(run, 10, {"requires_action"})
        assert (await runs.cancel(run.id, OWNER)).status == "cancelled"
        assert held(database, run) is None
        await events(database, run)


@pytest.mark.parametrize("where", ["queued", "in_progress", "requires_action"])
async def test_a_run_expires_wherever_it_is(database: Database, where: str) -> None:
    work = Directed()
    async with running(database, {"work": work}, Limits(total=1)) as runs:
        if where == "queued":
            await begin(runs)
        run = await begin(runs, thread=await new_thread(database), expires_in_s=1.5)
        watching = asyncio.create_task(followed(runs, run))
        if where == "requires_action":
            await work.end(run, Outcome("requires_action"))
        after = await ended(runs, run)
        assert after.status == "expired"
        assert after.error is not None
        assert after.ended_at is not None
        assert after.ended_at >= (after.expires_at or 0)
        assert held(database, run) is None
        assert statuses(await events(database, run))[-2:] == [where, "expired"]
        await watching
        assert (run.id in work.stopped) == (where == "in_progress")
