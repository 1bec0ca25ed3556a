"""A thread's items as what engines are asked."""

from collections.abc import Iterable

from novasystem.engines.requests import Message, ToolCall
from novasystem.threads.records import Item

__all__ = ["to_messages"]


def to_messages(items: Iterable[Item], instructions: str | None = None) -> tuple[Message, ...]:
    """Calls that follow each other become one message of the assistant's.

    An incomplete answer is shown as it is: the user has seen it.
    """
    messages = [Message("system", instructions)] if instructions else []
    calls: list[ToolCall] = []
    for item in items:
        if item.kind == "tool_call":
            calls.append(ToolCall(item.call_id or item.id, item.name or "", item.content))
            continue
        if calls:
            messages.append(Message("assistant", "", tool_calls=tuple(calls)))
            calls = []
        if item.kind == "tool_result":
            messages.append(Message("tool", item.content, tool_call_id=item.call_id))
        elif item.content:
            messages.append(Message(item.role or "user", item.content))
    if calls:
        messages.append(Message("assistant", "", tool_calls=tuple(calls)))
    return tuple(messages)
