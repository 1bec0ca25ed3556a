"""A folder on this machine that keeps what a store does not take, until it does.

A measurement is dear, and a store that is down for a minute shall not cost one. What cannot be
written is written into the folder, with a warning, and a note in the benchmark says so; it is
carried over as soon as the store answers again. Whoever asks for a list while the store is down is
told that it is down: a list of what waits would look like all there is.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import structlog

from novasystem.benchmarks.logs import log_of
from novasystem.benchmarks.records import Benchmark
from novasystem.benchmarks.samples import Sample
from novasystem.benchmarks.stores.encode import CorruptRecord, by_number, decode
from novasystem.benchmarks.stores.files import FileStore
from novasystem.benchmarks.stores.protocol import BenchmarkStore
from novasystem.benchmarks.stores.query import Page, Query, check_id
from novasystem.errors import NovaError, StorageUnavailable

__all__ = ["FallbackStore", "waiting"]

T = TypeVar("T")

_log = structlog.get_logger(__name__)
_PATIENCE_S = 10.0
_GOING = {"queued", "running"}
_WAITS = "It waits at"
_Key = tuple[str, str]


@dataclass(slots=True)
class _State:
    """``error``: why it did not answer, when it was asked last, at ``at_s``."""

    error: StorageUnavailable | None = None
    at_s: float = 0.0


def waiting(folder: Path) -> Iterator[Benchmark]:
    """The benchmarks that wait in a folder for their store; those that cannot be read are left
    out, with a warning where it is the file that cannot."""
    for file in sorted(folder.glob("*/*.json")):
        try:
            yield decode(file.read_bytes())
        except (CorruptRecord, FileNotFoundError):
            continue
        except OSError as error:
            _log.warning("a benchmark that waits cannot be read", file=str(file), why=str(error))


class FallbackStore:
    """``store``, and ``folder`` for what it does not take.

    What only the store can answer is asked of it, and raises what it raises. ``logs``: where what
    is carried out on this machine has its logs, which say whether anybody still is at it; without
    that somebody always is. ``patience_s``: how long one that did not answer is taken for down
    without being asked again.
    """

    def __init__(
        self,
        store: BenchmarkStore,
        folder: Path,
        *,
        logs: Path | None = None,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        self._logs = logs
        self._patience_s = patience_s
        self._store = store
        self._folder = folder
        self._aside = FileStore(folder)
        self._opened = False
        self._reading = _State()
        self._writing = _State()
        self._going: dict[_Key, Benchmark] = {}
        """Those that have not ended, as last seen: samples are still added to them."""
        self._mine: set[_Key] = set()
        """Those of them that this process carries out."""
        self._changing = asyncio.Lock()

    @property
    def where(self) -> str:
        return self._store.where

    async def open(self) -> None:
        """A store that is down now may be there later: that is an error in the log, no more."""
        try:
            await self._asked(self._store.check)
        except StorageUnavailable:
            return
        await self._before_reading()

    async def aclose(self) -> None:
        await self._store.aclose()
        await self._aside.aclose()

    async def check(self) -> None:
        await self._store.check()

    async def put(self, benchmark: Benchmark) -> None:
        check_id(benchmark.id)
        key = benchmark.owner_id, benchmark.id
        async with self._changing:
            self._see(key, benchmark)
            if benchmark.status in _GOING:
                self._mine.add(key)
            else:
                self._mine.discard(key)
            kept = await self._kept(*key)
            try:
                await self._store_it(benchmark, kept=kept is not None)
            except NovaError as error:
                # What it refuses is told to whoever asks, but for what waits already.
                if kept is None and not isinstance(error, StorageUnavailable):
                    raise
                await self._keep(benchmark, error)

    async def get(self, owner_id: str, benchmark_id: str) -> Benchmark | None:
        key = owner_id, benchmark_id
        found = await self._kept(*key)
        if found is None:
            found = await self._asked(lambda: self._store.get(*key))
        elif found.status in _GOING and key not in self._mine:
            with contextlib.suppress(StorageUnavailable):
                found = _later(found, await self._asked(lambda: self._store.get(*key)))
        self._see(key, found)
        return found

    async def list(self, query: Query) -> Page:
        await self._before_reading()
        return await self._asked(lambda: self._store.list(query))

    async def delete(self, owner_id: str, benchmark_id: str) -> bool:
        async with self._changing:
            # In the store first: what is deleted in the folder alone would be there again.
            found = await self._asked(
                lambda: self._store.delete(owner_id, benchmark_id), writes=True
            )
            self._see((owner_id, benchmark_id), None)
            if await self._kept(owner_id, benchmark_id) is not None:
                found = await self._aside.delete(owner_id, benchmark_id) or found
        return found

    async def add_samples(
        self, owner_id: str, benchmark_id: str, samples: Sequence[Sample]
    ) -> None:
        async with self._changing:
            kept = await self._kept(owner_id, benchmark_id)
            try:
                if kept is not None:
                    await self._store_it(kept, kept=True)
                await self._asked(
                    lambda: self._store.add_samples(owner_id, benchmark_id, samples), writes=True
                )
            except NovaError as error:
                waits = await self._kept(owner_id, benchmark_id)
                known = waits or kept or self._going.get((owner_id, benchmark_id))
                refused = waits is None and not isinstance(error, StorageUnavailable)
                if known is None or refused:
                    raise
                if waits is None:
                    await self._keep(known, error)
                await self._aside.add_samples(owner_id, benchmark_id, samples)

    # The name of the method 'list' hides the type in what follows it.
    async def samples(self, owner_id: str, benchmark_id: str) -> Sequence[Sample]:
        kept: Sequence[Sample] = ()
        if self._folder.exists():
            kept = await self._aside.samples(owner_id, benchmark_id)
        try:
            stored = await self._asked(lambda: self._store.samples(owner_id, benchmark_id))
        except StorageUnavailable:
            if not kept:
                raise
            stored = ()
        return by_number([*stored, *kept])

    async def version(self, owner_id: str) -> str:
        await self._before_reading()
        return await self._asked(lambda: self._store.version(owner_id))

    def _see(self, key: _Key, benchmark: Benchmark | None) -> None:
        if benchmark is not None and benchmark.status in _GOING:
            self._going[key] = benchmark
        else:
            self._going.pop(key, None)

    async def _asked(self, ask: Callable[[], Awaitable[T]], *, writes: bool = False) -> T:
        """What the store says; where it did not answer a moment ago, that again."""
        # A folder that may not be written can be read all the same.
        state = self._writing if writes else self._reading
        if state.error is not None and time.monotonic() - state.at_s < self._patience_s:
            raise state.error
        try:
            if not self._opened:
                await self._store.open()
                self._opened = True
            found = await ask()
        except StorageUnavailable as error:
            if state.error is None:
                await _log.aerror("the store of benchmarks is down", error=error.message)
            # What cannot be read is not written either.
            for one in (state, self._writing):
                one.error, one.at_s = error, time.monotonic()
            raise
        if state.error is not None:
            state.error = None
            await _log.ainfo("the store of benchmarks is back", store=self.where)
        return found

    async def _keep(self, benchmark: Benchmark, error: NovaError) -> None:
        await _log.awarning(
            "a benchmark waits for its store",
            benchmark_id=benchmark.id,
            folder=str(self._folder),
            error=error.message,
        )
        note = (
            f"{_WAITS} {self._folder}, as its store did not take it: {error.message} "
            "It is carried over when that answers again."
        )
        await self._aside.put(_with_notes(benchmark, (*_others(benchmark), note)))

    async def _kept(self, owner_id: str, benchmark_id: str) -> Benchmark | None:
        return await self._aside.get(owner_id, benchmark_id) if self._folder.exists() else None

    async def _before_reading(self) -> None:
        """Bring into the store all that has ended, what this process carries out, and what nobody
        does. What others are still at is theirs: they know what will become of it."""
        if not self._folder.exists():
            return
        for benchmark in await asyncio.to_thread(lambda: list(waiting(self._folder))):
            key = benchmark.owner_id, benchmark.id
            others = benchmark.status in _GOING and key not in self._mine
            if others and await asyncio.to_thread(self._is_held, benchmark.id):
                continue
            try:
                async with self._changing:
                    await self._carry_over(key)
            except NovaError as error:
                if error in (self._reading.error, self._writing.error):
                    return
                # Of this one alone: the others do not wait for it, nor does who reads.
                said = {"benchmark_id": benchmark.id, "error": error.message}
                await _log.awarning("a benchmark still waits for its store", **said)

    def _is_held(self, benchmark_id: str) -> bool:
        if self._logs is None:
            return True
        from novasystem.benchmarks.former import is_held

        return is_held(log_of(self._logs, benchmark_id))

    async def _carry_over(self, key: _Key) -> None:
        kept = await self._kept(*key)
        if kept is None:
            return
        if kept.status in _GOING and key not in self._mine:
            kept = _later(kept, await self._asked(lambda: self._store.get(*key)))
        await self._store_it(kept, kept=True)

    async def _store_it(self, benchmark: Benchmark, *, kept: bool) -> None:
        """Put it into the store; what the folder has of it goes there too, and waits no more."""
        owner_id, benchmark_id = benchmark.owner_id, benchmark.id
        plain = _with_notes(benchmark, _others(benchmark))
        await self._asked(lambda: self._store.put(plain), writes=True)
        if not kept:
            return
        samples = await self._aside.samples(owner_id, benchmark_id)
        if samples:
            await self._asked(
                lambda: self._store.add_samples(owner_id, benchmark_id, samples), writes=True
            )
        await self._aside.delete(owner_id, benchmark_id)
        await _log.ainfo("a benchmark is carried over to its store", benchmark_id=benchmark_id)


def _later(kept: Benchmark, stored: Benchmark | None) -> Benchmark:
    """Of one that goes on, as it waits, and the same as it is stored: what came last. One that was
    ended and goes on again still says when it had ended."""
    if stored is None or stored.ended_at is None or stored.status in _GOING:
        return kept
    return stored if kept.ended_at is None or kept.ended_at < stored.ended_at else kept


def _others(benchmark: Benchmark) -> tuple[str, ...]:
    return tuple(note for note in benchmark.notes if not note.startswith(_WAITS))


def _with_notes(benchmark: Benchmark, notes: tuple[str, ...]) -> Benchmark:
    return benchmark if notes == benchmark.notes else benchmark.model_copy(update={"notes": notes})
