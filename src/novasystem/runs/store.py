"""The SQL of runs. Every function works in the transaction of the connection it is given."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from novasystem.errors import FencedOut, ThreadBusy
from novasystem.runs.records import Event, NewRun, Run, Step, StepStatus
from novasystem.runs.state import ACTIVE, RunStatus
from novasystem.storage.ids import new_id, now_ms
from novasystem.storage.paging import paged
from novasystem.storage.tables import executors, run_events, run_steps, runs, threads

__all__ = [
    "Raw",
    "advance",
    "append",
    "beat",
    "claim",
    "end_open_steps",
    "end_step",
    "events_after",
    "free_thread",
    "get",
    "get_step",
    "insert",
    "insert_step",
    "lease",
    "list_runs",
    "list_steps",
    "lock_fenced",
    "named_step",
    "next_expiry",
    "orphans",
    "overdue",
    "set_metadata",
    "set_step_details",
    "update",
]

_RUN = (*runs.c, threads.c.id.label("thread_id"))
_FROM = runs.outerjoin(threads, runs.c.thread_key == threads.c.key)
Raw = tuple[str, Mapping[str, Any], int]
"""An event before it has its number: type, data, time in unix milliseconds."""


def _run(row: RowMapping) -> Run:
    return Run(**row)


def insert(connection: Connection, new: NewRun, executor: str | None = None) -> Run:
    """A run that holds its thread, queued, or begun where an ``executor`` takes it at once.

    Raises ``ThreadBusy`` where another run holds the thread.
    """
    run_id = new.id or new_id("run")
    now = now_ms()
    if new.thread_key is not None:
        held = connection.execute(
            sa.update(threads)
            .where(threads.c.key == new.thread_key, threads.c.active_run.is_(None))
            .values(active_run=run_id, updated_at=now)
        )
        if held.rowcount != 1:
            other = connection.scalar(
                sa.select(threads.c.active_run).where(threads.c.key == new.thread_key)
            )
            raise ThreadBusy(new.thread_id or "", other or "")
    values = {
        "id": run_id,
        "owner_id": new.owner_id,
        "thread_key": new.thread_key,
        "kind": new.kind,
        "lane": new.lane,
        "status": "queued" if executor is None else "in_progress",
        "request": new.request,
        "assistant_id": new.assistant_id,
        "metadata": dict(new.metadata),
        "created_at": now,
        "expires_at": None if new.expires_in_s is None else now + int(1000 * new.expires_in_s),
        "started_at": None if executor is None else now,
        "executor": executor,
        "fence": 0 if executor is None else 1,
        "interruptions": 0,
        "last_seq": 0,
    }
    key = connection.execute(sa.insert(runs).returning(runs.c.key), values).scalar_one()
    absent = dict.fromkeys(("ended_at", "error", "details", "usage"))
    return Run(**{**absent, **values, "key": key, "thread_id": new.thread_id})


def get(
    connection: Connection, run_id: str, *, owner_id: str | None = None, lock: bool = False
) -> Run | None:
    """The run; with ``owner_id`` only where it is that owner's; ``lock``: until the end."""
    asked = sa.select(*_RUN).select_from(_FROM).where(runs.c.id == run_id)
    if owner_id is not None:
        asked = asked.where(runs.c.owner_id == owner_id)
    if lock:
        asked = asked.with_for_update(of=runs)
    row = connection.execute(asked).mappings().one_or_none()
    return None if row is None else _run(row)


def list_runs(
    connection: Connection,
    *,
    owner_id: str,
    thread_key: int | None = None,
    kind: str | None = None,
    limit: int,
    ascending: bool = False,
    after: str | None = None,
    before: str | None = None,
) -> list[Run]:
    """At most ``limit`` runs, in the order of their creation."""
    asked = sa.select(*_RUN).select_from(_FROM).where(runs.c.owner_id == owner_id)
    if thread_key is not None:
        asked = asked.where(runs.c.thread_key == thread_key)
    if kind is not None:
        asked = asked.where(runs.c.kind == kind)
    asked = paged(asked, runs, limit=limit, ascending=ascending, after=after, before=before)
    return [_run(row) for row in connection.execute(asked).mappings()]


def claim(connection: Connection, executor: str, *, limit: int, full: Collection[str]) -> list[Run]:
    """Lease up to ``limit`` queued runs, oldest first, none of a lane that is ``full``."""
    wanted = (
        sa.select(runs.c.id)
        .where(runs.c.status == "queued", runs.c.executor.is_(None))
        .order_by(runs.c.key)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    if full:
        wanted = wanted.where(runs.c.lane.not_in(list(full)))
    found = list(connection.scalars(wanted))
    return [lease(connection, run_id, executor) for run_id in found]


def lease(connection: Connection, run_id: str, executor: str) -> Run:
    """``executor`` carries the run out from now on, under a fence of its own."""
    connection.execute(
        sa.update(runs)
        .where(runs.c.id == run_id)
        .values(
            executor=executor,
            status="in_progress",
            fence=runs.c.fence + 1,
            started_at=sa.func.coalesce(runs.c.started_at, now_ms()),
        )
    )
    run = get(connection, run_id)
    assert run is not None
    return run


def lock_fenced(connection: Connection, run: Run) -> RunStatus:
    """The run's status now, locked; raises ``FencedOut`` where its lease is another's."""
    row = connection.execute(
        sa.select(runs.c.status, runs.c.fence, runs.c.executor)
        .where(runs.c.key == run.key)
        .with_for_update()
    ).one_or_none()
    if row is None or row.fence != run.fence or row.executor != run.executor:
        raise FencedOut(run.id)
    status: RunStatus = row.status
    return status


def advance(connection: Connection, run: Run, last_seq: int) -> None:
    """Note how far the log goes; raises ``FencedOut`` where the lease is another's."""
    done = connection.execute(
        sa.update(runs)
        .where(runs.c.key == run.key, runs.c.fence == run.fence, runs.c.executor == run.executor)
        .values(last_seq=last_seq)
    )
    if done.rowcount != 1:
        raise FencedOut(run.id)


def update(connection: Connection, run_key: int, **values: Any) -> None:
    connection.execute(sa.update(runs).where(runs.c.key == run_key).values(**values))


def set_metadata(connection: Connection, run_key: int, metadata: Mapping[str, str]) -> None:
    update(connection, run_key, metadata=dict(metadata))


def free_thread(connection: Connection, run: Run) -> None:
    """Let the next run have the thread."""
    if run.thread_key is not None:
        connection.execute(
            sa.update(threads)
            .where(threads.c.key == run.thread_key, threads.c.active_run == run.id)
            .values(active_run=None, updated_at=now_ms())
        )


def append(connection: Connection, run_key: int, first_seq: int, events: Sequence[Raw]) -> None:
    """One batch of the log; the caller has checked the fence and sets ``last_seq``."""
    connection.execute(
        sa.insert(run_events),
        {
            "run_key": run_key,
            "first_seq": first_seq,
            "last_seq": first_seq + len(events) - 1,
            "events": orjson.dumps(events),
        },
    )


def events_after(connection: Connection, run_key: int, seq: int) -> list[Event]:
    """Every stored event with a higher number, in order."""
    batches = connection.execute(
        sa.select(run_events.c.first_seq, run_events.c.events)
        .where(run_events.c.run_key == run_key, run_events.c.last_seq > seq)
        .order_by(run_events.c.first_seq)
    )
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
) -> Step:
    values: dict[str, Any] = {
        "id": step_id or new_id("step"),
        "run_key": run_key,
        "name": name,
        "type": type_,
        "status": "in_progress",
        "details": details,
        "created_at": now_ms() if created_at is None else created_at,
    }
    key = connection.execute(sa.insert(run_steps).returning(run_steps.c.key), values).scalar_one()
    return Step(key=key, error=None, usage=None, ended_at=None, **values)


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
    connection.execute(sa.update(run_steps).where(run_steps.c.id == step_id).values(**values))


def set_step_details(connection: Connection, step_id: str, details: Mapping[str, Any]) -> None:
    connection.execute(
        sa.update(run_steps).where(run_steps.c.id == step_id).values(details=details)
    )


def end_open_steps(connection: Connection, run_key: int, status: StepStatus) -> None:
    """What a run that ended had left open."""
    connection.execute(
        sa.update(run_steps)
        .where(run_steps.c.run_key == run_key, run_steps.c.status == "in_progress")
        .values(status=status, ended_at=now_ms())
    )


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


def overdue(connection: Connection, now: int) -> list[str]:
    """Active runs that nobody carries out now and whose time is over."""
    return list(
        connection.scalars(
            sa.select(runs.c.id).where(
                runs.c.status.in_(ACTIVE), runs.c.executor.is_(None), runs.c.expires_at <= now
            )
        )
    )


def next_expiry(connection: Connection) -> int | None:
    """When the next of the runs that wait expires, in unix milliseconds."""
    found: int | None = connection.scalar(
        sa.select(sa.func.min(runs.c.expires_at)).where(
            runs.c.status.in_(ACTIVE), runs.c.executor.is_(None)
        )
    )
    return found


def orphans(connection: Connection) -> list[tuple[str, str]]:
    """Runs whose executor is not registered (any more), each with that executor."""
    rows = connection.execute(
        sa.select(runs.c.id, runs.c.executor)
        .where(runs.c.executor.is_not(None), runs.c.executor.not_in(sa.select(executors.c.id)))
        .order_by(runs.c.key)
    )
    return [(row.id, row.executor) for row in rows]


def beat(connection: Connection, executor: str) -> dict[str, int] | None:
    """Show that ``executor`` lives; the beats of all, or ``None`` where it was declared dead."""
    alive = connection.execute(
        sa.update(executors).where(executors.c.id == executor).values(beat=executors.c.beat + 1)
    )
    if alive.rowcount != 1:
        return None
    rows = connection.execute(sa.select(executors.c.id, executors.c.beat))
    return {row.id: row.beat for row in rows}
