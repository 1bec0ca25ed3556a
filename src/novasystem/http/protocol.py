"""Uvicorn's HTTP protocol with the limits it lacks: on the head's size and on slow clients.

Out of the box a head may have 20 MB, a client may take for ever to send one, and one that does not
read its answer holds its connection, and all that waits for it, as long as it likes.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["limited_protocol"]

MAX_HEAD_BYTES = 64 * 1024
_REFUSED = (
    b"HTTP/1.1 %s\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: %d\r\nconnection: close\r\n\r\n%s"
)

_TOO_LARGE = (b"431 Request Header Fields Too Large", b"The head is too large.")


def limited_protocol(
    *, head_s: float, body_s: float, send_s: float, max_head_bytes: int = MAX_HEAD_BYTES
) -> type[HttpToolsProtocol]:
    """A protocol class for ``uvicorn.Config(http=…)``.

    ``head_s``: from a connection's, or a request's, first byte to the end of its head; ``body_s``:
    between two pieces of a body; ``send_s``: how long a client may take nothing of its answer.
    """

    # One timer a connection that looks at a deadline now and then: a request costs no timer.
    look_s = min(head_s, body_s) / 4

    class LimitedProtocol(HttpToolsProtocol):
        _head_bytes = 0
        _in_head = True
        _refused = False
        _late_at: float | None = None
        _what = b"head"
        _looking: asyncio.TimerHandle | None = None
        _write_timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._late_at = self.loop.time() + head_s
            self._looking = self.loop.call_later(look_s, self._look)

        def data_received(self, data: bytes) -> None:
            if self._in_head:
                self._head_bytes += len(data)
            super().data_received(data)
            if self._in_head and self._head_bytes > max_head_bytes:
                self._refuse(*_TOO_LARGE)

        def on_message_begin(self) -> None:
            self._late_at, self._what = self.loop.time() + head_s, b"head"
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            # The read that ended the head may have brought a body too: count the head alone.
            if self._head_bytes > max_head_bytes:
                size = sum(len(name) + len(value) for name, value in self.headers)
                if size + len(self.url) > max_head_bytes:
                    self._refuse(*_TOO_LARGE)
                    return
            self._in_head = False
            self._late_at, self._what = self.loop.time() + body_s, b"body"
            super().on_headers_complete()

        def on_body(self, body: bytes) -> None:
            if not self._refused:
                self._late_at = self.loop.time() + body_s
                super().on_body(body)

        def on_message_complete(self) -> None:
            if not self._refused:
                self._late_at = None
                self._in_head = True
                self._head_bytes = 0
                super().on_message_complete()

        def pause_writing(self) -> None:
            super().pause_writing()
            if self._write_timer is None:
                self._write_timer = self.loop.call_later(send_s, self._abort)

        def resume_writing(self) -> None:
            super().resume_writing()
            if self._write_timer is not None:
                self._write_timer.cancel()
                self._write_timer = None

        def connection_lost(self, exc: Exception | None) -> None:
            for timer in (self._looking, self._write_timer):
                if timer is not None:
                    timer.cancel()
            super().connection_lost(exc)

        def _look(self) -> None:
            now = self.loop.time()
            if self._late_at is not None and now >= self._late_at:
                if not self.flow.read_paused:
                    said = b"The " + self._what + b" of the request is late."
                    self._refuse(b"408 Request Timeout", said)
                    return
                # It is us who do not read: the application has not taken what there is.
                self._late_at = now + body_s
            self._looking = self.loop.call_later(look_s, self._look)

        def _refuse(self, status: bytes, said: bytes) -> None:
            self._refused = True
            if not self.transport.is_closing():
                self.transport.write(_REFUSED % (status, len(said), said))
                self.transport.close()

        def _abort(self) -> None:
            self.transport.abort()

    return LimitedProtocol
