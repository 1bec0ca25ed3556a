"""Assistants as they are stored and passed around."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Assistant"]


@dataclass(frozen=True, slots=True)
class Assistant:
    """A row of ``assistants``. ``tools``, ``tool_resources`` and ``response_format`` are as
    OpenAI's wire has them. Times are unix milliseconds."""

    key: int
    id: str
    owner_id: str
    created_at: int
    name: str | None
    description: str | None
    model: str
    instructions: str | None
    tools: Sequence[Mapping[str, Any]]
    tool_resources: Mapping[str, Any] | None
    metadata: Mapping[str, str]
    temperature: float | None
    top_p: float | None
    response_format: Any
