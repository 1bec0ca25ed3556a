"""How the contract asks an engine, and how it reads the answer."""

import json
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

from novasystem.engines.events import (
    Event,
    Finished,
    TextDelta,
    ToolCallDelta,
)
from novasystem.engines.requests import (
    GenerateRequest,
    Message,
    Sampling,
    TimeLimits,
    Tool,
)
from tests.contract.conftest import MODEL, Subject

__all__ = [
    "CITY",
    "ENDLESS",
    "GREEDY",
    "LIMITS",
    "TOOLS",
    "answer",
    "asked",
    "calls",
    "reason",
    "text",
]

LIMITS = TimeLimits(connect_s=5, first_token_s=60, between_tokens_s=30, total_s=120)
GREEDY = Sampling(temperature=0.0, seed=0, max_tokens=24)
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Rome", "Oslo"]}},
    "required": ["city"],
}
TOOLS = (
    Tool("get_weather", "Tells the weather in a city.", CITY),
    Tool("get_time", "Tells the time in a city.", CITY),
)
ENDLESS = {"type": "array", "minItems": 200, "items": {"type": "boolean"}}


def asked(said: str = "Hi.", **more: Any) -> GenerateRequest:
    messages = more.pop("messages", (Message("user", said),))
    sampling = more.pop("sampling", GREEDY)
    return GenerateRequest(MODEL, messages, sampling=sampling, limits=LIMITS, **more)


async def answer(subject: Subject, request: GenerateRequest) -> list[Event]:
    async with aclosing(subject.engine.generate(request)) as events:
        return [event async for event in events]


def text(events: Sequence[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def reason(events: Sequence[Event]) -> str:
    last = events[-1]
    assert isinstance(last, Finished)
    return last.reason


def calls(events: Sequence[Event]) -> list[tuple[str, Any]]:
    pieces = [event for event in events if isinstance(event, ToolCallDelta)]
    found = []
    for index in sorted({piece.index for piece in pieces}):
        first, *more = [piece for piece in pieces if piece.index == index]
        assert first.id
        assert first.name
        arguments = first.arguments + "".join(piece.arguments for piece in more)
        found.append((first.name, json.loads(arguments)))
    return found
