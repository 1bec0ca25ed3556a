"""Benchmarks in a folder: a JSON file each, which a person can read, and its samples beside."""

import asyncio
import contextlib
import os
import secrets
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import structlog

from novasystem.benchmarks.records import Benchmark
from novasystem.benchmarks.samples import Sample
from novasystem.benchmarks.stores.encode import CorruptRecord, by_number, decode, encode, light
from novasystem.benchmarks.stores.folder_index import FolderIndex, file_name
from novasystem.benchmarks.stores.query import (
    Order,
    Page,
    Query,
    check_id,
    matches,
    nothing_after,
    page_of,
)
from novasystem.benchmarks.stores.sample_file import append, read_log
from novasystem.errors import NotFound, StorageFull, StorageUnavailable
from novasystem.storage.folders import publish

__all__ = ["FileStore"]

_log = structlog.get_logger(__name__)
_FULL = {28, 122}  # ENOSPC, EDQUOT


class FileStore:
    """``folder/OWNER/ID.json`` and ``folder/OWNER/samples/ID.samples``.

    A file is written beside its name and takes it whole. Other processes may read and write the
    same folder; what they change is seen by the folder's own time.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._indexes: dict[str, FolderIndex] = {}
        # One change at a time: whether a file is there decides what becomes of its samples.
        self._changing = threading.Lock()
        self._indexing = threading.Lock()

    @property
    def where(self) -> str:
        return str(self._folder)

    async def open(self) -> None:
        await asyncio.to_thread(self._make, self._folder)

    async def aclose(self) -> None:
        self._indexes.clear()

    async def check(self) -> None:
        def look() -> None:
            with self._told():
                os.stat(self._folder)

        await asyncio.to_thread(look)

    async def put(self, benchmark: Benchmark) -> None:
        check_id(benchmark.id)
        await asyncio.to_thread(self._put, benchmark)

    async def get(self, owner_id: str, benchmark_id: str) -> Benchmark | None:
        return await asyncio.to_thread(self._get, owner_id, benchmark_id)

    async def list(self, query: Query) -> Page:
        return await asyncio.to_thread(self._list, query)

    async def delete(self, owner_id: str, benchmark_id: str) -> bool:
        return await asyncio.to_thread(self._delete, owner_id, benchmark_id)

    async def add_samples(
        self, owner_id: str, benchmark_id: str, samples: Sequence[Sample]
    ) -> None:
        await asyncio.to_thread(self._add_samples, owner_id, benchmark_id, samples)

    async def samples(self, owner_id: str, benchmark_id: str) -> Sequence[Sample]:
        return await asyncio.to_thread(self._samples, owner_id, benchmark_id)

    async def version(self, owner_id: str) -> str:
        def look() -> str:
            with self._told():
                return self._index(owner_id).version

        return await asyncio.to_thread(look)

    # Everything from here on runs in a thread.

    def _put(self, benchmark: Benchmark) -> None:
        target = self._file(benchmark.owner_id, benchmark.id)
        log = self._log_of(target)
        self._make(log.parent)
        partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
        with self._told(), self._changing:
            if not target.exists():
                # Of one that was deleted, where the machine stopped halfway.
                log.unlink(missing_ok=True)
            try:
                number = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
                with os.fdopen(number, "wb") as file:
                    file.write(encode(benchmark))
                    file.flush()
                    os.fsync(file.fileno())
                publish(partial, target, overwrite=True)
            finally:
                partial.unlink(missing_ok=True)
            self._changed(benchmark.owner_id)

    def _get(self, owner_id: str, benchmark_id: str) -> Benchmark | None:
        with self._told():
            try:
                found = decode(self._file(owner_id, benchmark_id).read_bytes())
            except FileNotFoundError:
                return None
            except CorruptRecord as error:
                _log.warning("benchmark_skipped", benchmark_id=benchmark_id, why=str(error))
                return None
        return found if (found.owner_id, found.id) == (owner_id, benchmark_id) else None

    def _list(self, query: Query) -> Page:
        with self._told():
            heads = self._index(query.owner_id).heads
        after = None
        if query.after is not None:
            if query.after not in heads:
                raise nothing_after(query)
            after = Order.of(query.after, heads[query.after].metric(query.sort), query)
        places = [
            Order.of(head.id, head.metric(query.sort), query)
            for head in heads.values()
            if matches(head, query)
        ]
        shown = (self._get(query.owner_id, one) for one in page_of(places, query, after))
        there = (one for one in shown if one is not None)
        return Page(tuple(one if query.whole else light(one) for one in there), len(places))

    def _delete(self, owner_id: str, benchmark_id: str) -> bool:
        file = self._file(owner_id, benchmark_id)
        with self._told(), self._changing:
            try:
                file.unlink()
            except FileNotFoundError:
                return False
            self._log_of(file).unlink(missing_ok=True)
            self._changed(owner_id)
        return True

    def _add_samples(self, owner_id: str, benchmark_id: str, samples: Sequence[Sample]) -> None:
        file = self._file(owner_id, benchmark_id)
        with self._told(), self._changing:
            if not file.exists():
                raise NotFound("benchmark", benchmark_id)
            append(self._log_of(file), samples)

    def _samples(self, owner_id: str, benchmark_id: str) -> Sequence[Sample]:
        with self._told():
            return by_number(read_log(self._log_of(self._file(owner_id, benchmark_id))))

    def _index(self, owner_id: str) -> FolderIndex:
        folder = self._folder / file_name(owner_id)
        with self._indexing:
            known = self._indexes.get(owner_id)
            found = FolderIndex.of(folder, owner_id, known)
            self._indexes[owner_id] = found
        return found

    def _changed(self, owner_id: str) -> None:
        with self._indexing:
            known = self._indexes.get(owner_id)
            if known is not None:
                self._indexes[owner_id] = known.doubted()

    def _file(self, owner_id: str, benchmark_id: str) -> Path:
        return self._folder / file_name(owner_id) / f"{file_name(benchmark_id)}.json"

    def _log_of(self, file: Path) -> Path:
        # In a folder of their own: the time of the benchmarks' folder tells of benchmarks alone.
        return file.parent / "samples" / f"{file.stem}.samples"

    def _make(self, folder: Path) -> None:
        with self._told():
            # The mode is that of the last one of a path alone.
            for one in (self._folder, folder.parent, folder):
                one.mkdir(mode=0o700, parents=True, exist_ok=True)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """What the system says about a folder that cannot be used, as an error of ours."""
        try:
            yield
        except OSError as error:
            if error.errno in _FULL:
                raise StorageFull(
                    f"There is no room left for benchmarks at {self._folder}.",
                    hint="Make room; nothing that was acknowledged is lost, and reading goes on.",
                ) from error
            raise StorageUnavailable(
                f"The benchmarks at {self._folder} cannot be used now: {error.strerror}.",
                hint="Check that the folder is there, and that this user may write into it.",
            ) from error
