"""Durable work: start it, watch it, cancel it, wait for it. What it does is its kind's affair."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Literal, TypeVar

from sqlalchemy.engine import Connection

from novasystem.errors import IllegalTransition, NotFound, StorageUnavailable
from novasystem.runs import store, transactions
from novasystem.runs.context import Kind
from novasystem.runs.executor import Executor, Limits
from novasystem.runs.feed import Feed
from novasystem.runs.joined import Opening
from novasystem.runs.records import Event, NewRun, Rewound, Run, Seen
from novasystem.runs.state import ENDED, RunStatus
from novasystem.runs.transactions import Write
from novasystem.storage.database import Database
from novasystem.storage.notices import Notices

__all__ = ["Runs"]

T = TypeVar("T")
_CLOSE_S = 5.0
_RETRY_S = 1.0


class Runs:
    """The runs of one database, some of them carried out by this process.

    ``on_free`` is told of each thread (by its key) that a run has let go of, in any process.
    """

    def __init__(
        self,
        database: Database,
        kinds: Mapping[str, Kind],
        *,
        limits: Limits | None = None,
        on_free: Callable[[int], None] = lambda _thread: None,
    ) -> None:
        self.database = database
        self._feeds: dict[str, Feed] = {}
        self._on_free = on_free
        self._kinds = kinds
        self._executor = Executor(database, kinds, limits or Limits(), self._feed, self._ended)
        self._notices = Notices(database, self._heard)
        self._tasks: set[asyncio.Task[Any]] = set()

    async def open(self) -> None:
        """Begin to carry runs out; those that a dead process left are taken over first."""
        await self._notices.open()
        await self._executor.open()

    async def aclose(self) -> None:
        if self._tasks:
            # What is being begun must have begun before all that runs is stopped.
            await asyncio.wait(self._tasks, timeout=_CLOSE_S)
        await self._executor.aclose()
        await self._notices.aclose()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for feed in self._feeds.values():
            feed.close()

    @property
    def running(self) -> int:
        """How many runs this process carries out now."""
        return self._executor.running

    def room(self, lane: str) -> bool:
        """Whether a run of this lane would be begun here at once."""
        return self._executor.room(lane)

    async def start(
        self,
        new: Callable[[Connection], NewRun],
        *,
        lane: str = "",
        write: Write | None = None,
        unseen: Literal["go_on", "cancel"] = "go_on",
        opening: Opening | None = None,
    ) -> Run:
        """Store a run, and begin it at once where there is room in its lane.

        ``new`` and ``write`` work in the same transaction, before and after the run's row is there.
        ``opening``: the same as one statement can do it, which is tried first where it may.
        ``unseen``: what becomes of a run that was stored where the caller is cancelled meanwhile.
        Raises ``ThreadBusy`` where another run holds the thread.
        """
        # At once, so that whoever has just seen that there is room gets it.
        here = self._executor.room(lane)
        if here:
            self._executor.reserve(lane)
        joined = opening if here and not self.database.is_sqlite else None
        starting = self._keep(self._start(new, lane, write, joined, here=here))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            if unseen == "cancel":
                starting.add_done_callback(self._left)
            raise

    def _left(self, started: "asyncio.Task[Run]") -> None:
        if not started.cancelled() and started.exception() is None:
            self.abandon(started.result())

    async def _start(
        self,
        new: Callable[[Connection], NewRun],
        lane: str,
        write: Write | None,
        opening: Opening | None,
        *,
        here: bool,
    ) -> Run:
        executor = self._executor

        def begin(connection: Connection) -> NewRun:
            return replace(new(connection), lane=lane)

        try:
            run = None
            if opening is not None:
                run = await self.database.write(
                    transactions.open_joined, opening, lane, executor.id
                )
            if run is None:
                run = await self.database.write(
                    transactions.begin, begin, executor.id if here else None, write
                )
        except BaseException:
            if here:
                executor.unreserve(lane)
            raise
        if here:
            executor.begin(run)
        else:
            executor.wake()
        return run

    async def go_on(self, run: Run, write: Write) -> Run:
        """Take up a run that had waited for an action, with what ``write`` adds.

        Raises ``IllegalTransition`` where it does not wait, whatever ``run`` says.
        """
        return await asyncio.shield(self._keep(self._go_on(run, write)))

    async def _go_on(self, run: Run, write: Write) -> Run:
        executor = self._executor
        here = executor.room(run.lane)
        if here:
            executor.reserve(run.lane)
        try:
            after = await self.database.write(
                transactions.go_on, run.id, run.owner_id, executor.id if here else None, write
            )
        except BaseException:
            if here:
                executor.unreserve(run.lane)
            raise
        if here:
            executor.begin(after)
        else:
            executor.tell(after)
            executor.wake()
        return after

    async def get(self, run_id: str, owner_id: str) -> Run:
        """Raises ``NotFound``, also for another owner's."""
        run = await self.database.read(store.get, run_id, owner_id=owner_id)
        if run is None:
            raise NotFound("run", run_id, param="run_id")
        return run

    async def cancel(self, run_id: str, owner_id: str) -> Run:
        """Ask for the run's end; where it is being carried out, that comes within a second.

        Raises ``NotFound``, or ``IllegalTransition`` where it has ended.
        """
        return await asyncio.shield(self._keep(self._cancel(run_id, owner_id)))

    async def _cancel(self, run_id: str, owner_id: str) -> Run:
        run = await self._executor.settled(transactions.cancel, run_id, owner_id)
        if run.status == "cancelling":
            self._executor.cancel(run.id)
        else:
            self._executor.tell(run)
        return run

    def abandon(self, run: Run) -> None:
        """Whoever asked for the run has left: it is cancelled, and nobody waits for that.

        What is carried out here stops now, however long it takes to write that down.
        """
        if self._executor.has(run.id):
            self._executor.cancel(run.id)
        else:
            self._keep(self._abandon(run))

    async def _abandon(self, run: Run) -> None:
        while True:
            try:
                await self._cancel(run.id, run.owner_id)
            except StorageUnavailable:
                await asyncio.sleep(_RETRY_S)
                continue
            except (IllegalTransition, NotFound):
                # It had just ended, or was deleted.
                pass
            return

    def _keep(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """``work`` as a task of its own, which goes on where whoever asked for it is cancelled."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def follow(self, run: Run, after: int = 0) -> AsyncGenerator[Seen, None]:
        """Every event after the number ``after``: the stored ones, then as they happen.

        It ends after the event that says the run's end, at once where that lies before ``after``,
        or where the run is deleted, or where the feed breaks off: then it raises what kept the end
        from being written, if anything did. ``run`` must be no older than what ``after`` was read
        from.
        """
        feed = self._feed(run)
        watcher = feed.watch()
        last = min(after, run.last_seq)
        if self._executor.has(run.id) and feed.committed == last:
            # It is carried out here, and all that comes after is still to be shown.
            watcher.restart()
        try:
            while True:
                if watcher.behind:
                    for rewound in watcher.restart():
                        last = min(last, rewound.seq)
                        yield rewound
                    found, there = await self.database.read(_look, run.key, last)
                    for event in found:
                        last = event.seq
                        yield event
                        if _says(event, ENDED):
                            return
                    if run.status in ENDED or not there:
                        return
                seen = await watcher.next()
                if watcher.behind:
                    continue
                if not seen:
                    if feed.error is not None:
                        raise feed.error
                    return
                for one in seen:
                    if isinstance(one, Event):
                        if one.seq <= last:
                            continue
                        last = one.seq
                        yield one
                        # Most are tokens, and not committed.
                        if one.committed and _says(one, ENDED):
                            return
                    else:
                        if isinstance(one, Rewound):
                            last = min(last, one.seq)
                        yield one
        finally:
            feed.watchers.discard(watcher)
            self._tidy(run.id)

    async def wait(self, run: Run, timeout_s: float, until: Collection[RunStatus] = ENDED) -> Run:
        """The run once its status is one of ``until``, or as it is when the time is over."""
        try:
            async with asyncio.timeout(timeout_s), aclosing(self.follow(run)) as events:
                async for seen in events:
                    if _says(seen, until):
                        # It may be an old one: a run can wait for an action more than once.
                        current = await self.database.read(store.get, run.id)
                        if current is None or current.status in until:
                            break
        except TimeoutError:
            pass
        return await self.get(run.id, run.owner_id)

    def forget(self, run_id: str) -> None:
        """The run was deleted: whoever carries it out or watches it stops."""
        self._executor.drop(run_id)
        feed = self._feeds.pop(run_id, None)
        if feed is not None:
            feed.close()

    def _feed(self, run: Run) -> Feed:
        return self._feeds.setdefault(run.id, Feed())

    def _tidy(self, run_id: str) -> None:
        """Forget a feed that nobody fills and nobody watches."""
        feed = self._feeds.get(run_id)
        if feed is not None and not feed.watchers and not self._executor.has(run_id):
            del self._feeds[run_id]

    def _ended(self, run: Run) -> None:
        if run.status in ENDED and run.thread_key is not None:
            self._on_free(run.thread_key)
        if run.status == "in_progress":
            # It is another's now, who may have told of its end while we still held it for ours.
            self._catch_up(run.id)
        self._tidy(run.id)

    def _heard(self, word: str) -> None:
        """What another process, or this one, has committed."""
        kind, _, rest = word.partition(" ")
        if kind == "queued":
            self._executor.wake()
        elif kind == "cancel":
            self._executor.cancel(rest)
        elif kind == "thread":
            self._on_free(int(rest))
        elif kind == "events":
            self._catch_up(rest)
        elif kind == "gone":
            self.forget(rest)
        else:
            # The connection was lost for a while: anything may have happened.
            self._keep(self._executor.look_again())
            for run_id in self._feeds:
                self._catch_up(run_id)

    def _catch_up(self, run_id: str) -> None:
        feed = self._feeds.get(run_id)
        if feed is not None and not self._executor.has(run_id):
            feed.lag()


def _look(connection: Connection, run_key: int, after: int) -> tuple[list[Event], bool]:
    """What is stored after the number ``after``, and whether the run is there at all."""
    events = store.events_after(connection, run_key, after)
    return events, bool(events) or store.exists(connection, run_key)


def _says(seen: Seen, statuses: Collection[RunStatus]) -> bool:
    """Whether this is the stored event of a change to one of ``statuses``."""
    return (
        isinstance(seen, Event)
        and seen.committed
        and seen.type == "status"
        and seen.data["status"] in statuses
    )
