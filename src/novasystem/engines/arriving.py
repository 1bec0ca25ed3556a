"""When a request left, and when the system delivered each piece of its answer.

Both are stamped at the socket, not by who asks or reads.

Where hundreds of answers come at once, a task that waits for its piece runs only after all that
came with it were read and taken apart. What is measured must not hold that against the engine.
"""

import asyncio
import time
from collections import deque
from functools import partial
from typing import Any, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler

__all__ = ["Marks", "TimedBody", "marks_of", "note_arrivals"]

_ONE_WRITE_BYTES = 16 * 1024
_WRITE_NS = 250_000

Marks = deque[tuple[int, int]]
"""Of each read of an answer's body: how far into the body it went, and ``perf_counter_ns``."""


class TimedBody(aiohttp.BytesPayload):
    """A JSON body that notes when its last byte was written.

    A small one is handed to the system in one call, which takes some microseconds. Where much more
    has passed when it returns, another program had the processor, mostly the one that the request
    woke: the request had left before.
    """

    sent_at_ns = 0

    def __init__(self, value: bytes) -> None:
        # Past BytesPayload's own, which warns of bodies over 1 MiB; this one is in memory anyway.
        aiohttp.Payload.__init__(self, value, content_type="application/json")
        self._size = len(value)

    async def write_with_length(self, writer: Any, content_length: int | None) -> None:
        before_ns = time.perf_counter_ns()
        await super().write_with_length(writer, content_length)
        self.sent_at_ns = time.perf_counter_ns()
        if len(self._value) <= _ONE_WRITE_BYTES:
            self.sent_at_ns = min(self.sent_at_ns, before_ns + _WRITE_NS)


class _Noting(ResponseHandler):
    """aiohttp's own, and of each read it notes when it came."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.noted: tuple[aiohttp.StreamReader, Marks] | None = None
        self._came = 0

    def data_received(self, data: bytes) -> None:
        at_ns = time.perf_counter_ns()
        super().data_received(data)
        body = self._payload
        if body is None:
            return
        if self.noted is None or self.noted[0] is not body:
            self.noted = body, deque()
            self._came = 0
        came = body.total_bytes
        if came > self._came:
            self._came = came
            self.noted[1].append((came, at_ns))

    def resume_reading(self, resume_parser: bool = True) -> None:
        # aiohttp does so with each piece that is taken, and then looks through nothing again.
        if self._reading_paused:
            super().resume_reading(resume_parser)


def note_arrivals(connector: aiohttp.BaseConnector, loop: asyncio.AbstractEventLoop) -> None:
    """From now on, of every answer over a connection that is opened."""
    connector._factory = cast("partial[ResponseHandler]", partial(_Noting, loop=loop))


def marks_of(response: aiohttp.ClientResponse) -> Marks | None:
    """Those of this answer, which grow as it comes; ``None`` where they are not noted."""
    noted = getattr(response._protocol, "noted", None)
    if noted is None or noted[0] is not response.content:
        return None
    marks: Marks = noted[1]
    return marks
