"""What changes a run's status: each function is one whole transaction's work."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.engine import Connection

from novasystem.errors import IllegalTransition, NotFound
from novasystem.runs import pending, store
from novasystem.runs.context import Batch, Kind, Settle
from novasystem.runs.joined import Change, Opening, joinable, keep, open_run
from novasystem.runs.journal import write_batch
from novasystem.runs.records import Event, NewRun, Run, StepStatus
from novasystem.runs.state import ENDED, RunStatus, check
from novasystem.runs.store import Raw
from novasystem.storage.database import one_statement
from novasystem.storage.ids import now_ms
from novasystem.storage.notices import notify

__all__ = [
    "Ending",
    "Write",
    "begin",
    "cancel",
    "changes_of",
    "claim",
    "end",
    "end_joined",
    "expire",
    "go_on",
    "open_joined",
    "release",
    "take_over",
]

MAX_INTERRUPTIONS = 3
INTERRUPTED = {
    "code": "interrupted",
    "message": "The server stopped while this run was being carried out. Start a new one.",
}
GIVEN_UP = {
    "code": "interrupted",
    "message": f"The server stopped {MAX_INTERRUPTIONS + 1} times while this run was being "
    "carried out. Look into its log before you start a new one.",
}
EXPIRED = {"code": "expired", "message": "The run was not done within its time."}

Write = Callable[[Connection, Run], Sequence[Raw]]
"""What a door writes beside a change of its run's; the events stand before the change's own."""

_STEP_END: dict[RunStatus, StepStatus] = {
    "cancelled": "cancelled",
    "expired": "expired",
    "failed": "failed",
    "completed": "completed",
    "incomplete": "completed",
}


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ends, or stops until somebody acts."""

    status: RunStatus
    error: Mapping[str, str] | None = None
    details: Mapping[str, Any] | None = None
    usage: Mapping[str, Any] | None = None


def status_event(status: RunStatus, at_ms: int, **more: Any) -> Raw:
    """``at_ms``: as the row has it, so that whoever reads either is told the same time."""
    given = {name: value for name, value in more.items() if value is not None}
    return ("status", {"status": status, **given}, at_ms)


def numbered(first_seq: int, events: Sequence[Raw]) -> list[Event]:
    """As they are read from the log once the transaction is committed."""
    return [
        Event(seq, type_, data, at_ms, committed=True)
        for seq, (type_, data, at_ms) in enumerate(events, first_seq)
    ]


def begin(
    connection: Connection,
    new: Callable[[Connection], NewRun],
    executor: str | None,
    write: Write | None,
) -> Run:
    """A new run, together with what its door writes; leased to ``executor`` where one is given."""
    run = store.insert(connection, new(connection), executor, last_seq=1 if executor is None else 2)
    changes = [status_event("queued", run.created_at)]
    if run.started_at is not None:
        changes.append(status_event("in_progress", run.started_at))
    told = [*write(connection, run)] if write is not None else []
    events = [*told, *changes]
    store.append(connection, run.key, 1, events)
    if told:
        store.update(connection, run.key, last_seq=len(events))
    if executor is None:
        # Nobody can watch it yet: only that it is there to be taken is news.
        notify(connection, "queued")
    return replace(run, last_seq=len(events))


@one_statement
def open_joined(connection: Connection, opening: Opening, lane: str, executor: str) -> Run | None:
    """As :func:`begin`, leased to ``executor``, in one statement; ``None``: nothing was stored,
    and :func:`begin` says why."""
    events = [status_event("queued", opening.at_ms), status_event("in_progress", opening.at_ms)]
    return open_run(connection, opening, lane, executor, events)


def _logged(connection: Connection, run: Run, events: Sequence[Raw], word: str | None) -> Run:
    """Append to the log of a run that nobody else writes to now."""
    last_seq = run.last_seq + len(events)
    store.append(connection, run.key, run.last_seq + 1, events)
    store.update(connection, run.key, last_seq=last_seq)
    notify(connection, f"events {run.id}", *([word] if word else []))
    return replace(run, last_seq=last_seq)


def claim(connection: Connection, executor: str, *, limit: int, full: Collection[str]) -> list[Run]:
    """Lease queued runs, oldest first."""
    now = now_ms()
    leased = pending.claim(connection, executor, limit=limit, full=full, at_ms=now)
    return [_logged(connection, run, [status_event("in_progress", now)], None) for run in leased]


def end(
    connection: Connection, batch: Batch, ending: Ending, settle: Settle | None
) -> tuple[Run, list[Event]]:
    """Write what is left of an execution and end it, while the lease holds.

    Returns the run and the events that nobody has been shown. Raises ``FencedOut``.
    """
    before, known = store.lock_lease(connection, batch.run)
    if before == "cancelling" and ending.status != "cancelled":
        ending = Ending("cancelled")
    if before == "in_progress" and ending.status == "cancelled":
        # It was abandoned: that it is cancelled, and that it was asked to be, in one.
        before = "cancelling"
    check(batch.run.id, before, ending.status)
    unwritten: Sequence[Raw] = []
    if store.follows(batch.run, known, batch.first_seq, batch.last_seq):
        for write in batch.writes:
            write(connection)
        unwritten = batch.events
    return _end(connection, batch.run, batch.last_seq, ending, settle, unwritten)


def changes_of(batch: Batch, ending: Ending) -> list[Change] | None:
    """What :func:`end_joined` is to write of ``batch``; ``None``: :func:`end` is to do it."""
    if ending.status not in {"completed", "incomplete", "requires_action"}:
        # There may be something to settle, and a cancel has ways of its own.
        return None
    changes = joinable(batch.writes)
    return None if changes is None or any(change.opens for change in changes) else changes


@one_statement
def end_joined(
    connection: Connection, batch: Batch, changes: Sequence[Change], ending: Ending
) -> tuple[Run, list[Event]] | None:
    """As :func:`end` in one statement, on PostgreSQL, with what :func:`changes_of` gave.

    ``None``: nothing was stored, and :func:`end` says why or does it.
    """
    run, status, now = batch.run, ending.status, now_ms()
    check(run.id, "in_progress", status)
    event = status_event(status, now, details=ending.details, usage=ending.usage)
    row: dict[str, Any] = {
        "status": status,
        "executor": None,
        "ended_at": now if status in ENDED else None,
        "error": None,
        "details": ending.details,
        "usage": ending.usage,
    }
    steps = _STEP_END[status] if status in ENDED else None
    events = [*batch.events, event]
    if not keep(
        connection, run, batch.first_seq - 1, events, changes, steps=steps, at_ms=now, **row
    ):
        return None
    after = replace(run, last_seq=batch.last_seq + 1, **row)
    return after, numbered(after.last_seq, [event])


def _end(
    connection: Connection,
    run: Run,
    last_seq: int,
    ending: Ending,
    settle: Settle | None,
    unwritten: Sequence[Raw] = (),
) -> tuple[Run, list[Event]]:
    """The common end of all ways: what is half done is put in order, the thread is free.

    ``last_seq`` counts the events that are still ``unwritten``.
    """
    status, now = ending.status, now_ms()
    # What its earlier executions had used stays used.
    usage = run.usage if status in {"cancelled", "failed", "expired"} else ending.usage
    events: list[Raw] = []
    if status in {"cancelled", "failed", "expired"} and settle is not None:
        if unwritten:
            # It looks into the log.
            store.append(connection, run.key, last_seq + 1 - len(unwritten), unwritten)
            unwritten = []
        events += settle(connection, run, status)
    events.append(
        status_event(status, now, error=ending.error, details=ending.details, usage=usage)
    )
    changes: dict[str, Any] = {
        "status": status,
        "executor": None,
        "last_seq": last_seq + len(events),
        "ended_at": now if status in ENDED else None,
        "error": ending.error,
        "details": ending.details,
        "usage": usage,
    }
    steps = _STEP_END[status] if status in ENDED else None
    first_seq = last_seq + 1 - len(unwritten)
    store.close(connection, run, first_seq, [*unwritten, *events], steps, now, **changes)
    return replace(run, **changes), numbered(last_seq + 1, events)


def _found(connection: Connection, run_id: str, owner_id: str | None) -> Run:
    run = store.get(connection, run_id, owner_id=owner_id, lock=True)
    if run is None:
        raise NotFound("run", run_id, param="run_id")
    return run


def cancel(
    connection: Connection, run_id: str, owner_id: str | None, kinds: Mapping[str, Kind]
) -> Run:
    """End a run that waits at once; tell the executor of one that does not.

    Raises ``IllegalTransition`` where the run has ended.
    """
    run = _found(connection, run_id, owner_id)
    if run.status == "cancelling":
        return run
    if run.status == "in_progress":
        store.update(connection, run.key, status="cancelling")
        notify(connection, f"cancel {run.id}")
        after = store.get(connection, run.id)
        assert after is not None
        return after
    check(run.id, run.status, "cancelled")
    kind = kinds.get(run.kind)
    return _end(connection, run, run.last_seq, Ending("cancelled"), kind.settle if kind else None)[
        0
    ]


def go_on(
    connection: Connection,
    run_id: str,
    owner_id: str | None,
    executor: str | None,
    write: Write,
) -> Run:
    """Take a run up again that had waited for an action, with what ``write`` adds to it.

    Raises ``IllegalTransition`` where it does not wait for one.
    """
    run = _found(connection, run_id, owner_id)
    if run.status != "requires_action":
        raise IllegalTransition(run.id, run.status, "queued")
    events = [*write(connection, run), status_event("queued", now := now_ms())]
    store.update(connection, run.key, status="queued", details=None)
    after = replace(run, status="queued", details=None)
    if executor is not None:
        after = store.lease(connection, run.id, executor, now)
        events.append(status_event("in_progress", now))
    return _logged(connection, after, events, "queued" if executor is None else None)


def release(connection: Connection, batch: Batch, settle: Settle | None) -> tuple[Run, list[Event]]:
    """Give a run back to the queue, in order: the server ends, and another one carries it on.

    As :func:`end` where it was cancelled at that moment.
    """
    before = store.lock_fenced(connection, batch.run)
    if before == "cancelling":
        return end(connection, batch, Ending("cancelled"), settle)
    check(batch.run.id, before, "queued")
    if batch.events:
        write_batch(connection, batch)
    return _requeue(connection, batch.run, batch.last_seq)


def _requeue(connection: Connection, run: Run, last_seq: int) -> tuple[Run, list[Event]]:
    events = [status_event("queued", now_ms(), interrupted=True)]
    store.append(connection, run.key, last_seq + 1, events)
    store.update(
        connection,
        run.key,
        status="queued",
        executor=None,
        interruptions=run.interruptions + 1,
        last_seq=last_seq + 1,
    )
    notify(connection, f"events {run.id}", "queued")
    after = store.get(connection, run.id)
    assert after is not None
    return after, numbered(last_seq + 1, events)


def take_over(
    connection: Connection, run_id: str, executor: str | None, kinds: Mapping[str, Kind]
) -> Run | None:
    """Decide what becomes of a run whose ``executor`` is gone; ``None``: somebody else has."""
    run = store.get(connection, run_id, lock=True)
    if run is None or run.executor is None or run.executor != executor:
        return None
    kind = kinds.get(run.kind)
    settle = kind.settle if kind else None
    if run.status == "cancelling":
        return _end(connection, run, run.last_seq, Ending("cancelled"), settle)[0]
    if kind is None or not kind.resumes:
        ending = Ending("failed", INTERRUPTED)
    elif run.interruptions >= MAX_INTERRUPTIONS:
        ending = Ending("failed", GIVEN_UP)
    else:
        return _requeue(connection, run, run.last_seq)[0]
    return _end(connection, run, run.last_seq, ending, settle)[0]


def expire(connection: Connection, run_id: str, now: int, kinds: Mapping[str, Kind]) -> Run | None:
    """End a run whose time is over while nobody carries it out."""
    run = store.get(connection, run_id, lock=True)
    if (
        run is None
        or run.executor is not None
        or run.status not in {"queued", "requires_action"}
        or run.expires_at is None
        or run.expires_at > now
    ):
        return None
    kind = kinds.get(run.kind)
    ending = Ending("expired", EXPIRED)
    return _end(connection, run, run.last_seq, ending, kind.settle if kind else None)[0]
