"""The SQL that changes benchmarks. Each function works in the transaction of its connection."""

import secrets
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import islice
from typing import Any

import orjson
import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection

from novasystem.benchmarks.samples import Sample
from novasystem.benchmarks.stores.bitmaps import pack_bits, place, unpack_bits
from novasystem.benchmarks.stores.encode import (
    MOST_SAMPLES,
    CorruptRecord,
    pack,
    pieces,
    unpack,
)
from novasystem.benchmarks.stores.facts import METRICS, Head
from novasystem.benchmarks.stores.times import time_terms
from novasystem.errors import NotFound
from novasystem.storage.tables import (
    benchmark_bodies,
    benchmark_owners,
    benchmark_samples,
    benchmark_terms,
    benchmarks,
)

__all__ = ["add_samples", "delete", "put"]

_log = structlog.get_logger(__name__)
_AT_ONCE = 500
_SMALL_BYTES = 256 * 1024


def put(connection: Connection, owner_id: str, head: Head, light: bytes, whole: bytes) -> None:
    """Insert it, or replace the one with its id."""
    following = _hold(connection, owner_id)
    values: dict[str, Any] = {name: head.metric(name) for name in METRICS} | {"at_us": head.at_us}
    terms = _pack_terms(head.terms)
    body = {"light": light, "whole": whole, "terms": terms}
    after, before = head.terms | time_terms(head.at_us), frozenset[str]()
    row = _find(connection, owner_id, head.id)
    if row is None:
        values |= {"id": head.id, "owner_id": owner_id, "number": following}
        connection.execute(
            sa.update(benchmark_owners)
            .where(benchmark_owners.c.owner_id == owner_id)
            .values(next_number=following + 1)
        )
        inserted = sa.insert(benchmarks).returning(benchmarks.c.key)
        key = connection.execute(inserted, values).scalar_one()
        connection.execute(sa.insert(benchmark_bodies), {"benchmark_key": key, **body})
        number = following
    else:
        key, number, before = row
        connection.execute(sa.update(benchmarks).where(benchmarks.c.key == key).values(values))
        changed = sa.update(benchmark_bodies).where(benchmark_bodies.c.benchmark_key == key)
        connection.execute(changed.values(body))
    _change_bits(connection, owner_id, number, before - after, lambda bits, bit: bits & ~bit)
    _change_bits(connection, owner_id, number, after - before, lambda bits, bit: bits | bit)


def delete(connection: Connection, owner_id: str, benchmark_id: str) -> bool:
    _hold(connection, owner_id)
    row = _find(connection, owner_id, benchmark_id)
    if row is None:
        return False
    key, number, terms = row
    _change_bits(connection, owner_id, number, terms, lambda bits, bit: bits & ~bit)
    connection.execute(sa.delete(benchmarks).where(benchmarks.c.key == key))
    return True


def add_samples(
    connection: Connection, owner_id: str, benchmark_id: str, samples: Sequence[Sample]
) -> None:
    """Raises ``NotFound``. What is added in small lots is put together with the last piece."""
    asked = sa.select(benchmarks.c.key).where(
        benchmarks.c.owner_id == owner_id, benchmarks.c.id == benchmark_id
    )
    # Held until the end: two lots at once would both be the next piece.
    key = connection.scalar(asked.with_for_update())
    if key is None:
        raise NotFound("benchmark", benchmark_id)
    mine = benchmark_samples.c.benchmark_key == key
    columns = benchmark_samples.c
    newest = sa.select(columns.seq, columns.samples, columns.data).where(mine)
    last = connection.execute(newest.order_by(columns.seq.desc()).limit(1)).one_or_none()
    following, new = 0, list(samples)
    if last is not None:
        following = last.seq + 1
        if last.samples < MOST_SAMPLES and len(last.data) < _SMALL_BYTES:
            try:
                new = unpack(last.data) + new
            except CorruptRecord as error:
                _log.warning("benchmark_samples_skipped", benchmark_id=benchmark_id,
                             piece=last.seq, why=str(error))  # fmt: skip
            else:
                following = last.seq
                connection.execute(
                    sa.delete(benchmark_samples).where(mine, columns.seq == following)
                )
    rows = [
        {"benchmark_key": key, "seq": seq, "samples": len(piece), "data": pack(piece)}
        for seq, piece in enumerate(pieces(new), following)
    ]
    if rows:
        connection.execute(sa.insert(benchmark_samples), rows)


def _hold(connection: Connection, owner_id: str) -> int:
    """Keep others from changing the owner's benchmarks until the end; the next free number."""
    from sqlalchemy.dialects import postgresql, sqlite

    insert = (sqlite if connection.dialect.name == "sqlite" else postgresql).insert
    version = secrets.token_hex(8)
    asked = (
        insert(benchmark_owners)
        .values(owner_id=owner_id, next_number=0, version=version)
        .on_conflict_do_update(index_elements=["owner_id"], set_={"version": version})
        .returning(benchmark_owners.c.next_number)
    )
    following: int = connection.execute(asked).scalar_one()
    return following


def _find(
    connection: Connection, owner_id: str, benchmark_id: str
) -> tuple[int, int, frozenset[str]] | None:
    """Its key, its number and its terms, those of its time included."""
    asked = (
        sa.select(
            benchmarks.c.key, benchmarks.c.number, benchmarks.c.at_us, benchmark_bodies.c.terms
        )
        .join_from(benchmarks, benchmark_bodies)
        .where(benchmarks.c.owner_id == owner_id, benchmarks.c.id == benchmark_id)
    )
    row = connection.execute(asked).one_or_none()
    if row is None:
        return None
    return row.key, row.number, _unpack_terms(row.terms) | time_terms(row.at_us)


def _pack_terms(terms: Collection[str]) -> bytes:
    return zlib.compress(orjson.dumps(sorted(terms)))


def _unpack_terms(data: bytes) -> frozenset[str]:
    return frozenset(orjson.loads(zlib.decompress(data)))


def _change_bits(
    connection: Connection,
    owner_id: str,
    number: int,
    terms: Collection[str],
    change: Callable[[int, int], int],
) -> None:
    """Put the number into the terms' sets, or take it out."""
    from sqlalchemy.dialects import postgresql, sqlite

    chunk, place_in_chunk = place(number)
    bit = 1 << place_in_chunk
    columns = benchmark_terms.c
    of_chunk = sa.and_(columns.owner_id == owner_id, columns.chunk == chunk)
    insert = (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(benchmark_terms)
    upsert = insert.on_conflict_do_update(
        index_elements=["owner_id", "term", "chunk"], set_={"bits": insert.excluded.bits}
    )
    for some in _batches(sorted(terms)):
        found = sa.select(columns.term, columns.bits).where(of_chunk, columns.term.in_(some))
        before = {row.term: unpack_bits(row.bits) for row in connection.execute(found)}
        after = {term: change(before.get(term, 0), bit) for term in some}
        rows = [
            {"owner_id": owner_id, "term": term, "chunk": chunk, "bits": pack_bits(bits)}
            for term, bits in after.items()
            if bits
        ]
        if rows:
            connection.execute(upsert, rows)
        empty = [term for term, bits in after.items() if not bits]
        if empty:
            connection.execute(sa.delete(benchmark_terms).where(of_chunk, columns.term.in_(empty)))


def _batches(terms: Sequence[str]) -> Iterator[list[str]]:
    left = iter(terms)
    while some := list(islice(left, _AT_ONCE)):
        yield some
