"""Two ASGI responses that stop their work when the client leaves: a stream and a single answer.

Starlette's ``StreamingResponse`` sends each item by itself and its own SSE response costs about
five times as much per event; here whatever is queued goes out in one send, and everything a stream
needs besides (heartbeat, send limit, disconnect, a typed last event) costs nothing per event.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from novasystem.errors import MalformedRequest, NovaError
from novasystem.unexpected import as_nova_error

__all__ = ["AnswerResponse", "OpenStreams", "SseResponse", "StreamLimits", "last_event_id"]

_HIGH_WATER = 256 * 1024
_WATCH_AFTER_S = 0.05
# A comment and no empty line: some clients take that for an event once they have seen an id.
_PING = b": ping\n"


def last_event_id(request: Request) -> int:
    """Where a watcher wants to go on; 0: from the beginning.

    Raises ``MalformedRequest`` for what is no number of an event.
    """
    given = request.headers.get("last-event-id", "")
    if given and not (given.isascii() and given.isdigit() and len(given) < 10):
        raise MalformedRequest(
            f"Last-Event-ID '{given[:40]}' is not the id of an event.",
            hint="Send the last id that the stream gave, or none.",
            param="Last-Event-ID",
        )
    return int(given or 0)


class StreamLimits:
    """``heartbeat_s``: silence before a ping; ``send_s``: how long one send may take."""

    __slots__ = ("heartbeat_s", "send_s")

    def __init__(self, heartbeat_s: float = 15.0, send_s: float = 30.0) -> None:
        self.heartbeat_s = heartbeat_s
        self.send_s = send_s


class OpenStreams:
    """The streams that are open now, so that a shutdown can end them with a word."""

    def __init__(self) -> None:
        self._streams: set[SseResponse] = set()

    def __len__(self) -> int:
        return len(self._streams)

    def add(self, stream: "SseResponse") -> None:
        self._streams.add(stream)

    def discard(self, stream: "SseResponse") -> None:
        self._streams.discard(stream)

    def end(self, error: Exception) -> None:
        """End every stream with ``error`` as its last event."""
        for stream in list(self._streams):
            stream.end(error)


class SseResponse(Response):
    """Server-Sent Events out of an async generator of encoded events.

    The generator is closed when the client leaves, when a send takes too long, and at the end, so
    that what it works on stops. An error before anything was sent is raised, and so becomes an
    ordinary error response; one after that becomes the last event, made by ``on_error``. The first
    thing sent is the first item, or a ping where that takes longer than a heartbeat: a proxy gives
    up on a silent server, and a long prompt takes its time.
    """

    def __init__(
        self,
        source: AsyncGenerator[bytes, None],
        *,
        on_error: Callable[[NovaError], bytes],
        limits: StreamLimits,
        streams: OpenStreams,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers(
            {
                "content-type": "text/event-stream; charset=utf-8",
                "cache-control": "no-cache",
                "x-accel-buffering": "no",
                **(headers or {}),
            }
        )
        self._source = source
        self._on_error = on_error
        self._limits = limits
        self._streams = streams
        self._queue: list[bytes] = []
        self._queued = 0
        self._waiter: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self.ended = False
        """Whether the server ended it before its time."""
        self._over = False
        self._left = False
        self._error: Exception | None = None
        self._sent_at = 0.0
        self._sending = False
        self._pump_task: asyncio.Task[None] | None = None
        self._ticker: asyncio.TimerHandle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        self._sent_at = loop.time()
        self._pump_task = pump = loop.create_task(self._pump())
        watch = loop.create_task(self._watch(receive))
        every_s = min(self._limits.heartbeat_s, self._limits.send_s)
        self._ticker = loop.call_later(every_s, self._tick, loop, every_s, task)
        self._streams.add(self)
        try:
            await self._send_all(scope, send)
        except asyncio.CancelledError:
            if not self._left:
                raise
            # Cancelled by the ticker: the client takes nothing any more.
            task.uncancel()
        finally:
            self._over = True
            self._streams.discard(self)
            self._ticker.cancel()
            pump.cancel()
            watch.cancel()
            await asyncio.gather(pump, watch, return_exceptions=True)

    def end(self, error: Exception) -> None:
        """Stop the work and make ``error`` the last event."""
        self.ended = True
        if self._error is None:
            self._error = error
        if self._pump_task is not None:
            self._pump_task.cancel()

    async def _send_all(self, scope: Scope, send: Send) -> None:
        loop = asyncio.get_running_loop()
        while not self._queue and not self._over:
            await self._wait(loop)
        if self._left:
            return
        if self._error is not None and not self._queue:
            raise self._error
        await send(
            {"type": "http.response.start", "status": 200, "headers": self.raw_headers},
        )
        queue = self._queue
        while not self._left:
            if queue:
                data = queue[0] if len(queue) == 1 else b"".join(queue)
                queue.clear()
                self._queued = 0
                if self._room is not None and not self._room.done():
                    self._room.set_result(None)
                self._sent_at = loop.time()
                self._sending = True
                await send({"type": "http.response.body", "body": data, "more_body": True})
                self._sending = False
            elif self._over:
                last = b"" if self._error is None else self._failed(scope, self._error)
                await send({"type": "http.response.body", "body": last, "more_body": False})
                return
            else:
                await self._wait(loop)

    def _failed(self, scope: Scope, error: Exception) -> bytes:
        said = as_nova_error(error)
        scope["nova.error_code"] = said.code
        return self._on_error(said)

    async def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        self._waiter = loop.create_future()
        await self._waiter

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def _pump(self) -> None:
        """Move what the generator yields into the queue, and note how it ended."""
        queue = self._queue
        try:
            async with aclosing(self._source) as source:
                async for data in source:
                    queue.append(data)
                    self._queued += len(data)
                    self._wake()
                    if self._queued > _HIGH_WATER:
                        self._room = asyncio.get_running_loop().create_future()
                        await self._room
        except asyncio.CancelledError:
            if self._error is None:
                raise
        except Exception as error:
            if self._error is None:
                self._error = error
        finally:
            self._over = True
            self._wake()

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._left = True
        if self._pump_task is not None:
            self._pump_task.cancel()
        self._wake()

    def _tick(
        self, loop: asyncio.AbstractEventLoop, every_s: float, task: "asyncio.Task[Any]"
    ) -> None:
        """Look now and then: a ping into a silent stream, an end to a stalled send."""
        silent_s = loop.time() - self._sent_at
        if self._sending and silent_s >= self._limits.send_s:
            self._left = True
            task.cancel()
            return
        if not self._sending and silent_s >= self._limits.heartbeat_s * 0.99:
            self._queue.append(_PING)
            self._wake()
        self._ticker = loop.call_later(every_s, self._tick, loop, every_s, task)


class AnswerResponse(Response):
    """One JSON answer, made by ``work``, which is cancelled when the client leaves."""

    def __init__(
        self,
        work: Awaitable[bytes],
        *,
        headers: dict[str, str] | None = None,
        status_code: int = 200,
    ) -> None:
        self.status_code = status_code
        self.background = None
        self.init_headers({"content-type": "application/json", **(headers or {})})
        self._work = work
        self._left = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        watch: list[asyncio.Task[None]] = []
        # Most answers are there before a task that waits for the client to leave would pay.
        timer = loop.call_later(
            _WATCH_AFTER_S, lambda: watch.append(loop.create_task(self._watch(receive, task)))
        )
        try:
            body = await self._work
        except asyncio.CancelledError:
            if not self._left:
                raise
            task.uncancel()
            return
        finally:
            timer.cancel()
            for one in watch:
                one.cancel()
        headers = [*self.raw_headers, (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _watch(self, receive: Receive, task: "asyncio.Task[Any]") -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._left = True
        task.cancel()
