"""Threads and their items as they are stored and passed around."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Item", "ItemKind", "ItemStatus", "NewItem", "Thread"]

ItemKind = Literal["message", "tool_call", "tool_result"]
ItemStatus = Literal["in_progress", "completed", "incomplete"]


@dataclass(frozen=True, slots=True)
class Thread:
    """An ordered list of items. ``id`` is the stored UUID, without hyphens; each door writes it
    its own way. ``active_run``: the run that holds it. Times are unix milliseconds."""

    key: int
    id: str
    owner_id: str
    created_at: int
    updated_at: int
    metadata: Mapping[str, str]
    tool_resources: Mapping[str, Any] | None
    active_run: str | None
    last_position: int


@dataclass(frozen=True, slots=True)
class NewItem:
    """What is to be added at a thread's end; ``call_id`` and ``name`` belong to tool calls.

    ``content`` is the text of a message, the arguments of a call (JSON text) or its result.
    """

    kind: ItemKind
    content: str
    role: Literal["user", "assistant"] | None = None
    id: str | None = None
    status: ItemStatus = "completed"
    token_count: int | None = None
    token_count_exact: bool = False
    run_id: str | None = None
    assistant_id: str | None = None
    call_id: str | None = None
    name: str | None = None
    attachments: list[Any] | None = None
    metadata: Mapping[str, str] | None = None
    created_at: int | None = None
    """``None``: when it is stored."""
    incomplete_reason: str | None = None
    ended_at: int | None = None
    """When it was complete, or not any more; ``None``: when it is stored."""


@dataclass(frozen=True, slots=True)
class Item:
    """A row of ``items``. ``token_count``: by the engine's own count where it is exact."""

    key: int
    id: str
    thread_key: int
    position: int
    kind: ItemKind
    role: Literal["user", "assistant"] | None
    content: str
    status: ItemStatus
    incomplete_reason: str | None
    created_at: int
    completed_at: int | None
    incomplete_at: int | None
    token_count: int | None
    token_count_exact: bool
    run_id: str | None
    assistant_id: str | None
    call_id: str | None
    name: str | None
    attachments: list[Any] | None
    metadata: Mapping[str, str]
