"""Benchmarks in MongoDB, or in whatever speaks its protocol."""

import asyncio
import contextlib
import secrets
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import structlog

from novasystem.benchmarks.records import Benchmark
from novasystem.benchmarks.samples import Sample
from novasystem.benchmarks.stores.encode import (
    MOST_SAMPLES,
    CorruptRecord,
    by_number,
    decode,
    encode,
    light,
    pack,
    pieces,
    unpack,
)
from novasystem.benchmarks.stores.facts import METRICS, head_of, model_term, prefixes
from novasystem.benchmarks.stores.query import Order, Page, Query, check_id, nothing_after
from novasystem.errors import ConfigurationError, InvalidRequest, NotFound, StorageUnavailable

if TYPE_CHECKING:
    from pymongo import AsyncMongoClient
    from pymongo.asynchronous.collection import AsyncCollection

__all__ = ["MongoStore"]

_log = structlog.get_logger(__name__)
_DATABASE = "novasystem"
_WAIT_MS = 5_000
_SMALL_BYTES = 256 * 1024
Document = dict[str, Any]


class MongoStore:
    """Three collections of the address's database (``novasystem`` where it names none):
    ``benchmarks``, ``benchmark_samples`` (a document holds many requests) and
    ``benchmark_versions``.

    Raises ``ConfigurationError`` for an address that is none, and where pymongo is not installed.
    """

    def __init__(self, address: str, *, wait_ms: int = _WAIT_MS) -> None:
        self._client = _client(address, wait_ms)
        database = self._client.get_default_database(_DATABASE)
        self._benchmarks = database["benchmarks"]
        self._pieces = database["benchmark_samples"]
        self._versions = database["benchmark_versions"]
        self._adding = asyncio.Lock()
        self._where = f"MongoDB, database '{database.name}'"

    @property
    def where(self) -> str:
        return self._where

    async def open(self) -> None:
        with self._told():
            for index in _indexes():
                await self._benchmarks.create_index(index)
            await self._pieces.create_index([("benchmark", 1), ("seq", 1)])

    async def aclose(self) -> None:
        await self._client.close()

    async def check(self) -> None:
        with self._told():
            await self._client.admin.command("ping")

    async def put(self, benchmark: Benchmark) -> None:
        check_id(benchmark.id)
        document = _document(benchmark)
        with self._told():
            name = {"_id": document["_id"]}
            before = await self._benchmarks.find_one(name, {"_id": 1})
            if before is None:
                # Of one that was deleted, where that was broken off halfway.
                await self._pieces.delete_many({"benchmark": document["_id"]})
            await _upsert(self._benchmarks, document)
            await self._changed(benchmark.owner_id)

    async def get(self, owner_id: str, benchmark_id: str) -> Benchmark | None:
        with self._told():
            name = {"_id": _name(owner_id, benchmark_id)}
            found = await self._benchmarks.find_one(name, {"id": 1, "whole": 1})
        return None if found is None else _read(found, "whole")

    async def list(self, query: Query) -> Page:
        wanted = _filter(query)
        body = "whole" if query.whole else "light"
        with self._told():
            shown = dict(wanted)
            if query.after is not None:
                shown = {"$and": [wanted, _further(await self._place_after(query), query)]}
            total = await self._benchmarks.count_documents(wanted)
            asked = self._benchmarks.find(shown, {"id": 1, body: 1}).sort(_order(query))
            found = await asked.skip(query.offset).limit(query.limit).to_list()
        read = (_read(document, body) for document in found)
        return Page(tuple(one for one in read if one is not None), total)

    async def delete(self, owner_id: str, benchmark_id: str) -> bool:
        name = _name(owner_id, benchmark_id)
        with self._told():
            if await self._benchmarks.find_one({"_id": name}, {"_id": 1}) is None:
                return False
            # Wherever it is broken off, it can be deleted again, and who looks sees a change.
            await self._changed(owner_id)
            await self._pieces.delete_many({"benchmark": name})
            done = await self._benchmarks.delete_one({"_id": name})
            await self._changed(owner_id)
        return bool(done.deleted_count)

    async def add_samples(
        self, owner_id: str, benchmark_id: str, samples: Sequence[Sample]
    ) -> None:
        name = _name(owner_id, benchmark_id)
        with self._told():
            if await self._benchmarks.find_one({"_id": name}, {"_id": 1}) is None:
                raise NotFound("benchmark", benchmark_id)
            # Others of this process wait, so that theirs go into the same piece.
            async with self._adding:
                await self._add(name, samples)

    async def samples(self, owner_id: str, benchmark_id: str) -> Sequence[Sample]:
        found: list[Sample] = []
        with self._told():
            name = _name(owner_id, benchmark_id)
            mine = self._pieces.find({"benchmark": name})
            stored = await mine.sort([("seq", 1), ("_id", 1)]).to_list()
        for piece in stored:
            try:
                found.extend(unpack(piece["data"]))
            except (CorruptRecord, KeyError) as error:
                _log.warning("benchmark_samples_skipped", benchmark_id=benchmark_id,
                             piece=piece.get("seq"), why=str(error))  # fmt: skip
        return by_number(found)

    async def version(self, owner_id: str) -> str:
        with self._told():
            found = await self._versions.find_one({"_id": owner_id})
        return "" if found is None else str(found["version"])

    async def _changed(self, owner_id: str) -> None:
        version = {"_id": owner_id, "version": secrets.token_hex(8)}
        await _upsert(self._versions, version)

    async def _place_after(self, query: Query) -> Order:
        assert query.after is not None
        name = {"_id": _name(query.owner_id, query.after)}
        column = _column(query)
        found = await self._benchmarks.find_one(name, {column: 1})
        if found is None:
            raise nothing_after(query)
        return Order.of(query.after, found.get(column), query)

    async def _add(self, name: str, samples: Sequence[Sample]) -> None:
        """Add them, together with the last piece as far as that is small.

        No piece is ever changed: what takes the place of another holds all that is in it, and is
        there before that one goes. So whoever else adds at the same moment, from whatever process,
        and whoever is killed, loses nothing, on servers too that promise no more than that a
        document is written whole. A sample may be there twice for a while: it is read once.
        """
        newest = self._pieces.find({"benchmark": name}).sort([("seq", -1)]).limit(1)
        last = next(iter(await newest.to_list()), None)
        following, new, replaced = 0, list(samples), None
        if last is not None:
            following = last["seq"] + 1
            if last["samples"] < MOST_SAMPLES and len(last["data"]) < _SMALL_BYTES:
                with contextlib.suppress(CorruptRecord):
                    new = unpack(last["data"]) + new
                    replaced = last["_id"]
        documents = [
            {
                "_id": f"{name}/{seq}/{secrets.token_hex(8)}",
                "benchmark": name,
                "seq": seq,
                "samples": len(piece),
                "data": pack(piece),
            }
            for seq, piece in enumerate(pieces(new), following)
        ]
        if documents:
            await self._pieces.insert_many(documents)
        if replaced is not None:
            await self._pieces.delete_one({"_id": replaced})

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        from pymongo.errors import DocumentTooLarge, PyMongoError

        try:
            yield
        except DocumentTooLarge as error:
            raise InvalidRequest(
                "The benchmark is larger than what MongoDB keeps as one document (16 MiB).",
                hint="Keep benchmarks in the database: NOVA_BENCHMARK_STORE=sql.",
            ) from error
        except PyMongoError as error:
            said = str(error).partition("\n")[0].partition(", Timeout:")[0]
            raise StorageUnavailable(
                f"The benchmarks in {self._where} cannot be used now: {said}.",
                hint="Check that the server at NOVA_MONGO_URL is up and lets this user write.",
            ) from error


async def _upsert(collection: "AsyncCollection[Document]", document: Document) -> None:
    """Put it in the place of the one with its ``_id``, or there anew."""
    from pymongo.errors import DuplicateKeyError

    for last in (False, True):
        try:
            await collection.replace_one({"_id": document["_id"]}, document, upsert=True)
        except DuplicateKeyError:
            # Another one put it there anew at the same moment: now it is there.
            if last:
                raise
        else:
            return


def _client(address: str, wait_ms: int) -> "AsyncMongoClient[Document]":
    try:
        from pymongo import AsyncMongoClient
        from pymongo.errors import PyMongoError
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "MongoDB needs a package that is not installed.",
            hint="Install it: pip install 'novasystem[mongo]'.",
        ) from error
    waits = {"serverSelectionTimeoutMS": wait_ms, "connectTimeoutMS": wait_ms}
    said = address.casefold()
    # An address that says how long is right.
    ours: dict[str, Any] = {
        name: value for name, value in waits.items() if f"{name.casefold()}=" not in said
    }
    try:
        return AsyncMongoClient(address, appname="nova", **ours)
    except (PyMongoError, ValueError, TypeError):
        # What it says may hold the password.
        raise ConfigurationError(
            "mongo_url is not an address of MongoDB.",
            hint="Write mongodb://USER:PASSWORD@HOST:27017/DATABASE.",
        ) from None


def _indexes() -> list[list[tuple[str, int]]]:
    """One for each order, and for each filter that picks few."""
    orders = [[("owner", 1), ("at_us", 1), ("id", 1)]]
    orders += [[("owner", 1), (f"no_{m}", 1), (m, 1), ("id", 1)] for m in METRICS]
    # From high to low, with those that lack the metric at the end all the same.
    orders += [[("owner", 1), (f"no_{m}", 1), (m, -1), ("id", -1)] for m in METRICS]
    return [*orders, *([("owner", 1), (name, 1), ("at_us", 1)] for name in ("models", "words"))]


def _name(owner_id: str, benchmark_id: str) -> str:
    """No id holds a slash."""
    return f"{benchmark_id}/{owner_id}"


def _document(benchmark: Benchmark) -> Document:
    """Beside what filters look at, the benchmark as the bytes that are equal to it."""
    head = head_of(benchmark)
    found: Document = {
        "_id": _name(benchmark.owner_id, head.id),
        "owner": benchmark.owner_id,
        "id": head.id,
        "at_us": head.at_us,
        "status": head.status,
        "archived": head.archived,
        "models": sorted(map(model_term, head.models)),
        "words": sorted(head.words),
        "light": encode(light(benchmark)),
        "whole": zlib.compress(encode(benchmark)),
    }
    for metric in METRICS:
        value = head.metric(metric)
        found |= {metric: value, f"no_{metric}": value is None}
    return found


def _filter(query: Query) -> Document:
    found: Document = {"owner": query.owner_id}
    if query.archived is not None:
        found["archived"] = query.archived
    if query.wanted_statuses is not None:
        found["status"] = {"$in": sorted(query.wanted_statuses)}
    if query.model is not None:
        found["models"] = model_term(query.model)
    since, until = query.times_us
    times = {"$gte": since, "$lt": until}
    if times := {name: at for name, at in times.items() if at is not None}:
        found["at_us"] = times
    # A word is letters and digits: nothing of it means anything in a pattern.
    words = [{"words": {"$regex": f"^{w}"} if prefixes(w) else w} for w in sorted(query.words)]
    if words:
        found["$and"] = words
    return found


def _column(query: Query) -> str:
    return "at_us" if query.sort == "timestamp" else query.sort


def _order(query: Query) -> list[tuple[str, int]]:
    way = -1 if query.descending else 1
    last = [] if query.sort == "timestamp" else [(f"no_{query.sort}", 1)]
    return [*last, (_column(query), way), ("id", way)]


def _further(place: Order, query: Query) -> Document:
    """Everything that comes after the place."""
    beyond = "$lt" if query.descending else "$gt"
    column = _column(query)
    same = {"id": {beyond: place.id}}
    if query.sort == "timestamp":
        return {"$or": [{column: {beyond: place.value}}, {column: place.value, **same}]}
    missing = f"no_{query.sort}"
    if place.missing:
        return {missing: True, **same}
    return {
        "$or": [
            {missing: True},
            {missing: False, column: {beyond: place.value}},
            {missing: False, column: place.value, **same},
        ]
    }


def _read(document: Mapping[str, Any], body: str) -> Benchmark | None:
    try:
        data = bytes(document[body])
        return decode(zlib.decompress(data) if body == "whole" else data)
    except (CorruptRecord, zlib.error, KeyError, TypeError) as error:
        _log.warning("benchmark_skipped", benchmark_id=document.get("id"), why=str(error))
        return None
