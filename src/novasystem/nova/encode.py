"""Asks on the wire: the whole answer, and the same as it happens.

Only events that are stored carry an ``id:``. What ends a step, begins or ends an ask, or is a plan
waits the moment until it is stored; tokens and what begins are sent at once, without an id.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any
from uuid import UUID

import orjson

from novasystem.errors import NovaError, RunFailed
from novasystem.nova.progress import Progress, shown_tool
from novasystem.runs.records import Committed, Event, Rewound, Run, Seen
from novasystem.runs.state import ENDED

__all__ = ["answer", "encode", "stream_error"]

_STORED = {"begun", "recalled", "plan", "step_done", "restarted", "status"}
_EMPTY: Mapping[str, Any] = {"text": "", "limits_reached": [], "metrics": None}
_ANSWERING = ("close", "single")
_FAILED = {"code": "internal_error", "message": "The ask failed."}
_ANSWERED = {"completed", "incomplete", "cancelled"}


def answer(run: Run, progress: Progress, *, include_chain: bool = True) -> dict[str, Any]:
    """The answer as it stands; while the ask goes on, its chain ends with the last stored step."""
    said = progress.answered or _EMPTY
    shown: dict[str, Any] = {
        "text": said["text"],
        "chain_of_thought": [entry.shown() for entry in progress.entries.values()],
        "metrics": said["metrics"],
        "session_id": None if run.thread_id is None else str(UUID(run.thread_id)),
        "run_id": run.id,
        "model": run.request["model"],
        "mode": run.request["mode"],
        "status": "failed" if run.status == "expired" else run.status,
        "limits_reached": said["limits_reached"],
    }
    if run.error is not None:
        shown["error"] = run.error
    if not include_chain:
        del shown["chain_of_thought"]
    return shown


async def encode(
    run: Run,
    events: AsyncGenerator[Seen, None],
    ended: Callable[[], Awaitable[Run]],
    *,
    include_chain: bool = True,
    known: Sequence[Event] | None = None,
) -> AsyncGenerator[bytes, None]:
    """The ask's events. ``known``: those that a watcher has seen already, who comes back: then the
    first event is ``replace``. ``ended`` reads the run when it is over.

    Raises ``RunFailed`` where the ask failed, or was deleted.
    """
    watched = _Watched(known or (), include_chain=include_chain)
    if known is not None:
        yield watched.replace(None)
    async with aclosing(events):
        async for seen in events:
            for said in watched.see(seen):
                yield said
            if watched.end is not None:
                last = await ended()
                if last.status not in _ANSWERED:
                    failed = last.error or _FAILED
                    raise RunFailed(failed["code"], failed["message"], watched.end.seq)
                whole = answer(last, watched.progress, include_chain=include_chain)
                yield _frame("done", whole, watched.end.seq)
                return
    raise RunFailed("run_gone", "The session was deleted before its answer was whole.")


class _Watched:
    """What one watcher has been shown. ``end``: the event that the ask ended with."""

    def __init__(self, known: Sequence[Event], *, include_chain: bool) -> None:
        self._include_chain = include_chain
        self._events = list(known)
        self._held: list[Event] = []
        self.progress = Progress.of(known)
        self.end: Event | None = None

    def see(self, seen: Seen) -> list[bytes]:
        if isinstance(seen, Event):
            self._held.append(seen)
            return self._send(0)
        if isinstance(seen, Committed):
            return self._send(seen.seq)
        return self._rewound(seen)

    def _send(self, stored: int) -> list[bytes]:
        """What can be sent: an event that has to be stored holds up those behind it."""
        sent: list[bytes] = []
        while self._held and self.end is None:
            event = self._held[0]
            committed = event.committed or event.seq <= stored
            if event.type in _STORED and not committed:
                break
            del self._held[0]
            self._events.append(event)
            self.progress.apply(event)
            sent += self._shown(event, event.seq if event.type in _STORED else None)
        return sent

    def _rewound(self, rewound: Rewound) -> list[bytes]:
        """What was shown behind that event was never stored: others come in its place."""
        self._held = [event for event in self._held if event.seq <= rewound.seq]
        self._events = [event for event in self._events if event.seq <= rewound.seq]
        self.progress = Progress.of(self._events)
        return [self.replace(rewound.seq)]

    def _shown(self, event: Event, seq: int | None) -> list[bytes]:
        data = event.data
        match event.type:
            case "status":
                if data["status"] in ENDED:
                    self.end = event
                return []
            case "restarted":
                return [self.replace(seq)]
            case "begun":
                return [_frame("begun", data, seq)]
            case "token" if self._sees(data):
                return [_frame("token", data, seq)]
            case "again" if self._sees(data):
                return [self.replace(None)]
            case "calls" if data.get("text") and self._sees(data):
                # What it said before it called for tools is no part of its answer.
                return [self.replace(None)]
            case "tool" if self._include_chain:
                shown = {"step_id": data["step_id"], **shown_tool(data)}
                return [_frame("tool", shown, seq)]
            case "recalled" if self._include_chain and data["items"]:
                return [_frame("recalled", data, seq)]
            case "step_begun" | "plan" | "step_done" if self._include_chain:
                return [_frame(event.type, data, seq)]
        return []

    def _sees(self, data: Mapping[str, Any]) -> bool:
        """Whether this watcher is shown that step's words."""
        return self._include_chain or data["step_id"] in _ANSWERING

    def replace(self, seq: int | None) -> bytes:
        """All that was shown so far, which takes the place of what a watcher has."""
        progress = self.progress
        chain = self._include_chain
        opened = progress.shown_open()
        shown = {
            **(progress.begun or {}),
            "plans": progress.plans if chain else [],
            "entries": [entry.shown() for entry in progress.entries.values()] if chain else [],
            "open": [one for one in opened if chain or one["step_id"] in _ANSWERING],
        }
        return _frame("replace", shown, seq)


def _frame(type_: str, data: Mapping[str, Any], seq: int | None) -> bytes:
    head = b"" if seq is None else b"id: %d\n" % seq
    body = orjson.dumps({"type": type_, **data}, default=str)
    return head + b"event: %s\ndata: %s\n\n" % (type_.encode(), body)


def stream_error(error: NovaError) -> bytes:
    """The last event of a stream that had begun."""
    said = {"code": error.code, "message": str(error)}
    return _frame("error", said, getattr(error, "seq", None))
