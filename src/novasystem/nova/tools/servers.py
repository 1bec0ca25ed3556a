"""The MCP servers of the settings: connected at the first need, and again where they had died."""

import asyncio
import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import structlog

from novasystem.errors import ConfigurationError, ToolFailed
from novasystem.nova.tools.connection import Connection, Down
from novasystem.nova.tools.protocol import Asker, Tool
from novasystem.settings import McpServer

if TYPE_CHECKING:
    from mcp.types import CallToolResult
    from mcp.types import Tool as Listed

__all__ = ["Servers"]

_FRESH_S = 5.0
_DOWN_S = 10.0
_MAX_TOOLS = 200
_MAX_CHARS = 50_000
_ODD = re.compile(r"[^a-zA-Z0-9_-]+")

_log = structlog.get_logger(__name__)


class Servers:
    """All of them, by the names that the settings give them.

    ``environment``: where the variables are that ``token_env`` names. Raises
    ``ConfigurationError`` where one is not set.
    """

    def __init__(self, servers: Mapping[str, McpServer], environment: Mapping[str, str]) -> None:
        self._servers = {
            name: _Server(name, server, _token(name, server, environment))
            for name, server in servers.items()
        }

    async def tools(self) -> tuple[dict[str, Tool], dict[str, str]]:
        """What can be called now, by name; and of each server that is silent, why."""
        found: dict[str, Tool] = {}
        problems: dict[str, str] = {}
        names = list(self._servers)
        asked = (server.tools() for server in self._servers.values())
        for name, answer in zip(
            names, await asyncio.gather(*asked, return_exceptions=True), strict=True
        ):
            if isinstance(answer, Down | ValueError):
                problems[name] = str(answer)
            elif isinstance(answer, BaseException):
                raise answer
            else:
                found |= answer
        return found, problems

    async def aclose(self) -> None:
        await asyncio.gather(*(server.aclose() for server in self._servers.values()))


def _token(name: str, server: McpServer, environment: Mapping[str, str]) -> str | None:
    if server.token_env is None:
        return None
    token = environment.get(server.token_env)
    if not token:
        raise ConfigurationError(
            f"The variable '{server.token_env}', which mcp.{name}.token_env names, is not set.",
            hint="Set it to the server's token, or remove token_env.",
        )
    return token


class _Server:
    """One server, its connection while there is one, and what it offered a moment ago."""

    def __init__(self, name: str, settings: McpServer, token: str | None) -> None:
        self._name = name
        self._settings = settings
        self._token = token
        self._lock = asyncio.Lock()
        self._connection: Connection | None = None
        self._tools: dict[str, Tool] = {}
        self._fresh_until = float("-inf")
        self._down: Down | None = None
        self._down_until = float("-inf")

    async def tools(self) -> dict[str, Tool]:
        """Raises ``Down``, for a while from memory: nobody waits for a dead server each time."""
        async with self._lock:
            if time.monotonic() < self._fresh_until and not self._broken:
                return self._tools
            if self._down is not None and time.monotonic() < self._down_until:
                raise self._down
            try:
                listed = await self._listed()
            except Down as down:
                self._down, self._down_until = down, time.monotonic() + _DOWN_S
                await self._drop()
                await _log.awarning("a tools' server is silent", server=self._name, why=str(down))
                raise
            self._down = None
            self._tools = dict(self._tool(one) for one in listed[:_MAX_TOOLS])
            self._fresh_until = time.monotonic() + _FRESH_S
            return self._tools

    @property
    def _broken(self) -> bool:
        return self._connection is None or self._connection.broken

    async def _listed(self) -> "list[Listed]":
        for again in (True, False):
            known = not self._broken
            connection = await self._connected()
            try:
                return await connection.tools()
            except Down:
                # A connection from before may have died since; a new one tells.
                if not (known and again):
                    raise
                await self._drop()
        raise AssertionError

    async def _connected(self) -> Connection:
        if self._connection is not None and self._connection.broken:
            await self._drop()
        if self._connection is None:
            self._connection = Connection(self._settings, self._token)
            await self._connection.open()
        return self._connection

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.aclose()

    def _tool(self, listed: "Listed") -> tuple[str, Tool]:
        name = f"{_ODD.sub('_', self._name)}_{_ODD.sub('_', listed.name)}"[:64]
        hints = listed.annotations
        harmless = hints is not None and bool(hints.read_only_hint or hints.idempotent_hint)

        async def call(_asker: Asker, arguments: Mapping[str, Any]) -> Any:
            return await self._call(name, listed.name, arguments, harmless)

        described = (listed.description or listed.title or "").strip()[:1000]
        return name, Tool(name, described, listed.input_schema, call, harmless, f"mcp {self._name}")

    async def _call(
        self, name: str, theirs: str, arguments: Mapping[str, Any], harmless: bool
    ) -> Any:
        for again in (True, False):
            try:
                async with self._lock:
                    connection = await self._connected()
            except Down as down:
                raise ToolFailed(name, f"the server '{self._name}' is down: {down}.") from down
            try:
                return _output(name, await connection.call(theirs, arguments))
            except ValueError as error:
                raise ToolFailed(name, f"{error}.") from error
            except Down as down:
                if connection.broken and again and (harmless or not down.sent):
                    continue
                unsure = down.sent and not harmless
                raise ToolFailed(
                    name,
                    f"the server '{self._name}': {down}."
                    + (" Whether it did what was asked is not known." if unsure else ""),
                ) from down
        raise AssertionError

    async def aclose(self) -> None:
        await self._drop()


def _output(name: str, result: "CallToolResult") -> Any:
    """What the tool said: its structured result, else its text; the rest is named."""
    parts = [part.text if part.type == "text" else f"[{part.type}]" for part in result.content]
    text = "\n".join(parts)
    if len(text) > _MAX_CHARS:
        text = f"{text[:_MAX_CHARS]} … ({len(text) - _MAX_CHARS} more characters)"
    if result.is_error:
        raise ToolFailed(name, text or "it said no more than that.")
    structured = result.structured_content
    if structured is None or len(str(structured)) > _MAX_CHARS:
        return text
    if isinstance(structured, dict) and set(structured) == {"result"}:
        # As the official server wraps what is no object.
        return structured["result"]
    return structured
