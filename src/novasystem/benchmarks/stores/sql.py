"""Benchmarks in the database: SQLite or PostgreSQL."""

import zlib
from collections.abc import Sequence

import structlog
from sqlalchemy.engine import Connection

from novasystem.benchmarks.records import Benchmark
from novasystem.benchmarks.samples import Sample
from novasystem.benchmarks.stores import sql_lists, sql_writes
from novasystem.benchmarks.stores.encode import (
    CorruptRecord,
    by_number,
    decode,
    encode,
    light,
    unpack,
)
from novasystem.benchmarks.stores.facts import head_of
from novasystem.benchmarks.stores.query import Page, Query, can_be_id, check_id
from novasystem.errors import NotFound
from novasystem.storage.database import Database

__all__ = ["SqlStore"]

_log = structlog.get_logger(__name__)


class SqlStore:
    """In a database that others look after: it is neither opened nor closed here."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def where(self) -> str:
        return self._database.where

    async def open(self) -> None:
        """The schema is made by whoever opened the database."""

    async def aclose(self) -> None:
        """The database is closed by whoever opened it."""

    async def check(self) -> None:
        await self._database.read(sql_lists.version, "")

    async def put(self, benchmark: Benchmark) -> None:
        check_id(benchmark.id)
        await self._database.write(_put, benchmark)

    async def get(self, owner_id: str, benchmark_id: str) -> Benchmark | None:
        # What is no id may be what a database takes for an error.
        if not can_be_id(benchmark_id):
            return None
        packed = await self._database.read(sql_lists.body, owner_id, benchmark_id)
        return None if packed is None else _unpacked(packed, benchmark_id)

    async def list(self, query: Query) -> Page:
        return await self._database.read(_page, query)

    async def delete(self, owner_id: str, benchmark_id: str) -> bool:
        if not can_be_id(benchmark_id):
            return False
        return await self._database.write(sql_writes.delete, owner_id, benchmark_id)

    async def add_samples(
        self, owner_id: str, benchmark_id: str, samples: Sequence[Sample]
    ) -> None:
        if not can_be_id(benchmark_id):
            raise NotFound("benchmark", benchmark_id)
        await self._database.write(sql_writes.add_samples, owner_id, benchmark_id, samples)

    async def samples(self, owner_id: str, benchmark_id: str) -> Sequence[Sample]:
        if not can_be_id(benchmark_id):
            return []
        return await self._database.read(_samples, owner_id, benchmark_id)

    async def version(self, owner_id: str) -> str:
        return await self._database.read(sql_lists.version, owner_id)


def _put(connection: Connection, benchmark: Benchmark) -> None:
    whole = zlib.compress(encode(benchmark))
    small = encode(light(benchmark))
    sql_writes.put(connection, benchmark.owner_id, head_of(benchmark), small, whole)


def _page(connection: Connection, query: Query) -> Page:
    """The reading of JSON is work as well: it is done here, in the thread."""
    found, total = sql_lists.page(connection, query)
    shown = (_unpacked(data, benchmark_id) for benchmark_id, data in found)
    return Page(tuple(one for one in shown if one is not None), total)


def _samples(connection: Connection, owner_id: str, benchmark_id: str) -> list[Sample]:
    found: list[Sample] = []
    for seq, data in sql_lists.sample_pieces(connection, owner_id, benchmark_id):
        try:
            found.extend(unpack(data))
        except CorruptRecord as error:
            _log.warning("benchmark_samples_skipped", benchmark_id=benchmark_id, piece=seq,
                         why=str(error))  # fmt: skip
    return by_number(found)


def _unpacked(data: bytes, benchmark_id: str) -> Benchmark | None:
    """``data`` is JSON, packed or not, as one can see from its first byte."""
    try:
        return decode(data if data.startswith(b"{") else zlib.decompress(data))
    except (CorruptRecord, zlib.error) as error:
        _log.warning("benchmark_skipped", benchmark_id=benchmark_id, why=str(error))
        return None
