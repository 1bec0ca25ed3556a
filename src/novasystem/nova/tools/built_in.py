"""The tools that are always there."""

import datetime
from collections.abc import Mapping
from typing import Any

from novasystem.errors import ToolFailed
from novasystem.nova.memory.memory import Memory
from novasystem.nova.tools.arithmetic import calculate
from novasystem.nova.tools.protocol import Asker, Tool

__all__ = ["built_in"]


def _object(required: list[str], **properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


async def _calculate(_asker: Asker, arguments: Mapping[str, Any]) -> str:
    try:
        return calculate(arguments["expression"])
    except ValueError as error:
        raise ToolFailed("calculator", f"{error}.") from error


async def _time(_asker: Asker, arguments: Mapping[str, Any]) -> dict[str, str]:
    import zoneinfo

    name = arguments.get("timezone") or "UTC"
    try:
        zone = datetime.UTC if name == "UTC" else zoneinfo.ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ToolFailed(
            "current_time",
            f"there is no time zone '{name[:60]}'.",
            hint="Zones are named like Europe/Berlin, America/New_York or UTC.",
        ) from error
    now = datetime.datetime.now(zone)
    return {
        "time": now.isoformat(timespec="seconds"),
        "weekday": now.strftime("%A"),
        "timezone": name,
    }


class _Search:
    """Bound to the memory that it searches."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def __call__(self, asker: Asker, arguments: Mapping[str, Any]) -> list[dict[str, str]]:
        session = asker.thread_key if arguments.get("this_session_only") else None
        found = await self._memory.recall(
            asker.owner_id, arguments["query"], thread_key=session, limit=5
        )
        return [
            {
                "said_by": one.role,
                "at": datetime.datetime.fromtimestamp(
                    one.created_at / 1000, datetime.UTC
                ).isoformat(timespec="seconds"),
                "text": one.text[:2000],
            }
            for one in found
        ]


def built_in(memory: Memory) -> dict[str, Tool]:
    """The calculator, the clock, and the search in ``memory``, by name."""
    tools = (
        Tool(
            "calculator",
            "Calculates an arithmetic expression exactly, such as (3 + 4) * 2^10 or sqrt(2).",
            _object(["expression"], expression={"type": "string", "maxLength": 1000}),
            _calculate,
            repeatable=True,
        ),
        Tool(
            "current_time",
            "The date and time now, in a time zone such as Europe/Berlin; without one in UTC.",
            _object([], timezone={"type": "string", "maxLength": 100}),
            _time,
            repeatable=True,
        ),
        Tool(
            "search_memory",
            "Searches what the user and the assistant said earlier, in all sessions or this one.",
            _object(
                ["query"],
                query={"type": "string", "minLength": 1, "maxLength": 1000},
                this_session_only={"type": "boolean"},
            ),
            _Search(memory),
            repeatable=True,
        ),
    )
    return {tool.name: tool for tool in tools}
