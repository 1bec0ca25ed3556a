"""The chat door's events: ``chunk`` …, then ``done``, or ``error`` where it failed."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import orjson

from novasystem.engines.events import Event, TextDelta, Usage
from novasystem.errors import NovaError
from novasystem.http.errors import chat_error

__all__ = ["encode", "stream_error"]


async def encode(
    events: AsyncGenerator[Event, None], conversation_id: str
) -> AsyncGenerator[bytes, None]:
    """``usage.tokens`` counts what was generated; ``null`` where the engine does not say."""
    tokens: int | None = None
    async with aclosing(events):
        async for event in events:
            if isinstance(event, TextDelta):
                yield b'event: chunk\ndata: {"content":' + orjson.dumps(event.text) + b"}\n\n"
            elif isinstance(event, Usage):
                tokens = event.completion_tokens
    done = {"conversation_id": conversation_id, "usage": {"tokens": tokens}}
    yield b"event: done\ndata: " + orjson.dumps(done) + b"\n\n"


def stream_error(error: NovaError) -> bytes:
    return b"event: error\ndata: " + orjson.dumps(chat_error(error, streaming=True)) + b"\n\n"
