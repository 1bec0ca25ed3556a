"""A model's turn on a thread, as a run carries it out: tokens in, events and items out.

The events of a turn, in the run's log::

    message_begun  {item_id, step_id}            the answer's text begins
    text           {text}                        a piece of it
    reasoning      {text}                        a piece of what the model thinks before it answers
    message_ended  {item_id, step_id, text, reason, usage, tokens, exact}
                                                 reason: why it is incomplete, or null
    calls_begun    {step_id}                     the model asks for calls
    call           {index, id, name, arguments}  a piece of one; id and name on its first piece only
    calls_asked    {step_id, tool_calls}         the calls, whole; their outputs are not there yet
    calls_ended    {step_id, tool_calls}         the same with their outputs
    calls_dropped  {step_id}                     an interrupted turn had begun them; they are void
    restarted      {item_id, step_id}            what was said of the open message is void
    fitted         {left_out_items}              older items that the model was not shown
    counted        {item_id, tokens}             a message's tokens, by the engine's own count
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.engine import Connection

from novasystem.engines.events import Event as EngineEvent
from novasystem.engines.events import (
    Finished,
    FinishReason,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from novasystem.engines.registry import Registry
from novasystem.engines.requests import GenerateRequest, ToolCall
from novasystem.runs import store as run_store
from novasystem.runs.context import RunContext
from novasystem.storage.ids import new_id, now_ms
from novasystem.threads import store
from novasystem.threads.records import NewItem
from novasystem.turns.fitting import estimate

__all__ = ["Answer", "answer"]


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


class _Turn:
    """One generation: what is open, and what was said so far."""

    def __init__(self, context: RunContext, item_id: str | None, step_id: str | None) -> None:
        self._context = context
        self._run = context.run
        self._reused = (item_id, step_id) if item_id and step_id else None
        self.item_id: str | None = None
        self.step_id: str | None = None
        self.calls_step_id: str | None = None
        self.text: list[str] = []
        self.spent: int | None = None
        """Tokens of the text alone, by the engine's count."""
        self.calls: dict[int, _Call] = {}

    def say(self, text: str) -> None:
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
        begun, at_ms = {"item_id": self.item_id, "step_id": self.step_id}, now_ms()
        write = self._write_begin(self.item_id, self.step_id, at_ms)
        self._context.emit("message_begun", begun, write, at_ms)

    def _write_begin(self, item_id: str, step_id: str, at_ms: int) -> Any:
        run = self._run
        assert run.thread_key is not None
        thread_key = run.thread_key

        def write(connection: Connection) -> None:
            new = NewItem(
                "message",
                "",
                role="assistant",
                id=item_id,
                status="in_progress",
                run_id=run.id,
                assistant_id=run.assistant_id,
                created_at=at_ms,
            )
            store.add(connection, thread_key, [new])
            run_store.insert_step(
                connection,
                run.key,
                type_="message_creation",
                details={"message_id": item_id},
                step_id=step_id,
                created_at=at_ms,
            )

        return write

    def call(self, delta: ToolCallDelta) -> None:
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

        def write(connection: Connection) -> None:
            store.end_item(
                connection,
                item_id,
                text,
                token_count=tokens,
                token_count_exact=counted is not None,
                incomplete_reason=why,
                ended_at=at_ms,
            )
            run_store.end_step(connection, step_id, "completed", usage=usage, ended_at=at_ms)

        ended: dict[str, Any] = {"item_id": item_id, "step_id": step_id, "text": text}
        ended |= {"reason": why, "usage": usage, "tokens": tokens, "exact": counted is not None}
        self._context.emit("message_ended", ended, write, at_ms)

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


async def answer(
    context: RunContext,
    registry: Registry,
    request: GenerateRequest,
    events: AsyncGenerator[EngineEvent, None] | None = None,
) -> Answer:
    """Let the model speak, and write what it says to the run's log and to its thread.

    ``events``: the answer to ``request``, where the engine was asked before.
    """
    item_id = step_id = None
    if context.interrupted:
        item_id, step_id = await _broken_off(context)
    turn = _Turn(context, item_id, step_id)
    usage: dict[str, int] | None = None
    reason: FinishReason = "stop"
    reasoned = False
    async with aclosing(registry.generate(request) if events is None else events) as said:
        async for event in said:
            if isinstance(event, TextDelta):
                turn.say(event.text)
            elif isinstance(event, ReasoningDelta):
                reasoned = True
                context.emit("reasoning", {"text": event.text})
            elif isinstance(event, ToolCallDelta):
                turn.call(event)
            elif isinstance(event, Usage):
                usage = _counts(event)
                turn.spent = _spent(event, reasoned)
            elif isinstance(event, Finished):
                reason = event.reason
    return turn.end(reason, usage)


def _counts(usage: Usage) -> dict[str, int] | None:
    prompt, completion = usage.prompt_tokens, usage.completion_tokens
    if prompt is None or completion is None:
        return None
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


def _spent(usage: Usage, reasoned: bool) -> int | None:
    """Tokens of the text alone: what was thought before it is no part of the message."""
    if not reasoned or usage.completion_tokens is None:
        return usage.completion_tokens
    if usage.reasoning_tokens is None:
        return None
    return max(0, usage.completion_tokens - usage.reasoning_tokens)


async def _broken_off(context: RunContext) -> tuple[str | None, str | None]:
    """The message that an earlier execution had begun; whoever watches it is told to forget it."""
    item_id = step_id = None
    open_calls: str | None = None
    for event in await context.recorded():
        if event.type == "message_begun":
            item_id, step_id = event.data["item_id"], event.data["step_id"]
        elif event.type == "message_ended":
            item_id = step_id = None
        elif event.type == "calls_begun":
            open_calls = event.data["step_id"]
        elif event.type in {"calls_ended", "calls_dropped"}:
            open_calls = None
    if item_id is not None or open_calls is not None:
        context.emit("restarted", {"item_id": item_id, "step_id": step_id})
    if open_calls is not None:
        dropped = open_calls
        context.emit(
            "calls_dropped",
            {"step_id": dropped},
            lambda connection: run_store.end_step(connection, dropped, "cancelled"),
        )
    return item_id, step_id
