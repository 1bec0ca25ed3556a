"""A server over a real socket that does exactly what a test scripts: faults, timing, odd bytes.

It speaks HTTP/1.1 (keep-alive, chunked bodies) by hand, because an HTTP library would not cut a
chunk in half or break a promise. It runs on a loop in a thread of its own, so that tests of either
kind can use it, and what it saw (:class:`Seen`) shows what its client did.
"""

import asyncio
import contextlib
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from tests.servers.answers import Close, Hold, Reset, Send, Sleep, Stall, Step, json_answer

__all__ = ["ScriptedServer", "Seen", "scripted_server"]

T = TypeVar("T")


@dataclass(eq=False)
class Seen:
    """One request. Times are ``perf_counter_ns``; ``connection`` counts connections from 0.

    ``client_left_at_ns`` is set when the client closed before the answer had ended, ``answered``
    when the last step was carried out.
    """

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    connection: int
    at_ns: int = field(default_factory=time.perf_counter_ns)
    client_left_at_ns: int | None = None
    answered: bool = False

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class ScriptedServer:
    """``on`` says what to answer; ``seen`` holds what was asked, in order of arrival."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.connections = 0
        """How many connections were ever accepted."""
        self.open_connections = 0
        self.port = 0
        self.scheme = "http"
        self._answers: dict[tuple[str, str], list[Sequence[Step]]] = {}
        self._speakers: dict[tuple[str, str], Callable[[Seen], Sequence[Step]]] = {}
        self._changed = threading.Condition()

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def on(self, method: str, path: str, *answers: Sequence[Step]) -> None:
        """Use these answers one after another for this path; the last one repeats."""
        with self._changed:
            self._answers[method, path] = list(answers)

    def asks(self, method: str, path: str, speaker: Callable[[Seen], Sequence[Step]]) -> None:
        """Let ``speaker`` choose the answer by what is asked, whatever else is scripted."""
        with self._changed:
            self._speakers[method, path] = speaker

    def wait_for(self, fact: Callable[["ScriptedServer"], T | None], timeout_s: float = 5.0) -> T:
        """Wait until the fact is true, and return it; an ``AssertionError`` says what was seen."""
        with self._changed:
            if value := self._changed.wait_for(lambda: fact(self), timeout_s):
                return value
            msg = f"Not seen within {timeout_s} s; {self.open_connections} open, {self.seen}."
            raise AssertionError(msg)

    async def until(
        self, fact: Callable[["ScriptedServer"], T | None], timeout_s: float = 5.0
    ) -> T:
        """``wait_for`` for a test whose own loop has to go on, so that its client can close."""
        return await asyncio.to_thread(self.wait_for, fact, timeout_s)

    @contextlib.contextmanager
    def change(self) -> Iterator[None]:
        """What connections do to change a fact, so that whoever waits for it looks again."""
        with self._changed:
            yield
            self._changed.notify_all()

    def take(self, seen: Seen) -> Sequence[Step]:
        """Note the request and choose its answer."""
        with self.change():
            self.seen.append(seen)
            speaker = self._speakers.get((seen.method, seen.path))
            if speaker is not None:
                return speaker(seen)
            answers = self._answers.get((seen.method, seen.path))
            if not answers:
                message = f"Nothing is scripted for {seen.method} {seen.path}."
                return json_answer(404, {"error": {"message": message}})
            return answers.pop(0) if len(answers) > 1 else answers[0]


class _Connection(asyncio.Protocol):
    """Reads requests all the time, so that it notices at once when the client leaves."""

    def __init__(self, server: ScriptedServer) -> None:
        self._server = server
        self._buffer = b""
        self._waiting: asyncio.Queue[Seen] = asyncio.Queue()
        self._writable = asyncio.Event()
        self._current: Seen | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        # Behind TLS asyncio takes an empty buffer for one that is over this limit.
        self._transport.set_write_buffer_limits(high=int(self._server.scheme == "https"))
        self._socket: socket.socket = transport.get_extra_info("socket")
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._writable.set()
        with self._server.change():
            self._number = self._server.connections
            self._server.connections += 1
            self._server.open_connections += 1
        self._player = asyncio.get_running_loop().create_task(self._play())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (parsed := _request(self._buffer, self._number)) is not None:
            seen, self._buffer = parsed
            self._waiting.put_nowait(seen)

    def eof_received(self) -> None:
        self._left()

    def connection_lost(self, exc: Exception | None) -> None:
        self._left()
        self._player.cancel()
        with self._server.change():
            self._server.open_connections -= 1

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def _left(self) -> None:
        if self._current is not None and self._current.client_left_at_ns is None:
            with self._server.change():
                self._current.client_left_at_ns = time.perf_counter_ns()

    async def _play(self) -> None:
        try:
            while not self._transport.is_closing():
                await self._answer(await self._waiting.get())
        finally:
            self._transport.abort()

    async def _answer(self, seen: Seen) -> None:
        self._current, due = seen, seen.at_ns
        for step in self._server.take(seen):
            if isinstance(step, Sleep):
                due += int(step.seconds * 1e9)
            await self._carry_out(step, due)
        self._current = None
        with self._server.change():
            seen.answered = True

    async def _carry_out(self, step: Step, due: int) -> None:
        match step:
            case Send(data):
                self._transport.write(data)
                await self._writable.wait()
                await asyncio.sleep(0)  # lets the loop look whether the client is still there
            case Sleep():
                await asyncio.sleep((due - time.perf_counter_ns()) / 1e9)
            case Hold(until):
                while not until.is_set():  # noqa: ASYNC110 - a test sets it in a thread of its own
                    await asyncio.sleep(0.01)
            case Stall():
                await asyncio.Event().wait()
            case Close():
                self._current = None
                self._transport.close()
            case Reset():
                self._current = None
                linger = struct.pack("ii", 1, 0)
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self._transport.abort()


def _request(data: bytes, connection: int) -> tuple[Seen, bytes] | None:
    """The first request in these bytes and what follows it; ``None`` while it is incomplete."""
    opening, complete, rest = data.partition(b"\r\n\r\n")
    if not complete:
        return None
    first, *lines = opening.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    if headers.get("transfer-encoding") == "chunked":
        unpacked = _dechunked(rest)
        if unpacked is None:
            return None
        body, rest = unpacked
    else:
        length = int(headers.get("content-length", "0"))
        if len(rest) < length:
            return None
        body, rest = rest[:length], rest[length:]
    path, _, query = target.partition("?")
    return Seen(method, path, query, headers, body, connection), rest


def _dechunked(data: bytes) -> tuple[bytes, bytes] | None:
    body = b""
    while True:
        line, complete, rest = data.partition(b"\r\n")
        if not complete:
            return None
        size = int(line.partition(b";")[0], 16)
        if len(rest) < size + 2:
            return None
        body, data = body + rest[:size], rest[size + 2 :]
        if size == 0:
            return body, data


@contextlib.contextmanager
def scripted_server(tls: ssl.SSLContext | None = None) -> Iterator[ScriptedServer]:
    """A server on a port that the system picks; its connections end with the context.

    ``tls``: with a certificate of 127.0.0.1, for a server that is reached by https alone.
    """
    server = ScriptedServer()
    server.scheme = "http" if tls is None else "https"
    started = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        listener = await loop.create_server(lambda: _Connection(server), "127.0.0.1", 0, ssl=tls)
        server.port = listener.sockets[0].getsockname()[1]
        started.set()
        await stop.wait()
        listener.close()
        players = asyncio.all_tasks() - {asyncio.current_task()}
        for player in players:
            player.cancel()
        await asyncio.gather(*players, return_exceptions=True)
        await asyncio.sleep(0)  # for the transports to close their sockets

    def run() -> None:
        with contextlib.closing(loop):
            loop.run_until_complete(serve())

    thread = threading.Thread(target=run, name="scripted-server", daemon=True)
    thread.start()
    started.wait()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
