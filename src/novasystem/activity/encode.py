"""Runs, steps and events as the general doors show them. Times are unix seconds."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any
from uuid import UUID

import orjson

from novasystem.errors import NovaError, RunFailed
from novasystem.runs.records import Committed, Event, Rewound, Run, Seen, Step
from novasystem.runs.state import ENDED

__all__ = ["encode_events", "event_error", "page", "shown_run", "shown_step"]


def shown_run(run: Run) -> dict[str, Any]:
    """``thread_id`` is the thread's UUID; a conversation's id is the same."""
    return {
        "id": run.id,
        "kind": run.kind,
        "status": run.status,
        "thread_id": None if run.thread_id is None else str(UUID(run.thread_id)),
        "assistant_id": run.assistant_id,
        "model": run.request.get("model"),
        "created_at": _seconds(run.created_at),
        "started_at": _seconds(run.started_at),
        "ended_at": _seconds(run.ended_at),
        "expires_at": _seconds(run.expires_at),
        "interruptions": run.interruptions,
        "last_event": run.last_seq,
        "error": run.error,
        "details": run.details,
        "usage": run.usage,
        "metadata": run.metadata,
    }


def shown_step(step: Step) -> dict[str, Any]:
    return {
        "id": step.id,
        "type": step.type,
        "name": step.name,
        "status": step.status,
        "details": step.details,
        "error": step.error,
        "usage": step.usage,
        "created_at": _seconds(step.created_at),
        "ended_at": _seconds(step.ended_at),
    }


def _seconds(at_ms: int | None) -> float | None:
    return None if at_ms is None else at_ms / 1000


def page(rows: Sequence[Mapping[str, Any]], *, more: bool) -> dict[str, Any]:
    return {
        "data": rows,
        "first_id": rows[0]["id"] if rows else None,
        "last_id": rows[-1]["id"] if rows else None,
        "has_more": more,
    }


async def encode_events(
    events: AsyncGenerator[Seen, None], after: int = 0
) -> AsyncGenerator[bytes, None]:
    """Each event as it happens; an ``id:`` stands where all up to it is stored and was shown.

    ``committed`` says so of events that were sent before they were stored, ``rewound`` that those
    after it will never be. Raises ``RunFailed`` where the run vanishes before its end.
    """
    shown = stored = after
    async with aclosing(events):
        async for seen in events:
            if isinstance(seen, Event):
                shown = seen.seq
                if seen.committed:
                    stored = seen.seq
                yield _event(seen)
                if seen.type == "status" and seen.data["status"] in ENDED and seen.committed:
                    return
            elif isinstance(seen, Committed):
                if stored < (seq := min(seen.seq, shown)):
                    stored = seq
                    yield _mark("committed", seq)
            elif isinstance(seen, Rewound):
                shown = stored = min(seen.seq, shown)
                yield _mark("rewound", shown)
    raise RunFailed("run_gone", "The run was deleted before its end.")


def _event(event: Event) -> bytes:
    head = b"id: %d\n" % event.seq if event.committed else b""
    body = {
        "seq": event.seq,
        "type": event.type,
        "data": event.data,
        "at": event.at_ms / 1000,
    }
    return head + b"event: %s\ndata: %s\n\n" % (event.type.encode(), orjson.dumps(body))


def _mark(name: str, seq: int) -> bytes:
    return b'id: %d\nevent: %s\ndata: {"seq":%d}\n\n' % (seq, name.encode(), seq)


def event_error(error: NovaError) -> bytes:
    body = {"detail": error.message, "code": error.code, "hint": error.hint}
    return b"event: error\ndata: " + orjson.dumps(body) + b"\n\n"
