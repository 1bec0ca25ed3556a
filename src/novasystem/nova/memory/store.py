"""SQL of memory: what can be recalled, what of it holds some words, and what is erased.

What can be recalled is what was said to and by chat and Nova, and has ended.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from novasystem.errors import InvalidRequest
from novasystem.nova.memory.records import Remembered
from novasystem.nova.memory.words import for_postgres, for_sqlite
from novasystem.storage.full_text import WORDS, postgres_words
from novasystem.storage.tables import items, memory_erased, memory_vectors, runs, threads

__all__ = ["Vector", "add_vectors", "by_keys", "by_words", "erase", "erase_all", "listed",
           "owned", "vectors", "without_vector"]  # fmt: skip

KINDS = ("chat", "nova")
# PostgreSQL has to read each message again to rank it.
_RANKED = 2_000
_LOOKED_AT = 500

_words = sa.table(WORDS, sa.column("rowid", sa.Integer), sa.column("rank", sa.Float))
_shown = (
    items.c.id.label("item_id"),
    threads.c.id.label("thread_id"),
    items.c.role,
    items.c.content.label("text"),
    items.c.created_at,
)


@dataclass(frozen=True, slots=True)
class Vector:
    """``data``: as it is stored."""

    item_key: int
    data: bytes


def _remembered(owner_id: str, *columns: "sa.ColumnElement[Any]") -> "sa.Select[Any]":
    """``columns`` of all that the owner can recall."""
    erased = sa.exists().where(memory_erased.c.item_key == items.c.key)
    return (
        sa.select(*columns)
        .select_from(items)
        .join(runs, runs.c.id == items.c.run_id)
        .join(threads, threads.c.key == items.c.thread_key)
        .where(
            # As the index says it, and not as a parameter of which it knows nothing.
            items.c.kind == sa.literal_column("'message'"),
            items.c.run_id.is_not(None),
            items.c.assistant_id.is_(None),
            items.c.status != "in_progress",
            runs.c.owner_id == owner_id,
            runs.c.kind.in_(KINDS),
            threads.c.owner_id == owner_id,
            ~erased,
        )
    )


def _narrowed(
    asked: "sa.Select[Any]", besides: Collection[int], thread_key: int | None
) -> "sa.Select[Any]":
    if besides:
        asked = asked.where(items.c.key.not_in(list(besides)))
    return asked if thread_key is None else asked.where(items.c.thread_key == thread_key)


def by_words(
    connection: Connection,
    owner_id: str,
    words: Sequence[str],
    *,
    besides: Collection[int],
    thread_key: int | None,
    limit: int,
) -> list[int]:
    """Keys of messages that hold any of ``words``, the likeliest first."""
    if not words:
        return []
    if connection.dialect.name == "postgresql":
        return _by_words_in_postgres(connection, owner_id, words, besides, thread_key, limit)
    # To look at whose a message is takes longer than to rank it. So the best are looked at alone,
    # and all of them only where too many of those are somebody else's.
    for most in (_LOOKED_AT, None):
        ranked = (
            sa.select(_words.c.rowid, _words.c.rank)
            .where(sa.literal_column(WORDS).op("MATCH")(for_sqlite(words)))
            .order_by(_words.c.rank)
            .limit(most)
            .cte("ranked")
            .prefix_with("MATERIALIZED", dialect="sqlite")
        )
        asked = (
            _narrowed(_remembered(owner_id, items.c.key), besides, thread_key)
            .join(ranked, ranked.c.rowid == items.c.key)
            .order_by(ranked.c.rank, items.c.key.desc())
            .limit(limit)
        )
        found = list(connection.scalars(asked))
        if len(found) == limit:
            return found
        if most is not None:
            held = connection.scalar(sa.select(sa.func.count()).select_from(ranked)) or 0
            if held < most:
                return found
    return found


def _by_words_in_postgres(
    connection: Connection,
    owner_id: str,
    words: Sequence[str],
    besides: Collection[int],
    thread_key: int | None,
    limit: int,
) -> list[int]:
    """``ts_rank`` of each word, weighed by how few of the messages found hold it, as bm25 does."""
    # Such an index is read in this way alone, which our connections otherwise do without.
    connection.execute(sa.text("SET LOCAL enable_bitmapscan = on"))
    vector: sa.ColumnElement[Any] = sa.literal_column(postgres_words("items.content"))
    asked = for_postgres(words)
    query = sa.func.to_tsquery(sa.text("'simple'::regconfig"), " | ".join(asked))
    newest = (
        _narrowed(_remembered(owner_id, items.c.key, vector.label("words")), besides, thread_key)
        .where(vector.op("@@")(query))
        .order_by(items.c.key.desc())
        .limit(_RANKED)
        .cte("newest")
        .prefix_with("MATERIALIZED", dialect="postgresql")
    )
    ranks = [
        sa.func.ts_rank(newest.c.words, sa.func.to_tsquery(sa.text("'simple'::regconfig"), one), 1)
        for one in asked
    ]
    rows = [tuple(row) for row in connection.execute(sa.select(newest.c.key, *ranks))]
    weights = [
        math.log(1 + (len(rows) - held + 0.5) / (held + 0.5))
        for held in (sum(row[place] > 0 for row in rows) for place in range(1, len(asked) + 1))
    ]

    def score(row: tuple[Any, ...]) -> float:
        return math.fsum(w * rank for w, rank in zip(weights, row[1:], strict=True))

    return [row[0] for row in sorted(rows, key=lambda row: (-score(row), -row[0]))][:limit]


def by_keys(connection: Connection, owner_id: str, keys: Sequence[int]) -> dict[int, Remembered]:
    asked = _remembered(owner_id, items.c.key, *_shown).where(items.c.key.in_(list(keys)))
    return {row.key: _record(row._mapping) for row in connection.execute(asked)}


def listed(
    connection: Connection, owner_id: str, *, limit: int, after: str | None
) -> list[Remembered]:
    """Newest turns first, each from its end; ``after``: the id of a message.

    Raises ``InvalidRequest`` where there is none such any more.
    """
    asked = _remembered(owner_id, *_shown)
    if after is not None:
        place = (
            sa.select(runs.c.key, items.c.key.label("item_key"))
            .join_from(items, runs, runs.c.id == items.c.run_id)
            .where(items.c.id == after, runs.c.owner_id == owner_id)
        )
        last = connection.execute(place).first()
        if last is None:
            raise InvalidRequest(
                f"'after': there is no message '{after}'.",
                hint="It may have been deleted: begin the list again.",
                param="after",
            )
        asked = asked.where(
            runs.c.key <= last.key, (runs.c.key != last.key) | (items.c.key < last.item_key)
        )
    asked = asked.order_by(runs.c.key.desc(), items.c.key.desc()).limit(limit)
    return [_record(row._mapping) for row in connection.execute(asked)]


def _record(row: Mapping[Any, Any]) -> Remembered:
    return Remembered(row["item_id"], row["thread_id"], row["role"], row["text"], row["created_at"])


def owned(connection: Connection, owner_id: str, item_id: str) -> int | None:
    """The key of a message that the owner can recall."""
    found: int | None = connection.scalar(
        _remembered(owner_id, items.c.key).where(items.c.id == item_id)
    )
    return found


def _new(connection: Connection, table: sa.Table, rows: list[dict[str, Any]]) -> None:
    """Add rows, but those that another one added meanwhile."""
    from sqlalchemy.dialects import postgresql, sqlite

    insert = (sqlite if connection.dialect.name == "sqlite" else postgresql).insert
    connection.execute(insert(table).on_conflict_do_nothing(), rows)


def erase(connection: Connection, item_key: int) -> None:
    # Whoever deletes the message meanwhile has taken it out of memory as well.
    kept = sa.select(items.c.key).where(items.c.key == item_key).with_for_update(key_share=True)
    for key in list(connection.scalars(kept)):
        _erase(connection, [key])


def erase_all(connection: Connection, owner_id: str) -> int:
    """How many messages that were. An answer that is still being written is not among them."""
    found = _remembered(owner_id, items.c.key).with_for_update(key_share=True, of=items)
    keys = list(connection.scalars(found))
    for start in range(0, len(keys), 500):
        _erase(connection, keys[start : start + 500])
    return len(keys)


def _erase(connection: Connection, keys: list[int]) -> None:
    _new(connection, memory_erased, [{"item_key": key} for key in keys])
    connection.execute(sa.delete(memory_vectors).where(memory_vectors.c.item_key.in_(keys)))


def without_vector(
    connection: Connection, owner_id: str, model: str, *, newest: int, limit: int
) -> list[tuple[int, str]]:
    """Keys and texts of messages that ``model`` has not read yet, of the ``newest``."""
    recent = (
        _remembered(owner_id, items.c.key, runs.c.key.label("run_key"))
        .order_by(runs.c.key.desc(), items.c.key.desc())
        .limit(newest)
        .subquery()
    )
    known = sa.exists().where(
        memory_vectors.c.item_key == recent.c.key, memory_vectors.c.model == model
    )
    asked = (
        sa.select(items.c.key, items.c.content)
        .join_from(recent, items, items.c.key == recent.c.key)
        .where(~known)
        .order_by(recent.c.run_key.desc(), recent.c.key.desc())
        .limit(limit)
    )
    return [(row.key, row.content) for row in connection.execute(asked)]


def add_vectors(connection: Connection, model: str, found: Sequence[Vector]) -> None:
    """Keep those of messages that are still there and have none yet."""
    by_key = {vector.item_key: vector.data for vector in found}
    keys = list(by_key)
    there = sa.select(items.c.key).where(items.c.key.in_(keys)).with_for_update(key_share=True)
    left = set(connection.scalars(there))
    erased = sa.select(memory_erased.c.item_key).where(memory_erased.c.item_key.in_(keys))
    left -= set(connection.scalars(erased))
    if left:
        rows = [{"item_key": key, "model": model, "vector": by_key[key]} for key in sorted(left)]
        _new(connection, memory_vectors, rows)


def vectors(
    connection: Connection,
    owner_id: str,
    model: str,
    *,
    besides: Collection[int],
    thread_key: int | None,
    newest: int,
) -> list[Vector]:
    """Of the ``newest`` messages that ``model`` has read."""
    asked = _narrowed(_remembered(owner_id, items.c.key, memory_vectors.c.vector), besides,
                      thread_key)  # fmt: skip
    asked = (
        asked.join(memory_vectors, memory_vectors.c.item_key == items.c.key)
        .where(memory_vectors.c.model == model)
        .order_by(runs.c.key.desc(), items.c.key.desc())
        .limit(newest)
    )
    return [Vector(row.key, row.vector) for row in connection.execute(asked)]
