"""Runs that a test carries out: kinds that it directs, and ways to wait for what happens."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

from sqlalchemy.engine import Connection

from novasystem.runs import store
from novasystem.runs.context import Kind, RunContext
from novasystem.runs.executor import Limits
from novasystem.runs.records import Event, NewRun, Outcome, Run, Seen
from novasystem.runs.service import Runs
from novasystem.runs.state import ENDED
from novasystem.runs.transactions import Write
from novasystem.storage.database import Database
from novasystem.threads import store as threads
from novasystem.threads.records import Thread

__all__ = [
    "OWNER",
    "Directed",
    "begin",
    "ended",
    "events",
    "followed",
    "free",
    "held",
    "new_thread",
    "now",
    "reached",
    "running",
    "statuses",
    "until",
]

OWNER = "local"
_WITHIN_S = 30.0


async def until(condition: Callable[[], Any], within_s: float = _WITHIN_S) -> Any:
    """What ``condition`` gives once that is true; it may be a coroutine function."""
    end = time.monotonic() + within_s
    while True:
        found = condition()
        if isinstance(found, Awaitable):
            found = await found
        if found:
            return found
        assert time.monotonic() < end, "what was waited for did not happen"
        await asyncio.sleep(0.01)


class Directed:
    """A kind whose executions wait for the test: each is a context in ``contexts``."""

    def __init__(self, *, resumes: bool = False, settle: Any = None) -> None:
        self.contexts: list[RunContext] = []
        self.stopped: list[str] = []
        self._outcomes: dict[str, asyncio.Future[Outcome]] = {}
        self.kind = Kind(self._execute, settle, resumes)

    async def _execute(self, context: RunContext) -> Outcome:
        self.contexts.append(context)
        self._outcomes[context.run.id] = asyncio.get_running_loop().create_future()
        try:
            return await self._outcomes[context.run.id]
        except asyncio.CancelledError:
            self.stopped.append(context.run.id)
            raise

    async def context(self, run: Run) -> RunContext:
        """That of the run's newest execution, once it has begun."""
        return await until(  # type: ignore[no-any-return]
            lambda: next((c for c in reversed(self.contexts) if c.run.id == run.id), None)
        )

    async def end(self, run: Run, outcome: Outcome | Exception | None = None) -> None:
        await self.context(run)
        future = self._outcomes[run.id]
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome or Outcome())


@asynccontextmanager
async def running(
    database: Database,
    kinds: Mapping[str, Kind | Directed],
    limits: Limits | None = None,
    on_free: Callable[[int], None] = lambda _thread: None,
) -> AsyncIterator[Runs]:
    ready = {name: kind if isinstance(kind, Kind) else kind.kind for name, kind in kinds.items()}
    runs = Runs(database, ready, limits=limits, on_free=on_free)
    await runs.open()
    try:
        yield runs
    finally:
        await runs.aclose()


async def new_thread(database: Database, thread_id: str = "a" * 32) -> Thread:
    return await database.write(threads.create, thread_id, OWNER)


async def begin(
    runs: Runs,
    kind: str = "work",
    *,
    thread: Thread | None = None,
    lane: str = "",
    write: Write | None = None,
    **more: Any,
) -> Run:
    where = {} if thread is None else {"thread_key": thread.key, "thread_id": thread.id}
    given: dict[str, Any] = {"request": {}, **where, **more}

    def new(_connection: Connection) -> NewRun:
        return NewRun(kind, OWNER, **given)

    return await runs.start(new, lane=lane, write=write)


async def now(runs: Runs, run: Run) -> Run:
    return await runs.get(run.id, run.owner_id)


def reached(found: Sequence[object], count: int) -> bool:
    return len(found) >= count


def held(database: Database, run: Run) -> str | None:
    assert run.thread_key is not None
    thread = database.read_now(threads.get, run.thread_key)
    assert thread is not None
    return thread.active_run


async def free(runs: Runs, run: Run) -> bool:
    """Whether a run let go of all that it held."""
    await until(lambda: not runs.running)
    return held(runs.database, run) is None


async def ended(runs: Runs, run: Run) -> Run:
    """The run, waited for until it has ended."""
    after = await runs.wait(run, _WITHIN_S)
    assert after.status in ENDED
    return after


async def events(database: Database, run: Run) -> list[Event]:
    """The stored log, checked: numbered from 1 without a gap, ended at most once, and with the
    times that the run's row has."""
    found = await database.read(store.events_after, run.key, 0)
    assert [event.seq for event in found] == list(range(1, len(found) + 1))
    ends = [event.seq for event in found if _ends(event)]
    assert ends in ([], [len(found)])
    row = await database.read(store.get, run.id)
    assert row is not None
    assert row.last_seq == len(found)
    assert (row.status in ENDED) == bool(ends)
    assert row.ended_at == (found[-1].at_ms if ends else None)
    begun = [event.at_ms for event in found if event.data.get("status") == "in_progress"]
    if begun:
        assert row.started_at == begun[0]
    return found


def _ends(event: Event) -> bool:
    return event.type == "status" and event.data["status"] in ENDED


def statuses(log: list[Event]) -> list[str]:
    return [event.data["status"] for event in log if event.type == "status"]


async def followed(runs: Runs, run: Run, after: int = 0) -> list[Seen]:
    """All that a watcher sees until the run's end."""
    async with asyncio.timeout(_WITHIN_S), aclosing(runs.follow(run, after)) as seen:
        return [one async for one in seen]
