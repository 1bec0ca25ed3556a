"""The log of a benchmark: what the load process saw, one JSON object a line, appended as it came.

Each record is one ``write`` to a file opened for appending, so that it is in the system's hands
before the next request is looked at: whoever is killed then, by whatever signal, loses nothing that
was written. The file is synced to the disk only when it is closed: what a power cut or a crash of
the whole machine takes away may be the last half minute. A line that was torn by a full disk is
passed over by readers, and what is appended later begins on a line of its own.

Times are nanoseconds from the benchmark's origin. Who carries a benchmark on appends a
:class:`Header` of its own, whose clock goes on where the one before it stopped.
"""

import asyncio
import errno
import os
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import orjson

from novasystem.benchmarks.plan import Phase
from novasystem.benchmarks.samples import Arrived, Failure, Sample
from novasystem.benchmarks.sweep import Step
from novasystem.engines.events import ServerTimings
from novasystem.errors import StorageFull, StorageUnavailable

__all__ = [
    "FORMAT",
    "ClientFigures",
    "End",
    "Header",
    "Live",
    "ModelState",
    "Record",
    "SampleLog",
    "SweepStep",
    "encode",
    "read_log",
    "sample_fields",
    "sample_from",
    "size_of",
    "tail_log",
]

FORMAT = 1
_READ_BYTES = 64 * 1024
_POLL_S = 0.05
# Windows changes line ends without it.
_BINARY: int = getattr(os, "O_BINARY", 0)


@dataclass(frozen=True, slots=True)
class Header:
    """``origin_ns``: the ``perf_counter_ns`` that times count from; on Linux and macOS the clock is
    one for all processes until the machine restarts. ``wall``: the wall clock when the first
    ``origin_ns`` was taken, as ISO 8601; ``begins_ns``: the time at which this part began.
    ``workers``: further processes that make the load, and append to the same log."""

    plan: dict[str, Any]
    benchmark_id: str
    origin_ns: int
    begins_ns: int
    wall: str
    pid: int
    format: int = FORMAT
    workers: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Live:
    """What a model says while it says it, of one request at a time: the one that is followed.

    ``text``: what came since the last such record, at most some 20 of them a second a model;
    empty in the first one, with which the request begins. ``chunks``: how many it came in, and
    ``since_ns`` the time of the first of those.
    """

    model: str
    number: int
    at_ns: int
    text: str = ""
    reasoning: bool = False
    chunks: int = 0
    since_ns: int | None = None


@dataclass(frozen=True, slots=True)
class ModelState:
    """``phase`` names the one that begins; ``failed`` says why in ``failure``."""

    model: str
    state: Literal["started", "phase", "done", "failed"]
    at_ns: int
    phase: Phase | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class SweepStep:
    model: str
    phase: Phase
    block: int
    at_ns: int
    step: Step


@dataclass(frozen=True, slots=True)
class ClientFigures:
    """About once a second. ``cpu_s``: of all processes of the load since they began, their start
    included; ``lag_ns``: the most that an event loop was late since the last such record."""

    at_ns: int
    cpu_s: float
    lag_ns: int
    in_flight: int


@dataclass(frozen=True, slots=True)
class End:
    """The last record of each part. ``cpu_s`` as in :class:`ClientFigures`; ``load_cpu_s``: of
    that, from the first request on; ``lag_ns``: the most of all. ``load_cpus_s``, ``lags_ns``: the
    same of each process, where there were several."""

    status: Literal["completed", "cancelled", "failed"]
    at_ns: int
    cpu_s: float = 0.0
    load_cpu_s: float = 0.0
    lag_ns: int = 0
    failure: Failure | None = None
    load_cpus_s: tuple[float, ...] = ()
    lags_ns: tuple[int, ...] = ()


Record = Header | Live | ModelState | SweepStep | Sample | ClientFigures | End

_KINDS: dict[str, type[Record]] = {
    "header": Header,
    "live": Live,
    "model": ModelState,
    "step": SweepStep,
    "sample": Sample,
    "client": ClientFigures,
    "end": End,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}
_FIELDS = {kind: tuple(field.name for field in fields(kind)) for kind in _NAMES}
_TUPLES = ("workers", "load_cpus_s", "lags_ns")
_PARTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "failure": lambda value: Failure(**value),
    "timings": lambda value: ServerTimings(**value),
    "step": lambda value: Step(**value),
}


def encode(record: Record) -> bytes:
    """One line, its end included."""
    kind = type(record)
    body = sample_fields(record) if isinstance(record, Sample) else _plain(record)
    return orjson.dumps({"kind": _NAMES[kind], **body}, option=orjson.OPT_APPEND_NEWLINE)


def decode(line: bytes) -> Record:
    """Raises ``ValueError``, ``KeyError`` or ``TypeError`` for what is no record."""
    body = orjson.loads(line)
    kind = _KINDS[body.pop("kind")]
    if kind is Sample:
        return sample_from(body)
    return kind(**_whole(body))


def sample_fields(sample: Sample) -> dict[str, Any]:
    """A sample as plain JSON; its arrivals by column, which is shorter by far."""
    body = _plain(sample)
    body["arrivals"] = tuple(zip(*sample.arrivals, strict=True))
    return body


def sample_from(body: dict[str, Any]) -> Sample:
    """The sample that :func:`sample_fields` was given."""
    arrivals = tuple(map(Arrived._make, zip(*body["arrivals"], strict=True)))
    return Sample(**{**_whole(body), "arrivals": arrivals})


def _plain(record: Record) -> dict[str, Any]:
    return {name: getattr(record, name) for name in _FIELDS[type(record)]}


def _whole(body: dict[str, Any]) -> dict[str, Any]:
    for name, build in _PARTS.items():
        if isinstance(body.get(name), dict):
            body[name] = build(body[name])
    for name in _TUPLES:
        if name in body:
            body[name] = tuple(body[name])
    return body


class SampleLog:
    """Appends to one file, from one process or from several.

    Each record is a single ``write``, which no other's write comes between. ``shared``: each also
    begins on a line of its own, whatever another process left torn before it.
    """

    def __init__(self, path: Path, *, shared: bool = False) -> None:
        self.path = path
        self._before = b"\n" if shared else b""
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | _BINARY, 0o600)
            size = os.fstat(self._descriptor).st_size
            if size:
                os.lseek(self._descriptor, size - 1, os.SEEK_SET)
                if os.read(self._descriptor, 1) != b"\n":
                    self._write(b"\n")
        except OSError as error:
            raise _unwritable(path, error) from error

    def append(self, record: Record) -> None:
        """Raises ``StorageFull`` or ``StorageUnavailable``."""
        try:
            self._write(self._before + encode(record))
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def _write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._descriptor, data) :]

    def close(self) -> None:
        os.fsync(self._descriptor)
        os.close(self._descriptor)


def read_log(path: Path, *, skip: int = 0) -> Iterator[Record]:
    """Every record that can be read; a file that is not there has none.

    ``skip``: so many bytes at its beginning, whole records.
    """
    try:
        with path.open("rb") as file:
            file.seek(skip)
            for line in file:
                if (record := _decoded(path, line)) is not None:
                    yield record
    except FileNotFoundError:
        return


def size_of(path: Path) -> int:
    """How long a log is now, in bytes; 0 where there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


async def tail_log(
    path: Path, ended: Callable[[], bool], *, skip: int = 0, poll_s: float = _POLL_S
) -> AsyncGenerator[Record, None]:
    """Records as they are appended, those of before first, until ``ended()`` is true and all that
    was written by then has been read.

    ``skip``: bytes at the file's beginning that are known. The file need not be there yet.
    """
    rest = b""
    at = skip
    while True:
        # Asked before the read: what was written until the end is then seen by that read.
        last = ended()
        data = _read_from(path, at)
        at += len(data)
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            if (record := _decoded(path, line)) is not None:
                yield record
        if len(data) == _READ_BYTES:
            await asyncio.sleep(0)
        elif last:
            return
        else:
            await asyncio.sleep(poll_s)


def _read_from(path: Path, at: int) -> bytes:
    try:
        with path.open("rb", buffering=0) as file:
            file.seek(at)
            return file.read(_READ_BYTES)
    except FileNotFoundError:
        return b""


def _decoded(path: Path, line: bytes) -> Record | None:
    if not line.strip():
        return None
    try:
        return decode(line)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if line.rstrip().endswith(b"}"):
            # Not torn, but wrong: someone should hear of it.
            import structlog

            structlog.get_logger(__name__).warning(
                "a line of a benchmark's log cannot be read", path=str(path), error=str(error)
            )
        return None


def _unwritable(path: Path, error: OSError) -> StorageUnavailable:
    kind = StorageFull if error.errno in {errno.ENOSPC, errno.EDQUOT} else StorageUnavailable
    return kind(
        f"The log of the benchmark at '{path}' cannot be written: {error.strerror}.",
        hint="Make room there, or check its permissions, and resume the benchmark.",
    )
