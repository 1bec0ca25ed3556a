"""The statements that every run needs, prepared once.

Where one takes a row's new values as parameters, they are named after their columns, and those of
its conditions ``of_…``.
"""

import functools

import sqlalchemy as sa

from novasystem.storage.statements import Prepared
from novasystem.storage.tables import run_events, run_steps, runs, threads

__all__ = [
    "ADVANCE",
    "APPEND",
    "CALL",
    "END_STEPS",
    "EVENTS",
    "FENCED",
    "FREE",
    "HOLD",
    "INSERT",
    "INSERT_STEP",
    "RUN",
    "UPDATE",
    "UPDATE_STEP",
    "one_run",
]

CALL = "call"
"""The type of the steps that record what must not be done twice."""

RUN = sa.select(*runs.c, threads.c.id.label("thread_id")).select_from(
    runs.outerjoin(threads, runs.c.thread_key == threads.c.key)
)
INSERT = Prepared(sa.insert(runs).returning(runs.c.key))
_ONE = sa.update(runs).where(runs.c.key == sa.bindparam("of_key"))
UPDATE = Prepared(_ONE)
ADVANCE = Prepared(
    _ONE.where(
        runs.c.fence == sa.bindparam("of_fence"),
        runs.c.executor == sa.bindparam("of_executor"),
        runs.c.last_seq == sa.bindparam("of_last_seq"),
    ).returning(runs.c.key)
)
FENCED = Prepared(
    sa.select(runs.c.fence, runs.c.executor, runs.c.status, runs.c.last_seq)
    .where(runs.c.key == sa.bindparam("of_key"))
    .with_for_update()
)

_THREAD = sa.update(threads).where(threads.c.key == sa.bindparam("of_key"))
HOLD = Prepared(_THREAD.where(threads.c.active_run.is_(None)).returning(threads.c.key))
FREE = Prepared(_THREAD.where(threads.c.active_run == sa.bindparam("of_run")))

APPEND = Prepared(sa.insert(run_events))
EVENTS = Prepared(
    sa.select(run_events.c.first_seq, run_events.c.events)
    .where(run_events.c.run_key == sa.bindparam("of_run"))
    .where(run_events.c.last_seq > sa.bindparam("of_seq"))
    .order_by(run_events.c.first_seq)
)

INSERT_STEP = Prepared(sa.insert(run_steps).returning(run_steps.c.key))
UPDATE_STEP = Prepared(sa.update(run_steps).where(run_steps.c.id == sa.bindparam("of_id")))
END_STEPS = Prepared(
    sa.update(run_steps)
    .where(run_steps.c.run_key == sa.bindparam("of_run"), run_steps.c.status == "in_progress")
    .values(
        status=sa.case((run_steps.c.type == CALL, "unknown"), else_=sa.bindparam("end")),
        ended_at=sa.bindparam("at"),
    )
)


@functools.cache
def one_run(*, owned: bool, lock: bool) -> "sa.Select[tuple[object, ...]]":
    """A run by its id; ``owned``: where it is that owner's; ``lock``: until the end."""
    asked = RUN.where(runs.c.id == sa.bindparam("of_id"))
    if owned:
        asked = asked.where(runs.c.owner_id == sa.bindparam("of_owner"))
    return asked.with_for_update(of=runs) if lock else asked
