"""What an execution may do: say what happens, make it durable, and call what must not run twice."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy.engine import Connection

from novasystem.errors import CallInterrupted, FencedOut, RunFailed
from novasystem.runs import store
from novasystem.runs.feed import Feed
from novasystem.runs.records import Event, Outcome, Run, Step, StepStatus
from novasystem.runs.state import RunStatus
from novasystem.runs.store import Raw
from novasystem.storage.database import Database
from novasystem.storage.ids import now_ms
from novasystem.unexpected import as_nova_error

__all__ = ["Batch", "Kind", "RunContext", "Write"]

Write = Callable[[Connection], object]
Settle = Callable[[Connection, Run, RunStatus], Sequence[Raw]]


@dataclass(frozen=True, slots=True)
class Kind:
    """What the runs of one kind execute.

    ``settle`` is called in the transaction that ends a run which did not end by itself (cancelled,
    failed, expired): it puts in order what the execution left half done, and returns events that
    stand before the last one. All that it knows is what the database holds, because the process
    that carried the run out may be gone. ``resumes``: whether another execution takes over where
    one was interrupted; otherwise the run fails.
    """

    execute: "Callable[[RunContext], Awaitable[Outcome]]"
    settle: Settle | None = None
    resumes: bool = False


class Journal(Protocol):
    """Who makes a context's events durable: see :mod:`novasystem.runs.journal`."""

    def wake(self, context: "RunContext") -> None: ...

    async def flush(self, context: "RunContext") -> None: ...


@dataclass(slots=True)
class Batch:
    """Events of one run that are written together, and what is to be written with them."""

    run: Run
    first_seq: int
    events: list[Raw]
    writes: list[Write]

    @property
    def last_seq(self) -> int:
        return self.first_seq + len(self.events) - 1


class RunContext:
    """One execution of one run, from its lease to its end."""

    def __init__(self, run: Run, feed: Feed, journal: Journal, database: Database) -> None:
        self.run = run
        self.database = database
        self._feed = feed
        self._journal = journal
        self._events: list[Raw] = []
        self._writes: list[Write] = []
        self._unsure: Batch | None = None
        self._seq = run.last_seq
        self._lost: Exception | None = None

    @property
    def interrupted(self) -> bool:
        """Whether an earlier execution was broken off: what it stored is there to go on from."""
        return self.run.interruptions > 0

    def emit(
        self,
        type_: str,
        data: Mapping[str, Any],
        write: Write | None = None,
        at_ms: int | None = None,
    ) -> None:
        """Show an event to all watchers now; it is stored, together with ``write``, in a moment.

        Raises ``FencedOut`` where this execution is over, or what kept an earlier event from ever
        being stored.
        """
        if self._lost is not None:
            raise self._lost
        seq = self._seq = self._seq + 1
        if at_ms is None:
            at_ms = now_ms()
        self._events.append((type_, data, at_ms))
        if write is not None:
            self._writes.append(write)
        self._feed.show(Event(seq, type_, data, at_ms, False))
        self._journal.wake(self)

    def amend(self, old: Write, new: Write) -> bool:
        """Write ``new`` in the place of ``old``, where that is still to be written."""
        if old not in self._writes:
            return False
        self._writes[self._writes.index(old)] = new
        return True

    async def commit(self) -> None:
        """Return once all that was emitted is stored.

        Raises ``FencedOut`` where another executor has the run now.
        """
        # Also where nothing waits: what was taken may be on its way.
        await self._journal.flush(self)
        if self._lost is not None:
            raise self._lost

    async def recorded(self) -> list[Event]:
        """The stored log of this run."""
        return await self.database.read(store.events_after, self.run.key, 0)

    async def call(
        self,
        name: str,
        details: Mapping[str, Any],
        work: Callable[[], Awaitable[Any]],
        *,
        repeatable: bool = False,
    ) -> Any:
        """What ``work`` returns (as JSON), called once in the life of the run.

        The call is recorded as the step ``name`` before it is made. An execution that takes over
        gets the result of a call that was made (``RunFailed`` where it had failed); one that was
        interrupted is made again where it is ``repeatable``, and is otherwise ``unknown``: then
        ``CallInterrupted`` is raised.
        """
        await self.commit()
        step = await self.database.write(self._open_call, name, details, repeatable)
        if step.status == "completed":
            return step.details["output"]
        if step.status == "failed" and step.error is not None:
            raise RunFailed(step.error["code"], step.error["message"])
        if step.status != "in_progress":
            raise CallInterrupted(self.run.id, name)
        try:
            output = await work()
        except Exception as error:
            said = as_nova_error(error)
            failure = {"code": said.code, "message": str(said)}
            await self.database.write(self._end_call, step, "failed", failure)
            raise
        await self.database.write(self._end_call, step, "completed", output)
        return output

    def _open_call(
        self, connection: Connection, name: str, details: Mapping[str, Any], repeatable: bool
    ) -> Step:
        store.lock_fenced(connection, self.run)
        step = store.named_step(connection, self.run.key, name)
        if step is None:
            return store.insert_step(
                connection, self.run.key, type_=store.CALL, details=details, name=name
            )
        if step.status == "in_progress" and not repeatable:
            store.end_step(connection, step.id, "unknown")
            step = store.named_step(connection, self.run.key, name)
            assert step is not None
        return step

    def _end_call(
        self, connection: Connection, step: Step, status: StepStatus, output: Any
    ) -> None:
        store.lock_fenced(connection, self.run)
        if status == "failed":
            store.end_step(connection, step.id, status, error=output)
        else:
            details = {**step.details, "output": output}
            store.end_step(connection, step.id, status, details=details)

    @property
    def waiting(self) -> bool:
        """Whether there is anything that is not written."""
        return bool(self._events) or self._unsure is not None

    @property
    def lost(self) -> Exception | None:
        """Why nothing that is said here counts any more, where that is so."""
        return self._lost

    def take(self) -> Batch:
        """What is to be written next; what is emitted from here on belongs to the next batch."""
        if self._unsure is not None:
            batch, self._unsure = self._unsure, None
            return batch
        first_seq = self._seq - len(self._events) + 1
        batch = Batch(self.run, first_seq, self._events, self._writes)
        self._events, self._writes = [], []
        return batch

    def give_back(self, batch: Batch) -> None:
        """Undo :meth:`take`: ``batch`` was not written, as far as is known.

        A commit may have arrived whose answer got lost, so that it is tried again as it is.
        """
        if batch.events:
            self._unsure = batch

    def drop(self, batch: Batch) -> None:
        """``batch`` can never be written: it is void, and so is what came after it."""
        self._events, self._writes, self._unsure = [], [], None
        self._seq = batch.first_seq - 1
        self._feed.rewind()

    def written(self, seq: int) -> None:
        self._feed.commit(seq)

    def close(self, error: Exception | None = None) -> None:
        """The execution is over, whatever of it still runs."""
        self._lost = error or self._lost or FencedOut(self.run.id)
