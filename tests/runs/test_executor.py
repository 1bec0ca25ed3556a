"""How runs are carried out: begun, ended, stopped, expired, and what is left behind: nothing."""

import asyncio
import time
from collections.abc import Sequence

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from novasystem.errors import IllegalTransition, NotFound, ThreadBusy
from novasystem.runs import store
from novasystem.runs.context import Kind, RunContext
from novasystem.runs.executor import Limits
from novasystem.runs.records import Outcome, Run
from novasystem.runs.service import Runs
from novasystem.runs.state import RunStatus
from novasystem.runs.store import Raw
from novasystem.storage.database import Database
from novasystem.storage.tables import executors
from novasystem.storage.tables import runs as runs_table
from novasystem.threads import store as threads
from tests.runs.working import (
    OWNER,
    Directed,
    begin,
    ended,
    events,
    followed,
    new_thread,
    now,
    running,
    statuses,
    until,
)


def held(database: Database, run: Run) -> str | None:
    assert run.thread_key is not None
    thread = database.read_now(threads.get, run.thread_key)
    assert thread is not None
    return thread.active_run


async def free(runs: Runs, run: Run) -> bool:
    """Whether a run let go of all that it held."""
    await until(lambda: not runs.running)
    return held(runs.database, run) is None


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
            await until(lambda done=done: len(work.contexts) == 4 + done)
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
            try:
                await runs.cancel(run.id, OWNER)
            except IllegalTransition as error:
                assert error.before == "completed"
            await watching
            ends.append((await now(runs, run)).status)
            await events(database, run)
            assert held(database, run) is None
            await until(lambda number=number: len(freed) >= number + 1)
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
                        lambda _, thread=thread: _new(thread),
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


def _new(thread: threads.Thread) -> "store.NewRun":
    return store.NewRun("work", OWNER, {}, thread_key=thread.key, thread_id=thread.id)


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
