"""Takes runs from the table and has them carried out, expires them, and takes over orphans."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import structlog
from sqlalchemy.engine import Connection

from novasystem.errors import FencedOut, NovaError, StorageUnavailable
from novasystem.runs import liveness, pending, transactions
from novasystem.runs.context import Kind, RunContext
from novasystem.runs.execution import UNKNOWN, Execution
from novasystem.runs.feed import Feed
from novasystem.runs.journal import Journal
from novasystem.runs.records import Limits, Run
from novasystem.storage.database import Database, finish
from novasystem.storage.ids import new_id, now_ms
from novasystem.unexpected import as_nova_error

__all__ = ["Executor", "Limits"]

_BEAT_S = 2.0
_LOOK_S = 30.0
_RETRY_S = 1.0
_MAX_EARLY = 1_000
_MAX_CLAIMED = 16
A = TypeVar("A")
R = TypeVar("R")

_log = structlog.get_logger(__name__)


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
        self._works: dict[str, Execution] = {}
        self._early: dict[str, None] = {}
        self._lanes: Counter[str] = Counter()
        self._wake = asyncio.Event()
        self._queued = True
        self._claiming = False
        self._expiry = asyncio.Event()
        self._loops: list[asyncio.Task[None]] = []
        self._open = False
        self._seen: dict[str, tuple[int, float]] = {}
        self._unknown: set[str] = set()

    @property
    def running(self) -> int:
        return len(self._works)

    async def open(self) -> None:
        """Register, take over what a dead process left, and begin to take runs."""
        alone = self._database.is_sqlite
        await self._database.write(liveness.register, self.id, alone=alone)
        self._open = True
        self.wake()
        await self._take_over_orphans()
        loops = [self._claim_queued, self._expire_due]
        if not alone:
            loops.append(self._beat)
        self._loops = [asyncio.create_task(self._always(step)) for step in loops]

    async def _always(self, step: Callable[[], Awaitable[None]]) -> None:
        """A mistake in one step must not be the last one."""
        while True:
            try:
                await step()
            except StorageUnavailable as error:
                await _log.awarning("the executor waits for the database", error=str(error))
                await asyncio.sleep(_RETRY_S)
            except Exception as error:
                as_nova_error(error)
                await asyncio.sleep(_RETRY_S)

    async def aclose(self) -> None:
        """Stop what runs: what can be carried on goes back to the queue, the rest fails."""
        self._open = False
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        for work in list(self._works.values()):
            work.stop("shutdown")
        await asyncio.gather(*(w.task for w in self._works.values()), return_exceptions=True)
        await self._journal.aclose()
        try:
            await self._database.write(liveness.leave, self.id)
        except StorageUnavailable as error:
            await _log.awarning("the executor could not sign off", error=str(error))

    def room(self, lane: str) -> bool:
        """Whether a run of this lane could begin here now, and none that came before it."""
        return (
            self._open
            and not self._claiming
            and not self._wake.is_set()
            and sum(self._lanes.values()) < self._limits.total
            and self._lanes[lane] < self._limits.lane
        )

    def reserve(self, lane: str) -> None:
        """Keep a place while the run's row is written: until :meth:`begin` or :meth:`unreserve`."""
        self._lanes[lane] += 1

    def unreserve(self, lane: str) -> None:
        self._lanes[lane] -= 1
        if not self._lanes[lane]:
            del self._lanes[lane]
        if self._queued:
            self._wake.set()

    def begin(self, run: Run) -> None:
        """Carry out a run that was leased to us, in a place that was reserved."""
        feed = self._feed(run)
        feed.skip(run.last_seq)
        context = RunContext(run, feed, self._journal, self._database)
        kind = self._kinds.get(run.kind, UNKNOWN)
        work = Execution(context, kind, feed, self._journal, lambda: self._open)
        self._works[run.id] = work
        work.task = asyncio.create_task(self._carry_out(work), name=run.id)
        if self._early.pop(run.id, None) is not None:
            work.stop("cancel")
        if not self._open:
            work.stop("shutdown")

    async def _carry_out(self, work: Execution) -> None:
        run = work.context.run
        after: Run | None = None
        try:
            after = await work.carry_out()
        finally:
            self.unreserve(run.lane)
            if self._works.get(run.id) is work:
                del self._works[run.id]
            if after is not None and after.status == "requires_action":
                self._expiry.set()
            self._ended(run if after is None else after)

    def wake(self) -> None:
        """There may be a run to take, or a new time at which one expires."""
        self._queued = True
        self._wake.set()
        self._expiry.set()

    def cancel(self, run_id: str) -> None:
        """Stop the run where it is carried out here."""
        work = self._works.get(run_id)
        if work is not None:
            work.stop("cancel")
            return
        # Perhaps it was leased to us this very moment, and begins in the next.
        self._early[run_id] = None
        if len(self._early) > _MAX_EARLY:
            del self._early[next(iter(self._early))]

    def drop(self, run_id: str) -> None:
        """Stop a run that was deleted."""
        work = self._works.get(run_id)
        if work is not None:
            work.stop("fenced")

    async def look_again(self) -> None:
        """Words of other processes may have been missed."""
        self.wake()
        try:
            for run_id in await self._database.read(pending.to_stop, self.id):
                self.cancel(run_id)
            if self._database.is_sqlite:
                # No beat looks for them; a backup was restored.
                await self._take_over_orphans()
        except StorageUnavailable as error:
            await _log.awarning("cancelled runs were not looked up", error=str(error))

    def has(self, run_id: str) -> bool:
        """Whether the run is carried out here now."""
        return run_id in self._works

    def _lost(self, context: RunContext, error: Exception) -> None:
        work = self._works.get(context.run.id)
        if work is not None and work.context is context:
            work.stop("fenced" if isinstance(error, FencedOut) else "cancel", error)

    async def _claim_queued(self) -> None:
        await self._wake.wait()
        self._wake.clear()
        self._claiming = True
        try:
            while await self._claim():
                pass
        except BaseException:
            self.wake()
            raise
        finally:
            self._claiming = False

    async def _claim(self) -> bool:
        """Take what there is room for; whether there may be more that can be taken now."""
        limits = self._limits
        full = [lane for lane, count in self._lanes.items() if count >= limits.lane]
        least = [limits.lane - count for count in self._lanes.values() if count < limits.lane]
        room = min([limits.total - sum(self._lanes.values()), limits.lane, *least])
        if room <= 0:
            return False
        self._queued = False
        # In a task of its own: what was leased is begun, even where the server ends now.
        claimed = await finish(asyncio.ensure_future(self._take(min(room, _MAX_CLAIMED), full)))
        if claimed or full:
            self._queued = True
        return claimed

    async def _take(self, limit: int, full: list[str]) -> bool:
        claimed = await self._database.write(transactions.claim, self.id, limit=limit, full=full)
        for run in claimed:
            self.reserve(run.lane)
            self.begin(run)
        return bool(claimed)

    async def _expire_due(self) -> None:
        """End what waits past its time; woken when there is something new that may expire."""
        self._expiry.clear()
        now = now_ms()
        for run_id in await self._database.read(pending.overdue, now):
            run = await self.settled(transactions.expire, run_id, now)
            if run is not None:
                self.tell(run)
        due = await self._database.read(pending.next_expiry)
        wait_s = _LOOK_S if due is None else min(_LOOK_S, max(0.01, (due - now_ms()) / 1000))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._expiry.wait()

    async def _beat(self) -> None:
        """Show that we live, and find those that do not."""
        await asyncio.sleep(_BEAT_S)
        beats = await self._database.write(liveness.beat, self.id)
        if beats is None:
            await self._reborn()
            return
        dead = liveness.dead(beats, self._seen, self.id, time.monotonic())
        dead |= set(await self._database.read(liveness.gone))
        if dead:
            await self._database.write(liveness.bury, beats, dead)
        await self._take_over_orphans()
        await self._give_back_unknown()

    async def _reborn(self) -> None:
        """We were taken for dead: our runs are another's now. Begin anew under a new name."""
        _log.warning("this executor was taken for dead; its runs are another's")
        for work in list(self._works.values()):
            work.stop("fenced")
        self.id = new_id("exec")
        await self._database.write(liveness.register, self.id, alone=False)

    async def _take_over_orphans(self) -> None:
        for run_id, executor in await self._database.read(pending.orphans):
            await self._take_over(run_id, executor)

    async def _give_back_unknown(self) -> None:
        """Runs that are ours and that we do not carry out: they were begun, and the connection was
        lost before it said so. Those of two looks, as one may be on its way."""
        held = set(await self._database.read(pending.held, self.id)) - self._works.keys()
        for run_id in held & self._unknown:
            await self._take_over(run_id, self.id)
        self._unknown = held

    async def _take_over(self, run_id: str, executor: str) -> None:
        run = await self.settled(transactions.take_over, run_id, executor)
        if run is not None:
            self.tell(run)
            _log.warning("a run was interrupted", run_id=run.id, kind=run.kind, now=run.status)
            self.wake()

    async def settled(
        self, change: Callable[[Connection, str, A, Mapping[str, Kind]], R], run_id: str, more: A
    ) -> R:
        """Make a change to a run that nobody carries out, in which its kind settles it."""
        try:
            return await self._database.write(change, run_id, more, self._kinds)
        except NovaError:
            raise
        except Exception as error:
            # Its kind cannot: better unsettled than a thread that is held for ever.
            as_nova_error(error)
            kinds = {name: Kind(k.execute, None, k.resumes) for name, k in self._kinds.items()}
            return await self._database.write(change, run_id, more, kinds)

    def tell(self, run: Run) -> None:
        """Show watchers in this process what was stored about a run by somebody else."""
        self._feed(run).skip(run.last_seq)
        if run.executor is None:
            self._ended(run)
