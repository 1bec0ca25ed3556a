"""The wire to one address of an engine: connecting, sending, and what can go wrong with both."""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from contextvars import ContextVar
from functools import cache
from typing import Any
from urllib.parse import SplitResult, urlsplit

import aiohttp
import orjson

from novasystem.engines.arriving import TimedBody, note_arrivals
from novasystem.engines.reads import DRAIN_S, Reads, broken
from novasystem.engines.requests import TimeLimits
from novasystem.errors import (
    ConfigurationError,
    EngineProtocolError,
    EngineRejected,
    EngineTimeout,
    EngineUnavailable,
    InvalidRequest,
)

__all__ = ["Transport", "checked_address", "error_text"]

_MAX_ERROR_BYTES = 64 * 1024
_MAX_ANSWER_BYTES = 256 * 1024 * 1024


class _Opening:
    """Whether a connection was opened for the request that is being sent."""

    __slots__ = ("opened",)

    def __init__(self) -> None:
        self.opened = False


# aiohttp's tracing tells this too, at the price of a dozen calls a request.
_opening: ContextVar[_Opening] = ContextVar("_opening")


class _TcpConnector(aiohttp.TCPConnector):
    async def _create_connection(self, *args: Any) -> Any:
        _opening.get().opened = True
        return await super()._create_connection(*args)


class _UnixConnector(aiohttp.UnixConnector):
    async def _create_connection(self, *args: Any) -> Any:
        _opening.get().opened = True
        return await super()._create_connection(*args)


class Transport:
    """HTTP to one address of one engine.

    ``reuse``: whether connections are kept; llama.cpp's server closes each after a streamed answer
    although it announces that it will not. Where they are kept, a request that finds its connection
    closed before any byte of an answer is sent once more, on a fresh one. ``exact``: arrivals are
    stamped at the socket, read by read, which costs a little more.
    """

    def __init__(
        self,
        engine: str,
        base_url: str,
        *,
        headers: Mapping[str, str] | None = None,
        unix_socket: str | None = None,
        reuse: bool = True,
        exact: bool = False,
    ) -> None:
        self.engine = engine
        self.where = unix_socket or base_url
        self._base_url = base_url.rstrip("/")
        self._headers = {"Accept-Encoding": "identity", **(headers or {})}
        self._unix_socket = unix_socket
        self._reuse = reuse
        self._exact = exact
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def get_json(self, path: str, limits: TimeLimits) -> Any:
        with await self.open("GET", path, None, limits) as reads:
            return await self._read_json(reads)

    async def post_json(self, path: str, body: object, limits: TimeLimits) -> Any:
        with await self.open("POST", path, body, limits) as reads:
            return await self._read_json(reads)

    async def aclose(self) -> None:
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()

    async def open(self, method: str, path: str, body: object, limits: TimeLimits) -> Reads:
        """Send ``body``, and return the answer on its way; leaving it ends the generation."""
        started_at = asyncio.get_running_loop().time()
        try:
            payload = None if body is None else orjson.dumps(body)
        except TypeError as error:
            # Numbers beyond 64 bits, and what is nested more than 254 deep.
            raise InvalidRequest(f"The request cannot be sent as JSON: {error}.") from error
        response, sent_at_ns, reused = await self._send(method, path, payload, limits)
        if response.status >= 400:
            try:
                raise await self._rejection(response, path)
            finally:
                response.close()
        return Reads(
            self.engine,
            self.where,
            response,
            limits,
            started_at=started_at,
            sent_at_ns=sent_at_ns,
            reused=reused,
        )

    async def _send(
        self, method: str, path: str, payload: bytes | None, limits: TimeLimits
    ) -> tuple[aiohttp.ClientResponse, int, bool]:
        fresh = not self._reuse
        # Until the engine answers at all, the smaller of two limits counts.
        by_total = limits.total_s < limits.first_token_s
        limit_s = limits.total_s if by_total else limits.first_token_s
        while True:
            opening = _Opening()
            _opening.set(opening)
            data = None if payload is None else TimedBody(payload)
            try:
                async with asyncio.timeout(limit_s):
                    response = await self._session(fresh).request(
                        method,
                        self._base_url + path,
                        data=data,
                        allow_redirects=False,
                        timeout=_client_timeout(limits.connect_s),
                    )
            except (aiohttp.ServerTimeoutError, aiohttp.ConnectionTimeoutError) as error:
                raise EngineTimeout(
                    self.engine, "connect", limits.connect_s, where=self.where
                ) from error
            except TimeoutError as error:
                raise EngineTimeout(
                    self.engine,
                    "total" if by_total else "first_token",
                    limit_s,
                    where=self.where,
                ) from error
            except aiohttp.ClientConnectorCertificateError as error:
                raise EngineUnavailable(
                    self.engine,
                    f"Engine '{self.engine}' at {self.where} shows a certificate that is not "
                    f"trusted: {_fault(error.certificate_error)}.",
                    hint="Name its authority's certificate in the variable SSL_CERT_FILE, "
                    "or check the address.",
                    reached=False,
                ) from error
            except aiohttp.ClientConnectorError as error:
                raise EngineUnavailable(
                    self.engine,
                    f"Engine '{self.engine}' does not answer at {self.where}: {error.strerror}.",
                    hint="Is it running? 'nova doctor' shows what was found.",
                    reached=False,
                ) from error
            except (aiohttp.ClientError, OSError) as error:
                if not opening.opened and not fresh and _before_any_byte(error):
                    fresh = True
                    continue
                if isinstance(error, aiohttp.ClientResponseError):
                    raise EngineProtocolError(
                        self.engine,
                        f"Engine '{self.engine}' at {self.where} does not speak HTTP: {error}.",
                        hint="Check the address and port.",
                    ) from error
                raise broken(self.engine, self.where, error) from error
            sent_at_ns = data.sent_at_ns if data is not None else 0
            return response, sent_at_ns or time.perf_counter_ns(), not opening.opened

    def _session(self, fresh: bool) -> aiohttp.ClientSession:
        session = self._sessions.get(fresh)
        if session is None:
            connector: aiohttp.BaseConnector
            if self._unix_socket:
                connector = _UnixConnector(self._unix_socket, limit=0, force_close=fresh)
            else:
                connector = _TcpConnector(limit=0, force_close=fresh)
            if self._exact:
                note_arrivals(connector, asyncio.get_running_loop())
            session = self._sessions[fresh] = aiohttp.ClientSession(
                connector=connector,
                headers=self._headers,
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
        return session

    async def _read_json(self, reads: Reads) -> Any:
        parts: list[bytes] = []
        size = 0
        while data := await reads.read():
            parts.append(data)
            size += len(data)
            if size > _MAX_ANSWER_BYTES:
                break
        try:
            return orjson.loads(b"".join(parts))
        except orjson.JSONDecodeError as error:
            raise EngineProtocolError(
                self.engine,
                f"Engine '{self.engine}' at {self.where} answered with what is not JSON: {error}.",
                hint="Check that the address is an API and not a web page.",
            ) from error

    async def _rejection(self, response: aiohttp.ClientResponse, path: str) -> EngineRejected:
        body = b""
        with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                while len(body) < _MAX_ERROR_BYTES and (data := await response.content.readany()):
                    body += data
        said = error_text(body) or response.reason or "no reason given"
        return EngineRejected(
            self.engine,
            response.status,
            f"Engine '{self.engine}' refused {path} with {response.status}: {said}",
        )


def checked_address(address: str) -> SplitResult:
    """The parts of an engine's address; ``ConfigurationError`` where it is none."""
    try:
        parts = urlsplit(address)
        if parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0:
            return parts
    except ValueError:
        pass
    msg = f"'{address}' is not an address of an engine."
    raise ConfigurationError(msg, hint="Write it like http://127.0.0.1:8080.")


def error_text(body: bytes | object) -> str:
    """What an error's body says, in any of the shapes that engines use."""
    value = body
    if isinstance(body, bytes):
        try:
            value = orjson.loads(body)
        except orjson.JSONDecodeError:
            # Mostly a page of HTML: on one line it can stand in a message.
            return " ".join(body[:500].decode("utf-8", "replace").split())
    for key in ("error", "message", "detail"):
        if isinstance(value, dict) and key in value:
            value = value[key]
    if isinstance(value, str):
        return value[:500]
    try:
        return orjson.dumps(value).decode()[:500]
    except TypeError:
        # It reads what is nested 1024 deep, and writes 254.
        return "an error that is nested too deeply to be shown"


@cache
def _client_timeout(connect_s: float) -> aiohttp.ClientTimeout:
    """Of aiohttp's own limits only the one on connecting; the others are kept by ``Reads``."""
    return aiohttp.ClientTimeout(total=None, sock_connect=connect_s, sock_read=None)


def _fault(error: Exception) -> str:
    return getattr(error, "verify_message", "") or str(error)


def _before_any_byte(error: Exception) -> bool:
    return isinstance(error, (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, OSError))
