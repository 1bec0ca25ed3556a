"""How the tests of the engines ask: one short request, and what came of it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from novasystem.engines.events import Event, ReasoningDelta, TextDelta
from novasystem.engines.ollama import OllamaEngine
from novasystem.engines.openai_http import OpenAIEngine
from novasystem.engines.protocol import Engine
from novasystem.engines.requests import GenerateRequest, Message, TimeLimits
from tests.servers.answers import (
    Step,
    json_answer,
    ndjson,
    ollama_stream,
    openai_chunk,
    openai_stream,
    sse,
)
from tests.servers.scripted import ScriptedServer, Seen

__all__ = ["LIMITS", "OLLAMA", "OPENAI", "WIRES", "Wire", "asked", "collect", "failure", "text"]

LIMITS = TimeLimits(connect_s=5, first_token_s=20, between_tokens_s=20, total_s=60)


@dataclass(frozen=True)
class Wire:
    """An engine that speaks HTTP and how a scripted server plays its other side."""

    name: str
    path: str
    make: Callable[[str], Engine]
    answer: Callable[..., list[Step]]
    """A whole good answer of these texts."""
    token: Callable[[str], object]
    """One chunk with this piece of text, for ``sent``."""
    empty: object
    """One chunk without any token."""
    ending: object
    sent: Callable[..., list[Step]]
    """A stream of these chunks and no more."""

    def __str__(self) -> str:
        return self.name

    @asynccontextmanager
    async def playing(
        self, server: ScriptedServer, *answers: Sequence[Step]
    ) -> AsyncIterator[Engine]:
        """An engine whose other side gives these answers; nothing of it may be left afterwards."""
        shown = json_answer(200, {"capabilities": ["completion"]}, keep_alive=False)
        server.on("POST", "/api/show", shown)
        server.on("POST", self.path, *answers)
        others = asyncio.all_tasks()
        engine = self.make(server.url)
        try:
            yield engine
        finally:
            await engine.aclose()
        await server.until(lambda s: s.open_connections == 0)
        assert not asyncio.all_tasks() - others

    def requests(self, server: ScriptedServer) -> list[Seen]:
        return [seen for seen in server.seen if seen.path == self.path]


def _lines(*lines: object, pause_s: float = 0.0) -> list[Step]:
    return ndjson(*lines, pause_s=pause_s)


def _events(*events: object, pause_s: float = 0.0) -> list[Step]:
    return sse(*events, done=False, pause_s=pause_s)


def _line(content: str) -> dict[str, Any]:
    return {"model": "m", "message": {"role": "assistant", "content": content}, "done": False}


OPENAI = Wire(
    name="openai",
    path="/v1/chat/completions",
    make=lambda url: OpenAIEngine("far", url, flavour="openai"),
    answer=openai_stream,
    token=lambda content: openai_chunk({"content": content}),
    empty=openai_chunk({"role": "assistant", "content": ""}),
    ending=openai_chunk({}, finish="stop"),
    sent=_events,
)
OLLAMA = Wire(
    name="ollama",
    path="/api/chat",
    make=lambda url: OllamaEngine("far", url),
    answer=ollama_stream,
    token=_line,
    empty=_line(""),
    ending=_line("") | {"done": True, "done_reason": "stop"},
    sent=_lines,
)
WIRES = [OPENAI, OLLAMA]


def asked(limits: TimeLimits = LIMITS, **more: Any) -> GenerateRequest:
    return GenerateRequest("m", (Message("user", "Hi"),), limits=limits, **more)


async def collect(engine: Engine, request: GenerateRequest | None = None) -> list[Event]:
    async with aclosing(engine.generate(request or asked())) as events:
        return [event async for event in events]


async def failure(
    engine: Engine, request: GenerateRequest | None = None
) -> tuple[list[Event], Exception]:
    """The events that came before the error, and the error."""
    got: list[Event] = []
    try:
        async with aclosing(engine.generate(request or asked())) as events:
            async for event in events:
                got.append(event)
    except Exception as error:
        return got, error
    raise AssertionError(f"no error, but {got}")


def text(events: Sequence[Event]) -> str:
    return "".join(e.text for e in events if isinstance(e, (TextDelta, ReasoningDelta)))
