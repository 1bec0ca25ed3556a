"""What a watcher of a run knows of it: each event of the log changes that, and makes frames.

Pure: the same events make the same frames, whether they are live or read from the log.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import orjson

from novasystem.assistants.begun import begun_message, begun_step
from novasystem.assistants.encode import (
    deleted_object,
    message_object,
    run_object,
    step_object,
)
from novasystem.runs.records import Event, Run, Step, StepStatus
from novasystem.runs.state import ENDED
from novasystem.threads.records import Item

__all__ = ["View", "frame"]

_STEP_END: dict[str, StepStatus] = {
    "cancelled": "cancelled",
    "expired": "expired",
    "failed": "failed",
    "completed": "completed",
    "incomplete": "completed",
}
_AFTER_TEXT = b"}}]}}\n\n"
_AFTER_FIRST = b',"annotations":[]' + _AFTER_TEXT


def frame(name: bytes, data: Mapping[str, Any]) -> bytes:
    return b"event: " + name + b"\ndata: " + orjson.dumps(data) + b"\n\n"


class View:
    """``run`` as its row has it now: what is not told again (its request, its times) is its."""

    def __init__(self, run: Run) -> None:
        self._row = run
        self._run = replace(
            run, status="queued", started_at=None, ended_at=None, error=None, details=None
        )
        self._created = False
        self._steps: dict[str, Step] = {}
        """Those that have not ended."""
        self._message: Item | None = None
        self._text: list[str] = []
        self._before_text = b""
        self._calls: dict[int, dict[str, Any]] = {}
        self._begun: dict[str, str] = {}
        """Every message and step, and which of the two it is."""
        self._apply: dict[str, Callable[[Event], list[bytes]]] = {
            "text": self._said,
            "message_begun": self._begin_message,
            "message_ended": self._end_message,
            "calls_begun": self._begin_calls,
            "call": self._call,
            "calls_asked": self._keep_calls,
            "calls_ended": self._end_calls,
            "calls_dropped": self._drop_calls,
            "restarted": self._restart,
            "status": self._status,
        }

    def apply(self, event: Event, stored: Run | None = None) -> list[bytes]:
        """The frames that ``event`` makes. ``stored``: the run's row, where it has ended."""
        if stored is not None and stored.status in ENDED:
            self._row = stored
        known = self._apply.get(event.type)
        return [] if known is None else known(event)

    def replaced(self) -> list[bytes]:
        """What is being said or called, whole."""
        frames = []
        if self._message is not None:
            frames.append(self._whole_message())
        frames += [
            frame(b"thread.run.step.replaced", self._step(step))
            for step in self._steps.values()
            if step.type == "tool_calls" and not step.details["tool_calls"]
        ]
        return frames

    def gone_since(self, other: "View") -> list[bytes]:
        """What ``other`` had shown and is not there."""
        return [
            frame(kind.encode() + b".deleted", deleted_object(shown_id, kind))
            for shown_id, kind in other._begun.items()
            if shown_id not in self._begun
        ]

    def _status(self, event: Event) -> list[bytes]:
        status, said = event.data["status"], event.data
        frames: list[bytes] = []
        changes: dict[str, Any] = {"status": status, "details": said.get("details")}
        if status == "queued" and not self._created:
            self._created = True
            frames.append(self._run_frame(b"created"))
        if status == "in_progress" and self._run.started_at is None:
            changes["started_at"] = event.at_ms
        if status in ENDED:
            changes |= {
                "ended_at": event.at_ms,
                "error": said.get("error"),
                "usage": said.get("usage"),
            }
        self._run = replace(self._run, **changes)
        if status in ENDED:
            frames += self._end_steps(_STEP_END[status], event.at_ms)
            if self._row.status == status:
                self._run = self._row
        return [*frames, self._run_frame(status.encode())]

    def _run_frame(self, word: bytes) -> bytes:
        return frame(b"thread.run." + word, run_object(self._run))

    def _end_steps(self, status: StepStatus, at_ms: int) -> list[bytes]:
        frames = []
        for step in list(self._steps.values()):
            ended_at = at_ms if step.ended_at is None else step.ended_at
            frames += self._end_step(step.id, status, ended_at)
        return frames

    def _begin_step(self, event: Event, kind: str, details: Mapping[str, Any]) -> list[bytes]:
        step = begun_step(self._run, event, kind, details)
        self._steps[step.id] = step
        self._begun[step.id] = "thread.run.step"
        shown = step_object(step, self._run)
        return [
            frame(b"thread.run.step.created", shown),
            frame(b"thread.run.step.in_progress", shown),
        ]

    def _end_step(self, step_id: str, status: StepStatus, at_ms: int, **more: Any) -> list[bytes]:
        step = self._steps.pop(step_id, None)
        if step is None:
            return []
        step = replace(step, status=status, ended_at=at_ms, **more)
        return [frame(b"thread.run.step." + status.encode(), self._step(step))]

    def _step(self, step: Step) -> dict[str, Any]:
        if step.type == "tool_calls" and self._calls and not step.details["tool_calls"]:
            calls = [{**call, "output": None} for _, call in sorted(self._calls.items())]
            step = replace(step, details={"tool_calls": calls})
        return step_object(step, self._run)

    def _begin_message(self, event: Event) -> list[bytes]:
        run, item_id = self._run, event.data["item_id"]
        self._message = begun_message(run, event)
        self._begun[item_id] = "thread.message"
        self._text = []
        head = orjson.dumps({"id": item_id, "object": "thread.message.delta"})[:-1]
        self._before_text = (
            b"event: thread.message.delta\ndata: "
            + head
            + b',"delta":{"content":[{"index":0,"type":"text","text":{"value":'
        )
        shown = message_object(self._message, run.thread_id or "")
        return [
            *self._begin_step(event, "message_creation", {"message_id": item_id}),
            frame(b"thread.message.created", shown),
            frame(b"thread.message.in_progress", shown),
        ]

    def _said(self, event: Event) -> list[bytes]:
        after = _AFTER_TEXT if self._text else _AFTER_FIRST
        text = event.data["text"]
        self._text.append(text)
        return [self._before_text + orjson.dumps(text) + after]

    def _end_message(self, event: Event) -> list[bytes]:
        if self._message is None:
            return []
        said, why = event.data, event.data["reason"]
        complete = why is None
        item = replace(
            self._message,
            content=said["text"],
            status="completed" if complete else "incomplete",
            incomplete_reason=why,
            completed_at=event.at_ms if complete else None,
            incomplete_at=None if complete else event.at_ms,
            token_count=said["tokens"],
            token_count_exact=said["exact"],
        )
        self._message, self._text = None, []
        name = b"thread.message.completed" if complete else b"thread.message.incomplete"
        frames = [frame(name, message_object(item, self._run.thread_id or ""))]
        step_id = said["step_id"]
        if complete or not why.startswith("run_"):
            frames += self._end_step(step_id, "completed", event.at_ms, usage=said["usage"])
        elif step_id in self._steps:
            # The run's own end follows, and says why.
            self._steps[step_id] = replace(self._steps[step_id], ended_at=event.at_ms)
        return frames

    def _begin_calls(self, event: Event) -> list[bytes]:
        self._calls = {}
        return self._begin_step(event, "tool_calls", {"tool_calls": []})

    def _call(self, event: Event) -> list[bytes]:
        said = event.data
        index, arguments = said["index"], said["arguments"]
        known = self._calls.get(index)
        if known is None:
            # Engines may leave numbers out; the client's list may not.
            place = len(self._calls)
            known = {"id": said["id"], "name": said["name"], "arguments": "", "place": place}
            self._calls[index] = known
            delta = {
                "index": place,
                "type": "function",
                "id": said["id"],
                "function": {"name": said["name"], "arguments": arguments, "output": None},
            }
        else:
            delta = {
                "index": known["place"],
                "type": "function",
                "function": {"arguments": arguments},
            }
        known["arguments"] += arguments
        step_id = next(step.id for step in self._steps.values() if step.type == "tool_calls")
        details = {"type": "tool_calls", "tool_calls": [delta]}
        shown = {
            "id": step_id,
            "object": "thread.run.step.delta",
            "delta": {"step_details": details},
        }
        return [frame(b"thread.run.step.delta", shown)]

    def _keep_calls(self, event: Event) -> list[bytes]:
        step_id = event.data["step_id"]
        if step_id in self._steps:
            details = {"tool_calls": event.data["tool_calls"]}
            self._steps[step_id] = replace(self._steps[step_id], details=details)
        return []

    def _end_calls(self, event: Event) -> list[bytes]:
        said = event.data
        self._calls = {}
        return self._end_step(
            said["step_id"],
            "completed",
            event.at_ms,
            details={"tool_calls": said["tool_calls"]},
            usage=said["usage"],
        )

    def _drop_calls(self, event: Event) -> list[bytes]:
        frames = self._end_step(event.data["step_id"], "cancelled", event.at_ms)
        self._calls = {}
        return frames

    def _restart(self, _event: Event) -> list[bytes]:
        if self._message is None:
            return []
        self._text = []
        return [self._whole_message()]

    def _whole_message(self) -> bytes:
        assert self._message is not None
        item = replace(self._message, content="".join(self._text))
        shown = message_object(item, self._run.thread_id or "")
        return frame(b"thread.message.replaced", shown)
