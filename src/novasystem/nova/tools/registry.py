"""Every tool there is: built in, of installed packages, and of the MCP servers of the settings."""

from collections.abc import Mapping
from typing import Any

from novasystem.errors import ToolFailed
from novasystem.nova.memory.memory import Memory
from novasystem.nova.tools.protocol import Asker, Tool
from novasystem.settings import McpServer

__all__ = ["Tools"]


class Tools:
    """The visible dictionary of tools."""

    def __init__(self, memory: Memory, servers: Mapping[str, McpServer] | None = None) -> None:
        self._memory = memory
        self._servers = dict(servers or {})

    async def all(self) -> Mapping[str, Tool]:
        """Every tool that can be called now, by name."""
        return {}

    async def call(self, name: str, arguments: Mapping[str, Any], asker: Asker) -> Any:
        """What the tool returns. Raises ``ToolFailed`` where there is none of that name, where the
        arguments do not fit its schema, and where it fails."""
        raise ToolFailed(name, "there is no such tool.")

    async def aclose(self) -> None:
        """End what was started for tools."""
