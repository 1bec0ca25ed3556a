"""Nova's door from the command line: that of the server that runs, or one of our own.

Both are asked the same way, with requests; our own takes them without a socket.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from novasystem.engines.sse import SseSplitter
from novasystem.errors import EngineUnavailable, InvalidRequest, NovaError, RunFailed
from novasystem.settings import Settings

if TYPE_CHECKING:
    from aiohttp import ClientSession
    from fastapi import FastAPI

__all__ = ["Door", "opened_door", "own_door"]

_CONNECT_S = 5.0
_WRONG = {400, 404, 413, 422}


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    headers: Mapping[str, str]
    pieces: AsyncGenerator[bytes, None]


class _Transport(Protocol):
    def request(
        self, method: str, path: str, body: Mapping[str, Any]
    ) -> "contextlib.AbstractAsyncContextManager[_Reply]": ...


class Door:
    """``where``: whose door it is, to be shown."""

    def __init__(self, transport: _Transport, where: str) -> None:
        self._transport = transport
        self.where = where

    async def ask(self, body: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """The ask's events; the last one is ``done``. One that is left early is cancelled.

        Raises what the door says: ``InvalidRequest`` for a request that is wrong, and otherwise
        ``RunFailed`` with the door's code.
        """
        run_id = ""
        over = False
        try:
            asked = self._transport.request("POST", "/api/nova/ask", {**body, "stream": True})
            async with asked as reply:
                if reply.status != 200:
                    over = True
                    raise await _refusal(reply)
                run_id = reply.headers.get("x-run-id", "")
                splitter = SseSplitter(64 * 1024 * 1024)
                async for piece in reply.pieces:
                    for frame in splitter.feed(piece):
                        event = orjson.loads(frame.data)
                        if event["type"] in {"done", "error"}:
                            over = True
                        if event["type"] == "error":
                            raise _failed(event)
                        yield event
            if not over:
                raise EngineUnavailable("nova", "The answer broke off before its end.")
        finally:
            if run_id and not over:
                # Whoever leaves with Ctrl-C wants it to end, and not only to be out of sight.
                await asyncio.shield(self._cancel(run_id))

    async def _cancel(self, run_id: str) -> None:
        with contextlib.suppress(NovaError):
            await self._told("POST", f"/api/nova/asks/{run_id}/cancel")

    async def delete(self, session_id: str) -> None:
        """Take a session away, with all that was said in it."""
        await self._told("DELETE", f"/api/nova/sessions/{session_id}")

    async def _told(self, method: str, path: str) -> None:
        async with self._transport.request(method, path, {}) as reply:
            if reply.status >= 400:
                raise await _refusal(reply)
            async for _ in reply.pieces:
                pass


async def _refusal(reply: _Reply) -> NovaError:
    said = b"".join([piece async for piece in reply.pieces])
    try:
        told = orjson.loads(said)
        message, code, hint = str(told["detail"]), str(told["code"]), str(told.get("hint", ""))
    except (orjson.JSONDecodeError, KeyError, TypeError):
        message, code, hint = f"The door answered with status {reply.status}.", "refused", ""
    if reply.status in _WRONG:
        return InvalidRequest(message, hint=hint)
    failed = _failed({"code": code, "message": message})
    failed.hint = hint
    return failed


def _failed(said: Mapping[str, Any]) -> NovaError:
    code, message = str(said["code"]), str(said["message"])
    if code.startswith("engine_") or code in {"overloaded", "model_not_found"}:
        # The code that the command ends with is that of an engine's failure.
        failed: NovaError = EngineUnavailable("nova", message)
        failed.code = code
        return failed
    return RunFailed(code, message)


@asynccontextmanager
async def own_door(settings: Settings) -> AsyncIterator[Door]:
    """A door of our own, whose data are those of the settings."""
    from novasystem.app import create_app

    app = create_app(settings)
    # It makes what is asked for, and nothing ahead.
    app.state.ahead = False
    async with app.router.lifespan_context(app):
        yield Door(_Here(app, _headers(settings)), "this process")


@asynccontextmanager
async def opened_door(settings: Settings, server: str | None) -> AsyncIterator[Door]:
    """The door at ``server``, else that of the server that works on the data of the settings, else
    one of our own, which is closed at the end."""
    from novasystem.benchmarks.local import server_is_running

    if server is None and await asyncio.to_thread(server_is_running, settings):
        host = "127.0.0.1" if settings.host in {"0.0.0.0", "::"} else settings.host
        host = f"[{host}]" if ":" in host else host
        server = f"http://{host}:{settings.port}"
    if server is not None:
        async with _there(server.rstrip("/"), settings) as transport:
            yield Door(transport, server)
        return
    async with own_door(settings) as door:
        yield door


def _headers(settings: Settings) -> dict[str, str]:
    headers = {"content-type": "application/json"}
    if settings.api_keys:
        headers["authorization"] = f"Bearer {settings.api_keys[0].get_secret_value()}"
    return headers


@asynccontextmanager
async def _there(server: str, settings: Settings) -> AsyncIterator["_There"]:
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S)
    async with aiohttp.ClientSession(timeout=timeout, headers=_headers(settings)) as session:
        yield _There(server, session)


class _There:
    """A server, asked over HTTP."""

    def __init__(self, server: str, session: "ClientSession") -> None:
        self._server = server
        self._session = session

    @asynccontextmanager
    async def request(
        self, method: str, path: str, body: Mapping[str, Any]
    ) -> AsyncIterator[_Reply]:
        import aiohttp

        try:
            async with self._session.request(
                method, self._server + path, data=orjson.dumps(body)
            ) as answer:

                async def pieces() -> AsyncGenerator[bytes, None]:
                    async for piece in answer.content.iter_any():
                        yield piece

                async with contextlib.aclosing(pieces()) as read:
                    yield _Reply(answer.status, answer.headers, read)
        except (aiohttp.ClientError, aiohttp.InvalidURL, OSError, TimeoutError) as error:
            said = str(error).partition("\n")[0] or type(error).__name__
            raise EngineUnavailable(
                "nova",
                f"The server at {self._server} does not answer: {said}.",
                hint="'--server URL' says where it listens; another 'nova ask' that works on the "
                "same data is to be waited for.",
            ) from error


class _Here:
    """The application in this process, asked as its server would."""

    def __init__(self, app: "FastAPI", headers: Mapping[str, str]) -> None:
        self._app = app
        self._headers = {"host": "localhost", **headers}

    @asynccontextmanager
    async def request(
        self, method: str, path: str, body: Mapping[str, Any]
    ) -> AsyncIterator[_Reply]:
        data = orjson.dumps(body)
        sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        left = asyncio.Event()
        asked = False

        async def receive() -> dict[str, Any]:
            nonlocal asked
            if not asked:
                asked = True
                return {"type": "http.request", "body": data, "more_body": False}
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.put_nowait(dict(message))

        headers = {**self._headers, "content-length": str(len(data))}
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", os.getpid() % 65536),
            "server": ("127.0.0.1", 0),
            "state": {},
        }
        working = asyncio.create_task(self._app(scope, receive, send))
        working.add_done_callback(lambda _: sent.put_nowait({"type": "over"}))

        async def pieces() -> AsyncGenerator[bytes, None]:
            while True:
                message = await sent.get()
                if message["type"] == "over":
                    return
                if message["type"] == "http.response.body":
                    yield message.get("body", b"")
                    if not message.get("more_body", False):
                        return

        try:
            begun = await sent.get()
            if begun["type"] != "http.response.start":
                working.result()
                raise RunFailed("internal_error", "The door gave no answer.")
            shown = {name.decode(): value.decode() for name, value in begun["headers"]}
            async with contextlib.aclosing(pieces()) as read:
                yield _Reply(begun["status"], shown, read)
        finally:
            left.set()
            await asyncio.wait([working], timeout=_CONNECT_S)
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
