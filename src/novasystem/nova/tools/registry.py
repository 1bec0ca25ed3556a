"""Every tool there is: built in, of installed packages, and of the MCP servers of the settings.

An entry point of the group ``novasystem.tools`` names a :class:`Tool`, a list of them, or a
function without arguments that returns either.
"""

from collections.abc import Iterable, Mapping
from importlib import metadata
from typing import Any

import structlog

from novasystem.errors import NovaError, ToolFailed
from novasystem.nova.memory.memory import Memory
from novasystem.nova.tools.built_in import built_in
from novasystem.nova.tools.protocol import Asker, Tool
from novasystem.nova.tools.servers import Servers
from novasystem.settings import McpServer

__all__ = ["Tools"]

_GROUP = "novasystem.tools"

_log = structlog.get_logger(__name__)


class Tools:
    """The visible dictionary of tools. A name belongs to whoever had it first: what is built in,
    then packages, then servers."""

    def __init__(
        self,
        memory: Memory,
        servers: Mapping[str, McpServer] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._built_in = built_in(memory)
        self._servers = Servers(servers or {}, environment or {})
        self._added: dict[str, Tool] | None = None
        self._broken: dict[str, str] = {}
        self.problems: Mapping[str, str] = {}
        """Of each package or server that has none of its tools here: why. As last looked."""

    async def all(self) -> Mapping[str, Tool]:
        """Every tool that can be called now, by name."""
        if self._added is None:
            self._added = await self._packages()
        served, silent = await self._servers.tools()
        self.problems = {**self._broken, **silent}
        return {**served, **self._added, **self._built_in}

    async def _packages(self) -> dict[str, Tool]:
        found: dict[str, Tool] = {}
        for point in metadata.entry_points(group=_GROUP):
            source = f"package {point.dist.name}" if point.dist else f"entry point {point.name}"
            try:
                for tool in _tools(point.load()):
                    found.setdefault(
                        tool.name,
                        Tool(
                            tool.name,
                            tool.description,
                            tool.parameters,
                            tool.call,
                            tool.repeatable,
                            source,
                        ),
                    )
            except Exception as error:
                self._broken[source] = f"{type(error).__name__}: {error}"
                await _log.awarning("a package's tools cannot be used", source=source, why=error)
        return found

    async def call(self, name: str, arguments: Mapping[str, Any], asker: Asker) -> Any:
        """What the tool returns. Raises ``ToolFailed`` where there is none of that name, where the
        arguments do not fit its schema, and where it fails."""
        known = await self.all()
        tool = known.get(name)
        if tool is None:
            raise ToolFailed(name, f"there is no such tool. There are: {', '.join(sorted(known))}.")
        _check(tool, arguments)
        try:
            return await tool.call(asker, arguments)
        except NovaError:
            raise
        except Exception as error:
            # A package's own: its agent goes on without it, and the log says where it happened.
            await _log.aexception("a tool failed", tool=name, source=tool.source)
            raise ToolFailed(name, f"{type(error).__name__}: {error}.") from error

    async def aclose(self) -> None:
        """End what was started for tools."""
        await self._servers.aclose()


def _tools(named: Any) -> Iterable[Tool]:
    if callable(named) and not isinstance(named, Tool):
        named = named()
    tools = [named] if isinstance(named, Tool) else list(named)
    for tool in tools:
        if not isinstance(tool, Tool):
            msg = f"{tool!r} is no Tool"
            raise TypeError(msg)
    return tools


def _check(tool: Tool, arguments: Mapping[str, Any]) -> None:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    try:
        Draft202012Validator.check_schema(tool.parameters)
        wrong = best_match(Draft202012Validator(tool.parameters).iter_errors(dict(arguments)))
    except Exception as error:
        # It is another program's: wrong, or with a reference to somewhere else.
        said = str(error).partition("\n")[0][:300]
        raise ToolFailed(tool.name, f"its schema cannot be used: {said}.") from error
    if wrong is not None:
        where = ".".join(str(part) for part in wrong.absolute_path)
        # It begins with the value, which may be long.
        said = wrong.message if len(wrong.message) <= 300 else f"… {wrong.message[-300:]}"
        raise ToolFailed(tool.name, f"{f'argument {where!r}: ' if where else ''}{said}.")
