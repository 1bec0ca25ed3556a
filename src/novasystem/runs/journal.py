"""Writes the events of all runs of this process: one transaction for whatever has gathered."""

import asyncio
from collections.abc import Callable, Sequence

import structlog
from sqlalchemy.engine import Connection

from novasystem.errors import FencedOut, StorageUnavailable
from novasystem.runs import store
from novasystem.runs.context import Batch, RunContext
from novasystem.runs.joined import Change, joinable, keep
from novasystem.storage.database import Database, finish, one_statement
from novasystem.storage.notices import notify

__all__ = ["BATCH_S", "Journal", "write_batch", "write_one"]

BATCH_S = 0.05
"""How long events gather. A crash takes at most what was said within it."""
_RETRY_S = 1.0

_log = structlog.get_logger(__name__)


def write_batch(connection: Connection, batch: Batch) -> None:
    """Append a batch to its run's log; raises ``FencedOut`` where the lease is another's."""
    if not store.advance(connection, batch.run, batch.first_seq, batch.last_seq):
        return
    for write in batch.writes:
        write(connection)
    store.append(connection, batch.run.key, batch.first_seq, batch.events)


@one_statement
def _write_joined(connection: Connection, batch: Batch, changes: Sequence[Change]) -> bool:
    """As :func:`write_one` in one statement, on PostgreSQL; ``False``: nothing was written."""
    return _keep(connection, batch, changes)


class Journal:
    """``on_lost`` is told of a context whose events cannot be written any more, and why."""

    def __init__(
        self, database: Database, on_lost: Callable[[RunContext, Exception], None]
    ) -> None:
        self._database = database
        self._on_lost = on_lost
        self._waiting: dict[RunContext, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._lock = asyncio.Lock()
        self._writing: dict[RunContext, Batch] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def wake(self, context: RunContext) -> None:
        self._waiting[context] = None
        if self._timer is None and not self._closed:
            self._timer = asyncio.get_running_loop().call_later(BATCH_S, self._begin)

    async def forget(self, context: RunContext) -> None:
        """Leave the context's last events to the transaction that ends it."""
        self._waiting.pop(context, None)
        if context in self._writing:
            async with self._lock:
                self._waiting.pop(context, None)

    async def flush(self, context: RunContext) -> None:
        """Write now, together with what the others have; raises what kept this one from it."""
        while context.waiting or context in self._writing:
            self._waiting[context] = None
            # In a task of its own: a caller that is cancelled must not take along what the
            # others have written with it.
            failed = await finish(asyncio.ensure_future(self._write()))
            if context in failed:
                raise failed[context]

    async def aclose(self) -> None:
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self) -> None:
        self._timer = None
        task = asyncio.get_running_loop().create_task(self._write_waiting())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _write_waiting(self) -> None:
        failed = await self._write()
        for error in failed.values():
            if isinstance(error, StorageUnavailable):
                await _log.awarning("events wait for the database", error=str(error))
                break

    async def _write(self) -> dict[RunContext, Exception]:
        """Write what waits; those whose events could not be written, and why."""
        async with self._lock:
            waiting, self._waiting = list(self._waiting), {}
            taken = {context: context.take() for context in waiting}
            self._writing = {context: batch for context, batch in taken.items() if batch.events}
            if not self._writing:
                return {}
            try:
                failed = await self._write_together(self._writing)
                for context, batch in self._writing.items():
                    self._written(context, batch, failed.get(context))
                return failed
            finally:
                self._writing = {}

    def _written(self, context: RunContext, batch: Batch, error: Exception | None) -> None:
        if error is None:
            context.written(batch.last_seq)
            if context.waiting:
                self.wake(context)
        elif isinstance(error, StorageUnavailable):
            # What is said meanwhile is shown, and written once that is possible again.
            context.give_back(batch)
            asyncio.get_running_loop().call_later(_RETRY_S, self.wake, context)
        else:
            context.close(error)
            if not isinstance(error, FencedOut):
                context.drop(batch)
            self._on_lost(context, error)

    async def _write_together(
        self, batches: dict[RunContext, Batch]
    ) -> dict[RunContext, Exception]:
        written = list(batches.values())
        try:
            if len(written) == 1 and await self._joined(written[0]):
                return {}
            # Several are cheaper in one transaction, which is committed once.
            fenced = await self._database.write(_write_all, written)
        except StorageUnavailable as error:
            return dict.fromkeys(batches, error)
        except Exception:
            # One of them is not as it should be: found out one by one.
            failed: dict[RunContext, Exception] = {}
            for context, batch in batches.items():
                try:
                    await self._database.write(write_one, batch)
                except Exception as error:
                    failed[context] = error
            return failed
        return {
            context: FencedOut(batch.run.id)
            for context, batch in batches.items()
            if batch.run.id in fenced
        }

    async def _joined(self, batch: Batch) -> bool:
        """Whether it was written in one statement, by itself."""
        changes = None if self._database.is_sqlite else joinable(batch.writes)
        if changes is None:
            return False
        return await self._database.write(_write_joined, batch, changes)


def _write_all(connection: Connection, batches: list[Batch]) -> set[str]:
    """Write those that still have their lease; the ids of the others."""
    fenced: set[str] = set()
    written: list[str] = []
    postgres = connection.dialect.name == "postgresql"
    # In one order, so that two processes never wait for each other.
    for batch in sorted(batches, key=lambda batch: batch.run.key):
        changes = joinable(batch.writes) if postgres else None
        if changes is not None and _keep(connection, batch, changes):
            continue
        try:
            write_batch(connection, batch)
        except FencedOut:
            fenced.add(batch.run.id)
        else:
            written.append(f"events {batch.run.id}")
    notify(connection, *written)
    return fenced


def _keep(connection: Connection, batch: Batch, changes: Sequence[Change]) -> bool:
    return keep(connection, batch.run, batch.first_seq - 1, batch.events, changes)


def write_one(connection: Connection, batch: Batch) -> None:
    write_batch(connection, batch)
    notify(connection, f"events {batch.run.id}")
