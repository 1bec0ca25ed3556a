"""Benchmarks as HTTP shows them: JSON, and unnamed events each with an id."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import orjson

from novasystem.benchmarks.records import Benchmark
from novasystem.errors import NovaError
from novasystem.runs.records import Committed, Event, Rewound, Seen
from novasystem.runs.state import ENDED

__all__ = ["encode_events", "event_error", "message", "shown"]


def shown(benchmark: Benchmark) -> dict[str, Any]:
    """As the doors give it: whose it is stays out."""
    body: dict[str, Any] = benchmark.model_dump(mode="json", exclude={"owner_id"})
    return body


def message(event_id: str, body: dict[str, Any]) -> bytes:
    return b"id: %s\ndata: %s\n\n" % (event_id.encode(), orjson.dumps(body))


async def encode_events(
    events: AsyncGenerator[Seen, None], benchmark_id: str, *, prefix: str = ""
) -> AsyncGenerator[bytes, None]:
    """Each event once it is stored, so that every one has an id to come back with.

    That is at most a twentieth of a second later than it happened. The run's own change of status
    is told as ``status``; after its end nothing comes. ``prefix`` stands before each id.
    """
    waiting: list[Event] = []

    def one(event: Event) -> bytes:
        said = {"model": None, **event.data, "at": event.at_ms / 1000}
        body = {"type": event.type, "benchmark_id": benchmark_id, **said}
        return message(f"{prefix}{event.seq}", body)

    async with aclosing(events):
        async for seen in events:
            if isinstance(seen, Rewound):
                waiting = [event for event in waiting if event.seq <= seen.seq]
            elif isinstance(seen, Committed):
                ready = [event for event in waiting if event.seq <= seen.seq]
                waiting = waiting[len(ready) :]
                if ready:
                    yield b"".join(map(one, ready))
            elif not seen.committed:
                waiting.append(seen)
            else:
                # What is read from the log holds those that were shown before they were in it.
                waiting = [event for event in waiting if event.seq > seen.seq]
                yield one(seen)
                if seen.type == "status" and seen.data["status"] in ENDED:
                    return


def event_error(error: NovaError) -> bytes:
    body = {"type": "error", "benchmark_id": None, "model": None, "detail": error.message}
    return b"data: " + orjson.dumps({**body, "code": error.code, "hint": error.hint}) + b"\n\n"
