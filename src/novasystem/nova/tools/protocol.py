"""What a tool is, and who asks for it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Asker", "Call", "Tool"]


@dataclass(frozen=True, slots=True)
class Asker:
    """For whom a tool is called: an owner, in a thread, within a run."""

    owner_id: str
    thread_key: int
    run_id: str


Call = Callable[[Asker, Mapping[str, Any]], Awaitable[Any]]
"""Gets arguments that fit the tool's schema; what it returns can be written as JSON. Raises
``ToolFailed`` with a message that the model may read."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that an agent may call.

    ``parameters`` is a JSON schema of an object. ``repeatable``: whether a call that was
    interrupted can be made again, because it changes nothing. ``source``: where it comes from, to
    be shown: "built in", "package NAME" or "mcp NAME".
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    call: Call
    repeatable: bool = False
    source: str = "built in"
