"""One execution of one run in this process: from its first step until its end is written."""

import asyncio
import time
from collections.abc import Callable
from typing import Literal

import structlog

from novasystem.errors import FencedOut, InvalidRequest, StorageUnavailable
from novasystem.runs import transactions
from novasystem.runs.context import Batch, Kind, RunContext, Settle
from novasystem.runs.feed import Feed
from novasystem.runs.journal import Journal, write_one
from novasystem.runs.records import Outcome, Run
from novasystem.runs.transactions import Ending
from novasystem.storage.ids import now_ms
from novasystem.unexpected import as_nova_error

__all__ = ["UNKNOWN", "Execution", "Stop"]

_RETRY_S = 1.0
_SETTLE_S = 5.0
Stop = Literal["cancel", "fenced", "shutdown"]

_log = structlog.get_logger(__name__)


async def _unknown(context: RunContext) -> Outcome:
    raise InvalidRequest(
        f"This server does not know runs of the kind '{context.run.kind}'.",
        hint="Another version of it has stored this one.",
    )


UNKNOWN = Kind(_unknown)
"""What a run executes whose kind nobody knows."""


class Execution:
    """``going``: whether the server is not about to end. ``task`` is what carries it out."""

    task: "asyncio.Task[None]"

    def __init__(
        self,
        context: RunContext,
        kind: Kind,
        feed: Feed,
        journal: Journal,
        going: Callable[[], bool],
    ) -> None:
        self.context = context
        self._kind = kind
        self._feed = feed
        self._journal = journal
        self._going = going
        self._begun = False
        self._executing = False
        self._stop: Stop | None = None
        self._failure: Exception | None = None

    def stop(self, why: Stop, failure: Exception | None = None) -> None:
        """End it as soon as that is possible; only the first reason counts."""
        if self._stop is None:
            self._stop = why
            self._failure = failure
            # Before its first step it would never get to its end, and after its last one it
            # would not write it.
            if self._executing:
                self.task.cancel()

    async def carry_out(self) -> Run | None:
        """The run as it is afterwards; ``None`` where that is not ours to say."""
        try:
            return await self._finish(await self._execute())
        except FencedOut:
            self._feed.rewind()
            _log.warning(
                "the run was deleted, or another executor has it", run_id=self.context.run.id
            )
        except Exception as error:
            # Its row stays as it is, and so the run is taken over at the next start.
            as_nova_error(error)
            self._feed.close()
        finally:
            self.context.close()
        return None

    async def _execute(self) -> Ending | None:
        """How the execution ended; ``None``: it was stopped because the server ends."""
        run = self.context.run
        left_s = None if run.expires_at is None else max(0.0, (run.expires_at - now_ms()) / 1000)
        if self._stop is not None:
            return self._stopped()
        self._begun = self._executing = True
        try:
            async with asyncio.timeout(left_s) as limit:
                outcome = await self._kind.execute(self.context)
        except asyncio.CancelledError:
            return self._stopped()
        except TimeoutError as error:
            if limit.expired():
                return Ending("expired", transactions.EXPIRED)
            return _failed(error)
        except FencedOut:
            raise
        except Exception as error:
            return _failed(error)
        finally:
            self._executing = False
        return Ending(outcome.status, None, outcome.details, outcome.usage)

    def _stopped(self) -> Ending | None:
        task = asyncio.current_task()
        if self._stop is None or task is None:
            raise asyncio.CancelledError
        task.uncancel()
        if self._stop == "fenced":
            raise FencedOut(self.context.run.id)
        if self._failure is not None:
            return _failed(self._failure)
        if self._stop == "cancel":
            if self.context.lost is None:
                self.context.emit("status", {"status": "cancelling"})
            return Ending("cancelled")
        if self._kind.resumes or not self._begun:
            return None
        return Ending("failed", transactions.INTERRUPTED)

    async def _finish(self, ending: Ending | None) -> Run:
        """Write the end; where the database cannot take it, again until it can."""
        context = self.context
        settle = self._kind.settle
        until = time.monotonic() + _SETTLE_S
        while True:
            await self._journal.forget(context)
            batch = context.take()
            try:
                if context.waiting:
                    # Tried before, and perhaps written: by itself, as it was.
                    await context.database.write(write_one, batch)
                    context.written(batch.last_seq)
                    continue
                return await self._write_end(batch, ending, settle)
            except StorageUnavailable as error:
                context.give_back(batch)
                if not self._going():
                    raise
                if time.monotonic() > until:
                    # Whoever watches is told now; the end is written when that is possible.
                    self._feed.close(error)
                _log.warning("a run's end waits for the database", run_id=context.run.id)
                await asyncio.sleep(_RETRY_S)
            except FencedOut:
                raise
            except Exception as error:
                # Its settling, or what it wrote last, is not as it should be. It ends all the
                # same: without the one, or else without the other.
                failed = _failed(error)
                if settle is not None:
                    settle = None
                    context.give_back(batch)
                elif batch.events:
                    ending, settle = failed, self._kind.settle
                    context.drop(batch)
                else:
                    raise

    async def _write_end(self, batch: Batch, ending: Ending | None, settle: Settle | None) -> Run:
        database = self.context.database
        if ending is None:
            after, events = await database.write(transactions.release, batch, settle)
        else:
            changes = None if database.is_sqlite else transactions.changes_of(batch, ending)
            found = None
            if changes is not None:
                found = await database.write(transactions.end_joined, batch, changes, ending)
            if found is None:
                found = await database.write(transactions.end, batch, ending, settle)
            after, events = found
        self._feed.commit(batch.last_seq)
        self._feed.show_stored(events)
        if after.status == "queued":
            # Another process carries it on; this one ends.
            self._feed.close()
        return after


def _failed(error: Exception) -> Ending:
    said = as_nova_error(error)
    return Ending("failed", {"code": said.code, "message": str(said)})
