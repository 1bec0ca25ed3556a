"""The SQL of runs. Every function works in the transaction of the connection it is given."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from novasystem.errors import FencedOut, NotFound, ThreadBusy
from novasystem.runs import statements
from novasystem.runs.records import Event, NewRun, Run, Step, StepStatus
from novasystem.runs.state import RunStatus
from novasystem.runs.statements import CALL
from novasystem.storage.ids import new_id, now_ms
from novasystem.storage.notices import notices
from novasystem.storage.paging import paged
from novasystem.storage.statements import Part, together
from novasystem.storage.tables import run_steps, runs, threads

__all__ = [
    "CALL",
    "Raw",
    "advance",
    "append",
    "batch",
    "close",
    "end_step",
    "events_after",
    "exists",
    "follows",
    "get",
    "get_step",
    "insert",
    "insert_step",
    "lease",
    "list_runs",
    "list_steps",
    "lock_fenced",
    "lock_lease",
    "named_step",
    "new_run",
    "row",
    "set_metadata",
    "set_step_details",
    "update",
]

Raw = tuple[str, Mapping[str, Any], int]
"""An event before it has its number: type, data, time in unix milliseconds."""


def _run(row: RowMapping) -> Run:
    return Run(**row)


def insert(
    connection: Connection, new: NewRun, executor: str | None = None, last_seq: int = 0
) -> Run:
    """A run that holds its thread, queued, or begun where an ``executor`` takes it at once.

    ``last_seq``: how many events the caller is going to log with it.
    Raises ``ThreadBusy`` where another run holds the thread.
    """
    values = row(new, now_ms(), executor, last_seq)
    if new.thread_key is not None:
        hold = {"active_run": values["id"], "updated_at": values["created_at"]}
        held = statements.HOLD(connection, {"of_key": new.thread_key, **hold})
        if not held.rows:
            thread = sa.select(threads.c.active_run).where(threads.c.key == new.thread_key)
            other = connection.execute(thread).one_or_none()
            if other is None:
                raise NotFound("thread", new.thread_id or "", param="thread_id")
            raise ThreadBusy(new.thread_id or "", other.active_run or "")
    return new_run(statements.INSERT(connection, values).value, values, new.thread_id)


def row(new: NewRun, at_ms: int, executor: str | None, last_seq: int) -> dict[str, Any]:
    """The columns that a new run is stored with."""
    return {
        "id": new.id or new_id("run"),
        "owner_id": new.owner_id,
        "thread_key": new.thread_key,
        "kind": new.kind,
        "lane": new.lane,
        "status": "queued" if executor is None else "in_progress",
        # As the next one reads it: one that takes over must not see another.
        "request": orjson.loads(orjson.dumps(new.request)),
        "assistant_id": new.assistant_id,
        "metadata": dict(new.metadata),
        "created_at": at_ms,
        "expires_at": None if new.expires_in_s is None else at_ms + int(1000 * new.expires_in_s),
        "started_at": None if executor is None else at_ms,
        "executor": executor,
        "fence": 0 if executor is None else 1,
        "interruptions": 0,
        "last_seq": last_seq,
    }


def new_run(key: int, values: Mapping[str, Any], thread_id: str | None) -> Run:
    """The run whose row was stored with these values."""
    absent = dict.fromkeys(("ended_at", "error", "details", "usage"))
    return Run(**{**absent, **values, "key": key, "thread_id": thread_id})


def get(
    connection: Connection, run_id: str, *, owner_id: str | None = None, lock: bool = False
) -> Run | None:
    """The run; with ``owner_id`` only where it is that owner's; ``lock``: until the end."""
    asked = statements.one_run(owned=owner_id is not None, lock=lock)
    given = {"of_id": run_id, "of_owner": owner_id} if owner_id is not None else {"of_id": run_id}
    row = connection.execute(asked, given).mappings().one_or_none()
    return None if row is None else _run(row)


def list_runs(
    connection: Connection,
    *,
    owner_id: str,
    thread_key: int | None = None,
    kind: str | None = None,
    status: RunStatus | None = None,
    limit: int,
    ascending: bool = False,
    after: str | None = None,
    before: str | None = None,
) -> list[Run]:
    """At most ``limit`` runs, in the order of their creation."""
    asked = statements.RUN.where(runs.c.owner_id == owner_id)
    if thread_key is not None:
        asked = asked.where(runs.c.thread_key == thread_key)
    if kind is not None:
        asked = asked.where(runs.c.kind == kind)
    if status is not None:
        asked = asked.where(runs.c.status == status)
    asked = paged(asked, runs, limit=limit, ascending=ascending, after=after, before=before)
    return [_run(row) for row in connection.execute(asked).mappings()]


def lease(connection: Connection, run_id: str, executor: str, at_ms: int) -> Run:
    """``executor`` carries the run out from ``at_ms`` on, under a fence of its own."""
    connection.execute(
        sa.update(runs)
        .where(runs.c.id == run_id)
        .values(
            executor=executor,
            status="in_progress",
            fence=runs.c.fence + 1,
            started_at=sa.func.coalesce(runs.c.started_at, at_ms),
        )
    )
    run = get(connection, run_id)
    assert run is not None
    return run


def lock_fenced(connection: Connection, run: Run) -> RunStatus:
    """The run's status now, locked; raises ``FencedOut`` where its lease is another's."""
    return lock_lease(connection, run)[0]


def lock_lease(connection: Connection, run: Run) -> tuple[RunStatus, int]:
    """As :func:`lock_fenced`, and how far the log goes."""
    found = statements.FENCED(connection, {"of_key": run.key}).rows
    if not found or found[0][:2] != (run.fence, run.executor):
        raise FencedOut(run.id)
    status: RunStatus = found[0][2]
    last_seq: int = found[0][3]
    return status, last_seq


def follows(run: Run, known: int, first_seq: int, last_seq: int) -> bool:
    """Whether events from ``first_seq`` to ``last_seq`` go on a log of ``known``; not where they
    stand there, by a commit whose answer got lost: only the lease's holder writes."""
    if known == first_seq - 1:
        return True
    if known != last_seq:
        msg = f"Run {run.id} has {known} events; {first_seq} to {last_seq} do not follow."
        raise RuntimeError(msg)
    return False


def advance(connection: Connection, run: Run, first_seq: int, last_seq: int) -> bool:
    """Note that the log goes from ``first_seq`` on to ``last_seq``; whether it did not before.

    Raises ``FencedOut`` where the lease is another's.
    """
    lease = {"of_key": run.key, "of_fence": run.fence, "of_executor": run.executor}
    change = {**lease, "of_last_seq": first_seq - 1, "last_seq": last_seq}
    if statements.ADVANCE(connection, change).rows:
        return True
    held = [runs.c.key == run.key, runs.c.fence == run.fence, runs.c.executor == run.executor]
    known = connection.scalar(sa.select(runs.c.last_seq).where(*held))
    if known is None:
        raise FencedOut(run.id)
    return follows(run, known, first_seq, last_seq)


def update(connection: Connection, run_key: int, **values: Any) -> None:
    statements.UPDATE(connection, {"of_key": run_key, **values})


def set_metadata(connection: Connection, run_key: int, metadata: Mapping[str, str]) -> None:
    update(connection, run_key, metadata=dict(metadata))


def append(connection: Connection, run_key: int, first_seq: int, events: Sequence[Raw]) -> None:
    """One batch of the log; the caller has checked the fence and sets ``last_seq``."""
    statements.APPEND(connection, {"run_key": run_key, **batch(first_seq, events)})


def batch(first_seq: int, events: Sequence[Raw]) -> dict[str, Any]:
    """A row of the log but for its run."""
    return {
        "first_seq": first_seq,
        "last_seq": first_seq + len(events) - 1,
        "events": orjson.dumps(events),
    }


def close(
    connection: Connection,
    run: Run,
    first_seq: int,
    events: Sequence[Raw],
    steps: StepStatus | None,
    at_ms: int,
    **changes: Any,
) -> None:
    """The last batch of the log, the row's ``changes``, and the word that there is news.

    ``steps``: what becomes of those that are open, where the run has ended and its thread is free
    for the next one; of a call nobody knows whether it had its effect.
    """
    parts: list[Part] = []
    words = [f"events {run.id}"]
    if steps is not None:
        parts.append((statements.END_STEPS, {"of_run": run.key, "end": steps, "at": at_ms}))
        if run.thread_key is not None:
            free = {"of_key": run.thread_key, "of_run": run.id, "active_run": None}
            parts.append((statements.FREE, {**free, "updated_at": at_ms}))
            words.append(f"thread {run.thread_key}")
    parts += [
        (statements.APPEND, {"run_key": run.key, **batch(first_seq, events)}),
        (statements.UPDATE, {"of_key": run.key, **changes}),
        *notices(connection, *words),
    ]
    together(connection, parts)


def exists(connection: Connection, run_key: int) -> bool:
    return connection.scalar(sa.select(runs.c.key).where(runs.c.key == run_key)) is not None


def events_after(connection: Connection, run_key: int, seq: int) -> list[Event]:
    """Every stored event with a higher number, in order."""
    batches = statements.EVENTS(connection, {"of_run": run_key, "of_seq": seq}).rows
    return [
        Event(number, type_, data, at_ms, committed=True)
        for first_seq, batch in batches
        for number, (type_, data, at_ms) in enumerate(orjson.loads(batch), first_seq)
        if number > seq
    ]


def insert_step(
    connection: Connection,
    run_key: int,
    *,
    type_: str,
    details: Mapping[str, Any],
    step_id: str | None = None,
    name: str | None = None,
    created_at: int | None = None,
    status: StepStatus = "in_progress",
    usage: Mapping[str, Any] | None = None,
    ended_at: int | None = None,
) -> Step:
    values: dict[str, Any] = {
        "id": step_id or new_id("step"),
        "run_key": run_key,
        "name": name,
        "type": type_,
        "status": status,
        "details": details,
        "usage": usage,
        "created_at": now_ms() if created_at is None else created_at,
        "ended_at": ended_at,
    }
    key = statements.INSERT_STEP(connection, values).value
    return Step(key=key, error=None, **values)


def end_step(
    connection: Connection,
    step_id: str,
    status: StepStatus,
    *,
    details: Mapping[str, Any] | None = None,
    error: Mapping[str, str] | None = None,
    usage: Mapping[str, Any] | None = None,
    ended_at: int | None = None,
) -> None:
    values: dict[str, Any] = {
        "status": status,
        "error": error,
        "usage": usage,
        "ended_at": now_ms() if ended_at is None else ended_at,
    }
    if details is not None:
        values["details"] = details
    statements.UPDATE_STEP(connection, {"of_id": step_id, **values})


def set_step_details(connection: Connection, step_id: str, details: Mapping[str, Any]) -> None:
    statements.UPDATE_STEP(connection, {"of_id": step_id, "details": details})


def get_step(connection: Connection, run_key: int, step_id: str) -> Step | None:
    asked = sa.select(run_steps).where(run_steps.c.run_key == run_key, run_steps.c.id == step_id)
    row = connection.execute(asked).mappings().one_or_none()
    return None if row is None else Step(**row)


def named_step(connection: Connection, run_key: int, name: str) -> Step | None:
    asked = sa.select(run_steps).where(run_steps.c.run_key == run_key, run_steps.c.name == name)
    row = connection.execute(asked).mappings().one_or_none()
    return None if row is None else Step(**row)


def list_steps(
    connection: Connection,
    run_key: int,
    *,
    limit: int,
    ascending: bool = False,
    after: str | None = None,
    before: str | None = None,
) -> list[Step]:
    asked = sa.select(run_steps).where(run_steps.c.run_key == run_key)
    asked = paged(asked, run_steps, limit=limit, ascending=ascending, after=after, before=before)
    return [Step(**row) for row in connection.execute(asked).mappings()]
