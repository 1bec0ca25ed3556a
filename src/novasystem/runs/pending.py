"""Which runs wait for an executor to do something: to take them, stop them, end or adopt them."""

from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from novasystem.runs.records import Run
from novasystem.runs.state import ACTIVE
from novasystem.runs.store import lease
from novasystem.storage.tables import executors, runs

__all__ = ["claim", "held", "next_expiry", "orphans", "overdue", "to_stop"]


def claim(
    connection: Connection, executor: str, *, limit: int, full: Collection[str], at_ms: int
) -> list[Run]:
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
    return [lease(connection, run_id, executor, at_ms) for run_id in found]


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


def to_stop(connection: Connection, executor: str) -> list[str]:
    """Runs that ``executor`` carries out and that somebody has cancelled."""
    return list(
        connection.scalars(
            sa.select(runs.c.id).where(runs.c.status == "cancelling", runs.c.executor == executor)
        )
    )


def held(connection: Connection, executor: str) -> list[str]:
    """Runs that are leased to ``executor``."""
    return list(
        connection.scalars(
            sa.select(runs.c.id).where(runs.c.status.in_(ACTIVE), runs.c.executor == executor)
        )
    )


def orphans(connection: Connection) -> list[tuple[str, str]]:
    """Runs whose executor is not registered (any more), each with that executor."""
    rows = connection.execute(
        sa.select(runs.c.id, runs.c.executor)
        .where(
            # True of every leased run, and what the index begins with.
            runs.c.status.in_(ACTIVE),
            runs.c.executor.is_not(None),
            runs.c.executor.not_in(sa.select(executors.c.id)),
        )
        .order_by(runs.c.key)
    )
    return [(row.id, row.executor) for row in rows]
