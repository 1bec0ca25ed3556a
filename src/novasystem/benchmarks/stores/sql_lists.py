"""The SQL that reads benchmarks. Each function works in the transaction of its connection.

A page among 100,000 takes milliseconds, whatever is asked: what filters say yes or no to is cut
out of sets of numbers (:mod:`~novasystem.benchmarks.stores.bitmaps`); the order is that of an
index, read until the page is full and asking of each number whether it is in the set.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.sql.operators import custom_op

from novasystem.benchmarks.stores.bitmaps import CHUNK, flags, members, unpack_bits
from novasystem.benchmarks.stores.facts import Metric, Sort, model_term, prefixes
from novasystem.benchmarks.stores.query import Order, Query, nothing_after, page_of
from novasystem.storage.tables import (
    benchmark_bodies,
    benchmark_owners,
    benchmark_samples,
    benchmark_terms,
    benchmarks,
)

__all__ = ["body", "page", "sample_pieces", "version"]

_FEW = 500
_LAST_LETTER = "\U0010ffff"
_columns = benchmarks.c


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
    sets = _Sets(connection, query.owner_id)
    bits = sets.under(query)
    chosen = bits.bit_count()
    if chosen == 0:
        return [], 0
    if chosen <= few:
        ids, total = _among_few(connection, query, bits, after)
    else:
        # A set that holds everything needs not to be asked.
        asked = None if bits == sets.everything() else bits
        total = chosen
        if query.times_us != (None, None):
            total = _count(connection, query, asked, chosen)
        ids = _walk(connection, query, asked, sets, total, after)
    return _bodies(connection, query, ids), total


class _Sets:
    """The owner's sets of numbers, each read once."""

    def __init__(self, connection: Connection, owner_id: str) -> None:
        self._connection = connection
        self._owner_id = owner_id
        self._known: dict[str, int] = {}

    def under(self, query: Query) -> int:
        """Those under all filters but the time."""
        wanted = query.wanted_statuses
        archived = ["a:0", "a:1"] if query.archived is None else [f"a:{int(query.archived)}"]
        statuses = [] if wanted is None else [f"s:{status}" for status in wanted]
        models = [] if query.model is None else [model_term(query.model)]
        words = [word for word in query.words if not prefixes(word)]
        self._read({"a:0", "a:1", *archived, *statuses, *models, *(f"w:{word}" for word in words)})
        bits = self._any(archived)
        if wanted is not None:
            bits &= self._any(statuses)
        for term in [*models, *(f"w:{word}" for word in words)]:
            bits &= self._known[term]
        for word in query.words:
            if prefixes(word) and bits:
                bits &= self._beginning(f"w:{word}")
        return bits

    def everything(self) -> int:
        return self._any(["a:0", "a:1"])

    def having(self, metric: Metric) -> int:
        self._read({f"h:{metric}"})
        return self._known[f"h:{metric}"]

    def _any(self, terms: Sequence[str]) -> int:
        bits = 0
        for term in terms:
            bits |= self._known[term]
        return bits

    def _read(self, terms: set[str]) -> None:
        new = terms - self._known.keys()
        if not new:
            return
        self._known |= dict.fromkeys(new, 0)
        for term, chunk, bits in self._rows(benchmark_terms.c.term.in_(new)):
            self._known[term] |= unpack_bits(bits) << (chunk * CHUNK)

    def _beginning(self, start: str) -> int:
        by_chunk: dict[int, int] = {}
        columns = benchmark_terms.c
        wanted = sa.and_(columns.term >= start, columns.term < start + _LAST_LETTER)
        for _, chunk, bits in self._rows(wanted):
            by_chunk[chunk] = by_chunk.get(chunk, 0) | unpack_bits(bits)
        return sum(bits << (chunk * CHUNK) for chunk, bits in by_chunk.items())

    def _rows(self, wanted: sa.ColumnElement[bool]) -> Iterable[tuple[str, int, bytes]]:
        columns = benchmark_terms.c
        asked = sa.select(columns.term, columns.chunk, columns.bits)
        found = self._connection.execute(asked.where(columns.owner_id == self._owner_id, wanted))
        return ((row.term, row.chunk, row.bits) for row in found)


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


def _among_few(
    connection: Connection, query: Query, bits: int, after: Order | None
) -> tuple[list[str], int]:
    """All rows are read, and put in order here.

    Whole rows: an index that held all that is asked for SQLite would rather read from begin to end
    than look up each number.
    """
    asked = sa.select(benchmarks, _sorted_by(query.sort).label("value")).where(
        _columns.owner_id == query.owner_id, _columns.number.in_(list(members(bits)))
    )
    since, until = query.times_us
    places = [
        Order.of(row.id, row.value, query)
        for row in connection.execute(asked)
        if (since is None or row.at_us >= since) and (until is None or row.at_us < until)
    ]
    return page_of(places, query, after), len(places)


def _count(connection: Connection, query: Query, bits: int | None, chosen: int) -> int:
    """How many of the ``chosen``, whose set is ``bits``, are within the time.

    To count is to look at each: those within, or those beyond where these are likely fewer.
    """
    since, until = query.times_us
    ends = sa.select(sa.func.min(_columns.at_us)), sa.select(sa.func.max(_columns.at_us))
    mine = _columns.owner_id == query.owner_id
    row = connection.execute(sa.select(*(end.where(mine).scalar_subquery() for end in ends))).one()
    first, last = row
    begin = first if since is None else min(max(since, first), last)
    end = last if until is None else min(max(until, first), last)
    if 2 * (end - begin) <= last - first:
        return _counted(connection, query, bits, since, until)
    before = 0 if since is None else _counted(connection, query, bits, None, since)
    beyond = 0 if until is None else _counted(connection, query, bits, until, None)
    return chosen - before - beyond


def _counted(
    connection: Connection, query: Query, bits: int | None, since: int | None, until: int | None
) -> int:
    found: list[Any] = [_columns.owner_id == query.owner_id]
    if since is not None:
        found.append(_columns.at_us >= since)
    if until is not None:
        found.append(_columns.at_us < until)
    if bits is not None:
        found.append(_is_in(connection, bits))
    asked = sa.select(sa.func.count()).select_from(benchmarks).where(*found)
    return connection.scalar(asked) or 0


def _walk(
    connection: Connection,
    query: Query,
    bits: int | None,
    sets: _Sets,
    total: int,
    after: Order | None,
) -> list[str]:
    """In the order of an index, as far as the page's end."""
    _follow_the_index(connection)
    few = query.times_us != (None, None) and total <= _FEW
    by_time = query.sort == "timestamp"
    value: Any = _sorted_by(query.sort)
    order = _unindexed(value) if few and not by_time else value
    filters = _filters(connection, query, bits, time_by_index=few or by_time)
    base = sa.select(_columns.id).where(*filters)
    ways: list[Any] = [value, _columns.id]
    shown = [order, _columns.id]

    def part(asked: "sa.Select[Any]", offset: int, limit: int) -> list[str]:
        ordered = [one.desc() if query.descending else one.asc() for one in shown]
        return list(connection.scalars(asked.order_by(*ordered).offset(offset).limit(limit)))

    # What lacks the metric comes last: how many have it says where these begin.
    offset = query.offset
    having = total if by_time else 0
    if offset and not by_time:
        having = _having(connection, query, bits, sets)
    ids: list[str] = []
    if (after is None or not after.missing) and (offset == 0 or offset < having):
        known = base if by_time else base.where(value.is_not(None))
        if after is not None:
            here, there = sa.tuple_(*ways), sa.tuple_(sa.literal(after.value), after.id)
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


def _having(connection: Connection, query: Query, bits: int | None, sets: _Sets) -> int:
    """How many of those under the filters have the metric that is sorted by."""
    assert query.sort != "timestamp"
    found = sets.having(query.sort)
    if bits is not None:
        found &= bits
    having = found.bit_count()
    in_time = query.times_us == (None, None)
    return having if in_time else _count(connection, query, found, having)


def _filters(
    connection: Connection, query: Query, bits: int | None, *, time_by_index: bool
) -> list[sa.ColumnElement[bool]]:
    """``time_by_index``: read the time's index, or that of the order and look at the time."""
    found: list[Any] = [_columns.owner_id == query.owner_id]
    since, until = query.times_us
    at: Any = _columns.at_us if time_by_index else _unindexed(_columns.at_us)
    if since is not None:
        found.append(at >= since)
    if until is not None:
        found.append(at < until)
    if bits is not None:
        found.append(_is_in(connection, bits))
    return found


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


def _unindexed(column: "sa.Column[Any]") -> Any:
    """The same value; no index is used for it."""
    return sa.sql.expression.UnaryExpression(column, operator=custom_op("+"), type_=column.type)


def _bodies(connection: Connection, query: Query, ids: list[str]) -> list[tuple[str, bytes]]:
    column = benchmark_bodies.c.whole if query.whole else benchmark_bodies.c.light
    asked = (
        sa.select(benchmarks, column.label("body"))
        .join_from(benchmarks, benchmark_bodies)
        .where(_columns.owner_id == query.owner_id, _columns.id.in_(ids))
    )
    found = {row.id: row.body for row in connection.execute(asked)}
    return [(one, found[one]) for one in ids]
