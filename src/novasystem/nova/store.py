"""The SQL of sessions: threads on which something was asked."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from novasystem.storage.tables import items, runs, threads
from novasystem.threads.records import Thread

__all__ = ["first_questions", "list_sessions"]


def list_sessions(
    connection: Connection, owner_id: str, kind: str, *, limit: int, after: str | None = None
) -> list[Thread]:
    """The owner's threads that have a run of ``kind``, the newest first.

    ``after``: the id of the last thread of the page before.
    """
    asked = (
        sa.select(threads)
        .where(
            threads.c.owner_id == owner_id,
            sa.exists().where(runs.c.thread_key == threads.c.key, runs.c.kind == kind),
        )
        .order_by(threads.c.key.desc())
        .limit(limit)
    )
    if after is not None:
        place = sa.select(threads.c.key).where(
            threads.c.owner_id == owner_id, threads.c.id == after
        )
        asked = asked.where(threads.c.key < place.scalar_subquery())
    return [Thread(**row) for row in connection.execute(asked).mappings()]


def first_questions(connection: Connection, thread_keys: list[int]) -> dict[int, str]:
    """What each thread began with."""
    asked = sa.select(items.c.thread_key, items.c.content).where(
        items.c.thread_key.in_(thread_keys), items.c.position == 1
    )
    return {row.thread_key: row.content for row in connection.execute(asked)}
