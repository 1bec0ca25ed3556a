"""An OpenAI-compatible server whose timing is known: the ground truth behind every figure.

What it does is in the model's name. ``paced-64-20-50`` streams 64 tokens, one each 20 ms, the
first 50 ms after the request arrived, by an absolute schedule; ``burst-512`` streams 512 as fast
as the socket takes them. Each event is one write (its own system call, so that nothing merges on
the way out). The role chunk leaves at once, as some servers do: it is no token. An answer that is
not streamed comes at once. Every token's text holds :data:`TOKEN` exactly once, to be counted, and
a number, as some relays break off an answer that repeats itself.
"""

import argparse
import asyncio
import functools
import os
import re
import time
from dataclasses import dataclass
from typing import Any, cast

import orjson
import uvloop

from tools.perf.timer import Timer

__all__ = ["TOKEN", "Workload"]

TOKEN = " tick"
_NAME = re.compile(r"burst-(\d+)|paced-(\d+)-(\d+)-(\d+)")
_HEAD = b"HTTP/1.1 %s\r\ncontent-type: %s\r\n"
_STREAM = _HEAD % (b"200 OK", b"text/event-stream") + b"transfer-encoding: chunked\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Workload:
    """What a model's name asks for; no interval means as fast as possible."""

    tokens: int
    interval_ns: int = 0
    first_ns: int = 0

    @classmethod
    def of(cls, model: str) -> "Workload | None":
        if not (found := _NAME.fullmatch(model)):
            return None
        burst, tokens, interval_ms, first_ms = found.groups()
        if burst:
            return cls(int(burst))
        return cls(int(tokens), int(interval_ms) * 1_000_000, int(first_ms) * 1_000_000)


class _Connection(asyncio.Protocol):
    def __init__(self, timer: Timer, models: bytes) -> None:
        self._timer = timer
        self._models = models
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._descriptor: int = transport.get_extra_info("socket").fileno()

    def data_received(self, data: bytes) -> None:
        arrived_ns = time.monotonic_ns()
        self._buffer += data
        head, complete, rest = self._buffer.partition(b"\r\n\r\n")
        length = _content_length(head)
        if not complete or len(rest) < length:
            return
        self._buffer = rest[length:]
        self._answer(head, rest[:length], arrived_ns)

    def _answer(self, head: bytes, body: bytes, arrived_ns: int) -> None:
        if head.startswith(b"GET /v1/models "):
            self.write(self._models)
            return
        if not head.startswith(b"POST /v1/chat/completions "):
            self.write(_json(b"404 Not Found", {"error": {"message": "There is no such path."}}))
            return
        asked: dict[str, Any] = orjson.loads(body)
        model = str(asked.get("model"))
        workload = Workload.of(model)
        if workload is None:
            message = f"No model {model!r}: burst-TOKENS or paced-TOKENS-INTERVAL_MS-FIRST_MS."
            self.write(_json(b"404 Not Found", {"error": {"message": message}}))
        elif not asked.get("stream"):
            self.write(_whole(model, workload.tokens))
        else:
            usage = bool((asked.get("stream_options") or {}).get("include_usage"))
            events = _events(model, workload.tokens, usage)
            _Stream(self, events, workload, arrived_ns).begin(self._timer)

    def write(self, data: bytes) -> None:
        """One system call, past the loop's own collecting of writes."""
        if self._transport.is_closing():
            return
        if not self._transport.get_write_buffer_size():
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:
                pass
            except ConnectionError:
                self._transport.abort()
                return
        if data:
            self._transport.write(data)

    @property
    def gone(self) -> bool:
        return self._transport.is_closing()


class _Stream:
    """One streamed answer on its way: which event is next, and when it is due."""

    __slots__ = ("_connection", "_due_ns", "_events", "_interval_ns", "_next", "_timer")

    def __init__(
        self, connection: _Connection, events: list[bytes], workload: Workload, arrived_ns: int
    ) -> None:
        self._connection = connection
        self._events = events
        self._interval_ns = workload.interval_ns
        self._due_ns = arrived_ns + workload.first_ns
        self._next = 1

    def begin(self, timer: Timer) -> None:
        self._timer = timer
        self._connection.write(_STREAM + self._events[0])
        if self._interval_ns:
            timer.at(self._due_ns, self._step)
            return
        for event in self._events[1:]:
            self._connection.write(event)

    def _step(self) -> None:
        if self._connection.gone:
            return
        self._connection.write(self._events[self._next])
        self._next += 1
        if self._next == len(self._events) - 1:
            self._connection.write(self._events[self._next])  # the end comes with the last token
            return
        self._due_ns += self._interval_ns
        self._timer.at(self._due_ns, self._step)


def _content_length(head: bytes) -> int:
    found = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
    return int(found[1]) if found else 0


def _json(status: bytes, body: object) -> bytes:
    data = orjson.dumps(body)
    return _HEAD % (status, b"application/json") + b"content-length: %d\r\n\r\n" % len(data) + data


def _usage(tokens: int) -> dict[str, int]:
    return {"prompt_tokens": 8, "completion_tokens": tokens, "total_tokens": 8 + tokens}


@functools.lru_cache
def _whole(model: str, tokens: int) -> bytes:
    message = {"role": "assistant", "content": "".join(_texts(tokens))}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = {"id": "chatcmpl-perf", "object": "chat.completion", "created": 1_700_000_000}
    return _json(b"200 OK", {**body, "model": model, "choices": [choice], "usage": _usage(tokens)})


@functools.lru_cache
def _events(model: str, tokens: int, usage: bool) -> list[bytes]:
    """Role, the tokens, and the end in one: finish, usage where asked for, done."""
    common = {"id": "chatcmpl-perf", "object": "chat.completion.chunk", "created": 1_700_000_000}

    def event(delta: dict[str, str] | None, finish: str | None = None, **more: object) -> bytes:
        choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
        body = {**common, "model": model, "choices": choices, **more}
        return _chunk(b"data: %s\n\n" % orjson.dumps(body))

    end = event({}, "stop")
    if usage:
        end += event(None, usage=_usage(tokens))
    end += _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
    texts = [event({"content": text}) for text in _texts(tokens)]
    return [event({"role": "assistant", "content": ""}), *texts, end]


def _texts(tokens: int) -> list[str]:
    return [f"{TOKEN}{number}" for number in range(tokens)]


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


async def _serve(port: int, models: list[str]) -> None:
    loop = asyncio.get_running_loop()
    timer = Timer(loop)
    entry = {"object": "model", "created": 1_700_000_000, "owned_by": "perf"}
    listed = _json(
        b"200 OK", {"object": "list", "data": [{**entry, "id": name} for name in models]}
    )
    server = await loop.create_server(
        lambda: _Connection(timer, listed), "127.0.0.1", port, backlog=1024
    )
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model", action="append", default=[], help="a model to list")
    arguments = parser.parse_args()
    uvloop.run(_serve(arguments.port, arguments.model))
