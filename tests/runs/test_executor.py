"""How runs are carried out: begun, ended, stopped, expired, and what is left behind: nothing."""

import asyncio
import functools
from collections.abc import Sequence

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from novasystem.errors import NotFound
from novasystem.runs import store, transactions
from novasystem.runs.context import Kind, RunContext
from novasystem.runs.executor import Limits
from novasystem.runs.records import NewRun, Outcome, Run
from novasystem.runs.state import RunStatus
from novasystem.runs.store import Raw
from novasystem.storage.database import Database
from novasystem.storage.tables import runs as runs_table
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


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Outcome("completed", {"a": 1}, {"total_tokens": 3}), "completed"),
        (Outcome("incomplete", {"reason": "max_tokens"}), "incomplete"),
        (ValueError("unforeseen"), "failed"),
        (NotFound("model", "x"), "failed"),
    ],
)
async def test_each_ending_is_written_told_and_frees_the_thread(
    database: Database, outcome: Outcome | Exception, status: RunStatus
) -> None:
    work = Directed()
    freed: list[int] = []
    async with running(database, {"work": work}, on_free=freed.append) as runs:
        run = await begin(runs, thread=await new_thread(database))
        assert held(database, run) == run.id
        watching = asyncio.create_task(followed(runs, run))
        (await work.context(run)).emit("text", {"text": "said"})
        await work.end(run, outcome)
        after = await ended(runs, run)
        assert after.status == status
        assert await free(runs, run)
        assert after.thread_key in freed
        log = await events(database, run)
        assert statuses(log) == ["queued", "in_progress", status]
        assert [event.type for event in log][2] == "text"
        assert log[-1] in await watching
        if isinstance(outcome, Outcome):
            assert (after.details, after.usage) == (outcome.details, outcome.usage)
        else:
            assert after.error is not None
            assert ("unforeseen" in after.error["message"]) is False
        assert after.ended_at is not None
        assert (after.executor, after.fence) == (None, 1)


async def test_runs_begin_in_their_order_and_no_more_than_a_lane_takes(
    database: Database,
) -> None:
    work = Directed()
    async with running(database, {"work": work}, Limits(total=3, lane=2)) as runs:
        slow = [await begin(runs, lane="slow") for _ in range(5)]
        other = [await begin(runs, lane="other") for _ in range(3)]
        await until(lambda: len(work.contexts) == 3)
        order = [slow[0], slow[1], other[0], slow[2], slow[3], other[1]]
        for done, run in enumerate([*order[:3]]):
            await work.end(run)
            await ended(runs, run)
            await until(functools.partial(reached, work.contexts, 4 + done))
        begun = [context.run.id for context in work.contexts]
        # Oldest first where the lane has room: each freed place goes to the next in line.
        assert begun == [run.id for run in order]
        # A lane's limit holds beside runs that come just when a place is free.
        for _ in range(3):
            left = [*slow, *other]
            for run in left:
                if (await now(runs, run)).status == "in_progress":
                    await work.end(run)
                    await begin(runs, lane="slow")
                    lanes = await database.read(_lanes)
                    assert lanes.get("slow", 0) <= 2
                    assert sum(lanes.values()) <= 3
                    break


def _lanes(connection: Connection) -> dict[str, int]:
    counted = (
        sa.select(runs_table.c.lane, sa.func.count())
        .where(runs_table.c.executor.is_not(None))
        .group_by(runs_table.c.lane)
    )
    return {lane: count for lane, count in connection.execute(counted)}


async def test_many_runs_never_exceed_the_limits_and_none_is_left(database: Database) -> None:
    at_once = {"a": 0, "b": 0}
    most = {"a": 0, "b": 0}

    async def execute(context: RunContext) -> Outcome:
        lane = context.run.lane
        at_once[lane] += 1
        most[lane] = max(most[lane], at_once[lane])
        context.emit("text", {"text": "x"})
        await asyncio.sleep(0.002)
        at_once[lane] -= 1
        return Outcome()

    async with running(database, {"work": Kind(execute)}, Limits(total=6, lane=4)) as runs:
        started = await asyncio.gather(
            *(begin(runs, lane="ab"[number % 2]) for number in range(120))
        )
        for run in started:
            assert (await ended(runs, run)).status == "completed"
        assert most["a"] <= 4
        assert most["b"] <= 4
        await until(lambda: not runs.running)
        # Nothing of them is left in memory.
        assert runs._feeds == {}
        assert runs._executor._early == {}
        assert not runs._executor._lanes
        assert runs._executor._works == {}
        assert runs._tasks == set()
        assert runs._executor._journal._waiting == {}


async def test_what_was_half_done_is_settled_in_the_transaction_of_the_end(
    database: Database,
) -> None:
    settled: list[tuple[str, str]] = []

    def settle(connection: Connection, run: Run, status: RunStatus) -> Sequence[Raw]:
        log = store.events_after(connection, run.key, 0)
        settled.append((run.id, status))
        return [("settled", {"had": sum(event.type == "text" for event in log)}, 0)]

    work = Directed(settle=settle)
    async with running(database, {"work": work}) as runs:
        for how in ("completed", "failed", "cancelled"):
            run = await begin(runs)
            (await work.context(run)).emit("text", {"text": "x"})
            if how == "cancelled":
                await runs.cancel(run.id, OWNER)
            else:
                await work.end(run, ValueError() if how == "failed" else Outcome())
            assert (await ended(runs, run)).status == how
            log = await events(database, run)
            found = [event.data for event in log if event.type == "settled"]
            # It sees what was emitted up to the end.
            assert found == ([] if how == "completed" else [{"had": 1}])
        assert [status for _, status in settled] == ["failed", "cancelled"]


async def test_a_kind_that_cannot_settle_ends_all_the_same(database: Database) -> None:
    def settle(_connection: Connection, _run: Run, _status: RunStatus) -> Sequence[Raw]:
        raise ValueError("cannot")

    work = Directed(settle=settle)
    async with running(database, {"work": work}, Limits(total=3)) as runs:
        first = await begin(runs)
        (await work.context(first)).emit("text", {"text": "kept"})
        await runs.cancel(first.id, OWNER)
        assert (await ended(runs, first)).status == "cancelled"
        assert "text" in {event.type for event in await events(database, first)}
        waiting = await begin(runs)
        await work.end(waiting, Outcome("requires_action"))
        await runs.wait(waiting, 10, {"requires_action"})
        assert (await runs.cancel(waiting.id, OWNER)).status == "cancelled"
        expiring = await begin(runs, expires_in_s=0.6)
        await work.end(expiring, Outcome("requires_action"))
        assert (await ended(runs, expiring)).status == "expired"
        # And the next one is carried out as if nothing had been.
        last = await begin(runs)
        await work.end(last)
        assert (await ended(runs, last)).status == "completed"


async def test_a_bad_last_write_fails_the_run_and_frees_its_thread(database: Database) -> None:
    def refuse(_connection: Connection) -> None:
        raise ValueError("cannot")

    async def execute(context: RunContext) -> Outcome:
        context.emit("text", {"text": "stored"})
        await context.commit()
        context.emit("text", {"text": "never stored"}, refuse)
        return Outcome()

    async with running(database, {"work": Kind(execute)}) as runs:
        run = await begin(runs, thread=await new_thread(database))
        assert (await ended(runs, run)).status == "failed"
        log = await events(database, run)
        assert [e.data["text"] for e in log if e.type == "text"] == ["stored"]
        assert await free(runs, run)


async def test_a_write_that_cannot_be_made_ends_the_execution(database: Database) -> None:
    def refuse(_connection: Connection) -> None:
        raise ValueError("cannot")

    work = Directed()
    async with running(database, {"work": work}) as runs:
        run = await begin(runs, thread=await new_thread(database))
        (await work.context(run)).emit("text", {"text": "never stored"}, refuse)
        assert (await ended(runs, run)).status == "failed"
        assert work.stopped == [run.id]
        assert statuses(await events(database, run)) == ["queued", "in_progress", "failed"]
        assert await free(runs, run)


async def test_a_run_began_when_its_event_says_it_did(database: Database) -> None:
    def many(connection: Connection) -> list[Run]:
        new = NewRun("work", OWNER, {})
        for _ in range(40):
            transactions.begin(connection, lambda _: new, None, None)
        return transactions.claim(connection, "exec_busy", limit=40, full=())

    for run in await database.write(many):
        # That its row has the same time, and not that of a little later.
        assert statuses(await events(database, run)) == ["queued", "in_progress"]
