"""HTTP as it goes over the wire: exact bytes out, statuses, headers and events in."""

import http.client
import json
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

__all__ = [
    "JSON",
    "Answer",
    "Event",
    "EventStream",
    "ask",
    "connect",
    "eventually",
    "metric",
    "opened",
    "raw",
    "request_bytes",
    "status_of",
    "until_closed",
]

T = TypeVar("T")
JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Answer:
    """A whole answer; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass(frozen=True)
class Event:
    name: str
    data: str
    id: int | None = None

    @property
    def json(self) -> Any:
        return json.loads(self.data)


class EventStream:
    """An answer as it comes; iterating waits for the next event. ``pings`` counts comments."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self._connection = connection
        self._response = connection.getresponse()
        self.status = self._response.status
        self.headers = {name.lower(): value for name, value in self._response.getheaders()}
        self.pings = 0

    def __iter__(self) -> Iterator[Event]:
        name, data, number = "", list[str](), None
        while line := self._response.readline():
            field, _, value = line.decode().rstrip("\n").partition(":")
            if line == b"\n":
                if data:
                    yield Event(name, "\n".join(data), number)
                name, data, number = "", [], None
            elif not field:
                self.pings += 1
            elif field == "event":
                name = value.removeprefix(" ")
            elif field == "id":
                number = int(value) if value.strip().isdigit() else None
            elif field == "data":
                data.append(value.removeprefix(" "))

    def next(self) -> Event:
        return next(iter(self))

    def rest(self) -> list[Event]:
        return list(self)

    def body(self) -> bytes:
        return self._response.read()

    def leave(self) -> None:
        self._response.close()
        self._connection.close()


def ask(
    port: int,
    method: str,
    path: str,
    body: object = None,
    headers: Mapping[str, str] | None = None,
    *,
    timeout_s: float = 30.0,
) -> Answer:
    """One request on a connection of its own; ``bytes`` go out as they are, others as JSON."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)) as connection:
        _send(connection, method, path, body, headers)
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, found, response.read())


def status_of(
    port: int, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
) -> int:
    """The status alone: what is a stream need not end."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        _send(connection, method, path, body, headers)
        with connection.getresponse() as response:
            return response.status


@contextmanager
def opened(
    port: int, path: str, body: object = None, headers: Mapping[str, str] | None = None
) -> Iterator[EventStream]:
    """A stream, left at the end of the context; without a body it is only looked at."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    _send(connection, "GET" if body is None else "POST", path, body, headers)
    stream = EventStream(connection)
    try:
        yield stream
    finally:
        stream.leave()


def _send(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: object,
    headers: Mapping[str, str] | None,
) -> None:
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    given = dict(JSON if data is not None else {}) | {
        k.lower(): v for k, v in (headers or {}).items()
    }
    connection.request(method, path, data, given)


def request_bytes(path: str, body: object, *, host: str = "localhost", more: str = "") -> bytes:
    """A POST as bytes; ``more``: whole header lines, each with its CRLF."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n{more}"
    return f"{head}content-length: {len(data)}\r\n\r\n".encode() + data


@contextmanager
def connect(port: int, *, receive_buffer: int | None = None) -> Iterator[socket.socket]:
    with socket.socket() as sock:
        sock.settimeout(30)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.connect(("127.0.0.1", port))
        yield sock


def until_closed(sock: socket.socket) -> bytes:
    """All that comes until the other end closes, or breaks, the connection."""
    data = b""
    try:
        while piece := sock.recv(65536):
            data += piece
    except ConnectionResetError:
        pass
    return data


def raw(port: int, data: bytes) -> Answer:
    """Send these bytes, and read one answer; the server must close, or give a length."""
    with connect(port) as sock:
        sock.sendall(data)
        response = http.client.HTTPResponse(sock, method=data.split(b" ", 1)[0].decode())
        response.begin()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, found, response.read())


def eventually(fact: Callable[[], T | None], within_s: float = 10.0) -> T:
    """What ``fact`` returns, once that is true; an ``AssertionError`` where it stays untrue."""
    until = time.monotonic() + within_s
    while not (value := fact()):
        if time.monotonic() > until:
            msg = f"still {value!r} after {within_s} s"
            raise AssertionError(msg)
        time.sleep(0.02)
    return value


def metric(port: int, name: str, headers: Mapping[str, str] | None = None, **labels: str) -> float:
    """The sum over the series of ``name`` that have these labels."""
    total = 0.0
    for line in ask(port, "GET", "/metrics", headers=headers).text.splitlines():
        if (match := re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)) and match[1] == name:
            has = dict(re.findall(r'(\w+)="([^"]*)"', match[2] or ""))
            if labels.items() <= has.items():
                total += float(match[3])
    return total
