"""A connection to one MCP server: a task of its own that opens it, holds it and closes it.

The official client wants to be left in the task that entered it, so that calls come from others.
"""

import asyncio
import contextlib
import importlib
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TextIO

from novasystem import __version__
from novasystem.settings import McpServer

if TYPE_CHECKING:
    from mcp import Client
    from mcp.types import Tool as Listed

__all__ = ["Connection", "Down"]

_CLOSE_S = 10.0
_MAX_PAGES = 20
_TAIL_BYTES = 2_000
_CLOSED = -32000
"""The code of the official client's error for a connection that has ended."""


class Down(Exception):
    """The server cannot be reached, or not any more. ``sent``: whether a call may have arrived."""

    def __init__(self, why: str, *, sent: bool = False) -> None:
        super().__init__(why)
        self.sent = sent


class Connection:
    """One connection; when it has broken, another is made."""

    def __init__(self, server: McpServer, token: str | None) -> None:
        self._server = server
        self._token = token
        self._stop = asyncio.Event()
        self._errors = _Errors()
        self._task: asyncio.Task[None] | None = None
        self._client: Client | None = None
        self.broken = False

    async def open(self) -> None:
        """Raises ``Down`` that says why."""
        try:
            # Most of a second, and nothing that everybody needs.
            await asyncio.to_thread(importlib.import_module, "mcp")
        except ImportError:
            raise Down("it needs a package that is not installed: novasystem[mcp]") from None
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._hold(ready))
        try:
            await asyncio.shield(ready)
        except asyncio.CancelledError:
            # It ends by itself: to cancel the client's own task could leave its program behind.
            self._stop.set()
            raise

    async def _hold(self, ready: "asyncio.Future[None]") -> None:
        import anyio
        from mcp import Client
        from mcp.types import Implementation

        limit_s = self._server.timeout_s
        try:
            with anyio.CancelScope(deadline=anyio.current_time() + limit_s) as scope:
                async with contextlib.AsyncExitStack() as stack:
                    client = Client(
                        await self._transport(stack),
                        client_info=Implementation(name="novasystem", version=__version__),
                        cache=None,
                    )
                    await stack.enter_async_context(client)
                    scope.deadline = float("inf")
                    self._client = client
                    if not ready.done():
                        ready.set_result(None)
                    await self._stop.wait()
            if not ready.done():
                ready.set_exception(Down(self._because(f"it did not answer within {limit_s:g} s")))
        except Exception as error:
            if not ready.done():
                ready.set_exception(Down(self._because(_first_line(error))))
        finally:
            self.broken = True
            if ready.done() and not ready.cancelled():
                # Also where nobody waits any more.
                ready.exception()
            self._errors.close()

    async def _transport(self, stack: contextlib.AsyncExitStack) -> Any:
        if self._server.url is not None:
            import httpx2
            from mcp.client.streamable_http import streamable_http_client

            limit_s = self._server.timeout_s
            headers = {"authorization": f"Bearer {self._token}"} if self._token else None
            http = httpx2.AsyncClient(
                headers=headers, timeout=httpx2.Timeout(limit_s, read=max(300.0, limit_s))
            )
            await stack.enter_async_context(http)
            return streamable_http_client(self._server.url, http_client=http)
        from mcp import StdioServerParameters, stdio_client

        assert self._server.command is not None
        started = StdioServerParameters(
            command=self._server.command,
            args=list(self._server.args),
            env=dict(self._server.env),
        )
        return stdio_client(started, errlog=self._errors.open())

    def _because(self, why: str) -> str:
        said = self._errors.last_line
        return f"{why} (it said: {said})" if said else why

    async def tools(self) -> "list[Listed]":
        """Every tool that the server offers now. Raises ``Down``."""
        found: list[Listed] = []
        cursor: str | None = None
        for _ in range(_MAX_PAGES):
            page = await self._asked("list_tools", cursor=cursor)
            found += page.tools
            cursor = page.next_cursor
            if not cursor:
                break
        return found

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Any:
        """The server's ``CallToolResult``. Raises ``Down``, and ``ValueError`` where it refuses."""
        return await self._asked("call_tool", name=name, arguments=dict(arguments))

    async def _asked(self, method: str, **given: Any) -> Any:
        from mcp import MCPError

        client = self._client
        if self.broken or client is None:
            raise Down("the connection has ended")
        try:
            async with asyncio.timeout(self._server.timeout_s):
                return await getattr(client, method)(**given)
        except TimeoutError:
            limit_s = self._server.timeout_s
            raise Down(f"it did not answer within {limit_s:g} s", sent=True) from None
        except MCPError as error:
            if error.code == _CLOSED:
                self.broken = True
                raise Down(self._because("the connection broke"), sent=True) from error
            raise ValueError(_first_line(error)) from error
        except Exception as error:
            # Whatever a transport raises: what it was in the middle of is not known.
            self.broken = True
            raise Down(self._because(_first_line(error)), sent=True) from error

    async def aclose(self) -> None:
        """End it; a program that does not leave by itself is ended."""
        self._stop.set()
        task = self._task
        if task is None:
            return
        _, left = await asyncio.wait([task], timeout=_CLOSE_S)
        if left:
            task.cancel()
            await asyncio.wait([task], timeout=1)


class _Errors:
    """What a program writes to its standard error, of which the end is kept."""

    def __init__(self) -> None:
        self._tail = b""
        self._reading: int | None = None
        self._writing: TextIO | None = None

    def open(self) -> TextIO:
        self._reading, writing = os.pipe()
        os.set_blocking(self._reading, False)
        asyncio.get_running_loop().add_reader(self._reading, self._read)
        self._writing = os.fdopen(writing, "w")
        return self._writing

    def _read(self) -> None:
        assert self._reading is not None
        try:
            piece = os.read(self._reading, 65536)
        except BlockingIOError:
            return
        self._tail = (self._tail + piece)[-_TAIL_BYTES:]
        if not piece:
            asyncio.get_running_loop().remove_reader(self._reading)

    @property
    def last_line(self) -> str:
        if self._reading is not None:
            self._read()
        lines = self._tail.decode(errors="replace").strip().splitlines()
        return lines[-1].strip()[:300] if lines else ""

    def close(self) -> None:
        if self._writing is not None:
            self._writing.close()
            self._writing = None
        if self._reading is not None:
            asyncio.get_running_loop().remove_reader(self._reading)
            os.close(self._reading)
            self._reading = None


def _first_line(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error).strip().partition("\n")[0][:300] or type(error).__name__
