"""The chat door's events: ``chunk`` …, then ``done``, or ``error`` where it does not end well.

Only events that are stored carry an ``id:``; what is said meanwhile is sent as it comes.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import orjson

from novasystem.errors import NovaError, RunFailed
from novasystem.http.errors import chat_error
from novasystem.runs.records import Event, Rewound, Seen
from novasystem.runs.state import ENDED

__all__ = ["encode", "stream_error"]

_CANCELLED = {"code": "cancelled", "message": "The answer was stopped before it was whole."}


async def encode(
    events: AsyncGenerator[Seen, None], conversation_id: str, shown: str | None = None
) -> AsyncGenerator[bytes, None]:
    """``usage.tokens`` counts what was generated; ``null`` where the engine does not say.

    A ``replace`` event holds all that was said up to there, and takes the place of what was shown:
    it comes where a crash took some of that, and first in a stream that goes on after ``shown``.
    Raises ``RunFailed`` where the turn does not end well.
    """
    said: list[Event] = []
    if shown is not None:
        yield _replace(shown, None)
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Event) and event.type == "text":
                said.append(event)
                yield _chunk(event)
            elif isinstance(event, Rewound):
                said = [one for one in said if one.seq <= event.seq]
                left = "".join(one.data["text"] for one in said)
                yield _replace((shown or "") + left, event.seq)
            elif not isinstance(event, Event):
                continue
            elif event.type == "status" and event.data["status"] in ENDED:
                yield _end(event, conversation_id)
                return
    raise RunFailed("run_gone", "The conversation was deleted before its answer was whole.")


def _chunk(event: Event) -> bytes:
    text = orjson.dumps(event.data["text"])
    if event.committed:
        return b'id: %d\nevent: chunk\ndata: {"content":%b}\n\n' % (event.seq, text)
    return b'event: chunk\ndata: {"content":%b}\n\n' % text


def _replace(text: str, seq: int | None) -> bytes:
    head = b"" if seq is None else b"id: %d\n" % seq
    return head + b'event: replace\ndata: {"content":' + orjson.dumps(text) + b"}\n\n"


def _end(event: Event, conversation_id: str) -> bytes:
    data = event.data
    if data["status"] in {"completed", "incomplete"}:
        usage = data.get("usage") or {}
        done: dict[str, Any] = {
            "conversation_id": conversation_id,
            "usage": {"tokens": usage.get("completion_tokens")},
        }
        return b"id: %d\nevent: done\ndata: %s\n\n" % (event.seq, orjson.dumps(done))
    failed = data.get("error") or _CANCELLED
    raise RunFailed(failed["code"], failed["message"], event.seq)


def stream_error(error: NovaError) -> bytes:
    """The last event of a stream that had begun; its id is that of the run's own last event."""
    seq = getattr(error, "seq", None)
    head = b"" if seq is None else b"id: %d\n" % seq
    said = orjson.dumps(chat_error(error, streaming=True))
    return head + b"event: error\ndata: " + said + b"\n\n"
