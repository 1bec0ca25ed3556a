"""What must not run twice: recorded before it is made, and never repeated by itself."""

import asyncio
from typing import Any

from novasystem.errors import CallInterrupted, FencedOut, NotFound, RunFailed
from novasystem.runs import store
from novasystem.runs.context import Kind, RunContext
from novasystem.runs.records import Outcome, Run, Step
from novasystem.storage.database import Database
from novasystem.storage.ids import now_ms
from tests.runs.working import OWNER, begin, ended, running, until


async def step(database: Database, run: Run, name: str = "pay") -> Step:
    found = await database.read(store.named_step, run.key, name)
    assert found is not None
    return found


class Payments:
    """A kind that makes one call; ``made`` counts how often, ``got`` what it returned."""

    def __init__(self, *, repeatable: bool = False) -> None:
        self.made = 0
        self.got: list[Any] = []
        self.hang = asyncio.Event()
        self.fails = False
        self.at_call: list[Step] = []
        self.repeatable = repeatable
        self.catches = False
        self.wait_after = asyncio.Event()
        self.wait_after.set()
        self.kind = Kind(self._execute, resumes=True)

    async def _pay(self, context: RunContext) -> dict[str, int]:
        self.made += 1
        self.at_call.append(await step(context.database, context.run))
        if self.fails:
            raise NotFound("account", "x")
        if not self.hang.is_set():
            await asyncio.sleep(3600)
        return {"paid": self.made}

    async def _execute(self, context: RunContext) -> Outcome:
        try:
            got = await context.call(
                "pay", {"amount": 3}, lambda: self._pay(context), repeatable=self.repeatable
            )
        except Exception as error:
            self.got.append(error)
            if not self.catches:
                raise
        else:
            self.got.append(got)
        await self.wait_after.wait()
        return Outcome()


async def test_a_call_is_recorded_before_it_is_made(database: Database) -> None:
    pay = Payments()
    pay.hang.set()
    async with running(database, {"work": pay.kind}) as runs:
        run = await begin(runs)
        assert (await ended(runs, run)).status == "completed"
        at_call = pay.at_call[0]
        assert (at_call.status, at_call.details) == ("in_progress", {"amount": 3})
        after = await step(database, run)
        assert after.status == "completed"
        assert after.details == {"amount": 3, "output": {"paid": 1}}


async def interrupted(database: Database, pay: Payments) -> Run:
    """A run whose process is gone in the middle of its call, as the database shows it."""
    async with running(database, {"work": pay.kind}) as runs:
        run = await begin(runs)
        await until(lambda: pay.made == 1)
    # The server ended in order: the run is in the queue, its call is still open.
    assert (await step(database, run)).status == "in_progress"
    pay.hang.set()
    return run


async def test_an_interrupted_call_is_not_made_again(database: Database) -> None:
    pay = Payments()
    run = await interrupted(database, pay)
    async with running(database, {"work": pay.kind}) as runs:
        after = await ended(runs, run)
        assert after.status == "failed"
        assert after.error is not None
        assert after.error["code"] == CallInterrupted.code
        assert "not repeated" in after.error["message"]
        assert pay.made == 1
        assert (await step(database, run)).status == "unknown"


async def test_it_stays_unknown_for_whoever_looks_again(database: Database) -> None:
    pay = Payments()
    run = await interrupted(database, pay)
    pay.catches = True
    pay.wait_after.clear()
    async with running(database, {"work": pay.kind}) as runs:
        await until(lambda: len(pay.got) == 1)
    async with running(database, {"work": pay.kind}) as runs:
        await until(lambda: len(pay.got) == 2)
        pay.wait_after.set()
        assert (await ended(runs, run)).status == "completed"
    assert [type(error) for error in pay.got] == [CallInterrupted] * 2
    assert pay.made == 1


async def test_a_repeatable_call_is_made_again(database: Database) -> None:
    pay = Payments(repeatable=True)
    run = await interrupted(database, pay)
    async with running(database, {"work": pay.kind}) as runs:
        assert (await ended(runs, run)).status == "completed"
    assert (pay.made, pay.got) == (2, [{"paid": 2}])
    assert (await step(database, run)).status == "completed"


async def test_a_call_that_was_made_is_not_made_again(database: Database) -> None:
    pay = Payments()
    pay.hang.set()
    pay.wait_after.clear()
    async with running(database, {"work": pay.kind}) as runs:
        run = await begin(runs)
        await until(lambda: pay.got)
    pay.wait_after.set()
    async with running(database, {"work": pay.kind}) as runs:
        assert (await ended(runs, run)).status == "completed"
    assert (pay.made, pay.got) == (1, [{"paid": 1}, {"paid": 1}])


async def test_a_call_that_failed_has_failed(database: Database) -> None:
    pay = Payments()
    pay.fails = pay.catches = True
    pay.wait_after.clear()
    async with running(database, {"work": pay.kind}) as runs:
        run = await begin(runs)
        await until(lambda: pay.got)
        assert (await step(database, run)).status == "failed"
    pay.wait_after.set()
    async with running(database, {"work": pay.kind}) as runs:
        assert (await ended(runs, run)).status == "completed"
    assert pay.made == 1
    first, second = pay.got
    assert isinstance(first, NotFound)
    assert isinstance(second, RunFailed)
    assert (second.code, str(second)) == (first.code, str(first))


async def test_a_call_that_was_cancelled_midway_is_unknown(database: Database) -> None:
    pay = Payments()
    async with running(database, {"work": pay.kind}) as runs:
        run = await begin(runs)
        await until(lambda: pay.made == 1)
        await runs.cancel(run.id, OWNER)
        assert (await ended(runs, run)).status == "cancelled"
    assert (await step(database, run)).status == "unknown"


async def test_nothing_is_called_under_a_lease_that_is_lost(database: Database) -> None:
    pay = Payments()
    pay.hang.set()
    begun, lost = asyncio.Event(), asyncio.Event()
    caught: list[Exception] = []

    async def execute(context: RunContext) -> Outcome:
        begun.set()
        await lost.wait()
        try:
            await context.call("pay", {}, lambda: pay._pay(context))
        except FencedOut as error:
            caught.append(error)
            raise
        return Outcome()

    async with running(database, {"work": Kind(execute)}) as runs:
        run = await begin(runs)
        await begun.wait()
        await database.write(store.lease, run.id, "exec_other", now_ms())
        lost.set()
        await until(lambda: caught)
        await until(lambda: not runs.running)
    assert pay.made == 0
    assert await database.read(store.named_step, run.key, "pay") is None
