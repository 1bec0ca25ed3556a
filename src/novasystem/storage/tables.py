"""Every table. Rows are read and written by the ``store.py`` of each domain alone.

``key`` is the database's own number of a row: it grows, is never used twice, and so is the strict
order in which lists are paged. ``id`` is what the outside sees. Times are unix milliseconds.
"""

from typing import Any

import orjson
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.engine import Dialect

from novasystem.storage.full_text import searchable

__all__ = ["Json", "assistants", "benchmark_bodies", "benchmark_owners", "benchmark_samples",
           "benchmark_terms", "benchmarks", "executors", "items", "memory_erased",
           "memory_vectors", "metadata", "run_events", "run_steps", "runs", "threads"]  # fmt: skip


class Json(TypeDecorator[Any]):
    """JSON as text. PostgreSQL's own types refuse U+0000, which a message may hold."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else orjson.dumps(value).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else orjson.loads(value)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _key() -> Column[int]:
    number = BigInteger().with_variant(Integer, "sqlite")
    return Column("key", number, primary_key=True, autoincrement=True)


def _belongs_to(name: str, table: str, *, nullable: bool = False) -> Column[int]:
    reference = ForeignKey(f"{table}.key", ondelete="CASCADE")
    return Column(name, BigInteger, reference, nullable=nullable)


threads = Table(
    "threads",
    metadata,
    _key(),
    Column("id", String(32), nullable=False),
    Column("owner_id", String(64), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("metadata", Json, nullable=False),
    Column("tool_resources", Json),
    Column("active_run", String(64)),
    Column("last_position", Integer, nullable=False, default=0),
    UniqueConstraint("owner_id", "id"),
    sqlite_autoincrement=True,
)
"""``active_run``: the run that holds the thread; no other can begin meanwhile."""

items = Table(
    "items",
    metadata,
    _key(),
    Column("id", String(64), nullable=False, unique=True),
    _belongs_to("thread_key", "threads"),
    Column("position", Integer, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("role", String(16)),
    Column("content", Json, nullable=False),
    Column("status", String(16), nullable=False),
    Column("incomplete_reason", String(32)),
    Column("created_at", BigInteger, nullable=False),
    Column("completed_at", BigInteger),
    Column("incomplete_at", BigInteger),
    Column("token_count", Integer),
    Column("token_count_exact", Boolean, nullable=False, default=False),
    Column("run_id", String(64)),
    Column("assistant_id", String(64)),
    Column("call_id", Json),
    Column("name", Json),
    Column("attachments", Json),
    Column("metadata", Json, nullable=False),
    UniqueConstraint("thread_key", "position"),
    Index(None, "run_id"),
    sqlite_autoincrement=True,
)
"""Messages, tool calls and tool results, in one strict order a thread."""
searchable(items)


def _item_key() -> Column[int]:
    reference = ForeignKey("items.key", ondelete="CASCADE")
    return Column("item_key", BigInteger, reference, primary_key=True, autoincrement=False)


memory_erased = Table("memory_erased", metadata, _item_key())
"""Messages that are not to be recalled any more, where they still stand in their threads."""

memory_vectors = Table(
    "memory_vectors",
    metadata,
    _item_key(),
    Column("model", String(255), primary_key=True),
    Column("vector", LargeBinary, nullable=False),
)
"""What a message means to an embedding model: numbers of 32 bits, of length 1 together; empty where
the model could not take it."""

assistants = Table(
    "assistants",
    metadata,
    _key(),
    Column("id", String(64), nullable=False, unique=True),
    Column("owner_id", String(64), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("name", Json),
    Column("description", Json),
    Column("model", Json, nullable=False),
    Column("instructions", Json),
    Column("tools", Json, nullable=False),
    Column("tool_resources", Json),
    Column("metadata", Json, nullable=False),
    Column("temperature", Float),
    Column("top_p", Float),
    Column("response_format", Json),
    Index(None, "owner_id", "key"),
    sqlite_autoincrement=True,
)

runs = Table(
    "runs",
    metadata,
    _key(),
    Column("id", String(64), nullable=False, unique=True),
    Column("owner_id", String(64), nullable=False),
    _belongs_to("thread_key", "threads", nullable=True),
    Column("kind", String(32), nullable=False),
    Column("lane", String(128), nullable=False),
    Column("status", String(16), nullable=False),
    Column("request", Json, nullable=False),
    Column("assistant_id", String(64)),
    Column("metadata", Json, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("started_at", BigInteger),
    Column("ended_at", BigInteger),
    Column("expires_at", BigInteger),
    Column("executor", String(64)),
    Column("fence", Integer, nullable=False, default=0),
    Column("interruptions", Integer, nullable=False, default=0),
    Column("last_seq", Integer, nullable=False, default=0),
    Column("error", Json),
    Column("details", Json),
    Column("usage", Json),
    Index(None, "thread_key", "key"),
    Index(None, "owner_id", "key"),
    Index(None, "status", "executor"),
    sqlite_autoincrement=True,
)
"""``executor`` is the lease: who carries the run out. ``fence`` grows with every lease, and
whatever an executor writes is written only while the fence is still its own."""

run_steps = Table(
    "run_steps",
    metadata,
    _key(),
    Column("id", String(64), nullable=False, unique=True),
    _belongs_to("run_key", "runs"),
    Column("name", String(128)),
    Column("type", String(32), nullable=False),
    Column("status", String(16), nullable=False),
    Column("details", Json, nullable=False),
    Column("error", Json),
    Column("usage", Json),
    Column("created_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    UniqueConstraint("run_key", "name"),
    Index(None, "run_key", "key"),
    sqlite_autoincrement=True,
)

run_events = Table(
    "run_events",
    metadata,
    Column("run_key", BigInteger, ForeignKey("runs.key", ondelete="CASCADE"), primary_key=True),
    Column("first_seq", Integer, primary_key=True, autoincrement=False),
    Column("last_seq", Integer, nullable=False),
    Column("events", LargeBinary, nullable=False),
)
"""One row a batch: a JSON array of ``[type, data, at_ms]``, numbered from ``first_seq``."""

executors = Table(
    "executors",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("pid", Integer, nullable=False),
    Column("place", String(255), nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("beat", Integer, nullable=False, default=0),
)
"""Who carries out runs now. ``beat`` grows while the process is alive: whether it does is seen by
another process on its own monotonic clock, so that no clock has to agree with another."""


def _compared(length: int) -> String:
    """Text whose order is that of its bytes, on every database and whatever its language."""
    plain = String(length)
    return plain.with_variant(String(length, collation="C"), "postgresql")


benchmark_owners = Table(
    "benchmark_owners",
    metadata,
    Column("owner_id", String(64), primary_key=True),
    Column("next_number", Integer, nullable=False),
    Column("version", String(32), nullable=False),
)
"""Who changes an owner's benchmarks holds this row until the end; ``version`` is another one
after each change."""

benchmarks = Table(
    "benchmarks",
    metadata,
    _key(),
    Column("id", _compared(64), nullable=False),
    Column("owner_id", String(64), nullable=False),
    Column("number", Integer, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("ttft_s", Float),
    Column("tokens_per_s", Float),
    Column("total_s", Float),
    Index(None, "owner_id", "id", unique=True),
    Index(None, "owner_id", "number", unique=True),
    Index(None, "owner_id", "at_us", "id", "number"),
    Index(None, "owner_id", "ttft_s", "id", "at_us", "number"),
    Index(None, "owner_id", "tokens_per_s", "id", "at_us", "number"),
    Index(None, "owner_id", "total_s", "id", "at_us", "number"),
    sqlite_autoincrement=True,
)
"""What lists go by. Each order has an index that holds all that a page of it looks at.
``number`` counts an owner's benchmarks: their places in the sets of ``benchmark_terms``."""

benchmark_bodies = Table(
    "benchmark_bodies",
    metadata,
    Column(
        "benchmark_key",
        BigInteger,
        ForeignKey("benchmarks.key", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("light", LargeBinary, nullable=False),
    Column("whole", LargeBinary, nullable=False),
    Column("terms", LargeBinary, nullable=False),
)
"""``whole`` is the benchmark (JSON, packed), ``light`` the same without its heavy parts,
``terms`` under which of them it stands."""

benchmark_terms = Table(
    "benchmark_terms",
    metadata,
    Column("owner_id", String(64), primary_key=True),
    Column("term", _compared(80), primary_key=True),
    Column("chunk", Integer, primary_key=True, autoincrement=False),
    Column("bits", LargeBinary, nullable=False),
)
"""For each word, model, status and stretch of time the set of the benchmarks that have it, as bits
of their numbers; a chunk holds 32,768 of them."""

benchmark_samples = Table(
    "benchmark_samples",
    metadata,
    Column(
        "benchmark_key",
        BigInteger,
        ForeignKey("benchmarks.key", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("samples", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
)
"""A row holds many requests, packed."""
