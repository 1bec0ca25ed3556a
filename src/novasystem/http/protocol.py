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

    class LimitedProtocol(HttpToolsProtocol):
        _head_bytes = 0
        _in_head = True
        _refused = False
        _read_timer: asyncio.TimerHandle | None = None
        _write_timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._read_timer = self.loop.call_later(head_s, self._too_slow, b"head")

        def data_received(self, data: bytes) -> None:
            if self._in_head:
                self._head_bytes += len(data)
                if self._read_timer is None:
                    self._read_timer = self.loop.call_later(head_s, self._too_slow, b"head")
            super().data_received(data)
            if self._in_head and self._head_bytes > max_head_bytes:
                self._refuse(*_TOO_LARGE)

        def on_headers_complete(self) -> None:
            # The read that ended the head may have brought a body too: count the head alone.
            if self._head_bytes > max_head_bytes:
                size = sum(len(name) + len(value) for name, value in self.headers)
                if size + len(self.url) > max_head_bytes:
                    self._refuse(*_TOO_LARGE)
                    return
            self._in_head = False
            self._rearm(body_s, b"body")
            super().on_headers_complete()

        def on_body(self, body: bytes) -> None:
            if not self._refused:
                self._rearm(body_s, b"body")
                super().on_body(body)

        def on_message_complete(self) -> None:
            if not self._refused:
                self._cancel_read()
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
            self._cancel_read()
            if self._write_timer is not None:
                self._write_timer.cancel()
            super().connection_lost(exc)

        def _rearm(self, after_s: float, what: bytes) -> None:
            self._cancel_read()
            self._read_timer = self.loop.call_later(after_s, self._too_slow, what)

        def _cancel_read(self) -> None:
            if self._read_timer is not None:
                self._read_timer.cancel()
                self._read_timer = None

        def _too_slow(self, what: bytes) -> None:
            self._read_timer = None
            if self.flow.read_paused:
                # It is us who do not read: the application has not taken what there is.
                self._rearm(body_s, what)
                return
            self._refuse(b"408 Request Timeout", b"The " + what + b" of the request is late.")

        def _refuse(self, status: bytes, said: bytes) -> None:
            self._refused = True
            if not self.transport.is_closing():
                self.transport.write(_REFUSED % (status, len(said), said))
                self.transport.close()

        def _abort(self) -> None:
            self.transport.abort()

    return LimitedProtocol
