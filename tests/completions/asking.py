"""Short forms for what the tests of this folder ask again and again."""

import json
from typing import Any

from tests.http.doors import COMPLETIONS, Door
from tests.http.wire import Answer, ask, opened

__all__ = ["ASKED", "TOOL", "TURN", "WEATHER_CALL", "complete", "frames"]

TURN: list[dict[str, Any]] = [{"role": "user", "content": "Hi."}]
ASKED: dict[str, Any] = {"messages": TURN}
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
WEATHER_CALL: list[dict[str, Any]] = [
    {"index": 0, "id": "call_1", "type": "function"}
    | {"function": {"name": "get_weather", "arguments": ""}},
    {"index": 0, "function": {"arguments": '{"city": '}},
    {"index": 0, "function": {"arguments": '"Oslo"}'}},
]
"""A call as an engine streams it, in three pieces."""


def complete(door: Door, **parameters: Any) -> Answer:
    """Ask for a whole completion of one turn, with these parameters besides."""
    return ask(door.port, "POST", COMPLETIONS, {**ASKED, **parameters})


def frames(door: Door, **parameters: Any) -> list[dict[str, Any]]:
    """The chunks of a streamed completion; that ``[DONE]`` ends it is checked here."""
    with opened(door.port, COMPLETIONS, {**ASKED, "stream": True, **parameters}) as stream:
        *chunks, done = stream.rest()
    assert done.data == "[DONE]"
    assert all(not chunk.name for chunk in chunks), "no event: lines"
    return [json.loads(chunk.data) for chunk in chunks]
