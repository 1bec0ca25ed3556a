"""The SQL of threads and items. Each function works in the transaction of its connection."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from novasystem.errors import NotFound
from novasystem.storage.ids import new_id, now_ms
from novasystem.storage.notices import notify
from novasystem.storage.paging import paged
from novasystem.storage.statements import HELD, RUN, Part, Prepared, inserted
from novasystem.storage.tables import items, runs, threads
from novasystem.threads.records import Item, NewItem, Thread

__all__ = [
    "add",
    "added_to_held",
    "count_items",
    "counted_item",
    "create",
    "cut",
    "delete",
    "delete_item",
    "end_item",
    "ended_item",
    "find",
    "get",
    "get_item",
    "items_of_run",
    "last_items",
    "list_items",
    "list_threads",
    "newest_unheld",
    "set_token_count",
    "taken",
    "update",
    "update_item",
]

_ID_PREFIX = {"message": "msg", "tool_call": "call", "tool_result": "out"}

# What every turn needs is prepared once.
_FIND = sa.select(threads).where(
    threads.c.id == sa.bindparam("of_id"), threads.c.owner_id == sa.bindparam("of_owner")
)
_GROW = Prepared(
    sa.update(threads)
    .where(threads.c.key == sa.bindparam("of_key"))
    .values(last_position=threads.c.last_position + sa.bindparam("more"))
    .returning(threads.c.last_position)
)
_LAST = (
    sa.select(items)
    .where(items.c.thread_key == sa.bindparam("of_key"))
    .order_by(items.c.position.desc())
    .limit(sa.bindparam("most"))
)
_OF_OWNER = (threads.c.id == sa.bindparam("of_id"), threads.c.owner_id == sa.bindparam("of_owner"))
_SOME = (
    # By themselves: joined to the thread, PostgreSQL would sort all the items that it has.
    sa.select(items)
    .where(items.c.thread_key == sa.select(threads.c.key).where(*_OF_OWNER).scalar_subquery())
    .order_by(items.c.position.desc())
    .limit(sa.bindparam("most"))
    .subquery()
)
_NEWEST = (
    sa.select(_SOME, threads.c.active_run.label("held_by"), threads.c.last_position.label("last"))
    .select_from(threads.outerjoin(_SOME, _SOME.c.thread_key == threads.c.key))
    .where(*_OF_OWNER)
    .order_by(_SOME.c.position)
)
_INSERT_ONE = Prepared(sa.insert(items).returning(items.c.key))
_INSERT = sa.insert(items).returning(items.c.key, sort_by_parameter_order=True)
_UPDATE_ID = Prepared(sa.update(items).where(items.c.id == sa.bindparam("of_id")))
_UPDATE_KEY = Prepared(sa.update(items).where(items.c.key == sa.bindparam("of_key")))
# As parts of a statement on PostgreSQL that change nothing where its link ``run`` has no row.
_END_OF_RUN = Prepared(
    sa.update(items).where(items.c.id == sa.bindparam("of_id"), RUN.c.key.is_not(None))
)
_COUNT_OF_RUN = Prepared(
    sa.update(items).where(items.c.key == sa.bindparam("of_key"), RUN.c.key.is_not(None))
)


@functools.cache
def _take() -> Prepared:
    from sqlalchemy.dialects import postgresql

    new = postgresql.insert(threads)
    taking = new.on_conflict_do_update(
        index_elements=[threads.c.owner_id, threads.c.id],
        set_={
            "active_run": new.excluded.active_run,
            "updated_at": new.excluded.updated_at,
            "last_position": threads.c.last_position + sa.literal_column("1"),
        },
        where=threads.c.active_run.is_(None),
    )
    return Prepared(taking.returning(threads.c.key, threads.c.last_position))


@functools.cache
def _added(names: tuple[str, ...]) -> Prepared:
    given = {"thread_key": HELD.c.key, "position": HELD.c.last_position}
    return Prepared(inserted(items, names, given).returning(items.c.key))


@functools.cache
def _create(dialect: str) -> Prepared:
    from sqlalchemy.dialects import postgresql, sqlite

    insert = (sqlite if dialect == "sqlite" else postgresql).insert
    return Prepared(insert(threads).on_conflict_do_nothing().returning(threads.c.key))


def create(
    connection: Connection,
    thread_id: str,
    owner_id: str,
    *,
    metadata: Mapping[str, str] | None = None,
    tool_resources: Mapping[str, Any] | None = None,
) -> Thread:
    """A new, empty thread; the existing one where the owner has one of that id."""
    now = now_ms()
    values: dict[str, Any] = {
        "id": thread_id,
        "owner_id": owner_id,
        "created_at": now,
        "updated_at": now,
        "metadata": dict(metadata or {}),
        "tool_resources": tool_resources,
        "active_run": None,
        "last_position": 0,
    }
    insert = _create(connection.dialect.name)
    while True:
        key = insert(connection, values).value
        if key is not None:
            return Thread(key=key, **values)
        found = find(connection, thread_id, owner_id)
        # Otherwise it was there, and has been deleted since.
        if found is not None:
            return found


def taken(thread_id: str, owner_id: str, run_id: str, at_ms: int) -> Part:
    """Takes the thread for a run, with a place for one item more; makes it where it is not there.

    For the link ``held``, on PostgreSQL alone. It gives no row where another run has it.
    """
    values = {
        "id": thread_id,
        "owner_id": owner_id,
        "created_at": at_ms,
        "updated_at": at_ms,
        "metadata": {},
        "active_run": run_id,
        "last_position": 1,
    }
    return _take(), values


def find(connection: Connection, thread_id: str, owner_id: str) -> Thread | None:
    """The owner's thread; another owner's is not there."""
    row = connection.execute(_FIND, {"of_id": thread_id, "of_owner": owner_id}).mappings()
    found = row.one_or_none()
    return None if found is None else Thread(**found)


def get(connection: Connection, key: int) -> Thread | None:
    row = connection.execute(sa.select(threads).where(threads.c.key == key)).mappings()
    found = row.one_or_none()
    return None if found is None else Thread(**found)


def list_threads(
    connection: Connection,
    owner_id: str,
    *,
    limit: int,
    ascending: bool = False,
    after: str | None = None,
    before: str | None = None,
) -> list[Thread]:
    """In the order of their creation; ``after`` and ``before`` are threads' ids."""
    asked = sa.select(threads).where(threads.c.owner_id == owner_id)
    asked = paged(asked, threads, limit=limit, ascending=ascending, after=after, before=before)
    return [Thread(**row) for row in connection.execute(asked).mappings()]


def update(connection: Connection, key: int, **values: Any) -> None:
    connection.execute(
        sa.update(threads).where(threads.c.key == key).values(updated_at=now_ms(), **values)
    )


def delete(connection: Connection, key: int) -> list[str]:
    """Take the thread away, with its items, runs, steps and events; the runs' ids."""
    # Nothing can be added to it from here on.
    connection.execute(sa.select(threads.c.key).where(threads.c.key == key).with_for_update())
    run_ids = list(connection.scalars(sa.select(runs.c.id).where(runs.c.thread_key == key)))
    connection.execute(sa.delete(threads).where(threads.c.key == key))
    notify(connection, *(f"gone {run_id}" for run_id in run_ids))
    return run_ids


def add(connection: Connection, thread_key: int, new: Sequence[NewItem]) -> list[Item]:
    """Append ``new`` at the end, in their order, under positions that nobody else gets.

    Raises ``NotFound`` where the thread was deleted meanwhile.
    """
    if not new:
        return []
    now = now_ms()
    grown = {"of_key": thread_key, "more": len(new), "updated_at": now}
    last: int | None = _GROW(connection, grown).value
    if last is None:
        raise NotFound("thread", str(thread_key), param="thread_id")
    rows = [
        _row(item, thread_key, position, now)
        for position, item in enumerate(new, last - len(new) + 1)
    ]
    if len(rows) == 1:
        keys = [_INSERT_ONE(connection, rows[0]).value]
    else:
        keys = list(connection.scalars(_INSERT, rows))
    return [Item(key=key, **row) for key, row in zip(keys, rows, strict=True)]


def added_to_held(item: NewItem, at_ms: int) -> tuple[Part, Callable[[int, int, int], Item]]:
    """Adds an item to the link ``held`` in its last position, on PostgreSQL alone.

    Also returned is what makes of the thread's key, the position and its own key what is stored.
    """
    row = _row(item, 0, 0, at_ms)
    set_ = {k: v for k, v in row.items() if v is not None and k not in {"thread_key", "position"}}

    def stored(thread_key: int, position: int, key: int) -> Item:
        return Item(**{**row, "thread_key": thread_key, "position": position, "key": key})

    return (_added(tuple(set_)), set_), stored


def _row(item: NewItem, thread_key: int, position: int, now: int) -> dict[str, Any]:
    ended_at = now if item.ended_at is None else item.ended_at
    return {
        "id": item.id or new_id(_ID_PREFIX[item.kind]),
        "thread_key": thread_key,
        "position": position,
        "kind": item.kind,
        "role": item.role,
        "content": item.content,
        "status": item.status,
        "incomplete_reason": item.incomplete_reason,
        "created_at": now if item.created_at is None else item.created_at,
        "completed_at": ended_at if item.status == "completed" else None,
        "incomplete_at": ended_at if item.status == "incomplete" else None,
        "token_count": item.token_count,
        "token_count_exact": item.token_count_exact,
        "run_id": item.run_id,
        "assistant_id": item.assistant_id,
        "call_id": item.call_id,
        "name": item.name,
        "attachments": item.attachments,
        "metadata": dict(item.metadata or {}),
    }


def end_item(
    connection: Connection,
    item_id: str,
    content: str,
    *,
    token_count: int | None = None,
    token_count_exact: bool = False,
    incomplete_reason: str | None = None,
    ended_at: int | None = None,
) -> None:
    """Complete a message that was being written; with a reason it stays incomplete."""
    said = _ended(content, token_count, token_count_exact, incomplete_reason, ended_at)
    _UPDATE_ID(connection, {"of_id": item_id, **said})


def ended_item(
    item_id: str,
    content: str,
    *,
    token_count: int | None = None,
    token_count_exact: bool = False,
    incomplete_reason: str | None = None,
    ended_at: int | None = None,
) -> Part:
    """As :func:`end_item`, where the link ``run`` has a row; on PostgreSQL alone."""
    said = _ended(content, token_count, token_count_exact, incomplete_reason, ended_at)
    return _END_OF_RUN, {"of_id": item_id, **said}


def _ended(
    content: str,
    token_count: int | None,
    token_count_exact: bool,
    incomplete_reason: str | None,
    ended_at: int | None,
) -> dict[str, Any]:
    now = now_ms() if ended_at is None else ended_at
    complete = incomplete_reason is None
    return {
        "content": content,
        "status": "completed" if complete else "incomplete",
        "incomplete_reason": incomplete_reason,
        "completed_at": now if complete else None,
        "incomplete_at": None if complete else now,
        "token_count": token_count,
        "token_count_exact": token_count_exact,
    }


def get_item(connection: Connection, thread_key: int, item_id: str) -> Item | None:
    asked = sa.select(items).where(items.c.thread_key == thread_key, items.c.id == item_id)
    row = connection.execute(asked).mappings().one_or_none()
    return None if row is None else Item(**row)


def list_items(
    connection: Connection,
    thread_key: int,
    *,
    limit: int,
    ascending: bool = True,
    after: str | None = None,
    before: str | None = None,
    run_id: str | None = None,
    kind: str | None = None,
) -> list[Item]:
    """A page of the thread; ``after`` and ``before`` are items' ids and mean the order shown."""
    asked = sa.select(items).where(items.c.thread_key == thread_key)
    if run_id is not None:
        asked = asked.where(items.c.run_id == run_id)
    if kind is not None:
        asked = asked.where(items.c.kind == kind)
    asked = paged(
        asked,
        items,
        limit=limit,
        ascending=ascending,
        after=after,
        before=before,
        by=items.c.position,
    )
    return [Item(**row) for row in connection.execute(asked).mappings()]


def last_items(connection: Connection, thread_key: int, limit: int) -> list[Item]:
    """The newest ``limit`` items, oldest first."""
    found = connection.execute(_LAST, {"of_key": thread_key, "most": limit})
    return [Item(**row) for row in found.mappings()][::-1]


def newest_unheld(
    connection: Connection, thread_id: str, owner_id: str, limit: int
) -> tuple[list[Item], int] | None:
    """The newest ``limit`` items of the owner's thread, oldest first, and its last position.

    One statement. ``None``: a run holds it. Nothing and 0: it is not there.
    """
    given = {"of_id": thread_id, "of_owner": owner_id, "most": limit}
    found: list[Item] = []
    last = 0
    for each in connection.execute(_NEWEST, given).mappings():
        row = dict(each)
        held_by, last = row.pop("held_by"), row.pop("last")
        if held_by is not None:
            return None
        if row["key"] is not None:
            found.append(Item(**row))
    return found, last


def count_items(connection: Connection, thread_key: int) -> int:
    counted = sa.select(sa.func.count()).where(items.c.thread_key == thread_key)
    return connection.execute(counted).scalar_one()


def items_of_run(connection: Connection, run_id: str) -> list[Item]:
    asked = sa.select(items).where(items.c.run_id == run_id).order_by(items.c.position)
    return [Item(**row) for row in connection.execute(asked).mappings()]


def set_token_count(connection: Connection, item_key: int, tokens: int, *, exact: bool) -> None:
    counted = {"token_count": tokens, "token_count_exact": exact}
    _UPDATE_KEY(connection, {"of_key": item_key, **counted})


def counted_item(item_key: int, tokens: int) -> Part:
    """As :func:`set_token_count`, exact, where the link ``run`` has a row; on PostgreSQL alone."""
    return _COUNT_OF_RUN, {"of_key": item_key, "token_count": tokens, "token_count_exact": True}


def update_item(connection: Connection, item_key: int, metadata: Mapping[str, str]) -> None:
    connection.execute(
        sa.update(items).where(items.c.key == item_key).values(metadata=dict(metadata))
    )


def cut(connection: Connection, thread_key: int, item_id: str) -> None:
    """Take away a message of the user's, and all that came after it.

    The caller holds the thread. Raises ``NotFound`` where it has no such message.
    """
    item = get_item(connection, thread_key, item_id)
    if item is None or item.role != "user":
        raise NotFound("message of the user's", item_id, param="instead_of")
    connection.execute(
        sa.delete(items).where(items.c.thread_key == thread_key, items.c.position >= item.position)
    )


def delete_item(connection: Connection, item_key: int) -> None:
    connection.execute(sa.delete(items).where(items.c.key == item_key))
