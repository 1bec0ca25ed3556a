"""Caps on head, body, depth and time, on uvicorn's own protocol with ours on top."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from novasystem.http.protocol import MAX_HEAD_BYTES, limited_protocol
from tests.http.doors import COMPLETIONS, Door
from tests.http.figures import State
from tests.http.test_leaving import resident_mib
from tests.http.wire import ask, connect, eventually, raw, request_bytes, until_closed
from tests.servers.answers import openai_stream

POSTS = ["/api/v1/chat", COMPLETIONS, "/v1/embeddings"]
MAX_BODY = 8 * 1024 * 1024


def chunked(path: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    yield f"{head}transfer-encoding: chunked\r\n\r\n".encode()
    for piece in pieces:
        yield b"%x\r\n%s\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


def send_all(sock: socket.socket, pieces: Iterator[bytes]) -> None:
    try:
        for piece in pieces:
            sock.sendall(piece)
    except OSError:
        pass  # answered and closed before all of it was taken


@pytest.mark.parametrize("path", POSTS)
def test_a_body_over_the_limit_is_a_413_in_the_door_s_form(door: Door, path: str) -> None:
    answer = ask(door.port, "POST", path, b" " * (MAX_BODY + 1))
    assert answer.status == 413
    assert str(MAX_BODY).encode() in answer.body
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("path", POSTS)
def test_a_body_without_a_length_is_counted_as_it_comes(
    door: Door, path: str, state: State
) -> None:
    before_mib = resident_mib(door)
    with connect(door.port) as sock:
        pieces = chunked(path, (b" " * 65536 for _ in range(1600)))
        sender = threading.Thread(target=send_all, args=(sock, pieces))
        sender.start()
        first = sock.recv(65536)
        grown = resident_mib(door) - before_mib
        sock.shutdown(socket.SHUT_RDWR)
        sender.join()
    assert first.startswith(b"HTTP/1.1 413 ")
    state(f"100 MiB without a length: memory +{grown:.1f} MiB")
    assert grown < 60


def test_a_body_at_the_limit_is_taken(door: Door) -> None:
    door.answers(openai_stream(["a"]))
    body = json.dumps({"message": "Hi."}).encode()
    answer = ask(door.port, "POST", "/api/v1/chat", body + b" " * (MAX_BODY - len(body)))
    assert answer.status == 200


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("opener", [b"[", b'{"a":'], ids=["lists", "objects"])
@pytest.mark.parametrize("depth", [64, 900, 100_000])
def test_deep_nesting_is_refused(door: Door, path: str, opener: bytes, depth: int) -> None:
    closer = b"]" if opener == b"[" else b"}"
    body = b'{"message":' + opener * depth + b"1" + closer * depth + b"}"
    answer = ask(door.port, "POST", path, body)
    assert 400 <= answer.status < 500
    said = answer.text
    assert "nest" in said or "recursion" in said or "JSON" in said


def test_as_deep_as_the_limit_is_taken(door: Door) -> None:
    # The body is one level and its metadata the second.
    schema = {"type": "object", "description": "x"}
    for _ in range(28):
        schema = {"type": "object", "properties": {"a": schema}}  # type: ignore[dict-item]
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    door.answers(openai_stream(["{}"]))
    asked = {"messages": [{"role": "user", "content": "Hi."}], "response_format": form}
    assert ask(door.port, "POST", COMPLETIONS, asked).status == 200


@pytest.mark.parametrize(
    "line",
    [
        b"x: " + b"a" * (MAX_HEAD_BYTES + 1) + b"\r\n",
        b"".join(b"x%d: %s\r\n" % (n, b"a" * 100) for n in range(1000)),
        b"x" * (MAX_HEAD_BYTES + 1) + b": a\r\n",
    ],
    ids=["one long value", "many", "a long name"],
)
def test_a_head_over_the_limit_is_a_431(door: Door, line: bytes) -> None:
    answer = raw(door.port, b"GET /health HTTP/1.1\r\nhost: localhost\r\n" + line + b"\r\n")
    assert answer.status == 431


def test_a_target_over_the_limit_is_a_431(door: Door) -> None:
    target = b"/health?" + b"a" * (MAX_HEAD_BYTES + 1)
    assert raw(door.port, b"GET " + target + b" HTTP/1.1\r\nhost: localhost\r\n\r\n").status == 431


def test_a_head_that_never_ends_is_cut_off_at_the_limit(door: Door, state: State) -> None:
    before_mib = resident_mib(door)
    with connect(door.port) as sock:
        sock.sendall(b"GET /health HTTP/1.1\r\nhost: localhost\r\nx: ")
        sent = 0
        try:
            for _ in range(2000):
                sock.sendall(b"a" * 10_000)
                sent += 10_000
        except OSError:
            pass
    state(f"an endless head was cut off; memory +{resident_mib(door) - before_mib:.1f} MiB")
    assert sent < 20_000_000
    assert resident_mib(door) - before_mib < 20


def test_a_large_but_allowed_head_is_taken_again_and_again(door: Door) -> None:
    """The limit is of each request: a connection that is kept is not charged for earlier ones."""
    lines = b"x: " + b"a" * 40_000 + b"\r\n"
    request = b"GET /health HTTP/1.1\r\nhost: localhost\r\n" + lines + b"\r\n"
    with connect(door.port) as sock:
        for _ in range(5):
            sock.sendall(request)
            data = b""
            while not data.endswith(b"}"):
                data += sock.recv(65536)
            assert data.startswith(b"HTTP/1.1 200 ")


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    body = await Request(scope, receive).body()
    await PlainTextResponse(f"{len(body)} bytes")(scope, receive, send)


@contextmanager
def hasty() -> Iterator[int]:
    """A server of uvicorn's with our protocol and limits short enough to be waited for."""
    protocol = limited_protocol(head_s=0.6, body_s=0.6, send_s=0.6)
    config = uvicorn.Config(
        echo, port=0, http=protocol, ws="none", lifespan="off", log_config=None, log_level="error"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    eventually(lambda: server.started)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with hasty() as bound:
        yield bound


def drip(port: int, data: bytes, every_s: float, size: int = 1) -> tuple[bytes, float]:
    """Send a piece now and then; what was answered, and when the connection ended."""
    started = time.monotonic()
    with connect(port) as sock:
        sock.settimeout(every_s)
        got = b""
        for at in range(0, len(data), size):
            try:
                sock.sendall(data[at : at + size])
                if piece := sock.recv(65536):
                    got += piece
                    continue
                break
            except TimeoutError:
                continue
            except OSError:
                break
        sock.settimeout(10)
        got += until_closed(sock)
    return got, time.monotonic() - started


def test_a_head_that_comes_too_slowly_is_a_408(port: int) -> None:
    got, took_s = drip(port, b"GET / HTTP/1.1\r\nhost: a\r\n" + b"x" * 200, 0.05)
    assert got.startswith(b"HTTP/1.1 408 ")
    assert 0.5 < took_s < 3


def test_a_connection_that_says_nothing_is_ended(port: int) -> None:
    got, took_s = drip(port, b"", 0.1)
    assert got.startswith(b"HTTP/1.1 408 ")
    assert 0.5 < took_s < 3


def test_a_body_that_stops_coming_is_a_408(port: int) -> None:
    got, took_s = drip(port, request_bytes("/", b"x" * 1000)[:-500], 0.1, size=10_000)
    assert got.startswith(b"HTTP/1.1 408 ")
    assert 0.5 < took_s < 3


def test_a_body_that_keeps_coming_is_taken(port: int) -> None:
    request = request_bytes("/", b"x" * 2000, more="connection: close\r\n")
    got, took_s = drip(port, request, 0.2, size=len(request) // 8)
    assert got.endswith(b"2000 bytes")
    assert took_s > 1


def test_a_second_head_on_a_kept_connection_is_timed_too(port: int) -> None:
    with connect(port) as sock:
        sock.sendall(request_bytes("/", b"x"))
        assert sock.recv(65536).endswith(b"1 bytes")
        sock.sendall(b"GET / HTTP/1.1\r\n")
        assert until_closed(sock).startswith(b"HTTP/1.1 408 ")


def test_slow_heads_do_not_slow_the_others(port: int, state: State) -> None:
    with ThreadPoolExecutor(1) as one:
        slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(300)]
        for sock in slow:
            sock.sendall(b"GET / HTTP/1.1\r\nx: ")

        def good() -> list[float]:
            took = []
            for _ in range(100):
                started = time.perf_counter()
                assert ask(port, "POST", "/", {"a": 1}).status == 200
                took.append((time.perf_counter() - started) * 1000)
            return sorted(took)

        took_ms = one.submit(good).result()
        answers = [until_closed(sock) for sock in slow]
        for sock in slow:
            sock.close()
    state(f"300 slow heads, good clients p50 {took_ms[50]:.1f} ms, p99 {took_ms[98]:.1f} ms")
    assert all(answer.startswith(b"HTTP/1.1 408 ") for answer in answers)
    assert took_ms[50] < 200
