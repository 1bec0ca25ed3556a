"""The SQL that reads benchmarks. Each function works in the transaction of its connection.

A page among 100,000 takes milliseconds, whatever is asked: what filters say yes or no to is cut
out of sets of numbers (:mod:`~novasystem.benchmarks.stores.bitmaps`); the order is that of an
index, read until the page is full and asking of each number whether it is in the set.
"""

import json
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from novasystem.benchmarks.stores.bitmaps import flags, members
from novasystem.benchmarks.stores.facts import Sort
from novasystem.benchmarks.stores.query import Order, Query, nothing_after, page_of
from novasystem.benchmarks.stores.sql_sets import Sets
from novasystem.storage.tables import (
    benchmark_bodies,
    benchmark_owners,
    benchmark_samples,
    benchmarks,
)

__all__ = ["body", "page", "sample_pieces", "version"]

_FEW = 500
_columns = benchmarks.c


def _bodies_of(column: Any) -> "sa.Select[Any]":
    """Made once, as to put a statement together takes longer than to carry it out."""
    return (
        sa.select(_columns.id, _columns.ttft_s, _columns.total_s, column.label("body"))
        .join_from(benchmarks, benchmark_bodies)
        .where(
            _columns.owner_id == sa.bindparam("owner"),
            _columns.id.in_(sa.bindparam("ids", expanding=True)),
        )
    )


_WHOLE = _bodies_of(benchmark_bodies.c.whole)
_LIGHT = _bodies_of(benchmark_bodies.c.light)


def version(connection: Connection, owner_id: str) -> str:
    asked = sa.select(benchmark_owners.c.version).where(benchmark_owners.c.owner_id == owner_id)
    return connection.scalar(asked) or ""


def body(connection: Connection, owner_id: str, benchmark_id: str) -> bytes | None:
    asked = (
        sa.select(benchmark_bodies.c.whole)
        .join_from(benchmarks, benchmark_bodies)
        .where(_columns.owner_id == owner_id, _columns.id == benchmark_id)
    )
    found: bytes | None = connection.scalar(asked)
    return found


def sample_pieces(
    connection: Connection, owner_id: str, benchmark_id: str
) -> Iterable[tuple[int, bytes]]:
    asked = (
        sa.select(benchmark_samples.c.seq, benchmark_samples.c.data)
        .join_from(benchmarks, benchmark_samples)
        .where(_columns.owner_id == owner_id, _columns.id == benchmark_id)
        .order_by(benchmark_samples.c.seq)
    )
    return [(row.seq, row.data) for row in connection.execute(asked)]


def page(
    connection: Connection, query: Query, *, few: int = _FEW
) -> tuple[list[tuple[str, bytes]], int]:
    """The ids and bodies of the page, and how many there are in all.

    ``few``: up to so many rows are read and put in order here; beyond, an index does it.
    """
    after = _place_after(connection, query)
    sets = Sets(connection, query.owner_id)
    bits = sets.under(query)
    chosen = bits.bit_count()
    if chosen == 0:
        return [], 0
    if chosen <= few:
        ids = _among_few(connection, query, bits, after)
    else:
        having = chosen if query.sort == "timestamp" else 0
        if query.offset and query.sort != "timestamp":
            having = (bits & sets.having(query.sort)).bit_count()
        # A set that holds everything needs not to be asked.
        asked = None if bits == sets.everything() else bits
        ids = _walk(connection, query, asked, having, after)
    return _bodies(connection, query, ids), chosen


def _place_after(connection: Connection, query: Query) -> Order | None:
    if query.after is None:
        return None
    asked = sa.select(_sorted_by(query.sort).label("value")).where(
        _columns.owner_id == query.owner_id, _columns.id == query.after
    )
    row = connection.execute(asked).one_or_none()
    if row is None:
        raise nothing_after(query)
    return Order.of(query.after, row.value, query)


def _among_few(connection: Connection, query: Query, bits: int, after: Order | None) -> list[str]:
    """All of them are read, and put in order here."""
    # Two metrics, as no index has both: one that held all that is asked for SQLite would rather
    # read from begin to end than look up each number.
    value = _sorted_by(query.sort).label("value")
    asked = sa.select(_columns.id, value, _columns.ttft_s, _columns.total_s).where(
        _columns.owner_id == query.owner_id, _is_one_of(connection, bits)
    )
    places = [Order.of(row.id, row.value, query) for row in connection.execute(asked)]
    return page_of(places, query, after)


def _walk(
    connection: Connection, query: Query, bits: int | None, having: int, after: Order | None
) -> list[str]:
    """In the order of an index, as far as the page's end.

    ``having``: how many of them have the metric that is sorted by, where there is an offset.
    """
    _follow_the_index(connection)
    by_time = query.sort == "timestamp"
    value: Any = _sorted_by(query.sort)
    base = sa.select(_columns.id).where(*_filters(connection, query, bits, by_time=by_time))
    shown: list[Any] = [value, _columns.id]

    def part(asked: "sa.Select[Any]", offset: int, limit: int) -> list[str]:
        ordered = [one.desc() if query.descending else one.asc() for one in shown]
        return list(connection.scalars(asked.order_by(*ordered).offset(offset).limit(limit)))

    # What lacks the metric comes last: how many have it says where these begin.
    offset = query.offset
    ids: list[str] = []
    if (after is None or not after.missing) and (offset == 0 or offset < having):
        known = base if by_time else base.where(value.is_not(None))
        if after is not None:
            here, there = sa.tuple_(*shown), sa.tuple_(sa.literal(after.value), after.id)
            known = known.where(here < there if query.descending else here > there)
        ids = part(known, offset, query.limit)
    missing = query.limit - len(ids)
    if by_time or not missing:
        return ids
    rest = base.where(value.is_(None))
    if after is not None and after.missing:
        further = _columns.id < after.id if query.descending else _columns.id > after.id
        rest = rest.where(further)
    shown = [_columns.id]
    return ids + part(rest, max(0, offset - having), missing)


def _follow_the_index(connection: Connection) -> None:
    """PostgreSQL takes sets for small, whatever is in them, and would rather read the table whole
    and sort what it finds. Until the end of the transaction."""
    if connection.dialect.name == "postgresql":
        off = [sa.func.set_config(f"enable_{way}", "off", True) for way in ("seqscan", "sort")]
        connection.execute(sa.select(*off))


def _filters(
    connection: Connection, query: Query, bits: int | None, *, by_time: bool
) -> list[sa.ColumnElement[bool]]:
    """The set knows of the time already; an order by time begins and ends with it."""
    found: list[Any] = [_columns.owner_id == query.owner_id]
    since, until = query.times_us
    if by_time and since is not None:
        found.append(_columns.at_us >= since)
    if by_time and until is not None:
        found.append(_columns.at_us < until)
    if bits is not None:
        found.append(_is_in(connection, bits))
    return found


def _is_one_of(connection: Connection, bits: int) -> Any:
    """As :func:`_is_in`; for few of them, which are then looked up. They are one parameter, as
    hundreds of them take longer to bring there than to find."""
    numbers = list(members(bits))
    if connection.dialect.name == "sqlite":
        given = sa.func.json_each(json.dumps(numbers)).table_valued("value")
        return _columns.number.in_(sa.select(given.c.value))
    from sqlalchemy.dialects.postgresql import ARRAY

    return _columns.number == sa.any_(sa.literal(numbers, ARRAY(sa.Integer)))


def _is_in(connection: Connection, bits: int) -> Any:
    """Whether the row's number is in the set, asked within the database."""
    number: Any = _columns.number
    size = bits.bit_length()
    if connection.dialect.name == "sqlite":
        given = sa.literal(flags(bits, size), sa.LargeBinary)
        return sa.func.substr(given, number + 1, 1) == sa.literal(b"1", sa.LargeBinary)
    # To ask for a bit beyond the end is an error there: the last one stands for all of those.
    data = bits.to_bytes(size // 8 + 1, "little")
    last = len(data) * 8 - 1
    given = sa.literal(data, sa.LargeBinary)
    return sa.func.get_bit(given, sa.func.least(number, last)) == 1


def _sorted_by(sort: Sort) -> "sa.Column[Any]":
    return _columns.at_us if sort == "timestamp" else _columns[sort]


def _bodies(connection: Connection, query: Query, ids: list[str]) -> list[tuple[str, bytes]]:
    asked = _WHOLE if query.whole else _LIGHT
    rows = connection.execute(asked, {"owner": query.owner_id, "ids": ids})
    found = {row.id: row.body for row in rows}
    return [(one, found[one]) for one in ids]
