"""One generation as a run carries it out: what it says becomes events, an item and steps."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.engine import Connection

from novasystem.engines.events import FinishReason, ToolCallDelta
from novasystem.engines.requests import ToolCall
from novasystem.runs import store as run_store
from novasystem.runs.context import RunContext, Write
from novasystem.runs.joined import Change, added_step, ended_step
from novasystem.runs.records import StepStatus
from novasystem.storage.ids import new_id, now_ms
from novasystem.threads import store
from novasystem.threads.records import ItemStatus, NewItem
from novasystem.turns.fitting import estimate

__all__ = ["Answer", "Turn"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said, and why it stopped. ``usage`` counts tokens; ``None``: not said."""

    text: str
    calls: tuple[ToolCall, ...]
    reason: FinishReason
    usage: Mapping[str, int] | None
    step_id: str | None = None
    """The step that holds the calls."""


@dataclass(slots=True)
class _Call:
    id: str
    name: str
    arguments: list[str] = field(default_factory=list)


class Turn:
    """One generation: what is open, and what was said so far."""

    def __init__(self, context: RunContext, item_id: str | None, step_id: str | None) -> None:
        self._context = context
        self._run = context.run
        self._reused = (item_id, step_id) if item_id and step_id else None
        self.item_id: str | None = None
        self.step_id: str | None = None
        self._begun_at = 0
        self._begin: Write | None = None
        self.calls_step_id: str | None = None
        self.text: list[str] = []
        self._unshown: list[str] = []
        self.spent: int | None = None
        """Tokens of the text alone, by the engine's count."""
        self.calls: dict[int, _Call] = {}

    def say(self, text: str) -> None:
        """What one read of the engine's answer brought is shown as one event, once the loop turns.

        Raises what ``RunContext.emit`` does.
        """
        if self._context.lost is not None:
            raise self._context.lost
        if not self._unshown:
            asyncio.get_running_loop().call_soon(self.show)
        self._unshown.append(text)

    def show(self) -> None:
        """Show what was said: before anything else is emitted, and before the turn is left."""
        if not self._unshown or self._context.lost is not None:
            return
        text = "".join(self._unshown)
        self._unshown.clear()
        if self.item_id is None:
            self._begin_message()
        self.text.append(text)
        self._context.emit("text", {"text": text})

    def _begin_message(self) -> None:
        if self._reused is not None:
            # It was begun by an execution that was broken off: the same message goes on.
            self.item_id, self.step_id = self._reused
            return
        self.item_id, self.step_id = new_id("msg"), new_id("step")
        self._begun_at = at_ms = now_ms()
        begun = {"item_id": self.item_id, "step_id": self.step_id}
        self._begin = self._adding("", "in_progress", "in_progress")
        self._context.emit("message_begun", begun, self._begin, at_ms)

    def _adding(
        self, text: str, item_status: ItemStatus, step_status: StepStatus, **ended: Any
    ) -> Write:
        """Adds the message and its step; ``ended``: what the end of both says."""
        run, item_id, step_id, begun_at = self._run, self.item_id, self.step_id, self._begun_at
        thread_key = run.thread_key
        assert thread_key is not None
        usage, ended_at = ended.pop("usage", None), ended.get("ended_at")

        new = NewItem(
            "message",
            text,
            role="assistant",
            id=item_id,
            status=item_status,
            run_id=run.id,
            assistant_id=run.assistant_id,
            created_at=begun_at,
            **ended,
        )
        details = {"message_id": item_id}

        def write(connection: Connection) -> None:
            store.add(connection, thread_key, [new])
            run_store.insert_step(
                connection,
                run.key,
                type_="message_creation",
                details=details,
                step_id=step_id,
                created_at=begun_at,
                status=step_status,
                usage=usage,
                ended_at=ended_at,
            )

        step = {
            "id": step_id,
            "type": "message_creation",
            "status": step_status,
            "details": details,
            "usage": usage,
            "created_at": begun_at,
            "ended_at": ended_at,
        }
        rows = frozenset({str(item_id), str(step_id)})
        parts = [store.added_to_held(new, begun_at)[0], added_step(step)]
        return Change(write, parts, rows, adds=True, opens=ended_at is None)

    def call(self, delta: ToolCallDelta) -> None:
        self.show()
        data: dict[str, Any] = {"index": delta.index, "arguments": delta.arguments}
        if self.calls_step_id is None:
            self._begin_calls()
        known = self.calls.get(delta.index)
        if known is None:
            taken = {call.id for call in self.calls.values()}
            # Whoever answers two calls has to tell them apart, whatever the engine calls them.
            named = delta.id if delta.id and delta.id not in taken else new_id("call")
            known = _Call(named, delta.name or "")
            self.calls[delta.index] = known
            data |= {"id": known.id, "name": known.name}
        known.arguments.append(delta.arguments)
        self._context.emit("call", data)

    def _begin_calls(self) -> None:
        step_id = self.calls_step_id = new_id("step")
        at_ms = now_ms()

        def write(connection: Connection) -> None:
            run_store.insert_step(
                connection,
                self._run.key,
                type_="tool_calls",
                details={"tool_calls": []},
                step_id=step_id,
                created_at=at_ms,
            )

        self._context.emit("calls_begun", {"step_id": step_id}, write, at_ms)

    def end(self, reason: FinishReason, usage: Mapping[str, int] | None) -> Answer:
        """Write what was said; calls stay open until somebody has carried them out."""
        self.show()
        if self.item_id is None and (not self.calls or self._reused is not None):
            # An empty answer is an answer; and what was begun once is ended.
            self._begin_message()
        text = "".join(self.text)
        calls = tuple(
            ToolCall(call.id, call.name, "".join(call.arguments))
            for _, call in sorted(self.calls.items())
        )
        if self.item_id is not None:
            self._end_message(text, reason, usage, None if calls else self.spent)
        if calls:
            self._write_calls(calls)
        return Answer(text, calls, reason, usage, self.calls_step_id)

    def _end_message(
        self,
        text: str,
        reason: FinishReason,
        usage: Mapping[str, int] | None,
        counted: int | None,
    ) -> None:
        item_id, step_id = self.item_id, self.step_id
        assert item_id is not None
        assert step_id is not None
        why = {"length": "max_tokens", "content_filter": "content_filter"}.get(reason)
        tokens = estimate(text) if counted is None else counted
        at_ms = now_ms()
        said: dict[str, Any] = {
            "token_count": tokens,
            "token_count_exact": counted is not None,
            "incomplete_reason": why,
            "ended_at": at_ms,
        }

        def write(connection: Connection) -> None:
            store.end_item(connection, item_id, text, **said)
            run_store.end_step(connection, step_id, "completed", usage=usage, ended_at=at_ms)

        change = Change(
            write,
            [
                store.ended_item(item_id, text, **said),
                ended_step(step_id, status="completed", usage=usage, ended_at=at_ms),
            ],
            frozenset({item_id, step_id}),
            ends=step_id,
        )
        status: ItemStatus = "completed" if why is None else "incomplete"
        # A short answer has ended before its begin is written: both are stored in one.
        whole = self._adding(text, status, "completed", usage=usage, **said)
        at_once = self._begin is not None and self._context.amend(self._begin, whole)
        ended: dict[str, Any] = {"item_id": item_id, "step_id": step_id, "text": text}
        ended |= {"reason": why, "usage": usage, "tokens": tokens, "exact": counted is not None}
        self._context.emit("message_ended", ended, None if at_once else change, at_ms)

    def _write_calls(self, calls: Sequence[ToolCall]) -> None:
        """Into their step; they become items of the thread together with their results."""
        step_id = self.calls_step_id
        assert step_id is not None
        details = {"tool_calls": [_shown(call) for call in calls]}

        def write(connection: Connection) -> None:
            run_store.set_step_details(connection, step_id, details)

        self._context.emit("calls_asked", {"step_id": step_id, **details}, write)


def _shown(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "name": call.name, "arguments": call.arguments, "output": None}
