"""Lists page by a strict total order: never by a time, which two rows can share."""

from typing import Any

import sqlalchemy as sa

__all__ = ["paged"]


def paged(
    asked: "sa.Select[Any]",
    table: sa.Table,
    *,
    limit: int,
    ascending: bool,
    after: str | None,
    before: str | None,
    by: "sa.Column[Any] | None" = None,
) -> "sa.Select[Any]":
    """At most ``limit`` rows of ``asked`` between the rows with the ids ``after`` and ``before``.

    Both mean the order that is shown, whichever that is; with ``before`` alone it is the page that
    ends right before that row.
    """
    order = table.c.key if by is None else by
    backwards = before is not None and after is None
    for cursor, further in ((after, True), (before, False)):
        if cursor is not None:
            place = sa.select(order).where(table.c.id == cursor).scalar_subquery()
            asked = asked.where(order > place if further == ascending else order < place)
    if not backwards:
        return asked.order_by(order if ascending else order.desc()).limit(limit)
    nearest = asked.order_by(order.desc() if ascending else order).limit(limit).subquery()
    shown = nearest.c[order.name]
    return sa.select(nearest).order_by(shown if ascending else shown.desc())
