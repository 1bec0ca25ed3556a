"""The load: a process that keeps N connections busy and counts what comes back.

It reads one job a line from standard input and writes one result a line, both JSON. It speaks raw
HTTP over uvloop, so that on a small machine it takes little from the server that is measured.
"""

import asyncio
import sys
import time
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

import orjson
import uvloop

from tools.perf.upstream import TOKEN

__all__ = ["Job", "Outcome"]

_TOKEN = TOKEN.encode()
_EVENT = b"data: "


@dataclass(frozen=True, slots=True)
class Job:
    """``requests`` posts of ``body`` to ``url``, ``concurrency`` at a time, one connection each;
    without a ``body`` they are GETs.

    ``tokens`` is how many each answer has to hold; any other number is an error.
    """

    url: str
    body: dict[str, Any] | None
    tokens: int
    requests: int
    concurrency: int
    timeout_s: float = 60.0


@dataclass(slots=True)
class Outcome:
    """What came back in all. ``ttft_s``: request written → read that brought the first token;
    ``took_s``: → read that brought the end."""

    requests: int = 0
    tokens: int = 0
    events: int = 0
    wall_s: float = 0.0
    ttft_s: list[float] = field(default_factory=list)
    took_s: list[float] = field(default_factory=list)
    error: str = ""


class _Load:
    """The state that the connections of one job share."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.outcome = Outcome()
        self.left = job.requests
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        where = urlsplit(job.url)
        body = b"" if job.body is None else orjson.dumps(job.body)
        method = "GET" if job.body is None else "POST"
        path = f"{where.path}?{where.query}" if where.query else where.path
        self.request = (
            f"{method} {path} HTTP/1.1\r\nhost: {where.netloc}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        ).encode() + body

    def fail(self, error: str) -> None:
        self.outcome.error = self.outcome.error or error
        if not self.done.done():
            self.done.set_result(None)

    def ended(self) -> None:
        self.outcome.requests += 1
        if self.outcome.requests == self.job.requests and not self.done.done():
            self.done.set_result(None)


class _Connection(asyncio.Protocol):
    def __init__(self, load: _Load) -> None:
        self._load = load
        self._busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._busy:
            self._load.fail(f"The server closed the connection in an answer ({exc}).")

    def _next(self) -> None:
        if not self._load.left:
            self._transport.close()
            return
        self._load.left -= 1
        self._busy = True
        self._head = b""
        self._length: int | None = None
        self._tail = b""
        self._tokens = 0
        self._sent_ns = time.perf_counter_ns()
        self._transport.write(self._load.request)

    def data_received(self, data: bytes) -> None:
        at_ns = time.perf_counter_ns()
        if not self._tail:
            self._head += data
            head, complete, data = self._head.partition(b"\r\n\r\n")
            if not complete:
                return
            self._tail = b"\r\n"
            if not self._understood(head.lower(), data):
                return
        self._count(data, at_ns)
        if self._length is not None:
            self._length -= len(data)
        if self._length == 0 or (self._length is None and self._tail.endswith(b"\r\n0\r\n\r\n")):
            self._end(at_ns)

    def _understood(self, head: bytes, data: bytes) -> bool:
        status = head.split(b" ", 2)[1].decode()
        if status != "200":
            self._load.fail(f"The answer was a {status}: {data[:300].decode()}")
            return False
        _, given, rest = head.partition(b"\r\ncontent-length:")
        self._length = int(rest.partition(b"\r\n")[0]) if given else None
        return True

    def _count(self, data: bytes, at_ns: int) -> None:
        """A mark torn apart by two reads is counted once: the tail kept is shorter than it."""
        outcome = self._load.outcome
        outcome.events += (self._tail[-len(_EVENT) + 1 :] + data).count(_EVENT)
        tokens = (self._tail[-len(_TOKEN) + 1 :] + data).count(_TOKEN)
        if tokens and not self._tokens:
            outcome.ttft_s.append((at_ns - self._sent_ns) / 1e9)
        self._tokens += tokens
        self._tail = (self._tail + data)[-16:]

    def _end(self, at_ns: int) -> None:
        self._busy = False
        self._load.outcome.took_s.append((at_ns - self._sent_ns) / 1e9)
        self._load.outcome.tokens += self._tokens
        if self._tokens != self._load.job.tokens:
            self._load.fail(f"{self._tokens} tokens came instead of {self._load.job.tokens}.")
            return
        self._load.ended()
        self._next()


async def _carry_out(job: Job) -> Outcome:
    loop = asyncio.get_running_loop()
    load = _Load(job)
    where = urlsplit(job.url)
    started_ns = time.perf_counter_ns()
    transports = []
    try:
        async with asyncio.timeout(job.timeout_s):
            for _ in range(min(job.concurrency, job.requests)):
                transport, _protocol = await loop.create_connection(
                    lambda: _Connection(load), where.hostname or "", where.port or 80
                )
                transports.append(transport)
            await load.done
    except TimeoutError:
        load.fail(f"Not done after {job.timeout_s} s: {load.outcome.requests} of {job.requests}.")
    except OSError as error:
        load.fail(str(error))
    load.outcome.wall_s = (time.perf_counter_ns() - started_ns) / 1e9
    for transport in transports:
        transport.abort()
    return load.outcome


def main() -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for line in sys.stdin:
            outcome = runner.run(_carry_out(Job(**orjson.loads(line))))
            sys.stdout.write(orjson.dumps(outcome).decode() + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
