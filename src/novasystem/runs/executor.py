"""Carries runs out: takes them from the table, watches over their end, and takes over orphans."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Literal

import structlog

from novasystem.errors import FencedOut, StorageUnavailable
from novasystem.runs import liveness, store, transactions
from novasystem.runs.context import Kind, RunContext
from novasystem.runs.feed import Feed
from novasystem.runs.journal import Journal
from novasystem.runs.records import Run
from novasystem.runs.transactions import Ending
from novasystem.storage.database import Database
from novasystem.storage.ids import new_id, now_ms
from novasystem.unexpected import as_nova_error

__all__ = ["Executor", "Limits"]

_BEAT_S = 2.0
_LOOK_S = 30.0
_RETRY_S = 1.0
_SETTLE_S = 5.0
_MAX_EARLY = 1_000
Stop = Literal["cancel", "fenced", "shutdown"]

_log = structlog.get_logger(__name__)


class Limits:
    """How many runs a process carries out at once: in all, and in one lane."""

    def __init__(self, total: int = 256, lane: int = 64) -> None:
        self.total = total
        self.lane = lane


class _Work:
    """One execution that is under way, and why it was stopped, if it was."""

    __slots__ = ("begun", "context", "failure", "stop", "task")

    def __init__(self, context: RunContext) -> None:
        self.context = context
        self.task: asyncio.Task[None]
        self.begun = False
        self.stop: Stop | None = None
        self.failure: Exception | None = None

    def end(self, stop: Stop, failure: Exception | None = None) -> None:
        if self.stop is None:
            self.stop = stop
            self.failure = failure
            # A task that is cancelled before its first step would never get to its own end.
            if self.begun:
                self.task.cancel()


class Executor:
    """``feed`` gives the feed of a run; ``ended`` is told of each run that stopped here."""

    def __init__(
        self,
        database: Database,
        kinds: Mapping[str, Kind],
        limits: Limits,
        feed: Callable[[Run], Feed],
        ended: Callable[[Run], None],
    ) -> None:
        self.id = new_id("exec")
        self._database = database
        self._kinds = kinds
        self._limits = limits
        self._feed = feed
        self._ended = ended
        self._journal = Journal(database, self._lost)
        self._works: dict[str, _Work] = {}
        self._early: dict[str, None] = {}
        self._lanes: Counter[str] = Counter()
        self._wake = asyncio.Event()
        self._expiry = asyncio.Event()
        self._loops: list[asyncio.Task[None]] = []
        self._open = False
        self._seen: dict[str, tuple[int, float]] = {}

    @property
    def running(self) -> int:
        return len(self._works)

    async def open(self) -> None:
        """Register, take over what a dead process left, and begin to take runs."""
        alone = self._database.is_sqlite
        await self._database.write(liveness.register, self.id, alone=alone)
        self._open = True
        await self._take_over_orphans()
        self._wake.set()
        loops = [self._claim_always(), self._expire_always()]
        if not alone:
            loops.append(self._beat_always())
        self._loops = [asyncio.create_task(loop) for loop in loops]

    async def aclose(self) -> None:
        """Stop what runs: what can be carried on goes back to the queue, the rest fails."""
        self._open = False
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        for work in list(self._works.values()):
            work.end("shutdown")
        await asyncio.gather(*(w.task for w in self._works.values()), return_exceptions=True)
        await self._journal.aclose()
        try:
            await self._database.write(liveness.leave, self.id)
        except StorageUnavailable as error:
            await _log.awarning("the executor could not sign off", error=str(error))

    def room(self, lane: str) -> bool:
        """Whether a run of this lane could begin here now."""
        return (
            self._open
            and sum(self._lanes.values()) < self._limits.total
            and self._lanes[lane] < self._limits.lane
        )

    def reserve(self, lane: str) -> None:
        """Keep a place while the run's row is written; :meth:`begin` or :meth:`unreserve` ends
        that."""
        self._lanes[lane] += 1

    def unreserve(self, lane: str) -> None:
        self._lanes[lane] -= 1
        if not self._lanes[lane]:
            del self._lanes[lane]
        self._wake.set()

    def begin(self, run: Run) -> None:
        """Carry out a run that was leased to us, in a place that was reserved."""
        feed = self._feed(run)
        feed.commit(run.last_seq)
        work = _Work(RunContext(run, feed, self._journal, self._database))
        self._works[run.id] = work
        work.task = asyncio.create_task(self._carry_out(work, feed), name=run.id)
        if self._early.pop(run.id, None) is not None:
            work.end("cancel")

    def wake(self) -> None:
        """There may be a run to take, or a new time at which one expires."""
        self._wake.set()
        self._expiry.set()

    def cancel(self, run_id: str) -> None:
        """Stop the run where it is carried out here."""
        work = self._works.get(run_id)
        if work is not None:
            work.end("cancel")
        else:
            # Perhaps it was leased to us this very moment, and begins in the next.
            self._early[run_id] = None
            while len(self._early) > _MAX_EARLY:
                del self._early[next(iter(self._early))]

    def has(self, run_id: str) -> bool:
        """Whether the run is carried out here now."""
        return run_id in self._works

    def _lost(self, context: RunContext, error: Exception) -> None:
        work = self._works.get(context.run.id)
        if work is not None and work.context is context:
            work.end("fenced" if isinstance(error, FencedOut) else "cancel", error)

    async def _carry_out(self, work: _Work, feed: Feed) -> None:
        run = work.context.run
        after: Run | None = None
        try:
            ending = await self._execute(work)
            after = await self._finish(work, feed, ending)
        except FencedOut:
            feed.rewind()
            await _log.awarning("another executor has taken the run over", run_id=run.id)
        except asyncio.CancelledError:
            if work.stop is None:
                raise
        except Exception as error:
            # Its row stays as it is, and so the run is taken over at the next start.
            as_nova_error(error)
            feed.close()
        finally:
            self.unreserve(run.lane)
            if self._works.get(run.id) is work:
                del self._works[run.id]
            self._ended(work.context.run if after is None else after)

    async def _execute(self, work: _Work) -> Ending | None:
        """How the execution ended; ``None``: it was stopped because the server ends."""
        context = work.context
        run = context.run
        left_s = None if run.expires_at is None else max(0.0, (run.expires_at - now_ms()) / 1000)
        work.begun = True
        if work.stop is not None:
            return self._stopped(work)
        try:
            async with asyncio.timeout(left_s) as limit:
                outcome = await self._kinds[run.kind].execute(context)
        except asyncio.CancelledError:
            return self._stopped(work)
        except TimeoutError as error:
            if limit.expired():
                return Ending("expired", transactions.EXPIRED)
            return _failed(error)
        except FencedOut:
            raise
        except Exception as error:
            return _failed(error)
        return Ending(outcome.status, None, outcome.details, outcome.usage)

    def _stopped(self, work: _Work) -> Ending | None:
        task = asyncio.current_task()
        if work.stop is None or task is None:
            raise asyncio.CancelledError
        task.uncancel()
        if work.stop == "fenced":
            raise FencedOut(work.context.run.id)
        if work.failure is not None:
            return _failed(work.failure)
        if work.stop == "cancel":
            work.context.emit("status", {"status": "cancelling"})
            return Ending("cancelled")
        if self._kinds[work.context.run.kind].resumes:
            return None
        return Ending("failed", transactions.INTERRUPTED)

    async def _finish(self, work: _Work, feed: Feed, ending: Ending | None) -> Run:
        """Write the end; where the database cannot take it, again until it can."""
        context = work.context
        await self._journal.forget(context)
        until = time.monotonic() + _SETTLE_S
        while True:
            batch = context.take()
            try:
                if ending is None:
                    after = await self._database.write(transactions.release, batch)
                    feed.commit(batch.last_seq)
                    feed.close()
                else:
                    settle = self._kinds[context.run.kind].settle
                    after, events = await self._database.write(
                        transactions.end, batch, ending, settle
                    )
                    feed.commit(batch.last_seq)
                    feed.show_stored(events)
                if after.status == "requires_action":
                    self._expiry.set()
                return after
            except StorageUnavailable as error:
                context.give_back(batch)
                if not self._open:
                    raise
                if time.monotonic() > until:
                    # Whoever watches is told now; the end is written when that is possible.
                    feed.close(error)
                await _log.awarning("a run's end waits for the database", run_id=context.run.id)
                await asyncio.sleep(_RETRY_S)

    async def _claim_always(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                while await self._claim():
                    pass
            except StorageUnavailable as error:
                await _log.awarning("no run can be taken", error=str(error))
                await asyncio.sleep(_RETRY_S)
                self._wake.set()

    async def _claim(self) -> bool:
        """Take what there is room for; whether there may be more."""
        limits = self._limits
        full = [lane for lane, count in self._lanes.items() if count >= limits.lane]
        least = [limits.lane - count for count in self._lanes.values() if count < limits.lane]
        room = min([limits.total - sum(self._lanes.values()), limits.lane, *least])
        if room <= 0:
            return False
        claimed = await self._database.write(
            transactions.claim, self.id, limit=min(room, 16), full=full
        )
        for run in claimed:
            self.reserve(run.lane)
            if self._feed(run).watchers:
                await self.tell_if_possible(run)
            self.begin(run)
        return bool(claimed)

    async def _expire_always(self) -> None:
        """End what waits past its time; woken when there is something new that may expire."""
        while True:
            try:
                now = now_ms()
                for run_id in await self._database.read(store.overdue, now):
                    run = await self._database.write(transactions.expire, run_id, now, self._kinds)
                    if run is not None:
                        await self.tell(run)
                due = await self._database.read(store.next_expiry)
            except StorageUnavailable:
                due = None
            wait_s = _LOOK_S if due is None else min(_LOOK_S, max(0.01, (due - now_ms()) / 1000))
            self._expiry.clear()
            try:
                async with asyncio.timeout(wait_s):
                    await self._expiry.wait()
            except TimeoutError:
                pass

    async def _beat_always(self) -> None:
        """Show that we live, and find those that do not."""
        while True:
            await asyncio.sleep(_BEAT_S)
            try:
                beats = await self._database.write(store.beat, self.id)
                if beats is None:
                    await self._reborn()
                    continue
                dead = liveness.dead(beats, self._seen, self.id, time.monotonic())
                dead |= set(await self._database.read(liveness.gone))
                if dead:
                    await self._database.write(liveness.bury, beats, dead)
                await self._take_over_orphans()
            except StorageUnavailable as error:
                await _log.awarning("the executor cannot show that it lives", error=str(error))

    async def _reborn(self) -> None:
        """We were taken for dead: our runs are another's now. Begin anew under a new name."""
        await _log.awarning("this executor was taken for dead; its runs are another's")
        for work in list(self._works.values()):
            work.end("fenced")
        self.id = new_id("exec")
        await self._database.write(liveness.register, self.id, alone=False)

    async def _take_over_orphans(self) -> None:
        for run_id, executor in await self._database.read(store.orphans):
            run = await self._database.write(transactions.take_over, run_id, executor, self._kinds)
            if run is not None:
                await _log.awarning(
                    "a run was interrupted", run_id=run.id, kind=run.kind, now=run.status
                )
                await self.tell(run)
        self._wake.set()

    async def tell_if_possible(self, run: Run) -> None:
        """As :meth:`tell`; watchers of a database that fails find out by themselves."""
        try:
            await self.tell(run)
        except StorageUnavailable as error:
            await _log.awarning("watchers were not told", run_id=run.id, error=str(error))

    async def tell(self, run: Run) -> None:
        """Show watchers in this process what was stored about a run by somebody else."""
        feed = self._feed(run)
        feed.show_stored(await self._database.read(store.events_after, run.key, feed.committed))
        if run.executor is None:
            self._ended(run)


def _failed(error: Exception) -> Ending:
    said = as_nova_error(error)
    return Ending("failed", {"code": said.code, "message": str(said)})
