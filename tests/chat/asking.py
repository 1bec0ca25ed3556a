"""A conversation, as its tests hold it."""

import uuid
from collections.abc import Mapping
from typing import Any

from tests.http.wire import Event, ask, opened

__all__ = ["CHAT", "content", "events_path", "new_conversation", "run_of", "say"]

CHAT = "/api/v1/chat"


def new_conversation() -> str:
    return str(uuid.uuid4())


def events_path(conversation: str) -> str:
    return f"{CHAT}/{conversation}/events"


def say(
    port: int, conversation: str, message: str, headers: Mapping[str, str] | None = None
) -> list[Event]:
    """One turn, to its end."""
    body = {"message": message, "conversation_id": conversation}
    with opened(port, CHAT, body, headers) as stream:
        assert stream.status == 200, stream.body()
        return stream.rest()


def content(events: list[Event]) -> str:
    """The text that a client shows in the end: ``replace`` takes the place of what was there."""
    text = ""
    for event in events:
        if event.name == "replace":
            text = event.json["content"]
        elif event.name == "chunk":
            text += event.json["content"]
    return text


def run_of(port: int, run_id: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    found: dict[str, Any] = ask(port, "GET", f"/api/runs/{run_id}", headers=headers).json
    return found
