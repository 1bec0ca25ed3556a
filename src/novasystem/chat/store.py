"""The SQL of conversations: the threads that have had a turn of a chat."""

import re
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from novasystem.chat.records import Conversation
from novasystem.runs import statements
from novasystem.runs.records import Run
from novasystem.storage.tables import items, runs, threads

__all__ = ["TITLE", "find", "list_conversations", "runs_of"]

KIND = "chat"
TITLE = "title"
"""Under which a thread's metadata hold the name of a conversation."""
_MOST_CHARS = 80
_WHITE = re.compile(r"\s+")


def list_conversations(
    connection: Connection, owner_id: str, *, limit: int, after: Conversation | None = None
) -> list[Conversation]:
    """The one with the newest turn first; each is read by its newest turn alone."""
    asked = _asked(owner_id).order_by(runs.c.key.desc()).limit(limit)
    if after is not None:
        asked = asked.where(runs.c.key < after.last.key)
    return [_conversation(row) for row in connection.execute(asked).mappings()]


def find(connection: Connection, owner_id: str, conversation_id: str) -> Conversation | None:
    """The owner's conversation with that stored id."""
    asked = _asked(owner_id).where(threads.c.id == conversation_id)
    row = connection.execute(asked).mappings().one_or_none()
    return None if row is None else _conversation(row)


def runs_of(connection: Connection, thread_key: int, run_ids: set[str]) -> dict[str, Run]:
    """Those of the thread's runs, by their id."""
    if not run_ids:
        return {}
    asked = statements.RUN.where(runs.c.thread_key == thread_key, runs.c.id.in_(run_ids))
    return {row["id"]: Run(**row) for row in connection.execute(asked).mappings()}


def _asked(owner_id: str) -> "sa.Select[Any]":
    """A row a conversation: its newest turn, and what of its thread is not in that."""
    later = runs.alias("later")
    newest = ~sa.exists().where(
        later.c.thread_key == runs.c.thread_key, later.c.kind == KIND, later.c.key > runs.c.key
    )
    first = (
        sa.select(items.c.content)
        .where(items.c.thread_key == threads.c.key, items.c.role == "user")
        .order_by(items.c.position)
        .limit(1)
        .scalar_subquery()
    )
    of_thread = [
        getattr(threads.c, name).label(f"thread_{name}")
        for name in ("created_at", "updated_at", "active_run", "metadata")
    ]
    return (
        sa.select(*runs.c, threads.c.id.label("thread_id"), *of_thread, first.label("first_said"))
        .select_from(runs.join(threads, runs.c.thread_key == threads.c.key))
        .where(runs.c.owner_id == owner_id, runs.c.kind == KIND, newest)
    )


def _conversation(row: RowMapping) -> Conversation:
    last = Run(**{name: row[name] for name in Run.__slots__})
    named = row["thread_metadata"].get(TITLE, "")
    assert last.thread_key is not None
    return Conversation(
        key=last.thread_key,
        id=row["thread_id"],
        title=named or _beginning(row["first_said"] or ""),
        named=bool(named),
        created_at=row["thread_created_at"],
        updated_at=row["thread_updated_at"],
        active_run=row["thread_active_run"],
        last=last,
    )


def _beginning(text: str) -> str:
    said = _WHITE.sub(" ", text[: 4 * _MOST_CHARS]).strip()
    if len(said) <= _MOST_CHARS:
        return said or "Empty conversation"
    return said[: _MOST_CHARS - 1].rstrip() + "…"
